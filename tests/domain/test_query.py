import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wichtel.domain import InvalidInput
from wichtel.domain.query import (
    FIELDS,
    And,
    Compare,
    FieldKind,
    Match,
    Moment,
    Not,
    Or,
    Pattern,
    Sort,
    Word,
    all_of,
    compares,
    contains,
    equals,
    seconds_of,
)
from wichtel.domain.query_parser import MOST_CHARACTERS, MOST_VALUES, parse_query

NOW = datetime(2026, 10, 5, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("", And()),
        ("  \n", And()),
        ("flights", Word(Pattern(("flights",)))),
        ('"no gain, ever"', Word(Pattern(("no gain, ever",)))),
        ("owner:ana", equals("owner", "ana")),
        ("owner=ana", equals("owner", "ana")),
        ("quota_group:ads", equals("team", "ads")),
        ("model:ads/*", Match("model", (Pattern(("ads/", "")),))),
        ('model:"ads/*"', equals("model", "ads/*")),
        ('model:"a b"*', Match("model", (Pattern(("a b", "")),))),
        ("model:*late*", contains("model", "late")),
        ("status:satisfied,canceled", Match("status", (Pattern(("SATISFIED",)), Pattern(("CANCELED",))))),
        ("status:*_ERROR", Match("status", (Pattern(("", "_ERROR")),))),
        ("status:*", Match("status", (Pattern(("", "")),))),
        ("-status:**", Not(Match("status", (Pattern(("", "")),)))),
        ("NOT owner:ana", Not(equals("owner", "ana"))),
        ("--owner:ana", equals("owner", "ana")),
        ("a b", And((Word(Pattern(("a",))), Word(Pattern(("b",)))))),
        ("a AND b", parse_query("a b")),
        ("a b OR c", Or((parse_query("a b"), Word(Pattern(("c",)))))),
        ("a (b OR c)", And((Word(Pattern(("a",))), Or((Word(Pattern(("b",))), Word(Pattern(("c",)))))))),
        ("a (b (c))", parse_query("a b c")),
        ('"OR"', Word(Pattern(("OR",)))),
        ("ORange", Word(Pattern(("ORange",)))),
        ("delta.auc>0.002", Compare("delta", ">", 0.002, "auc")),
        ("relative.auc>=2%", Compare("relative", ">=", 0.02, "auc")),
        ('delta."a b"<-1e-3', Compare("delta", "<", -0.001, "a b")),
        ("delta.auc@5.x=1", Match("delta", (1.0,), "auc@5.x")),
        ("priority:1,2", Match("priority", (1.0, 2.0))),
        ("duration>1.5h", Compare("duration", ">", 5400.0)),
        ("created>-7d", Compare("created", ">", Moment("-7d"))),
        ("created:2026-10", Match("created", (Moment("2026-10"),))),
        ("created<=2026-10-01T12:30+02:00", Compare("created", "<=", Moment("2026-10-01T12:30+02:00"))),
    ],
)
def test_what_a_query_means(text, means):
    assert parse_query(text) == means
    assert parse_query(str(means)) == means


@pytest.mark.parametrize(
    ("text", "character", "message", "hint"),
    [
        ("model:ads ownr:ana", 11, "no field 'ownr'", "Did you mean 'owner'?"),
        ("status:SATISFYED", 8, "'SATISFYED' is no status", "'SATISFIED'"),
        ("delta>1", 1, "of a metric", "delta.auc"),
        ("owner.x:1", 1, "no field 'owner.x'", "quotes"),
        ("owner: ana", 6, "value is missing", "space"),
        ("created:>5", 8, "value is missing", "Write created> without"),
        ("owner>ana", 6, "no order", "owner:value"),
        ("created>tomorrow", 9, "no time", "-7d"),
        ("created:-7d", 9, "exactly", "created>-7d"),
        ("created>2026-02-30", 9, "no time", "2026-10-01"),
        ("duration>soon", 10, "no duration", "1.5h"),
        ("delta.auc>1e999", 11, "no number", "0.002"),
        ("delta.auc:1*", 11, "no '*'", "delta:*"),
        ("a (b", 3, "no ')'", None),
        ("a) b", 2, "no '('", None),
        ("a ()", 3, "nothing between", None),
        ("OR a", 1, "before OR", '"OR"'),
        ("a OR", 5, "after OR", None),
        ("a AND", 3, "between two", None),
        ("a - b", 3, "after '-'", "space"),
        ("-", 1, "after '-'", None),
        ('"a', 1, "closing quote", None),
        ("a :b", 3, "field is missing", "quotes"),
        ("owner:a,", 8, "after ','", None),
        ("a\x00", 2, "cannot be searched", None),
        ("(" * 30, 21, "20 deep", None),
    ],
)
def test_an_error_points_at_the_character(text, character, message, hint):
    with pytest.raises(InvalidInput, match=message.replace("*", ".").replace("(", ".").replace(")", ".")) as caught:
        parse_query(text)
    error = caught.value
    assert error.where == f"query, character {character}"
    _, line, caret, _ = error.message.split("\n")
    assert line.strip("… ") in text.replace("\x00", "\N{REPLACEMENT CHARACTER}").strip()
    assert caret.index("^") == character + 1
    assert hint is None or (error.hint is not None and hint in error.hint)


def test_a_long_query_shows_where_it_is_wrong_only():
    with pytest.raises(InvalidInput) as caught:
        parse_query("x " * 40 + "ownr:ana " + "y " * 40)
    _, line, caret, _ = caught.value.message.split("\n")
    assert len(line) < 130
    assert line[caret.index("^") :].startswith("ownr:ana")


def test_there_are_limits():
    with pytest.raises(InvalidInput, match="4,000"):
        parse_query("x" * (MOST_CHARACTERS + 1))
    parse_query("x " * MOST_VALUES)
    with pytest.raises(InvalidInput, match="100 words"):
        parse_query("x " * (MOST_VALUES + 1))


@given(st.text(max_size=60) | st.text(alphabet='ab :-"()*,<>=.ORANDT\\1e', max_size=40))
@example('delta."')
@example("owner:\\")
def test_any_text_is_a_query_or_invalid_input(text):
    try:
        query = parse_query(text)
    except InvalidInput:
        return
    assert parse_query(str(query)) == query


_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from('-*"\\(),:<>= ORAND'), max_size=6)


@st.composite
def _patterns(draw):
    inner = draw(st.lists(_TEXT.filter(bool), max_size=2))
    ends = draw(st.tuples(_TEXT, _TEXT)) if inner or draw(st.booleans()) else None
    return Pattern((ends[0], *inner, ends[1])) if ends else Pattern((draw(_TEXT),))


_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_METRICS = _TEXT.filter(bool)
_MOMENTS = st.sampled_from([Moment("2026"), Moment("2026-10"), Moment("2026-10-01T01:02:03.5Z"), Moment("today")])


@st.composite
def _terms(draw):
    field = draw(st.sampled_from(sorted(FIELDS.values(), key=lambda f: f.name)))
    metric = draw(_METRICS) if field.of_metric else ""
    kinds = {
        FieldKind.NAME: _patterns(),
        FieldKind.TEXT: _patterns(),
        FieldKind.WORD: st.sampled_from([Pattern((word,)) for word in field.words] or [None]),
        FieldKind.TIME: _MOMENTS,
        FieldKind.NUMBER: _FLOATS,
        FieldKind.DURATION: st.floats(min_value=0, max_value=1e9),
    }
    values = kinds[field.kind]
    if field.kind.ordered and draw(st.booleans()):
        return Compare(field.name, draw(st.sampled_from(["<", "<=", ">", ">="])), draw(values), metric)
    return Match(field.name, tuple(draw(st.lists(values | st.just(Pattern(("", ""))), min_size=1, max_size=3))), metric)


def _combined(inner):
    return st.one_of(
        inner.filter(lambda q: not isinstance(q, Not)).map(Not),
        st.lists(inner.filter(lambda q: not isinstance(q, And)), min_size=2, max_size=3).map(lambda terms: And(tuple(terms))),
        st.lists(inner.filter(lambda q: not isinstance(q, Or)), min_size=2, max_size=3).map(lambda terms: Or(tuple(terms))),
    )


queries = st.recursive(_terms() | _patterns().map(Word), _combined, max_leaves=6)


@given(queries)
def test_what_is_written_is_read_as_it_was(query):
    assert parse_query(str(query)) == query


@pytest.mark.parametrize(
    ("text", "begin", "seconds"),
    [
        ("2026", datetime(2026, 1, 1, tzinfo=UTC), 365 * 86_400),
        ("2026-12", datetime(2026, 12, 1, tzinfo=UTC), 31 * 86_400),
        ("2026-10-01", datetime(2026, 10, 1, tzinfo=UTC), 86_400),
        ("2026-10-01T12:30", datetime(2026, 10, 1, 12, 30, tzinfo=UTC), 60),
        ("2026-10-01T12:30:05+02:00", datetime(2026, 10, 1, 10, 30, 5, tzinfo=UTC), 1),
        ("2026-10-01T12:30:05.25Z", datetime(2026, 10, 1, 12, 30, 5, 250_000, tzinfo=UTC), 1e-6),
        ("-36h", datetime(2026, 10, 4, 0, 30, tzinfo=UTC), 1e-6),
        ("today", datetime(2026, 10, 5, tzinfo=UTC), 86_400),
        ("yesterday", datetime(2026, 10, 4, tzinfo=UTC), 86_400),
    ],
)
def test_a_time_is_as_long_as_it_is_precise(text, begin, seconds):
    first, after = Moment(text).span(NOW)
    assert first == begin
    assert after - first == timedelta(seconds=seconds)
    assert Moment(text).lasting == (Moment(text).span(NOW + timedelta(days=3)) == (first, after))


def test_durations():
    assert [seconds_of(t) for t in ("90", "90s", "2m", "2min", "1.5h", "1d", "1w")] == [90, 90, 120, 120, 5400, 86_400, 604_800]
    for wrong in ("", "h", "-1h", "1y", "1e99", "99999999d"):
        with pytest.raises(ValueError, match=r".*"):
            seconds_of(wrong)


def test_queries_are_put_together():
    assert all_of(None, None) == And()
    assert all_of(parse_query("a"), None) == parse_query("a")
    assert all_of(parse_query("a b"), equals("owner", "x y")) == parse_query('a b owner:"x y"')
    assert str(compares("created", ">=", NOW)) == "created>=2026-10-05T12:30:00.000000+00:00"
    assert parse_query(str(compares("created", "<", NOW))) == compares("created", "<", NOW)


def test_orders():
    for text in ("-created", "duration", "-delta.auc", "relative.a.b"):
        assert str(Sort.read(text)) == text
    assert Sort.read("quota_group") == Sort("team", descending=False)
    with pytest.raises(InvalidInput, match="no order by 'creatd'") as caught:
        Sort.read("-creatd")
    assert "'created'" in caught.value.hint
    for wrong in ("", "-", "delta", "delta.", "created.", "cause", "created.x"):
        with pytest.raises(InvalidInput):
            Sort.read(wrong)


def test_numbers_are_finite():
    assert not any(math.isinf(v) for v in parse_query("delta.x:1e308,-1e308").values)
