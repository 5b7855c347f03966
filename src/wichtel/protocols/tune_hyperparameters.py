"""`TuneHyperparameters`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from wichtel.domain import Analysis, Config, InvalidInput, Space, did_you_mean
from wichtel.plans import SourceTree, search_space
from wichtel.plans.tunable import check_value
from wichtel.protocols.parameter import ParameterSpec
from wichtel.protocols.tuning import SEARCH_PARAMETERS, Tuning
from wichtel.recipes import Edit, TunableSet


class TuneHyperparameters(Tuning):
    """Search the tunables of the plan, or a space that you give, for the configuration that serves the intent best."""

    name: ClassVar[str] = "TuneHyperparameters"
    recipes: ClassVar[tuple[str, ...]] = ("tunable_set",)
    parameters: ClassVar[tuple[ParameterSpec, ...]] = (
        *SEARCH_PARAMETERS,
        ParameterSpec(name="tunables", type="list", holds="tunables", help="Only these tunables; all of the plan's if absent."),
        ParameterSpec(
            name="space",
            type="table",
            holds="space",
            help='Replaces the plan\'s space for a tunable: {"width": {"kind": "int", "low": 8, "high": 64}}.',
        ),
    )
    needs: ClassVar[tuple[str, ...]] = ("tunables in plan.py", *Tuning.needs)

    def search_space(self, analysis: Analysis, parameters: Mapping[str, Any]) -> Space:
        """The space of the plan's tunables, narrowed and overridden as the user asked."""
        known = {t.name: t for t in analysis.tunables}
        if not known:
            raise InvalidInput(
                "the plan has no tunables.",
                where="plan.py",
                hint='Wrap a value: width = tunable.Int("width", default=32, candidates=[16, 32, 64]).',
            )
        given = dict(parameters.get("space") or {})
        chosen = list(parameters.get("tunables") or []) or list(given) or list(known)
        for name in (*chosen, *given):
            if not isinstance(name, str) or name not in known:
                raise InvalidInput(f"the plan has no tunable {name!r}.", hint=did_you_mean(str(name), known))
        space = dict(search_space(tuple(t for t in analysis.tunables if t.name in chosen)))
        if given:
            replaced = dict(Space.from_json(given))
            for name, parameter in replaced.items():
                if name not in space:
                    raise InvalidInput(f"'tunables' leaves {name!r} out, and 'space' names it.", where="parameter 'space'")
                # Otherwise every trial with such a value would fail, one after the other.
                for value in parameter.values(resolution=16):
                    check_value(known[name], value, where=f"parameter 'space', {name!r}")
            space |= replaced
        return Space({name: space[name] for name in space if name in chosen})

    def settings(self, config: Config) -> dict[str, Any]:
        """The configuration itself: its names are the tunables'."""
        return dict(config)

    def edit(self, tree: SourceTree, analysis: Analysis, config: Config) -> Edit:
        """Put the winner's values at the top of the plan."""
        return TunableSet().apply(tree, analysis, config)
