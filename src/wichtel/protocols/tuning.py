"""The Tuning template: a study over a search space; its winner is trained afresh and judged on examples that no trial saw
(heinzelmaennchen, figure 4).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from wichtel.domain import (
    Algorithm,
    Analysis,
    Config,
    Expectation,
    InvalidInput,
    Objective,
    Run,
    RunState,
    Space,
    StudySpec,
    StudyState,
    UserError,
    seed_of,
)
from wichtel.plans import SourceTree
from wichtel.protocols.compare import mean_metrics
from wichtel.protocols.parameter import ParameterSpec
from wichtel.protocols.port import Protocol, Services
from wichtel.protocols.submission import START_SECONDS, failure_of
from wichtel.protocols.template import FAILED, Inputs, Steps
from wichtel.recipes import Edit
from wichtel.store import codec
from wichtel.tuning.ports import Problem
from wichtel.tuning.registry import make_searcher
from wichtel.workflows import Graph, Step, StepContext

TRIAL = "wichtel.protocols.entries:trial"

#: What `wichtel.protocols.objective` gives.
OBJECTIVE = Objective(metric="objective", better=Expectation.LARGER)

#: How many of a study's best configurations a result keeps.
BEST = 5

SEARCH_PARAMETERS = (
    ParameterSpec(name="trials", type="int", default=20, low=1, high=100_000, help="How many configurations are evaluated."),
    ParameterSpec(name="workers", type="int", default=2, low=1, high=10_000, help="How many at the same time."),
    ParameterSpec(name="searcher", type="str", default="tpe", help="Who proposes configurations: random, grid, tpe, cmaes or a plug-in."),
)


class Tuning(Protocol):
    """Search, train the winner with a fresh seed, and compare it with the baseline on the holdout window.

    A subclass says what is searched, `search_space`, and how a configuration becomes an edit, `edit`.
    """

    kind: ClassVar[str] = "tuning"
    parameters: ClassVar[tuple[ParameterSpec, ...]] = SEARCH_PARAMETERS
    needs: ClassVar[tuple[str, ...]] = ("a holdout window in job.toml",)

    def check(self, given: Mapping[str, Any], analysis: Analysis) -> dict[str, Any]:
        """As `Protocol.check`; also that there is a holdout window and something to search.

        Raises:
            InvalidInput: there is not.
        """
        parameters = super().check(given, analysis)
        if analysis.job.holdout is None:
            raise InvalidInput(
                f"{self.name} judges the winner of its search on a holdout window, and the model has none.",
                where="job.toml",
                hint='Add under [windows]: holdout = ["<start>", "<end>"], after the evaluation window.',
            )
        space = self.search_space(analysis, parameters)
        problem = Problem(space=space, objectives=(OBJECTIVE,), seed=lambda number: number)
        make_searcher(Algorithm(name=parameters["searcher"]), problem)
        return parameters

    @abstractmethod
    def search_space(self, analysis: Analysis, parameters: Mapping[str, Any]) -> Space:
        """What is searched.

        Raises:
            InvalidInput: nothing to search, or a space that does not fit the model.
        """

    @abstractmethod
    def settings(self, config: Config) -> dict[str, Any]:
        """The values of tunables with which a trial of `config` is trained."""

    @abstractmethod
    def edit(self, tree: SourceTree, analysis: Analysis, config: Config) -> Edit:
        """The winner's source."""

    def present(self, analysis: Analysis) -> Config:
        """The values that the base has now; the winner must differ from them."""
        return {t.name: t.default for t in analysis.tunables}

    def graph(self, services: Services) -> Graph:
        """Analyse the base, train the baseline, search, apply the winner, train it, compare on the holdout window, report."""
        s = Steps(self, services)

        def compute_search_space(ctx: StepContext, inputs: Inputs) -> dict[str, Any]:
            """Find what is to be searched."""
            return self.search_space(s.analysis(inputs), s.experiment(ctx, inputs).config.parameters).to_json()

        def run_study(ctx: StepContext, inputs: Inputs) -> dict[str, Any]:
            """Search: each trial trains on the train window and is scored on the evaluation window."""
            job = s.analysis(inputs).job
            with s.db.transaction() as tx:
                experiment = s.claim(tx, ctx, inputs)
                parameters = experiment.config.parameters
                tx.studies.add(
                    StudySpec(
                        id=f"{experiment.id}/study",
                        name=f"{experiment.id}/study",
                        space=Space.from_json(inputs["compute_search_space"]),
                        objectives=(OBJECTIVE,),
                        entry=TRIAL,
                        payload={
                            "protocol": self.name,
                            "tree": inputs["branch_base"]["tree"],
                            "dataset": codec.to_plain(tx.datasets.get(job.dataset)),
                            "intent": codec.to_plain(experiment.config.intent),
                            "baseline": mean_metrics(inputs["baseline"], "metrics"),
                        },
                        searcher=Algorithm(name=parameters["searcher"]),
                        trials=parameters["trials"],
                        workers=parameters["workers"],
                        seed=seed_of(experiment.config.seed, "study"),
                        resources=job.resources,
                        priority=job.priority + experiment.config.priority,
                        quota_group=experiment.quota_group,
                        timeout_seconds=job.train_seconds + job.load_seconds + START_SECONDS,
                    )
                )
            return {"study": f"{experiment.id}/study"}

        def await_study(ctx: StepContext, ticket: dict[str, Any]) -> dict[str, Any] | None:
            with s.db.read() as tx:
                study = tx.studies.get(ticket["study"])
                if not study.state.ended:
                    return None
                trials = tx.trials.of_study(study.spec.id)
                failed = tx.runs.list(prefix=f"{study.spec.id}/", state=RunState.FAILED, limit=1)
            if study.state is not StudyState.FINISHED:
                raise _fruitless(f"the search ended as {study.state}: {study.reason}", study.spec.id, failed)
            scored = [t for t in trials if t.copied_from is None and "objective" in t.metrics]
            if not scored:
                raise _fruitless("no trial of the search has a result.", study.spec.id, failed)
            scored.sort(key=lambda t: (-t.metrics["objective"], t.number))
            return {
                "study": study.spec.id,
                "reason": study.reason,
                "best": [{"trial": t.number, "config": t.config, "metrics": t.metrics} for t in scored[:BEST]],
                "trials": len(scored),
            }

        def apply_recipe(ctx: StepContext, inputs: Inputs) -> dict[str, Any]:
            """Make the source of the best configuration that differs from the base's."""
            analysis = s.analysis(inputs)
            present = self.present(analysis)
            best = inputs["run_study"]["best"]
            differing = [b for b in best if any(present.get(k) != v for k, v in b["config"].items())]
            if not differing:
                raise UserError("the best configuration found is the one that the model has.", where=inputs["run_study"]["study"])
            tree = s.load(inputs["branch_base"]["tree"])
            return {**s.save_edit(self.edit(tree, analysis, differing[0]["config"])), "winner": differing[0]}

        def report(ctx: StepContext, inputs: Inputs) -> dict[str, Any]:
            """Judge the candidate and end the experiment."""
            study = inputs["run_study"]
            # Not always the best of all: that may be the configuration that the model has.
            searched = inputs["apply_recipe"]["winner"]["metrics"]["objective"]
            note = (
                f"Winner of {study['trials']} trials, where its objective was {searched:+.4g} on the evaluation window; "
                "retrained with a fresh seed and judged on the holdout window."
            )
            return s.report(ctx, inputs, note=note, study=study["study"], best=study["best"])

        return Graph(
            name=f"protocol/{self.name}",
            on_failure=FAILED,
            steps=(
                Step("branch_base", s.branch_base),
                Step("analyse_base", s.analyse_base, after=("branch_base",), poll=s.await_analysis),
                Step("baseline", s.baseline, after=("analyse_base",), poll=s.await_trainings),
                Step("compute_search_space", compute_search_space, after=("analyse_base",)),
                # The baseline's metrics are part of what a trial is scored by.
                Step("run_study", run_study, after=("compute_search_space", "baseline"), poll=await_study),
                Step("apply_recipe", apply_recipe, after=("run_study",)),
                Step("initialise", s.initialise, after=("apply_recipe",), poll=s.await_analysis),
                Step("train_candidate", s.train_candidate, after=("initialise",), poll=s.await_candidate),
                Step(
                    "fetch_metrics",
                    partial(s.fetch_metrics, window="holdout"),
                    after=("baseline", "train_candidate"),
                    poll=s.await_metrics,
                ),
                Step("report", report, after=("fetch_metrics",)),
            ),
        )


def _fruitless(message: str, study: str, failed: list[Run]) -> UserError:
    """The error of a search without a result, with what its first failed trial says."""
    first = failure_of(failed[0]) if failed else None
    error = UserError(message, where=f"study {study}", hint=f"The first trial that failed: {first}" if first else None)
    if first is not None:
        error.evidence.update(first.evidence)
    return error
