"""Which versions of the software a model is trained with; a baseline trained by other versions is trained again."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

#: What can change the numbers that a training gives.
PACKAGES = ("wichtel", "numpy", "pyarrow", "keras", "jax", "torch", "tensorflow", "scikit-learn", "lightgbm", "xgboost")


@cache
def versions() -> dict[str, str]:
    """Package → version, of those that are installed, with the interpreter's."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def fingerprint() -> str:
    """Twelve hexadecimal digits that change when any version does."""
    return hashlib.sha256(repr(sorted(versions().items())).encode()).hexdigest()[:12]
