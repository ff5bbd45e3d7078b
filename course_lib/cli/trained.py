"""Load a model file with the method that wrote it; the file stores the method's name."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

from course_lib import methods
from course_lib.training import model_files
from course_lib.training.model_files import ModelError

_MODULES = [import_module(f"{methods.__name__}.{module.name}") for module in pkgutil.iter_modules(methods.__path__)]
METHODS: dict[str, Any] = {
    module.KIND: module for module in _MODULES if hasattr(module, "KIND")
}  # methods without model files have no KIND
VERBS = ("stylize", "translate", "generate", "upscale")


def kind_for(verb: str, name: str | Path) -> str:
    """The method that wrote a model file; only the header of the file is read.

    Args:
        verb: the function to be called: "stylize", "translate", "generate" or "upscale".
        name: a model file, or the name of a network that comes with the package.

    Returns:
        A key of `METHODS`.

    Raises:
        ModelError: there is no such model, it is damaged, or its method has another verb; the message names it.
    """
    path = model_files.model_path(name)
    kind = model_files.read_header(path).kind
    if kind not in METHODS:
        raise ModelError(f"{path} is {called(kind)}; this version can read only {', '.join(METHODS)}")
    if not hasattr(METHODS[kind], verb):
        (own,) = (word for word in VERBS if hasattr(METHODS[kind], word))
        raise ModelError(f"{path} is {called(kind)}; it can {own}, not {verb}")
    return kind


def called(kind: str) -> str:
    """What a message calls a model of this method.

    >>> called("pix2pix"), called("animegan")
    ('a pix2pix model', 'an animegan model')
    """
    return f"{'an' if kind.startswith('a') else 'a'} {kind} model"


def load_for(verb: str, name: str | Path) -> tuple[Any, Any]:
    """Load a trained model together with its method.

    Args:
        verb: as for `kind_for`.
        name: a model file, or the name of a network that comes with the package.

    Returns:
        The module of `course_lib.methods` and its model.

    Raises:
        ModelError: as for `kind_for`.
    """
    method = METHODS[kind_for(verb, name)]
    return method, method.load(model_files.model_path(name))
