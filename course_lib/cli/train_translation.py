"""``train-translation``: train a generator for ``translate`` from folders of pictures, without pairs."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.cli import train_options
from course_lib.cli.arguments import add_command, picture_file
from course_lib.cli.translate import EVERY

if TYPE_CHECKING:
    from torch import Tensor

    from course_lib.cli import training

_SETS = {  # method → the folders that it learns from
    "cyclegan": "two folders, A and B",
    "ugatit": "two folders, A and B",
    "animegan": "two folders, photos and cartoons",
    "stargan": "two or more folders, one for each domain",
}
CONFIGS = {  # method → the words after --config
    "cyclegan": ("fast", "quick", "paper", "released"),
    "ugatit": ("fast", "quick", "paper", "light"),
    "stargan": ("fast", "quick", "paper"),
    "animegan": ("fast", "quick", "paper", "v2", "cartoongan"),
}
_TRAINING = ("steps", "epochs", "size", "batch", "device", "seed")


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    text = "train a generator that translates between folders of pictures without pairs (Zhu et al., 2017)"
    train = add_command(commands, "train-translation", run, text, "--size or --batch")
    train.add_argument("folders", nargs="+", metavar="FOLDER", help="the pictures of each domain: A, then B")
    train_options.add_model(train)
    train.add_argument(
        "--method", choices=tuple(CONFIGS), default="cyclegan",
        help="cyclegan (the default) or ugatit, both from A to B and back; stargan, one generator for all folders; "
        "animegan, from photos to cartoons",
    )  # fmt: skip
    train.add_argument(
        "--config", choices=tuple(dict.fromkeys(word for each in CONFIGS.values() for word in each)), default="fast",
        help="settings to begin with: fast (the default; an hour or so on a CPU), quick (a minute, small), paper; "
        "released is for cyclegan only, light for ugatit, v2 and cartoongan for animegan",
    )  # fmt: skip
    train_options.add_lengths(
        train, steps="training steps, with ugatit and stargan",
        epochs="passes through the larger folder, with cyclegan and animegan",
        size="side of the training pictures in pixels", batch="pictures per step",
    )  # fmt: skip
    train_options.add_run(train, "picture for the preview", "the first of the batch", "weights and order")


def run(options: argparse.Namespace) -> int:
    """Train a generator; after Ctrl-C or a kill, the same command resumes from the checkpoint.

    Raises:
        ValueError: another number of folders than the method learns from, a word that names no folder, an option that
            has no effect with the method, or a number that the settings do not allow.
    """
    pictures = _domains(options.folders) if options.method == "stargan" else _two(options)
    from course_lib.cli import training

    method = import_module(f"course_lib.methods.{options.method}")
    config = _configuration(method, options)
    return training.run(options.output, lambda files: _train(method, config, pictures, options, files))


def _train(method: Any, config: Any, pictures: Any, options: argparse.Namespace, files: training.Files) -> int:
    from course_lib import runtime
    from course_lib.cli import training

    runtime.pick_device(config.device)
    preview = None if options.preview is None else _preview(options.preview, config)
    start = None if options.start is None else method.load(options.start)
    sets = (pictures,) if method.KIND == "stargan" else pictures

    def fit(**more: Any) -> Any:
        try:
            return method.train(*sets, config, start=start, preview=preview, **more)
        except ValueError as error:
            if "batch_size" not in str(error):
                raise
            raise ValueError(str(error).replace("batch_size", "--batch")) from None

    return training.finish(options, files, None, fit, method.save, train_options.by_field(_TRAINING))


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
    kind = method.KIND
    if options.config not in CONFIGS[kind]:
        raise ValueError(f"--config {options.config} is not for {kind}, which has {', '.join(CONFIGS[kind])}")
    config = train_options.configuration(method, options.config)
    known = {field.name for field in fields(config)}
    for word, other in (("steps", "epochs"), ("epochs", "steps")):
        if getattr(options, word) is not None and f"num_{word}" not in known:
            raise ValueError(f"--{word} has no effect with {kind}, whose length is given by --{other}")
    changed = train_options.chosen(options, _TRAINING)
    if options.size:
        _check_size(method, config, options.size)
        if config.load_size is not None:
            changed["load_size"] = round(config.load_size * options.size / config.image_size)
    if kind == "animegan" and options.epochs:  # the first phase stays the same part of the run
        changed["init_epochs"] = config.init_epochs * options.epochs // config.num_epochs
    return replace(config, **changed)


def _check_size(method: Any, config: Any, size: int) -> None:
    """Refuse a size that the networks of these settings cannot halve often enough.

    Raises:
        ValueError: says which sizes are possible.
    """
    step, kind = 1, method.KIND
    if kind == "stargan":
        step = 2**config.layers_D
    elif kind == "ugatit" and not config.light:
        step = 4
    least = step
    if kind == "ugatit":
        from course_lib.networks.ugatit import smallest_picture

        least = max(step, *(smallest_picture(patch) for patch in (config.global_patch, config.local_patch)))
    if size % step or size < least:
        multiple = f"a multiple of {step}" if step > 1 else "a whole number"
        raise ValueError(f"--size must be {multiple}, at least {least}, with these settings; got {size}")


def _preview(word: str, config: Any) -> Tensor:
    """The picture for the preview, of at most twice the size of the training pictures."""
    from course_lib.images import load_image, resize

    if not getattr(config, "light", True):  # U-GAT-IT's full generators take squares of one size
        return resize(load_image(picture_file(word)), (config.image_size, config.image_size))
    return load_image(picture_file(word), 2 * config.image_size)
