"""Learning-curve extrapolation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from wichtel.domain import InvalidInput
from wichtel.tuning.curves import Curve, Curves
from wichtel.tuning.fronts import Point
from wichtel.tuning.ports import Decision

#: Of a longer curve, so many points stand for it.
_MOST_POINTS = 48
#: Prior deviations of where the loss ends and of how far it falls, in units of what it would fall by the horizon in a straight line.
_ASYMPTOTE, _FALL = 1.0, 2.0
#: Before a curve is seen, the noise counts as known from so many points, and as this share of the range.
_NOISE_POINTS, _NOISE = 1.0, 0.2
#: What is larger than this has diverged, finite or not.
_HUGE = 1e100
#: A horizon that is more reports away counts as so far: seen from there, all shapes look alike, and the fit would lose its digits.
_FARTHEST = 1e6
_POWERS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
_RATES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_TURNS = (0.1, 0.3, 0.5, 0.8)
_SLOPES = (1.0, 2.0, 4.0)


class Extrapolation:
    """Stops a trial that will probably end worse than the best trial that has ended.

    To its own curve so far it fits ``loss = a + b · f(step)``, where `f` is a power law, a log-power law or an exponential decay of a
    number of shapes, each fit exact and Bayesian: `a` and `b` have a normal prior, the noise an inverse gamma one. The fits' predictions
    for the last step, weighted by how well they explain the curve, give the probability of beating the best trial. With several
    objectives, that is the probability of not being dominated by any trial of the best front, from above: all but the worst of these is
    ignored, and objectives count as independent given the curves.

    Args:
        probability: Trials with a smaller one are stopped. In ``(0, 1)``.
        horizon: The step at which a trial ends by itself; None: the largest that an ended trial came to.
        min_points: Reports before the first fit.
        min_trials: Trials that must have ended before any is stopped.

    References:
        Domhan et al., Speeding up automatic hyperparameter optimization of deep neural networks by extrapolation of learning curves,
        IJCAI 2015: the families, and the rule. They sample the parameters with MCMC, which takes seconds; here those that are not linear
        lie on a grid.
    """

    def __init__(self, *, probability: float = 0.05, horizon: int | None = None, min_points: int = 5, min_trials: int = 4) -> None:
        where = "pruner 'extrapolation'"
        if not 0 < probability < 1:
            raise InvalidInput(f"probability is {probability}, but must be between 0 and 1.", where=where)
        if horizon is not None and horizon < 1:
            raise InvalidInput(f"horizon is {horizon}, but must be at least 1.", where=where)
        if min_points < 3:
            raise InvalidInput(f"min_points is {min_points}, but a curve needs at least 3.", where=where)
        if min_trials < 1:
            raise InvalidInput(f"min_trials is {min_trials}, but there must be a trial to compare with.", where=where)
        self._probability = probability
        self._horizon = horizon
        self._min_points = min_points
        self._min_trials = min_trials
        _shapes()  # what it loads takes longer than a decision may

    def decide(self, curves: Curves, trial: int) -> Decision:
        """See `Pruner.decide`."""
        if curves.ended < self._min_trials:
            return Decision(False, f"fewer than {self._min_trials} trials have ended")
        if not curves.finals:
            return Decision(False, "no trial has ended with a finite value")
        parts = curves.parts(trial)
        step, horizon = parts[0].last, self._horizon or curves.horizon
        if step >= horizon:
            return Decision(False, f"step {step} is not before step {horizon}, the last")
        if not all(_usable(part.losses[-1]) for part in parts):
            return Decision(True, f"it has diverged at step {step}")
        if any(sum(map(_usable, part.losses[-2 * self._min_points :])) < self._min_points for part in parts):
            return Decision(False, f"it has fewer than {self._min_points} values to go by")
        forecasts = [_Forecast(part, horizon) for part in parts]
        chances = _chances(forecasts, curves.finals)
        chance, rival = min(zip(chances, curves.finals, strict=True))
        told = ", ".join(
            f"{o.metric} {o.loss(f.mean):.4g} ± {f.deviation:.2g} against {o.loss(bar):.4g}"
            for o, f, bar in zip(curves.objectives, forecasts, rival, strict=True)
        )
        words = f"at step {horizon} it beats the best with probability {chance:.2g}: {told}"
        if chance < self._probability:
            return Decision(True, f"{words}; less than {self._probability:g}")
        return Decision(False, words)


class _Forecast:
    """What the last loss of a curve will be: a mixture of Student's t distributions, one for each shape.

    A curve that is one number, such as the size of a model, is taken to stay so.
    """

    def __init__(self, curve: Curve, horizon: int) -> None:
        import numpy as np

        kept = [(s, y) for s, y in zip(curve.steps, curve.losses, strict=True) if _usable(y)]
        if len(kept) > _MOST_POINTS:
            every = (len(kept) - 1) / (_MOST_POINTS - 1)
            kept = [kept[round(i * every)] for i in range(_MOST_POINTS)]
        steps, losses = np.array(kept, dtype=float).T
        self._constant = float(losses[-1]) if np.ptp(losses) == 0 else None
        if self._constant is not None:
            return
        # In units of the usual distance of two reports, from 1: the same for examples, batches and epochs.
        unit = (steps[-1] - steps[0]) / (len(steps) - 1)
        times = np.append((steps - steps[0]) / unit + 1, min((horizon - steps[0]) / unit + 1, _FARTHEST))
        # In units of what was seen, so that priors mean the same for every metric.
        self._zero, self._scale = float(losses[-1]), float(np.ptp(losses))
        y = (losses - self._zero) / self._scale

        # In a straight line it would have fallen so many times as far by the horizon: nothing says yet that it will not.
        far = (times[-1] - 1) / (times[-2] - 1)
        f = _basis(tuple(times.tolist()))
        seen, last = f[:, :-1], f[:, -1]
        # Conjugate regression on (1, f), for all shapes at once; `a` belongs to the asymptote, `b` to the fall.
        n = len(y)
        aa, ab, bb = n + (_ASYMPTOTE * far) ** -2, seen.sum(axis=1), (seen * seen).sum(axis=1) + (_FALL * far) ** -2
        ya, yb = y.sum(), seen @ y
        determinant = aa * bb - ab * ab
        a, b = (bb * ya - ab * yb) / determinant, (aa * yb - ab * ya) / determinant
        degrees = _NOISE_POINTS + n
        squares = _NOISE_POINTS * _NOISE**2 + np.maximum(y @ y - a * ya - b * yb, 0.0)
        evidence = -0.5 * np.log(determinant) - 0.5 * degrees * np.log(squares)
        weights = np.exp(evidence - evidence.max())
        self._weights = weights / weights.sum()
        self._degrees = degrees
        self._means = a + b * last
        leverage = (bb - 2 * ab * last + aa * last * last) / determinant
        self._spreads = np.sqrt(squares / degrees * (1 + leverage))

    @property
    def mean(self) -> float:
        """The loss to expect."""
        if self._constant is not None:
            return self._constant
        return float(self._zero + self._scale * (self._weights @ self._means))

    @property
    def deviation(self) -> float:
        """How far off that is, usually."""
        if self._constant is not None:
            return 0.0
        middle = self._weights @ self._means
        variances = self._spreads**2 * self._degrees / (self._degrees - 2) + (self._means - middle) ** 2
        return float(self._scale * math.sqrt(self._weights @ variances))

    def below(self, bars: Any) -> Any:
        """The probability that it is smaller than each of `bars`."""
        from scipy.special import stdtr

        if self._constant is not None:
            return 1.0 * (self._constant < bars)
        far = (bars - self._zero) / self._scale
        return self._weights @ stdtr(self._degrees, (far - self._means[:, None]) / self._spreads[:, None])


def _chances(forecasts: list[_Forecast], rivals: Sequence[Point]) -> list[float]:
    """Rival → the probability that it will not dominate what the forecasts are for."""
    import numpy as np

    dominated = np.ones(len(rivals))
    for forecast, bars in zip(forecasts, np.array(rivals).T, strict=True):
        dominated *= 1 - forecast.below(bars)
    return [float(chance) for chance in 1 - dominated]


def _usable(loss: float) -> bool:
    return abs(loss) < _HUGE


@cache
def _shapes() -> tuple[Any, ...]:
    """The columns of parameters of each family."""
    import numpy as np
    import scipy.special  # noqa: F401 - `_Forecast.below` needs it at once

    turns, slopes = np.meshgrid(_TURNS, _SLOPES)
    return np.array(_POWERS)[:, None], np.array(_RATES)[:, None], turns.reshape(-1, 1), slopes.reshape(-1, 1)


@lru_cache(256)
def _basis(at: tuple[float, ...]) -> Any:
    """``shapes x times``: every shape at these times, which start at 1 and end with the horizon; 1 at the first, falling towards 0.

    Trials report at the same times, mostly.
    """
    import numpy as np

    times = np.array(at)
    powers, rates, turns, slopes = _shapes()
    logs, span = np.log(times), times[-1] - 1
    power = np.exp(-powers * logs)
    decay = np.exp(-rates * ((times - 1) / span))
    log_power = 1 / (1 + np.exp(slopes * (logs - turns * logs[-1])))
    return np.concatenate((power, decay, log_power / log_power[:, :1]))
