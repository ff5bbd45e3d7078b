"""What all checks share: reporting a property that fails, and calling a student's function."""

from __future__ import annotations

import operator
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.runtime import seeded_generator

_COARSE = ("float16", "bfloat16")


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

    The function gets copies of tensors and lists, so that in-place changes do no harm, unless `copies` is False.

    Raises:
        CheckFailed: the function is still empty, or PyTorch raises a RuntimeError in it.
    """
    try:
        return function(*(_copy(x) if copies else x for x in inputs))
    except NotImplementedError:
        raise CheckFailed("the function is still empty: replace `raise NotImplementedError` with your code") from None
    except RuntimeError as error:  # what PyTorch raises for shapes that do not match
        given = " and ".join(str(tuple(x.shape)) for x in inputs if isinstance(x, Tensor))
        given = f" on input of shape {given}" if given else ""
        raise CheckFailed(f"the function stopped with {type(error).__name__}{given}: {error}") from error


def attempt_as_described(function: Callable[..., Any], *inputs: Any) -> Any:
    """As `attempt`, for a class or a network; a TypeError means that its signature is wrong."""
    try:
        return attempt(function, *inputs)
    except TypeError as error:
        raise CheckFailed(f"it could not be called as the task describes: {error}") from error


def _copy(value: Any) -> Any:
    if isinstance(value, list):
        return [_copy(part) for part in value]
    return value.clone() if isinstance(value, Tensor) else value


def call(function: Callable[..., Any], *inputs: Any) -> Tensor:
    """Call a student's function and return its finite tensor, as float32 and detached.

    Raises:
        CheckFailed: as for `attempt` and `tensor`.
    """
    return tensor(attempt(function, *inputs))


def tensor(value: Any, name: str = "the function") -> Tensor:
    """Return `value` as float32 and detached, if it is a finite tensor of at least that precision.

    Raises:
        CheckFailed: it is not a tensor, it holds NaN or infinite values, or it is in half precision; the message calls
            it `name`.
    """
    if not isinstance(value, Tensor):
        hint = "; does it end in `return`?" if value is None else ""
        raise CheckFailed(f"{name} must return a tensor, got {type(value).__name__}{hint}")
    value = value.detach().as_subclass(Tensor)
    need(bool(torch.isfinite(value).all()), f"{name} returned values that are not finite")
    kind = str(value.dtype).rpartition(".")[2]
    need(
        kind not in _COARSE, f"{name} returned {kind}, which keeps about three digits; keep the precision of the input"
    )
    return value.float()


def number(function: Callable[..., Any], *inputs: Any, what: str = "a loss") -> Tensor:
    """Call a student's function and return its single number as a tensor without dimensions; (1,) is converted.

    Raises:
        CheckFailed: as for `call`, or more than one number.
    """
    value = call(function, *inputs)
    need(value.numel() == 1, f"{what} must be a single number, got shape {tuple(value.shape)}")
    return value.reshape(())


def whole(value: Any) -> int:
    """Return a student's whole number as an int, also from NumPy or from a tensor of one element.

    Raises:
        CheckFailed: it is not a whole number.
    """
    truth = isinstance(value, bool | np.bool_) or (isinstance(value, Tensor) and value.dtype == torch.bool)
    if not truth:
        with suppress(TypeError, ValueError):
            return int(operator.index(value))
    hint = "; does it end in `return`?" if value is None else ""
    raise CheckFailed(f"the function must return a whole number, got {type(value).__name__}{hint}")


def need_gradient(
    function: Callable[..., Any], expected: Callable[..., Tensor], first: Tensor, *others: Tensor
) -> None:
    """Raise `CheckFailed` unless the gradient of a student's loss by its first input is that of `expected`."""
    leaf = first.clone().requires_grad_(True)
    value = attempt(function, leaf * 1, *(x.clone() for x in others), copies=False)
    lost = "no gradient reaches the first input; an optimization that lowers this loss would not change anything"
    need(isinstance(value, Tensor) and value.requires_grad, lost)
    try:
        (ours,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    except RuntimeError:  # the function has written into its input, which says nothing about its value
        return
    if ours is None:
        raise CheckFailed(lost)
    (theirs,) = torch.autograd.grad(expected(leaf, *others), leaf)
    need(
        near(ours.float(), theirs, 1e-3),
        "the value is right, but its gradient is not: a part of the calculation does not depend on the first input",
    )
