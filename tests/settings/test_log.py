"""Lines of the log."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from wichtel.domain.doing import doing
from wichtel.log import JsonLines, TextLines, masked


def record(message: str, *args: object, error: bool = False) -> logging.LogRecord:
    return logging.LogRecord("wichtel.test", logging.WARNING, __file__, 1, message, args, sys.exc_info() if error else None)


def test_json_lines_have_ids_and_the_traceback() -> None:
    try:
        raise ValueError("it broke, token=wt_aaaaaaaaaaaaaaaa")
    except ValueError:
        with doing("step train", workflow="e-7k3m9q2xwp/1", step="train"):
            line = JsonLines().format(record("step %s\nfailed", "train", error=True))
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert "ValueError: it broke, token=***" in found.pop("error")
    assert found == {
        "level": "warning",
        "logger": "wichtel.test",
        "message": "step train\nfailed",
        "workflow": "e-7k3m9q2xwp/1",
        "step": "train",
        "experiment": "e-7k3m9q2xwp",
    }


def test_text_lines_have_the_ids_behind_the_message() -> None:
    with doing("GET", request_id="r1", principal="ana"):
        line = TextLines().format(record("a %s", "message"))
    assert line.endswith("WARNING wichtel.test: a message [request_id=r1 principal=ana]")
    assert TextLines().format(record("outside")).endswith("outside")


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("postgresql://ana:hunter2@db/w is away", "postgresql://ana:***@db/w is away"),
        ("header Authorization: Bearer abcdefgh12345678", "header Authorization: Bearer ***"),
        ("the token wt_abcdefghijklmnop is not valid", "the token wt_*** is not valid"),
        ('{"smtp_password": "hunter2", "port": 25}', '{"smtp_password": "***", "port": 25}'),
        ("WICHTEL_TOKEN=abc API_KEY=def", "WICHTEL_TOKEN=*** API_KEY=***"),
        ("the token is not valid, or no longer.", "the token is not valid, or no longer."),
    ],
)
def test_secrets_are_masked(said: str, left: str) -> None:
    assert masked(said) == left
