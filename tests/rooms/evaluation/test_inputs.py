"""Every measure refuses the same pictures, and says what came, what is expected and what to do."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.evaluation import inputs, metrics, structure

# name → (the measure of one picture or two, its smallest side, how many pictures)
MEASURES = {
    "psnr": (metrics.psnr, 1, 2),
    "psnr of luma": (lambda a, b: metrics.psnr(a, b, luma=True), 1, 2),
    "ssim": (metrics.ssim, 11, 2),
    "ssim of luma": (lambda a, b: metrics.ssim(a, b, luma=True), 11, 2),
    "lpips": (metrics.lpips, 16, 2),
    "lpips on alexnet": (lambda a, b: metrics.lpips(a, b, network="alexnet"), 31, 2),
    "gram_distance": (metrics.gram_distance, 16, 2),
    "gram_distance at relu2_1": (lambda a, b: metrics.gram_distance(a, b, ["relu2_1"]), 2, 2),
    "change": (metrics.change, 1, 2),
    "luma": (metrics.luma, 1, 1),
    "checkerboard": (metrics.checkerboard, 16, 1),
    "structure_size": (structure.structure_size, 32, 1),
    "variance_share": (lambda image: structure.variance_share(image, 0.1), 16, 1),
    "speckle": (structure.speckle, 16, 1),
    "edge_agreement": (structure.edge_agreement, 16, 2),
}


def spoiled(value):
    """A picture with this value in one pixel of one color."""
    image = good()
    image[0, 1, 5, 7] = value
    return image


def good(size=40):
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))


FAULTS = {
    "uint8": (lambda: (255 * good()).to(torch.uint8), ValueError, r"floats in \[0, 1\], got torch.uint8; .*/ 255"),
    "int64": (lambda: good().long(), ValueError, r"floats in \[0, 1\], got torch.int64; .*/ 255"),
    "complex": (lambda: good().to(torch.complex64), ValueError, r"floats in \[0, 1\], got torch.complex64"),
    "0 to 255": (lambda: 255 * good(), ValueError, r"run from .* to 25\d, far outside \[0, 1\]; .* divide them by 255"),
    "negatives": (lambda: -255 * good(), ValueError, r"far outside \[0, 1\]"),
    "no batch": (lambda: good()[0], ValueError, r"\(N, 3, H, W\), got \(3, 40, 40\); image\[None\] adds the batch"),
    "gray": (lambda: good()[:, :1], ValueError, r"got \(1, 1, 40, 40\); image.expand\(-1, 3, -1, -1\)"),
    "gray, no batch": (lambda: good()[0, 0], ValueError, r"\(N, 3, H, W\), got \(40, 40\); course_lib.load_image"),
    "alpha": (lambda: good()[:, [0, 1, 2, 0]], ValueError, r"got \(1, 4, 40, 40\); course_lib.load_image returns"),
    "colors last": (
        lambda: good().permute(0, 2, 3, 1),
        ValueError,
        r"\(1, 40, 40, 3\); image.permute\(0, 3, 1, 2\)",
    ),
    "no picture": (lambda: good()[:0], ValueError, r"\(N, 3, H, W\), got \(0, 3, 40, 40\)"),
    "no pixels": (lambda: good()[..., :0], ValueError, r"\(N, 3, H, W\), got \(1, 3, 40, 0\)"),
    "NaN": (lambda: spoiled(math.nan), ValueError, r"1 of 4800 values are NaN or infinite, .* diverged, so measure"),
    "inf": (lambda: spoiled(math.inf), ValueError, r"1 of 4800 values are NaN or infinite"),
    "minus inf": (lambda: spoiled(-math.inf), ValueError, r"1 of 4800 values are NaN or infinite"),
    "an array": (lambda: np.zeros((1, 3, 40, 40)), TypeError, r"expected a tensor \(N, 3, H, W\), got ndarray; .*load"),
    "a PIL picture": (lambda: Image.new("RGB", (40, 40)), TypeError, r"expected a tensor .*, got Image; .*from_pil"),
}


@pytest.fixture(autouse=True, scope="module")
def networks(real_network):
    """`gram_distance` needs the network to know the smallest side."""
    real_network("vgg19", ("relu1_1",))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_measure_refuses_every_fault(measure, fault):
    function, _, count = MEASURES[measure]
    make, error, message = FAULTS[fault]
    for place in range(count):
        pictures = [good() for _ in range(count)]
        pictures[place] = make()
        with pytest.raises(error, match=message):
            function(*pictures)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_knows_its_smallest_picture(measure):
    function, least, count = MEASURES[measure]
    function(*[good(least)] * count)
    if least > 1:
        with pytest.raises(ValueError, match=rf"at least {least} px.*, got .*3, {least - 1}, {least - 1}\).*larger"):
            function(*[good(least - 1)] * count)
        with pytest.raises(ValueError, match=rf"at least {least} px"):
            function(*[good(least)[..., 1:]] * count)


@pytest.mark.parametrize("measure", [name for name, (_, _, count) in MEASURES.items() if count == 2])
def test_two_pictures_have_one_shape(measure):
    """Except for the Gram distance, which compares statistics: there the sizes may differ, but not a batch."""
    function = MEASURES[measure][0]
    pairs = [(good(), good()[..., 3:]), (good()[..., 3:, :], good())]
    batches = [(good(), good().repeat(2, 1, 1, 1)), (good().repeat(2, 1, 1, 1), good())]
    if measure.startswith("gram_distance"):
        for a, b in pairs:
            function(a, b)
        for a, b in [*batches, (good().repeat(2, 1, 1, 1),) * 2]:
            with pytest.raises(ValueError, match=r"one picture at a time, .*, got \(.* and \(.*; use a loop"):
                function(a, b)
        return
    for a, b in pairs + batches:
        with pytest.raises(ValueError, match=r"two pictures of the same shape \(N, 3, H, W\), got \(.* and \(.*resize"):
            function(a, b)


@pytest.mark.parametrize("measure", MEASURES)
def test_noise_and_pictures_that_were_not_clipped_are_measured(measure):
    function, _, count = MEASURES[measure]
    image = 0.5 + torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    assert image.min() < -1
    assert image.max() > 2
    function(*[image] * count)
    function(*[image.half()] * count)


def test_the_message_names_what_needs_the_size():
    small = good(20)
    with pytest.raises(ValueError, match=r"at least 31 px are needed by LPIPS on alexnet, got \(1, 3, 20, 20\)"):
        metrics.lpips(small, small, network="alexnet")
    with pytest.raises(ValueError, match=r"at least 16 px are needed by relu5_1, got \(1, 3, 12, 12\)"):
        metrics.gram_distance(small, small[..., :12, :12])
    with pytest.raises(ValueError, match=r"at least 21 px are needed, got"):
        inputs.check(small, least=21)
