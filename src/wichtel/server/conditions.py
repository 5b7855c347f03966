"""Conditional requests (RFC 9110, section 13): what a thing is now, as a tag, and what the caller says it should be."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from wichtel.domain import InvalidInput, PreconditionFailed

_TAG = re.compile(r'\s*((?:W/)?"[\x21\x23-\x7e]*")\s*(?:,|$)')


def tag_of(data: bytes) -> str:
    """The tag (ETag) of an answer with this body."""
    return f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a request says of the thing that it is about. None for nothing, ``*`` among the tags for anything that is there."""

    match: frozenset[str] | None
    none_match: frozenset[str] | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Conditions:
        """Those in `headers`.

        Raises:
            InvalidInput: they are not written as they should be.
        """
        return cls(_tags(headers, "If-Match"), _tags(headers, "If-None-Match"))

    def __bool__(self) -> bool:
        return self.match is not None or self.none_match is not None

    def unchanged(self, tag: str) -> bool:
        """Whether the caller has this version already, so that it need not be sent."""
        return self.none_match is not None and ("*" in self.none_match or tag in {t.removeprefix("W/") for t in self.none_match})

    def check(self, tag: str | None) -> None:
        """Refuse a change unless the thing is as the caller says.

        Args:
            tag: Of the thing as it is; None if it is not there.

        Raises:
            PreconditionFailed: it is not.
        """
        if self.match is not None and (tag is None or not self.match & {"*", tag}):
            what = "it is not there" if tag is None else "it has changed since you read it"
            raise PreconditionFailed(f"{what}.", where="header If-Match", hint="Read it again, and decide again.")
        if self.none_match is not None and tag is not None and self.none_match & {"*", tag}:
            raise PreconditionFailed("it is there already.", where="header If-None-Match", hint="Leave the header out to replace it.")


def _tags(headers: Mapping[str, str], name: str) -> frozenset[str] | None:
    given = headers.get(name.lower())
    if given is None:
        return None
    if given.strip() == "*":
        return frozenset("*")
    found, end = set(), 0
    while end < len(given):
        match = _TAG.match(given, end)
        if match is None:
            raise InvalidInput(f"{given!r} is no list of tags.", where=f"header {name}", hint='Such as "5f2c…", as ETag says it.')
        found.add(match[1])
        end = match.end()
    if not found:
        raise InvalidInput("it is empty.", where=f"header {name}")
    return frozenset(found)
