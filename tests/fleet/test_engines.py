"""Every installed engine faces the conformance suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wichtel.domain import RunState
from wichtel.fleet import Engine, InlineEngine
from wichtel.testing import engines


@pytest.mark.parametrize("case", engines.CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("make", engines.registered().values(), ids=engines.registered().keys())
def test_engine(make: Callable[[], Engine], case: Callable[[engines.Fleet], None], tmp_path: Path) -> None:
    with engines.Fleet(make(), tmp_path) as fleet:
        case(fleet)


def test_ctrl_c_reaches_whoever_lent_the_thread_and_the_run_is_done_by_the_next(tmp_path: Path) -> None:
    with engines.Fleet(InlineEngine(), tmp_path) as fleet:
        fleet.controller.submit([spec := fleet.spec("interrupted", until=2)])
        with pytest.raises(KeyboardInterrupt):
            fleet.wait([spec.id])
    with engines.Fleet(InlineEngine(), tmp_path) as fleet:
        (run,) = fleet.wait([spec.id])
        assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
