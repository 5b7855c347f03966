"""The main job on real data: two models, four protocols, two intents, sixteen verdicts.

``make demo``, or ``python examples/flights/demo.py [--home .wichtel] [--folder build/flights]``

Makes the flights dataset, registers the two example models, has Wichtel run its protocols on them, and prints what came of it. Everything
stays in the home, so that ``wichtel serve`` shows it afterwards. Run again, it trains the candidates again and finds the baselines there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from wichtel.cli.local import local_client
from wichtel.client import Client, NoService
from wichtel.domain import Estimate, Experiment, ExperimentState, ExperimentStatus, NotFound, WichtelError
from wichtel.settings import load_settings

HERE = Path(__file__).parent
DATASET = "flights"
INTENTS = ("improve_quality", "optimize_resources")

#: Model → its source, the values that a modeller wants tried under each intent, and how many configurations a search evaluates.
MODELS: dict[str, dict[str, Any]] = {
    "flights/late-trees": {
        "source": HERE / "lightgbm",
        "values": {
            # More and smaller trees, held back.
            "improve_quality": {
                "n_estimators": 100,
                "learning_rate": 0.08,
                "num_leaves": 15,
                "min_child_samples": 100,
                "reg_lambda": 10.0,
                "cat_smooth": 100.0,
                "cat_l2": 100.0,
            },
            # Fewer trees that learn faster.
            "optimize_resources": {
                "n_estimators": 30,
                "learning_rate": 0.15,
                "num_leaves": 15,
                "min_child_samples": 100,
                "cat_smooth": 100.0,
                "cat_l2": 100.0,
            },
        },
        "trials": 8,
    },
    "flights/late-network": {
        "source": HERE / "keras",
        "values": {"improve_quality": {"learning_rate": 0.003}, "optimize_resources": {"embedding": 4, "width": 16}},
        "trials": 6,
    },
}


def prepare(client: Client, folder: Path, console: Console) -> None:
    """Register the dataset and the models, unless they are there."""
    from wichtel.demo.flights import flights

    begin = time.monotonic()
    try:
        dataset = client.datasets.get(DATASET)
    except NotFound:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "flights.parquet"
        flights().write_parquet(file)
        dataset = client.datasets.add(DATASET, [str(file.absolute())], time_column="time_hour")
    console.print(f"Dataset {DATASET}: {dataset.rows:,} flights in order of time ({time.monotonic() - begin:.1f} s)")
    for name, model in MODELS.items():
        begin = time.monotonic()
        version = client.models.add(name, model["source"])
        found = version.analysis
        console.print(
            f"Model {name}: {found.trainer}, {len(found.features)} features, {len(found.tunables)} tunables, "
            f"judged by {found.metadata.primary_metric} ({time.monotonic() - begin:.1f} s)"
        )


def register(client: Client, key: str | None = None) -> list[str]:
    """Ask for all experiments; return their ids. The same `key` asks for the same experiments."""
    experiments: list[str] = []
    for name, model in MODELS.items():
        protocols = [
            {"protocol": protocol, "intent": intent, "parameters": parameters}
            for intent in INTENTS
            for protocol, parameters in (
                ("TrainModel", {}),
                ("SetHyperparameters", {"values": model["values"][intent]}),
                ("TuneHyperparameters", {"trials": model["trials"], "workers": 2}),
                ("ReduceTrainingData", {"share": 0.5}),
            )
        ]
        made = client.register([name], protocols, idempotency_key=key and f"{key}/{name}")
        experiments += made.experiments
    return experiments


def follow(client: Client, experiments: Sequence[str], console: Console) -> list[Experiment]:
    """Show the progress until all have finished."""
    bars = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)
    finished_bar = bars.add_task("experiments", total=len(experiments))
    runs_bar = bars.add_task("analyses, trainings, comparisons", total=None)
    told: set[str] = set()
    found: list[Experiment] = []
    with Live(bars, console=console, refresh_per_second=4, transient=True) if console.is_terminal else nullcontext():
        for found in client.experiments.watch(experiments):
            for e in found:
                if e.state is ExperimentState.FINISHED and e.id not in told:
                    told.add(e.id)
                    console.print(f"  {e.id}  {e.model:21} {e.protocol:20} {e.config.intent.name:19} {e.status}  ({seconds(e)} s)")
            bars.update(finished_bar, completed=len(told))
            # Only for the bar: a service that is away for a moment is no reason to stop.
            with suppress(NoService):
                runs = client.runs.list(limit=None)
                bars.update(runs_bar, completed=sum(r.state.ended for r in runs), total=len(runs))
    return found


def seconds(e: Experiment) -> int:
    """How long an experiment took from its start."""
    return round((e.finished - e.started).total_seconds()) if e.finished and e.started else 0


def number(x: float) -> str:
    """A metric's value."""
    return f"{x:.4g}"


def change(estimate: Estimate) -> str:
    """A relative difference with its interval."""
    return f"{estimate.relative:+.1%} [{estimate.relative_low:+.1%}, {estimate.relative_high:+.1%}]"


def report(found: Sequence[Experiment], client: Client, folder: Path, console: Console) -> None:
    """Print the verdicts, why, and where the diffs are."""
    table = Table(title="What Wichtel found", title_justify="left", show_lines=True)
    for column in ("experiment", "verdict", "metric", "baseline", "candidate", "change [95% interval]", "models", "time"):
        right = column in ("baseline", "candidate", "models", "time")
        table.add_column(column, no_wrap=True, justify="right" if right else "left")
    for e in found:
        estimates = [f.estimate for f in e.result.verdict.findings] if e.result else []
        table.add_row(
            f"{e.id}\n{e.protocol}\n{e.model}",
            f"{e.status}\n{e.config.intent.name}",
            "\n".join(s.metric for s in estimates),
            "\n".join(number(s.baseline) for s in estimates),
            "\n".join(number(s.candidate) for s in estimates),
            "\n".join(change(s) for s in estimates),
            str(e.result.models_trained if e.result else 0),
            f"{seconds(e)} s",
        )
    console.print(table)
    console.print("Why:")
    for e in found:
        console.print(f"  {e.id}  {e.status}: {e.cause}", soft_wrap=True, highlight=False)
    folder.mkdir(parents=True, exist_ok=True)
    console.print("\nThe diff of each candidate, for git apply:")
    for e in found:
        diff = client.experiments.diff(e.id)
        if diff:
            path = folder / f"{e.id}.diff"
            path.write_text(diff)
            console.print(f"  {e.id}  {e.protocol:20} {path}", soft_wrap=True)
    satisfied = sum(e.status is ExperimentStatus.SATISFIED for e in found)
    console.print(f"\n{satisfied} of {len(found)} candidates may be launched.")


def main() -> int:
    """Run the demo; 0 if every experiment came to a verdict."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--home", default=None, help="Folder of the embedded database and artifacts; .wichtel by default.")
    arguments.add_argument("--folder", default="build/flights", type=Path, help="Where the data and the diffs are written.")
    given = arguments.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 220)
    begin = time.monotonic()
    settings = load_settings({"home": given.home})
    try:
        with local_client(settings, works=True) as client:
            prepare(client, given.folder, console)
            experiments = register(client)
            console.print(f"{len(experiments)} experiments, on {settings.workers} workers:")
            found = follow(client, experiments, console)
            report(found, client, given.folder / "diffs", console)
    except WichtelError as error:
        console.print(f"{error}", style="red", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print(f"Interrupted. What was registered waits in {settings.home}; wichtel serve goes on with it.", highlight=False)
        return 130
    console.print(f"It took {time.monotonic() - begin:.0f} s. To look around: .venv/bin/wichtel serve, then in another terminal:")
    console.print("  .venv/bin/wichtel experiments list")
    console.print(f"  .venv/bin/wichtel experiments show {found[0].id}")
    return 0 if all(e.status in (ExperimentStatus.SATISFIED, ExperimentStatus.UNSATISFIED) for e in found) else 1


if __name__ == "__main__":
    sys.exit(main())
