"""Loading and tracing, seen through the analysis that a worker makes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from wichtel.domain import Analysis, Bool, Choice, Float, Int, PlanError
from wichtel.plans import analyse, analyse_tree, search_space
from wichtel.store import Artifacts
from wichtel.store.codec import from_plain


def test_what_a_plan_tells(make_tree, tmp_path):
    tree = make_tree(
        """
import helper
from sklearn.linear_model import LogisticRegression
plan.metric("hits", lambda labels, scores: 1.0, better="larger", help="Of ten.")
it = helper.model()
also = it
""",
        **{"helper.py": "from sklearn.linear_model import LogisticRegression\ndef model():\n    return LogisticRegression()\n"},
    )
    artifacts = Artifacts(str(tmp_path))
    plain = analyse({"tree": tree.save(artifacts)}, SimpleNamespace(artifacts=artifacts, scratch=tmp_path))
    analysis = from_plain(plain, Analysis)
    assert (analysis.trainer, analysis.model_name) == ("sklearn", "it")
    assert [(f.name, f.kind) for f in analysis.features] == [("distance", "numeric")]
    assert (analysis.metadata.primary_metric, analysis.metadata.hints) == ("auc", {"tower": "deep"})
    assert [(m.name, m.help) for m in analysis.metadata.metrics] == [("hits", "Of ten.")]
    assert {"python", "wichtel", "scikit-learn"} <= analysis.versions.keys()
    assert "keras" not in analysis.versions
    assert list(tmp_path.glob("plan-*")) == []


def test_tunables_are_found_where_they_hide(make_tree):
    tree = make_tree(
        """
import helper
kind = tunable.Choice("kind", "flat", candidates=["flat", "deep"])
rate = tunable.Float("rate", 0.1, min=0.001, max=1.0, log=True)
if kind == "deep":
    depth = tunable.Int("depth", 1, min=1, max=3)
    for i in range(depth):
        with tunable.scope(f"layer{i}"):
            tunable.Int("width", 16, candidates=[16, 32])
            if tunable.Bool("drop", False):
                tunable.Float("share", 0.1, candidates=[0.1, 0.5])
model = Model()
""",
        **{"helper.py": 'from wichtel.plans import tunable\nwith tunable.scope("helper"):\n    tunable.Bool("x", default=True)\n'},
    )
    analysis = analyse_tree(tree)
    assert {t.name: t.when for t in analysis.tunables} == {
        "helper/x": {},
        "kind": {},
        "rate": {},
        "depth": {"kind": ["deep"]},
        "layer0/width": {"kind": ["deep"]},
        "layer0/drop": {"kind": ["deep"]},
        "layer0/share": {"layer0/drop": [True]},
        "layer1/width": {"depth": [2, 3]},
        "layer1/drop": {"depth": [2, 3]},
        "layer1/share": {"layer1/drop": [True]},
        "layer2/width": {"depth": [3]},
        "layer2/drop": {"depth": [3]},
        "layer2/share": {"layer2/drop": [True]},
    }
    assert analysis.warnings == ()
    assert analysis.tunables[0].place == "helper.py:3"
    space = search_space(analysis.tunables)
    assert (space["kind"], space["helper/x"]) == (Choice(["flat", "deep"]), Bool())
    assert (space["rate"], space["depth"]) == (Float(0.001, 1.0, log=True), Int(1, 3, when={"kind": ["deep"]}))


def test_no_tunables_no_space():
    with pytest.raises(PlanError, match=r"declares no tunables.*tunable\.Int"):
        search_space([])


def test_a_candidate_that_breaks_the_plan_is_a_warning(make_tree):
    analysis = analyse_tree(make_tree('model = Model()\n1 / tunable.Int("n", 1, candidates=[0, 1])\n'))
    assert [t.name for t in analysis.tunables] == ["n"]
    assert len(analysis.warnings) == 1
    assert "with n=0 the plan fails: plan.py:8" in analysis.warnings[0]


def test_set_becomes_the_default_and_is_checked(make_tree):
    declare = 'if tunable.Bool("deep", False):\n    tunable.Int("width", 16, candidates=[16, 32])\nmodel = Model()\n'
    analysis = analyse_tree(make_tree('tunable.Set({"deep": True, "width": 32})\n' + declare))
    assert {t.name: t.default for t in analysis.tunables} == {"deep": True, "width": 32}
    inactive = analyse_tree(make_tree('tunable.Set({"width": 32})\n' + declare))
    assert inactive.warnings == ("plan.py:7: the tunable 'width' is not active with the other values; its value has no effect.",)
    with pytest.raises(PlanError, match=r"plan\.py:7: there is no tunable 'widht'\. Did you mean 'width'"):
        analyse_tree(make_tree('tunable.Set({"widht": 32})\n' + declare))
    with pytest.raises(PlanError, match=r"plan\.py:7: tunable\.Set of 'deep', which stands at plan\.py:8: 1 is not a bool"):
        analyse_tree(make_tree('tunable.Set({"deep": 1})\n' + declare))


FEATURES = 'from wichtel.plans import plan\nplan.features([plan.Numeric("a")])\n'
METADATA = 'plan.metadata(primary_metric="auc", better="larger")\n'
MODEL = "class M:\n  def fit(self): ...\n  def predict(self): ...\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n1 / 0\n", r"^plan\.py:2: loading the plan failed: ZeroDivisionError: division by zero$"),
        ("import broken\n", r"^broken\.py:2: is not valid Python: '\(' was never closed"),
        (
            "\nimport nosuchpackage.x\n",
            r"^plan\.py:2: needs package nosuchpackage, which is not installed here.*put nosuchpackage\.py beside",
        ),
        ("import json.nosuch\n", r"needs the module json\.nosuch, which the package json does not have"),
        ("import sys\nsys.exit(3)\n", r"^plan\.py:2: calls sys\.exit\(3\)"),
        ("import os\nos._exit(4)\n", r"ended the process \(exit status 4\) without a result"),
        ("import os\nprint('last words')\nos.kill(os.getpid(), 11)\n", r"crashed with SIGSEGV.*last words"),
        ("input()\n", r"EOFError"),
        ("print('nothing')\n", r"^plan\.py: defines no model\. Assign a keras\.Model, or an object with fit and predict, to 'model'"),
        (MODEL + "model = M\n", r"'model' is no model but a type"),
        (MODEL + "a, b = M(), M()\n", r"several models: a, b\. Name the one to be trained 'model'"),
        (MODEL + "model = M()\n", r"declares no features.*plan\.features\("),
        (FEATURES + MODEL + "model = M()\n", r"has no metadata\. Add: .*plan\.metadata\(primary_metric="),
        (FEATURES + FEATURES, r"plan\.py:4: feature 'a' is declared twice"),
        (FEATURES + METADATA + METADATA, r"plan\.py:4: plan\.metadata was called before, at plan\.py:3"),
        (FEATURES + METADATA.replace("larger", "more"), r"better is 'larger' or 'smaller', not 'more'"),
        (FEATURES.replace('"a"', '"a", transform="log"'), r"plan\.py:2: feature 'a': unknown transform 'log'\. Did you mean 'log1p'"),
        (
            'from wichtel.plans import tunable\ntunable.Bool("a", True)\ntunable.Bool("a", False)\n',
            r"^plan\.py:3: the tunable 'a' is declared differently at plan\.py:2",
        ),
    ],
)
def test_what_is_wrong_with_a_plan(make_tree, source, message):
    with pytest.raises(PlanError, match=message):
        analyse_tree(make_tree(source, told=False, **{"broken.py": "x = 1\ny = ("}))


def test_a_keras_plan(make_tree):
    tree = make_tree(
        """
import keras
from wichtel.plans import plan, tunable
inputs = plan.features([plan.Categorical("carrier", buckets=4), plan.Numeric("distance")])
embedded = keras.layers.Embedding(4, tunable.Int("width", 2, candidates=[2, 3]))(inputs["carrier"])
joined = keras.layers.Concatenate()([embedded, keras.layers.Reshape((1,))(inputs["distance"])])
model = keras.Model(inputs, keras.layers.Dense(1)(joined))
model.compile("sgd", "mse")
plan.metadata(primary_metric="rmse", better="smaller")
""",
        told=False,
    )
    analysis = analyse_tree(tree)
    assert analysis.trainer == "keras"
    assert analysis.parameters == 4 * 2 + (2 + 1) + 1
    assert {"keras", "jax"} <= analysis.versions.keys()
    assert analysis.warnings == ()
