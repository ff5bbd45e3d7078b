"""The end of a long training: its model is saved where there is room, so that hours of work are not lost."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from course_lib.atomic import is_full
from course_lib.training.model_files import ModelError


def save_somewhere(save: Callable[[Path], None], path: Path, checkpoint: Path, steps: int) -> Path:
    """Save a trained model at `path`, or else where that is possible; then delete the checkpoint.

    If `path` cannot be written, the model goes to the system's folder for temporary files, the home folder, or the
    current one. The room that the checkpoint took may then be enough for `path`. If there is no room anywhere, a
    checkpoint that lacks the last steps is given up for the model, and one that has them all is kept.

    Args:
        save: writes the model to the path that it is given, or raises a ModelError.
        steps: of the training.

    Returns:
        Where the model is; a warning says so if that is not `path`.

    Raises:
        ModelError: it could not be saved anywhere; the message says what to do.
    """
    try:
        save(path)
    except ModelError as error:
        if (place := _elsewhere(save, path, checkpoint, steps, error)) != path:
            warnings.warn(f"{_sentence(error)} The model is in {place} instead: move it from there.", stacklevel=2)
            return place
    with suppress(OSError):
        checkpoint.unlink(missing_ok=True)
    return path


def _elsewhere(save: Callable[[Path], None], path: Path, checkpoint: Path, steps: int, error: ModelError) -> Path:
    """Where the model is, after `path` could not be written: in another folder, or at `path` after all."""
    cause = error.__cause__
    no_room = isinstance(cause, OSError) and is_full(cause)
    copy = _copy(save, path.name)
    if copy is None and _has_all(checkpoint, steps):
        kept = f"The checkpoint {checkpoint} has all steps: start the same training again, and it only saves the model."
        raise ModelError(f"{_sentence(error)} {kept}") from error
    if copy is None and not no_room:
        raise error
    if no_room and checkpoint.exists():
        with suppress(ModelError, OSError):
            checkpoint.unlink()
            save(path)
            if copy is not None:
                shutil.rmtree(copy.parent, ignore_errors=True)
            return path
    if copy is None:
        raise error
    return copy


def _copy(save: Callable[[Path], None], name: str) -> Path | None:
    """The model in the first folder with room for it: that for temporary files, the home folder, the current one."""
    for place in (tempfile.gettempdir, Path.home, Path.cwd):
        with suppress(OSError, RuntimeError):  # there may be no such folder
            folder = Path(tempfile.mkdtemp(prefix="course_lib-", dir=place()))
            try:
                save(folder / name)
            except ModelError:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                return folder / name
    return None


def _sentence(error: ModelError) -> str:
    return f"{str(error).rstrip('.')}."


def _has_all(checkpoint: Path, steps: int) -> bool:
    """Whether the checkpoint is of the last step."""
    try:
        return len(torch.load(checkpoint, map_location="cpu", weights_only=True)["rows"]) >= steps
    except Exception:  # torch's readers raise anything
        return False
