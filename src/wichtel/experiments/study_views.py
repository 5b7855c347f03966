"""Studies as pictures and lists show them: of fifty thousand trials, what there is to see.

The trials of a study that somebody looks at stay in memory; the next look reads only those that are new or had not ended. What is worked
out of them (order, best so far, fronts) is kept until a trial changes.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

import numpy as np

from wichtel.domain import Measurement, NotFound, RunState, Study, StudySpec, Trial
from wichtel.store import Database, TrialPoint
from wichtel.tuning.guards.selection import selection_warnings
from wichtel.tuning.pareto import front
from wichtel.tuning.results.ranking import losses_of, tier_of
from wichtel.tuning.results.reading import confirmation_in
from wichtel.tuning.study.log import run_id

#: Trials of all studies together that are kept in memory, some kilobyte each.
_MOST_KEPT = 150_000
#: The best are always among those that are drawn.
_BEST_DRAWN = 200
_MOST_METRICS = 8
#: Points of a learning curve.
_MOST_STEPS = 200
#: Trials beyond which evenly chosen ones say enough of what matters.
_ENOUGH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialColumns:
    """Trials by columns, at most so many, of which a picture can be drawn. All lists but the last four have one entry for each trial."""

    study: str
    #: Trials there are, and those that are here.
    total: int
    shown: int
    number: list[int]
    state: list[RunState]
    #: Metric → value; objectives first.
    values: dict[str, list[float | None]]
    #: Parameter → value; None where it does not exist.
    config: dict[str, list[Any]]
    #: Seconds since the study began.
    started: list[float | None]
    ended: list[float | None]
    #: The place in `reasons`.
    reason: list[int | None]
    #: Whether it keeps to the constraints.
    feasible: list[bool]
    #: The place in `workers` of who carried it out last; None if that is not known, was not asked for, or were several.
    worker: list[int | None]
    workers: list[str]
    reasons: list[str]
    #: With one objective: number and value of each trial that was the best when it ended.
    staircase: list[tuple[int, float]]
    #: With several: those that no other dominates.
    front: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCurve:
    """The learning curve of a trial, thinned."""

    number: int
    state: RunState
    reason: str
    steps: list[int]
    values: list[float]


def option(value: Any) -> str:
    """How a parameter's value is called where one is chosen of several: as scripts in a page write it."""
    if value is None:
        return "not used"
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@dataclass
class StudyView:
    """A study as it was at one moment."""

    study: Study
    points: Sequence[TrialPoint]

    @property
    def spec(self) -> StudySpec:
        """What is searched for, and how."""
        return self.study.spec

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many trials there are by state."""
        return dict(Counter(str(p.state) for p in self.points))

    @cached_property
    def ended(self) -> int:
        """How many have ended."""
        return sum(p.state.ended for p in self.points)

    @cached_property
    def ranked(self) -> list[TrialPoint]:
        """Those with a result of their own, the best first."""
        spec = self.spec
        free = not spec.constraints
        order = []
        for p in self.points:
            if p.copied_from is None and (losses := losses_of(spec, p)):
                # As `tier_of`, which costs as much as all else here.
                tier = (0.0, -(p.budget or 0.0), p.state is RunState.STOPPED) if free else tier_of(spec, p)
                order.append((tier, losses[0], p.number, p))
        order.sort(key=itemgetter(0, 1, 2))
        return [entry[-1] for entry in order]

    @property
    def best(self) -> TrialPoint | None:
        """The best trial; with several objectives, by the first."""
        return self.ranked[0] if self.ranked else None

    @cached_property
    def unconfirmed(self) -> list[str]:
        """What to know before the best is believed, as long as nobody has looked a second time."""
        return selection_warnings(self.spec, self.points, self.best, None)

    @cached_property
    def _best_first(self) -> list[TrialPoint]:
        known = {p.number for p in self.ranked}
        return [*self.ranked, *(p for p in reversed(self.points) if p.number not in known)]

    @cached_property
    def front(self) -> list[TrialPoint]:
        """With several objectives, the trials that no other dominates, by number."""
        if len(self.spec.objectives) < 2 or not self.ranked:
            return []
        tier = tier_of(self.spec, self.ranked[0])[0]
        among = [p for p in self.ranked if tier_of(self.spec, p)[0] == tier]
        kept = front(np.asarray([losses_of(self.spec, p) for p in among]))
        return sorted((among[i] for i in kept.tolist()), key=lambda p: p.number)

    @cached_property
    def staircase(self) -> list[TrialPoint]:
        """With one objective, the trials that were each the best when they ended, in that order."""
        if len(self.spec.objectives) > 1:
            return []
        place = {p.number: i for i, p in enumerate(self.ranked)}
        steps: list[TrialPoint] = []
        least = len(place)
        for p in sorted(self.ranked, key=lambda p: (p.ended is None, p.ended or self.study.created, p.number)):
            if place[p.number] < least:
                least = place[p.number]
                steps.append(p)
        return steps

    def listed(
        self,
        *,
        sort: str = "best",
        states: Sequence[str] = (),
        ranges: Mapping[str, tuple[float, float]] | None = None,
        only: Mapping[str, Collection[str]] | None = None,
    ) -> list[TrialPoint]:
        """Trials for a list.

        Args:
            sort: By ``best``, ``number`` or ``-number``.
            states: Only those in one of these.
            ranges: Parameter or metric → the least and the most.
            only: Parameter → its values as `option` says them.
        """
        found = self._best_first if sort == "best" else list(reversed(self.points)) if sort == "-number" else list(self.points)
        if states:
            found = [p for p in found if p.state in states]
        for name, (low, high) in (ranges or {}).items():
            found = [p for p in found if isinstance(v := p.config.get(name, p.metrics.get(name)), int | float) and low <= v <= high]
        for name, options in (only or {}).items():
            found = [p for p in found if option(p.config.get(name)) in options]
        return found

    def columns(self, most: int = 2000, workers: Callable[[list[int]], Mapping[int, str]] = lambda _: {}) -> TrialColumns:
        """What pictures are drawn of: the best, all that were the best once or are on the front, and the others evenly chosen.

        Args:
            most: Trials.
            workers: Says of some of them, by number, who carried them out.
        """
        spec = self.spec
        chosen = {p.number for p in [*self.staircase, *self.front, *self.ranked[:_BEST_DRAWN]][:most]}
        rest = [p for p in self.points if p.number not in chosen]
        room = max(0, most - len(chosen))
        if room and rest:
            chosen |= {p.number for p in rest[:: -(-len(rest) // room)]}
        shown = [p for p in self.points if p.number in chosen]
        objectives = [o.metric for o in spec.objectives]
        others = sorted({m for p in shown for m in p.metrics} - set(objectives))
        metrics = [*objectives, *others][:_MOST_METRICS]
        began = self.study.started or self.study.created
        reasons: dict[str, int] = {}
        carried_out = workers([p.number for p in shown])
        names = sorted(set(carried_out.values()))
        place = {name: i for i, name in enumerate(names)}
        return TrialColumns(
            study=spec.id,
            total=len(self.points),
            shown=len(shown),
            number=[p.number for p in shown],
            state=[p.state for p in shown],
            values={m: [p.metrics.get(m) for p in shown] for m in metrics},
            config={name: [p.config.get(name) for p in shown] for name in spec.space},
            started=[(p.started - began).total_seconds() if p.started else None for p in shown],
            ended=[(p.ended - began).total_seconds() if p.ended else None for p in shown],
            reason=[reasons.setdefault(p.reason, len(reasons)) if p.reason else None for p in shown],
            feasible=[not tier_of(spec, p)[0] for p in shown],
            worker=[place.get(carried_out.get(p.number, "")) for p in shown],
            workers=names,
            reasons=list(reasons),
            staircase=[(p.number, p.metrics[objectives[0]]) for p in self.staircase],
            front=[p.number for p in self.front],
        )

    @cached_property
    def importance(self) -> dict[str, float]:
        """How much each parameter decides whether a trial is good; empty if that cannot be said.

        See `wichtel.tuning.results.importance`.
        """
        from wichtel.tuning.results.importance import importance
        from wichtel.tuning.results.result import StudyResult

        good = [p for p in self.points if p.state is RunState.SUCCEEDED]
        some = good[:: -(-len(good) // _ENOUGH)] if good else []
        created = self.study.created
        trials = [
            Trial(
                study=self.spec.id, number=p.number, config=p.config, state=p.state, budget=p.budget, metrics=p.metrics,
                copied_from=p.copied_from, created=created,
            )
            for p in some
        ]  # fmt: skip
        try:
            return importance(StudyResult(study=self.study, trials=trials))
        except (NotFound, ImportError):
            return {}


class StudyViews:
    """The studies that somebody looks at.

    Args:
        db: The database.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, StudyView] = OrderedDict()

    def of(self, study: Study) -> StudyView:
        """`study` as it is now."""
        with self._lock:
            before = self._kept.get(study.spec.id)
        if before is not None and before.study == study and study.state.ended and not before.counts.keys() - _ENDED:
            return self._keep(before)
        points = list(before.points) if before is not None else []
        open_ = {p.number for p in points if not p.state.ended}
        known = points[-1].number if points else -1
        # In gaps there may be trials that were not written yet when others with larger numbers were.
        missing = set(range(known + 1)) - {p.number for p in points} if len(points) <= known else set()
        with self._db.read() as tx:
            changed = tx.trials.points(study.spec.id, after=known, among=sorted(open_ | missing)[:5000])
        if before is not None and before.study == study and not changed:
            return self._keep(before)
        if changed:
            by_number = {p.number: p for p in points} | {p.number: p for p in changed}
            points = [by_number[n] for n in sorted(by_number)]
        return self._keep(StudyView(study, points))

    def columns(self, study: Study, most: int = 2000, *, workers: bool = False) -> TrialColumns:
        """What pictures are drawn of; see `StudyView.columns`. With `workers` it says who carried each out, too."""

        def who(numbers: list[int]) -> dict[int, str]:
            with self._db.read() as tx:
                found = tx.runs.workers([run_id(study.spec, number, 0) for number in numbers])
            return {number: found[run] for number in numbers if (run := run_id(study.spec, number, 0)) in found}

        view = self.of(study)
        return view.columns(most, who) if workers and study.spec.evaluations == 1 else view.columns(most)

    def curves(self, study: Study, metric: str, most: int = 60) -> list[TrialCurve]:
        """Learning curves: of the best trials, the newest, and some that were stopped."""
        view = self.of(study)
        stopped = [p for p in view.points if p.state is RunState.STOPPED]
        third = max(1, most // 3)
        chosen = {p.number: p for p in [*view.ranked[:third], *view.points[-third:], *stopped[:: max(1, len(stopped) // third)][:third]]}
        found: list[TrialCurve] = []
        with self._db.read() as tx:
            for p in sorted(chosen.values(), key=lambda p: p.number):
                reports = [m for m in tx.measurements.of_run(run_id(study.spec, p.number, 0)) if metric in m.metrics]
                if reports:
                    found.append(_curve(p, reports, metric))
        return found

    def warnings(self, study: Study) -> list[str]:
        """What to know before the best is believed: how much of it may be luck, or what fresh evaluations of it say."""
        view = self.of(study)
        if view.best is None or len(study.spec.objectives) > 1:
            return []
        with self._db.read() as tx:
            confirmation = confirmation_in(tx, study.spec, tx.trials.get(study.spec.id, view.best.number))
        return view.unconfirmed if confirmation is None else selection_warnings(study.spec, [], view.best, confirmation)

    def _keep(self, view: StudyView) -> StudyView:
        with self._lock:
            self._kept[view.spec.id] = view
            self._kept.move_to_end(view.spec.id)
            while len(self._kept) > 1 and sum(len(v.points) for v in self._kept.values()) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return view


_ENDED = {str(state) for state in RunState if state.ended}


def _curve(p: TrialPoint, reports: list[Measurement], metric: str) -> TrialCurve:
    thin = reports[:: -(-len(reports) // _MOST_STEPS)]
    if thin[-1] is not reports[-1]:
        thin.append(reports[-1])
    return TrialCurve(
        number=p.number, state=p.state, reason=p.reason, steps=[m.step for m in thin], values=[m.metrics[metric] for m in thin]
    )
