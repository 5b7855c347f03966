"""Whether a model fits its dataset, told from what was registered: before anything is trained."""

from __future__ import annotations

from wichtel.domain import Analysis, Dataset, InvalidInput, did_you_mean

_WHOLE = ("int", "uint", "bool")
_REAL = ("float", "double", "halffloat", "decimal")
_TEXT = ("string", "large_string", "string_view", "dictionary")


def check_fits(analysis: Analysis, dataset: Dataset) -> None:
    """Refuse a model whose features, label or windows its dataset does not have.

    Raises:
        InvalidInput: a column is missing or of a type that its feature cannot take, or no example lies in a window.
    """
    where = f"dataset {dataset.name!r}"
    for feature in analysis.features:
        kind = _column(dataset, feature.name, f"feature {feature.name!r}")
        allowed = _WHOLE + _REAL if feature.kind == "numeric" else _WHOLE + _TEXT
        if not kind.startswith(allowed):
            wants = "a number" if feature.kind == "numeric" else "text, an integer or a bool"
            other = "plan.Categorical" if feature.kind == "numeric" else "plan.Numeric"
            raise InvalidInput(
                f"feature {feature.name!r} takes {wants}, but its column is of type {kind}.", where=where, hint=f"Declare it as {other}."
            )
    job = analysis.job
    kind = _column(dataset, job.label, "the label")
    if not kind.startswith(_WHOLE + _REAL):
        raise InvalidInput(f"the label {job.label!r} is of type {kind}, not a number.", where=where, hint="A label is 0 or 1, or a number.")
    for name, window in (("train", job.train), ("evaluation", job.evaluation), ("holdout", job.holdout)):
        if window is not None and (window.end <= dataset.start or window.start > dataset.end):
            raise InvalidInput(
                f"the {name} window is empty: the dataset has no example in {window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M}.",
                where="job.toml",
                hint=f"Dataset {dataset.name!r} spans {dataset.start:%Y-%m-%d %H:%M} to {dataset.end:%Y-%m-%d %H:%M}.",
            )


def _column(dataset: Dataset, name: str, what: str) -> str:
    if name not in dataset.columns:
        raise InvalidInput(
            f"it has no column {name!r} for {what}.", where=f"dataset {dataset.name!r}", hint=did_you_mean(name, dataset.columns)
        )
    return dataset.columns[name]
