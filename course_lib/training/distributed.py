"""Processes that train together, as ``torchrun`` starts them: who is who, and what they tell each other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn


@dataclass
class Group:
    """The processes that train together; one alone where ``torchrun`` did not start this."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, network: nn.Module) -> Group:
        """This process's group; NCCL where `network` is on a GPU, gloo elsewhere."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if next(network.parameters()).is_cuda else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    def mean(self, terms: Tensor) -> Tensor:
        """The mean over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(terms)
            terms /= self.size
        return terms

    def spread(self, network: nn.Module) -> None:
        """Give every process the first one's weights, and the statistics that normalization keeps."""
        if self.size > 1:
            for value in network.state_dict().values():
                dist.broadcast(value, 0)

    def gather(self, mine: list[Tensor]) -> list[list[Tensor]]:
        """What each process has, in order of rank."""
        found = [mine] * self.size
        if self.size > 1:
            dist.all_gather_object(found, mine)
        return found

    def share(self, what: Any) -> Any:
        """What the first process has, for all."""
        found = [what]
        if self.size > 1:
            dist.broadcast_object_list(found)
        return found[0]
