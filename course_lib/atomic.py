"""Write files and folders atomically: completely or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(target: Path) -> Iterator[BinaryIO]:
    """Yield a stream that becomes `target` if the ``with`` succeeds; otherwise an existing file is not touched.

    The bytes are flushed to disk before the file gets its name. The temporary file, ``.NAME.xxxxxxxx.tmp``, is in the
    same folder, because a move is atomic only within a file system. It is left behind only if the process is killed.

    Raises:
        OSError: the file cannot be written.
    """
    temporary = target.with_name(_temporary_name(target))
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink()


def obstacle(target: Path) -> str | None:
    """Why `atomic_write` could not write `target` now, or None. Call it before hours of work.

    It writes an empty file under a temporary name and deletes it. So it finds what permissions do not show: a read-only
    file system, a full disk.

    Returns:
        The end of a sentence that begins with the file's name.
    """
    folder = target.parent
    if len(os.fsencode(target.name)) > (most := _longest_name(folder)):
        return f"has a name of {len(os.fsencode(target.name))} bytes, and {most} are allowed; use a shorter one"
    if target.is_dir():
        return "is a folder; give the name of a file"
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        return f"cannot be written, because {folder} {what}"
    if target.exists() and not target.stat().st_mode & 0o222:
        return "is write-protected; choose another name, or make it writable"
    try:
        probe = target.with_name(_temporary_name(target))
        probe.open("xb").close()
        probe.unlink()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return "has too long a name; use a shorter one"
        advice = "make room there" if is_full(error) else "choose another folder"
        return f"cannot be written ({error.strerror}); {advice}"
    return None


def is_full(error: OSError) -> bool:
    """Whether a file could not be written because there is no room for it: on the disk, or in the user's quota."""
    return error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))


def room_for(size: int, folder: Path) -> str:
    """What to do about a full disk, as a sentence.

    Args:
        size: of the file that did not fit, in bytes.
    """
    free = 0
    with suppress(OSError):
        free = shutil.disk_usage(folder).free
    return f"Make room in {folder}: {size / 1e6:.1f} MB are needed, and {free / 1e6:.1f} MB are free."


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` if the ``with`` succeeds; otherwise an existing one is not touched.

    The temporary folder is next to `target`. An existing folder is deleted only after the new one has taken its place.

    Raises:
        OSError: the folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    old = fresh.with_name(f"{fresh.name}.old")
    try:
        yield fresh
        fresh.chmod(0o755)
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(fresh, target)
        except OSError:
            if old.exists():
                os.replace(old, target)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def _temporary_name(target: Path) -> str:
    """``.NAME.xxxxxxxx.tmp``; of a very long name only the beginning, so that it is no longer than the target."""
    name = target.name
    while len(os.fsencode(name)) > _longest_name(target.parent) - 14:
        name = name[:-1]
    return f".{name}.{secrets.token_hex(4)}.tmp"


def _longest_name(folder: Path) -> int:
    """How many bytes the name of a file in `folder` may have."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows, a folder that does not exist
        return 255
