"""Experiments side by side."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import Comparison
from wichtel.server.authentication import Services
from wichtel.server.idempotency import Route
from wichtel.server.nouns import NounRouter
from wichtel.server.wire import reply, returns

router = NounRouter(prefix="/analysis", tags=["analysis"], route_class=Route)


@router.get("", **returns(Comparison))
def compare(
    app: Services,
    ids: Annotated[str, Query(max_length=4000, description="Ids of experiments, with commas between them; or")] = "",
    query: Annotated[
        str, Query(max_length=4000, description="what they have in common, such as 'model:ads/ctr protocol:TrainModel'.")
    ] = "",
    reference: Annotated[str, Query(description="The experiment that all are compared with, beside their baselines.")] = "",
    objectives: Annotated[
        str, Query(max_length=4000, description="Metrics that say which are efficient; by default those that their intents constrain.")
    ] = "",
) -> Response:
    """Experiments of one version and protocol side by side: settings, metrics with intervals, constraints, which are Pareto-efficient, and
    why the numbers should not be trusted as they are.
    """
    return reply(app.comparisons.compare(_names(ids), query=query, reference=reference.strip(), objectives=_names(objectives)))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
