import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wichtel.domain import InvalidInput, NotFound, StorageFailed
from wichtel.store import Artifacts

DATA = bytes(range(256)) * 5000


@pytest.fixture(params=["folder", "memory"])
def artifacts(request, tmp_path):
    return Artifacts(tmp_path / "artifacts" if request.param == "folder" else f"memory://{tmp_path}")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_bytes_come_back_by_the_hash_of_their_content(artifacts, tmp_path):
    digest = artifacts.put(DATA)
    assert digest == hashlib.sha256(DATA).hexdigest()
    assert artifacts.get(digest) == DATA
    assert artifacts.size(digest) == len(DATA)
    assert artifacts.exists(digest)
    with artifacts.open(digest) as file:
        assert file.read(3) == DATA[:3]
    target = tmp_path / "some" / "where"
    artifacts.fetch(digest, target)
    assert target.read_bytes() == DATA
    assert artifacts.put(target) == digest
    assert artifacts.put(b"") == hashlib.sha256().hexdigest()
    artifacts.delete(digest)
    artifacts.delete(digest)
    assert not artifacts.exists(digest)


def test_what_is_not_there_is_not_found(artifacts, tmp_path):
    digest = "0" * 64
    for ask in (artifacts.get, artifacts.size, lambda d: artifacts.fetch(d, tmp_path / "x")):
        with pytest.raises(NotFound, match=digest):
            ask(digest)
    assert not (tmp_path / "x").exists()
    with pytest.raises(InvalidInput, match="no artifact digest"):
        artifacts.get("../../etc/passwd")


def test_what_somebody_changed_is_not_handed_out(tmp_path):
    artifacts = Artifacts(tmp_path / "a")
    digest = artifacts.put(DATA)
    (stored,) = files(tmp_path / "a")
    assert stored.parent.parent.name == digest[:2]
    stored.write_bytes(b"other")
    for ask in (artifacts.get, lambda d: artifacts.fetch(d, tmp_path / "x")):
        with pytest.raises(StorageFailed, match="not what was put there"):
            ask(digest)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


def test_putting_the_same_at_once_puts_it_once(tmp_path):
    folder = tmp_path / "a"
    ready = threading.Barrier(8)

    def put() -> None:
        ready.wait()
        Artifacts(folder).put(DATA)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() for path in files(folder)] == [DATA]


FULL = """
import resource, signal, sys
from pathlib import Path
from wichtel.domain import StorageFailed
from wichtel.store import Artifacts
source, folder = Path(sys.argv[1]), sys.argv[2]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
Artifacts(folder).put(b"small")
for content in (source, source.read_bytes()):
    try:
        Artifacts(folder).put(content)
    except StorageFailed as error:
        assert str(folder) in str(error) and "free some space" in error.hint.lower(), error
    else:
        sys.exit("it did not fail")
"""


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(DATA)
    folder = tmp_path / "artifacts"
    done = subprocess.run([sys.executable, "-c", FULL, source, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in files(folder)] == [b"small"]


def test_a_copy_to_a_full_disk_leaves_nothing(tmp_path):
    artifacts = Artifacts(tmp_path / "a")
    digest = artifacts.put(DATA)
    with pytest.raises(StorageFailed, match="cannot be copied"):
        artifacts.fetch(digest, Path("/proc/nothing/can/be/made/here"))


def test_a_place_that_cannot_be_is_told(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageFailed, match="was not written"):
        Artifacts(tmp_path / "file").put(b"x")
    with pytest.raises(InvalidInput, match="no way to reach it"):
        Artifacts("nonsense://x")
