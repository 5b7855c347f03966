"""Reads a query from text. Every error says where, with a line that points at it."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import NoReturn

from wichtel.domain.errors import InvalidInput, did_you_mean
from wichtel.domain.query import (
    ALIASES,
    BARE_VALUE,
    FIELDS,
    KEYWORDS,
    And,
    Compare,
    Field,
    FieldKind,
    Match,
    Moment,
    Not,
    Or,
    Pattern,
    Query,
    Value,
    Word,
    seconds_of,
)

#: Longest query, in characters; most words and values in it; how deep parentheses may be. Databases have limits, too.
MOST_CHARACTERS = 4000
MOST_VALUES = 100
MOST_DEPTH = 20

_NAME = re.compile(r'([^\s"():<>=,*-][^\s"():<>=,*]*)(?=[":<>=])')
_OPERATOR = re.compile(r":|>=|<=|>|<|=")
_SPACE = re.compile(r"\s*")
_BARE_WORD = re.compile(r'[^\s"():<>=*]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_KEYWORD = re.compile(r'(OR|AND|NOT)(?=[\s()"]|$)')
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?%?", re.ASCII)
#: How much of a long query an error shows to each side.
_SHOWN = 60


def parse_query(text: str) -> Query:
    """The query that `text` says; an empty one is an `And` of nothing, which holds for everything.

    Raises:
        InvalidInput: it says none; `where` is the character, the message has a line that points at it.

    >>> parse_query("owner:ana -status:SATISFIED")
    And(terms=(Match(field='owner', values=(Pattern(parts=('ana',)),), metric=''), \
Not(term=Match(field='status', values=(Pattern(parts=('SATISFIED',)),), metric=''))))
    """
    return _Parser(text).query()


class _Parser:
    """Recursive descent; `at` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.values = 0

    def query(self) -> Query:
        if len(self.text) > MOST_CHARACTERS:
            raise InvalidInput(f"a query has at most {MOST_CHARACTERS:,} characters, not {len(self.text):,}.", where="query")
        for i, character in enumerate(self.text):
            if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\r\n":
                self.fail("this character cannot be searched for", i)
        self.space()
        if self.at == len(self.text):
            return And()
        found = self.either()
        if self.at < len(self.text):
            self.fail("there is no '(' for this ')'", self.at)
        return found

    def either(self) -> Query:
        terms = [self.every()]
        while self.keyword("OR"):
            terms.append(self.every(after="OR"))
        if len(terms) == 1:
            return terms[0]
        return Or(tuple(inner for term in terms for inner in (term.terms if isinstance(term, Or) else (term,))))

    def every(self, after: str = "") -> Query:
        terms: list[Query] = []
        while not self.ended() and not self.next_is("OR"):
            begin = self.at
            if self.keyword("AND") and (not terms or self.ended() or self.next_is("OR") or self.next_is("AND")):
                self.fail("AND stands between two terms", begin, 3)
            term = self.factor()
            terms += term.terms if isinstance(term, And) else (term,)
        if not terms:
            if self.next_is("OR"):
                self.fail("a term is missing before OR", self.at, 2, 'For the word itself, write "OR".')
            self.fail(f"a term is missing after {after}" if after else "a term is missing here", self.at)
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def factor(self) -> Query:
        opposite = False
        while True:
            begin = self.at
            if self.keyword("NOT"):
                length = 3
            elif self.text.startswith("-", self.at):
                self.at += 1
                length = 1
                if self.at < len(self.text) and self.text[self.at].isspace():
                    self.fail("a term is missing after '-'", begin, 1, "Write it without a space between.")
            else:
                break
            opposite = not opposite
            if self.ended():
                self.fail(f"a term is missing after {self.text[begin : begin + length]!r}", begin, length)
        term = self.group() if self.text.startswith("(", self.at) else self.term()
        self.space()
        if not opposite:
            return term
        return term.term if isinstance(term, Not) else Not(term)

    def group(self) -> Query:
        begin = self.at
        self.depth += 1
        if self.depth > MOST_DEPTH:
            self.fail(f"parentheses are at most {MOST_DEPTH} deep", begin)
        self.at += 1
        self.space()
        if self.text.startswith(")", self.at):
            self.fail("there is nothing between the parentheses", begin, self.at - begin + 1)
        found = self.either()
        if not self.text.startswith(")", self.at):
            self.fail("there is no ')' for this '('", begin)
        self.at += 1
        self.depth -= 1
        return found

    def term(self) -> Query:
        begin = self.at
        if name := _NAME.match(self.text, self.at):
            self.at = name.end()
            metric = self.quoted_metric() if name[1].endswith(".") else None
            if operator := _OPERATOR.match(self.text, self.at):
                self.at = operator.end()
                return self.of_field(name[1], metric, operator[0], begin, operator.start())
            self.at = begin
        word = self.pattern(_BARE_WORD)
        if word is None or self.text[self.at : self.at + 1] in (":", "<", ">", "="):
            hint = 'Put text that has it in quotes: "a:b".'
            self.fail(f"a field is missing before {self.text[self.at]!r}", self.at, 1, hint)
        return Word(word)

    def quoted_metric(self) -> str | None:
        """The metric of ``delta."a b"``, of which the dot is behind us."""
        if not self.text.startswith('"', self.at):
            return None
        found = _QUOTED.match(self.text, self.at)
        if found is None:
            self.fail("there is no closing quote for this one", self.at)
        self.at = found.end()
        return _unquoted(found[1])

    def of_field(self, name: str, metric: str | None, operator: str, begin: int, end: int) -> Query:
        field, metric = self.field(name, metric, begin, end)
        if operator not in (":", "="):
            if not field.kind.ordered:
                self.fail(f"{field.name} has no order", end, len(operator), f"Write {field.name}:value.")
            value = self.value(field, operator)
            if isinstance(value, Pattern):
                self.fail(f"'*' does not go with {operator!r}", self.at - 1)
            return Compare(field.name, operator, value, metric)
        values = [self.value(field, operator)]
        while self.text.startswith(",", self.at):
            self.at += 1
            values.append(self.value(field, ","))
        return Match(field.name, tuple(values), metric)

    def field(self, name: str, metric: str | None, begin: int, end: int) -> tuple[Field, str]:
        first, dot, rest = name.partition(".")
        field = FIELDS.get(ALIASES.get(first, first))
        length = end - begin
        if field is None or (not field.of_metric and (dot or metric is not None)):
            known = [f.name + ("." if f.of_metric else "") for f in FIELDS.values()]
            hint = did_you_mean(name if field is None else first, known)
            self.fail(f"there is no field {self.text[begin:end]!r}", begin, length, f'{hint} For plain text, use quotes: "a:b".')
        metric = rest + (metric or "")
        if field.of_metric and not metric:
            self.fail(f"{field.name} is of a metric", begin, length, f"For example {field.name}.auc.")
        return field, metric

    def value(self, field: Field, after: str) -> Value:
        begin = self.at
        pattern = self.pattern(BARE_VALUE)
        if pattern is None:
            hint = None
            if after in (":", "=") and self.text[self.at : self.at + 1] in ("<", ">"):
                hint = f"Write {field.name}{self.text[self.at]} without the {after!r}."
            elif self.text[self.at : self.at + 1].isspace():
                hint = "Write it without a space between."
            self.fail(f"a value is missing after {after!r}", max(self.at - len(after), 0), len(after), hint)
        if pattern.anything or field.kind in (FieldKind.NAME, FieldKind.TEXT):
            return pattern
        length = self.at - begin
        text = pattern.exact
        if field.kind is FieldKind.WORD:
            if text is None:
                return pattern
            if text.upper() not in field.words:
                hint = did_you_mean(text.upper(), field.words)
                self.fail(f"{text!r} is no {field.name}", begin, length, hint)
            return Pattern((text.upper(),))
        if text is None:
            self.fail(f"a {field.kind} has no '*' in it", begin, length, f"{field.name}:* asks whether there is one.")
        return self.quantity(field, text, after, begin, length)

    def quantity(self, field: Field, text: str, after: str, begin: int, length: int) -> Moment | float:
        try:
            if field.kind is FieldKind.TIME:
                moment = Moment(text)
                if moment.relative and after in (":", "=", ","):
                    self.fail("so long ago is a moment, which nothing is exactly", begin, length, f"Write {field.name}>{text}.")
                return moment
            if field.kind is FieldKind.DURATION:
                return seconds_of(text)
            number = _number(text)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no {field.kind}", begin, length, _EXAMPLES[field.kind])
        return number

    def pattern(self, bare: re.Pattern[str]) -> Pattern | None:
        """A run of bare and quoted pieces and ``*``; None if there is none."""
        parts, begin = [""], self.at
        while self.at < len(self.text):
            if self.text[self.at] == "*":
                # Two in a row are one.
                if len(parts) == 1 or parts[-1]:
                    parts.append("")
                self.at += 1
            elif self.text[self.at] == '"':
                found = _QUOTED.match(self.text, self.at)
                if found is None:
                    self.fail("there is no closing quote for this one", self.at)
                parts[-1] += _unquoted(found[1])
                self.at = found.end()
            elif piece := bare.match(self.text, self.at):
                parts[-1] += piece[0]
                self.at = piece.end()
            else:
                break
        if self.at == begin:
            return None
        self.values += 1
        if self.values > MOST_VALUES:
            self.fail(f"a query has at most {MOST_VALUES} words and values", begin, self.at - begin)
        return Pattern(tuple(parts))

    def space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        assert found is not None
        self.at = found.end()

    def ended(self) -> bool:
        """Whether nothing more of this group follows."""
        return self.at == len(self.text) or self.text[self.at] == ")"

    def next_is(self, keyword: str) -> bool:
        found = _KEYWORD.match(self.text, self.at)
        return found is not None and found[1] == keyword

    def keyword(self, word: str) -> bool:
        """Whether `word` follows; then it is behind us."""
        assert word in KEYWORDS
        if not self.next_is(word):
            return False
        self.at += len(word)
        self.space()
        return True

    def fail(self, message: str, at: int, length: int = 1, hint: str | None = None) -> NoReturn:
        begin = max(0, at - _SHOWN)
        shown = "".join(" " if c.isspace() else c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in self.text)
        shown = shown[begin : at + _SHOWN]
        before = "…" if begin else ""
        pointer = " " * (at - begin + len(before)) + "^" * max(1, min(length, len(shown) - (at - begin)))
        after = "…" if at + _SHOWN < len(self.text) else ""
        raise InvalidInput(f"{message}.\n  {before}{shown}{after}\n  {pointer}\n", where=f"query, character {at + 1}", hint=hint)


_EXAMPLES = {
    FieldKind.TIME: "For example 2026-10-01, 2026-10-01T12:30Z, -7d (so long ago) or today.",
    FieldKind.DURATION: "For example 90s, 30min, 1.5h or 2d.",
    FieldKind.NUMBER: "For example 0.002, -3, 1e-5 or 2%.",
}


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
