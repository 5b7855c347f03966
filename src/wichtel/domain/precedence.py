"""Which of several intents of one name is a model's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wichtel.domain.errors import NotFound, did_you_mean
from wichtel.domain.intent import BUILT_IN_INTENTS, Intent

#: What stands for other characters in a pattern: ``*``, ``?``, ``[abc]``.
_WILDCARDS = re.compile(r"\[!?\]?[^\]]*\]|[*?]")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedIntent:
    """The intent of a name that applies to a model, and why this one."""

    intent: Intent
    why: str
    #: The patterns of the others of that name that fit the model too, the next one first.
    instead_of: tuple[str, ...] = ()


def choose_intent(name: str, model: str, intents: Mapping[tuple[str, str], Intent]) -> Intent:
    """Of the intents called `name`, the one that applies to `model`; see `applied_intents`.

    Args:
        name: The intents'.
        model: A model's name.
        intents: By name and pattern.

    Raises:
        NotFound: none applies.
    """
    fitting = _fitting(model, (i for (n, _), i in intents.items() if n == name))
    if not fitting:
        patterns = sorted(pattern for n, pattern in intents if n == name)
        hint = f"It is for {', '.join(patterns)}." if patterns else did_you_mean(name, {n for n, _ in intents})
        raise NotFound(f"no intent {name!r} applies to model {model!r}.", hint=hint)
    return fitting[0]


def applied_intents(model: str, intents: Iterable[Intent]) -> list[AppliedIntent]:
    """For each name, the intent that applies to `model`, in the order of names; names of which none applies are left out.

    One whose pattern is the model's own name comes before those with wildcards; of these the one with the most characters that are no
    wildcards, the narrowest, comes first; what is built in comes last.
    """
    known = list(intents)
    found = []
    for name in sorted({i.name for i in known}):
        fitting = _fitting(model, (i for i in known if i.name == name))
        if fitting:
            first, others = fitting[0], tuple(i.models for i in fitting[1:])
            found.append(AppliedIntent(intent=first, why=_why(first, model, others), instead_of=others))
    return found


def _fitting(model: str, intents: Iterable[Intent]) -> list[Intent]:
    """Those of one name that apply to `model`, the narrowest first."""
    return sorted((i for i in intents if i.applies_to(model)), key=lambda i: (*_narrowness(i, model), i.models), reverse=True)


def _narrowness(intent: Intent, model: str) -> tuple[bool, bool, int]:
    return intent.models == model, intent not in BUILT_IN_INTENTS, len(_WILDCARDS.sub("", intent.models))


def _why(intent: Intent, model: str, others: Sequence[str]) -> str:
    if intent in BUILT_IN_INTENTS:
        return "It is built in, and no other of its name is for this model."
    if intent.models == model:
        return "It is for this very model."
    if not others:
        return f"Its pattern {intent.models!r} fits, and no other of its name is for this model."
    return f"Its pattern {intent.models!r} is the narrowest that fits: {_narrowness(intent, model)[2]} characters are no wildcards."


def by_precedence(intents: Iterable[Intent]) -> list[Intent]:
    """In the order of names; of one name, those that come before others, for a model that all of them fit, first."""

    def place(i: Intent) -> tuple[str, bool, bool, int, str]:
        whole = not _WILDCARDS.search(i.models)
        return i.name, i in BUILT_IN_INTENTS, not whole, -len(_WILDCARDS.sub("", i.models)), i.models

    return sorted(intents, key=place)
