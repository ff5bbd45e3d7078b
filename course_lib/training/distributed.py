"""Training in several processes, one for each GPU, started by ``torchrun``.

Every process trains on its share of each batch. `Group` averages gradients and losses over the processes, and sends
weights and objects from the first process (rank 0) to the others. In a single process all of it does nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn


def is_first() -> bool:
    """Whether this process is the first that ``torchrun`` started, or the only one: it writes files and reports."""
    return int(os.environ.get("RANK", "0")) == 0


@dataclass
class Group:
    """The processes of one training run; a single process unless ``torchrun`` started several."""

    rank: int = 0  # of this process, 0 to size − 1
    size: int = 1

    @classmethod
    def join(cls, network: nn.Module) -> Group:
        """The group of this process; it communicates by NCCL if `network` is on a GPU, by gloo otherwise."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if next(network.parameters()).is_cuda else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    def mean(self, values: Tensor) -> Tensor:
        """Average `values` over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
            values /= self.size
        return values

    def broadcast_weights(self, network: nn.Module) -> None:
        """Copy parameters and buffers (such as the statistics of batch normalization) from rank 0 to all."""
        if self.size > 1:
            for value in network.state_dict().values():
                dist.broadcast(value, 0)

    def broadcast_object(self, value: Any) -> Any:
        """The `value` that rank 0 passed; what other processes pass is ignored."""
        values = [value]
        if self.size > 1:
            dist.broadcast_object_list(values)
        return values[0]

    def gather(self, tensors: list[Tensor]) -> list[list[Tensor]]:
        """The `tensors` of every process, in order of rank."""
        gathered = [tensors] * self.size
        if self.size > 1:
            dist.all_gather_object(gathered, tensors)
        return gathered
