"""The steps that both templates share, as methods over the services. Every one of them may run twice and does its work once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from wichtel.domain import (
    Analysis,
    Estimate,
    Experiment,
    ExperimentResult,
    ExperimentStatus,
    IllegalTransition,
    ModelVersion,
    RunSpec,
    Verdict,
    VerdictStatus,
    seed_of,
)
from wichtel.plans import SourceTree
from wichtel.protocols.port import Protocol, Services
from wichtel.protocols.submission import (
    TRAIN,
    analysis_spec,
    await_runs,
    get_experiment,
    owner_of,
    small,
    submit_analysis,
    submit_baseline,
    training_spec,
)
from wichtel.recipes import Edit
from wichtel.store import Transaction, codec
from wichtel.workflows import StepContext

COMPARE = "wichtel.protocols.entries:compare"

#: The handler that is told when a protocol's graph fails; the room above brings it.
FAILED = "experiment-failed"

Inputs = dict[str, Any]


class Steps:
    """The shared steps of one protocol.

    Args:
        protocol: Whose.
        services: What they work with.
    """

    def __init__(self, protocol: Protocol, services: Services) -> None:
        self.protocol = protocol
        self.services = services
        self.db = services.db

    def experiment(self, ctx: StepContext, inputs: Inputs) -> Experiment:
        """The experiment, as registered."""
        return get_experiment(self.db, inputs)

    def claim(self, tx: Transaction, ctx: StepContext, inputs: Inputs) -> Experiment:
        """The experiment, held until `tx` ends: whoever would end it waits, and then finds what this step submitted.

        Raises:
            IllegalTransition: it has ended or was handed to a later workflow meanwhile.
        """
        identity, generation = inputs["input"]["experiment"], inputs["input"]["generation"]
        if not tx.experiments.set_workflow(identity, generation, ctx.workflow):
            raise IllegalTransition("it is no longer this workflow's.", where=f"experiment {identity}")
        return tx.experiments.get(identity)

    def analysis(self, inputs: Inputs) -> Analysis:
        """What step ``analyse_base`` found."""
        return codec.from_plain(inputs["analyse_base"], Analysis)

    # -- branch base ---------------------------------------------------------------------------------------------------------------

    def branch_base(self, ctx: StepContext, inputs: Inputs) -> dict[str, Any]:
        """Take up the experiment and fix what it starts from. Trees are content-addressed, so a branch costs nothing.

        Raises:
            IllegalTransition: the experiment has ended or was handed to a later workflow meanwhile.
        """
        with self.db.transaction() as tx:
            version = tx.versions.get(self.claim(tx, ctx, inputs).target)
        return {"version": version.id, "tree": version.tree}

    # -- compile and analyse -------------------------------------------------------------------------------------------------------

    def submit_analysis(self, ctx: StepContext, inputs: Inputs, tree: str) -> dict[str, Any]:
        """Have `tree` loaded and traced by a worker."""
        with self.db.transaction() as tx:
            experiment = self.claim(tx, ctx, inputs)
            spec = analysis_spec(
                tree,
                quota_group=experiment.quota_group,
                load_seconds=tx.versions.get(experiment.target).analysis.job.load_seconds,
                priority=experiment.config.priority,
                owner=owner_of(experiment),
            )
            return {"run": submit_analysis(tx, spec, since=experiment.started or experiment.created)}

    def analyse_base(self, ctx: StepContext, inputs: Inputs) -> dict[str, Any]:
        """Have a worker load the base's plan and find its features, tunables and metadata."""
        return self.submit_analysis(ctx, inputs, inputs["branch_base"]["tree"])

    def await_analysis(self, ctx: StepContext, ticket: dict[str, Any]) -> dict[str, Any] | None:
        """The analysis, once there."""
        results = await_runs(self.db, [ticket["run"]])
        return None if results is None else {k: v for k, v in results[0].items() if k != "run"}

    # -- baseline ------------------------------------------------------------------------------------------------------------------

    def baseline(self, ctx: StepContext, inputs: Inputs) -> dict[str, Any]:
        """Find the baseline's trainings, or submit them if they are too old or by other versions of the software."""
        analysis = self.analysis(inputs)
        tree = inputs["branch_base"]["tree"]
        with self.db.transaction() as tx:
            experiment = self.claim(tx, ctx, inputs)
            runs = [submit_baseline(tx, experiment, tree, analysis, k) for k in range(experiment.config.replicates)]
        return {"runs": runs}

    def await_trainings(self, ctx: StepContext, ticket: dict[str, Any]) -> list[dict[str, Any]] | None:
        """The results of the trainings, once all are there."""
        return await_runs(self.db, ticket["runs"])

    # -- candidate -----------------------------------------------------------------------------------------------------------------

    def save_edit(self, edit: Edit) -> dict[str, Any]:
        """Keep an edited tree and its diff as artifacts."""
        artifacts = self.services.artifacts
        diff = edit.diff
        return {
            "tree": edit.tree.save(artifacts),
            "diff": artifacts.put(diff.encode()) if diff else "",
            "notes": list(edit.notes),
            "summary": edit.summary,
        }

    def initialise(self, ctx: StepContext, inputs: Inputs) -> dict[str, Any]:
        """Have the proposed model loaded before it is trained: a recipe that broke the plan shows here."""
        return self.submit_analysis(ctx, inputs, inputs["apply_recipe"]["tree"])

    def train_candidate(self, ctx: StepContext, inputs: Inputs) -> dict[str, Any]:
        """Make the proposed model a version and submit its trainings, each with a seed that no trial and no baseline has."""
        edit = inputs["apply_recipe"]
        analysis = codec.from_plain(inputs["initialise"], Analysis)
        with self.db.transaction() as tx:
            experiment = self.claim(tx, ctx, inputs)
            version = ModelVersion(
                id=version_id(experiment.model, edit["tree"], experiment.id),
                model=experiment.model,
                tree=edit["tree"],
                analysis=analysis,
                parent=experiment.target,
                recipe=edit["summary"],
                experiment=experiment.id,
                created=tx.now,
            )
            tx.versions.add(version)
            runs = []
            for k in range(experiment.config.replicates):
                seed = seed_of(experiment.config.seed, "candidate", k)
                spec = training_spec(tx, experiment, f"{experiment.id}/candidate/{k}", edit["tree"], analysis, seed=seed)
                tx.runs.add(spec)
                runs.append(spec.id)
        return {"runs": runs, "version": version.id}

    def await_candidate(self, ctx: StepContext, ticket: dict[str, Any]) -> dict[str, Any] | None:
        """The candidate's results, once all are there."""
        results = await_runs(self.db, ticket["runs"])
        return None if results is None else {"version": ticket["version"], "results": results}

    # -- metrics -------------------------------------------------------------------------------------------------------------------

    def fetch_metrics(self, ctx: StepContext, inputs: Inputs, window: str) -> dict[str, Any]:
        """Have a worker compare candidate and baseline on the same examples of the `window` window."""
        experiment, analysis = self.experiment(ctx, inputs), self.analysis(inputs)
        spec = RunSpec(
            id=f"{experiment.id}/compare",
            entry=COMPARE,
            payload={
                "tree": inputs["apply_recipe"]["tree"],
                "analysis": inputs["analyse_base"],
                "baselines": inputs["baseline"],
                "candidates": inputs["train_candidate"]["results"],
                "window": window,
                "confidence": {c.metric: c.confidence for c in experiment.config.intent.constraints},
                "resamples": self.services.bootstrap_resamples,
            },
            owner=owner_of(experiment),
            seed=seed_of(experiment.config.seed, "compare"),
            resources=small(analysis.job.resources),
            priority=analysis.job.priority + experiment.config.priority,
            quota_group=experiment.quota_group,
        )
        with self.db.transaction() as tx:
            self.claim(tx, ctx, inputs)
            tx.runs.add(spec)
        return {"run": spec.id}

    def await_metrics(self, ctx: StepContext, ticket: dict[str, Any]) -> dict[str, Any] | None:
        """The comparison, once there."""
        results = await_runs(self.db, [ticket["run"]])
        return None if results is None else results[0]

    # -- report --------------------------------------------------------------------------------------------------------------------

    def report(
        self, ctx: StepContext, inputs: Inputs, *, note: str = "", study: str = "", best: Sequence[dict[str, Any]] = ()
    ) -> dict[str, Any]:
        """Judge the candidate and end the experiment."""
        experiment = self.experiment(ctx, inputs)
        edit, comparison = inputs["apply_recipe"], inputs["fetch_metrics"]
        estimates = {name: codec.from_plain(e, Estimate) for name, e in comparison["estimates"].items()}
        verdict = Verdict.of(experiment.config.intent, estimates)
        with self.db.read() as tx:
            mine = tx.runs.list(owner=owner_of(experiment), limit=1000)
            trials = [t for t in tx.trials.of_study(study) if t.copied_from is None] if study else []
        result = ExperimentResult(
            baseline=inputs["branch_base"]["version"],
            candidate=inputs["train_candidate"]["version"],
            verdict=verdict,
            diff=edit["diff"],
            untouched=tuple(edit["notes"]),
            models_trained=sum(r.spec.entry == TRAIN for r in mine) + len(trials),
            baseline_metrics=comparison["baseline"],
            candidate_metrics=comparison["candidate"],
            study=study,
            best=tuple(best),
        )
        satisfied = verdict.status is VerdictStatus.SATISFIED
        status = ExperimentStatus.SATISFIED if satisfied else ExperimentStatus.UNSATISFIED
        cause = f"{verdict.reason} {note}".strip()
        self.services.finish(experiment.id, status, cause, result)
        return {"status": status, "cause": cause}

    def load(self, digest: str) -> SourceTree:
        """A source tree by its digest."""
        return SourceTree.load(self.services.artifacts, digest)


def version_id(model: str, tree: str, experiment: str) -> str:
    """The id of a version: the same tree made by the same experiment (or added by a user) is the same version."""
    return "v-" + hashlib.sha256(f"{model}\0{tree}\0{experiment}".encode()).hexdigest()[:16]
