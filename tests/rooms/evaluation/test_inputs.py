"""Every measure refuses the same pictures, and says what came, what is expected and what to do."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.evaluation import inputs, metrics, structure
from course_lib.image_checks import ImageError

# name → (the measure of one picture or two, its smallest side, how many pictures)
INVARIANT = ("luma", "checkerboard", "structure_size", "variance_share", "speckle", "edge_agreement")  # to brightness
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
    "uint8": (lambda: (255 * good()).to(torch.uint8), r"torch.uint8, expected floats in \[0, 1\]; .*/ 255"),
    "int64": (lambda: good().long(), r"torch.int64, expected floats"),
    "complex": (lambda: good().to(torch.complex64), r"torch.complex64, expected floats"),
    "0 to 255": (lambda: 255 * good(), r"run from .* to 25\d, far outside \[0, 1\].* by 255"),
    "-1 to 1": (lambda: 2 * good() - 1, r"run from -.* expected \[0, 1\].*use \(x \+ 1\) / 2"),
    "negatives": (lambda: -255 * good(), r"far outside \[0, 1\]"),
    "no batch": (lambda: good()[0], r"shape \(3, 40, 40\), expected .*image\[None\] to add the batch"),
    "gray": (lambda: good()[:, :1], r"shape \(1, 1, 40, 40\), .*image.expand\(-1, 3, -1, -1\)"),
    "gray, no batch": (lambda: good()[0, 0], r"shape \(40, 40\), expected"),
    "alpha": (lambda: good()[:, [0, 1, 2, 0]], r"shape \(1, 4, 40, 40\), .*alpha channel"),
    "colors last": (lambda: good().permute(0, 2, 3, 1), r"\(1, 40, 40, 3\), .*image.movedim\(-1, -3\)"),
    "no picture": (lambda: good()[:0], r"shape \(0, 3, 40, 40\), expected .* with no side 0"),
    "no pixels": (lambda: good()[..., :0], r"shape \(1, 3, 40, 0\), expected .* with no side 0"),
    "NaN": (lambda: spoiled(math.nan), r"1 of 4,800 values are NaN or infinite, .* diverged"),
    "inf": (lambda: spoiled(math.inf), r"1 of 4,800 values are NaN or infinite"),
    "minus inf": (lambda: spoiled(-math.inf), r"1 of 4,800 values are NaN or infinite"),
    "an array": (lambda: np.zeros((1, 3, 40, 40)), r"expected a torch.Tensor, got ndarray; load_image"),
    "a PIL picture": (lambda: Image.new("RGB", (40, 40)), r"expected a torch.Tensor, got Image; .*from_pil"),
    "a path": (lambda: "a.png", r"expected a torch.Tensor, got str; load_image"),
    "nothing": (lambda: None, r"expected a torch.Tensor, got None"),
    "a list": (lambda: [good()], r"expected a torch.Tensor, got list"),
}


@pytest.fixture(autouse=True, scope="module")
def networks(real_network):
    """`gram_distance` needs the network to know the smallest side."""
    real_network("vgg19", ("relu1_1",))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_measure_refuses_every_fault(measure, fault):
    function, _, count = MEASURES[measure]
    make, message = FAULTS[fault]
    if fault == "-1 to 1" and measure in INVARIANT:
        function(*[make()] * count)
        return
    for place in range(count):
        pictures = [good() for _ in range(count)]
        pictures[place] = make()
        with pytest.raises(ImageError, match=f"(?i){message}"):
            function(*pictures)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_knows_its_smallest_picture(measure):
    function, least, count = MEASURES[measure]
    function(*[good(least)] * count)
    if least > 1:
        small = f"{least - 1} px wide and {least - 1} px high"
        with pytest.raises(ValueError, match=rf"{small}; .* needs sides of at least {least} px, .*larger"):
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
            with pytest.raises(ValueError, match=r"shape \(2, 3, .*, expected \(1, 3, H, W\), .*image\[k : k \+ 1\]"):
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
    with pytest.raises(ValueError, match="20 px wide and 20 px high; LPIPS on alexnet needs sides of at least 31 px"):
        metrics.lpips(small, small, network="alexnet")
    with pytest.raises(ValueError, match="40 px wide and 12 px high; relu5_1 needs sides of at least 16 px"):
        metrics.gram_distance(good(), good()[..., :12, :])
    with pytest.raises(ValueError, match="the measure needs sides of at least 21 px"):
        inputs.check(small, least=21)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_measure_is_a_number_without_a_gradient_for_floats_of_any_precision(measure):
    function, _, count = MEASURES[measure]
    pictures = [good(), good().flip(3)][:count]
    expected = function(*pictures)
    for given in ([image.double() for image in pictures], [image.clone().requires_grad_() for image in pictures]):
        value = function(*given)
        if measure == "luma":
            torch.testing.assert_close(value.detach().float(), expected)
        else:
            assert value == pytest.approx(expected, rel=1e-3, abs=1e-6)
