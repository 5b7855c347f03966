"""Any sampler of Optuna as a searcher."""

from __future__ import annotations

import copy
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import numpy as np
from optuna import create_study
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import Trial, TrialState, create_trial

from wichtel.domain import Config, InvalidInput, RunState
from wichtel.tuning.ledger import Ledger
from wichtel.tuning.optuna_space import distribution, inward, outward
from wichtel.tuning.ports import Problem, Result, Searcher, Suggestion

_NAME = "trials"
#: How often a sampler is asked again when its configuration is not new, before one is drawn at random.
_ASKS = 5


def adapt(sampler: BaseSampler) -> Callable[[Problem], Searcher]:
    """A factory of searchers that ask `sampler`, which itself is not touched: each asks a copy."""
    return lambda problem: OptunaSearcher(problem, sampler=sampler)


class OptunaSearcher:
    """Asks a sampler of Optuna, in memory. Conditions of the space are followed while a configuration is made, as Optuna does.

    A stopped trial is PRUNED there (with several objectives COMPLETE: Optuna knows no pruning then), a failed one PRUNED without a value,
    which to the samplers that look at it is worse than any; a canceled one FAIL. Violations are its constraints; one that was not measured
    counts as much as the largest seen.

    Before each suggestion the sampler's random numbers are seeded from the trial's, and what the sampler notes in its storage is kept
    with the suggestion. A search that is taken up again therefore goes on as it would have, unless the sampler keeps something in itself:
    `GPSampler` starts from the last model's parameters, `QMCSampler` needs a ``seed`` to scramble the same way again.

    Args:
        sampler: Is copied.

    Raises:
        InvalidInput: `sampler` is something else.
    """

    def __init__(self, problem: Problem, *, sampler: BaseSampler) -> None:
        if not isinstance(sampler, BaseSampler):
            raise InvalidInput(f"{sampler!r} is no sampler of Optuna.", where="searcher", hint="For example optuna.samplers.TPESampler().")
        self._problem = problem
        self._ledger = Ledger(problem.space)
        self._distributions = {name: distribution(p) for name, p in problem.space.items()}
        self._storage = InMemoryStorage()
        with _quiet():
            self._study = self._create(self._storage, sampler)
            # What does not go together at all shows at the first question.
            self._suggested(self._create(InMemoryStorage(), sampler), Random(0))
        self._study_id = self._storage.get_study_id_from_name(_NAME)
        self._trials: dict[int, Trial] = {}
        #: The largest violation of each constraint that was measured.
        self._worst = [1.0] * problem.constraints
        self._over = False

    def sample(self, n: int) -> list[Suggestion]:
        """See `Searcher.sample`."""
        suggestions: list[Suggestion] = []
        for _ in range(0 if self._over else n):
            random = self._problem.random(self._ledger.next)
            with _quiet():
                asked = self._ask(random)
            if asked is None:
                break
            config, trial, state = asked
            self._trials[self._ledger.begin(config)] = trial
            suggestions.append(Suggestion(config=config, state=state))
        return suggestions

    def update(self, results: Sequence[Result]) -> None:
        """See `Searcher.update`."""
        with _quiet():
            for result in self._ledger.hear(results):
                if result.state is RunState.RUNNING:
                    self._trials[result.number] = self._begun(result.config, result.memory)
                else:
                    self._end(self._trials.pop(result.number), result)

    def _create(self, storage: InMemoryStorage, sampler: BaseSampler) -> Study:
        directions = [StudyDirection.MINIMIZE] * len(self._problem.objectives)
        return create_study(study_name=_NAME, storage=storage, directions=directions, sampler=copy.deepcopy(sampler))

    def _ask(self, random: Random) -> tuple[Config, Trial, dict[str, Any]] | None:
        before = dict(self._storage.get_study_system_attrs(self._study_id))
        wasted: list[dict[str, Any]] = []
        for _ in range(_ASKS):
            config, trial = self._suggested(self._study, random)
            notes = self._notes(trial)
            if self._ledger.is_new(config):
                after = self._storage.get_study_system_attrs(self._study_id)
                changed = {key: value for key, value in after.items() if key not in before or before[key] != value}
                # Optuna computes steps in its own way, and samplers learn from the last digit, too.
                params = {name: value for name, value in trial.params.items() if value != self._outward(config)[name]}
                memory = {"trial": notes, "study": _plain(changed), "params": params, "wasted": wasted}
                return config, trial, {key: value for key, value in memory.items() if value or key == "trial"}
            wasted.append(notes)
            self._tell(trial, state=TrialState.FAIL)
        left = self._ledger.fresh(lambda: self._problem.space.sample(random), random)
        return None if left is None else (left, self._begun(left, {}), {"wasted": wasted})

    def _suggested(self, study: Study, random: Random) -> tuple[Config, Trial]:
        """What the sampler suggests."""
        _seed(study.sampler, random.getrandbits(31))
        config: Config = {}
        try:
            trial = study.ask()
            for name, parameter in self._problem.space.items():
                if self._problem.space.is_active(name, config):
                    config[name] = inward(parameter, _suggest(trial, name, self._distributions[name]))
        except ValueError as error:
            # So Optuna's samplers say that a study is not for them.
            where = f"searcher {type(study.sampler).__name__}"
            raise InvalidInput(f"it cannot search this: {error}", where=where, hint="Use another sampler, or searcher='auto'.") from error
        return config, trial

    def _notes(self, trial: Trial) -> dict[str, Any]:
        """What the sampler keeps with a trial."""
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)
        return _plain(self._storage.get_trial_system_attrs(trial_id))

    def _outward(self, config: Config) -> Config:
        return {name: outward(self._problem.space[name], value) for name, value in config.items()}

    def _begun(self, config: Config, memory: Mapping[str, Any]) -> Trial:
        """A trial that the sampler was not asked for, or not in this process."""
        for notes in memory.get("wasted", ()):
            self._study.add_trial(create_trial(state=TrialState.FAIL, system_attrs=notes))
        for key, value in memory.get("study", {}).items():
            self._storage.set_study_system_attr(self._study_id, key, value)
        params = self._outward(config) | memory.get("params", {})
        distributions = {name: self._distributions[name] for name in config}
        # So Optuna marks the trials that are enqueued.
        notes = memory.get("trial", {"fixed_params": params})
        made = create_trial(state=TrialState.RUNNING, params=params, distributions=distributions, system_attrs=notes)
        return Trial(self._study, self._storage.create_new_trial(self._study_id, template_trial=made))

    def _end(self, trial: Trial, result: Result) -> None:
        if result.state is RunState.CANCELED:
            self._tell(trial, state=TrialState.FAIL)
            return
        if not result.losses:
            self._tell(trial, state=TrialState.PRUNED)
            return
        for i, violation in enumerate(result.violations):
            if math.isfinite(violation):
                self._worst[i] = max(self._worst[i], violation)
            trial.set_constraint(str(i), violation if math.isfinite(violation) else self._worst[i])
        if result.state is RunState.STOPPED and len(result.losses) == 1:
            trial.report(result.losses[0], result.step or 0)
            self._tell(trial, state=TrialState.PRUNED)
        else:
            self._tell(trial, values=list(result.losses))

    def _tell(self, trial: Trial, *, values: list[float] | None = None, state: TrialState | None = None) -> None:
        try:
            self._study.tell(trial, values, state)
        except RuntimeError:
            # `Study.stop` may not be called here: a grid does when it has come to its end. The trial is noted nevertheless.
            self._over = True


def _plain(notes: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(notes)))
    return plain


def _suggest(trial: Trial, name: str, over: BaseDistribution) -> Any:
    if isinstance(over, FloatDistribution):
        return trial.suggest_float(name, over.low, over.high, step=over.step, log=over.log)
    if isinstance(over, IntDistribution):
        return trial.suggest_int(name, over.low, over.high, step=over.step, log=over.log)
    return trial.suggest_categorical(name, over.choices)  # type: ignore[attr-defined]


def _seed(sampler: BaseSampler, seed: int) -> None:
    """Seed all generators of random numbers of a sampler and of the samplers that it has inside."""
    for part in vars(sampler).values():
        inner = getattr(part, "rng", part)
        if isinstance(inner, Random | np.random.RandomState):
            inner.seed(seed)
        elif isinstance(part, BaseSampler):
            _seed(part, seed)


@contextmanager
def _quiet() -> Iterator[None]:
    """What Optuna says of studies and of its own future is no news to Wichtel's users; what the user has set stays set."""
    log = logging.getLogger("optuna")
    level = log.level
    log.setLevel(max(level, logging.ERROR))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
