"""Check of a pool of earlier pictures, for the discriminator to see again (Shrivastava et al. 2017, Section 2.3).

Pictures have one value each, their number in the order in which they were made: so the check knows, of every picture
that comes out, when it went in. Shares are measured over hundreds of pictures, with tolerances of five standard
deviations or more, so that a right pool passes whatever it draws from.
"""

from __future__ import annotations

import random as python
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.teaching.checks.base import CheckFailed, attempt, attempt_as_described, need, tensor

Pool = Callable[[Tensor], Any]

_LONG, _SHORT = 1200, 200  # pictures through one pool; pools that are filled anew
_MOST = 2000  # pictures have the values k / _MOST


def check_image_pool(factory: Callable[[int], Pool]) -> None:
    """Check a pool that keeps up to `size` pictures, and exchanges every second picture for one of them.

    Args:
        factory: size → a pool, called with fakes (N, 3, H, W) → pictures of the same shape. Each picture of a batch is
            treated by itself. The first `size` pictures are kept, and returned as they come. After that, a picture is
            returned as it comes with probability ½, and otherwise exchanged for a random one of the pool. With size 0
            every picture is returned as it came. No gradient passes.

    Raises:
        CheckFailed: a property does not hold.
    """
    with _fixed_random_states():
        _need_cut_off(factory)
        _need_filling(factory)
        _need_a_fair_choice(factory)
        _need_replacement(factory)
        _need_single_pictures(factory)
    print("✓ a pool: half of the pictures are earlier ones, and each of these was there once")


def _need_cut_off(factory: Callable[[int], Pool]) -> None:
    """Raise `CheckFailed` unless shape and values are kept, gradients are not, and nobody else's pictures change."""
    for size in (0, 2):
        pool, given = _made(factory, size), _numbered(0, 4).requires_grad_()
        for turn in range(3):
            batch = given + 4 * turn  # as the output of a generator
            before = batch.detach().clone()
            out = _out(pool, batch)
            need(
                not out.requires_grad,
                "a gradient can pass from the pool back to the generator; each step would keep the networks' "
                "activations of all steps whose pictures are in the pool",
            )
            need(
                torch.equal(batch.detach(), before),
                "the pool has written into the pictures that it was given; the generator's loss still needs them",
            )
            need(size > 0 or torch.equal(out, before), "with size 0, a picture does not come back as it was")


def _need_filling(factory: Callable[[int], Pool]) -> None:
    """Raise `CheckFailed` unless the first pictures are returned as they come."""
    for size in (1, 3, 50):
        out = _run(factory, size, size)
        for k, number in enumerate(out):
            need(
                number == k,
                f"a pool of size {size} gets its picture number {k + 1} and returns picture {number + 1}; until it is "
                "full, pictures are kept and returned as they come",
            )


def _need_a_fair_choice(factory: Callable[[int], Pool]) -> None:
    """Raise `CheckFailed` unless a full pool of 3 returns the next picture half of the time, and else any of the 3."""
    counts = Counter(_run(factory, 3, 4)[-1] for _ in range(_SHORT))
    same = counts.pop(3, 0) / _SHORT
    need(counts.total() > 0, "a full pool never returns an earlier picture; are pictures kept, and is it ever full?")
    need(same > 0, "a full pool never returns the picture that it gets, only earlier ones; how often should it?")
    need(
        0.3 < same < 0.7,
        f"a full pool returns the picture that it gets in {same:.0%} of all cases, not in half",
    )
    for k, which in enumerate(("oldest", "second", "newest")):
        share = counts[k] / counts.total()
        need(
            0.08 < share < 0.6,
            f"a full pool of size 3 returns its {which} picture in {share:.0%} of the exchanges, not in a third",
        )


def _need_replacement(factory: Callable[[int], Pool]) -> None:
    """Raise `CheckFailed` unless a picture that comes out of a pool leaves it, for the new one, and no other enters."""
    size = 10
    out = _run(factory, size, _LONG)[size:]
    late = [number for k, number in enumerate(out, start=size) if number != k]
    share = 1 - len(late) / len(out)
    need(0.42 < share < 0.58, f"over {len(out)} pictures, {share:.0%} come back as they are, not half of them")
    need(
        max(late) >= size,
        "only the first pictures ever come back; does the new one take the free place?",
    )
    number, times = Counter(late).most_common(1)[0]
    need(
        times == 1,
        f"picture {number + 1} comes out of the pool {times} times; does the new one take its place?",
    )
    direct = {number for k, number in enumerate(out, start=size) if number == k}
    again = len(direct & set(late))
    need(
        again == 0,
        f"{again} of {len(direct)} pictures that were returned at once come out again later; which pictures enter?",
    )
    ages = [k - number for k, number in enumerate(out, start=size) if number != k]
    mean = sum(ages) / len(ages)
    need(
        1.4 * size < mean < 2.6 * size and max(ages) < 40 * size,
        f"pictures stay in a pool of size {size} for {mean:.0f} steps on average, and for up to {max(ages)}; if one of "
        f"{size} leaves in every second step, it is {2 * size}. How many does yours keep, and does each have the same "
        "chance to leave?",
    )
    spread = (sum((age - mean) ** 2 for age in ages) / len(ages)) ** 0.5
    need(
        spread > size,
        f"pictures stay in a pool of size {size} for about the same time ({mean:.0f} ± {spread:.0f} steps); is the "
        "one that leaves chosen at random?",
    )


def _need_single_pictures(factory: Callable[[int], Pool]) -> None:
    """Raise `CheckFailed` unless each picture of a batch is treated by itself."""
    pool, batch, exchanged = _made(factory, 6), 4, Counter[int]()
    for turn in range(60):
        first = turn * batch
        numbers = _numbers(_out(pool, _numbered(first, batch)), first + batch)
        if turn == 0:
            need(
                numbers == list(range(batch)),
                "the pictures of the first batch do not come back as they are, in order",
            )
        if turn > 1:
            exchanged[sum(number != first + k for k, number in enumerate(numbers))] += 1
    need(
        bool(exchanged.keys() - {0, batch}),
        f"either all {batch} pictures of a batch are exchanged or none; each of them should have its own chance",
    )
    need(
        exchanged.keys() != {batch // 2},
        "exactly half of the pictures of every batch are exchanged; each of them should have its own chance",
    )
    share = sum(k * times for k, times in exchanged.items()) / (batch * exchanged.total())
    need(0.3 < share < 0.7, f"in batches of {batch}, {share:.0%} of the pictures are exchanged, not half of them")


# --- pictures with numbers
def _numbered(first: int, count: int) -> Tensor:
    """(count, 3, 4, 5): pictures of one value each, their numbers divided by `_MOST`."""
    return (torch.arange(first, first + count) / _MOST).view(-1, 1, 1, 1).repeat(1, 3, 4, 5)


def _numbers(out: Tensor, made: int) -> list[int]:
    """Which of the pictures made so far these are."""
    first = out[:, :1, :1, :1]
    numbers = [round(_MOST * value) for value in first.flatten().tolist()]
    flat = bool((out - first).abs().max() < 1e-6)
    exact = all(abs(_MOST * value - k) < 0.01 for value, k in zip(first.flatten().tolist(), numbers, strict=True))
    need(
        flat and exact and all(0 <= k < made for k in numbers),
        "the pool returns a picture that it was never given; does each pool have its own?",
    )
    return numbers


def _made(factory: Callable[[int], Pool], size: int) -> Pool:
    """A new pool."""
    pool: Pool = attempt_as_described(factory, size)
    if not callable(pool):
        raise CheckFailed(f"a pool must be callable with a batch of pictures, got {type(pool).__name__}")
    return pool


def _out(pool: Pool, batch: Tensor) -> Tensor:
    """What a pool returns for a batch, of the same shape; it may require a gradient."""
    out = attempt(pool, batch, copies=False)
    tensor(out, "the pool")
    need(
        out.shape == batch.shape,
        f"a batch of shape {tuple(batch.shape)} must give as many pictures, got the shape {tuple(out.shape)}",
    )
    return out


def _run(factory: Callable[[int], Pool], size: int, count: int) -> list[int]:
    """The numbers that a new pool returns for `count` pictures, given one by one."""
    pool = _made(factory, size)
    return [_numbers(_out(pool, _numbered(k, 1)), k + 1)[0] for k in range(count)]


@contextmanager
def _fixed_random_states() -> Iterator[None]:
    """Inside the ``with``, the random states of torch, NumPy and Python are fixed; they come back afterwards."""
    ours, theirs = python.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        python.seed(0)
        try:
            yield
        finally:
            python.setstate(ours)
            np.random.set_state(theirs)  # noqa: NPY002
