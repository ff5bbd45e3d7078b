"""Learning-rate schedules: functions of the step that return a factor on every optimizer's own learning rate.

`training.loop.fit` calls ``schedule(step, num_steps)`` before each step. Any such function will do; those here are the
ones that the papers of this project use.
"""

from __future__ import annotations

from collections.abc import Callable

Schedule = Callable[[int, int], float]  # (step, from 0; num_steps) → a factor on the learning rate


def constant(step: int, num_steps: int) -> float:
    """Always 1: the learning rate stays as it is."""
    return 1.0


def linear_to_zero(last_part: float) -> Schedule:
    """1, then a straight line down to 0 over the last part of the run.

    At step t of T the factor is min(1, (T − t) / (T · last_part)); it would be 0 one step after the last.

    Args:
        last_part: from 0 (never falls) to 1 (falls from the first step on).

    Raises:
        ValueError: a `last_part` outside [0, 1].

    >>> schedule = linear_to_zero(0.5)
    >>> [schedule(step, 8) for step in range(8)]
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if not 0 <= last_part <= 1:
        raise ValueError(f"cooldown is a part of the run, from 0 to 1, got {last_part}")

    def schedule(step: int, num_steps: int) -> float:
        left = (num_steps - step) / num_steps  # 1 at the first step
        return min(1.0, left / last_part) if last_part > 0 else 1.0

    return schedule


def inverse_decay(k: float) -> Schedule:
    """1 / (1 + k·t) at step t, however long the run is; AdaIN's released code (Huang & Belongie 2017) has k = 5e-5.

    Raises:
        ValueError: a negative `k`.

    >>> schedule = inverse_decay(0.5)
    >>> [schedule(step, 100) for step in (0, 2, 6)]
    [1.0, 0.5, 0.25]
    """
    if k < 0:
        raise ValueError(f"k must be at least 0, got {k}")
    return lambda step, num_steps: 1 / (1 + k * step)


def both(first: Schedule, second: Schedule) -> Schedule:
    """The product of two schedules.

    >>> schedule = both(inverse_decay(1.0), linear_to_zero(0.5))
    >>> [schedule(step, 4) for step in range(4)]
    [1.0, 0.5, 0.3333333333333333, 0.125]
    """
    return lambda step, num_steps: first(step, num_steps) * second(step, num_steps)
