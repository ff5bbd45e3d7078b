"""The decoder of Huang & Belongie 2017 (Section 6.1): from relu4_1 of VGG-19 back to a picture.

It mirrors the encoder, layer by layer: its ``conv3_2`` maps the output of VGG-19's ``conv3_2`` back to that layer's
input. Nearest-neighbor upsampling takes the place of the three poolings, every border is reflected, and there is no
normalization, which would give all outputs the same style.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn

from course_lib import arguments
from course_lib.networks.convolutions import ReflectedConv, ResizeConv
from course_lib.networks.inputs import at_least_float32, in_its_format

SHRINK = 8  # a position of the features covers 8×8 pixels
SMALLEST = 2  # positions: a map must be large enough to be reflected by one
REACH = 4  # positions that a receptive field reaches, of the decoder and of the encoder to relu4_1
LAYERS = {"relu2_1": 128, "relu3_1": 256, "relu4_1": 512}  # where a decoder can start → channels of VGG-19
# (name, output channels of the whole network, whether the map is enlarged before it), and its number in the published
# file, which counts paddings, ReLUs and upsamplings as well
_LAYERS = (
    ("conv4_1", 256, False, 1),
    ("conv3_4", 256, True, 5),
    ("conv3_3", 256, False, 8),
    ("conv3_2", 256, False, 11),
    ("conv3_1", 128, False, 14),
    ("conv2_2", 128, True, 18),
    ("conv2_1", 64, False, 21),
    ("conv1_2", 64, True, 25),
    ("conv1_1", 3, False, 28),
)


class AdaINDecoder(nn.Module):
    """Features of relu4_1 → pictures, (N, 512, h, w) → (N, 3, 8h, 8w).

    Args:
        width: factor on the 256, 128 and 64 channels of the layers.
        layer: where the features come from, relu4_1 in the paper. The decoder of relu3_1 (a position covers 4×4
            pixels) or relu2_1 (2×2) has only the last layers of the paper's.
        channels: of the features; None: those of VGG-19.

    Raises:
        ValueError: a width that is not a positive number, an unknown layer, or channels that are not a whole number.

    >>> import torch
    >>> decoder = AdaINDecoder()
    >>> sum(parameter.numel() for parameter in decoder.parameters())
    3505219
    >>> tuple(AdaINDecoder(width=0.1, channels=16)(torch.rand(1, 16, 3, 4)).shape)
    (1, 3, 24, 32)
    """

    def __init__(self, *, width: float = 1.0, layer: str = "relu4_1", channels: int | None = None) -> None:
        super().__init__()
        width, self.layer = arguments.positive("width", width), arguments.choice("layer", layer, tuple(LAYERS))
        self.channels = LAYERS[self.layer] if channels is None else arguments.whole("channels", channels, 1)
        first = [name for name, *_ in _LAYERS].index(self.layer.replace("relu", "conv"))
        self.shrink = 2 ** sum(enlarged for _, _, enlarged, _ in _LAYERS[first:])  # side of a position in pixels
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        before = self.channels
        for name, after, enlarged, _ in _LAYERS[first:]:
            after = after if name == "conv1_1" else max(1, round(width * after))
            layers[name] = ResizeConv(before, after) if enlarged else ReflectedConv(before, after, 3)
            if name != "conv1_1":
                layers[name.replace("conv", "relu")] = nn.ReLU(inplace=True)
            before = after
        self.layers = nn.Sequential(layers)

    def forward(self, features: Tensor) -> Tensor:
        """Decode a batch.

        Args:
            features: (N, 512, h, w), from relu4_1 (or `layer`) of `VGGFeatures` with the normalized weights, max
                pooling and reflected borders; sides of at least 2.

        Returns:
            (N, 3, 8h, 8w), colors that may lie outside [0, 1].

        Raises:
            ValueError: another shape, or too small a map.
        """
        if not isinstance(features, Tensor) or features.ndim != 4 or features.shape[1] != self.channels:
            got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ValueError(f"this decoder takes features (N, {self.channels}, h, w) of {self.layer}, got {got}")
        if min(features.shape[2:]) < SMALLEST:
            raise ValueError(
                f"this decoder takes features with at least {SMALLEST} positions on each side, got "
                f"{features.shape[2]}×{features.shape[3]}; encode a picture of at least {SMALLEST * self.shrink} px"
            )
        colors: Tensor = self.layers(in_its_format(features, self))
        return at_least_float32(colors)

    def load_published(self, state: Mapping[str, Tensor]) -> None:
        """Copy the weights of the authors' file, whose layers have numbers: ``"1.weight"``, … ``"28.bias"``.

        Raises:
            RuntimeError: a weight is missing, unexpected, or of another shape.
        """
        names = {str(number): f"{name}.1" if enlarged else name for name, _, enlarged, number in _LAYERS}
        renamed = {}
        for key, value in state.items():
            number, _, kind = key.partition(".")
            renamed[f"layers.{names.get(number, number)}.{kind}"] = value
        self.load_state_dict(renamed)
