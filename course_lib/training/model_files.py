"""Trained networks as files: safetensors, with the configuration and the facts of the run inside.

Nothing in such a file can be executed, and it says itself what it is: which method made it, with which configuration.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as save_bytes
from torch import Tensor, nn

from course_lib import arguments
from course_lib.atomic import atomic_write, is_full, obstacle, room_for
from course_lib.paths import data_places, remedy

C = TypeVar("C")
N = TypeVar("N", bound=nn.Module)


class ModelError(ValueError):
    """A file that is no model of the kind asked for."""


@dataclass(frozen=True)
class ModelHeader:
    """What a model file says about itself."""

    kind: str  # the method's name
    config: dict[str, object]
    facts: dict[str, object]


@dataclass(frozen=True)
class ModelFile:
    """A whole model file."""

    state: dict[str, Tensor]  # float32
    config: dict[str, object]
    facts: dict[str, object]


def write(
    path: str | Path,
    kind: str,
    network: nn.Module,
    config: Mapping[str, object],
    facts: Mapping[str, object],
    *,
    half: bool = False,
) -> None:
    """Write `network` whole or not at all.

    Args:
        kind: the method's name; `read` asks for it.
        config, facts: whatever JSON can hold; lists come back as lists, anything else (a path) as text.
        half: filters in float16, half the size; below what a picture of 8 bits shows. Vectors stay as they are: they
            are short, and a variance may be larger than float16 can say.

    Raises:
        ModelError: a place that cannot be written.
    """
    target = arguments.path(path, "a model file")
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    if half:
        state = {
            name: value.half() if value.is_floating_point() and value.ndim > 1 else value
            for name, value in state.items()
        }
    about = {"kind": kind, "config": json.dumps(config, default=str), "facts": json.dumps(facts, default=str)}
    exists = os.path.isfile(target)  # without an error for a name that is too long
    if exists and not target.stat().st_mode & 0o222:
        raise ModelError(f"{path} is write-protected; choose another name, or make it writable")
    intact = "; the model that was there is intact" if exists else ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as stream:
            stream.write(save_bytes(state, metadata=about))
    except OSError as error:
        if not is_full(error) and (reason := obstacle(target)):
            raise ModelError(f"{path} {reason}") from error
        size = sum(value.nbytes for value in state.values())
        room = f". {room_for(size, target.parent)}" if is_full(error) else ""
        raise ModelError(f"{path} could not be written ({error.strerror or error}){intact}{room}") from error
    except SafetensorError as error:
        raise ModelError(f"{path} could not be written ({error}){intact}") from error


def read_header(path: str | Path) -> ModelHeader:
    """What a file that `write` made says about itself; no weights are read.

    Raises:
        ModelError: no such file, damaged, or not a model of this package.
    """
    path = arguments.path(path, "a model file")
    if not os.path.isfile(path):
        raise ModelError(f"there is no model file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is damaged or not a safetensors file ({error})") from error
    if "kind" not in about:
        raise ModelError(f"{path} is not a model of this package")
    try:
        config, facts = (dict(json.loads(about[part])) for part in ("config", "facts"))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} has no readable configuration ({error})") from error
    return ModelHeader(about["kind"], config, facts)


def read(path: str | Path, kind: str) -> ModelFile:
    """Read a file that `write` made with the same `kind`.

    Raises:
        ModelError: no such file, damaged, foreign, or of another kind; the message says which.
    """
    path = arguments.path(path, "a model file")
    header = read_header(path)
    if header.kind != kind:
        raise ModelError(f"{path} is a {header.kind} model; a {kind} model was expected")
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is damaged or not a safetensors file ({error})") from error
    wide = {name: value.to(torch.float32) if value.is_floating_point() else value for name, value in state.items()}
    return ModelFile(wide, header.config, header.facts)


def rebuild(file: ModelFile, config_type: type[C], build: Callable[[C], N], path: str | Path) -> tuple[C, N]:
    """The configuration and the network of a file, its weights in place.

    Args:
        config_type: the method's ``Config``; fields that it does not know any more are left out.
        build: makes the untrained network of a configuration.

    Raises:
        ModelError: a configuration that the method refuses, or weights that do not fit it.
    """
    known = {field.name for field in fields(config_type)}  # type: ignore[arg-type]
    try:
        given = {name: tuple(v) if isinstance(v, list) else v for name, v in file.config.items() if name in known}
        config = config_type(**given)
        network = build(config)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the configuration in {path} is not one of this method: {error}") from error
    try:
        network.load_state_dict(file.state)
    except RuntimeError as error:
        misfits = _misfits(file.state, network.state_dict())
        more = f", and {len(misfits) - 1} more do not fit" if len(misfits) > 1 else ""
        raise ModelError(f"the weights in {path} do not fit its own configuration: {misfits[0]}{more}") from error
    network.eval()
    return config, network


def _misfits(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """What keeps the tensors of a file from being those of a network, a clause for each tensor."""
    found = [f"{name} is missing" for name in expected if name not in given]
    found += [f"{name} has no place in the network" for name in given if name not in expected]
    for name in (name for name in given if name in expected and given[name].shape != expected[name].shape):
        found.append(f"{name} has the shape {tuple(given[name].shape)}, not {tuple(expected[name].shape)}")
    return found or ["PyTorch refuses them"]


def save(path: str | Path, kind: str, model: Any, *, half: bool = False) -> None:
    """Write a method's ``Model``, a dataclass with ``network``, ``config`` and ``facts``; histories stay out."""
    facts = {key: value for key, value in model.facts.items() if key not in ("history", "looks")}
    write(path, kind, model.network, asdict(model.config), facts, half=half)


def load(path: str | Path, kind: str, config_type: type[C], build: Callable[[C], N]) -> tuple[N, C, dict[str, Any]]:
    """What a method's ``Model`` is made of, from a file or the name of a model that comes with the package.

    Raises:
        ModelError: no such model; damaged, foreign, or of another method.
    """
    path = model_path(path)
    file = read(path, kind)
    config, network = rebuild(file, config_type, build, path)
    return network, config, {**file.facts, "name": path.stem}


def models_folder() -> Path:
    """Where the networks that come with the package lie, see `course_lib.paths`.

    Raises:
        ModelError: nowhere.
    """
    places = data_places("models")
    for place in places:
        if place.is_dir():
            return place
    raise ModelError(f"the trained models were not found in {' or '.join(map(str, places))}; {remedy()}")


def model_path(name: str | Path) -> Path:
    """A file's path, or the name of a model that comes with the package: ``"great_wave"``.

    Raises:
        ModelError: neither; lists the names.
    """
    path = arguments.path(name, "a model file")
    if path.suffix == ".safetensors" or os.path.isfile(path):
        return path
    names = sorted(path.stem for path in models_folder().glob("*.safetensors"))
    if str(name) not in names:
        raise ModelError(f"no file and no model is named {name}; with the package come {', '.join(names)}")
    return models_folder() / f"{name}.safetensors"
