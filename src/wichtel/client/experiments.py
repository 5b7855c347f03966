"""Registrations and the experiments they make."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wichtel.client.connection import Connection, NoService
from wichtel.client.handover import get_patch, save_branch, save_folder
from wichtel.domain import Comparison, Experiment, ExperimentResult, ExperimentState, ExperimentStatus, Registration, Unavailable
from wichtel.store import codec

if TYPE_CHECKING:
    from wichtel.client.analysis import ComparisonTable
    from wichtel.client.repository import Branch
    from wichtel.experiments.preview import Extent, RegistrationPreview
    from wichtel.workflows import StepStatus

#: Between two looks, and how long a service may be gone while somebody waits; both in seconds.
_LOOK = 0.5
_GONE = 120.0


class Registrations:
    """Models × protocols, as somebody asked for them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, request: Mapping[str, Any]) -> Registration:
        """Make a registration; `Client.register` puts the request together."""
        return codec.read(self._connection.call("POST", "/v1/registrations", body=dict(request)).content, Registration)

    def preview(self, request: Mapping[str, Any], *, forecast: Extent | None = None) -> RegistrationPreview:
        """What a registration would make; nothing is stored.

        Args:
            request: As of `add`. With ``skip_unfit``, the answer's `refused` are the pairs that would be left out, each with why.
            forecast: What ``"each"`` would take and need, or what they would take ``"together"``.

        Raises:
            InvalidInput: a pair that does not fit, unless such are to be left out.
        """
        from wichtel.experiments.preview import RegistrationPreview

        answer = self._connection.call("POST", "/v1/registrations:preview", body=dict(request), query={"forecast": forecast})
        return codec.read(answer.content, RegistrationPreview)

    def get(self, identity: str) -> Registration:
        """One registration.

        Raises:
            NotFound: there is none.
        """
        return self._connection.get(Registration, f"/v1/registrations/{quote(identity)}")

    def list(self, *, owner: str | None = None, limit: int | None = 100) -> builtins.list[Registration]:
        """The newest first: all, or an owner's; at most `limit`, None for all."""
        return self._connection.pages(Registration, "/v1/registrations", limit, owner=owner)

    def cancel(self, identity: str) -> Registration:
        """Cancel all its experiments that are not finished.

        Raises:
            NotFound: there is none.
            IllegalTransition: it is canceled already.
        """
        return codec.read(self._connection.call("POST", f"/v1/registrations/{quote(identity)}:cancel").content, Registration)


class Experiments:
    """Experiments."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, identity: str) -> Experiment:
        """One experiment, with its verdict once it has one.

        Raises:
            NotFound: there is none.
        """
        return self._connection.get(Experiment, f"/v1/experiments/{quote(identity)}")

    def search(self, query: str = "", *, sort: str = "-created", limit: int | None = 50) -> list[Experiment]:
        """Experiments that fit `query`, such as ``owner:ana model:ads* -status:SATISFIED delta.auc>0.002 created>-7d``.

        Args:
            query: In the query language of the guide; empty for all.
            sort: A field of it; with a minus before it the largest first. Those without a value come last.
            limit: Most that are returned; None for all.

        Raises:
            InvalidInput: `query` or `sort` says nothing.
        """
        return list(self.each(query, sort=sort, limit=limit))

    def each(self, query: str = "", *, sort: str = "-created", limit: int | None = None) -> Iterator[Experiment]:
        """The same, one by one: a page is asked for when it is needed."""
        return self._connection.each(Experiment, "/v1/experiments", limit, query=query, sort=sort)

    def rows(self, query: str, fields: Sequence[str], *, sort: str = "-created", limit: int | None = 50) -> builtins.list[dict[str, Any]]:
        """As `search`, but only these fields of each, such as ``id``, ``result.verdict.reason``."""
        wanted = ",".join(fields)
        return self._connection.pages(dict[str, Any], "/v1/experiments", limit, query=query, sort=sort, fields=wanted)

    def count(self, query: str = "") -> int:
        """How many fit `query`; 10000 stands for so many or more."""
        from wichtel.store import Page

        page = self._connection.get(Page[dict[str, Any]], "/v1/experiments", query=query, count=True, limit=1, fields="id")
        return page.total or 0

    def steps(self, identity: str) -> builtins.list[StepStatus]:
        """The steps of its workflow and how far each is; empty before it starts."""
        from wichtel.workflows import StepStatus

        return self._connection.all(StepStatus, f"/v1/experiments/{quote(identity)}/steps")

    def diff(self, identity: str) -> str:
        """The unified diff from the model to the candidate; empty if there is none."""
        return self._connection.call("GET", f"/v1/experiments/{quote(identity)}/diff").text

    def compare(
        self,
        identities: Sequence[str] = (),
        *,
        query: str = "",
        reference: str = "",
        objectives: Sequence[str] = (),
    ) -> ComparisonTable:
        """Put experiments of one version and protocol side by side.

        Args:
            identities: Their ids; or
            query: What they have in common, in the language of searches.
            reference: The one that all are compared with, beside their baselines.
            objectives: The metrics that say which are Pareto-efficient; by default those that their intents constrain.

        Raises:
            NotFound: there is no such experiment.
            InvalidInput: nothing is found, too many, or an objective that none of them reports.
        """
        from wichtel.client.analysis import ComparisonTable

        asked = {"ids": ",".join(identities) or None, "query": query or None, "reference": reference or None}
        found = self._connection.get(Comparison, "/v1/analysis", **asked, objectives=",".join(objectives) or None)
        return ComparisonTable(found)

    def rerun(self, identity: str, *, on: str = "target", seed: str = "same") -> Experiment:
        """Register an experiment again with the same configuration.

        Args:
            identity: Its id.
            on: ``target`` for the version that it started from, ``head`` for what its model is now.
            seed: ``same`` or ``fresh``.

        Raises:
            NotFound: there is none, or its protocol is gone.
            InvalidInput: the configuration does not fit the model's head.
        """
        answer = self._connection.call("POST", f"/v1/experiments/{quote(identity)}:rerun", query={"on": on, "seed": seed})
        return codec.read(answer.content, Experiment)

    def patch(self, identity: str, *, prefix: str = "") -> str:
        """The candidate as a patch that ``git apply`` and ``git am`` take, with the verdict as its message.

        Args:
            identity: Of the experiment.
            prefix: The model's folder in its repository.

        Raises:
            IllegalTransition: there is no candidate, or it has the source of the model.
        """
        return get_patch(self._connection, identity, prefix).decode()

    def folder(self, identity: str, folder: str | Path, *, prefix: str = "") -> Path:
        """Write the candidate into a new `folder`: description, patch, source tree; raises as `patch`."""
        return save_folder(self._connection, identity, Path(folder), prefix)

    def branch(self, identity: str, repository: str | Path, *, name: str | None = None, path: str = "") -> Branch:
        """Make a branch of a git repository on this machine with the candidate as its one commit.

        Args:
            identity: Of the experiment.
            repository: Its folder. Working tree, index and other branches stay as they are.
            name: The branch's; by default ``wichtel/<id>``.
            path: The model's folder in the repository.

        Raises:
            AlreadyExists: there is such a branch.
            IllegalTransition: the files at HEAD are not those that the experiment started from.
        """
        return save_branch(self._connection, identity, Path(repository), name, path)

    def cancel(self, identity: str) -> Experiment:
        """End it now.

        Raises:
            NotFound: there is none.
            IllegalTransition: it has finished.
        """
        return codec.read(self._connection.call("POST", f"/v1/experiments/{quote(identity)}:cancel").content, Experiment)

    def finish(self, identity: str, status: ExperimentStatus, cause: str, result: ExperimentResult | None = None) -> Experiment:
        """Set how it ended; needs the role admin.

        Args:
            identity: Its id.
            status: How.
            cause: Why, in words.
            result: What came of it, if something did.

        Raises:
            NotFound: there is none.
            IllegalTransition: it has finished.
        """
        body = {"status": status, "cause": cause, "result": result}
        return codec.read(self._connection.call("POST", f"/v1/experiments/{quote(identity)}:finish", body=body).content, Experiment)

    def watch(self, identities: Sequence[str]) -> Iterator[builtins.list[Experiment]]:
        """Look at experiments, now and then, until all have finished; each time yield them as they stand.

        The service may restart meanwhile.

        Args:
            identities: Their ids.

        Raises:
            NotFound: there is no such experiment.
            NoService: the service is gone, and for two minutes.
            Unavailable: it has asked for two minutes to come again.
        """
        known: dict[str, Experiment] = {}
        heard = time.monotonic()
        while True:
            looked = time.monotonic()
            try:
                for identity in identities:
                    if identity not in known or known[identity].state is not ExperimentState.FINISHED:
                        known[identity] = self.get(identity)
                        heard = time.monotonic()
            except (NoService, Unavailable):
                if len(known) < len(set(identities)) or time.monotonic() - heard > _GONE:
                    raise
            found = [known[identity] for identity in identities]
            yield found
            if all(e.state is ExperimentState.FINISHED for e in found):
                return
            # Many experiments take long to look at: never more than a fifth of the time is spent on it.
            time.sleep(max(_LOOK, 4 * (time.monotonic() - looked)))

    def wait(self, identities: str | Sequence[str], *, timeout_seconds: float | None = None) -> builtins.list[Experiment]:
        """Wait until all have finished; return them in the order in which they were asked for.

        Args:
            identities: Ids of experiments.
            timeout_seconds: None to wait for ever.

        Raises:
            TimeoutError: it took longer.
            NotFound: there is no such experiment.
            NoService: the service is gone, and for two minutes.
        """
        begin = time.monotonic()
        found: builtins.list[Experiment] = []
        for found in self.watch([identities] if isinstance(identities, str) else identities):
            late = timeout_seconds is not None and time.monotonic() - begin > timeout_seconds
            if late and any(e.state is not ExperimentState.FINISHED for e in found):
                raise TimeoutError(f"not finished after {timeout_seconds:g} seconds")
        return found
