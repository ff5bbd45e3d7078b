"""Numbers, words and paths that a caller passes: converted if nothing is lost, otherwise refused.

A number may come from NumPy, from a tensor without dimensions, or as ``1e3`` where a whole number is meant. It may not
come as text or as True. Each function names the argument, the value it got and what it expected, in one sentence.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

LARGEST_SEED = 2**32 - 1  # PyTorch's CPU generator uses 32 bits: 2**32 would draw the numbers of 0


def whole(name: str, value: object, least: int = 0, most: int | None = None) -> int:
    """A whole number as an int: 3, ``np.int64(3)``, ``torch.tensor(3)``, 3.0.

    Args:
        name: of the argument, for the message.
        value: what the caller passed.
        least, most: the smallest and the largest number allowed.

    Raises:
        ValueError: anything else, or a number out of range.

    >>> whole("num_steps", 1e3, 1)
    1000
    """
    number = plain(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if (
        not isinstance(number, int)
        or isinstance(number, bool)
        or number < least
        or (most is not None and number > most)
    ):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number {limits}, got {value!r}")
    return number


def positive(name: str, value: object) -> float:
    """A finite number greater than 0; an int stays an int.

    Raises:
        ValueError: anything else.
    """
    number = plain(value)
    if not is_number(number) or not 0 < number < math.inf:
        raise ValueError(f"{name} must be a finite number greater than 0, got {value!r}")
    return number


def nonnegative(name: str, value: object) -> float:
    """A finite number of at least 0; an int stays an int.

    Raises:
        ValueError: anything else.
    """
    number = plain(value)
    if not is_number(number) or not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return number


def fraction(name: str, value: object) -> float:
    """A number from 0 to 1; an int stays an int.

    Raises:
        ValueError: anything else.
    """
    number = plain(value)
    if not is_number(number) or not 0 <= number <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")
    return number


def choice(name: str, value: object, allowed: Sequence[Any]) -> Any:
    """The member of `allowed` that equals `value`: 4 for 4.0, True for 1 where True is allowed.

    Raises:
        ValueError: no member equals it.
    """
    given = plain(value)
    if isinstance(given, str | int | float) or given is None:
        flags = any(isinstance(one, bool) for one in allowed)
        for one in allowed:
            if one == given and (flags or not isinstance(given, bool)):
                return one
    raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def names(name: str, value: object, *, least: int = 1) -> tuple[str, ...]:
    """A tuple of at least `least` names, also from a list.

    Raises:
        ValueError: anything else, including a single string.
    """
    if isinstance(value, str):
        raise ValueError(f"{name} must be a tuple of names, got the text {value!r}; write ({value!r},)")
    if not isinstance(value, tuple | list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{name} must be a tuple of names, got {value!r}")
    if len(value) < least:
        raise ValueError(f"{name} is empty; give at least one layer")
    return tuple(value)


def shares(name: str, value: object, count: int | None, what: str) -> tuple[float, ...]:
    """Weights that can be scaled to sum to one, as a tuple; a list or a tensor is accepted, too.

    Args:
        name: of the argument, for the message.
        value: what the caller passed.
        count: how many weights are expected; None: any number of them.
        what: what is weighted, for the message: "style layers".

    Raises:
        ValueError: not `count` weights, a negative or non-finite one, only zeros, or an infinite sum.

    >>> shares("weights", [2, 1], 2, "paintings")
    (2, 1)
    """
    given: Any = value.tolist() if hasattr(value, "tolist") else value
    listed = isinstance(given, tuple | list)
    refused = ValueError(
        f"{name} must be {f'{count} ' if count else f'{len(given)} ' if listed else ''}numbers of at least 0 for the "
        f"{what}, not all 0; got {value!r}"
    )
    if not listed or len(given) != (count or len(given)):
        raise refused
    try:
        weights = tuple(nonnegative(name, share) for share in given)
    except ValueError:
        raise refused from None
    if sum(weights) <= 0:
        raise refused
    if math.isinf(sum(weights)):
        raise ValueError(f"{name} are too large to add up; divide all of them by the largest, got {value!r}")
    return weights


def seed(value: object, name: str = "seed") -> int:
    """A seed as an int, from 0 to `LARGEST_SEED`.

    Raises:
        ValueError: anything else.
    """
    return whole(name, value, 0, LARGEST_SEED)


def path(value: object, what: str = "a file") -> Path:
    """A path without ``~``; that of a user who does not exist stays as it is.

    Raises:
        ValueError: neither str nor Path, empty, or a text that cannot be a path.
    """
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(f"expected the path of {what}, as str or Path, got {value!r}")
    if "\0" in str(value):
        raise ValueError(f"{str(value)!r} is no path: it contains a zero byte")
    return Path(os.path.expanduser(value))


def plain(value: object) -> Any:
    """NumPy's numbers, and tensors and arrays without dimensions, as Python's; everything else as it is."""
    if type(value) in (int, float, bool, str):
        return value
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def is_number(value: object) -> bool:
    """Whether a value that went through `plain` is a number; True and False are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)
