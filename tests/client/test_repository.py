"""Branches in real git repositories."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wichtel.client.repository import Branch, make_branch
from wichtel.domain import AlreadyExists, IllegalTransition, InvalidInput, UserError
from wichtel.testing.repositories import Repository, environment

OLD = {"plan.py": b"width = 1\n", "job.toml": b"a\r\nb", "weights": b"\0\xff", "gone.txt": b"bye\n", "täg.txt": b"x"}
NEW = {"plan.py": b"width = 2\n", "job.toml": b"a\r\nc", "weights": b"\0\xfe", "näw/file": b"", "täg.txt": b"x"}


@pytest.fixture(autouse=True)
def _nobodys_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    for name, value in environment().items():
        if name.startswith("GIT_CO"):
            monkeypatch.setenv(name, value)


def branch(folder: Path, name: str = "wichtel/e-1", path: str = "", old: dict[str, bytes] = OLD, new: dict[str, bytes] = NEW) -> Branch:
    return make_branch(
        folder,
        name,
        path=path,
        old=old,
        new=new,
        message="ads/ctr: wider\n\nBecause.\n",
        author=("Wichtel", "wichtel@example.org"),
        date=datetime(2026, 11, 2, 3, 4, 5, 678, tzinfo=UTC),
    )


def under(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{path}": content for path, content in files.items()}


def test_a_branch_has_one_commit_and_nothing_else_is_touched(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    head = repository.commit({**under("models/m", OLD), "README": b"hello\n"})
    repository.write({"README": b"changed\n", "models/m/plan.py": b"edited\n", "staged": b"s"})
    repository.git("add", "staged")
    before = repository.git("status", "--porcelain=v2", "--branch")
    made = branch(tmp_path, path="models/m")
    assert repository.git("status", "--porcelain=v2", "--branch") == before
    assert repository.files(made.commit) == {**under("models/m", NEW), "README": b"hello\n"}
    assert (made.base, made.branch) == (head, "wichtel/e-1")
    assert repository.git("rev-parse", "wichtel/e-1", "wichtel/e-1^").decode().split() == [made.commit, head]
    said = repository.git("log", "-1", "--format=%an <%ae> %at|%cn|%B", made.commit).decode().strip()
    assert said == "Wichtel <wichtel@example.org> 1793588645|Ana|ads/ctr: wider\n\nBecause."
    assert made.push == f"git -C {tmp_path} push REMOTE wichtel/e-1"
    repository.git("remote", "add", "upstream", "somewhere")
    assert branch(tmp_path, "other", path="models/m").push.endswith("push upstream other")


def test_from_within_the_models_folder(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.commit(under("models/m", OLD))
    made = branch(tmp_path / "models/m")
    assert repository.files(made.commit) == under("models/m", NEW)


def test_a_repository_without_a_working_tree(tmp_path: Path) -> None:
    Repository(tmp_path / "one").commit(OLD)
    bare = Repository(tmp_path / "bare", bare=True)
    bare.git("fetch", "-q", str(tmp_path / "one"), "main:main")
    assert bare.files(branch(tmp_path / "bare").commit) == NEW


def test_a_file_stays_executable(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.write(OLD)
    (tmp_path / "plan.py").chmod(0o755)
    repository.commit({})
    made = branch(tmp_path)
    assert repository.git("ls-tree", made.commit, "plan.py").startswith(b"100755 ")


def test_line_ends_go_the_way_they_went(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.commit({".gitattributes": b"*.py text eol=crlf\n", "plan.py": b"width = 1\r\n", "job.toml": b"a\r\n"})
    old = {"plan.py": b"width = 1\r\n", "job.toml": b"a\r\n"}
    made = branch(tmp_path, old=old, new={"plan.py": b"width = 2\r\n", "job.toml": b"b\r\n"})
    found = repository.files(made.commit)
    assert (found["plan.py"], found["job.toml"]) == (b"width = 2\n", b"b\r\n")


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.commit({"a/b": b"1", "c": b"2"})
    made = branch(tmp_path, old={"a/b": b"1", "c": b"2"}, new={"a": b"3", "c/d": b"4"})
    assert repository.files(made.commit) == {"a": b"3", "c/d": b"4"}


def test_other_files_than_the_experiment_started_from_are_refused_by_name(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.commit({**OLD, "plan.py": b"width = 3\n", "näw/file": b"mine"})
    (tmp_path / "gone.txt").unlink()
    (tmp_path / "gone.txt").symlink_to("plan.py")
    (tmp_path / "job.toml").unlink()
    repository.commit({})
    with pytest.raises(IllegalTransition) as caught:
        branch(tmp_path)
    for words in ("plan.py differs", "gone.txt is no plain file", "job.toml is not there", "näw/file is there already", "git am -3"):
        assert words in str(caught.value)
    assert "weights" not in str(caught.value)
    assert repository.git("branch", "--list", "wichtel/*") == b""


def test_a_branch_that_is_there_is_refused(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.commit(OLD)
    branch(tmp_path)
    with pytest.raises(AlreadyExists, match="wichtel/e-1"):
        branch(tmp_path)
    with pytest.raises(UserError, match="update-ref failed"):
        branch(tmp_path, "wichtel/e-1/more")


@pytest.mark.parametrize("name", ["", "-x", "a..b", "a b", "@{-1}", "x.lock", "a\nb"])
def test_names_that_git_refuses(tmp_path: Path, name: str) -> None:
    Repository(tmp_path).commit(OLD)
    with pytest.raises(InvalidInput, match="cannot name a branch"):
        branch(tmp_path, name)


def test_what_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no git repository"):
        branch(tmp_path)
    with pytest.raises(InvalidInput, match="no such folder"):
        branch(tmp_path / "nowhere")
    Repository(tmp_path)
    with pytest.raises(InvalidInput, match="no commit yet"):
        branch(tmp_path)


def test_whoever_has_not_told_git_a_name_is_wichtel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(tmp_path)
    repository.commit(OLD)
    for name in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name)
    repository.git("config", "user.useConfigOnly", "true")
    made = branch(tmp_path)
    assert repository.git("log", "-1", "--format=%cn", made.commit).decode().strip() == "Wichtel"


names = st.sampled_from(["a.py", "b c.txt", "é/ü.py", 'q"uote', "d/e/f", "-x", "d/g"])
contents = st.one_of(st.binary(max_size=30), st.sampled_from([b"a\r\n", b"a\n", b"a", b""]))
trees = st.dictionaries(names, contents, min_size=1, max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(old=trees, new=trees)
def test_every_branch_has_exactly_the_candidate(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, bytes], new: dict[str, bytes]
) -> None:
    if old == new:
        return
    repository = Repository(tmp_path_factory.mktemp("branch"))
    repository.commit(old)
    assert repository.files(branch(repository.folder, old=old, new=new).commit) == new
