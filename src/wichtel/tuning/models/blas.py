"""Keeps the linear algebra of searchers to one thread.

A searcher works beside as many busy workers as there are cores. Threads of a BLAS wait for one another by spinning, so that on a busy
machine two of them can take ten times as long as one; and the matrices here are small.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside = 0
_limit: Any = None


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it, BLAS uses one thread; after the last of several at once, as many as before."""
    global _inside, _limit  # noqa: PLW0603 it is the process's libraries that are changed
    with _lock:
        _inside += 1
        if _inside == 1:
            _limit = _controller().limit(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.restore_original_limits()


@cache
def _controller() -> ThreadpoolController:
    # numpy and scipy each bring a BLAS; both have to be there when it looks.
    import numpy  # noqa: F401, ICN001
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()
