"""Rearranged convolutions and normalization: the same values and gradients as PyTorch's plain layers."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.networks import convolutions, instance_norm
from course_lib.networks.convolutions import DoublingConv, HalvingConv, ReflectedConv, ResizeConv
from course_lib.networks.layers import InstanceNorm

LAST = torch.channels_last


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same(layer, plain, x, layout=LAST):
    """Outputs and all gradients in float64, to 1e-12."""
    layer = layer.double().to(memory_format=layout)
    ours_x, plain_x = (x.contiguous(memory_format=layout).clone().requires_grad_() for _ in range(2))
    ours, expected = layer(ours_x), plain(plain_x, layer)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    upstream, parameters = random(*expected.shape, seed=9), [*layer.parameters()]
    gradients = [torch.autograd.grad(y, (z, *parameters), upstream) for y, z in ((ours, ours_x), (expected, plain_x))]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def reflected(x, layer):
    pad = layer.kernel_size[0] // 2
    return F.conv2d(F.pad(x, [pad] * 4, mode="reflect"), layer.weight, layer.bias, layer.stride)


@pytest.mark.parametrize("layout", [LAST, torch.contiguous_format])
@pytest.mark.parametrize("width", [12, 16, 13])
@pytest.mark.parametrize("kernel", [5, 9])
def test_few_output_channels_in_blocks(kernel, width, layout):
    same(ReflectedConv(5, 3, kernel), reflected, random(2, 5, 11, width), layout)


def test_the_last_convolution_of_a_painter_is_in_blocks(monkeypatch):
    called, blocks = [], convolutions._in_blocks
    monkeypatch.setattr(convolutions, "_in_blocks", lambda *a: called.append(1) or blocks(*a))
    for conv in (ReflectedConv(16, 3, 9), ReflectedConv(3, 16, 9), ReflectedConv(8, 3, 3), ReflectedConv(8, 8, 9)):
        conv(torch.rand(1, conv.in_channels, 16, 16))
    assert called == [1]


@pytest.mark.parametrize("size", [(4, 6), (1, 1), (2, 5)])
def test_enlarging_first_gives_the_same(size):
    def plain(x, layer):
        return reflected(F.interpolate(x, scale_factor=2, mode="nearest"), layer[1])

    same(ResizeConv(5, 4), plain, random(2, 5, *size))
    assert [*ResizeConv(5, 4).state_dict()] == ["1.weight", "1.bias"]


@pytest.mark.parametrize(("count", "height", "width"), [(1, 2, 2), (3, 4, 6), (1, 3, 4)])
def test_small_maps_as_matrix_products(monkeypatch, count, height, width):
    monkeypatch.setattr(convolutions, "_as_product", lambda *_: True)
    x, contiguous = random(count, 5, height, width), torch.contiguous_format
    same(HalvingConv(5, 4), lambda x, layer: F.conv2d(x, layer.weight, None, 2, 1), x, contiguous)
    same(DoublingConv(5, 4), lambda x, layer: F.conv_transpose2d(x, layer.weight, None, 2, 1), x, contiguous)


def test_only_many_weights_and_few_positions_are_products():
    x, few = torch.rand(1, 512, 2, 2), HalvingConv(8, 8).weight
    many = torch.empty(512, 512, 4, 4)
    assert convolutions._as_product(x, many, 256)
    assert not convolutions._as_product(x, many, 257)
    assert not convolutions._as_product(x, few, 4)
    assert not convolutions._as_product(x, many.contiguous(memory_format=LAST), 4)


def test_padding_keeps_bfloat16_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert convolutions._padded(torch.rand(1, 2, 4, 4).bfloat16(), (1, 1, 1, 1), "reflect").dtype == torch.bfloat16


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_part_between_two_borders_needs_none(layout):
    """Rows 0–4 with a border above, and rows 3–8 with one below only; together they are the convolution of all rows."""
    x = torch.rand(1, 4, 9, 12).contiguous(memory_format=layout)
    conv = convolutions.ReflectedConv(4, 5, 3)
    upper, lower = conv.bordered(x[:, :, :5], below=False), conv.bordered(x[:, :, 3:], above=False)
    parts = torch.cat((conv.inside(upper), conv.inside(lower)), 2)
    torch.testing.assert_close(parts, conv(x))


@pytest.mark.parametrize("build", [
    partial(convolutions.ReflectedConv, 8, 3, 9), partial(convolutions.ReflectedConv, 4, 5, 3, stride=2),
    partial(convolutions.ResizeConv, 4, 5),
])  # fmt: skip
def test_without_offsets_it_is_the_convolution_with_offsets_of_zero(build):
    plain, shifted = build(bias=False), build()
    for module in shifted.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.bias)
    shifted.load_state_dict(plain.state_dict(), strict=False)
    x = torch.rand(1, next(plain.parameters()).shape[1], 12, 16)
    assert torch.equal(plain(x), shifted(x))
    assert sum(p.numel() for p in shifted.parameters()) > sum(p.numel() for p in plain.parameters())


# --- instance normalization ---


@pytest.mark.parametrize("fewest", [0, instance_norm.FEWEST])
@pytest.mark.parametrize("shape", [(1, 5, 6, 7), (3, 4, 5, 2), (2, 4, 1, 9), (1, 3, 8, 1)])
def test_instance_norm_and_its_gradient_in_channels_last(shape, fewest, monkeypatch):
    """By rows, and by torch where maps are small."""
    monkeypatch.setattr(instance_norm, "FEWEST", fewest)
    layer = InstanceNorm(shape[1])
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    same(layer, lambda x, layer: F.instance_norm(x.contiguous(), weight=layer.weight, bias=layer.bias), random(*shape))


def test_only_large_channels_last_maps_leave_torchs_normalization():
    large, small = torch.rand(2, 32, 32, 32), torch.rand(16, 32, 8, 8)  # as many numbers, in fewer and in more maps
    assert instance_norm.suits(large.contiguous(memory_format=LAST))
    assert not instance_norm.suits(large)
    assert not instance_norm.suits(small.contiguous(memory_format=LAST))


def test_the_gradient_of_instance_norm_can_be_differentiated():
    x = random(2, 3, 3, 4).contiguous(memory_format=LAST).requires_grad_()
    weight, bias = (random(3, seed=k).requires_grad_() for k in (1, 2))
    torch.autograd.gradcheck(lambda *t: instance_norm.normalized(*t, 1e-5), (x, weight, bias))
    torch.autograd.gradgradcheck(lambda *t: instance_norm.normalized(*t, 1e-5), (x, weight, bias))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_instance_norm_with_a_row_for_each_picture(dtype):
    """Each picture as with its own (C,) scale and shift, with the same gradients."""
    x = random(3, 4, 6, 8).to(dtype).contiguous(memory_format=LAST).requires_grad_()
    wide = torch.promote_types(dtype, torch.float32)
    scales, shifts = (random(3, 4, seed=k).to(wide).requires_grad_() for k in (1, 2))
    upstream = random(3, 4, 6, 8, seed=3).to(dtype).contiguous(memory_format=LAST)
    y = instance_norm.normalized(x, scales, shifts, 1e-5)
    ours = torch.autograd.grad(y, (x, scales, shifts), upstream)
    for k in range(3):
        one = x[k : k + 1].detach().contiguous(memory_format=LAST).requires_grad_()
        scale, shift = (rows[k].detach().requires_grad_() for rows in (scales, shifts))
        expected = instance_norm.normalized(one, scale, shift, 1e-5)
        assert torch.equal(y[k : k + 1], expected)
        theirs = torch.autograd.grad(expected, (one, scale, shift), upstream[k : k + 1])
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine[k], other.reshape(mine[k].shape))


def test_statistics_of_many_positions_are_exact():
    """Numbers far from zero, summed in float32 one after the other, would lose three digits."""
    x = (random(1, 4, 256, 256) + 30).float().contiguous(memory_format=LAST)
    mean, variance = instance_norm._statistics(x)
    exact_variance, exact_mean = torch.var_mean(x.double(), (2, 3), correction=0)
    torch.testing.assert_close(mean.double(), exact_mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(variance.double(), exact_variance, rtol=1e-5, atol=0)


def test_instance_norm_in_bfloat16_rounds_once():
    x = random(2, 4, 16, 12).bfloat16().contiguous(memory_format=LAST).requires_grad_()
    weight, bias = (random(4, seed=k).float().requires_grad_() for k in (1, 2))
    y = instance_norm.normalized(x, weight, bias, 1e-5)
    exact = F.instance_norm(x.double(), weight=weight.double(), bias=bias.double())
    torch.testing.assert_close(y.double(), exact, rtol=2**-8, atol=1e-3)
    upstream = random(*y.shape, seed=3).bfloat16()
    ours = torch.autograd.grad(y, (x, weight, bias), upstream)
    for a, b in zip(ours, torch.autograd.grad(exact, (x, weight, bias), upstream.double()), strict=True):
        torch.testing.assert_close(a.double(), b.double(), rtol=2**-7, atol=2e-2)
