from __future__ import annotations

import pytest

from wichtel.cli.output import Output, cell


def test_what_a_terminal_would_obey_is_shown_instead(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=False).table([], ["cause"], [["\x1b[2Jgone\x07"]])
    assert "\x1b" not in capsys.readouterr().out


def test_text_keeps_its_lines_and_its_letters() -> None:
    assert cell("naïve → ε\n\tx") == "naïve → ε\n\tx"
