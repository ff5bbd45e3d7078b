"""Winograd's tiles in a network's reflected convolution: the same values and gradients as PyTorch's."""

import pytest
import torch
import torch.nn.functional as F

from course_lib.networks import reflected_winograd
from course_lib.networks.convolutions import ReflectedConv


def inputs(channels=3, outputs=4, height=9, width=6, count=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = (count, channels, height, width), (outputs, channels, 3, 3), (outputs,)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def plain(x, weight, bias):
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("size", [(9, 6), (4, 4), (2, 13)])
def test_value_and_gradients(size, layout):
    x, weight, bias = inputs(height=size[0], width=size[1])
    x = x.detach().contiguous(memory_format=layout).requires_grad_()
    ours, expected = reflected_winograd.reflected(x, weight, bias), plain(x, weight, bias)
    torch.testing.assert_close(ours, expected, rtol=1e-11, atol=1e-11)
    upstream = torch.randn_like(expected)
    found = torch.autograd.grad(ours, (x, weight, bias), upstream)
    wanted = torch.autograd.grad(expected, (x, weight, bias), upstream)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)


def test_without_a_bias_and_without_gradients_of_the_filters():
    """As in a discriminator that is frozen while the generator learns."""
    x, weight, _ = inputs()
    ours, expected = reflected_winograd.reflected(x, weight.detach(), None), plain(x, weight.detach(), None)
    torch.testing.assert_close(*(torch.autograd.grad(y.square().sum(), x)[0] for y in (ours, expected)))


def test_the_gradient_can_be_differentiated():
    few = inputs(channels=2, outputs=2, height=4, width=5, count=1)
    assert torch.autograd.gradgradcheck(reflected_winograd.reflected, few)


def test_float32_stays_within_its_rounding():
    x, weight, bias = inputs(channels=64, outputs=64, height=32, width=32, count=1, dtype=torch.float32)
    exact = plain(x.double(), weight.double(), bias.double())
    error = (reflected_winograd.reflected(x, weight, bias) - exact).norm() / exact.norm()
    assert error < 1e-5


@pytest.mark.parametrize(
    ("size", "channels", "stride", "dtype", "used"),
    [
        (64, 256, 1, torch.float32, True),
        (32, 256, 1, torch.float32, False),  # too few tiles
        (64, 128, 1, torch.float32, False),  # too few channels
        (64, 256, 2, torch.float32, False),
        (64, 256, 1, torch.bfloat16, False),
    ],
)
def test_where_it_is_used(size, channels, stride, dtype, used, monkeypatch):
    called = []
    monkeypatch.setattr(reflected_winograd, "reflected", lambda x, *_: called.append(1) or x)
    conv = ReflectedConv(channels, channels, 3, stride=stride).to(dtype)
    with torch.no_grad():
        conv(torch.rand(1, channels, size, size, dtype=dtype))
    assert bool(called) == used


def test_under_autocast_the_convolution_is_pytorchs():
    x, weight = torch.rand(1, 256, 64, 64), torch.rand(256, 256, 3, 3)
    assert reflected_winograd.pays(x, weight, (1, 1))
    with torch.autocast("cpu", torch.bfloat16):
        assert not reflected_winograd.pays(x, weight, (1, 1))
