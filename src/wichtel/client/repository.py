"""A candidate as a branch of a git repository on this machine. Its working tree, its index and its other branches stay as they are."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wichtel.domain import AlreadyExists, IllegalTransition, InvalidInput, UserError

#: Of a file that was not there before.
_MODE = "100644"
_FILES = ("100644", "100755")
#: Differences that an error names.
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """What was made."""

    #: The repository's folder.
    repository: str
    branch: str
    #: The one commit on it.
    commit: str
    #: The commit it comes after.
    base: str
    #: The repository's own default for pushing; empty if it has no remote.
    remote: str = ""

    @property
    def push(self) -> str:
        """How to push it."""
        return f"git -C {self.repository} push {self.remote or 'REMOTE'} {self.branch}"


def make_branch(
    repository: Path,
    branch: str,
    *,
    path: str,
    old: Mapping[str, bytes],
    new: Mapping[str, bytes],
    message: str,
    author: tuple[str, str],
    date: datetime,
) -> Branch:
    """Make a branch with one commit after HEAD, in which the files `old` are `new`.

    Args:
        repository: Its folder, or one within it.
        branch: A name that is free.
        path: The folder of the files, from `repository`.
        old: Path → content, as the repository must have them.
        new: Likewise, as they are to be.
        message: The commit's.
        author: Name and address.
        date: When the author made it; aware.

    Raises:
        InvalidInput: no repository, no commit in it, or no name for a branch.
        AlreadyExists: the branch is there.
        IllegalTransition: the files at HEAD are not `old`; it says where.
        UserError: git is not installed, or refuses.
    """
    git = _Git(repository)
    root = git.enter()
    folder = "/".join(part for part in [*root.split("/"), *path.split("/")] if part not in ("", "."))
    # It would also resolve "@{-1}".
    if git.try_("check-ref-format", "--branch", branch) != branch:
        raise InvalidInput(f"{branch!r} cannot name a branch.", where="branch", hint="Such as wichtel/e-1.")
    ref = f"refs/heads/{branch}"
    if git.try_("show-ref", "--verify", "--quiet", ref) is not None:
        raise AlreadyExists(f"there is a branch {branch!r} already.", where=str(repository), hint="Name another with --branch.")
    head = git.try_("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head is None:
        raise InvalidInput("it has no commit yet.", where=str(repository), hint="Commit the model to it first.")
    there = git.tree(head, folder)
    raw = _check(git, there, folder, old, new, where=f"{repository}, HEAD {head[:12]}")
    changed = {name: new.get(name) for name in {*old, *new} if old.get(name) != new.get(name)}
    # As the working tree would have come into the repository, with its line ends and other filters, unless it came in another way.
    entries = []
    for name, after in sorted(changed.items()):
        place = _join(folder, name)
        # A file keeps whether it is executable.
        mode = there.get(place, (_MODE, ""))[0] if after is not None else "0"
        blob = git.keep(place, after, filtered=name not in raw) if after is not None else "0" * len(head)
        entries.append(f"{mode} {blob}\t{place}\0")
    with tempfile.TemporaryDirectory(prefix="wichtel-") as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        git("read-tree", head, more=index)
        # Deletions first, so that a file may take the place of a folder.
        git("update-index", "-z", "--index-info", data="".join(sorted(entries, key=lambda e: not e.startswith("0 "))).encode(), more=index)
        tree = git("write-tree", more=index)
    if tree == git("rev-parse", f"{head}^{{tree}}"):
        raise IllegalTransition("it has the change already.", where=f"{repository}, HEAD {head[:12]}")
    who = {"GIT_AUTHOR_NAME": author[0], "GIT_AUTHOR_EMAIL": author[1], "GIT_AUTHOR_DATE": date.isoformat(timespec="seconds")}
    if git.try_("var", "GIT_COMMITTER_IDENT") is None:
        who |= {"GIT_COMMITTER_NAME": author[0], "GIT_COMMITTER_EMAIL": author[1]}
    commit = git("commit-tree", tree, "-p", head, "-F", "-", data=message.encode(), more=who)
    # Only if it is still not there: two who make it at the same time do not both succeed.
    git("update-ref", "-m", "wichtel: candidate", ref, commit, "0" * len(commit))
    remotes = git("remote").split()
    remote = "origin" if "origin" in remotes else remotes[0] if remotes else ""
    return Branch(repository=str(repository), branch=branch, commit=commit, base=head, remote=remote)


def _check(
    git: _Git, there: Mapping[str, tuple[str, str]], folder: str, old: Mapping[str, bytes], new: Mapping[str, bytes], *, where: str
) -> set[str]:
    """Which files are in the repository byte by byte, though its filters would have made them others.

    Raises:
        IllegalTransition: the repository has not the files `old`, or has one that `new` adds.
    """
    raw: set[str] = set()
    wrong: list[str] = []
    for name, content in old.items():
        path = _join(folder, name)
        mode, blob = there.get(path, ("", ""))
        if mode not in _FILES:
            wrong.append(f"{path} is {'no plain file' if mode else 'not there'}")
        elif git.blob(content) == blob:
            raw.add(name)
        elif git.keep(path, content, filtered=True, write=False) != blob:
            wrong.append(f"{path} differs")
    wrong += [f"{_join(folder, name)} is there already" for name in new if name not in old and _join(folder, name) in there]
    if wrong:
        more = f", and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise IllegalTransition(
            f"its files are not those that the experiment started from: {', '.join(wrong[:_NAMED])}{more}.",
            where=where,
            hint="Check out the commit that the model's version was added from, name the model's folder with --path, "
            "or take the patch and apply it with `git am -3`.",
        )
    return raw


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


class _Git:
    """Calls git in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._algorithm = "sha1"
        # What a hook or another call of git may have left behind would lead elsewhere.
        self._environment = {n: v for n, v in os.environ.items() if n not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")}
        # What it says is read here.
        self._environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}

    def __call__(self, *arguments: str, data: bytes = b"", more: Mapping[str, str] | None = None) -> str:
        done = self._run(arguments, data, more)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise UserError(f"git {arguments[0]} failed: {said}", where=str(self._folder))
        return done.stdout.decode(errors="surrogateescape").strip("\n")

    def try_(self, *arguments: str) -> str | None:
        """What it prints; None if it fails."""
        done = self._run(arguments, b"", None)
        return None if done.returncode else done.stdout.decode(errors="surrogateescape").strip("\n")

    def _run(self, arguments: Sequence[str], data: bytes, more: Mapping[str, str] | None) -> subprocess.CompletedProcess[bytes]:
        try:
            environment = {**self._environment, **(more or {})}
            return subprocess.run(["git", *arguments], cwd=self._folder, input=data, env=environment, capture_output=True, check=False)
        except FileNotFoundError:
            if self._folder.is_dir():
                raise UserError("git is not installed.", hint="Install it, or export with --patch or --folder.") from None
            raise InvalidInput("there is no such folder.", where=str(self._folder)) from None
        except NotADirectoryError:
            raise InvalidInput("it is no folder.", where=str(self._folder)) from None

    def enter(self) -> str:
        """Go to the root of the repository; return the folder, from there, that this was in.

        Raises:
            InvalidInput: there is no repository, or it is not this user's.
        """
        done = self._run(["rev-parse", "--is-bare-repository"], b"", None)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
            raise InvalidInput(f"it is no git repository ({said}).", where=str(self._folder))
        self._algorithm = self("rev-parse", "--show-object-format")
        if done.stdout.strip() == b"true":
            return ""
        prefix = self("rev-parse", "--show-prefix")
        self._folder = Path(self("rev-parse", "--show-toplevel"))
        return prefix

    def tree(self, commit: str, folder: str) -> dict[str, tuple[str, str]]:
        """Path from the root → mode and id, of what is in `folder`."""
        arguments = ["ls-tree", "-r", "-z", "--full-tree", commit, *(["--", f"{folder}/"] if folder else [])]
        listed = self._run(arguments, b"", None).stdout.decode(errors="surrogateescape")
        entries = (entry.partition("\t") for entry in listed.split("\0") if entry)
        return {path: (about.split()[0], about.split()[2]) for about, _, path in entries}

    def blob(self, content: bytes) -> str:
        """The id of a file in this repository, as it is."""
        return hashlib.new(self._algorithm, b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

    def keep(self, path: str, content: bytes, *, filtered: bool, write: bool = True) -> str:
        """The id of a file at `path`; with `write` it is kept, with `filtered` it goes through the filters that path has."""
        how = ["--path", path] if filtered else ["--no-filters"]
        return self("hash-object", *(["-w"] if write else []), *how, "--stdin", data=content)
