"""What every failure rule must do. Copy `tests/experiments/test_failure_rules.py` to face your own with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from wichtel.domain import ExperimentStatus, Failure, Rule, Symptom, SystemFault, UserError, WorkerLost
from wichtel.experiments.failures import rules_of

#: Failures that no rule for a particular one may take for its own.
OTHERS: tuple[dict[str, Any], ...] = (
    UserError("something that nobody has thought of.").to_json(),
    SystemFault("RuntimeError: something that nobody has thought of").to_json(),
    WorkerLost("its worker was lost in 4 attempts.", where="run 'e-1/train'").to_json(),
)


def check_rule(rule: Rule, examples: Sequence[Mapping[str, Any]], *, others: Sequence[Mapping[str, Any]] = OTHERS) -> None:
    """Assert what holds for every rule.

    Args:
        rule: The one under test.
        examples: Real failures that it knows, as `WichtelError.to_json` gave them.
        others: Failures that it must leave to other rules.

    Raises:
        AssertionError: the rule breaks the contract.
    """
    assert re.fullmatch(r"[a-z][a-z0-9-]*", rule.name), "a name has small letters, digits and hyphens"
    assert rule.status in (ExperimentStatus.USER_ERROR, ExperimentStatus.SYSTEM_ERROR)
    assert rule.hint, "a rule says what to do"
    assert rule.hint[0].isupper(), "a hint is a sentence"
    assert rule.hint.rstrip().endswith("."), "a hint is a sentence"
    assert "\n" not in rule.hint
    assert examples, "a rule is shown a failure that it knows"
    for example in examples:
        assert rule.matches(Symptom.of(example)), f"{rule.name} does not know {example}"
    for other in others:
        assert not rule.matches(Symptom.of(other)), f"{rule.name} takes {other} for its own"
    assert not rule.matches(Symptom(code="system_fault", message="")), "an empty failure is nobody's"


def check_rules(rules: Sequence[Rule]) -> None:
    """Assert what holds for the rules of a protocol or plug-in together.

    Raises:
        AssertionError: two share a name, or one has the name of a rule of Wichtel.
    """
    names = [rule.name for rule in rules]
    assert len(set(names)) == len(names), "two rules share a name"
    assert not set(names) & {rule.name for rule in rules_of("") if rule not in rules}, "a rule of Wichtel has that name"


def check_failure(failure: Failure) -> None:
    """Assert that a failure can be shown to its owner.

    Raises:
        AssertionError: it lacks something, or shows what it must not.
    """
    assert failure.message
    assert failure.hint
    for text in (failure.message, failure.hint, failure.log_tail):
        assert not re.search(r"\bwt_[A-Za-z0-9_-]{8,}", text), "a token is shown"
    assert "Traceback" not in failure.message
    assert len(failure.log_tail.splitlines()) <= 50
