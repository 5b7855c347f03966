import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wichtel.domain import (
    BUILT_IN_INTENTS,
    Algorithm,
    Analysis,
    Bool,
    Choice,
    Constraint,
    Dataset,
    Estimate,
    Expectation,
    Experiment,
    ExperimentConfig,
    ExperimentResult,
    ExperimentState,
    ExperimentStatus,
    Feature,
    Fixed,
    Float,
    Int,
    Intent,
    InvalidInput,
    Job,
    Measurement,
    Metadata,
    Metric,
    MetricKind,
    Model,
    ModelVersion,
    Objective,
    QuotaGroup,
    Registration,
    Resources,
    Run,
    RunSpec,
    RunState,
    Space,
    Study,
    StudySpec,
    StudyState,
    Trial,
    Tunable,
    Verdict,
    Window,
)
from wichtel.store import codec

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def a_space() -> Space:
    return Space(
        {
            "lr": Float(1e-5, 1e-1, log=True),
            "drop": Float(0.0, 0.5, step=0.1),
            "width": Int(16, 256, step=16, when={"deep": [True]}),
            "deep": Bool(),
            "act": Choice(["relu", 1, 1.5, None, False, "$NaN"]),
            "seed": Fixed("$$Infinity", when={"act": ["relu", None]}),
        }
    )


def values() -> list[Any]:
    space = a_space()
    metric = Metric(name="auc", kind=MetricKind.QUALITY, better=Expectation.LARGER)
    windows = [Window(start=NOW + timedelta(days=i), end=NOW + timedelta(days=i + 1)) for i in range(3)]
    analysis = Analysis(
        trainer="keras",
        features=(Feature(name="carrier", kind="categorical", buckets=32), Feature(name="d", kind="numeric", transform="log1p")),
        tunables=(Tunable(name="tower/width", kind="int", default=32, candidates=(16, 32, True, None, "x"), when={"deep": [True, 1]}),),
        metadata=Metadata(primary_metric="auc", better="larger", metrics=(metric,), hints={"tower": {"deep": [1, None]}, "odd": math.nan}),
        job=Job(dataset="flights", label="late", train=windows[0], evaluation=windows[1], holdout=windows[2], order="shuffled"),
        versions={"keras": "3"},
    )
    intent = BUILT_IN_INTENTS[0].resolve("auc", Expectation.LARGER)
    estimates = {
        c.metric: Estimate(
            metric=c.metric,
            baseline=0.0,
            candidate=1.0,
            low=0.5,
            high=math.inf,
            relative_low=-math.inf,
            relative_high=math.inf,
            confidence=0.95,
            method="bootstrap",
        )
        for c in intent.constraints
    }
    verdict = Verdict.of(intent, estimates)
    result = ExperimentResult(
        baseline="v1",
        candidate="v2",
        verdict=verdict,
        untouched=("a", "b"),
        baseline_metrics={"loss": math.inf},
        best=({"config": {"x": 1}, "loss": math.nan},),
    )
    config = ExperimentConfig(intent=intent, parameters={"trials": 3, "x": [1, 2.0, "$NaN", {"$Infinity": -math.inf}]})
    spec = StudySpec(
        id="s-1",
        name="mine",
        space=space,
        objectives=(Objective(metric="auc", better="larger"),),
        entry="m:f",
        pruner=Algorithm(name="asha", options={"eta": 3}),
        enqueued=({"lr": 0.1, "drop": 0.1, "deep": False, "act": 1.5},),
        resources=Resources(cpus=0.5, memory_bytes=1 << 33),
        timeout_seconds=1.5,
    )
    run = RunSpec(id="s-1/0", entry="m:f", payload={"config": {"a": None}, "inf": math.inf})
    return [
        space,
        analysis,
        *BUILT_IN_INTENTS,
        QuotaGroup(name="g", max_in_progress=0),
        Model(name="a/b", owner="me", team="t", head="v1", created=NOW),
        ModelVersion(id="v1", model="a/b", tree="0" * 64, analysis=analysis, created=NOW),
        Dataset(name="d", digest="0" * 64, time_column="t", columns={"t": "timestamp"}, rows=1, start=NOW, end=NOW, created=NOW),
        Registration(id="r", owner="me", models=("a",), protocols=("p", "q"), experiments=("e",), created=NOW, canceled=NOW),
        Experiment(
            id="e",
            registration="r",
            model="a/b",
            target="v1",
            protocol="p",
            config=config,
            owner="me",
            quota_group="t",
            state=ExperimentState.FINISHED,
            status=ExperimentStatus.SATISFIED,
            result=result,
            created=NOW,
        ),
        Run(spec=run, state=RunState.FAILED, result=[1, {"a": math.inf}], error={"code": "x"}, created=NOW),
        Measurement(run="r", attempt=1, step=3, metrics={"loss": math.inf, "auc": -math.inf, "n": 3.0}),
        Study(spec=spec, state=StudyState.RUNNING, created=NOW, started=NOW),
        Trial(study="s-1", number=3, config={"x": "$NaN", "y": 1, "z": True, "n": None}, metrics={"a": math.inf}, created=NOW),
    ]


@pytest.mark.parametrize("value", values(), ids=lambda v: type(v).__name__)
def test_each_value_of_the_domain_comes_back_as_it_was(value):
    data = codec.encode(value)
    assert json.loads(data, parse_constant=pytest.fail) == codec.to_plain(value)
    # NaN is not equal to itself, so what is compared is how they print.
    for back in (codec.decode(data, type(value)), codec.read(data, type(value)), codec.from_plain(codec.to_plain(value), type(value))):
        assert repr(back) == repr(value)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.from_regex(r"\$*(NaN|Infinity|-Infinity)", fullmatch=True)
)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4))


@given(trees)
def test_any_plain_value_comes_back_with_its_infinities(tree):
    data = codec.encode(tree)
    assert repr(codec.read(data, Any)) == repr(tree)
    assert repr(codec.decode(data, Any)) == repr(tree)
    json.loads(data, parse_constant=pytest.fail)


finite = st.floats(-1e6, 1e6)
options = st.lists(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4), min_size=1, max_size=4).filter(
    lambda found: len({(type(o), o) for o in found}) == len(found)
)
parameters = (
    st.tuples(finite, finite).map(lambda p: Float(min(p), max(p)))
    | st.tuples(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9)).map(lambda p: Float(min(p), max(p), log=True))
    | st.tuples(st.integers(-99, 99), st.integers(0, 99), st.integers(1, 9)).map(lambda p: Int(p[0], p[0] + p[1], step=p[2]))
    | options.map(Choice)
    | st.just(Bool())
    | (st.integers() | st.text()).map(Fixed)
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), parameters, min_size=1, max_size=5), st.data())
def test_spaces_come_back_with_their_order_and_their_conditions(found, data):
    parent = data.draw(st.sampled_from(sorted(found)))
    child = Bool(when={parent: found[parent].values(3)[:2]})
    space = Space({**found, f"{parent}/child": child})
    back = codec.decode(codec.encode(space), Space)
    assert back == space
    assert list(back) == list(space)


@given(
    st.builds(
        Constraint,
        metric=st.text(min_size=1).filter(str.strip),
        expectation=st.sampled_from(Expectation),
        threshold=st.floats(-0.9, 0.9),
        relative=st.booleans(),
        confidence=st.floats(0.51, 0.99),
    )
)
def test_constraints_come_back(constraint):
    assert codec.decode(codec.encode(constraint), Constraint) == constraint


@pytest.mark.parametrize(
    ("data", "kind", "where", "message"),
    [
        (
            '{"name":"i","primary":"a","constraints":[{"metric":"a","expectation":"lager"}]}',
            Intent,
            "$.constraints[0].expectation",
            "lager",
        ),
        (
            '{"name":"i","primary":"a","constraints":[{"metric":"a","expektation":"larger"}]}',
            Intent,
            "$.constraints[0].expektation",
            "Did you mean",
        ),
        ('{"name":"g","max_in_progress":"4"}', QuotaGroup, "$.max_in_progress", "int"),
        ('{"name":"g","max_in_progress":1.5}', QuotaGroup, "$.max_in_progress", "int"),
        ("{}", QuotaGroup, "$", "name"),
        ("[1]", QuotaGroup, "$", "object"),
        ('{"name":', QuotaGroup, None, "not JSON"),
        (b"\xff\xfe", QuotaGroup, None, "not JSON"),
        ('{"name":"g","max_in_progress":-1}', QuotaGroup, "quota group 'g'", "negative"),
        ('{"x":{"kind":"flot"}}', Space, "parameter 'x'", "Did you mean"),
        ('{"run":"r","attempt":1,"step":1,"metrics":{"a":null}}', Measurement, "$.metrics[...]", "float"),
    ],
)
def test_what_a_user_typed_wrongly_is_refused_with_its_place(data, kind, where, message):
    with pytest.raises(InvalidInput, match=message.replace("$", r"\$")) as error:
        codec.decode(data, kind)
    assert error.value.where == where


def test_the_same_object_read_from_toml_needs_no_text_form_of_times():
    window = codec.from_plain({"start": NOW, "end": "2027-01-01T00:00:00+02:00"}, Window)
    assert window.end == datetime(2027, 1, 1, tzinfo=timezone(timedelta(hours=2)))


def test_numbers_of_numpy_are_numbers():
    assert codec.encode({"a": np.float32(0.5), "b": np.int64(3), "c": np.float64("inf"), "d": np.bool_(True)}) == (
        b'{"a":0.5,"b":3,"c":"$Infinity","d":true}'
    )


def test_what_json_cannot_hold_is_refused():
    for bad in (object(), {"f": open}, np.zeros(3)):
        with pytest.raises(InvalidInput, match="cannot be written as JSON"):
            codec.encode(bad)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidInput, match="cannot be written as JSON"):
        codec.encode(endless)


@dataclass(frozen=True, kw_only=True)
class _Nested:
    children: dict[str, "list[_Nested]"] = field(default_factory=dict)


def test_an_unknown_field_is_found_at_any_depth():
    with pytest.raises(InvalidInput, match="there is no field 'x'") as error:
        codec.from_plain({"children": {"a": [{}, {"children": {"b": [{"x": 1}]}}]}}, _Nested)
    assert error.value.where == "$.children.a[1].children.b[0].x"
