"""What must not be read into a comparison of experiments, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wichtel.experiments.estimates import Known

#: From this chance on it is said that chance alone may have made the best of them.
RISKY = 0.1


def doubts_about(rows: Sequence[Known], settings: Sequence[Mapping[str, Any]], objectives: Sequence[str]) -> tuple[list[str], bool]:
    """What is wrong with comparing these, and whether their candidates can be compared at all.

    Args:
        rows: The experiments.
        settings: What decides what each did, by name.
        objectives: The metrics that matter.
    """
    said = []
    for name, what in (("model", "models"), ("job.dataset", "datasets"), ("job.label", "labels")):
        if others := _several(s.get(name) for s in settings):
            said.append(f"They are of different {what} ({others}): their metrics cannot be compared, and none is called efficient.")
    judged = [row for row in rows if row.judged]
    windows = (_several((s.get("job.evaluation"), s.get("job.holdout")) for s in settings), _several(map(_judged_on, judged)))
    if any(windows):
        said.append("They were judged on different examples: their metrics cannot be compared, and none is called efficient.")
    comparable = not said
    if comparable:
        said += _of_the_start(judged, settings, objectives)
    if others := _several(s["protocol"] for s in settings):
        said.append(f"They are of different protocols ({others}).")
    if _several(tuple(c.text for c in row.experiment.config.intent.constraints) for row in rows):
        said.append("They have different constraints: what holds for one may not be what holds for another.")
    if others := _several(map(_software, judged)):
        said.append(f"They were made with different software ({others}).")
    if missing := [row.experiment.id for row in rows if not row.judged]:
        said.append(f"{len(missing)} of {len(rows)} have no result: {', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}.")
    return said, comparable


def by_chance(rows: Sequence[Known], judged: int) -> list[str]:
    """The winner's curse: whoever chooses the best of many chooses luck too.

    Args:
        rows: The experiments.
        judged: How many these were chosen from, as far as that is known.
    """
    here = [row for row in rows if row.judged]
    confidences = [
        f.estimate.confidence
        for row in here
        if (result := row.experiment.result) is not None
        for f in result.verdict.findings
        if f.constraint.metric == row.experiment.config.intent.primary
    ]
    count = max(judged, len(here))
    if not confidences:
        return []
    # Each is exceeded on the side of gains with half of what it lacks to certainty; less often together if they depend on one another.
    chance = 1 - (1 - (1 - min(confidences)) / 2) ** count
    if chance < RISKY:
        return []
    these = f"{len(here)} are compared here" + (f", chosen from {count} that have a verdict" if count > len(here) else "")
    return [
        f"The best of many looks better than it is: {these}. Had none of them any effect, the chance that at least one shows a gain beyond "
        f"its interval would be up to {chance:.0%}. Confirm the one you choose: `wichtel experiments rerun ID --seed fresh`."
    ]


def _of_the_start(judged: Sequence[Known], settings: Sequence[Mapping[str, Any]], objectives: Sequence[str]) -> list[str]:
    said = []
    if _several(s.get("job.train") for s in settings):
        said.append("They were trained on different windows.")
    if others := _several(s["target"] for s in settings):
        said.append(f"They start from different versions ({others}): a difference may be that of the versions.")
    elif any(_several(row.metrics[o][0] for row in judged if o in row.metrics) for o in objectives):
        said.append("Their baselines are not the same trainings: their deltas count from different numbers.")
    return said


def _judged_on(row: Known) -> str:
    return " ".join(sorted({e.window for e in row.estimates.values() if e.window}))


def _software(row: Known) -> str:
    versions = row.candidate.analysis.versions if row.candidate is not None else {}
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _several(values: Iterable[Any]) -> str:
    """The different values in words, if there are several."""
    found = list(dict.fromkeys(values))
    return "; ".join(map(str, found[:3])) + ("; …" if len(found) > 3 else "") if len(found) > 1 else ""
