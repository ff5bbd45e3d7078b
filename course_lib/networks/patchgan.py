"""The discriminator of pix2pix (Isola et al. 2017, Section 3.2.2), which classifies patches instead of whole pictures.

Each output of a stack of convolutions depends only on its receptive field. Seventy pixels are enough to recognize
texture and style; the L1 term takes care of the overall layout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib import arguments
from course_lib.networks.inputs import entered
from course_lib.networks.layers import PLAIN, norm_layer, receptive_field

PATCHES = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}  # receptive field → layers of stride 2


class PatchGAN(nn.Module):
    """How real is each patch? Pictures (N, 3, H, W) in [0, 1] → logits (N, 1, h, w), one per patch.

    Args:
        patch: side of a patch in pixels: 1, 16, 70 or 286 in the paper (Section 4.4), or 34 or 142.
        pictures: number of pictures per example: 2 for a conditional discriminator, which sees the generator's input
            and its output; 1 for one that sees only the output.
        width: factor on the paper's 64, 128, 256, 512, 512, 512 channels.
        norm: ``"batch"``, ``"instance"`` or ``"plain instance"``, see `course_lib.networks.layers.norm_layer`. With
            the last, as in CycleGAN's released code, every convolution has a bias, though the normalization takes it
            away again: 2,764,737 parameters for one picture.

    Raises:
        ValueError: a `patch` that is not in `PATCHES`, or an unknown `norm`.

    >>> discriminator = PatchGAN()
    >>> sum(parameter.numel() for parameter in discriminator.parameters()), discriminator.patch, discriminator.stride
    (2768705, 70, 8)
    >>> tuple(discriminator(torch.rand(2, 3, 256, 256), torch.rand(2, 3, 256, 256)).shape)
    (2, 1, 30, 30)
    """

    def __init__(self, patch: int = 70, *, pictures: int = 2, width: float = 1.0, norm: str = "batch") -> None:
        super().__init__()
        patch, width = arguments.choice("patch", patch, tuple(PATCHES)), arguments.positive("width", width)
        pictures = arguments.whole("pictures", pictures, 1)
        halvings = PATCHES[patch]
        kernel = 4 if halvings else 1
        strides = [2] * halvings + [1] if halvings else [1, 1]
        padding = 1 if halvings else 0
        self.pictures = pictures
        self.layers, before = nn.Sequential(), 3 * pictures
        for k, stride in enumerate(strides):
            after = max(1, round(width * 64 * min(2**k, 8)))
            self.layers.append(nn.Conv2d(before, after, kernel, stride, padding, bias=k == 0 or norm == PLAIN))
            if k > 0:
                self.layers.append(norm_layer(norm, after))
            self.layers.append(nn.LeakyReLU(0.2))
            before = after
        self.layers.append(nn.Conv2d(before, 1, kernel, 1, padding))
        self.patch, self.stride = receptive_field(self.layers)

    def forward(self, *images: Tensor) -> Tensor:
        """Score a batch: ``discriminator(source, picture)``, or ``discriminator(picture)`` with ``pictures=1``.

        Args:
            images: `pictures` tensors of one shape, each (N, 3, H, W) in [0, 1].

        Returns:
            Logits (N, 1, h, w): the sigmoid of one is the probability that its patch is real.

        Raises:
            ValueError: more or fewer pictures than the network was built for, different shapes, or pictures that are
                too small for its patches.
            ImageError: not tensors of this shape.
        """
        images = tuple(entered(image, self) for image in images)
        if len(images) != self.pictures or any(image.shape != images[0].shape for image in images):
            shapes = [tuple(image.shape) for image in images]
            raise ValueError(f"this discriminator takes {self.pictures} pictures of the same shape, got {shapes}")
        if min(images[0].shape[-2:]) < (least := 3 * self.stride):
            raise ValueError(
                f"patches of {self.patch} px with a stride of {self.stride} need pictures of at least {least} px, "
                f"got {tuple(images[0].shape)}; use smaller patches"
            )
        logits: Tensor = self.layers(2 * torch.cat(images, 1) - 1)
        return logits
