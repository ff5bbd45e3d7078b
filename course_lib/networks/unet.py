"""The generator of pix2pix (Isola, Zhu, Zhou & Efros 2017, Section 3.2.1 and Appendix 6.1): a U-Net.

The encoder halves the picture until a single position is left, and the decoder doubles it back to full size. Each
decoder layer also receives the feature map of the encoder layer of the same size (the *skip connections*). When input
and output share their outlines, the outlines do not have to pass through the bottleneck.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_lib import arguments
from course_lib.networks.convolutions import DoublingConv, HalvingConv
from course_lib.networks.inputs import at_least_float32, entered
from course_lib.networks.layers import Dropout, norm_layer


class UNet(nn.Module):
    """Translate a picture of one kind into another, (N, 3, H, W) in [0, 1] → the same shape and range.

    Each unit is convolution-normalization-ReLU with 4×4 filters and stride 2; the encoder's ReLUs are leaky (0.2).
    There is no normalization after the first convolution (as in the paper), nor at the bottleneck (as in the authors'
    code: normalizing a single position by its own statistics would set it to zero). Dropout with p = 0.5 serves as the
    paper's noise z.

    Args:
        depth: how many times the picture is halved, at least 2: 8 takes 256 px down to a single position, 7 takes 128.
        width: factor on the paper's 64, 128, 256, 512, 512, … channels.
        skips: False gives the paper's plain encoder–decoder (Figure 5).
        dropout: the decoder layers with dropout, counted from the bottleneck: 1 to 3 in the paper's text, 2 to 4 in
            the code that most people use.
        norm: ``"batch"`` or ``"instance"``, see `course_lib.networks.layers.norm_layer`.

    Raises:
        ValueError: a `depth` below 2, or an unknown `norm`.

    >>> network = UNet()
    >>> sum(parameter.numel() for parameter in network.parameters())
    54413955
    >>> tuple(UNet(depth=5, width=0.1)(torch.rand(1, 3, 32, 64)).shape)
    (1, 3, 32, 64)
    """

    def __init__(
        self, *, depth: int = 8, width: float = 1.0, skips: bool = True, dropout: Sequence[int] = (1, 2, 3),
        norm: str = "batch",
    ) -> None:  # fmt: skip
        super().__init__()
        depth, width = arguments.whole("depth", depth), arguments.positive("width", width)
        if depth < 2:
            raise ValueError(f"a U-Net must halve its picture at least twice, got depth={depth}")
        self.depth, self.skips = depth, skips
        channels = [max(1, round(width * 64 * min(2**k, 8))) for k in range(depth)]  # after each halving
        self.down = nn.ModuleList()
        for k, (before, after) in enumerate(zip([3, *channels], channels, strict=False)):
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if k > 0 else []
            layers.append(HalvingConv(before, after))
            layers += [norm_layer(norm, after)] if 0 < k < depth - 1 else []
            self.down.append(nn.Sequential(*layers))
        self.up = nn.ModuleList()
        for k in range(1, depth):  # the k-th layer from the smallest size
            before, after = channels[-k] * (2 if skips and k > 1 else 1), channels[-k - 1]
            layers = [nn.ReLU(), DoublingConv(before, after)]
            layers += [norm_layer(norm, after)] + ([Dropout(0.5)] if k in dropout else [])
            self.up.append(nn.Sequential(*layers))
        last = channels[0] * (2 if skips else 1)
        self.paint = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(last, 3, 4, stride=2, padding=1), nn.Tanh())

    def forward(self, image: Tensor) -> Tensor:
        """Translate a batch, (N, 3, H, W) in [0, 1] → the same shape and range.

        Raises:
            ValueError: sides that cannot be halved `depth` times.
            ImageError: not a tensor of this shape.
        """
        image, multiple = entered(image, self), 2**self.depth
        if image.shape[-2] % multiple or image.shape[-1] % multiple:
            raise ValueError(
                f"this network halves its picture {self.depth} times: expected (N, 3, H, W) with H and W multiples "
                f"of {multiple}, got {tuple(image.shape)}; resize or crop it, or build a U-Net of another depth"
            )
        x, skipped = 2 * image - 1, []
        for layer in self.down:
            x = layer(x)
            skipped.append(x)  # (N, C_k, H/2^k, W/2^k)
        skipped.pop()  # the bottleneck is the decoder's input
        for layer in self.up:
            x = layer(x)
            x = torch.cat((x, skipped.pop()), 1) if self.skips else x
        painted: Tensor = self.paint(x)
        return 0.5 + 0.5 * at_least_float32(painted)
