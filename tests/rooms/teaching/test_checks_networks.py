"""Checks of networks and experiments: right answers pass, common wrong ones get a useful hint, but not the answer."""

import ast
import inspect
import re
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import VGGFeatures
from course_lib.networks import layers
from course_lib.networks.patchgan import PatchGAN
from course_lib.networks.transformer_net import TransformerNet
from course_lib.teaching import checks, figures
from course_lib.teaching.checks import (
    CheckFailed,
    base,
    experiments,
    fields,
    losses,
    networks,
    optimization,
    passes,
    replay,
    statistics,
)


# --- statistics
def flipped(features):
    return features.flatten(2).flip(2).view_as(features)


def closest(features, candidates):
    def mean_gram(x):
        x = x.flatten(2)
        return x @ x.mT / x.shape[2]

    distances = [float((mean_gram(x) - mean_gram(features)).norm()) for x in candidates]
    return distances.index(min(distances))


def closest_place(features, candidates):
    small = [F.adaptive_avg_pool2d(x, 4) for x in (features, *candidates)]
    distances = [float((x - small[0]).norm()) for x in small[1:]]
    return distances.index(min(distances))


def closest_sum(features, candidates):
    distances = [float((x.flatten(2) @ x.flatten(2).mT - features.flatten(2) @ features.flatten(2).mT).norm())
                 for x in candidates]  # fmt: skip
    return distances.index(min(distances))


def moments(features, **how):
    return features.mean((2, 3), keepdim=True), (features.var((2, 3), keepdim=True, **how) + 1e-5).sqrt()


def nested(function):
    """The mistake of a published port: the variance along one axis of the variances along the other."""
    return lambda f: (moments(f)[0], function(f))


def adain(content, style, statistics=moments):
    (m, s), (mean, spread) = statistics(content), statistics(style)
    return (content - m) / s * spread + mean


VARIANCE_OF_VARIANCES = nested(lambda f: (f.var(2, keepdim=True).var(3, keepdim=True) + 1e-5).sqrt())
STATISTICS = [
    (checks.check_shuffle, flipped, None),
    (checks.check_shuffle, lambda f: f[:, :, torch.randperm(f.shape[2])][..., torch.randperm(f.shape[3])], None),
    (checks.check_shuffle, lambda f: f, "still at their old positions"),
    (checks.check_shuffle, lambda f: torch.rand_like(f), "other values than before"),
    (checks.check_shuffle, lambda f: f.flip(1), "other values than before"),
    (checks.check_shuffle, lambda f: f.flatten(2)[:, :, 1:], "shape must stay"),
    (checks.check_shuffle, lambda f: torch.stack([c.flatten()[torch.randperm(42)].view(6, 7) for x in f for c in x])
        .view_as(f), "the same for all channels"),
    (checks.check_closest_style, closest, None),
    (checks.check_closest_style, closest_place, "compare positions or statistics"),
    (checks.check_closest_style, closest_sum, "number of positions"),
    (checks.check_closest_style, lambda f, c: torch.tensor(0.0), "whole number, got Tensor"),
    (checks.check_closest_style, lambda f, c: -1, "0, 1 or 2, got -1"),
    (checks.check_closest_style, lambda f, c: 0, "the given tensor itself"),
    (checks.check_relative_distance, lambda f, p: (f - p).norm() / p.norm(), None),
    (checks.check_relative_distance, lambda f, p: (f - p).norm(), "10 times the distance"),
    (checks.check_relative_distance, lambda f, p: (f - p).norm() / f.norm(), "which norm|not finite"),
    (checks.check_relative_distance, lambda f, p: (f - p).square().mean(), "100 times the distance"),
    (checks.check_relative_distance, lambda f, p: ((f - p).norm() / p.norm()).square(), "times what it should be"),
    (checks.check_relative_distance, lambda f, p: (f - p).abs().sum() / p.abs().sum(), "times what it should be"),
    (checks.check_relative_distance, lambda f, p: (f - p) / p.norm(), "single number"),
    (checks.check_channel_statistics, moments, None),
    (checks.check_channel_statistics, partial(moments, correction=0), None),
    (checks.check_channel_statistics, VARIANCE_OF_VARIANCES, "makes their spread 4 times as large"),
    (checks.check_channel_statistics, lambda f: (moments(f)[0], moments(f)[1].square()), "spread 4 times as large"),
    (checks.check_channel_statistics, nested(lambda f: f.std(3, keepdim=True).std(2, keepdim=True)),
        "transposing the picture|almost 0|standard deviation 0"),
    (checks.check_channel_statistics, nested(lambda f: f.mean(3, keepdim=True).std(2, keepdim=True)), "transposing"),
    (checks.check_channel_statistics, nested(lambda f: f.std(3, keepdim=True).mean(2, keepdim=True)), "transposing"),
    (checks.check_channel_statistics, lambda f: (f.mean(), f.std()), "one number per channel of each picture"),
    (checks.check_channel_statistics, lambda f: (f.mean((0, 2, 3), keepdim=True), f.std((0, 2, 3), keepdim=True)),
        "one number per channel"),
    (checks.check_channel_statistics, lambda f: moments(f)[1], "two tensors, mean and spread; got Tensor"),
    (checks.check_channel_statistics, lambda f: (f.amax((2, 3), keepdim=True), moments(f)[1]), "not the mean"),
    (checks.check_adain, adain, None),
    (checks.check_adain, partial(adain, statistics=VARIANCE_OF_VARIANCES), "times the style's"),
    (checks.check_adain, lambda c, s: c, "not the style's"),
    (checks.check_adain, lambda c, s: c - moments(c)[0] + moments(s)[0], "spread of a channel"),
    (checks.check_adain, lambda c, s: s, "shape must be the content's"),
]  # fmt: skip


# --- networks
def right_run(network, picture, learn=(), freeze=True):
    network.requires_grad_(not freeze)
    x = picture.clone().requires_grad_(True)
    optimizer = torch.optim.SGD([x, *(network.parameters() if learn else ())], lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        network(x)["relu3_1"].square().sum().backward()
        optimizer.step()
    return x.detach()


MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


class Block(nn.Module):
    def __init__(self, channels, *, mode="reflect", after=False, skip=True, norm=nn.InstanceNorm2d, affine=True):
        super().__init__()
        parts = []
        for k in range(2):
            parts += [nn.Conv2d(channels, channels, 3, padding=1, padding_mode=mode), norm(channels, affine=affine)]
            parts += [nn.ReLU()] if k == 0 else []
        self.body, self.after, self.skip = nn.Sequential(*parts), after, skip

    def forward(self, x):
        y = self.body(x) + (x if self.skip else 0)
        return y.relu() if self.after else y


def enlarger(a, b, mode="reflect", upsample="nearest"):
    return nn.Sequential(nn.Upsample(scale_factor=2, mode=upsample), nn.Conv2d(a, b, 3, padding=1, padding_mode=mode))


def transformer(last=torch.tanh, scale=0.5, **options):
    network = TransformerNet(**options)

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network

        def forward(self, x):
            inner = self.inner
            t = inner.paint(inner.up(inner.blocks(inner.down((x - 0.5) * 4))))
            return 0.5 + scale * last(t) if last is not None else t

    return Transformer()


def discriminator(strides=(2, 2, 2, 1, 1), squeeze=False, bias=False, padding=1, norm=nn.BatchNorm2d):
    channels, parts = (6, 64, 128, 256, 512, 1), []
    for k, stride in enumerate(strides):
        last = k == len(strides) - 1
        before, after = channels[min(k, 4)], 1 if last else channels[min(k + 1, 4)]
        parts.append(nn.Conv2d(before, after, 4, stride, padding, bias=bias or k == 0 or last))
        if not last:
            parts += ([norm(after)] if k else []) + [nn.LeakyReLU(0.2)]
    return nn.Sequential(*parts, *([nn.Sigmoid()] if squeeze else []))


def field(chain):
    side = 1
    for kernel, stride in reversed(chain):
        side = (side - 1) * stride + kernel
    return side


def measure(network, size, where=0.5, all_outputs=False):
    x = torch.rand(1, 1, size, size, requires_grad=True)
    out = network(x)
    (out.sum() if all_outputs else out[0, 0, int(out.shape[2] * where), int(out.shape[3] * where)]).backward()
    seen = x.grad[0, 0].abs().sum(0).nonzero()
    return int(seen.max() - seen.min()) + 1


NETWORKS = [
    (checks.check_only_the_picture_learns, right_run, None),
    (checks.check_only_the_picture_learns, partial(right_run, learn=True, freeze=False), "what else is being"),
    (checks.check_only_the_picture_learns, partial(right_run, freeze=False), "wastes time and memory"),
    (checks.check_only_the_picture_learns, lambda network, picture: picture, "picture has not changed"),
    (checks.check_only_the_picture_learns, lambda network, picture: None, "got NoneType; does it end in `return`"),
    (checks.check_normalized_once, lambda network, picture: network(picture), None),
    (checks.check_normalized_once, lambda network, picture: network((picture - MEAN) / STD), "gets values from -"),
    (checks.check_normalized_once, lambda network, picture: network(255 * picture), "gets values from 0.* to 25"),
    (checks.check_normalized_once, lambda network, picture: network(2 * picture - 1), "values from -1.00"),
    (checks.check_normalized_once, lambda network, picture: network(picture / 2), "different picture from the one"),
    (checks.check_normalized_once, lambda network, picture: picture, "was not called"),
    (checks.check_residual_block, Block, None),
    (checks.check_residual_block, lambda c: layers.ResidualBlock(c, "instance"), None),
    (checks.check_residual_block, partial(Block, mode="zeros"), "beyond the border"),
    (checks.check_residual_block, partial(Block, after=True), "does nothing after the sum"),
    (checks.check_residual_block, partial(Block, skip=False), "is the input added"),
    (checks.check_residual_block, partial(Block, affine=False), "fewer than"),
    (checks.check_residual_block, partial(Block, norm=nn.BatchNorm2d), "neighbors in the batch"),
    (checks.check_residual_block, lambda c: nn.Conv2d(c, c, 3), "must keep its shape"),
    (checks.check_residual_block, lambda: 0, "could not be called"),
    (checks.check_upsampling, enlarger, None),
    (checks.check_upsampling, lambda a, b: nn.ConvTranspose2d(a, b, 3, 2, 1, 1), "pattern of period 2"),
    (checks.check_upsampling, lambda a, b: nn.ConvTranspose2d(a, b, 4, 2, 1), "pattern of period 2|parameters"),
    (checks.check_upsampling, partial(enlarger, mode="zeros"), "a frame around"),
    (checks.check_upsampling, lambda a, b: nn.Conv2d(a, b, 3, padding=1), "must become (2, 4, 10, 14)"),
    (checks.check_transformer_net, TransformerNet, None),
    (checks.check_transformer_net, transformer, None),
    (checks.check_transformer_net, partial(transformer, last=None), "must be a picture in [0, 1]"),
    (checks.check_transformer_net, partial(transformer, scale=1.0), "must be a picture in [0, 1]|leaves [0, 1]"),
    (checks.check_transformer_net, partial(transformer, scale=0.25), "able to paint black and white"),
    (checks.check_transformer_net, partial(transformer, norm="batch"), "neighbors in the batch"),
    (checks.check_transformer_net, partial(transformer, num_blocks=4), "fewer than 1,679,235"),
    (checks.check_transformer_net, lambda: nn.Conv2d(3, 3, 9), "must keep its shape"),
    (checks.check_patchgan, PatchGAN_ := lambda: discriminator(), None),
    (checks.check_patchgan, partial(discriminator, squeeze=True), "something bounds it"),
    (checks.check_patchgan, partial(discriminator, strides=(2, 2, 1, 1)), "30 × 30"),
    (checks.check_patchgan, partial(discriminator, bias=True), "more than 2,768,705"),
    (checks.check_patchgan, partial(discriminator, norm=nn.Identity), "fewer than 2,768,705"),
    (checks.check_patchgan, partial(discriminator, padding=0), "how are the borders padded"),
    (checks.check_patchgan, lambda: nn.Sequential(discriminator(), nn.Flatten()), "one logit per patch"),
    (checks.check_receptive_field, field, None),
    (checks.check_receptive_field, lambda chain: sum(kernel for kernel, _ in chain), "pixel itself"),
    (checks.check_receptive_field, lambda chain: 1 + sum(k - 1 for k, _ in chain), "outputs are two pixels apart"),
    (checks.check_receptive_field, lambda chain: field(chain[::-1]), "after a stride|last layer's own stride"),
    (checks.check_receptive_field, lambda chain: float(field(chain)), "whole number, got float"),
    (checks.check_field_by_gradient, measure, None),
    (checks.check_field_by_gradient, partial(measure, where=0), "far enough from the border"),
    (checks.check_field_by_gradient, partial(measure, all_outputs=True), "how many outputs do you use"),
]  # fmt: skip


# --- experiments
QUESTIONS = {"louder": ["more", "less"], "deeper": ["yes", "no"]}


def descent(network, target, start, steps, *, sign=1, rate=0.05, clamp=True, fresh=True, copy=True, zero=True):
    (layer,) = network.layers
    x = (start.clone() if copy else start).requires_grad_(True)
    optimizer, losses = torch.optim.Adam([x], lr=rate, maximize=sign < 0), []
    for _ in range(steps):
        if zero:
            optimizer.zero_grad()
        loss = (network(x if fresh else x.detach().requires_grad_(True))[layer] - target).square().sum()
        loss.backward()
        optimizer.step()
        if clamp:
            x.data.clamp_(0, 1)
        losses.append(loss.item())
    return x.detach(), losses


FIGURE = partial(figures.curves, {"a": [1.0, 2.0]})
WORDS = "content rises and style falls over all four weights"
EXPERIMENTS = [
    (lambda f: checks.check_predictions(f, QUESTIONS), lambda: {"louder": "more", "deeper": "no"}, None),
    (lambda f: checks.check_predictions(f, QUESTIONS), lambda: {"louder": "more"}, "no prediction for deeper"),
    (lambda f: checks.check_predictions(f, QUESTIONS), lambda: {"louder": "more", "deeper": None}, "no prediction"),
    (
        lambda f: checks.check_predictions(f, QUESTIONS),
        lambda: {"louder": "much", "deeper": "no"},
        "not one of the options",
    ),
    (lambda f: checks.check_predictions(f, QUESTIONS), lambda: ["more"], "must be a dictionary"),
    (checks.check_optimization, descent, None),
    (checks.check_optimization, partial(descent, sign=-1), "the loss rises"),
    (checks.check_optimization, partial(descent, rate=1e-4), "with a learning rate of 0.05 begins"),
    (checks.check_optimization, partial(descent, fresh=False), "does the gradient reach"),
    (checks.check_optimization, partial(descent, clamp=False), "outside [0, 1]"),
    (checks.check_optimization, partial(descent, copy=False), "start itself was changed"),
    (checks.check_optimization, lambda *a: descent(*a)[0], "the picture and the list of losses"),
    (checks.check_optimization, lambda n, t, s, k: descent(n, t, s, k + 1), "20 losses, got 21"),
    (checks.check_figure, lambda: FIGURE(caption=f"What one gains, {WORDS}", alt=WORDS), None),
    (checks.check_figure, lambda: FIGURE(caption=WORDS, alt="two curves"), "only 2 words"),
    (checks.check_figure, lambda: FIGURE(caption="curves", alt=WORDS), "caption is too short"),
    (checks.check_figure, lambda: FIGURE(caption=WORDS, alt=WORDS), "repeats the caption"),
    (checks.check_figure, lambda: "a picture", "got str"),
]
CASES = [*STATISTICS, *NETWORKS, *EXPERIMENTS]


@pytest.mark.parametrize(("check", "answer", "said"), [case for case in CASES if case[2] is None])
def test_right_answers_pass(check, answer, said, capsys):
    check(answer)
    assert capsys.readouterr().out.startswith("✓ ")


@pytest.mark.parametrize(("check", "answer", "said"), [case for case in CASES if case[2] is not None])
def test_wrong_answers_get_a_useful_hint(check, answer, said, capsys):
    with pytest.raises(CheckFailed) as caught:
        check(answer)
    message = str(caught.value)
    assert re.search(re.sub(r"([()\[\]])", r"\\\1", said), message), message
    assert "✓" not in capsys.readouterr().out
    assert not re.search(r"requires_grad|\.std\(|\.var\(|detach|padding_mode|Sigmoid|clamp|zero_grad", message)


@pytest.mark.parametrize("check", sorted({case[0] for case in STATISTICS + NETWORKS}, key=lambda f: f.__name__))
def test_an_empty_answer_is_reported_as_empty(check):
    def empty(*inputs):
        raise NotImplementedError

    with pytest.raises(CheckFailed, match="still empty"):
        check(empty)


def test_measurements_are_numbers_in_their_range(capsys):
    def check(values):
        return checks.check_measurements(values, ["a", "b"], low=0, high=1, what="SSIM")

    assert check({"a": torch.tensor(0.5), "b": 1, "c": "?"}) == {"a": 0.5, "b": 1.0}
    for values, said in (
        ({"a": 0.5}, "nothing was measured for b"),
        ({"a": 0.5, "b": float("nan")}, "not finite"),
        ({"a": 0.5, "b": 255}, "255 for b is not between 0 and 1; which unit"),
        ({"a": 0.5, "b": "x"}, "one number, got str"),
        ({"a": 0.5, "b": True}, "one number, got bool"),
        ([1, 2], "expected a dictionary"),
    ):
        with pytest.raises(CheckFailed, match=re.escape(said).replace("\\ ", " ")):
            check(values)


def test_trends(capsys):
    checks.check_trend([1, 2, 3], "rises", "loss")
    checks.check_trend([3, 2.9, 2.95, 1], "falls", "loss", slack=0.1)
    assert capsys.readouterr().out.count("✓ loss") == 2
    for row, direction in (([1, 3, 2], "rises"), ([1, 1, 1], "rises"), ([1, 2], "falls")):
        with pytest.raises(CheckFailed, match="do not all go in the expected direction"):
            checks.check_trend(row, direction, "loss")


def test_a_tensor_subclass_cannot_fool_a_check():
    class Liar(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, arguments=(), keywords=None):
            if function in (torch.Tensor.__sub__, torch.allclose):
                return torch.zeros(())
            return super().__torch_function__(function, types, arguments, keywords or {})

    with pytest.raises(CheckFailed):
        checks.check_gram_matrix(lambda f: torch.ones(len(f), 3, 3).as_subclass(Liar))


def test_no_check_gives_the_answer_away():
    """No message contains the expected code; numbers from the papers are fine."""
    for module in (base, losses, statistics, networks, replay, fields, passes, optimization, experiments):
        constants = [
            node.value for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Constant)
        ]
        for text in filter(lambda value: isinstance(value, str), constants):
            assert not re.search(r"torch\.|\.transpose|@ f|bmm|\.mean\(|\.sum\(|requires_grad", text), text


def test_the_network_given_to_a_check_is_small():
    assert VGGFeatures("vgg19", ("relu3_1",), weights=None)(torch.rand(1, 3, 32, 32))["relu3_1"].numel() < 5000
    assert PatchGAN is not None
