"""Which method a model file belongs to: the file says so itself."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

from course_lib import methods
from course_lib.training import model_files
from course_lib.training.model_files import ModelError

_MODULES = [import_module(f"{methods.__name__}.{found.name}") for found in pkgutil.iter_modules(methods.__path__)]
METHODS: dict[str, Any] = {module.KIND: module for module in _MODULES if hasattr(module, "KIND")}  # those with files
VERBS = ("stylize", "translate", "generate", "upscale")


def load_for(verb: str, name: str | Path) -> tuple[Any, Any]:
    """The method and the model of a file, or of the name of a network that comes with the package.

    Args:
        verb: what is to be done with it: "stylize", "translate", "upscale".

    Raises:
        ModelError: no such model, a damaged one, or one that does something else; the message says what it does.
    """
    path = model_files.model_path(name)
    kind = model_files.read_header(path).kind
    if kind not in METHODS:
        raise ModelError(f"{path} is a {kind} model, which this version does not know; it knows {', '.join(METHODS)}")
    method = METHODS[kind]
    if not hasattr(method, verb):
        (own,) = (word for word in VERBS if hasattr(method, word))
        raise ModelError(f"{path} is a {kind} model: it can {own}, not {verb}")
    return method, method.load(path)
