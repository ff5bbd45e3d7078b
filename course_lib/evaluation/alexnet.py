"""AlexNet's five rectified layers, which LPIPS compares (Krizhevsky 2014; Zhang et al. 2018).

The network is torchvision's: five convolutions, with a max pooling of 3 × 3 and stride 2 after the first and the second
of them. LPIPS does not use the layers after the fifth ReLU.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.image_checks import check_tensor
from course_lib.pretrained.formats import ALEXNET_CONVOLUTIONS
from course_lib.pretrained.weights import Weights

LAYERS = ("relu1", "relu2", "relu3", "relu4", "relu5")
MIN_SIZE = 31  # px: (31 + 4 - 11) / 4 + 1 = 7 positions after the first convolution, 3 after one pooling, 1 after both

_STRIDES, _PADDINGS = (4, 1, 1, 1, 1), (2, 2, 1, 1, 1)


class AlexNetFeatures(nn.Module):
    """The convolutions of AlexNet, frozen; it returns the features of `LAYERS`.

    Args:
        weights: the filters, ``"features.0.weight"`` (64, 3, 11, 11) … as in torchvision's state dict, and the mean and
            standard deviation of the input, as `course_lib.pretrained.weights.load("lpips_alexnet")` returns them. The
            LPIPS code subtracts (-.030, -.088, -.188) from pictures in [-1, 1] and divides by (.458, .448, .450); for
            pictures in [0, 1] that is torchvision's mean (.485, .456, .406) and deviation (.229, .224, .225).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        for k, index in enumerate(ALEXNET_CONVOLUTIONS):
            self.register_buffer(f"weight{k}", weights.state_dict[f"features.{index}.weight"])
            self.register_buffer(f"bias{k}", weights.state_dict[f"features.{index}.bias"])
        self.register_buffer("mean", torch.tensor(weights.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(weights.std).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Features of a batch of pictures.

        Args:
            image: (N, 3, H, W) in [0, 1], with sides of at least `MIN_SIZE` px.

        Returns:
            A dict from layer name to features: (N, 64, h, w), then 192, 384, 256 and 256 channels.

        Raises:
            ValueError: a smaller picture, or one on another device than the network.
        """
        check_tensor(image, least=MIN_SIZE, why="AlexNet")
        if image.device != self.mean.device:
            raise ValueError(f"the picture is on {image.device}, the network on {self.mean.device}; use image.cpu()")
        features, x = {}, (image.to(self.mean.dtype) - self.mean) / self.std
        for k, (layer, stride, padding) in enumerate(zip(LAYERS, _STRIDES, _PADDINGS, strict=True)):
            weight, bias = getattr(self, f"weight{k}"), getattr(self, f"bias{k}")
            features[layer] = F.relu(F.conv2d(x, weight, bias, stride, padding))
            x = F.max_pool2d(features[layer], 3, 2) if k < 2 else features[layer]
        return features
