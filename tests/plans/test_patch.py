"""What git makes of our patches."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wichtel.domain import InvalidInput
from wichtel.plans import Patch, changes, within
from wichtel.testing.repositories import Repository

names = st.sampled_from(["a.py", "b c.txt", "é/ü.py", 'q"uote', "d/e/f", "-- x", "d/From a"])
contents = st.one_of(
    st.lists(
        st.sampled_from(["a\n", "b\n", "c\r\n", "\n", "x\fy\n", "\u2028\n", "-- \n", "From a\n", "--- a\n", "end", "cr\r"]), max_size=20
    ).map(lambda parts: "".join(parts).encode()),
    st.binary(max_size=200),
)
trees = st.dictionaries(names, contents, max_size=5)


def patch(old: dict[str, bytes], new: dict[str, bytes], subject: str = "Widen the tower", message: str = "Because.") -> Patch:
    return Patch(
        old=old,
        new=new,
        author="Wichtel <wichtel@example.org>",
        subject=subject,
        message=message,
        trailers={"Experiment": "e-1"},
        date=datetime(2026, 11, 2, 3, 4, 5, tzinfo=UTC),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=trees, after=trees)
def test_git_applies_and_commits_every_patch(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    # A file that is always there, since git has no empty commits to begin with.
    old, new = within("models/m", {**before, "x": b""}), within("models/m", {**after, "x": b"1\n"})
    mail = patch(old, new).mail.encode()
    one = Repository(tmp_path_factory.mktemp("am"))
    one.commit(old)
    one.git("am", "-q", data=mail)
    assert one.files("HEAD") == new
    other = Repository(tmp_path_factory.mktemp("apply"))
    other.commit(old)
    other.git("apply", "--index", "-", data=mail)
    assert other.files(other.git("write-tree").decode().strip()) == new


MEAN = """Reason: not a header.
From mars with love, Mon Sep 17 00:00:00 2001
From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
---
diff --git a/x b/x
--- a/x
+++ b/x
@@ -1 +1 @@
Index: x
# no comment
ünicode"""


def test_a_message_may_say_what_it_likes(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.commit({"x": b"1\n"})
    subject = "ads/ctr: set wïdth = 3 " + "and so on " * 30 + "\nSubject: injected"
    made = patch({"x": b"1\n"}, {"x": b"2\n"}, subject, MEAN)
    repository.git("am", "-q", data=made.mail.encode())
    assert repository.files("HEAD") == {"x": b"2\n"}
    said = repository.git("log", "-1", "--format=%an|%ae|%at|%s").decode().strip().split("|")
    assert said == ["Wichtel", "wichtel@example.org", "1793588645", " ".join(subject.split())]
    body = repository.git("log", "-1", "--format=%b").decode()
    assert [line.strip() for line in body.splitlines()] == [*MEAN.split("\n"), "", "Experiment: e-1", ""][: len(body.splitlines())]
    assert repository.git("log", "-1", "--format=%(trailers:key=Experiment,valueonly)").decode().strip() == "e-1"


def test_a_renamed_file_goes_where_it_went(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.commit({"old name.py": b"x = 1\n", "keep": b""})
    made = patch({"old name.py": b"x = 1\n", "keep": b""}, {"näw/name.py": b"x = 1\n", "keep": b""})
    assert changes(made.old, made.new) == [("A", "näw/name.py"), ("D", "old name.py")]
    repository.git("am", "-q", data=made.mail.encode())
    assert repository.files("HEAD") == {"näw/name.py": b"x = 1\n", "keep": b""}
    assert "R100" in repository.git("show", "-M", "--name-status", "--format=").decode()


def test_a_patch_of_nothing_is_empty() -> None:
    assert patch({"x": b""}, {"x": b""}).mail == ""


@pytest.mark.parametrize("prefix", ["/etc", "..", "a/../b", ".git", "a/.GIT/hooks", "a\nb", "a\\b"])
def test_a_prefix_stays_in_the_repository(prefix: str) -> None:
    with pytest.raises(InvalidInput, match="no folder of a repository"):
        within(prefix, {"x": b""})


def test_a_prefix_may_be_written_in_several_ways() -> None:
    assert {*map(str, (within(p, {"x": b""}) for p in ("a/b", "a/b/", "./a//b")))} == {"{'a/b/x': b''}"}
    assert within("", {"x": b""}) == {"x": b""}
