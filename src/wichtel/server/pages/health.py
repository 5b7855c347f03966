"""Health: whether everything works, and if not, what to do; processes, workers, jobs, failures that nobody knows yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from starlette.responses import Response

from wichtel.domain import InvalidInput, Run, RunState
from wichtel.domain.health import JobHealth, ReplicaHealth, SystemHealth
from wichtel.server.pages.reader import PageReader, Reader, page_router
from wichtel.store import JobStatus, TriageState

router = page_router("/health")

_ROLES = ("api", "orchestrator", "controller")
#: Runs at work that are shown.
_MOST_RUNS = 50
_CASES = 20

#: How a problem is told → what to do.
_REMEDIES = (
    ("has been silent", "See whether it still runs; if it should be gone, there is nothing to do: its work is taken over."),
    ("works", "Start one: `wichtel serve --roles ROLE`."),
    ("nobody leads", "One of those that stand by takes over within a minute. If not, look into the log of a controller."),
    ("different versions", "Bring all replicas to the same version; they work together meanwhile."),
    ("quarantine", "Their machine may be short of memory, or cannot start Python: see the log of the controller."),
    ("failed", "Read what it says, put that right, and have the job run now."),
    ("has been due", "No process carries it out: see whether an orchestrator works."),
)


@dataclass(frozen=True, slots=True)
class Job:
    """A periodic job. Only admins know what it did."""

    health: JobHealth
    status: JobStatus | None


@router.get("")
def health(
    reader: Reader, state: Annotated[str, Query(max_length=10)] = "open", cursor: Annotated[str, Query(max_length=1000)] = ""
) -> Response:
    """The page, or for htmx what changes on it."""
    found = reader.app.health.get()
    return reader.show(
        "parts/health.html" if reader.partial else "health.html",
        title="Everything works" if found.status == "ok" else "Something is wrong",
        h=found,
        problems=[(problem, _remedy(problem)) for problem in found.problems],
        roles=_by_role(found),
        runs=_at_work(reader),
        jobs=_jobs(reader, found),
        run_not=reader.why_not("run_job"),
        cases=None if reader.partial else reader.app.triage.list(state=_state(state), limit=_CASES, cursor=cursor or None),
        states=[
            (name, f"/health?state={key}#triage")
            for name, key in (("Open", "open"), ("Known", "known"), ("Fixed", "fixed"), ("All", "all"))
        ],
        state=f"/health?state={state}#triage",
        cursor=cursor,
        following=lambda after: f"/health?{urlencode({'state': state, 'cursor': after})}#triage",
        resolve_not=reader.why_not("resolve_case"),
    )


@router.post("/jobs/{job}/run")
def run(reader: Reader, job: str) -> Response:
    """Have a job carried out now."""
    reader.app.jobs.request(job, reader.principal)
    return reader.go("/health#jobs")


@router.post("/triage/{case}")
def resolve(reader: Reader, case: str) -> Response:
    """Say what became of a failure."""
    state = _state(reader.form.one("state"))
    if state is None:
        raise InvalidInput("this says nothing about the failure.", where="state", hint="Choose open, known or fixed.")
    reader.app.triage.resolve(case, state, reader.form.one("note").strip(), reader.principal)
    return reader.go("/health#triage")


def _state(name: str) -> TriageState | None:
    """None stands for all."""
    return TriageState(name) if name in tuple(TriageState) else None


def _remedy(problem: str) -> str:
    return next((remedy for told, remedy in _REMEDIES if told in problem), "")


def _by_role(found: SystemHealth) -> list[tuple[str, list[ReplicaHealth]]]:
    return [(role, [replica for replica in found.replicas if role in replica.roles]) for role in _ROLES]


def _at_work(reader: PageReader) -> list[tuple[Run, str]]:
    """What workers carry out, with the page of whatever it is for."""
    return [(run, _for(run.spec.owner)) for run in reader.app.runs.list(state=RunState.RUNNING, limit=_MOST_RUNS)]


def _for(owner: str) -> str:
    kind, _, rest = owner.partition("/")
    if kind == "experiment":
        return f"/experiments/{rest.partition('/')[0]}"
    return f"/studies/{rest}" if kind == "study" else ""


def _jobs(reader: PageReader, found: SystemHealth) -> list[Job]:
    known = {job.name: job for job in reader.app.jobs.list(reader.principal)} if reader.principal.may("see_jobs") else {}
    return [Job(job, known.get(job.name)) for job in sorted(found.jobs, key=lambda job: (not job.failures, job.name))]
