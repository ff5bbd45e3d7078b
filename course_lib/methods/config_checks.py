"""Checks that the configurations of all methods share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_lib import arguments, runtime


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
    """Refuse a configuration with an invalid value, and say what is allowed; convert what loses nothing by it.

    ``np.int64(3)`` becomes 3, a list of layers a tuple, ``torch.device("cpu")`` becomes ``"cpu"`` (see
    `course_lib.arguments`). The fields ``seed``, ``device``, ``precision`` and ``weights`` mean the same in every
    method and are checked wherever a configuration has them.

    Args:
        config: the frozen dataclass to check; the other arguments name its fields.
        whole: fields that are whole numbers → the smallest value allowed.
        positive, nonnegative: fields that are finite numbers above 0, or at least 0.
        fractions: fields that are numbers in [0, 1].
        layers: fields that are tuples of at least one layer name.
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


def check_shares(name: str, shares: object, count: int | None, what: str) -> tuple[float, ...]:
    """Refuse weights that cannot be scaled to sum to one.

    Args:
        name: of the field that holds the weights.
        shares: the weights.
        count: how many weights are expected; None: any number of them.
        what: what is weighted, for the message: "style layers".

    Returns:
        The weights as a tuple.

    Raises:
        ValueError: not `count` weights, a negative or non-finite one, or only zeros.
    """
    refused = ValueError(
        f"{name} must be {'' if count is None else f'{count} '}numbers of at least 0 for the {what}, not all 0; "
        f"got {shares!r}"
    )
    given = shares.tolist() if hasattr(shares, "tolist") else shares
    if not isinstance(given, tuple | list) or len(given) != (count or len(given)):
        raise refused
    try:
        weights = tuple(arguments.nonnegative(name, share) for share in given)
    except ValueError:
        raise refused from None
    if sum(weights) <= 0:
        raise refused
    return weights


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


def check_kind(name: str, value: object, kind: type, made_by: str) -> None:
    """Refuse what is not a method's own ``Config`` or ``Model``.

    Args:
        name: of the argument, for the message.
        value: what the caller passed.
        kind: the class expected.
        made_by: what makes one, for the message: "johnson.train or johnson.load".

    Raises:
        ValueError: an object of another class.
    """
    if not isinstance(value, kind):
        module = type(value).__module__.removeprefix("course_lib.methods.")
        got = "a class, without ()" if isinstance(value, type) else f"{type(value).__name__} of {module}"
        got = got.removesuffix(" of builtins")
        raise ValueError(f"{name} must be what {made_by} returns, got {got}")
