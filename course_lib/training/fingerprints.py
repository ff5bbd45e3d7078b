"""What makes a training run what it is: its digest, and what differs between two runs.

A fingerprint is a mapping of names to whatever JSON can hold; the entry ``"fingerprint"`` is itself one, with the
fields of a method's ``Config``. Some values are sums that only tell one picture or network from another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

_WITHOUT_VALUES = {  # most are sums, which say nothing to a reader
    "data": "other training data",
    "discriminator goes on": "another model to start from",
    "fingerprint": "another fingerprint",
    "network": "a network of another shape",
    "schedule": "another schedule of the learning rates",
    "start": "another model to start from",
    "style": "another style image",
    "styles": "other style images, or another order of them",
}
_WORDS = {"batch": "batch_size", "names": "loss terms", "rates": "learning rates"}
_FREE = ("device",)  # a run may continue on another device
_SHOWN = 4  # differences that a message names


class Change(NamedTuple):
    """One entry in which two fingerprints differ."""

    name: str
    old: object
    new: object


def as_json(fingerprint: Mapping[str, object]) -> str:
    """A fingerprint as JSON, the same for the same values; those that JSON does not know become their text."""
    return json.dumps(fingerprint, sort_keys=True, default=str)


def digest(fingerprint: str) -> str:
    """The SHA-256 of what `as_json` wrote."""
    return hashlib.sha256(fingerprint.encode()).hexdigest()


def total(x: Tensor) -> float:
    """The sum of a tensor's numbers, by which a fingerprint distinguishes pictures and networks.

    It is computed in float64 on the CPU, because other devices add in another order, and some have no float64.

    >>> import torch
    >>> total(torch.tensor([0.25, 0.5]))
    0.75
    """
    return x.detach().cpu().double().sum().item()


def changes(old: str, new: str) -> list[Change]:
    """What differs between two fingerprints, each as `as_json` wrote it.

    The settings of a method come first. If they differ, the rest is left out, because it follows from them.

    >>> changes('{"batch": 4, "fingerprint": {"image_size": 256}}', '{"batch": 2, "fingerprint": {"image_size": 192}}')
    [Change(name='image_size', old=256, new=192)]
    """
    parts = [json.loads(text) for text in (old, new)]
    settings = [part.get("fingerprint") for part in parts]
    inner = _differing(*settings) if all(isinstance(part, dict) for part in settings) else []
    if inner:
        return inner
    outer = [{name: value for name, value in part.items() if name != "fingerprint"} for part in parts]
    found = _differing(*outer)
    if settings[0] != settings[1] and not all(isinstance(part, dict) for part in settings):
        found.insert(0, Change("fingerprint", *settings))
    return found


def describe(found: Sequence[Change], words: Mapping[str, str] | None = None) -> str:
    """Changes as part of a sentence.

    Args:
        words: names to use instead of some of the fields'.

    >>> describe([Change("num_steps", 3000, 2000), Change("style", 0.5, 0.6)])
    'trained with num_steps 3000 (now 2000) and another style image'
    """
    words = {**_WORDS, **(words or {})}
    parts = [_WITHOUT_VALUES.get(name) or f"{words.get(name, name)} {old} (now {new})" for name, old, new in found]
    parts = [*dict.fromkeys(parts)]
    if len(parts) > _SHOWN:
        parts[_SHOWN:] = [f"{len(parts) - _SHOWN} more settings that differ"]
    return "trained with " + " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _differing(old: Mapping[str, object], new: Mapping[str, object]) -> list[Change]:
    names = dict.fromkeys((*old, *new))
    return [Change(n, old.get(n), new.get(n)) for n in names if n not in _FREE and old.get(n) != new.get(n)]
