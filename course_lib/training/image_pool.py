"""A pool of earlier pictures, for the discriminator to see again (Shrivastava et al. 2017, Section 2.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Returns each picture, or with probability ½ a random earlier one, which the new picture then replaces.

    A discriminator that sees only the newest fakes forgets the older ones, and the generator may return to them.
    The pool is a module without weights, so that a checkpoint holds it; it draws from torch's random state.

    Args:
        size: how many pictures are kept; with 0 every picture is returned as it came.
        shape: of one picture; it can be left out unless the pool is restored from a checkpoint.

    >>> pool = ImagePool(2)
    >>> first = pool(torch.zeros(2, 3, 4, 4))  # fills it
    >>> {value.item() for value in pool(torch.ones(2, 3, 4, 4)).amax((1, 2, 3))} <= {0.0, 1.0}
    True
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(N, …) → the same shape; nothing is differentiated through it."""
        if self.size == 0:
            return images.detach()
        if self.images.shape[1:] != images.shape[1:]:
            self.images = images.new_zeros(self.size, *images.shape[1:])
        given = []
        for image in images.detach():
            if (count := int(self.count)) < self.size:
                self.images[count] = image
                self.count += 1
            elif torch.rand(()).item() < 0.5:
                place = int(torch.randint(self.size, ()))
                image, self.images[place] = self.images[place].clone(), image
            given.append(image)
        return torch.stack(given)
