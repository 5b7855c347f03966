"""Every installed engine faces the conformance suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wichtel.fleet import Engine
from wichtel.testing import engines


@pytest.mark.parametrize("case", engines.CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("make", engines.registered().values(), ids=engines.registered().keys())
def test_engine(make: Callable[[], Engine], case: Callable[[engines.Fleet], None], tmp_path: Path) -> None:
    with engines.Fleet(make(), tmp_path) as fleet:
        case(fleet)
