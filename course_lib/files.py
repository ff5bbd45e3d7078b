"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_whole(target: Path) -> Iterator[BinaryIO]:
    """A stream that becomes `target` when the ``with`` ends well; until then, and if it fails, an older file stays.

    The bytes are on the disk before the name is, and the half-written file, ``.NAME.xxxxxxxx.tmp``, stands in the same
    folder, because a move is atomic only within one file system. Only a kill leaves it behind.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink()
