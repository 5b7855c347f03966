"""``job.toml``: how a model is trained, as its authors write it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from wichtel.domain import InvalidInput, Job, Order, PlanError, Resources, Window, did_you_mean
from wichtel.plans.tree import SourceTree

JOB = "job.toml"

_UNITS = {"": 1, "B": 1, **{f"{p}B": 1000**i for i, p in enumerate("KMGT", 1)}, **{f"{p}iB": 1024**i for i, p in enumerate("KMGT", 1)}}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def read_job(tree: SourceTree) -> Job:
    """The job of a plan.

    Raises:
        PlanError: not TOML, a key that is missing, unknown or of the wrong type, or windows that are empty or not in order.
    """
    return parse_job(tree.files[JOB])


def parse_job(content: bytes) -> Job:
    """As `read_job`, from the content of the file."""
    try:
        document = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"this is not TOML: {error}.", where=JOB) from error
    sections: dict[str, Mapping[str, Any]] = {}
    for name, value in document.items():
        if name not in _KEYS and name != "priority":
            raise PlanError(f"there is no section or key {name!r}.", where=JOB, hint=did_you_mean(name, [*_KEYS, "priority"]))
        if name == "priority":
            continue
        if not isinstance(value, dict):
            raise PlanError(f"[{name}] is a section, not {value!r}.", where=JOB)
        for key in value:
            if key not in _KEYS[name]:
                raise PlanError(f"there is no key {key!r}.", where=f"{JOB}: [{name}]", hint=did_you_mean(key, _KEYS[name]))
        sections[name] = value
    fields: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    for name, keys in _KEYS.items():
        for key, (field, read) in keys.items():
            if key not in sections.get(name, {}):
                if (name, key) in _REQUIRED:
                    raise PlanError(f"{key} is missing.", where=f"{JOB}: [{name}]", hint=f"Add for instance: {_REQUIRED[name, key]}")
                continue
            where = f"{JOB}: {name}.{key}"
            try:
                target = resources if name == "resources" else fields
                target[field] = read(sections[name][key])
            except InvalidInput as error:
                raise PlanError(error.message, where=where, hint=error.hint) from None
    if "priority" in document:
        fields["priority"] = _whole(document["priority"], f"{JOB}: priority")
    try:
        return Job(**fields, resources=Resources(**resources))
    except InvalidInput as error:
        raise PlanError(error.message, where=error.where or JOB, hint=error.hint) from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{value!r} is not a name.")
    return value


def _whole(value: object, where: str | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise PlanError(f"{value!r} is not a whole number.", where=where)
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidInput(f"{value!r} is not a number.")
    return float(value)


def _order(value: object) -> Order:
    try:
        return Order(str(value))
    except ValueError:
        raise InvalidInput(f"{value!r} is not an order.", hint=did_you_mean(str(value), [order.value for order in Order])) from None


def _window(value: object) -> Window:
    if not isinstance(value, list) or len(value) != 2:
        raise InvalidInput("a window is [start, end].", hint="For instance: [2013-01-01, 2013-10-01].")
    start, end = map(_time, value)
    if start == end:
        raise InvalidInput(f"the window from {start:%Y-%m-%d %H:%M} to itself is empty.", hint="Its end is not part of a window.")
    if start > end:
        raise InvalidInput(f"the window ends ({end:%Y-%m-%d %H:%M}) before it starts ({start:%Y-%m-%d %H:%M}).")
    return Window(start=start, end=end)


def _time(value: object) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidInput(f"{value!r} is not a time.", hint="Write 2013-10-01 or 2013-10-01T06:00:00Z.") from None
    if isinstance(value, datetime):
        # A time without a zone is UTC.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise InvalidInput(f"{value!r} is not a time.", hint="Write 2013-10-01 or 2013-10-01T06:00:00Z.")


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    units = {unit.lower(): size for unit, size in _UNITS.items()}
    if match is None or match[2].lower() not in units:
        raise InvalidInput(f"{value!r} is not an amount of memory.", hint='Write "2GiB" or a number of bytes.')
    return int(float(match[1]) * units[match[2].lower()])


#: Section → key → field of `Job` (of `Resources` in ``[resources]``), and how it is read.
_KEYS: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "dataset": {"name": ("dataset", _text), "label": ("label", _text)},
    "windows": {"train": ("train", _window), "evaluation": ("evaluation", _window), "holdout": ("holdout", _window)},
    "training": {
        "order": ("order", _order),
        "batch_size": ("batch_size", _whole),
        "passes": ("passes", _whole),
        "sample": ("sample", _number),
        "seed": ("seed", _whole),
    },
    "resources": {"cpus": ("cpus", _number), "gpus": ("gpus", _number), "memory": ("memory_bytes", _size)},
    "limits": {"load_seconds": ("load_seconds", _number), "train_seconds": ("train_seconds", _number)},
}
_REQUIRED = {
    ("dataset", "name"): 'name = "flights"',
    ("dataset", "label"): 'label = "late"',
    ("windows", "train"): "train = [2013-01-01, 2013-10-01]",
    ("windows", "evaluation"): "evaluation = [2013-10-01, 2013-11-15]",
}
