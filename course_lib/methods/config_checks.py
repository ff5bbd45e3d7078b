"""Checks that the configurations of all methods share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real


def check(
    config: object,
    *,
    whole: Mapping[str, int] | None = None,
    positive: Sequence[str] = (),
    nonnegative: Sequence[str] = (),
    fractions: Sequence[str] = (),
    layers: Sequence[str] = (),
    choices: Mapping[str, Sequence[object]] | None = None,
) -> None:
    """Refuse a configuration with an invalid value, and say what is allowed.

    Args:
        config: the dataclass to check; the other arguments name its fields.
        whole: fields that are whole numbers → the smallest value allowed.
        positive, nonnegative: fields that are finite numbers above 0, or at least 0.
        fractions: fields that are numbers in [0, 1].
        layers: fields that are tuples of at least one layer name.
        choices: fields that are words or numbers → the values allowed.

    Raises:
        ValueError: an invalid value; the message names the field, the value and what is expected.
    """
    for name, least in (whole or {}).items():
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    for name in positive:
        if not (_is_number(value := getattr(config, name)) and 0 < value < math.inf):
            raise ValueError(f"{name} must be a finite number greater than 0, got {value!r}")
    for name in nonnegative:
        if not (_is_number(value := getattr(config, name)) and 0 <= value < math.inf):
            raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    for name in fractions:
        if not (_is_number(value := getattr(config, name)) and 0 <= value <= 1):
            raise ValueError(f"{name} must be in [0, 1], got {value!r}")
    for name in layers:
        value = getattr(config, name)
        if isinstance(value, str):
            raise ValueError(f"{name} must be a tuple of names, got the text {value!r}; write ({value!r},)")
        if not value:
            raise ValueError(f"{name} is empty; give at least one layer")
    for name, allowed in (choices or {}).items():
        if (value := getattr(config, name)) not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def check_shares(name: str, shares: Sequence[float], count: int, what: str) -> None:
    """Refuse weights that cannot be scaled to sum to one.

    Args:
        name: of the field that holds the weights.
        shares: the weights.
        count: how many weights are expected.
        what: what is weighted, for the message: "style layers".

    Raises:
        ValueError: not `count` weights, a negative or non-finite one, or only zeros.
    """
    if len(shares) != count or not all(math.isfinite(w) and w >= 0 for w in shares) or sum(shares) <= 0:
        raise ValueError(f"{name} must be {count} numbers of at least 0 for the {what}, not all 0; got {shares}")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def check_same(a: object, b: object, names: Sequence[str]) -> None:
    """Refuse to start from a model whose network has another shape.

    Args:
        a: configuration of the trained model to start from.
        b: configuration of the network to train.
        names: the fields that set the network's shape.

    Raises:
        ValueError: a field differs; the message names the first one.
    """
    for name in names:
        if getattr(a, name) != getattr(b, name):
            raise ValueError(f"the model to start from has {name}={getattr(a, name)!r}, not {getattr(b, name)!r}")
