"""Onboarding: a plan that somebody pastes is checked, told what each protocol still needs of it, and added as a model.

Its code runs where that of every plan does, in a worker process; the lines that are proposed are found by reading the files.
"""

from __future__ import annotations

import base64
import binascii
import functools
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

from anyio import to_thread
from fastapi import Query
from starlette.responses import Response

from wichtel.domain import AlreadyExists, Analysis, InvalidInput, NotFound, NotPermitted, PlanError, UserError, WichtelError
from wichtel.experiments import Onboarding, with_lines
from wichtel.plans import SourceTree
from wichtel.server.exchange import current
from wichtel.server.pages.reader import Form, PageReader, Reader, page_router

router = page_router("/onboarding")

_FILES = {"plan": "plan.py", "job": "job.toml"}
#: Of an archive, as text: with the two files it has to fit into a form.
_MOST_ARCHIVE = 700_000


@dataclass(slots=True, kw_only=True)
class Draft:
    """The form as it was sent, and what came of it."""

    name: str = ""
    team: str = ""
    plan: str = ""
    job: str = ""
    #: A ZIP archive in base64: the files beside these two.
    archive: str = ""
    archive_name: str = ""
    #: The model of which this is to be a version.
    version_of: str = ""
    #: Of the archive, but for the two.
    others: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    wrong: WichtelError | None = None
    analysis: Analysis | None = None
    onboarding: list[Onboarding] = field(default_factory=list)
    #: Whether lines were put in, just now.
    edited: bool = False

    @property
    def has_lines(self) -> bool:
        """Whether something can be put in."""
        return any(lack.diff for one in self.onboarding for lack in one.lacks)


@router.get("")
def onboarding(reader: Reader, name: Annotated[str, Query(max_length=200)] = "") -> Response:
    """The form, for a new model or, with its name, a version of one."""
    draft = Draft(team=reader.principal.team)
    if name:
        try:
            model = reader.app.models.get(name)
        except NotFound:
            draft.name = name
        else:
            files = reader.app.models.files(model.head)
            draft = Draft(name=name, version_of=name, team=model.team)
            _take(draft, SourceTree(files))
    return _show(reader, draft)


@router.post("")
async def check(reader: Reader) -> Response:
    """Check it, put lines in, or add it; on one of the threads for what takes long."""
    return await to_thread.run_sync(functools.partial(_check, reader), limiter=current().limits.lengthy)


def _check(reader: PageReader) -> Response:
    models = reader.app.models
    draft = _read(reader.form)
    action = reader.form.one("action")
    try:
        tree = _tree(draft)
        if action == "add":
            new = not draft.version_of or draft.version_of != draft.name
            models.add(draft.name, tree.to_archive(), reader.principal, team=(draft.team or None) if new else None, new=new)
            return reader.go(f"/models/{quote(draft.name)}")
        draft.analysis, dataset = models.check(tree, reader.principal, team=draft.team or None)
        if action == "lines":
            tree = SourceTree(with_lines(draft.analysis, tree.files, dataset))
            _take(draft, tree)
            draft.edited = True
            draft.analysis, dataset = models.check(tree, reader.principal, team=draft.team or None)
        draft.onboarding = reader.app.protocols.onboarding(draft.analysis, tree.files, dataset)
    except NotPermitted:
        raise
    except WichtelError as error:
        draft.analysis = None
        place = _field(error)
        if place:
            draft.problems[place] = _told(error)
        else:
            draft.wrong = error
        return _show(reader, draft, 422 if isinstance(error, UserError) else 503)
    return _show(reader, draft)


def _show(reader: PageReader, draft: Draft, status: int = 200) -> Response:
    teams = sorted({reader.principal.team, *reader.principal.teams, *([draft.team] if draft.team else [])})
    return reader.show(
        "onboarding.html",
        status,
        title="Onboarding",
        draft=draft,
        teams=teams,
        datasets=[d.name for d in reader.app.datasets.list(20).items],
        most=_MOST_ARCHIVE * 3 // 4,
        add_not=reader.why_not("add_version" if draft.version_of else "add_model", team=draft.team or reader.principal.team),
    )


def _read(sent: Form) -> Draft:
    # Browsers send lines with both characters.
    plan, job = (sent.one(name).replace("\r\n", "\n") for name in _FILES)
    return Draft(
        name=sent.one("name").strip(),
        team=sent.one("team").strip(),
        plan=plan,
        job=job,
        archive=sent.one("archive"),
        archive_name=sent.one("archive_name")[:200],
        version_of=sent.one("version_of"),
    )


def _tree(draft: Draft) -> SourceTree:
    """The files: those of the archive, and the two as they stand in the form."""
    files: dict[str, bytes] = {}
    if draft.archive:
        if len(draft.archive) > _MOST_ARCHIVE:
            raise PlanError(
                "the archive is too large for a page.", where="archive", hint="On the command line: wichtel models add NAME FOLDER."
            )
        try:
            data = base64.b64decode(draft.archive, validate=True)
        except (binascii.Error, ValueError):
            raise PlanError("the archive did not arrive whole.", where="archive", hint="Choose it again.") from None
        try:
            files = dict(SourceTree.from_archive(data).files)
        except PlanError as error:
            raise PlanError(error.message, where="archive", hint=error.hint) from None
        draft.others = [path for path in files if path not in _FILES.values()]
    for name, path in _FILES.items():
        text = draft.plan if name == "plan" else draft.job
        if text.strip():
            files[path] = text.encode()
        elif path not in files:
            raise PlanError(f"there is no {path}.", where=path, hint="Paste it here, or choose the file.")
    tree = SourceTree(files)
    _take(draft, tree)
    return tree


def _take(draft: Draft, tree: SourceTree) -> None:
    """Show the files of `tree` in the form."""
    draft.others = [path for path in tree.files if path not in _FILES.values()]
    draft.plan, draft.job = (tree.files[path].decode(errors="replace") for path in _FILES.values())
    if draft.others and not draft.archive:
        packed = base64.b64encode(tree.to_archive()).decode()
        draft.archive, draft.archive_name = packed, f"{draft.version_of.replace('/', '-')}.zip"


def _field(error: WichtelError) -> str:
    """Which field of the form is wrong; empty if it is none of them."""
    where = error.where or ""
    if isinstance(error, AlreadyExists) or (isinstance(error, InvalidInput) and "cannot name a model" in error.message):
        return "name"
    if where == "archive":
        return "archive"
    if "job.toml" in where or where.startswith("dataset") or (isinstance(error, NotFound) and "dataset" in error.message):
        return "job"
    if "plan.py" in where or isinstance(error, PlanError):
        return "plan"
    return ""


def _told(error: WichtelError) -> str:
    if isinstance(error, AlreadyExists):
        return f"{error.message} To add a version of it, choose that on its page."
    return str(error)
