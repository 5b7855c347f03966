from __future__ import annotations

import io
import pickle
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wichtel.domain import PlanError
from wichtel.plans import SourceTree
from wichtel.store import Artifacts
from wichtel.testing.recipes import check_diff

BASE = {"plan.py": b"model = 1\n", "job.toml": b""}


def tree(**more: bytes) -> SourceTree:
    return SourceTree({**BASE, **more})


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue()


def test_folder_round_trip(tmp_path):
    files = {**BASE, "towers/deep.py": b"x = 1"}
    SourceTree(files).write_to(tmp_path)
    for path in (".git/config", "__pycache__/a.pyc", ".hidden"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("no")
    found = SourceTree.from_folder(tmp_path)
    assert dict(found.files) == files
    assert found == SourceTree(dict(reversed(files.items())))
    assert found.digest == SourceTree(files).digest != tree().digest


def test_symbolic_links_are_refused(tmp_path):
    tree().write_to(tmp_path)
    (tmp_path / "secret").symlink_to("/etc/passwd")
    with pytest.raises(PlanError, match="symbolic links"):
        SourceTree.from_folder(tmp_path)


def test_a_folder_without_a_plan_says_what_it_needs(tmp_path):
    with pytest.raises(PlanError, match=r"no such folder"):
        SourceTree.from_folder(tmp_path / "nowhere")
    with pytest.raises(PlanError, match=r"no plan\.py.*has plan\.py and job\.toml"):
        SourceTree.from_folder(tmp_path)
    with pytest.raises(PlanError, match=r"no job\.toml"):
        SourceTree({"plan.py": b""})
    with pytest.raises(PlanError, match=r"There is 'mine/plan\.py': give that folder"):
        SourceTree.from_archive(zipped({"mine/plan.py": b"", "mine/job.toml": b""}))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../evil.py", "leads out"),
        ("a/../../evil.py", "leads out"),
        ("/etc/passwd", "leads out"),
        ("a\\..\\b", "leads out"),
        ("a//b", "leads out"),
        ("jax/x.py", "hide the package 'jax'"),
        ("torch.py", "hide the package 'torch'"),
        ("plan.py/x", "a file and a folder"),
    ],
)
def test_paths_that_lead_astray(path, message):
    with pytest.raises(PlanError, match=message):
        tree(**{path: b""})
    with pytest.raises(PlanError, match=f"{message}|cannot be read"):
        SourceTree.from_archive(zipped({**BASE, path: b""}))


def test_archives_that_attack():
    with pytest.raises(PlanError, match="cannot be read"):
        SourceTree.from_archive(b"no archive")
    with pytest.raises(PlanError, match="unpacks to more"):
        SourceTree.from_archive(zipped({**BASE, "bomb": bytes(30 * 2**20)}))
    with pytest.raises(PlanError, match="at most 1,000 files"):
        SourceTree.from_archive(zipped({**BASE, **{f"f{i}": b"" for i in range(1000)}}))
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO(zipped(BASE))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(PlanError, match="link"):
        SourceTree.from_archive(buffer.getvalue())
    damaged = bytearray(tree(big=b"0123456789" * 1000).to_archive())
    damaged[60] ^= 0xFF
    with pytest.raises(PlanError):
        SourceTree.from_archive(bytes(damaged))


def test_archive_and_artifacts_round_trip(tmp_path):
    one = tree(**{"a/b.py": b"\x00\xff", "c": b""})
    assert SourceTree.from_archive(one.to_archive()) == one
    assert pickle.loads(pickle.dumps(one)) == one
    artifacts = Artifacts(str(tmp_path))
    digest = one.save(artifacts)
    assert digest == one.digest
    assert SourceTree.load(artifacts, digest) == one
    with pytest.raises(PlanError, match="no source tree"):
        SourceTree.load(artifacts, artifacts.put(b"else"))


def test_diff_reads_as_expected():
    diff = tree().diff(SourceTree({"plan.py": b"model = 2", "job.toml": b"", "new.py": b"x\n"}))
    assert diff.splitlines() == [
        "diff --git a/new.py b/new.py",
        "new file mode 100644",
        "--- /dev/null",
        "+++ b/new.py",
        "@@ -0,0 +1 @@",
        "+x",
        "diff --git a/plan.py b/plan.py",
        "--- a/plan.py",
        "+++ b/plan.py",
        "@@ -1 +1 @@",
        "-model = 1",
        "+model = 2",
        "\\ No newline at end of file",
    ]
    assert tree().diff(tree()) == ""


names = st.sampled_from(["a.py", "b c.txt", "é/ü.py", 'q"uote', "d/e/f", "plan.py", "job.toml"])
contents = st.one_of(
    st.lists(st.sampled_from(["a\n", "b\n", "c\r\n", "\n", "x\fy\n", "\u2028\n", "end"]), max_size=30).map(
        lambda parts: "".join(parts).encode()
    ),
    st.binary(max_size=200),
)


@settings(max_examples=60)
@given(before=st.dictionaries(names, contents, max_size=5), after=st.dictionaries(names, contents, max_size=5))
def test_git_applies_every_diff(tmp_path_factory, before, after):
    old, new = SourceTree({**BASE, **before}), SourceTree({**BASE, **after})
    if old != new:
        check_diff(old, new, tmp_path_factory.mktemp("apply"))
