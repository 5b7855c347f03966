"""A study's learning curves, and the pruner that judges by them."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping

from wichtel.domain import Measurement, StudySpec, did_you_mean
from wichtel.tuning.curves import Curves
from wichtel.tuning.ports import Pruner
from wichtel.tuning.study.active import Active
from wichtel.tuning.study.log import place_of

_log = logging.getLogger(__name__)


class Pruning:
    """Draws the curves and asks the pruner; without a pruner there are no curves."""

    def __init__(self, spec: StudySpec, pruner: Pruner | None) -> None:
        self._spec = spec
        self._pruner = pruner
        self._curves = Curves(spec.objectives)
        #: Ended trials of several evaluations, while they are recalled.
        self._recalled: dict[int, Active] = {}
        #: Whether the curves of earlier trials are known: a pruner that lacks them stops nobody.
        self._complete = True
        #: A report without all objectives, as long as there was none with all.
        self._vain: Mapping[str, float] | None = None
        self._drawn = False

    def reason(self, trial: int, step: int, metrics: Mapping[str, float]) -> str:
        """Note what all evaluations of a trial have come to; returns why it is to be stopped, empty if it is not."""
        if self._pruner is None or not self._draw(trial, step, metrics) or not self._complete:
            return ""
        decision = self._pruner.decide(self._curves, trial)
        return (decision.reason or "its pruner gave no reason") if decision.stop else ""

    def end(self, trial: int) -> None:
        """Note that a trial has ended."""
        self._curves.end(trial)
        if self._vain is not None and not self._drawn:
            missing = [o.metric for o in self._spec.objectives if o.metric not in self._vain]
            reported = ", ".join(map(repr, self._vain))
            _log.warning(
                "study %r: no trial can be stopped early, for they report %s and not %s. %s",
                *(self._spec.name, reported, " and ".join(map(repr, missing)), did_you_mean(missing[0], self._vain)),
            )
            # Once is enough.
            self._drawn = True

    def recall(self, measurements: Iterable[Measurement], active: Mapping[int, Active], ended: Container[int]) -> None:
        """Hear again what trials reported that are under way, or have ended; each run's measurements in the order of steps."""
        run, place = "", None
        for m in measurements:
            if m.run != run:
                run, place = m.run, place_of(self._spec.id, m.run)
            if place is None:
                continue
            number, evaluation = place
            trial = active.get(number)
            if trial is None:
                if self._pruner is None or number not in ended:
                    continue
                if self._spec.evaluations == 1:
                    self._draw(number, m.step, m.metrics)
                    continue
                trial = self._recalled.get(number)
                if trial is None:
                    trial = self._recalled[number] = Active(number=number, config={}, evaluations=self._spec.evaluations)
            means = trial.hear(evaluation, m.step, m.metrics)
            if means is not None and self._pruner is not None:
                self._draw(number, m.step, means)

    def wait(self) -> None:
        """Not all that is to be recalled was: stop nobody, until `recalled`."""
        self._complete = False

    def recalled(self, ended: Iterable[int]) -> None:
        """These trials have ended, and all that they reported was recalled."""
        self._recalled = {}
        for number in ended:
            self._curves.end(number)
        self._complete = True

    def _draw(self, trial: int, step: int, metrics: Mapping[str, float]) -> bool:
        """Add to a trial's curve; whether that says something new about all objectives."""
        values = [metrics[o.metric] for o in self._spec.objectives if o.metric in metrics]
        if len(values) < len(self._spec.objectives):
            self._vain = metrics
            return False
        self._drawn = True
        return self._curves.add(trial, step, values)
