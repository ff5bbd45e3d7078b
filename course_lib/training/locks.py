"""One run at a time trains into a checkpoint. The system releases its lock when the process ends or is killed."""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from course_lib.atomic import obstacle
from course_lib.training.checkpoints import CheckpointError
from course_lib.training.distributed import Group

_held: dict[Path, int] = {}  # checkpoints that this process trains into, and the threads that do


class CheckpointInUse(CheckpointError):
    """Another run trains into this checkpoint now."""


@contextmanager
def only_run(file: Path) -> Iterator[None]:
    """Inside the ``with``, no other process or thread can train into the checkpoint `file`; this thread can.

    The lock is a file next to it, ``.NAME.lock``, which is deleted at the end. On a file system without locks nothing
    is locked.

    Raises:
        CheckpointInUse: another run has the lock; the message names its process.
        CheckpointError: the checkpoint could not be written there.
    """
    file = Path(os.path.realpath(file))  # a link to a checkpoint names the same one
    thread = threading.get_ident()
    if _held.get(file) == thread:
        yield
        return
    _check_place(file)
    with _locked(file):
        _held[file] = thread
        try:
            yield
        finally:
            del _held[file]


@contextmanager
def claimed(file: Path | None, group: Group) -> Iterator[None]:
    """`only_run` for a training in several processes: the first one takes the lock, and all of them raise its errors.

    Raises:
        CheckpointError: as `only_run`.
    """
    with ExitStack() as stack:
        if file is not None:
            error: CheckpointError | None = None
            if group.rank == 0:
                try:
                    stack.enter_context(only_run(file))
                except CheckpointError as found:
                    error = found
            if (error := group.broadcast_object(error)) is not None:
                raise error
        yield


def _check_place(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"the folder {file.parent} cannot be made ({error.strerror}); choose another") from error
    if reason := obstacle(file) or obstacle(_lock_file(file)):
        raise CheckpointError(f"the checkpoint {file} {reason}")


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    path = _lock_file(file)
    holder = _read(path)  # before trying: some versions of filelock empty the file when they try
    lock = FileLock(path, timeout=0)
    try:
        with warnings.catch_warnings(action="ignore"):  # about a file system without locks
            lock.acquire()
    except Timeout:
        raise CheckpointInUse(
            f"another run{holder} is training into {file}; wait until it has ended, or choose another name"
        ) from None
    except (OSError, NotImplementedError):  # a file system without locks
        pass
    if isinstance(lock, SoftFileLock):  # what filelock turns into there; its file would stay if this process is killed
        lock.release()
    if lock.is_locked:
        with suppress(OSError):  # Windows does not let anyone write to a locked file, or delete it
            path.write_text(f" (process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%H:%M')})")
    try:
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):
                path.unlink()
            lock.release()


def _lock_file(file: Path) -> Path:
    return file.with_name(f".{file.name}.lock")


def _read(path: Path) -> str:
    """What the holder of a lock wrote about itself; nothing where it cannot be read."""
    try:
        return path.read_text(errors="replace")[:200]
    except OSError:
        return ""
