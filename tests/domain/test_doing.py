"""What is being done, in words."""

from __future__ import annotations

import contextvars
import threading
from contextlib import contextmanager
from datetime import UTC, datetime

from wichtel.domain.doing import doing, done, naming, note, said, watch


def test_words_of_outer_blocks_are_said_in_inner_ones_and_forgotten_after_them():
    with doing("request", request_id="r1"):
        with naming(step="s"):
            assert said() == {"request_id": "r1", "step": "s"}
        assert said() == {"request_id": "r1"}
    assert said() == {}


def test_a_thread_that_is_handed_the_context_adds_to_the_block():
    with doing("request") as words:
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: context.run(note, principal="ana"))
        thread.start()
        thread.join()
        assert words == {"principal": "ana"}
    note(nobody="hears")
    assert said() == {}


def test_a_watcher_hears_of_beginnings_and_ends_with_what_was_added():
    heard = []

    class Watcher:
        @contextmanager
        def doing(self, what, words, carrier):
            heard.append(("begin", what, dict(words), dict(carrier)))
            yield
            heard.append(("end", what, dict(words)))

        def done(self, what, began, ended, words):
            heard.append((what, began, ended, dict(words)))

    unwatch = watch(Watcher())
    time = datetime(2026, 1, 1, tzinfo=UTC)
    with doing("request", {"traceparent": "x"}, request_id="r1"):
        note(status="200")
        with naming(step="untold"):
            pass
    done("run", time, time, run="r-1")
    unwatch()
    with doing("later"):
        pass
    assert heard == [
        ("begin", "request", {"request_id": "r1"}, {"traceparent": "x"}),
        ("end", "request", {"request_id": "r1", "status": "200"}),
        ("run", time, time, {"run": "r-1"}),
    ]
