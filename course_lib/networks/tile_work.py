"""How much a network has to compute tile by tile, and how much of it is done: what a progress bar needs.

The tiles of a late pass take many times as long as those of the first one: an enlarger by 8 spends most of its time at
the eightfold size. So the work is counted in products of the convolutions, not in tiles.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from torch import Tensor, nn

from course_lib.runtime import Callback, Progress

UNITS = 1000  # the work of a picture is reported in thousandths


class Work:
    """Counts products, and reports to a callback after each piece: a `Progress` with thousandths for its steps.

    It has no losses, and its picture raises LookupError, since it is not finished.

    Args:
        total: the products of the whole.
        callback: None reports nothing.

    >>> said = []
    >>> work = Work(8.0, lambda progress: said.append((progress.step, progress.num_steps)))
    >>> work.add(2.0); work.add(6.0)
    >>> said
    [(250, 1000), (1000, 1000)]
    """

    def __init__(self, total: float, callback: Callback | None) -> None:
        self.total, self.callback = total, callback
        self.done, self.began = 0.0, time.perf_counter()

    def add(self, products: float) -> None:
        """Report that so many more are done."""
        self.done += products
        if self.callback is not None:
            step = min(UNITS, round(UNITS * self.done / self.total)) if self.total else UNITS
            self.callback(Progress(step, UNITS, {}, time.perf_counter() - self.began, _unfinished))

    def watched(self, blocks: Iterable[nn.Module], positions: int) -> Iterator[nn.Module]:
        """The same blocks, one after the other; each is done when the next is asked for."""
        for block in blocks:
            yield block
            self.add(products(block)[0] * positions)


def products(layers: nn.Module, scale: float = 1.0) -> tuple[float, float]:
    """The products of the convolutions of a chain of layers for each position, and the scale at its end.

    Args:
        layers: one after the other.
        scale: side of their input / side of the map whose positions are counted.

    >>> chain = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.ConvTranspose2d(3, 5, 3, stride=2), nn.Conv2d(5, 1, 1))
    >>> products(chain)  # 54 at the small size, 135 there too, 5 at four positions
    (209.0, 2.0)
    """
    count = 0.0
    for layer in layers.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            count += layer.weight.numel() * scale**2
            scale *= layer.stride[0]
        elif isinstance(layer, nn.Conv2d):
            scale /= layer.stride[0]
            count += layer.weight.numel() * scale**2
        elif isinstance(layer, nn.Upsample):
            with suppress(TypeError):  # a factor for each direction
                scale *= float(layer.scale_factor)  # type: ignore[arg-type]
    return count, scale


def _unfinished() -> Tensor:
    raise LookupError("the picture is finished only after the last tile")
