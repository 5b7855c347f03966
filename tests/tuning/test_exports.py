"""What ``import wichtel`` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import wichtel

HEAVY = {
    "numpy",
    "optuna",
    "sqlalchemy",
    "dbos",
    "fastapi",
    "keras",
    "jax",
    "polars",
    "pyarrow",
    "sklearn",
    "lightgbm",
    "rich",
    "pydantic",
    "asyncio",
}


def test_the_public_names():
    assert sorted(wichtel.__all__) == [
        "Algorithm",
        "Bool",
        "Choice",
        "Client",
        "Fixed",
        "Float",
        "Int",
        "Reporter",
        "Space",
        "Stopped",
        "StudyResult",
        "UserError",
        "WichtelError",
        "__version__",
        "ablate",
        "callbacks",
        "check_leaks",
        "compare_searchers",
        "import_optuna",
        "load_study",
        "meta_features",
        "plan",
        "resume_study",
        "run_once",
        "tunable",
        "tune",
    ]
    assert sorted(dir(wichtel)) == sorted(wichtel.__all__)


def test_every_name_is_there():
    for name in wichtel.__all__:
        assert getattr(wichtel, name) is not None


def _modules_after(code):
    done = subprocess.run([sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_takes_no_heavy_module():
    assert not HEAVY & _modules_after("import wichtel")
    assert not HEAVY & _modules_after("import wichtel as wt; wt.Float(0, 1); wt.Choice([1])")


def test_a_worker_does_not_load_what_only_searchers_need():
    assert not {"optuna", "cmaes", "sqlalchemy"} & _modules_after("import wichtel.tuning.function")
