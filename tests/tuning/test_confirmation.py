"""After the search: winners confirmed on held-out data, the number of steps tuned on folds, the winner trained once more; warm starts."""

from __future__ import annotations

from pathlib import Path

import pytest

import wichtel as wt
from wichtel.domain import InvalidInput, NotFound, UserError

SPACE = {"x": wt.Float(0, 4)}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def noisy(x: float, seed: int, holdout: bool) -> dict[str, float]:
    with Path("calls").open("a") as calls:
        calls.write(f"{holdout} {seed}\n")
    return {"loss": (x - 2) ** 2 + (0.5 if holdout else 0.0)}


def test_a_winner_is_confirmed_on_the_holdout_with_fresh_seeds():
    study = wt.tune(noisy, SPACE, minimize="loss", trials=6, confirm=3, name="a", engine="inline")
    assert study.confirmation is not None
    assert study.confirmation.trial == study.best.number
    assert study.confirmation.values == pytest.approx([study.best_value + 0.5] * 3)
    assert "optimistic" in study.warnings[0]
    calls = [line.split() for line in Path("calls").read_text().splitlines()]
    assert [holdout for holdout, _ in calls] == ["False"] * 6 + ["True"] * 3
    assert len({seed for _, seed in calls}) == 9


def test_a_confirmation_is_kept_and_not_repeated():
    first = wt.tune(noisy, SPACE, minimize="loss", trials=4, confirm=1, name="a", engine="inline")
    again = wt.tune(noisy, SPACE, minimize="loss", trials=4, confirm=1, name="a", engine="inline")
    assert again.confirmation == first.confirmation
    assert len(Path("calls").read_text().splitlines()) == 5
    assert wt.load_study("a").confirmation == first.confirmation


def test_a_study_that_has_ended_may_be_confirmed_later():
    assert wt.tune(noisy, SPACE, minimize="loss", trials=4, name="a", engine="inline").confirmation is None
    assert wt.tune(noisy, SPACE, minimize="loss", trials=4, name="a", engine="inline", confirm=2).confirmation is not None
    assert len(Path("calls").read_text().splitlines()) == 6


def test_a_confirmation_that_fails_is_told():
    def fails_later(x: float, holdout: bool) -> float:
        if holdout:
            raise RuntimeError("no such file: holdout.parquet")
        return x

    study = wt.tune(fails_later, SPACE, minimize="loss", trials=4, confirm=1, engine="inline")
    assert study.confirmation is not None
    assert study.confirmation.values == ()
    assert "holdout.parquet" in study.warnings[0]


def test_several_objectives_have_no_winner_to_confirm():
    with pytest.raises(InvalidInput, match="no one winner"):
        wt.tune(lambda x: {"a": x, "b": -x}, SPACE, minimize=["a", "b"], trials=4, confirm=1, engine="inline")


def overfits(x: float, report: wt.Reporter, fold: int | None, folds: int | None, budget: float | None) -> dict[str, object]:
    """Best after 4 steps on every fold's average, though each fold alone is best elsewhere."""
    for step in range(int(budget or 8)):
        report(step, loss=(x - 2) ** 2 + abs(step - 3 - ((fold or 0) - 1)) / 10)
    Path("model.txt").write_text(f"{fold} {budget}")
    return {"metrics": {"loss": (x - 2) ** 2 + 1.0}, "artifacts": {"model": "model.txt"}}


def test_the_number_of_steps_is_tuned_by_the_mean_of_the_folds_and_the_winner_retrained_on_all_data():
    study = wt.tune(overfits, SPACE, minimize="loss", trials=4, folds=3, workers=2, name="steps")
    choice = study.best_step()
    assert choice.step == 3
    assert sorted(choice.means) == list(range(8))
    trained = study.retrain(engine="inline")
    assert trained.budget == 4
    assert study.home is not None
    assert study.home.artifacts.get(trained.artifacts["model"]) == b"None 4"


def needs_a_file(x: float) -> float:
    """Fails where there is no such file."""
    return x + float(Path("needed").read_text())


def test_a_retraining_that_failed_is_tried_again_and_budgets_that_differ_by_little_are_two():
    Path("needed").write_text("1")
    study = wt.tune(needs_a_file, SPACE, minimize="loss", trials=2, name="again", engine="inline")
    Path("needed").unlink()
    with pytest.raises(UserError, match="No such file"):
        study.retrain(engine="inline")
    Path("needed").write_text("2")
    assert study.best_value is not None
    assert study.retrain(engine="inline").metrics["loss"] == study.best_value + 1
    Path("needed").write_text("3")
    assert study.retrain(engine="inline").metrics["loss"] == study.best_value + 1
    for budget in (1234567.0, 1234568.0):
        Path("needed").write_text(str(budget))
        assert study.retrain(budget=budget, engine="inline").metrics["loss"] == pytest.approx(study.best_value - 1 + budget)


def test_a_study_that_was_killed_before_it_began_warms_no_other():
    place = Path(".wichtel/studies/dead")
    place.mkdir(parents=True)
    (place / "study.db").touch()
    with pytest.raises(NotFound, match="no study 'dead'"):
        wt.tune(noisy, SPACE, minimize="loss", trials=2, warm_start="dead", engine="inline")


def test_the_best_of_an_earlier_study_are_tried_first_and_say_so():
    old = wt.tune(noisy, SPACE, minimize="loss", trials=12, name="old", engine="inline", meta={"rows": 5.0})
    new = wt.tune(noisy, SPACE, minimize="loss", trials=8, warm_start="old", name="new", engine="inline", enqueue=[{"x": 1.0}])
    assert [t.origin for t in new.trials[:3]] == ["enqueued", f"trial {old.best.number} of study 'old'", new.trials[2].origin]
    assert new.trials[1].config == old.best_config
    assert "earlier studies" in new.explanation
    resumed = wt.tune(noisy, SPACE, minimize="loss", trials=9, warm_start="old", name="new", engine="inline", enqueue=[{"x": 1.0}])
    assert [t.origin for t in resumed.trials[:8]] == [t.origin for t in new.trials]


def test_similar_studies_are_found_and_none_is_no_fault():
    assert wt.tune(noisy, SPACE, minimize="loss", trials=3, warm_start="similar", engine="inline").trials[0].origin == ""
    wt.tune(noisy, SPACE, minimize="loss", trials=4, name="near", engine="inline", meta={"rows": 5.0})
    wt.tune(noisy, SPACE, minimize="loss", trials=4, name="far", engine="inline", meta={"rows": 50.0})
    study = wt.tune(noisy, SPACE, minimize="loss", trials=4, warm_start="similar", engine="inline", meta={"rows": 6.0})
    assert "'near'" in study.trials[0].origin


def test_an_unknown_or_the_own_name_is_refused():
    wt.tune(noisy, SPACE, minimize="loss", trials=2, name="old", engine="inline")
    with pytest.raises(wt.WichtelError, match="no study 'odl'") as error:
        wt.tune(noisy, SPACE, minimize="loss", trials=2, warm_start="odl", engine="inline")
    assert "old" in str(error.value.hint)
    with pytest.raises(InvalidInput, match="itself"):
        wt.tune(noisy, SPACE, minimize="loss", trials=2, warm_start="x", name="x", engine="inline")
