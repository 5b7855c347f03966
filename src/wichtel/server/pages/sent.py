"""A form as it was sent, and what is wrong with it: it is shown again with both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wichtel.domain import InvalidInput, WichtelError
from wichtel.server.pages.reader import PageReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One of the forms of a page; without a name, none was sent."""

    form: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    #: The field that is wrong, and why.
    wrong: str = ""
    why: str = ""

    @classmethod
    def of(cls, reader: PageReader, form: str, error: WichtelError, field: str) -> Sent:
        """What the reader sent with `form`; if the error does not say which field is wrong, it is `field`."""
        values = {name: reader.form.one(name) for name in reader.form.fields if name != "csrf_token"}
        where = (error.where or "").removeprefix("field ")
        why = f"{error.message[:1].upper()}{error.message[1:]}" + (f" {error.hint}" if error.hint else "")
        return cls(form=form, values=values, wrong=where if where in values else field, why=why)

    def value(self, form: str, name: str, otherwise: str = "") -> str:
        """What stands in a field."""
        return self.values.get(name, "") if form == self.form else otherwise

    def problem(self, form: str, name: str) -> str:
        """Why that does not fit; empty if it does."""
        return self.why if (form, name) == (self.form, self.wrong) else ""


NOTHING = Sent()


def amount(reader: PageReader, name: str) -> float | None:
    """The number in a field; None if it is empty.

    Raises:
        InvalidInput: it is none.
    """
    given = reader.form.one(name).strip().replace(",", "")
    if not given:
        return None
    try:
        return float(given)
    except ValueError:
        raise InvalidInput(f"{given!r} is not a number.", where=name) from None


def whole(reader: PageReader, name: str) -> int | None:
    """The whole number in a field; None if it is empty.

    Raises:
        InvalidInput: it is none.
    """
    given = amount(reader, name)
    if given is not None and not given.is_integer():
        raise InvalidInput(f"{given:g} is not a whole number.", where=name)
    return None if given is None else int(given)
