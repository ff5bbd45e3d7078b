"""Notices that a generator has collapsed: whatever it is given, it makes the same picture.

No loss shows it (both players' losses may be level), so `training.loop.fit` looks at the pictures. Every 100 steps the
generator makes those of a fixed set of noise, or of fixed inputs, and a `Watch` measures their `spread` in relation to
that of real ones: a *look*. When it decides that the generator has collapsed, it says so once, in a warning; the run
goes on. What `Watch` cannot see is a generator that makes few kinds, each of them well; for that, count kinds.

**The rule.** A look is *low* if its ratio is below a small fraction, the `least` of what is watched. A generator has
collapsed when three looks in a row are low, and

- an earlier look reached three times that fraction: what was there has been lost; or
- a quarter of the run is over: what has not come by then does not come.

Three, because two players circle: a single low look may be a swing. Three times, because an untrained generator makes
pictures that are all alike, which is where every run begins; and because a ratio that trembles about the limit would
otherwise count as lost.

A look draws no random numbers and leaves the network as it was, so that a run with looks is equal to one without, to
the last bit. It costs little: at most 20 pictures go through the generator once, forward, where the 100 steps before it
sent batches through all networks, forward and back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from course_lib import runtime

EVERY = 100  # steps from one look to the next
COUNT = 16  # draws of noise that a generator is given at each look
INPUTS = 8  # pictures that a translator is given
ROW = 3  # looks in a row that have to be low
ALIVE = 3.0  # times `least`: an earlier look was as high
PATIENCE = 0.25  # part of a run after which a generator counts as collapsed even if it never was alive
LEAST = 0.1  # of what real pictures differ


def spread(x: Tensor, dim: int = 0) -> float:
    """The root mean square difference between two things drawn from a set.

    It is √(2 · variance), with the unbiased variance over the set of each number (a color of a pixel, a coordinate),
    averaged over all.

    Args:
        x: the set, of any shape; one thing alone has no spread, 0.
        dim: the dimension over which they lie; what lies along the others is averaged.

    >>> spread(torch.tensor([[0.0, 1.0], [2.0, 1.0]]))  # two points, √((2² + 0²) / 2)
    1.4142135623730951
    """
    return float((2 * x.double().var(dim).mean()).sqrt()) if x.shape[dim] > 1 else 0.0


@dataclass(frozen=True)
class Sight:
    """One thing that a generator's outputs should follow.

    Attributes:
        given: what differs, as the end of "for …": ``"16 draws of noise"``.
        made: the outputs for it, now; without gradients.
        real: the spread of real ones.
        advice: what to do, as a sentence without its end.
        dim: the dimension of what is made over which they should differ.
        least: the part of `real` below which a look is low.
    """

    given: str
    made: Callable[[], Tensor]
    real: float
    advice: str = "Try a lower learning rate, a penalty on the discriminator's slope (or a larger one), or more data"
    dim: int = 0
    least: float = LEAST

    def ratio(self) -> float:
        """The spread of what is made, over that of real ones."""
        return spread(self.made(), self.dim) / self.real


@dataclass
class Watch:
    """What `training.loop.fit` asks after every step; see the module for its rule.

    Args:
        sights: what is watched. One without a spread of real ones (a single picture, or all alike) is left out.
        every: steps from one look to the next.

    Attributes:
        looks: of each look, the ratio of each sight.
        collapsed: the step of the first of the low looks; None: the generator has not collapsed.

    >>> flat = Watch([Sight("5 draws", lambda: torch.zeros(5, 1), real=1.0)], every=1)
    >>> for step in (1, 2, 3):
    ...     sentence = flat.look(step, num_steps=4)
    >>> flat.collapsed, sentence[:42]
    (1, 'step 3: the generator has collapsed. Since')
    """

    sights: Sequence[Sight]
    every: int = EVERY
    looks: list[list[float]] = field(default_factory=list)
    collapsed: int | None = None

    def __post_init__(self) -> None:
        self.sights = [sight for sight in self.sights if sight.real > 0]

    def look(self, step: int, num_steps: int) -> str | None:
        """Look, if `step` is one at which to look.

        Args:
            step: how many steps were taken.
            num_steps: of the whole run.

        Returns:
            At the look that decides, a sentence: what was seen, since when, and what to do. Otherwise None.
        """
        if not self.sights or step % self.every:
            return None
        self.looks.append([sight.ratio() for sight in self.sights])
        if self.collapsed is not None:
            return None
        for sight, ratios in zip(self.sights, zip(*self.looks, strict=True), strict=True):
            if has_collapsed(ratios, step / num_steps, sight.least):
                self.collapsed = step - (ROW - 1) * self.every
                share = f"{100 * ratios[-1]:.2g} %" if ratios[-1] >= 0.001 else "less than 0.1 %"
                return (
                    f"step {step}: the generator has collapsed. Since step {self.collapsed} its outputs for "
                    f"{sight.given} are nearly the same: they differ by {share} of what real ones do. "
                    f"The run goes on, but seldom recovers. {sight.advice}."
                )
        return None

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"looks": self.looks, "collapsed": self.collapsed}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.looks, self.collapsed = [list(look) for look in state["looks"]], state["collapsed"]


def has_collapsed(ratios: Sequence[float], part: float, least: float = LEAST) -> bool:
    """The rule of this module.

    Args:
        ratios: of all looks so far, the last one now.
        part: of the run that is over, from 0 to 1.
        least: the fraction below which a look is low.

    >>> has_collapsed([0.6, 0.05, 0.05, 0.05], part=0.1), has_collapsed([0.05] * 9, part=0.1)
    (True, False)
    """
    before, last = ratios[:-ROW], ratios[-ROW:]
    if len(last) < ROW or not all(ratio < least for ratio in last):
        return False
    return part >= PATIENCE or any(ratio >= ALIVE * least for ratio in before)


def some(data: Any, count: int = COUNT) -> list[Any]:
    """Items of a data set, spread evenly over it, `count` of them or all; torch's random state stays untouched."""
    count = min(count, len(data))
    with runtime.seeded(0, torch.device("cpu")):
        return [data[k * len(data) // count] for k in range(count)]


def follows(network: nn.Module, inputs: Tensor, real: Tensor, given: str) -> Sight:
    """That the outputs of `network` follow its inputs.

    Args:
        network: takes `inputs` alone, and is on its device already.
        inputs: (N, 3, H, W) in [0, 1].
        real: (M, 3, H, W) in [0, 1], such as the outputs should be.
        given: as for `Sight`.
    """

    def made() -> Tensor:
        filters = [p for p in network.parameters() if p.ndim == 4]
        last = all(p.is_contiguous(memory_format=torch.channels_last) for p in filters)
        layout = torch.channels_last if last else torch.contiguous_format  # it stays as it was
        with runtime.inference(network, device=next(network.parameters()).device, layout=layout) as run:
            return run(inputs).clamp(0, 1)

    return Sight(given, made, spread(real))


def both_ways(AB: nn.Module, BA: nn.Module, pairs: Any) -> list[Sight]:
    """That two translators follow their inputs.

    Args:
        AB, BA: each takes pictures of one domain and makes those of the other.
        pairs: a data set of (2, 3, H, W), a picture of A and one of B.
    """
    a, b = torch.stack(some(pairs, INPUTS)).unbind(1)
    return [follows(AB, a, b, f"{len(a)} pictures of A"), follows(BA, b, a, f"{len(b)} pictures of B")]
