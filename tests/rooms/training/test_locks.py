"""One run at a time: a second one is refused, a killed one blocks nobody."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from filelock import FileLock

from course_lib.training import locks
from course_lib.training.checkpoints import CheckpointError
from course_lib.training.distributed import Group
from course_lib.training.locks import CheckpointInUse, claimed, only_run

HOLD = """
import pathlib, sys, time
from filelock import FileLock
path = pathlib.Path(sys.argv[1])
lock = FileLock(path)
lock.acquire()
path.write_text(" (process 4711 on lab, since 12:34)")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that has the lock of ``run.pt``."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".run.pt.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_a_killed_one_blocks_nobody(tmp_path, other):
    file = tmp_path / "run.pt"
    for _ in range(2):  # asking does not disturb the holder
        with (
            pytest.raises(
                CheckpointInUse,
                match=r"another run \(process 4711 on lab, since 12:34\) is training into .*run\.pt; wait until it has "
                "ended, or choose another name",
            ),
            only_run(file),
        ):
            pytest.fail("the lock was given twice")
    os.kill(other.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    other.wait()
    with only_run(file):
        pass
    assert not [*tmp_path.iterdir()]


def test_the_lock_says_who_has_it_and_is_gone_at_the_end(tmp_path):
    file, lock = tmp_path / "new" / "run.pt", tmp_path / "new" / ".run.pt.lock"
    with only_run(file):
        assert f"(process {os.getpid()} on " in lock.read_text()
        with only_run(file):  # the command line has it already when the loop asks
            assert lock.exists()
        assert lock.exists()
    assert not lock.exists()
    with pytest.raises(ZeroDivisionError), only_run(file):
        raise ZeroDivisionError
    with only_run(file):
        assert lock.exists()
    assert not [*file.parent.iterdir()]


def test_a_second_thread_is_refused(tmp_path):
    found = []

    def second():
        try:
            with only_run(tmp_path / "link.pt"):
                found.append("entered")
        except CheckpointError as error:
            found.append(str(error))

    (tmp_path / "run.pt").touch()
    (tmp_path / "link.pt").symlink_to(tmp_path / "run.pt")
    for name in ("link.pt", "run.pt"):
        with only_run(tmp_path / name):
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
    assert len(found) == 2
    assert all(f"(process {os.getpid()} on " in text for text in found)


@pytest.mark.parametrize("error", [OSError(38, "Function not implemented"), NotImplementedError()])
def test_a_file_system_without_locks_is_no_obstacle(monkeypatch, tmp_path, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with only_run(tmp_path / "run.pt"):
        pass


def test_where_the_system_has_no_locks_nothing_is_left_that_would_outlive_a_killed_run(monkeypatch, tmp_path, recwarn):
    """As on a cluster's file system that is mounted without them: filelock then makes do with a file of its own."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        with only_run(tmp_path / "run.pt"):
            assert not [*tmp_path.iterdir()]
    assert not recwarn


def test_of_several_processes_the_first_asks_and_all_raise(monkeypatch, tmp_path):
    with only_run(tmp_path / "run.pt"), claimed(tmp_path / "run.pt", Group()):
        pass
    with claimed(None, Group()):
        assert not [*tmp_path.iterdir()]
    told = CheckpointInUse("another run")
    monkeypatch.setattr(Group, "broadcast_object", lambda self, value: told)
    monkeypatch.setattr(locks, "only_run", lambda file: pytest.fail("only the first process locks"))
    with pytest.raises(CheckpointInUse), claimed(tmp_path / "run.pt", Group(rank=1, size=2)):
        pass


def test_nothing_waits(tmp_path, other):
    began = time.monotonic()
    with pytest.raises(CheckpointInUse), only_run(tmp_path / "run.pt"):
        pass
    assert time.monotonic() - began < 2
