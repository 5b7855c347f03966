"""What a registration would make, before there is one, as it is told to programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wichtel.domain import Experiment
from wichtel.experiments.forecasts import Cost, Outlook
from wichtel.experiments.registration import RegisterModels, Survey

if TYPE_CHECKING:
    from wichtel.experiments.forecasts import Forecasts
    from wichtel.experiments.principal import Principal
    from wichtel.experiments.service import Experiments

#: Of each experiment, or of all together.
Extent = Literal["each", "together"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A pair of model and protocol that would be left out, and why."""

    model: str
    protocol: str
    #: As of errors: ``invalid_input``, ``not_permitted`` and so on.
    code: str
    message: str
    where: str | None = None
    #: What to do about it.
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationPreview:
    """What a registration would make."""

    #: The experiments, with their complete configurations.
    items: tuple[Experiment, ...]
    #: The pairs that would be left out, as ``skip_unfit`` allows.
    refused: tuple[Misfit, ...] = ()
    #: What each of `items` would take and need, in their order, if that was asked for.
    forecasts: tuple[Outlook, ...] = ()
    #: What they would take together, each on its own, if that was asked for.
    together: Cost | None = None


def preview(
    experiments: Experiments, forecasts: Forecasts, request: RegisterModels, principal: Principal, forecast: Extent | None = None
) -> RegistrationPreview:
    """What `request` would make; nothing is stored.

    Raises:
        NotFound: an unknown model or protocol.
        InvalidInput: a pair that does not fit, unless such are to be left out; or too many to forecast each.
    """
    if request.skip_unfit:
        found = experiments.survey(request, principal)
    else:
        found = Survey(experiments=tuple(experiments.preview(request, principal)), refused=())
    return RegistrationPreview(
        items=found.experiments,
        refused=tuple(
            Misfit(
                model=one.model,
                protocol=one.protocol,
                code=one.error.code,
                message=one.error.message,
                where=one.error.where,
                hint=one.error.hint,
            )
            for one in found.refused
        ),
        forecasts=forecasts.each(found.experiments) if forecast == "each" else (),
        together=forecasts.together(found.experiments) if forecast == "together" else None,
    )
