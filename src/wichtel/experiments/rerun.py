"""Experiments once more: is what one found there again?"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from enum import StrEnum

from wichtel.domain import Experiment
from wichtel.experiments.ids import id_of
from wichtel.experiments.models import refuse_archived
from wichtel.experiments.registration import check_metrics
from wichtel.protocols import get_protocol
from wichtel.store import Transaction


class On(StrEnum):
    """What an experiment is repeated on."""

    #: The version that it started from.
    TARGET = "target"
    #: The version that experiments on its model start from now.
    HEAD = "head"


class Seed(StrEnum):
    """With which luck."""

    #: The same: trainings that are exact come to the same numbers.
    SAME = "same"
    #: Another: would the verdict have been the same with other seeds?
    FRESH = "fresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """How an experiment is to be repeated."""

    on: On = On.TARGET
    seed: Seed = Seed.SAME


def once_more(tx: Transaction, experiment: Experiment, how: Rerun, *, registration: str, owner: str) -> Experiment:
    """`experiment` as it would be registered again, with its configuration.

    Args:
        tx: The transaction that is to store it.
        experiment: Finished or not.
        how: On what, with which seed.
        registration: That it belongs to.
        owner: Who asks.

    Raises:
        NotFound: its model or its protocol is gone.
        InvalidInput: the configuration does not fit the model any more.
    """
    model = tx.models.get(experiment.model)
    refuse_archived(model)
    version = tx.versions.get(experiment.target if how.on is On.TARGET else model.head)
    config = experiment.config
    # The head may have other tunables; and another version of a plug-in other parameters.
    parameters = get_protocol(experiment.protocol).check(config.parameters, version.analysis)
    check_metrics(config.intent, version.analysis)
    if how.seed is Seed.FRESH:
        config = replace(config, seed=secrets.randbelow(2**31), origin={**config.origin, "seed": "rerun"})
    return Experiment(
        id=id_of("e", registration, model.name, "0"),
        registration=registration,
        model=model.name,
        target=version.id,
        protocol=experiment.protocol,
        config=replace(config, parameters=parameters, rerun_of=experiment.id),
        owner=owner,
        quota_group=model.team,
        created=tx.now,
    )
