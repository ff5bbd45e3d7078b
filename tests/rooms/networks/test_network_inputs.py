"""Every network checks what it is given, takes floats of any precision, and answers in float64 if its weights are."""

import copy

import numpy as np
import pytest
import torch

from course_lib.evaluation.segmenter import Segmenter
from course_lib.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from course_lib.networks.inputs import at_least_float32, entered, entered_rows
from course_lib.networks.patchgan import PatchGAN
from course_lib.networks.points import PointDiscriminator, PointGenerator
from course_lib.networks.super_resolution_net import SuperResolutionNet
from course_lib.networks.transformer_net import TransformerNet
from course_lib.networks.unet import UNet
from course_lib.pretrained.vgg import VGGFeatures

PICTURES = {
    "TransformerNet": lambda: TransformerNet(width=0.1, num_blocks=1),
    "TransformerNet, batch": lambda: TransformerNet(width=0.1, num_blocks=1, norm="batch", upsampling="transposed"),
    "SuperResolutionNet": lambda: SuperResolutionNet(2, width=0.1, num_blocks=1),
    "SuperResolutionNet, skip": lambda: SuperResolutionNet(2, width=0.1, num_blocks=1, skip=True, norm="none"),
    "UNet": lambda: UNet(depth=3, width=0.1),
    "PatchGAN": lambda: PatchGAN(16, pictures=1, width=0.1),
    "DCGANDiscriminator": lambda: DCGANDiscriminator(size=16, width=8),
    "VGGFeatures": lambda: VGGFeatures(layers=["relu2_1"], weights=None),
    "Segmenter": lambda: Segmenter(weights=None, channels=4),
}
ROWS = {
    "PointGenerator": (lambda: PointGenerator(3, width=8), 3),
    "PointDiscriminator": (lambda: PointDiscriminator(width=8), 2),
    "DCGANGenerator": (lambda: DCGANGenerator(3, size=16, width=8), 3),
}
NETWORKS = {**{name: (make, None) for name, make in PICTURES.items()}, **ROWS}


def seeded(name):
    make, columns = NETWORKS[name]
    torch.manual_seed(0)
    network = make().eval()
    shape = (2, columns) if columns else (2, 3, 16, 16)
    return network, torch.rand(shape, generator=torch.Generator().manual_seed(0)).bfloat16().float()  # exact in 8 bits


def answer(network, x):
    with torch.no_grad():
        y = network(x)
    return next(iter(y.values())) if isinstance(y, dict) else y


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_in_float64_answers_in_float64(name):
    network, x = seeded(name)
    expected = answer(network, x)
    double = copy.deepcopy(network).double()
    for given in (x, x.double()):
        y = answer(double, given)
        assert y.dtype == torch.float64
        torch.testing.assert_close(y.float(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_in_float32_takes_floats_of_any_precision(name, dtype):
    network, x = seeded(name)
    y = answer(network, x.to(dtype))
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, answer(network, x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_no_input_is_refused_in_one_sentence(name):
    network, x = seeded(name)
    wrong = [None, "a.png", 3, [0.5], x.numpy(), x[0], x.long(), x > 0.5, x.flatten(1)[:, :1], torch.tensor(0.5)]
    for given in wrong:
        with pytest.raises(ValueError, match=r"(?i)expected .*got |got .*expected ") as caught:
            network(given)
        assert "\n" not in str(caught.value)


def test_a_picture_that_is_too_small_is_told_its_size():
    with pytest.raises(ValueError, match="1 px wide and 200 px high; the network needs sides of at least 8 px"):
        entered(torch.rand(1, 3, 200, 1), torch.nn.Conv2d(3, 1, 1), smallest=8)


def test_rows_have_the_right_number_of_columns():
    layer = torch.nn.Linear(3, 1)
    assert torch.equal(entered_rows(torch.ones(2, 3).double(), layer, 3, "noise"), torch.ones(2, 3))
    for given in (torch.ones(3), torch.ones(2, 4), np.ones((2, 3)), torch.ones(2, 3).long()):
        with pytest.raises(ValueError, match=r"expected noise \(N, 3\), floats, got "):
            entered_rows(given, layer, 3, "noise")


def test_16_bits_come_out_as_32():
    x = torch.ones(1)
    formats = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
    assert [at_least_float32(x.to(dtype)).dtype for dtype in formats] == [torch.float32] * 3 + [torch.float64]


@pytest.mark.parametrize("number", [np.int64, np.float32, float, torch.tensor])
def test_sizes_may_come_as_any_type_of_number(number):
    assert SuperResolutionNet(number(4), width=0.1, num_blocks=1).factor == 4
    assert UNet(depth=number(3), width=0.1).depth == 3
    assert PatchGAN(number(16), pictures=number(1), width=0.1).pictures == 1
    assert DCGANDiscriminator(size=number(16), width=8).size == 16
    for make in (lambda: SuperResolutionNet("4"), lambda: UNet(depth="3"), lambda: PatchGAN("16")):
        with pytest.raises(ValueError, match="must be "):
            make()
