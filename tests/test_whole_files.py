"""Files that appear whole, or not at all."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import NoReturn

import pytest

from salt_monailabel.whole_files import PARTIAL, written_whole

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes and signals")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write(path: Path, content: bytes) -> None:
    with written_whole(path) as partial:
        partial.write_bytes(content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file that holds something."""
    (tmp_path / "file").write_bytes(b"before")
    return tmp_path / "file"


@pytest.mark.parametrize("durable", [True, False])
def test_what_is_written_takes_its_place_at_the_end_and_is_alone(path: Path, durable: bool) -> None:
    with written_whole(path, durable=durable) as partial:
        partial.write_bytes(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert list(path.parent.iterdir()) == [path]


@posix
@pytest.mark.parametrize("durable", [True, False])
def test_a_power_cut_takes_neither_the_content_nor_the_name(
    path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    kept: list[tuple[bool, bytes]] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        kept.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.read_bytes()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with written_whole(path, durable=durable) as partial:
        partial.write_bytes(b"after")
    assert kept == ([(False, b"before"), (True, b"after")] if durable else [])


def test_a_first_file_is_not_there_before_it_is_whole(tmp_path: Path) -> None:
    with written_whole(tmp_path / "new") as partial:
        partial.write_bytes(b"whole")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new").read_bytes() == b"whole"


@pytest.mark.parametrize("error", [OSError("no room"), RuntimeError("no writer"), KeyboardInterrupt("no patience")])
def test_a_block_that_fails_says_so_leaves_what_was_there_and_nothing_else(path: Path, error: BaseException) -> None:
    def failing() -> NoReturn:
        with written_whole(path) as partial:
            partial.write_bytes(b"half")
            raise error

    with pytest.raises(type(error), match="no "):
        failing()
    assert path.read_bytes() == b"before"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_end_leaves_what_was_there_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*args: object) -> NoReturn:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        with pytest.raises(OSError, match="no room"):
            write(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        write(tmp_path / "gone" / "file", b"after")


def test_writers_of_one_file_do_not_write_into_each_others(path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(8)]
    together = Barrier(len(contents), timeout=60)

    def at_once(content: bytes) -> None:
        with written_whole(path) as partial:
            together.wait()
            partial.write_bytes(content)
            together.wait()
            assert partial.read_bytes() == content

    with ThreadPoolExecutor(len(contents)) as pool:
        list(pool.map(at_once, contents))
    assert path.read_bytes() in contents
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "end"),
    [("a.nii.gz", ".nii.gz"), ("a.b.nrrd", ".nrrd"), ("A.NII.GZ", ".nii.gz"), ("a" * 251 + ".png", "a.png")],
)
def test_the_name_to_write_to_is_hidden_and_ends_as_that_of_the_file(tmp_path: Path, name: str, end: str) -> None:
    with written_whole(tmp_path / name) as partial:
        assert partial.parent == tmp_path
        assert partial.name.startswith(PARTIAL)
        assert partial.name.endswith(end)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@posix
@pytest.mark.parametrize(
    ("given", "umask", "kept"), [(0o600, 0, 0o600), (0o666, 0o022, 0o644), (0o666, 0o077, 0o600), (0o666, 0, 0o666)]
)
@pytest.mark.parametrize("replaced", [True, False])
def test_the_file_has_its_mode_from_the_moment_it_exists(
    path: Path, given: int, umask: int, kept: int, replaced: bool
) -> None:
    before = os.umask(umask)
    try:
        with written_whole(path, given) as partial:
            assert mode(partial) == kept
            if replaced:
                # As writers do that have a way of their own to be whole.
                own = partial.with_name("own")
                own.touch(0o600)
                own.replace(partial)
        assert mode(path) == kept
    finally:
        os.umask(before)


@posix
def test_a_writer_that_is_killed_leaves_what_was_there_and_what_is_known_as_its(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from salt_monailabel.whole_files import written_whole\n"
        "with written_whole(Path(sys.argv[1])) as partial:\n"
        "    partial.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"before"
    (left,) = (other for other in path.parent.iterdir() if other != path)
    assert left.name.startswith(PARTIAL)
    write(path, b"after")
    assert path.read_bytes() == b"after"
