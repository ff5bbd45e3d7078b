"""A small segmentation network that scores generated pictures.

Isola et al. 2017 (Section 4.1) let a network that was trained on real photographs predict the labels of generated ones;
the better its prediction agrees with the label map that the generator got, the more realistic the picture. They use
FCN-8s on VGG-16, trained on Cityscapes (Long et al. 2015). This network uses three layers of VGG-16, each followed by a
1×1 convolution, and trains in a minute or two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import arguments, runtime
from course_lib.data.checked import checked
from course_lib.data.facades import CLASSES, class_map
from course_lib.image_checks import check_pictures
from course_lib.networks.inputs import entered, in_its_format
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.training.loop import Minimizer, fit
from course_lib.training.schedules import linear_to_zero

_SMALLEST = 16  # px
_LAYERS = ("relu2_2", "relu3_3", "relu4_3")  # with strides 2, 4 and 8


class Segmenter(nn.Module):
    """Photographs (N, 3, H, W) in [0, 1], at least 16 px on each side → logits (N, K, H, W) of K classes.

    Args:
        classes: K.
        channels: of each layer after its 1×1 convolution.
        weights: of VGG-16, see `course_lib.pretrained.vgg.VGGFeatures`.
        precision: number format of VGG-16.
    """

    def __init__(
        self, classes: int = len(CLASSES), *, channels: int = 64, weights: str | Path | None = "default",
        precision: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        super().__init__()
        self.features = VGGFeatures("vgg16", _LAYERS, pooling="max", weights=weights, precision=precision)
        widths = [f.shape[1] for f in self.features(torch.zeros(1, 3, 16, 16)).values()]
        self.read = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(width), nn.Conv2d(width, channels, 1)) for width in widths
        )
        self.decide = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
                                    nn.Conv2d(channels, classes, 1))  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        with torch.no_grad():
            image = entered(image, self.decide, smallest=_SMALLEST)
            features = [in_its_format(feature, self.decide) for feature in self.features(image).values()]
        size = features[0].shape[-2:]
        read = [
            F.interpolate(layer(feature), size, mode="bilinear")
            for layer, feature in zip(self.read, features, strict=True)
        ]
        logits: Tensor = self.decide(torch.stack(read).sum(0))
        return F.interpolate(logits, image.shape[-2:], mode="bilinear")


def train_segmenter(
    pairs: Any, *, num_steps: int = 600, batch_size: int = 4, weights: str | Path | None = "default", seed: int = 0,
    checkpoint: str | Path | None = None,
) -> Segmenter:  # fmt: skip
    """Train a segmenter on real photographs and their label maps, by the cross-entropy of each pixel.

    Background pixels do not count: their true class is unknown.

    Args:
        pairs: a map-style dataset of (2, 3, H, W) in [0, 1]: label map, photograph. Each pair is checked when it is
            first used.
        num_steps, batch_size: length of the training.
        weights: of VGG-16, see `course_lib.pretrained.vgg.VGGFeatures`.
        seed: of the initial weights and of the order of the pairs.
        checkpoint: a file; if it exists, the run resumes from it (`course_lib.training.loop.fit`).

    Returns:
        The trained network, on the CPU, in evaluation mode.

    Raises:
        ImageError: pairs of another shape or range.
        CheckpointError: the checkpoint is damaged or belongs to another run.
        WeightsError: the weights of VGG-16 can be neither found nor downloaded.
    """
    pairs, seed = checked(pairs, (2, 3), "pair"), arguments.seed(seed)
    device = runtime.pick_device()
    with runtime.seeded(seed, torch.device("cpu")):
        network = Segmenter(weights=weights, precision=runtime.pick_precision("auto", device)).to(device)

    def loss(net: nn.Module, batch: Tensor) -> tuple[Tensor, Tensor]:
        labels, photos = batch.unbind(1)
        return F.cross_entropy(net(photos), class_map(labels), ignore_index=0).view(1), photos

    fit(Minimizer(network, loss, ["cross_entropy"], learning_rate=2e-3), pairs, num_steps=num_steps,
        batch_size=batch_size, schedule=linear_to_zero(0.5), seed=seed, checkpoint=checkpoint,
        fingerprint={"pairs": getattr(pairs, "fingerprint", None), "weights": weights})  # fmt: skip
    return network.cpu().eval()


def find_classes(images: Tensor, network: Segmenter) -> Tensor:
    """The likeliest class of each pixel except background: (N, 3, H, W) in [0, 1] → (N, H, W), indices of `CLASSES`.

    Raises:
        ImageError: not pictures in [0, 1], or sides of less than 16 px.
    """
    check_pictures(images, least=_SMALLEST, why="the segmenter")
    with torch.inference_mode():
        return torch.cat([network(image)[:, 1:].argmax(1) + 1 for image in images.split(8)])


def pixel_accuracy(classes: Tensor, labels: Tensor) -> float:
    """The fraction of pixels whose class is right, without background (Isola et al. 2017, Table 1).

    Args:
        classes: (N, H, W), indices of `CLASSES`, for example from `find_classes`.
        labels: (N, 3, H, W), label maps in [0, 1].

    Returns:
        From 0 to 1; NaN if all pixels are background.

    Raises:
        ImageError: labels that are not pictures in [0, 1].
        ValueError: classes that are not whole numbers of the shape of the labels.

    >>> sky, wall = (torch.tensor(CLASSES[name]) / 255 for name in ("sky", "building"))
    >>> labels = torch.stack((sky, wall), 1).view(1, 3, 1, 2)
    >>> names = list(CLASSES)
    >>> pixel_accuracy(torch.tensor([[[names.index("sky"), names.index("car")]]]), labels)
    0.5
    """
    check_pictures(labels, "the labels")
    expected = (len(labels), *labels.shape[2:])
    if not isinstance(classes, Tensor) or tuple(classes.shape) != expected or classes.is_floating_point():
        got = (
            f"{classes.dtype} of shape {tuple(classes.shape)}"
            if isinstance(classes, Tensor)
            else type(classes).__name__
        )
        raise ValueError(f"expected classes {expected}, whole numbers, for labels {tuple(labels.shape)}, got {got}")
    truth = class_map(labels)
    known = truth > 0
    return float((classes == truth)[known].float().mean()) if known.any() else float("nan")
