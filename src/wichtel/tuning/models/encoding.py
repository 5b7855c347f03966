"""Configurations as vectors: each number on [0, 1] on its own scale, each choice by its position. What models and evolution work with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from random import Random
from typing import Any

import numpy as np

from wichtel.domain import Bool, Choice, Config, Fixed, Float, Int, Parameter, Space, Value
from wichtel.domain.parameter import same

Vector = np.ndarray[Any, np.dtype[np.float64]]


class Column:
    """One parameter that varies.

    A number's entry lies in [0, 1], evenly on its scale (logarithmic if `Float.log`). Whole and stepped numbers each own a *cell* of
    that range and stand for all of it; linear ones have cells of the same size, and entries in their middles. A choice's entry is its
    position among `options`, from 0.
    """

    def __init__(self, name: str, parameter: Parameter) -> None:
        self.name = name
        self.parameter = parameter
        #: Of a choice; empty for a number.
        self.options: tuple[Value, ...] = ()
        #: How many values there are; 0 for a continuous number.
        self.count = 0
        self._step: float = 0
        if isinstance(parameter, Choice | Bool | Fixed):
            self.options = tuple(parameter.values(1))
            self.count = len(self.options)
            return
        self._log = parameter.log
        self._step = parameter.step or 0
        if isinstance(parameter, Int) or parameter.step is not None:
            self.count = math.floor((parameter.high - parameter.low) / self._step + 1e-9) + 1
        # With log, numbers are whole or continuous: half a step on both sides makes a cell for the outermost.
        half = 0.5 if self._log and self.count else 0.0
        self._low, self._high = float(parameter.low - half), float(parameter.high + half)
        if self._log:
            self._low, self._high = math.log(self._low), math.log(self._high)

    @property
    def categorical(self) -> bool:
        """Whether it is a choice, whose values have no order."""
        return bool(self.options)

    def encode(self, value: Value) -> float:
        """The entry for `value`."""
        if self.options:
            return float(next(i for i, option in enumerate(self.options) if same(value, option)))
        assert isinstance(value, int | float)
        assert isinstance(self.parameter, Int | Float)
        if self._log:
            return min(max((math.log(value) - self._low) / (self._high - self._low), 0.0), 1.0)
        if self.count:
            return (round((value - self.parameter.low) / self._step) + 0.5) / self.count
        return min(max((value - self._low) / (self._high - self._low), 0.0), 1.0)

    def decode(self, entry: float) -> Value:
        """The value for `entry`; entries out of range mean the nearest value."""
        if self.options:
            return self.options[min(max(int(entry), 0), self.count - 1)]
        p = self.parameter
        assert isinstance(p, Int | Float)
        if self.count and not self._log:
            value = p.low + min(max(math.floor(entry * self.count), 0), self.count - 1) * self._step
            return int(value) if isinstance(p, Int) else min(value, p.high)
        value = self._low + entry * (self._high - self._low)
        value = math.exp(min(max(value, self._low), self._high)) if self._log else value
        return min(max(round(value) if isinstance(p, Int) else value, p.low), p.high)

    def snap(self, entries: Vector) -> Vector:
        """The entries, shape (n,), of the values nearest to `entries`."""
        if self.options:
            return np.clip(np.floor(entries), 0, self.count - 1)
        if not self.count:
            return np.clip(entries, 0.0, 1.0)
        if not self._log:
            return (np.clip(np.floor(entries * self.count), 0, self.count - 1) + 0.5) / self.count
        return (np.log(self._whole(entries)) - self._low) / (self._high - self._low)

    def cells(self, entries: Vector) -> tuple[Vector, Vector]:
        """Lower and upper ends, each of shape (n,), of the cells of whole or stepped numbers that `entries` lie in."""
        if not self._log:
            at = np.clip(np.floor(entries * self.count), 0, self.count - 1)
            return at / self.count, (at + 1) / self.count
        whole, width = self._whole(entries), self._high - self._low
        return (np.log(whole - 0.5) - self._low) / width, (np.log(whole + 0.5) - self._low) / width

    def draw(self, random: Random) -> float:
        """The entry of a value drawn as `Space.sample` would."""
        return self.encode(self.parameter.sample(random))

    def _whole(self, entries: Vector) -> Vector:
        assert isinstance(self.parameter, Int)
        values = np.exp(self._low + np.clip(entries, 0.0, 1.0) * (self._high - self._low))
        return np.clip(np.rint(values), self.parameter.low, self.parameter.high)


class Encoding:
    """Between configurations of `space` and vectors with one entry for each parameter that varies.

    >>> from wichtel.domain import Choice, Fixed, Float, Space
    >>> encoding = Encoding(Space({"lr": Float(0.01, 1, log=True), "act": Choice(["relu", "tanh"]), "seed": Fixed(1)}))
    >>> encoding.encode({"lr": 0.1, "act": "tanh", "seed": 1}).tolist()
    [0.5, 1.0]
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        #: In the order of the space: parents before those that depend on them.
        self.columns: tuple[Column, ...] = tuple(Column(name, p) for name, p in space.items() if _varies(p))
        self._at = {column.name: i for i, column in enumerate(self.columns)}

    @property
    def dimensions(self) -> int:
        """The length d of a vector; 0 if the space has only one configuration."""
        return len(self.columns)

    def encode(self, config: Config) -> Vector:
        """The vector of `config`, shape (d,); NaN where a parameter is inactive."""
        vector = np.full(len(self.columns), np.nan)
        for i, column in enumerate(self.columns):
            if column.name in config:
                vector[i] = column.encode(config[column.name])
        return vector

    def decode(self, vector: Iterable[float], random: Random | None = None) -> Config:
        """The configuration of `vector`, shape (d,), always a legal one. Entries of inactive parameters are not looked at.

        Args:
            vector: Such as `encode` makes, or anything near.
            random: Draws the values of active parameters whose entry is NaN; without it they take the middle or the first option.
        """
        entries = list(vector)
        config: Config = {}
        for name, parameter in self.space.items():
            if not self.space.is_active(name, config):
                continue
            if name not in self._at:
                config[name] = parameter.values(1)[0]
                continue
            column, entry = self.columns[self._at[name]], float(entries[self._at[name]])
            if not math.isnan(entry):
                config[name] = column.decode(entry)
            elif random is not None:
                config[name] = parameter.sample(random)
            else:
                config[name] = column.decode(0.0 if column.categorical else 0.5)
        return config

    def mutate(self, config: Config, random: Random, *, scale: float = 0.2) -> Config:
        """A neighbour of `config`: one active parameter changes, and what that makes active is drawn.

        Args:
            config: A legal configuration.
            random: Draws.
            scale: Standard deviation of a number's change, as a share of its range; at least one step.

        Returns:
            `config` itself, copied, if nothing varies.
        """
        active = [i for i, column in enumerate(self.columns) if column.name in config]
        vector = self.encode(config)
        if active:
            i = random.choice(active)
            vector[i] = self._moved(self.columns[i], config[self.columns[i].name], float(vector[i]), random, scale)
        return self.decode(vector, random)

    @staticmethod
    def _moved(column: Column, value: Value, entry: float, random: Random, scale: float) -> float:
        if column.categorical:
            return float((int(entry) + random.randrange(1, column.count)) % column.count)
        for _ in range(100):
            moved = entry + random.gauss(0.0, scale)
            if 0.0 <= moved <= 1.0 and not same(column.decode(moved), value):
                return moved
        # A step so small, or a range so coarse, that it hardly ever leaves its cell.
        low, high = (float(end[0]) for end in column.cells(np.array([entry]))) if column.count else (entry, entry)
        beyond = [e for e in (low - 1e-9, high + 1e-9) if 0.0 < e < 1.0]
        return random.choice(beyond) if beyond else random.random()


def _varies(parameter: Parameter) -> bool:
    if isinstance(parameter, Float | Int):
        return Column("", parameter).count != 1 and parameter.low < parameter.high
    return len(parameter.values(1)) > 1
