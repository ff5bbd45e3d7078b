"""What two or more networks that are trained against each other share.

`Players` is the base of every GAN's learner: a method derives from it, names its networks, optimizers, pools and
losses, and writes its ``train_step`` in the order of its paper::

    class Players(players.Players):
        def __init__(self, config, G, D):
            super().__init__({"G": G, "D": D}, {"D": adam(D, 2e-4), "G": adam(G, 2e-4)}, ["D", "G"])

        def step(self, batch, step):
            losses, fake = train_step(self, batch)
            return self.stack(losses), fake.detach()

Two generators that learn together share one optimizer: ``adam(nn.ModuleList([G_AB, G_BA]), 2e-4)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.training.image_pool import ImagePool
from course_lib.training.optimizers import Optimizers


class Players:
    """Networks, their optimizers by name, and the names of their losses: a `training.loop.Learner`.

    Args:
        networks: by name, all on one device.
        optimizers: by name; two networks may share one.
        losses: names, in the order in which a history lists them.
        pools: of earlier fakes, by name; a checkpoint holds them. A pool of more than 0 pictures reads its numbers on
            the host, so such players are not captured as a CUDA graph.
        precision: of convolutions inside `autocast`; the weights stay float32.

    Raises:
        ValueError: a pool and a network of the same name.
    """

    accumulate = 1

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        optimizers: Optimizers,
        losses: Sequence[str],
        *,
        pools: Mapping[str, ImagePool] | None = None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        pools = pools or {}
        if shared := networks.keys() & pools.keys():
            raise ValueError(f"a network and a pool are both named {', '.join(sorted(shared))}; a checkpoint needs two")
        self.network: nn.Module = nn.ModuleDict({**networks, **pools})
        self.optimizers, self.names, self.precision = optimizers, losses, precision
        self.capturable = not any(pool.size for pool in pools.values())
        self.device = next(self.network.parameters()).device
        for pool in pools.values():
            pool.to(self.device)

    def autocast(self) -> torch.autocast:
        """Inside the ``with``, convolutions are computed in the players' precision."""
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)

    def stack(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Scalar losses by name → (K,) float32 in the order of the names, without gradients."""
        return torch.stack([losses[name].detach().float() for name in self.names])

    def step(self, batch: Any, step: int) -> tuple[Tensor, Tensor | None]:
        """One ``train_step`` of the method; see `training.loop.Learner`."""
        raise NotImplementedError("a method's Players says what it does with a batch")


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of `optimizer` down `loss`, a scalar; the gradients of its networks are None before and after."""
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Inside the ``with``, gradients pass through `networks`, but none are computed for their weights."""
    learning = [p for network in networks for p in network.parameters() if p.requires_grad]
    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
