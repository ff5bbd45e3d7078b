"""Checks that the configurations of all methods share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from course_lib import arguments, runtime

K = TypeVar("K")


def check(
    config: object,
    *,
    whole: Mapping[str, int] | None = None,
    positive: Sequence[str] = (),
    nonnegative: Sequence[str] = (),
    fractions: Sequence[str] = (),
    layers: Sequence[str] = (),
    some_layers: Sequence[str] = (),
    choices: Mapping[str, Sequence[object]] | None = None,
) -> None:
    """Refuse a configuration with an invalid value, and say what is allowed; convert what loses nothing in conversion.

    ``np.int64(3)`` becomes 3, a list of layers a tuple, ``torch.device("cpu")`` becomes ``"cpu"`` (see
    `course_lib.arguments`). The fields ``seed``, ``device``, ``precision`` and ``weights`` mean the same in every
    method and are checked wherever a configuration has them.

    Args:
        config: the frozen dataclass to check; the other arguments name its fields.
        whole: fields that are whole numbers → the smallest value allowed.
        positive, nonnegative: fields that are finite numbers above 0, or at least 0.
        fractions: fields that are numbers in [0, 1].
        layers: fields that are tuples of at least one layer name.
        some_layers: fields that are tuples of layer names, also of none.
        choices: fields that are words or numbers → the values allowed.

    Raises:
        ValueError: an invalid value; the message names the field, the value and what is expected.
    """
    found: dict[str, Any] = {name: arguments.whole(name, getattr(config, name), n) for name, n in (whole or {}).items()}
    for function, fields in (
        (arguments.positive, positive),
        (arguments.nonnegative, nonnegative),
        (arguments.fraction, fractions),
        (arguments.names, layers),
    ):
        found |= {name: function(name, getattr(config, name)) for name in fields}
    found |= {name: arguments.names(name, getattr(config, name), least=0) for name in some_layers}
    found |= {name: arguments.choice(name, getattr(config, name), allowed) for name, allowed in (choices or {}).items()}
    if hasattr(config, "seed"):
        found["seed"] = arguments.seed(config.seed)
    if hasattr(config, "device"):
        found["device"] = runtime.device_name(config.device)
    if hasattr(config, "precision"):
        found["precision"] = runtime.precision_name(config.precision)
    if hasattr(config, "weights") and not isinstance(config.weights, str | Path | None):
        raise ValueError(f"weights must be a name, a path or None, got {config.weights!r}")
    for name, value in found.items():
        object.__setattr__(config, name, value)  # the dataclass is frozen


def check_shares(config: object, name: str, count: int | None, what: str) -> None:
    """Refuse weights that cannot be scaled to sum to one; make a tuple of a list.

    Args:
        config: the frozen dataclass.
        name: of the field that holds the weights.
        count: how many weights are expected; None: any number of them.
        what: what is weighted, for the message: "style layers".

    Raises:
        ValueError: not `count` weights, a negative or non-finite one, or only zeros.
    """
    object.__setattr__(config, name, arguments.shares(name, getattr(config, name), count, what))


def check_wholes(config: object, name: str, what: str, *, most: int | None = None, growing: bool = True) -> None:
    """Refuse what is not a tuple of whole numbers of at least 1; make a tuple of a list.

    Args:
        config: the frozen dataclass.
        name: of the field.
        what: what the numbers are, for the message: "decoder layers, numbers from 1 to 8".
        most: the largest number allowed.
        growing: whether there must be at least one, and each larger than the one before.

    Raises:
        ValueError: anything else.
    """
    given = getattr(config, name)
    refused = ValueError(f"{name} must be a tuple of {what}{', from small to large' if growing else ''}, got {given!r}")
    if not isinstance(given, tuple | list):
        raise refused
    try:
        numbers = tuple(arguments.whole(name, number, 1, most) for number in given)
    except ValueError:
        raise refused from None
    if growing and (not numbers or list(numbers) != sorted({*numbers})):
        raise refused
    object.__setattr__(config, name, numbers)


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


def check_kind(name: str, value: object, kind: type[K]) -> K:
    """Refuse what is not a method's own ``Config`` or ``Model``.

    Args:
        name: of the argument, for the message.
        value: what the caller passed.
        kind: the class expected.

    Returns:
        The value.

    Raises:
        TypeError: an object of another class.
    """
    if isinstance(value, kind):
        return value
    method = kind.__module__.rpartition(".")[2]
    made_by = f"what {method}.train or {method}.load returns" if kind.__name__ == "Model" else f"a {method}.Config(...)"
    if isinstance(value, type):
        got = f"the class {value.__name__}; write {value.__name__}()"
    else:
        got = "None" if value is None else type(value).__name__
        if type(value).__name__ == kind.__name__:  # another method's
            got = f"a {type(value).__module__.rpartition('.')[2]}.{got}"
        elif isinstance(value, str) and kind.__name__ == "Model":
            got = f"the text {value!r}; {method}.load reads a file"
    raise TypeError(f"{name} must be {made_by}, got {got}")


def given(config: K | None, kind: type[K], *, callback: object = None) -> K:
    """The configuration that a method's verb or `train` was given, or the default one.

    Raises:
        TypeError: a configuration of another method, or a callback that is not a function.
    """
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of one Progress, or None, got {callback!r}")
    return kind() if config is None else check_kind("config", config, kind)


def check_labels(labels: object, count: int, num_classes: int) -> Tensor | None:
    """The class of each item as int64 (count,), from numbers in a tensor, an array, a list or a generator.

    Args:
        labels: one for each item, or one for all; None without classes.
        count: of the items.
        num_classes: of the configuration; 0: no classes.

    Raises:
        ValueError: missing or unexpected labels, another number of them, or labels that are not whole numbers from 0 to
            num_classes − 1.
    """
    last = num_classes - 1
    if num_classes == 0 and labels is not None:
        raise ValueError("labels were given, but the configuration has num_classes=0; set num_classes to use them")
    if num_classes == 0:
        return None
    if labels is None:
        raise ValueError(f"the configuration has {last + 1} classes; give labels, whole numbers from 0 to {last}")
    one = arguments.plain(labels)
    try:
        if arguments.is_number(one):
            classes = torch.tensor([arguments.whole("labels", one)] * count)
        else:
            classes = torch.as_tensor(list(labels) if isinstance(labels, Iterator) else labels)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"expected {count} labels, whole numbers from 0 to {last}, got {labels!r}") from None
    numbers = not (classes.is_floating_point() or classes.is_complex() or classes.dtype == torch.bool)
    if classes.shape != (count,) or not numbers or classes.min() < 0 or classes.max() > last:
        got = f"{classes.dtype} of shape {tuple(classes.shape)}, such as {classes.flatten()[:4].tolist()}"
        raise ValueError(f"expected {count} labels, whole numbers from 0 to {last}, got {got}")
    return classes.long()


def check_scales(config: object, name: str, count: int, what: str) -> None:
    """Refuse what is not one finite number above 0 for each of `count` things; make a tuple of a list.

    Args:
        config: the frozen dataclass.
        name: of the field.
        count: how many numbers are expected.
        what: what they are for: "style layers".

    Raises:
        ValueError: another count, or a number that is not above 0.
    """
    given = getattr(config, name)
    if len(given) != count:
        raise ValueError(f"{name} must be one number, or {count} for the {what}; got {given!r}")
    object.__setattr__(config, name, tuple(arguments.positive(name, number) for number in given))
