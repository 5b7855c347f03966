"""How numbers, times and words are written on pages."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup

_STEPS = ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (30 * 86_400, 86_400, "d"))


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def duration(value: float | timedelta | None) -> str:
    """A span of time, with as much of it as matters.

    >>> duration(3.21), duration(75), duration(7380), duration(200_000)
    ('3.2 s', '1 min 15 s', '2 h 3 min', '2 d 7 h')
    """
    if value is None:
        return "–"
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    for large, small, names in ((86_400, 3600, ("d", "h")), (3600, 60, ("h", "min")), (60, 1, ("min", "s"))):
        if whole >= large:
            first, rest = divmod(whole, large)
            second = rest // small
            return f"{first} {names[0]} {second} {names[1]}" if second else f"{first} {names[0]}"
    return f"{whole} s"


def ago(value: datetime | None) -> Markup:
    """A time as people say it; the exact one is its title, and the script keeps it true."""
    if value is None:
        return Markup('<span class="muted">–</span>')
    seconds = (now() - value).total_seconds()
    exact = value.astimezone(UTC)
    words = "just now" if abs(seconds) < 5 else f"{_rough(seconds)} ago" if seconds > 0 else f"in {_rough(-seconds)}"
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(exact.isoformat(), exact.strftime("%Y-%m-%d %H:%M:%S"), words)


def _rough(seconds: float) -> str:
    for end, unit, name in _STEPS:
        if seconds < end:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds // (30 * 86_400))} mo" if seconds < 365 * 86_400 else f"{seconds / (365 * 86_400):.1f} y"


def number(value: Any, digits: int = 4) -> str:
    """A number with so many digits that matter.

    >>> number(0.712345678), number(131637248.0), number(0.0000123), number(True), number(3.0), number(None)
    ('0.7123', '131,637,248', '1.23e-05', 'true', '3', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.{1 if abs(value) < 100_000 else 0}f}"
    return f"{value:.{digits}g}"


def signed(value: float | None, digits: int = 3) -> str:
    """A difference: always with its sign.

    >>> signed(0.00123), signed(-2.0), signed(0.0)
    ('+0.00123', '−2', '±0')
    """
    if value is None:
        return "–"
    if value == 0:
        return "±0"
    return f"{'+' if value > 0 else '−'}{number(abs(value), digits)}"


def percent(value: float | None, digits: int = 3) -> str:
    """A difference in percent, with its sign.

    >>> percent(0.0123), percent(-0.5)
    ('+1.23%', '−50%')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{signed(value if math.isinf(value) else value * 100, digits)}%"


def count(value: int, one: str, many: str = "") -> str:
    """So many of something.

    >>> count(1, "run"), count(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def size(value: int | None) -> str:
    """So many bytes.

    >>> size(712), size(1_536_000), size(None)
    ('712 B', '1.54 MB', '–')
    """
    if value is None:
        return "–"
    scaled = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if scaled < 1000:
            return f"{scaled:.3g} {unit}"
        scaled /= 1000
    return f"{number(scaled, 3)} TB"


def prose(text: str) -> Markup:
    """Text in which backticks stand around code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else Markup("{}").format(part) for at, part in enumerate(parts))


def words(value: Any) -> str:
    """A name of the code as words.

    >>> words("SYSTEM_ERROR"), words("train_candidate")
    ('system error', 'train candidate')
    """
    return str(value).replace("_", " ").lower()


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "count": count,
    "duration": duration,
    "number": number,
    "percent": percent,
    "prose": prose,
    "signed": signed,
    "size": size,
    "words": words,
}
