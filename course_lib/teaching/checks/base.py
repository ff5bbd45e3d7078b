"""What all checks share: reporting a property that fails, and calling a student's function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.runtime import seeded_generator


class CheckFailed(AssertionError):
    """A student's answer lacks a property; the message names it."""


def need(condition: bool, message: str) -> None:
    """Raise `CheckFailed` with `message` unless `condition`."""
    if not condition:
        raise CheckFailed(message)


def near(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> bool:
    """Whether two tensors have the same shape and agree within `tolerance`, relative to the largest entry of `b`."""
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance * b.abs().max().clamp_min(1e-6))


def need_factor(value: Tensor, expected: Tensor, what: str, tolerance: float = 1e-4) -> None:
    """Raise `CheckFailed` unless the scalars agree; the message says by which factor `value` is off."""
    factor = (value / expected).item()
    need(abs(factor - 1) < tolerance, f"the value is {factor:.4g} times what it should be. Expected: {what}")


def random(*shape: int, seed: int = 0) -> Tensor:
    """A tensor of this shape, uniform in [0, 1), the same for every student."""
    return torch.rand(shape, generator=seeded_generator(seed))


def attempt(function: Callable[..., Any], *inputs: Any, copies: bool = True) -> Any:
    """Call a student's function and return its result.

    The function gets copies of the tensors, so that in-place changes do no harm, unless `copies` is False.

    Raises:
        CheckFailed: the function is still empty, or PyTorch raises a RuntimeError in it.
    """
    try:
        return function(*(x.clone() if copies and isinstance(x, Tensor) else x for x in inputs))
    except NotImplementedError:
        raise CheckFailed("the function is still empty: replace `raise NotImplementedError` with your code") from None
    except RuntimeError as error:  # what PyTorch raises for shapes that do not match
        given = " and ".join(str(tuple(x.shape)) for x in inputs if isinstance(x, Tensor))
        given = f" on input of shape {given}" if given else ""
        raise CheckFailed(f"the function stopped with {type(error).__name__}{given}: {error}") from error


def call(function: Callable[..., Any], *inputs: Any) -> Tensor:
    """Call a student's function and return its finite tensor, as float32 and detached.

    Raises:
        CheckFailed: as for `attempt` and `tensor`.
    """
    return tensor(attempt(function, *inputs))


def tensor(value: Any, name: str = "the function") -> Tensor:
    """Return `value` as float32 and detached, if it is a finite tensor.

    Raises:
        CheckFailed: it is not a tensor, or it holds NaN or infinite values; the message calls it `name`.
    """
    if not isinstance(value, Tensor):
        hint = "; does it end in `return`?" if value is None else ""
        raise CheckFailed(f"{name} must return a tensor, got {type(value).__name__}{hint}")
    if not bool(torch.isfinite(value).all()):
        raise CheckFailed(f"{name} returned values that are not finite")
    return value.detach().as_subclass(Tensor).float()
