"""``train-translation``: train a generator for ``translate`` from folders of pictures, without pairs."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib import runtime
from course_lib.cli import training
from course_lib.cli.arguments import add_command, add_output, given, picture_file, positive
from course_lib.cli.translate import EVERY
from course_lib.images import load_image, resize
from course_lib.methods import animegan, cyclegan, stargan, ugatit
from course_lib.networks.ugatit import smallest_picture

METHODS: dict[str, Any] = {method.KIND: method for method in (cyclegan, ugatit, stargan, animegan)}
_SETS = {
    "cyclegan": "two folders, A and B",
    "ugatit": "two folders, A and B",
    "animegan": "two folders, photos and cartoons",
    "stargan": "two or more folders, one for each domain",
}
_CONFIGS: dict[str, dict[str, Any]] = {
    kind: {"fast": method.Config.fast, "quick": method.Config.quick, "paper": method.Config}
    for kind, method in METHODS.items()
}
_CONFIGS["cyclegan"]["released"] = cyclegan.Config.released
_CONFIGS["ugatit"]["light"] = ugatit.Config.light_version
_CONFIGS["animegan"] |= {"v2": animegan.Config.v2, "cartoongan": animegan.Config.cartoongan}
_FIELDS = {"steps": "num_steps", "epochs": "num_epochs", "size": "image_size", "batch": "batch_size"}
_TRAINING = ("steps", "epochs", "size", "batch", "device", "seed")


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "train a generator that translates between folders of pictures without pairs (Zhu et al., 2017)"
    train = add_command(commands, "train-translation", run, text, "--size or --batch")
    train.add_argument("folders", nargs="+", metavar="FOLDER", help="the pictures of each domain: A, then B")
    add_output(train, "the model file to write (.safetensors); checkpoint and preview are written next to it")
    train.add_argument(
        "--method", choices=tuple(METHODS), default=cyclegan.KIND,
        help="cyclegan (the default) or ugatit, both from A to B and back; stargan, one generator for all folders; "
        "animegan, from photos to cartoons",
    )  # fmt: skip
    train.add_argument(
        "--config", choices=tuple(dict.fromkeys(word for each in _CONFIGS.values() for word in each)), default="fast",
        help="settings to begin with: fast (the default; an hour or so on a CPU), quick (a minute, small), paper; "
        "released is for cyclegan only, light for ugatit, v2 and cartoongan for animegan",
    )  # fmt: skip
    train.add_argument("--steps", type=positive, metavar="N", help="training steps, with ugatit and stargan")
    train.add_argument(
        "--epochs", type=positive, metavar="N",
        help="passes through the larger folder, with cyclegan and animegan (default: as --config says)",
    )  # fmt: skip
    train.add_argument("--size", type=positive, metavar="N", help="side of the training pictures in pixels")
    train.add_argument("--batch", type=positive, metavar="N", help="pictures per step")
    training.add_run(train, "picture for the preview", "the first of the batch", "weights and order")


def run(options: argparse.Namespace) -> int:
    """Train a generator; after Ctrl-C or a kill, the same command resumes from the checkpoint.

    Raises:
        ValueError: another number of folders than the method learns from, a word that names no folder, an option that
            has no effect with the method, or a number that the settings do not allow.
    """
    method = METHODS[options.method]
    pictures = _domains(options.folders) if method is stargan else _two(options)
    config = _configuration(method, options)
    return training.run(options.output, lambda files: _train(method, config, pictures, options, files))


def _train(method: Any, config: Any, pictures: Any, options: argparse.Namespace, files: training.Files) -> int:
    runtime.pick_device(config.device)
    preview = None if options.preview is None else _preview(options.preview, config)
    start = None if options.start is None else method.load(options.start)
    sets = (pictures,) if method is stargan else pictures

    def fit(**more: Any) -> Any:
        try:
            return method.train(*sets, config, start=start, preview=preview, **more)
        except ValueError as error:
            if "batch_size" not in str(error):
                raise
            raise ValueError(str(error).replace("batch_size", "--batch")) from None

    words = {_FIELDS.get(word, word): f"--{word}" for word in _TRAINING}
    return training.finish(options, files, None, fit, method.save, words)


def _folder(word: str) -> Path:
    folder = Path(word)
    if not word.strip() or not folder.is_dir():
        raise ValueError(f"{word or 'an empty word'} is not a folder; give a folder of pictures for each domain")
    return folder


def _two(options: argparse.Namespace) -> tuple[Path, Path]:
    """A and B.

    Raises:
        ValueError: not two, twice the same, or no folder.
    """
    kind, words = options.method, options.folders
    if len(words) != 2:
        more = "; --method stargan takes more than two" if len(words) > 2 else ""
        raise ValueError(f"{kind} learns from {_SETS[kind]}, got {len(words)}{more}")
    a, b = map(_folder, words)
    if a.samefile(b):
        raise ValueError(f"{a} is given twice; {kind} learns from {_SETS[kind]}")
    return a, b


def _domains(words: list[str]) -> dict[str, Path]:
    """The folders by their own names, which become those of the domains.

    Raises:
        ValueError: fewer than two, no folder, or a name that cannot be a domain's.
    """
    if len(words) < 2:
        raise ValueError(f"stargan learns from {_SETS['stargan']}, got {len(words)}")
    found: dict[str, Path] = {}
    for folder in map(_folder, words):
        name = folder.resolve().name
        if name in found:
            raise ValueError(
                f"{found[name]} and {folder} have one name, {name}, which is that of the domain; rename one of them"
            )
        if name == EVERY:
            raise ValueError(f"{folder} cannot be a domain, because {EVERY} means every domain there; rename it")
        found[name] = folder
    return found


def _configuration(method: Any, options: argparse.Namespace) -> Any:
    """The settings with the options in place.

    Raises:
        ValueError: settings or an option of another method, or a number that the settings do not allow.
    """
    kind, makers = method.KIND, _CONFIGS[method.KIND]
    if options.config not in makers:
        raise ValueError(f"--config {options.config} is not for {kind}, which has {', '.join(makers)}")
    config = makers[options.config]()
    known = {field.name for field in fields(config)}
    for word, other in (("steps", "epochs"), ("epochs", "steps")):
        if getattr(options, word) is not None and _FIELDS[word] not in known:
            raise ValueError(f"--{word} has no effect with {kind}, whose length is given by --{other}")
    changed: dict[str, Any] = {
        _FIELDS.get(word, word): value for word, value in given(options, *_TRAINING).items()
    }  # fmt: skip
    if options.size:
        _check_size(method, config, options.size)
        if config.load_size is not None:
            changed["load_size"] = round(config.load_size * options.size / config.image_size)
    if method is animegan and options.epochs:  # the first phase stays the same part of the run
        changed["init_epochs"] = config.init_epochs * options.epochs // config.num_epochs
    return replace(config, **changed)


def _check_size(method: Any, config: Any, size: int) -> None:
    """Refuse a size that the networks of these settings cannot halve often enough.

    Raises:
        ValueError: says which sizes are possible.
    """
    step = 2**config.layers_D if method is stargan else 4 if method is ugatit and not config.light else 1
    least = step
    if method is ugatit:
        least = max(step, *(smallest_picture(patch) for patch in (config.global_patch, config.local_patch)))
    if size % step or size < least:
        multiple = f"a multiple of {step}" if step > 1 else "a whole number"
        raise ValueError(f"--size must be {multiple}, at least {least}, with these settings; got {size}")


def _preview(word: str, config: Any) -> Tensor:
    """The picture for the preview, of at most twice the size of the training pictures."""
    if not getattr(config, "light", True):  # U-GAT-IT's full generators take squares of one size
        return resize(load_image(picture_file(word)), (config.image_size, config.image_size))
    return load_image(picture_file(word), 2 * config.image_size)
