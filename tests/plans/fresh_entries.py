"""What the fresh processes of test_fresh.py run."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from wichtel.domain import InvalidInput


def count(payload, child):
    print("counting to", payload["to"])
    for i in range(1, payload["to"] + 1):
        child.report(i, value=i * 0.5)
    return {"sum": sum(range(payload["to"] + 1))}


def refuse(payload, child):
    raise InvalidInput("no good.", where="here", hint="try again")


def fail(payload, child):
    raise KeyError("bug")


def report_for_ever(payload, child):
    for step in range(10**9):
        child.report(step, pid=os.getpid())
        time.sleep(0.01)


def phases(payload, child):
    child.phase("training", seconds=payload["seconds"], limit="limits.train_seconds")
    time.sleep(30)


def eat(payload, child):
    held = []
    while True:
        held.append(b"x" * 10**7)
        time.sleep(0.005)


def eat_in_a_child(payload, child):
    subprocess.run([sys.executable, "-c", "import time; b = b'x' * 400_000_000; time.sleep(30)"])


def chatter(payload, child):
    line = "x" * 1023
    for _ in range(payload["megabytes"] * 1024):
        print(line)
    print("the end")


def leave_a_child(payload, child):
    return {"pid": subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True).pid}


def load(payload, child):
    from wichtel.plans import load_plan

    loaded = load_plan(child.folder, mode=payload.get("mode", "set"), values=payload.get("values"), seed=payload.get("seed"))
    metrics = {name: metric.function([0, 1], [0, 1]) for name, metric in loaded.metrics.items()}
    return {"values": loaded.values, "warnings": loaded.warnings, "model": vars(loaded.model), "metrics": metrics}


def environment(payload, child):
    return dict(os.environ)
