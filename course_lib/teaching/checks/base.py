"""What every check stands on: how a failed property is said, and how a student's function is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.runtime import seeded_generator


class CheckFailed(AssertionError):
    """An exercise's answer that lacks a property; the message names it."""


def holds(statement: str, condition: bool | Tensor) -> None:
    """Print a statement of the book if it holds on this machine with this seed, and stop the notebook if not.

    >>> holds("two is less than three", 2 < 3)
    ✓ two is less than three
    """
    if not bool(condition):
        raise AssertionError(f"does not hold here: {statement}")
    print(f"✓ {statement}")


def need(condition: bool, message: str) -> None:
    """Raise `CheckFailed` with `message` unless `condition`."""
    if not condition:
        raise CheckFailed(message)


def near(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> bool:
    """Whether two tensors agree within `tolerance`, relative to the larger entry of `b`."""
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance * b.abs().max().clamp_min(1e-6))


def need_factor(value: Tensor, expected: Tensor, what: str, tolerance: float = 1e-4) -> None:
    """Refuse a value that is a multiple of what it should be, and say which multiple."""
    factor = (value / expected).item()
    need(abs(factor - 1) < tolerance, f"the value is {factor:.4g} times what it should be: {what}")


def random(*shape: int, seed: int = 0) -> Tensor:
    """Uniform in [0, 1), the same for every student."""
    return torch.rand(shape, generator=seeded_generator(seed))


def attempt(function: Callable[..., Any], *inputs: Any, copies: bool = True) -> Any:
    """What a student's function returns; an empty one, and PyTorch's complaint, become a `CheckFailed`.

    It is given copies of the tensors, so that a change to them decides nothing, unless `copies` is False.
    """
    try:
        return function(*(x.clone() if copies and isinstance(x, Tensor) else x for x in inputs))
    except NotImplementedError:
        raise CheckFailed("the function is still empty: replace `raise NotImplementedError` by your code") from None
    except RuntimeError as error:  # PyTorch's words for shapes that do not fit
        given = " and ".join(str(tuple(x.shape)) for x in inputs if isinstance(x, Tensor))
        given = f" on input of shape {given}" if given else ""
        raise CheckFailed(f"the function stopped with {type(error).__name__}{given}: {error}") from error


def call(function: Callable[..., Any], *inputs: Any) -> Tensor:
    """The finite tensor that a student's function returns, as float32 without its history."""
    return tensor(attempt(function, *inputs))


def tensor(value: Any, name: str = "the function") -> Tensor:
    """`value` if it is a finite tensor, as float32 without its history."""
    if not isinstance(value, Tensor):
        hint = "; does it end in `return`?" if value is None else ""
        raise CheckFailed(f"{name} must return a tensor, got {type(value).__name__}{hint}")
    if not bool(torch.isfinite(value).all()):
        raise CheckFailed(f"{name} returned values that are not finite")
    return value.detach().as_subclass(Tensor).float()
