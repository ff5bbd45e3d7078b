"""Answers to the tasks on losses: every check accepts what is right in another form, and names what is wrong."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import enough, judge, parameters
from torch import nn

from course_lib import losses
from course_lib.teaching import checks


def gram(f):
    f = f.reshape(f.shape[0], f.shape[1], -1)
    return torch.bmm(f, f.transpose(1, 2))


def looped(f):
    out = f.new_zeros(f.shape[0], f.shape[1], f.shape[1])
    for n in range(f.shape[0]):
        for i in range(f.shape[1]):
            for j in range(f.shape[1]):
                out[n, i, j] = (f[n, i] * f[n, j]).sum()
    return out


def in_place(f):
    f *= 1.0
    out = gram(f)
    f.zero_()
    return out


def numpy_gram(f):
    rows = f.detach().numpy().reshape(len(f), f.shape[1], -1)
    return torch.from_numpy(rows @ rows.swapaxes(1, 2))


class Gram(nn.Module):
    def forward(self, features):
        return torch.einsum("nchw,ndhw->ncd", features, features)


CHECK = checks.check_gram_matrix
GRAMS = [
    (CHECK, "bmm", gram, None),
    (CHECK, "einsum", lambda f: torch.einsum("nihw,njhw->nij", f, f), None),
    (CHECK, "loops", looped, None),
    (CHECK, "a module", Gram(), None),
    (CHECK, "float64", lambda f: gram(f.double()), None),
    (CHECK, "in place", in_place, None),
    (CHECK, "NumPy", numpy_gram, None),
    (CHECK, "covariance plus means", lambda f: gram(centered(f)) + f[0, 0].numel()
        * f.mean((2, 3))[:, :, None] * f.mean((2, 3))[:, None], None),
    (CHECK, "stacked", lambda f: torch.stack([x.flatten(1) @ x.flatten(1).T for x in f]), None),
    (CHECK, "broadcast", lambda f: (f[:, :, None] * f[:, None]).sum((-1, -2)), None),
    (CHECK, "tensordot", lambda f: torch.stack([torch.tensordot(x, x, ([1, 2], [1, 2])) for x in f]), None),
    (CHECK, "bfloat16", lambda f: gram(f.bfloat16()), "bfloat16, which keeps about three digits"),
    (CHECK, "float16", lambda f: gram(f.half()), "float16, which keeps about three digits"),
    (CHECK, "bfloat16 inside", lambda f: gram(f.bfloat16()).float(), "two digits only"),
    (CHECK, "its size as a number", lambda f: gram(f) * f.shape[2] / 4, "another shape, (3, 5, 2, 7)|position"),
    (CHECK, "as for squares", lambda f: gram(f) * f.shape[3] / (f.shape[2] + 1), "another shape|position"),
    (CHECK, "rounded", lambda f: gram(f).round(), "doubling F"),
    (CHECK, "normalized", lambda f: gram(F.normalize(f.flatten(2), dim=2)[..., None]), "doubling F"),
    (CHECK, "over channels", lambda f: gram(f.transpose(1, 2)), "shape must be"),
    (CHECK, "softmax", lambda f: gram(f.flatten(2).softmax(2)[..., None]), "doubling F"),
    (CHECK, "rectified differences", lambda f: gram((f - 0.5).relu()), "doubling F"),
    (CHECK, "triangle", lambda f: gram(f).triu(), "symmetric"),
    (CHECK, "squared", lambda f: gram(f) ** 2, "doubling F"),
    (CHECK, "root", lambda f: gram(f).sqrt(), "doubling F"),
    (CHECK, "mean", lambda f: gram(f) / f[0, 0].numel(), "not divided by anything"),
    (CHECK, "half", lambda f: 0.5 * gram(f), "0.5 times what it should be"),
    (CHECK, "batch first", lambda f: gram(f[:1]).expand(len(f), -1, -1), "its own matrix"),
    (CHECK, "an array", lambda f: gram(f).numpy(), "must return a tensor, got ndarray"),
    (CHECK, "infinite", lambda f: gram(f) * math.inf, "not finite"),
]  # fmt: skip


def content(f, p):
    return 0.5 * (f - p).pow(2).sum()


def content_in_place(f, p):
    f -= p
    f *= f
    return f.sum() / 2


class Content(nn.Module):
    def forward(self, features, target):
        return F.mse_loss(features, target, reduction="sum") / 2


CHECK = checks.check_content_loss
CONTENT = [
    (CHECK, "pow", content, None),
    (CHECK, "a module", Content(), None),
    (CHECK, "mean times count", lambda f, p: F.mse_loss(f, p) * f.numel() / 2, None),
    (CHECK, "norm", lambda f, p: torch.linalg.norm((f - p).flatten()) ** 2 / 2, None),
    (CHECK, "einsum", lambda f, p: torch.einsum("nchw,nchw->", f - p, f - p) / 2, None),
    (CHECK, "float64", lambda f, p: content(f.double(), p.double()), None),
    (CHECK, "in place", content_in_place, None),
    (CHECK, "one per picture", lambda f, p: ((f - p) ** 2).sum(dim=(1, 2, 3)) / 2, None),  # of one picture: shape (1,)
    (CHECK, "expanded", lambda f, p: (f * f - 2 * f * p + p * p).sum() / 2, None),
    (CHECK, "turned around", lambda f, p: content(p, f), None),
    (CHECK, "no half", lambda f, p: (f - p).pow(2).sum(), "2 times what it should be"),
    (CHECK, "mean", lambda f, p: (f - p).pow(2).mean() / 2, "times what it should be"),
    (CHECK, "mean over channels", lambda f, p: (f - p).pow(2).sum((2, 3)).mean() / 2, "times what it should be"),
    (CHECK, "norm, no square", lambda f, p: (f - p).norm() / 2, "doubling"),
    (CHECK, "absolute", lambda f, p: (f - p).abs().sum() / 2, "doubling"),
    (CHECK, "fourth power", lambda f, p: (f - p).pow(4).sum() / 2, "doubling"),
    (CHECK, "negative", lambda f, p: -content(f, p), "positive when they differ"),
    (CHECK, "means compared", lambda f, p: (f.mean() - p.mean()) ** 2 * f.numel() / 2, "cancel"),
    (CHECK, "channel means", lambda f, p: content(f.mean((2, 3)), p.mean((2, 3))), "cancel|times what it should be"),
    (CHECK, "first picture alone", lambda f, p: f.pow(2).sum() / 2, "0 when"),
    (CHECK, "one half per entry", lambda f, p: (f - p).pow(2) / 2, "single number, got shape (1, 3, 4, 5)"),
    (CHECK, "item", lambda f, p: content(f, p).item(), "must return a tensor, got float"),
    (CHECK, "cut off", lambda f, p: content(f, p).detach(), "no gradient reaches"),
    (CHECK, "cut off by NumPy", lambda f, p: torch.tensor(np.square(f.detach().numpy() - p.numpy()).sum() / 2),
        "no gradient reaches"),
    (CHECK, "half cut off", lambda f, p: ((f - p) * (f - p).detach()).sum() / 2, "but its gradient is not"),
    (CHECK, "gradient of the target", lambda f, p: content(f.detach(), p), "no gradient reaches"),
    (CHECK, "its size as a number", lambda f, p: F.mse_loss(f, p) * 30, "times what it should be"),
    (CHECK, "a constant", lambda f, p: torch.tensor(1.0), "0 when"),
    (CHECK, "the smaller one", lambda f, p: (f - p).clamp_min(0).pow(2).sum() / 2, "exchanging"),
]  # fmt: skip


def centered(f):
    return f - f.mean((2, 3), keepdim=True)


def style(f, a):
    n, m = f.shape[1], f[0, 0].numel()
    return (gram(f) - gram(a)).pow(2).sum() / (4 * n**2 * m**2)


CHECK = checks.check_style_loss
STYLE = [
    (CHECK, "pow", style, None),
    (CHECK, "the library's", lambda f, a: losses.style_loss(f, losses.gram_matrix(a, mean=True), losses.GATYS), None),
    (CHECK, "mean of squares", lambda f, a: F.mse_loss(gram(f), gram(a)) / (4 * f[0, 0].numel() ** 2), None),
    (CHECK, "divided first", lambda f, a: (gram(f) / f[0].numel() - gram(a) / a[0].numel()).pow(2).sum() / 4, None),
    (CHECK, "float64", lambda f, a: style(f.double(), a.double()), None),
    (CHECK, "norm", lambda f, a: (gram(f) - gram(a)).norm() ** 2 / 4 / f[0].numel() ** 2, None),
    (CHECK, "one per picture", lambda f, a: (gram(f) - gram(a)).pow(2).sum((1, 2)) / (2 * f[0].numel()) ** 2, None),
    (CHECK, "loops", lambda f, a: (looped(f) - looped(a)).pow(2).sum() / (2 * f[0].numel()) ** 2, None),
    (CHECK, "in place", lambda f, a: gram(f).sub_(gram(a)).pow(2).sum().div_(4 * f[0].numel() ** 2), None),
    (CHECK, "no quarter", lambda f, a: 4 * style(f, a), "4 times"),
    (CHECK, "no division", lambda f, a: (gram(f) - gram(a)).pow(2).sum(), "times what it should be"),
    (CHECK, "N once", lambda f, a: f.shape[1] * style(f, a), "times what it should be"),
    (CHECK, "M once", lambda f, a: f[0, 0].numel() * style(f, a), "times what it should be"),
    (CHECK, "height instead of M", lambda f, a: style(f, a) * f.shape[3] ** 2, "times what it should be"),
    (CHECK, "features compared", lambda f, a: content(f, a), "compare Gram matrices"),
    (CHECK, "means compared", lambda f, a: content(f.mean((2, 3)), a.mean((2, 3))), "powers of F"),
    (CHECK, "diagonals compared", lambda f, a: (gram(f) - gram(a)).diagonal(0, 1, 2).pow(2).sum() / (2 * f[0].numel())
        ** 2, "times what it should be"),
    (CHECK, "triangles compared", lambda f, a: (gram(f) - gram(a)).triu().pow(2).sum() / (2 * f[0].numel()) ** 2,
        "times what it should be"),
    (CHECK, "covariances compared", lambda f, a: style(centered(f), centered(a)), "times what it should be"),
    (CHECK, "absolute", lambda f, a: (gram(f) - gram(a)).abs().sum(), "powers of F"),
    (CHECK, "the painting cut off", lambda f, a: style(f.detach(), a), "no gradient reaches"),
    (CHECK, "half cut off", lambda f, a: style(f, a) / 2 + style(f, a).detach() / 2, "but its gradient is not"),
    (CHECK, "a number", lambda f, a: float(style(f, a)), "got float"),
    (CHECK, "sizes as numbers", lambda f, a: content(gram(f), gram(a)) / (2 * 9 * 400), "times what it should be"),
    (CHECK, "not summed", lambda f, a: (gram(f) - gram(a)).pow(2), "single number"),
]  # fmt: skip


def variation(x):
    return x.diff(dim=2).square().mean() + x.diff(dim=3).square().mean()


def padded(x):
    down, across = x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]
    return down.pow(2).sum() / down.numel() + across.pow(2).sum() / across.numel()


def by_convolution(x):
    x = x.reshape(-1, 1, *x.shape[2:])
    kernel = x.new_tensor([-1.0, 1.0])
    return F.conv2d(x, kernel.view(1, 1, 1, 2)).pow(2).mean() + F.conv2d(x, kernel.view(1, 1, 2, 1)).pow(2).mean()


CHECK = checks.check_total_variation
VARIATION = [
    (CHECK, "diff", variation, None),
    (CHECK, "the library's", losses.total_variation_loss, None),
    (CHECK, "slices", padded, None),
    (CHECK, "convolutions", by_convolution, None),
    (CHECK, "mse", lambda x: F.mse_loss(x[..., 1:], x[..., :-1]) + F.mse_loss(x[..., 1:, :], x[..., :-1, :]), None),
    (CHECK, "float64", lambda x: variation(x.double()), None),
    (CHECK, "shape (1,)", lambda x: variation(x).reshape(1), None),
    (CHECK, "roll, cut", lambda x: (x - x.roll(1, 2))[:, :, 1:].pow(2).mean()
        + (x - x.roll(1, 3))[..., 1:].pow(2).mean(), None),
    (CHECK, "half", lambda x: variation(x) / 2, "stripes of 0 and 1 must give 1"),
    (CHECK, "sum", lambda x: x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum(), "must give 1"),
    (CHECK, "sum over count", lambda x: (x.diff(dim=2).square().sum() + x.diff(dim=3).square().sum()) / x.numel(),
        "must give 1"),
    (CHECK, "only down", lambda x: x.diff(dim=2).square().mean(), "both directions"),
    (CHECK, "absolute", lambda x: x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean(), "what it should be"),
    (CHECK, "root", lambda x: (variation(x) + 1e-12).sqrt(), "flat picture|what it should be"),
    (CHECK, "across channels", lambda x: variation(x.mean(1, keepdim=True)), "what it should be"),
    (CHECK, "first channel", lambda x: variation(x[:, :1]), "what it should be"),
    (CHECK, "wraps around", lambda x: (x - x.roll(1, 3)).pow(2).mean() + (x - x.roll(1, 2)).pow(2).mean(),
        "what it should be"),
    (CHECK, "two apart", lambda x: (x[..., 2:] - x[..., :-2]).pow(2).mean() + (x[..., 2:, :] - x[..., :-2, :])
        .pow(2).mean(), "must give 1"),
    (CHECK, "per picture", lambda x: variation(x) * len(x), "2 times what it should be"),
    (CHECK, "variance", lambda x: x.var((2, 3)).mean(), "flat|must give 1"),
    (CHECK, "brightness", lambda x: x.pow(2).mean(), "flat picture"),
    (CHECK, "not one number", lambda x: x.diff(dim=3).square(), "single number"),
    (CHECK, "cut off", lambda x: variation(x).detach(), "no gradient reaches"),
    (CHECK, "a number", lambda x: variation(x).item(), "got float"),
]  # fmt: skip


def distance(f, p):
    return (f - p).norm() / p.norm()


CHECK = checks.check_relative_distance
DISTANCE = [
    (CHECK, "norms", distance, None),
    (CHECK, "roots", lambda f, p: ((f - p).pow(2).sum() / p.pow(2).sum()).sqrt(), None),
    (CHECK, "item", lambda f, p: distance(f, p).item(), None),
    (CHECK, "NumPy", lambda f, p: np.linalg.norm(f.numpy() - p.numpy()) / np.linalg.norm(p.numpy()), None),
    (CHECK, "float64", lambda f, p: distance(f.double(), p.double()), None),
    (CHECK, "means", lambda f, p: F.mse_loss(f, p).sqrt() / p.square().mean().sqrt(), None),
    (CHECK, "a tiny constant", lambda f, p: (f - p).norm() / (p.norm() + 1e-8), None),
    (CHECK, "a tiny constant in the root", lambda f, p: ((f - p).pow(2).sum() + 1e-8).sqrt() / p.norm(), None),
    (CHECK, "dist", lambda f, p: torch.dist(f, p) / torch.dist(torch.zeros_like(p), p), None),
    (CHECK, "one per picture", lambda f, p: (f - p).flatten(1).norm(dim=1) / p.flatten(1).norm(dim=1), None),
    (CHECK, "not relative", lambda f, p: (f - p).norm(), "10 times the distance"),
    (CHECK, "by the own norm", lambda f, p: (f - p).norm() / f.norm().clamp_min(1e-9), "which norm"),
    (CHECK, "by both", lambda f, p: (f - p).norm() / (f.norm() + p.norm()), "what it should be"),
    (CHECK, "no root", lambda f, p: (f - p).pow(2).sum() / p.pow(2).sum(), "what it should be"),
    (CHECK, "sums of magnitudes", lambda f, p: (f - p).abs().sum() / p.abs().sum(), "what it should be"),
    (CHECK, "largest", lambda f, p: (f - p).abs().max() / p.abs().max(), "what it should be"),
    (CHECK, "entry by entry", lambda f, p: ((f - p) / p.clamp_min(1e-9)).norm() / math.sqrt(p.numel()),
        "what it should be"),
    (CHECK, "difference of norms", lambda f, p: (f.norm() - p.norm()).abs() / p.norm(), "what it should be"),
    (CHECK, "per channel", lambda f, p: ((f - p).flatten(2).norm(dim=2) / p.flatten(2).norm(dim=2)).mean(),
        "what it should be"),
    (CHECK, "percent", lambda f, p: 100 * distance(f, p), "distance 100 from P"),
    (CHECK, "likeness", lambda f, p: 1 - distance(f, p), "0 when"),
    (CHECK, "mean", lambda f, p: (f - p).pow(2).mean(), "100 times the distance"),
    (CHECK, "one plus", lambda f, p: (f - p).norm() / (1 + p.norm()), "must not change"),
    (CHECK, "a map", lambda f, p: (f - p) / p.norm(), "single number"),
    (CHECK, "truth", lambda f, p: bool((f - p).norm() > 0), "must return a tensor, got bool"),
    (CHECK, "a word", lambda f, p: "0.5", "must return a tensor, got str"),
]  # fmt: skip

TABLE = [*GRAMS, *CONTENT, *STYLE, *VARIATION, *DISTANCE]


@pytest.mark.parametrize(("check", "name", "answer", "said"), parameters(TABLE))
def test_an_answer_gets_what_it_deserves(check, name, answer, said, capsys):
    judge(check, answer, said, capsys)


def test_each_check_has_many_answers():
    assert enough(TABLE) == set()
