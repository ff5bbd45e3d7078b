"""The options that the commands which train share, and what they mean in a method's `Config`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from course_lib.cli.arguments import add_device, add_output, given, positive

_FIELDS = {"steps": "num_steps", "epochs": "num_epochs", "size": "image_size", "batch": "batch_size"}  # named otherwise
_WAYS = {"light": "light_version"}  # of a configuration


def add_model(command: Any) -> None:
    """Declare ``-o OUT``, the model file."""
    add_output(command, "the model file to write (.safetensors); checkpoint and preview are written next to it")


def add_lengths(command: Any, *, steps: str, epochs: str = "", size: str, batch: str) -> None:
    """Declare ``--steps``, ``--epochs`` (if there is a text for it), ``--size`` and ``--batch``, with these helps."""
    for word, text in {"steps": steps, "epochs": epochs, "size": size, "batch": batch}.items():
        if text:
            told = f"{text} (default: as --config says)"
            command.add_argument(f"--{word}", type=positive, metavar="N", help=told)


def add_run(command: Any, photo: str, without: str, seed: str) -> None:
    """Declare ``--start`` and what concerns a run: previews, resuming, device and seed.

    Args:
        photo: what the preview shows.
        without: what it shows if no picture is given.
        seed: what is random.
    """
    command.add_argument(
        "--start",
        metavar="MODEL",
        help="a trained network to start from: a file, or a name that `models` lists (default: none)",
    )
    command.add_argument("--preview", metavar="PHOTO", help=f"{photo} (default: {without})")
    command.add_argument(
        "--preview-every", type=positive, default=200, metavar="N", help="steps between previews (default: 200)"
    )
    command.add_argument(
        "--fresh", action="store_true",
        help="start over instead of resuming; the first new checkpoint replaces the old one",
    )  # fmt: skip
    add_device(command)
    command.add_argument("--seed", type=int, metavar="N", help=f"random seed of {seed} (default: 0)")


def chosen(options: argparse.Namespace, words: Sequence[str]) -> dict[str, Any]:
    """The options that were given, by the names of the configuration's fields.

    >>> chosen(argparse.Namespace(steps=3, size=None, seed=7), ["steps", "size", "seed"])
    {'num_steps': 3, 'seed': 7}
    """
    return {_FIELDS.get(word, word): value for word, value in given(options, *words).items()}


def configuration(method: Any, word: str) -> Any:
    """The settings of a method that the word after ``--config`` means."""
    return method.Config() if word == "paper" else getattr(method.Config, _WAYS.get(word, word))()


def by_field(words: Sequence[str]) -> dict[str, str]:
    """The options by the names of the configuration's fields.

    >>> by_field(["size", "style_weight"])
    {'image_size': '--size', 'style_weight': '--style-weight'}
    """
    return {_FIELDS.get(word, word): f"--{word.replace('_', '-')}" for word in words}
