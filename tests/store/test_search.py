"""What a query finds in a database is what it says."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wichtel.domain import (
    BUILT_IN_INTENTS,
    Experiment,
    ExperimentConfig,
    ExperimentResult,
    ExperimentState,
    ExperimentStatus,
    InvalidInput,
    Model,
    Registration,
    Sort,
    Verdict,
    VerdictStatus,
    parse_query,
)
from wichtel.domain.query import And, Compare, Match, Moment, Not, Or, Pattern, Word
from wichtel.store import Database, codec
from wichtel.store.search import _fits

OWNERS = ("ana", "Bo", "c%d_e!")
MODELS = ("ads/ctr", "ads/cvr", "Flights/late", 'it\'s "odd"')
PROTOCOLS = ("Train", "TuneHyperparameters")
TEAMS = ("red", "blue")
CAUSES = ("", "$NaN", "No gain.", "100% sure, \\ at_last", "Müller's PLAN")


def experiment(number: int, start: datetime, pick: random.Random) -> Experiment:
    """One of many sorts."""
    state = pick.choice(list(ExperimentState))
    created = start - timedelta(hours=pick.randrange(24 * 40), microseconds=pick.choice([0, 1]))
    started = None if state is ExperimentState.ENQUEUED else created + timedelta(minutes=pick.randrange(90))
    finished = state is ExperimentState.FINISHED
    if finished and pick.random() < 0.2:
        started = None
    result = None
    if finished and pick.random() < 0.7:
        baseline = {"auc": pick.choice([0.5, 0.7]), "loss": pick.choice([0.0, 1.0])}
        candidate = {"auc": pick.choice([0.5, 0.7, 0.702]), "loss": pick.choice([0.5, math.nan, math.inf]), "only": 3.0}
        verdict = Verdict(status=VerdictStatus.SATISFIED, intent="x", findings=(), reason="")
        result = ExperimentResult(
            baseline="b",
            candidate="c",
            verdict=verdict,
            models_trained=pick.randrange(3),
            baseline_metrics=baseline,
            candidate_metrics=candidate,
        )
    return Experiment(
        id=f"e-{number:02}",
        registration=pick.choice(["r-1", "r-2"]),
        model=pick.choice(MODELS),
        target="v",
        protocol=pick.choice(PROTOCOLS),
        config=ExperimentConfig(intent=pick.choice(BUILT_IN_INTENTS), priority=pick.choice([0, 0, 5])),
        owner=pick.choice(OWNERS),
        quota_group=pick.choice(TEAMS),
        state=state,
        status=pick.choice(list(ExperimentStatus)) if finished else None,
        cause=pick.choice(CAUSES) if finished else "",
        result=result,
        created=created,
        started=started,
        finished=None,
    )


@pytest.fixture
def many(database: Database) -> list[Experiment]:
    """Forty, ended at various times."""
    with database.transaction() as tx:
        now = tx.now
        for name in MODELS:
            tx.models.add(Model(name=name, owner="me", team="t", head="v", created=now))
        for name in ("r-1", "r-2"):
            tx.registrations.add(Registration(id=name, owner="me", models=(), protocols=(), experiments=(), created=now))
    pick = random.Random(1)
    made = [experiment(i, now, pick) for i in range(40)]
    found = []
    for e in made:
        with database.transaction() as tx:
            # Its end is told to the store as a service would.
            ends = e.state is ExperimentState.FINISHED
            tx.experiments.add(replaced(e, state=ExperimentState.IN_PROGRESS, status=None, cause="", result=None) if ends else e)
            if ends:
                assert e.status is not None
                tx.experiments.finish(e.id, e.status, e.cause, e.result)
            found.append(tx.experiments.get(e.id))
    return found


def replaced(e: Experiment, **changes) -> Experiment:
    from dataclasses import replace

    return replace(e, **changes)


# What a query says, said plainly


def holds(query, e: Experiment, now: datetime) -> bool:
    match query:
        case And():
            return all(holds(q, e, now) for q in query.terms)
        case Or():
            return any(holds(q, e, now) for q in query.terms)
        case Not():
            return not holds(query.term, e, now)
        case Word():
            texts = (e.id, e.model, e.protocol, e.owner, e.config.intent.name, e.cause)
            return any(matches(Pattern(("", *query.pattern.parts, "")), text) for text in texts)
        case Match():
            value = value_of(e, query.field, query.metric)
            return value is not None and any(has(query.field, value, wanted, now) for wanted in query.values)
        case Compare():
            value = value_of(e, query.field, query.metric)
            if value is None:
                return False
            low, high = query.value.span(now) if isinstance(query.value, Moment) else (query.value, None)
            if high is None:
                return {"<": value < low, "<=": value <= low, ">": value > low, ">=": value >= low}[query.operator]
            return {"<": value < low, "<=": value < high, ">": value >= high, ">=": value >= low}[query.operator]


def has(field: str, value, wanted, now: datetime) -> bool:
    if isinstance(wanted, Moment):
        begin, after = wanted.span(now)
        return begin <= value < after
    if not isinstance(wanted, Pattern):
        return value == wanted
    if wanted.anything:
        return value != ""
    if field == "cause":
        wanted = Pattern(("", *wanted.parts, ""))
    return matches(wanted, str(value))


def matches(pattern: Pattern, text: str) -> bool:
    if pattern.exact is not None:
        return text == pattern.exact
    import re

    lower = [re.escape("".join(c.lower() if c.isascii() else c for c in part)) for part in pattern.parts]
    return re.fullmatch(".*".join(lower), "".join(c.lower() if c.isascii() else c for c in text), re.DOTALL) is not None


def value_of(e: Experiment, field: str, metric: str):
    if metric:
        r = e.result
        before, after = (r.baseline_metrics.get(metric, math.nan), r.candidate_metrics.get(metric, math.nan)) if r else (math.nan,) * 2
        delta = after - before
        relative = 0.0 if delta == 0 else delta / before if before else delta * math.inf
        value = {"baseline": before, "candidate": after, "delta": delta, "relative": relative}.get(field, math.nan)
        return None if math.isnan(value) else value
    if field == "duration":
        return (e.finished - e.started).total_seconds() if e.finished and e.started else None
    if field == "models_trained":
        return e.result.models_trained if e.result else None
    places = {"team": e.quota_group, "intent": e.config.intent.name, "priority": e.config.priority}
    return places[field] if field in places else getattr(e, field)


NAMES = {
    "id": ("e-07", "e-1"),
    "registration": ("r-1",),
    "model": MODELS,
    "protocol": PROTOCOLS,
    "owner": OWNERS,
    "team": TEAMS,
    "intent": tuple(i.name for i in BUILT_IN_INTENTS),
    "cause": CAUSES,
}
PIECES = st.sampled_from(["", "a", "A", "e-", "/", "ads", "%", "_", "!", "\\", "'", "l", "ü", "late", "No gain"])
PATTERNS = st.lists(PIECES.filter(bool), max_size=1).flatmap(lambda inner: st.tuples(PIECES, PIECES).map(lambda e: (e[0], *inner, e[1])))
TIMES = st.sampled_from(["-7d", "-20d", "today", "yesterday"]).map(Moment)
NUMBERS = st.sampled_from([-1.0, 0.0, 0.5, 0.7, 0.002, 1.0, 2.0, 3.0, 1e300, 3600.0])


@st.composite
def terms(draw):
    kind = draw(st.sampled_from(["name", "word", "time", "number", "metric", "free"]))
    operator = draw(st.sampled_from(["<", "<=", ">", ">="]))
    anything = Pattern(("", ""))
    if kind == "free":
        return Word(draw(PATTERNS.map(Pattern) | PIECES.map(lambda p: Pattern((p,)))))
    if kind == "name":
        field = draw(st.sampled_from(sorted(NAMES)))
        value = PATTERNS.map(Pattern) | st.sampled_from(NAMES[field]).map(lambda v: Pattern((v,))) | st.just(anything)
        return Match(field, tuple(draw(st.lists(value, min_size=1, max_size=3))))
    if kind == "word":
        field, words = draw(st.sampled_from([("state", ExperimentState), ("status", ExperimentStatus)]))
        value = st.sampled_from(list(words)).map(lambda v: Pattern((str(v),))) | st.sampled_from([anything, Pattern(("", "_e", ""))])
        return Match(field, tuple(draw(st.lists(value, min_size=1, max_size=2))))
    if kind == "time":
        field = draw(st.sampled_from(["created", "started", "finished"]))
        return Compare(field, operator, draw(TIMES))
    metric = draw(st.sampled_from(["auc", "loss", "only", "none"])) if kind == "metric" else ""
    fields = ["delta", "relative", "baseline", "candidate", "low"] if metric else ["duration", "models_trained", "priority"]
    field, number = draw(st.sampled_from(fields)), draw(NUMBERS)
    return draw(
        st.sampled_from([Compare(field, operator, number, metric), Match(field, (number,), metric), Match(field, (anything,), metric)])
    )


QUERIES = st.recursive(
    terms(),
    lambda inner: st.one_of(
        inner.map(Not), st.lists(inner, max_size=3).map(lambda q: And(tuple(q))), st.lists(inner, max_size=3).map(lambda q: Or(tuple(q)))
    ),
    max_leaves=6,
)


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_database_finds_what_the_query_says(database, many, data):
    query = data.draw(QUERIES)
    with database.read() as tx:
        found = tx.experiments.search(query, total=True)
        expected = sorted((e for e in many if holds(query, e, tx.now)), key=lambda e: (e.created, e.id), reverse=True)
    assert [e.id for e in found.items] == [e.id for e in expected]
    assert found.total == len(expected)


@given(word=st.sampled_from([*ExperimentState, *ExperimentStatus]), pattern=PATTERNS | st.just(("", "_", "")) | st.just(("S", "D", "")))
def test_patterns_of_words(word, pattern):
    assert _fits(str(word), Pattern(pattern)) == matches(Pattern(pattern), str(word))


COLUMN_ORDERS = ["-created", "created", "id", "-id", "-finished", "started", "-duration", "status", "model", "-owner", "team"]
NUMBER_ORDERS = ["models_trained", "-delta.auc", "delta.loss", "-relative.loss", "candidate.only", "delta.none"]


@pytest.mark.parametrize("sort", [*COLUMN_ORDERS, *NUMBER_ORDERS])
def test_pages_in_every_order_cover_all_once_and_in_order(database, many, sort):
    order, seen, cursor = Sort.read(sort), [], None
    while True:
        with database.read() as tx:
            page = tx.experiments.search("-owner:Bo", sort=order, limit=3, cursor=cursor)
        seen += page.items
        cursor = page.cursor
        if cursor is None:
            break
    expected = [e for e in many if e.owner != "Bo"]
    assert sorted(e.id for e in seen) == sorted(e.id for e in expected)
    values = [value_of(e, order.field, order.metric) for e in seen]
    have = [v for v in values if v is not None]
    assert have == sorted(have, reverse=order.descending)
    assert all(v is None for v in values[len(have) :]), "those without a value come last"


def test_what_is_handed_on_as_it_is_stored_is_what_would_be_written(database, many):
    with database.read() as tx:
        page = tx.experiments.search("", limit=30, total=True)
        written = tx.experiments.search_written("", limit=30, total=True)
    assert [bytes(raw) for raw in written.items] == [codec.encode(e) for e in page.items]
    assert (written.cursor, written.total) == (page.cursor, page.total)
    assert any(e.cause == "$NaN" for e in page.items)
    assert any(e.result is not None for e in page.items)


def test_a_cursor_of_another_order_is_refused(database, many):
    with database.read() as tx:
        cursor = tx.experiments.search(limit=3).cursor
        with pytest.raises(InvalidInput, match="another order"):
            tx.experiments.search(limit=3, sort=Sort.read("id"), cursor=cursor)
        with pytest.raises(InvalidInput, match="no cursor"):
            tx.experiments.search(cursor="x")


def test_what_people_ask(database, many):
    def ids(text: str) -> set[str]:
        with database.read() as tx:
            return {e.id for e in tx.experiments.search(text).items}

    assert ids("") == {e.id for e in many}
    assert ids("model:ADS*") == {e.id for e in many if e.model.startswith("ads")}
    assert ids("model:ADS/ctr") == set()
    assert ids('model:"ads*"') == set()
    assert ids("status:canceled,user_error") == {e.id for e in many if e.status in ("CANCELED", "USER_ERROR")}
    assert ids("-status:*") == {e.id for e in many if e.status is None}
    assert ids('"no GAIN"') == {e.id for e in many if e.cause == "No gain."}
    assert ids("delta.auc>0.2") == {e.id for e in many if e.result and value_of(e, "delta", "auc") > 0.2}
    assert ids(f"created>{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}") == set()
    assert ids("created<=today") == {e.id for e in many}


def test_numbers_of_findings_are_searched_by(database, many):
    from wichtel.domain import Constraint, Estimate, Expectation, Finding, Outcome

    estimate = Estimate(
        metric="auc", baseline=0.5, candidate=0.75, low=0.125, high=0.5, relative_low=0.25, relative_high=1.0, confidence=0.95, method=""
    )
    finding = Finding(
        constraint=Constraint(metric="auc", expectation=Expectation.LARGER), estimate=estimate, outcome=Outcome.HOLDS, reason=""
    )
    verdict = Verdict(status=VerdictStatus.SATISFIED, intent="x", findings=(finding,), reason="")
    one = next(e for e in many if e.state is ExperimentState.IN_PROGRESS)
    with database.transaction() as tx:
        tx.experiments.finish(one.id, ExperimentStatus.SATISFIED, "", ExperimentResult(baseline="b", candidate="c", verdict=verdict))
    with database.read() as tx:
        assert [e.id for e in tx.experiments.search("low.auc>=0.125 high.auc=0.5 relative.auc>=50%").items] == [one.id]


def test_what_is_too_much_is_refused_and_not_the_databases_error(database, many):
    with database.read() as tx:
        tx.experiments.search(parse_query(" ".join(f"x{i}" for i in range(100))))
        tx.experiments.search(parse_query("model:" + ",".join(f"a{i}*" for i in range(100))))
        tx.experiments.search(parse_query("models_trained:1e300,99999999999 -delta.x<1e-320"))
