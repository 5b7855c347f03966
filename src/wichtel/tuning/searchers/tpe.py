"""The tree-structured Parzen estimator, with Optuna's estimator inside."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from random import Random
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection, load_study
from optuna.trial import TrialState

from wichtel.domain import Bool, Choice, Config, Fixed, Float, Int, InvalidInput, Parameter, RunState, Space, Value
from wichtel.tuning.ledger import Ledger
from wichtel.tuning.ports import Problem, Result, Suggestion

_NAME = "trials"


class TPE:
    """Models where good and where bad configurations lie, and suggests where the good are likelier.

    Parameters that exist under the same conditions are modelled together; those that depend on a choice are modelled from the trials that
    made it. Running trials count as bad ones, so that parallel workers keep apart. A stopped trial ranks below those that finished, by how
    far it came; a failed one ranks last.

    Args:
        startup: Trials drawn at random first.
        candidates: Points among which the likeliest is taken.

    References:
        Bergstra et al., Algorithms for hyper-parameter optimization, NIPS 2011; Watanabe, Tree-structured Parzen estimator, 2023.
    """

    def __init__(self, problem: Problem, *, startup: int = 10, candidates: int = 24) -> None:
        if startup < 1 or candidates < 1:
            raise InvalidInput("startup and candidates must be at least 1.", where="searcher 'tpe'")
        self._problem = problem
        self._space = problem.space
        self._startup = startup
        self._candidates = candidates
        self._ledger = Ledger(problem.space)
        self._groups = _groups(problem.space)
        # Optuna's in-memory storage is spoken to directly: its `Study.ask` looks through all earlier trials each time.
        self._storage = InMemoryStorage()
        optuna_log = logging.getLogger("optuna")
        level = optuna_log.level
        # It would say that a study was created, which is no news to anybody; what the user has set stays set.
        optuna_log.setLevel(max(level, logging.WARNING))
        try:
            self._study_id = self._storage.create_new_study([StudyDirection.MINIMIZE] * len(problem.objectives), _NAME)
        finally:
            optuna_log.setLevel(level)
        self._study: Study = load_study(study_name=_NAME, storage=self._storage)
        #: Our trial number → Optuna's trial id.
        self._ids: dict[int, int] = {}
        self._scored = 0

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        suggestions: list[Suggestion] = []
        for _ in range(n):
            random = self._problem.random(self._ledger.next)
            trial_id = self._storage.create_new_trial(self._study_id)
            config = self._ledger.fresh(lambda trial_id=trial_id, random=random: self._draw(trial_id, random), random)  # type: ignore[misc]
            if config is None:
                self._storage.set_trial_state_values(trial_id, TrialState.FAIL)
                break
            self._begin(self._ledger.begin(config), trial_id, config)
            suggestions.append(Suggestion(config=config))
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        for result in self._ledger.hear(results):
            if result.state is RunState.RUNNING:
                self._begin(result.number, self._storage.create_new_trial(self._study_id), result.config)
            else:
                self._end(self._ids.pop(result.number), result)

    def _begin(self, number: int, trial_id: int, config: Config) -> None:
        self._ids[number] = trial_id
        for group in self._groups:
            for name, distribution in group.items():
                if name in config:
                    outer = _outward(self._space[name], config[name])
                    self._storage.set_trial_param(trial_id, name, distribution.to_internal_repr(outer), distribution)

    def _end(self, trial_id: int, result: Result) -> None:
        if result.state is RunState.CANCELED:
            self._storage.set_trial_state_values(trial_id, TrialState.FAIL)
            return
        self._scored += 1
        if result.state is RunState.SUCCEEDED and result.losses:
            self._storage.set_trial_state_values(trial_id, TrialState.COMPLETE, list(result.losses))
            return
        if result.losses and len(result.losses) == 1:
            self._storage.set_trial_intermediate_value(trial_id, result.step or 0, result.losses[0])
        # To Optuna a pruned trial without a value is the worst there is; a failed one would be forgotten, and its like suggested again.
        self._storage.set_trial_state_values(trial_id, TrialState.PRUNED)

    def _draw(self, trial_id: int, random: Random) -> Config:
        if self._scored < self._startup:
            return self._space.sample(random)
        # One sampler for each draw: its random numbers then depend on nothing but the trial's seed.
        sampler = TPESampler(seed=random.getrandbits(31), n_startup_trials=1, n_ei_candidates=self._candidates, multivariate=True)
        trial = self._storage.get_trial(trial_id)
        config: Config = {}
        modelled: dict[str, Any] = {}
        for name, parameter in self._space.items():
            if not self._space.is_active(name, config):
                continue
            group = next((g for g in self._groups if name in g), None)
            if group is None:
                config[name] = parameter.values(1)[0]
                continue
            if name not in modelled:
                with warnings.catch_warnings():
                    # What Optuna means to change one day is no business of Wichtel's users.
                    warnings.simplefilter("ignore")
                    modelled |= sampler.sample_relative(self._study, trial, group)
            config[name] = _inward(parameter, modelled[name])
        return config


def _groups(space: Space) -> list[dict[str, BaseDistribution]]:
    """The parameters that vary, those with the same conditions together."""
    groups: dict[str, dict[str, BaseDistribution]] = {}
    for name, parameter in space.items():
        distribution = _distribution(parameter)
        if not distribution.single():
            condition = repr(sorted((parent, list(values)) for parent, values in parameter.when.items()))
            groups.setdefault(condition, {})[name] = distribution
    return list(groups.values())


def _distribution(parameter: Parameter) -> BaseDistribution:
    match parameter:
        case Float():
            if parameter.step is None:
                return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
            return IntDistribution(0, _steps(parameter))
        case Int():
            if parameter.log:
                return IntDistribution(parameter.low, parameter.high, log=True)
            return IntDistribution(0, (parameter.high - parameter.low) // parameter.step)
        case Choice() | Bool():
            # By position, since to Optuna 1 and True are the same choice.
            return CategoricalDistribution(range(len(parameter.values(1))))
        case Fixed():
            return CategoricalDistribution([0])


def _outward(parameter: Parameter, value: Value) -> int | float:
    """Optuna's value for ours."""
    if isinstance(parameter, Choice | Bool):
        return next(i for i, v in enumerate(parameter.values(1)) if v == value and isinstance(v, bool) == isinstance(value, bool))
    assert isinstance(value, int | float)
    if isinstance(parameter, Float) and parameter.step is not None:
        return round((value - parameter.low) / parameter.step)
    if isinstance(parameter, Int) and not parameter.log:
        return (int(value) - parameter.low) // parameter.step
    if isinstance(parameter, Float):
        return min(max(float(value), parameter.low), parameter.high)
    return value


def _inward(parameter: Parameter, value: int | float) -> Value:
    """Our value for Optuna's."""
    if isinstance(parameter, Choice | Bool):
        return parameter.values(1)[int(value)]
    if isinstance(parameter, Float):
        if parameter.step is not None:
            return parameter.low + int(value) * parameter.step
        return min(max(float(value), parameter.low), parameter.high)
    assert isinstance(parameter, Int)
    return int(value) if parameter.log else parameter.low + int(value) * parameter.step


def _steps(parameter: Float) -> int:
    assert parameter.step is not None
    return int((parameter.high - parameter.low) / parameter.step + 1e-9)
