"""The rules that come with Wichtel, the most telling first. A new one comes with a test that has the real failure."""

from __future__ import annotations

from wichtel.domain import ExperimentStatus, Rule

_USER, _SYSTEM = ExperimentStatus.USER_ERROR, ExperimentStatus.SYSTEM_ERROR
_PLAN = ("plan_error", "invalid_input", "user_error")

BUILT_IN: tuple[Rule, ...] = (
    # What looks like the user's, but was raised by code of ours that no plan called.
    Rule(
        name="fault-of-wichtel",
        category="system.fault",
        status=_SYSTEM,
        hint="This is a fault of Wichtel, and is looked into.",
        codes=("plan_error", "user_error"),
        culprits=("wichtel",),
        message=r"(^|failed: )[A-Z]\w*(Error|Exception|Exit|Warning|Interrupt)\b",
    ),
    # Plans
    Rule(
        name="plan-out-of-memory",
        category="plan.out_of_memory",
        status=_USER,
        hint="Use less, or raise resources.memory in job.toml.",
        # The kernel takes the plan's process first when a machine is short of memory: it was told to.
        message=r"of memory; the limit is|ran out of memory|of memory, more than its limit|the process was killed \(signal 9\)"
        r"|failed: (MemoryError|\w*OutOfMemory\w*|XlaRuntimeError: RESOURCE_EXHAUSTED)",
    ),
    Rule(
        name="plan-timeout",
        category="plan.timeout",
        status=_USER,
        hint="Raise the limit in section [limits] of job.toml, or do less.",
        message=r"did not end within [\d.e+]+ seconds|took longer than its limit of",
    ),
    Rule(
        name="plan-import-error",
        category="plan.import_error",
        status=_USER,
        hint="Install the package where the workers run, or put the module beside plan.py.",
        message=r"^needs (the module|package) |failed: (ImportError|ModuleNotFoundError)",
    ),
    Rule(
        name="plan-syntax-error",
        category="plan.syntax_error",
        status=_USER,
        hint="Correct the plan; `python -m py_compile plan.py` finds the same.",
        message=r"^is not valid Python",
    ),
    Rule(
        name="plan-crashed",
        category="plan.crashed",
        status=_USER,
        hint="The log's end shows what the process did last.",
        message=r"crashed with SIG|ended the process \(exit status|^calls sys\.exit|the run called sys\.exit",
    ),
    Rule(
        name="plan-no-model",
        category="plan.no_model",
        status=_USER,
        hint="Assign the model to the name 'model' in plan.py.",
        message=r"^defines (no model|several models)|is no model but a",
    ),
    Rule(
        name="plan-incomplete",
        category="plan.incomplete",
        status=_USER,
        hint="Declare features and metadata in plan.py, and compile the model.",
        codes=("plan_error",),
        message=r"^declares no features|^has no metadata|is not compiled|which is no feature",
    ),
    Rule(
        name="job-invalid",
        category="plan.job_invalid",
        status=_USER,
        hint="Correct job.toml.",
        codes=("plan_error", "invalid_input"),
        where=r"^job\.toml",
    ),
    # Metrics
    Rule(
        name="metric-not-finite",
        category="metric.not_finite",
        status=_USER,
        hint="Lower the learning rate, or standardize the features.",
        message=r"scores are not numbers|the loss became (nan|-?inf)|Input (\w+ )?contains (NaN|infinity)",
    ),
    Rule(
        name="metric-unknown",
        category="metric.unknown",
        status=_USER,
        hint="Have the plan report the metric, or name another in the intent.",
        message=r"reports no metric|constrains metric .* which the models? do(es)? not report|is not a quality metric",
    ),
    Rule(
        name="metric-raised",
        category="metric.raised",
        status=_USER,
        hint="Correct the metric's function in plan.py.",
        message=r"^computing the metric .* failed",
    ),
    Rule(
        name="metric-out-of-range",
        category="metric.out_of_range",
        status=_USER,
        hint="End the model with a sigmoid.",
        message=r"must be probabilities|labels must be 0 or 1|is not 0 or 1 everywhere|has one value in the training window",
    ),
    # Data
    Rule(
        name="data-missing-column",
        category="data.missing_column",
        status=_USER,
        hint="Name a column that the dataset has.",
        message=r"the dataset has no column",
    ),
    Rule(
        name="data-wrong-type",
        category="data.wrong_type",
        status=_USER,
        hint="Declare the feature as what its column holds.",
        codes=_PLAN,
        message=r"is of type .*, not ",
    ),
    Rule(
        name="data-no-examples",
        category="data.no_examples",
        status=_USER,
        hint="Choose windows within the dataset.",
        message=r"window has no example with a label|there is no holdout window",
    ),
    Rule(
        name="data-unknown",
        category="data.unknown",
        status=_USER,
        hint="Register the dataset: wichtel datasets add.",
        codes=("not_found",),
        message=r"there is no dataset",
    ),
    # Recipes and searches
    Rule(
        name="recipe-changed-nothing",
        category="recipe.changed_nothing",
        status=_USER,
        hint="The protocol finds nothing to change in this model; is it meant for another?",
        message=r"the recipe changes nothing|best configuration found is the one that the model has",
    ),
    Rule(
        name="search-without-result",
        category="search.no_result",
        status=_USER,
        hint="See why the trials failed: wichtel studies trials STUDY.",
        message=r"no trial of the search has a result|the search ended as FAILED",
    ),
    Rule(
        name="canceled",
        category="run.canceled",
        status=_USER,
        hint="Register it again if that was not meant.",
        message=r"^run .* was canceled|the search ended as CANCELED",
    ),
    Rule(
        name="workflow-canceled",
        category="workflow.canceled",
        status=_SYSTEM,
        hint="Whoever cancels an experiment ends it, too; this was something else. An admin looks into it; register it again.",
        message=r"^its workflow was canceled",
    ),
    # The user's code failed, in a way that no rule above has a name for.
    Rule(
        name="plan-raised",
        category="plan.raised",
        status=_USER,
        hint="The log's end has the traceback.",
        codes=("plan_error",),
        message=r"failed: |the model cannot be trained",
    ),
    # Resources
    Rule(
        name="resources-too-large",
        category="resources.too_large",
        status=_USER,
        hint="Ask for less in job.toml, or for larger workers.",
        message=r"but all workers together have",
    ),
    Rule(
        name="worker-lost",
        category="worker.lost",
        status=_SYSTEM,
        hint="Register it again. If it happens again, it may be the plan that ends its worker: look for too much memory.",
        codes=("worker_lost",),
    ),
    Rule(
        name="process-killed",
        category="worker.killed",
        status=_SYSTEM,
        hint="Somebody or something ended the process; register it again.",
        message=r"the process was killed \(signal|no process could be started",
    ),
    Rule(
        name="storage-full",
        category="storage.full",
        status=_SYSTEM,
        hint="An admin has to free some disk space; register it again then.",
        message=r"(?i)no space left|disk is full|disk full|quota exceeded|database or disk is full",
    ),
    Rule(
        name="storage-failed",
        category="storage.failed",
        status=_SYSTEM,
        hint="An admin has to look after the artifact store; register it again then.",
        codes=("storage_failed",),
    ),
    Rule(
        name="database-gone",
        category="database.gone",
        status=_SYSTEM,
        hint="An admin has to look after the database; register it again then.",
        codes=("system_fault", "database_too_new"),
        message=r"the database (failed|cannot be reached|has no tables)|kept the database locked|a newer Wichtel wrote",
    ),
    Rule(
        name="taken-over",
        category="experiment.taken_over",
        status=_USER,
        hint="Nothing: somebody else has ended it.",
        codes=("illegal_transition",),
        message=r"no longer this workflow's",
    ),
    # What errors of the user say of themselves, when no rule above knows more.
    Rule(
        name="plan-wrong",
        category="plan.invalid",
        status=_USER,
        hint="Correct the plan.",
        codes=("plan_error",),
    ),
    Rule(
        name="input-wrong",
        category="input.invalid",
        status=_USER,
        hint="Correct the input.",
        codes=("invalid_input", "already_exists", "illegal_transition"),
    ),
    Rule(
        name="input-missing",
        category="input.not_found",
        status=_USER,
        hint="Does it exist still, under that name?",
        codes=("not_found",),
    ),
    Rule(
        name="not-permitted",
        category="input.not_permitted",
        status=_USER,
        hint="Ask an admin.",
        codes=("not_permitted",),
    ),
)
