"""Registers 20 models × 5 protocols in three quota groups, and replays the events: was a share exceeded, was a group starved?

``make quota``, or ``python scripts/quota.py [--folder build/quota]``

The models train at once (a table of shares in numpy), so that scheduling is what takes the time. What is printed comes from the events that
the scheduler wrote in its own transactions, in the order in which they were committed, not from looking now and then.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path

from wichtel.client import Client
from wichtel.domain import Experiment, QuotaGroup
from wichtel.settings import load_settings

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

#: Group → its share and how many of the 20 models it owns: the smallest share has the most work.
GROUPS = {"ads": (1, 10), "maps": (2, 6), "play": (5, 4)}
PROTOCOLS = (
    {"protocol": "TrainModel"},
    {"protocol": "TrainModel", "overrides": {"seed": 1}},
    {"protocol": "SetHyperparameters", "parameters": {"values": {"weight": 2}}},
    {"protocol": "SetHyperparameters", "parameters": {"values": {"weight": 3}}},
    {"protocol": "ReduceTrainingData"},
)


def replay(client: Client, experiments: dict[str, Experiment]) -> int:
    """Print what each group had; return the number of violations."""
    in_progress: dict[str, set[str]] = defaultdict(set)
    waiting: dict[str, set[str]] = defaultdict(set)
    most: dict[str, int] = defaultdict(int)
    idle: dict[str, float] = defaultdict(float)
    since: dict[str, datetime] = {}
    first: dict[str, datetime] = {}
    begin: datetime | None = None
    for event in client.events.list(limit=None):
        kind, _, identity = event.kind.partition(".")[2], *event.subject.partition("/")[1:]
        if not event.kind.startswith("experiment.") or identity not in experiments:
            continue
        begin = begin or event.created
        group = experiments[identity].quota_group
        if kind in ("added", "requeued"):
            waiting[group].add(identity)
            in_progress[group].discard(identity)
        elif kind == "started":
            waiting[group].discard(identity)
            in_progress[group].add(identity)
            first.setdefault(group, event.created)
        elif kind == "finished":
            waiting[group].discard(identity)
            in_progress[group].discard(identity)
        most[group] = max(most[group], len(in_progress[group]))
        # How long a group had work that waited, and room for it.
        for name, (share, _) in GROUPS.items():
            if waiting[name] and len(in_progress[name]) < share:
                since.setdefault(name, event.created)
            elif name in since:
                idle[name] = max(idle[name], (event.created - since.pop(name)).total_seconds())
    bad = 0
    for name, (share, _) in GROUPS.items():
        mine = [e for e in experiments.values() if e.quota_group == name]
        ended = sum(e.finished is not None for e in mine)
        assert begin is not None
        print(
            f"{name:6} share {share}: at most {most[name]} in progress, {ended} of {len(mine)} finished, first started after "
            f"{(first[name] - begin).total_seconds():.1f} s, longest with work and room at once {idle[name]:.1f} s"
        )
        bad += (most[name] > share) + (ended < len(mine)) + (name in since)
    return bad


def main() -> int:
    """Run it; 0 if no share was exceeded and every experiment finished."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, default=ROOT / "build" / "quota")
    given = arguments.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    from tests.conftest import write_inputs

    from wichtel.cli.local import local_client

    write_inputs(given.folder)
    settings = load_settings({"home": str(given.folder / "home"), "bootstrap_resamples": 100})
    with local_client(settings, works=True) as client:
        client.datasets.add("d", [str(given.folder / "d.csv")], time_column="t")
        for name, (share, _) in GROUPS.items():
            client.quota_groups.put(QuotaGroup(name=name, max_in_progress=share))
        models = [(f"{group}/m{i}", group) for group, (_, n) in GROUPS.items() for i in range(n)]
        for name, team in models:
            client.models.add(name, given.folder / "plan", team=team)
        begin = time.monotonic()
        made = client.register([name for name, _ in models], PROTOCOLS)
        print(f"{len(made.experiments)} experiments registered in {time.monotonic() - begin:.2f} s")
        found = client.experiments.wait(made.experiments)
        print(f"all finished after {time.monotonic() - begin:.0f} s on {settings.workers} workers")
        bad = replay(client, {e.id: e for e in found})
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
