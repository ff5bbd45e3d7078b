"""Answers to the tasks on statistics of features: right ones in many forms, and wrong ones by name."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import enough, judge, parameters
from torch import nn

from course_lib.teaching import checks


def swapped(f, share):
    """The first `share` of the positions in reverse order, the others where they are."""
    flat = f.flatten(2).clone()
    count = int(share * flat.shape[2])
    flat[:, :, :count] = flat[:, :, :count].flip(2)
    return flat.view_as(f)


def per_channel(f):
    return torch.stack([torch.stack([c.flatten()[torch.randperm(c.numel())].view_as(c) for c in x]) for x in f])


def in_place(f):
    f.copy_(f.flip(2, 3).clone())
    return f


def rotated(f):
    """Any orthogonal mixture of the positions keeps the Gram matrix, but not the values."""
    basis = torch.linalg.qr(torch.randn(f[0, 0].numel(), f[0, 0].numel()))[0]
    return (f.flatten(2) @ basis).view_as(f)


class Flip(nn.Module):
    def forward(self, features):
        return features.flip(3).flip(2)


CHECK = checks.check_shuffle
SHUFFLE = [
    (CHECK, "flat and flipped", lambda f: f.flatten(2).flip(2).view_as(f), None),
    (CHECK, "up and down", lambda f: f.flip(2), None),
    (CHECK, "left and right", lambda f: f.flip(3), None),
    (CHECK, "rolled", lambda f: f.roll((1, 2), (2, 3)), None),
    (CHECK, "random, one order", lambda f: f.flatten(2)[:, :, torch.randperm(f[0, 0].numel())].view_as(f), None),
    (CHECK, "random, per picture", lambda f: torch.cat([x[None].flatten(2)[:, :, torch.randperm(x[0].numel())]
        .view(1, *x.shape) for x in f]), None),
    (CHECK, "transposed and reshaped", lambda f: f.transpose(2, 3).reshape(f.shape), None),
    (CHECK, "a module", Flip(), None),
    (CHECK, "in place", in_place, None),
    (CHECK, "float64", lambda f: f.double().flip(2, 3), None),
    (CHECK, "gathered", lambda f: f.flatten(2).gather(2, torch.arange(f[0, 0].numel()).flip(0).expand(*f.shape[:2], -1))
        .view_as(f), None),
    (CHECK, "nothing", lambda f: f, "100% of the values are still"),
    (CHECK, "a quarter", lambda f: swapped(f, 0.25), "still at their old positions"),
    (CHECK, "two thirds", lambda f: swapped(f, 0.67), "still at their old positions"),
    (CHECK, "each channel by itself", per_channel, "the same for all channels"),
    (CHECK, "each channel rolled", lambda f: torch.stack([c.roll(k, 1) for k, c in enumerate(f.unbind(1), 1)], 1),
        "the same for all channels"),
    (CHECK, "noise", lambda f: torch.rand_like(f), "other values"),
    (CHECK, "negated", lambda f: -f, "other values"),
    (CHECK, "rotated", rotated, "other values"),
    (CHECK, "channels", lambda f: f.flip(1), "other values"),
    (CHECK, "pictures", lambda f: f.flip(0), "other values"),
    (CHECK, "all numbers in one row", lambda f: f.flatten().roll(1).view_as(f), "other values"),
    (CHECK, "sorted", lambda f: f.flatten(2).sort(2).values.view_as(f), "the same for all channels"),
    (CHECK, "transposed", lambda f: f.transpose(2, 3), "shape must stay"),
    (CHECK, "smaller", lambda f: f[..., :-1], "shape must stay"),
    (CHECK, "repeated", lambda f: f[:, :, :1].expand_as(f), "other values"),
    (CHECK, "a list", lambda f: f.tolist(), "got list"),
]  # fmt: skip


def gram(x):
    x = x.flatten(2)
    return x @ x.mT / x.shape[2]


def closest(statistics, how=None):
    """The nearest candidate by some statistics."""
    how = how or (lambda a, b: float((a - b).norm()))

    def find(features, candidates):
        distances = [how(statistics(x), statistics(features)) for x in candidates]
        return distances.index(min(distances))

    return find


def with_numpy(features, candidates):
    def statistics(x):
        rows = x.numpy().reshape(x.shape[1], -1)
        return rows @ rows.T / rows.shape[1]

    return np.argmin([np.abs(statistics(x) - statistics(features)).sum() for x in candidates])


def with_torch(features, candidates):
    return torch.stack([(gram(x) - gram(features)).square().mean() for x in candidates]).argmin()


def loop(features, candidates):
    best, found = None, -1
    while candidates:  # takes the list apart
        apart = (gram(candidates.pop()) - gram(features)).abs().max()
        if best is None or apart < best:
            best, found = apart, len(candidates)
    return found


def cosine(a, b):
    return -float(F.cosine_similarity(a.flatten(), b.flatten(), dim=0))


def triangle(x):
    return gram(x)[:, *torch.triu_indices(x.shape[1], x.shape[1])]


def cropped(features, candidates):
    """Compares values position by position, on the part that both have."""
    distances = [float((x[..., : features.shape[3]] - features[..., : x.shape[3]]).norm()) for x in candidates]
    return distances.index(min(distances))


def moments(x):
    return torch.stack([x.mean((2, 3)), x.std((2, 3))])


def histogram(x):
    return torch.stack([torch.histc(c, 8, 0, 8) / c.numel() for c in x[0]])


CHECK = checks.check_closest_style
CLOSEST = [
    (CHECK, "Frobenius", closest(gram), None),
    (CHECK, "NumPy", with_numpy, None),
    (CHECK, "argmin", with_torch, None),
    (CHECK, "item", lambda f, c: with_torch(f, c).item(), None),
    (CHECK, "a loop that takes the list apart", loop, None),
    (CHECK, "sum of squares", closest(gram, lambda a, b: float((a - b).pow(2).sum())), None),
    (CHECK, "largest difference", closest(gram, lambda a, b: float((a - b).abs().max())), None),
    (CHECK, "upper triangle", closest(triangle), None),
    (CHECK, "divided by C, too", closest(lambda x: gram(x) / x.shape[1]), None),
    (CHECK, "min with key", lambda f, c: min(range(len(c)), key=lambda k: (gram(c[k]) - gram(f)).norm().item()), None),
    (CHECK, "float64", lambda f, c: closest(gram)(f.double(), [x.double() for x in c]), None),
    (CHECK, "Gram matrices of all at once", closest(lambda x: torch.einsum("nihw,njhw->nij", x, x) / x[0, 0].numel()),
        None),
    (CHECK, "channel means", closest(lambda x: x.mean((2, 3))), "compare channels with each other"),
    (CHECK, "means and deviations", closest(moments), "compare channels with each other"),
    (CHECK, "diagonals", closest(lambda x: gram(x).diagonal(0, 1, 2)), "compare channels with each other"),
    (CHECK, "histograms", closest(histogram), "compare channels with each other"),
    (CHECK, "largest values", closest(lambda x: x.amax((2, 3))), "compare channels|number of positions|not recognized"),
    (CHECK, "covariances", closest(lambda x: gram(x - x.mean((2, 3), keepdim=True))), "a constant added"),
    (CHECK, "mean picture", closest(lambda x: x.mean(1).mean()), "was chosen|compare|not recognized"),
    (CHECK, "sums", closest(lambda x: gram(x) * x[0, 0].numel()), "does the number of positions matter"),
    (CHECK, "divided twice", closest(lambda x: gram(x) / x[0].numel()), "does the number of positions matter"),
    (CHECK, "positions", closest(lambda x: F.adaptive_avg_pool2d(x, 4)), "positions or statistics"),
    (CHECK, "positions of a crop", cropped, "positions or statistics"),
    (CHECK, "the farthest", closest(gram, lambda a, b: -float((a - b).norm())), "is the given tensor itself"),
    (CHECK, "counted from 1", lambda f, c: closest(gram)(f, c) + 1, "0, 1 or 2, got 3|is the given tensor itself"),
    (CHECK, "the distance", lambda f, c: float((gram(c[0]) - gram(f)).norm()), "whole number, got float"),
    (CHECK, "the candidate", lambda f, c: c[closest(gram)(f, c)], "whole number, got Tensor"),
    (CHECK, "a list", lambda f, c: [closest(gram)(f, c)], "whole number, got list"),
    (CHECK, "truth", lambda f, c: False, "whole number, got bool"),
    (CHECK, "always the first", lambda f, c: 0, "is the given tensor itself"),
    (CHECK, "from behind", lambda f, c: closest(gram)(f, c) - len(c), "0, 1 or 2, got -3"),
    (CHECK, "nothing", lambda f, c: None, "does it end in `return`"),
]  # fmt: skip


def plain(f, correction=1):
    return f.mean((2, 3), keepdim=True), (f.var((2, 3), keepdim=True, correction=correction) + 1e-5).sqrt()


def by_hand(f):
    count = f.shape[2] * f.shape[3]
    mean = f.sum(dim=(2, 3), keepdim=True) / count
    return mean, ((f - mean) ** 2).sum(dim=(2, 3), keepdim=True).div(count).sqrt()


def looped(f):
    mean, spread = torch.zeros(*f.shape[:2], 1, 1), torch.zeros(*f.shape[:2], 1, 1)
    for n in range(len(f)):
        for c in range(f.shape[1]):
            mean[n, c], spread[n, c] = f[n, c].mean(), f[n, c].std()
    return mean, spread


def spread(function):
    return lambda f: (plain(f)[0], function(f))


class Statistics(nn.Module):
    def forward(self, features):
        return [features.mean((2, 3), keepdim=True), features.std((2, 3), keepdim=True)]


CHECK = checks.check_channel_statistics
MOMENTS = [
    (CHECK, "var", plain, None),
    (CHECK, "divided by M", lambda f: plain(f, 0), None),
    (CHECK, "by hand", by_hand, None),
    (CHECK, "loops", looped, None),
    (CHECK, "std_mean", lambda f: torch.std_mean(f, (2, 3), keepdim=True)[::-1], None),
    (CHECK, "float64", lambda f: plain(f.double()), None),
    (CHECK, "a module with a list", Statistics(), None),
    (CHECK, "flat, then reshaped", lambda f: (f.flatten(2).mean(2).view(*f.shape[:2], 1, 1),
        f.flatten(2).std(2)[..., None, None]), None),
    (CHECK, "second moment", spread(lambda f: (f.square().mean((2, 3), keepdim=True) - plain(f)[0] ** 2).sqrt()), None),
    (CHECK, "mean of means", lambda f: (f.mean(2, keepdim=True).mean(3, keepdim=True), plain(f)[1]), None),
    (CHECK, "variance", spread(lambda f: plain(f)[1] ** 2), "4 times as large, not 2"),
    (CHECK, "variance of variances", spread(lambda f: f.var(2, keepdim=True).var(3, keepdim=True)), "not 2 times"),
    (CHECK, "std of stds", spread(lambda f: f.std(2, keepdim=True).std(3, keepdim=True)), "transposing|almost 0"),
    (CHECK, "mean of stds", spread(lambda f: f.std(2, keepdim=True).mean(3, keepdim=True)), "transposing|almost 0"),
    (CHECK, "root mean square", spread(lambda f: f.square().mean((2, 3), keepdim=True).sqrt()), "the spread is off"),
    (CHECK, "mean distance", spread(lambda f: (f - plain(f)[0]).abs().mean((2, 3), keepdim=True)), "the spread is off"),
    (CHECK, "range", spread(lambda f: f.amax((2, 3), keepdim=True) - f.amin((2, 3), keepdim=True)), "spread is off"),
    (CHECK, "spread of all pictures", spread(lambda f: f.std((0, 2, 3), keepdim=True).expand(len(f), -1, 1, 1)),
        "the spread is off"),
    (CHECK, "spread of all channels", spread(lambda f: f.std((1, 2, 3), keepdim=True).expand(-1, f.shape[1], 1, 1)),
        "the spread is off"),
    (CHECK, "mean of all pictures", lambda f: (f.mean((0, 2, 3), keepdim=True).expand(len(f), -1, 1, 1), plain(f)[1]),
        "not the mean of each channel"),
    (CHECK, "median", lambda f: (f.flatten(2).median(2).values[..., None, None], plain(f)[1]), "not the mean of each"),
    (CHECK, "exchanged", lambda f: plain(f)[::-1], "not the mean of each channel"),
    (CHECK, "(N, C)", lambda f: (f.mean((2, 3)), f.std((2, 3))), "(N, C, 1, 1)"),
    (CHECK, "one number", lambda f: (f.mean(), f.std()), "(N, C, 1, 1)"),
    (CHECK, "the mean alone", lambda f: plain(f)[0], "two tensors, mean and spread; got Tensor"),
    (CHECK, "one stacked tensor", lambda f: torch.stack(plain(f)), "two tensors, mean and spread; got Tensor"),
    (CHECK, "a large constant", spread(lambda f: (f.var((2, 3), keepdim=True) + 0.1).sqrt()), "not 2 times|is off"),
    (CHECK, "no spread", spread(lambda f: 0 * plain(f)[1]), "has the standard deviation 0"),
    (CHECK, "numbers", lambda f: (0.5, 0.3), "must return a tensor, got float"),
]  # fmt: skip


def adain(x, y, statistics=plain):
    (m, s), (mean, spread) = statistics(x), statistics(y)
    return (x - m) / s * spread + mean


def in_one_go(x, y):
    x -= plain(x)[0]
    x *= plain(y)[1] / plain(x)[1]
    x += plain(y)[0]
    return x


def channels(x, y):
    pairs = zip(x[0], y[0], strict=True)
    return torch.stack([(a - a.mean()) / a.std() * b.std() + b.mean() for a, b in pairs])[None]


def exact_histogram(x, y):
    """Every value replaced by the style's value of the same rank: the same statistics, but no line any more."""
    rank = x.flatten(2).argsort(2).argsort(2)
    places = torch.linspace(0, y[0, 0].numel() - 1, x[0, 0].numel()).round().long()
    values = y.flatten(2).sort(2).values[:, :, places] ** 3
    return adain(values.gather(2, rank).view_as(x), y)


CHECK = checks.check_adain
ADAIN = [
    (CHECK, "as in the paper", adain, None),
    (CHECK, "divided by M", lambda x, y: adain(x, y, lambda f: plain(f, 0)), None),
    (CHECK, "instance norm", lambda x, y: F.instance_norm(x) * plain(y)[1] + plain(y)[0], None),
    (CHECK, "M and M − 1 mixed", lambda x, y: (x - plain(x)[0]) / plain(x, 0)[1] * plain(y)[1] + plain(y)[0], None),
    (CHECK, "in place", in_one_go, None),
    (CHECK, "float64", lambda x, y: adain(x.double(), y.double()), None),
    (CHECK, "channel by channel", channels, None),
    (CHECK, "layer norm", lambda x, y: F.layer_norm(x, x.shape[2:]) * y.std((2, 3), keepdim=True)
        + y.mean((2, 3), keepdim=True), None),
    (CHECK, "the content", lambda x, y: x, "mean of a channel"),
    (CHECK, "the style", lambda x, y: y, "shape must be"),
    (CHECK, "the style, resized", lambda x, y: F.interpolate(y, x.shape[2:]), "mean of|spread of|keep the spatial"),
    (CHECK, "exchanged", lambda x, y: adain(y, x), "shape must be"),
    (CHECK, "means only", lambda x, y: x - plain(x)[0] + plain(y)[0], "spread of a channel"),
    (CHECK, "spreads only", lambda x, y: (x - plain(x)[0]) / plain(x)[1] * plain(y)[1] + plain(x)[0],
        "mean of a channel"),
    (CHECK, "variances", lambda x, y: (x - plain(x)[0]) / plain(x)[1] ** 2 * plain(y)[1] ** 2 + plain(y)[0],
        "spread of a channel"),
    (CHECK, "normalized only", lambda x, y: F.instance_norm(x), "mean of a channel"),
    (CHECK, "all channels alike", lambda x, y: (x - x.mean()) / x.std() * y.std() + y.mean(), "mean of a channel"),
    (CHECK, "content's mean stays under the scale", lambda x, y: x / plain(x)[1] * plain(y)[1] + plain(y)[0],
        "mean of a channel"),
    (CHECK, "upside down", lambda x, y: adain(x.flip(2), y), "keep the spatial arrangement"),
    (CHECK, "negative", lambda x, y: adain(-x, y), "keep the spatial arrangement"),
    (CHECK, "histogram of another shape", exact_histogram, "keep the spatial arrangement"),
    (CHECK, "noise", lambda x, y: adain(torch.rand_like(x), y), "keep the spatial arrangement"),
    (CHECK, "halfway", lambda x, y: (x + adain(x, y)) / 2, "mean of a channel"),
    (CHECK, "a tuple", lambda x, y: plain(adain(x, y)), "got tuple"),
]  # fmt: skip

TABLE = [*SHUFFLE, *CLOSEST, *MOMENTS, *ADAIN]


@pytest.mark.parametrize(("check", "name", "answer", "said"), parameters(TABLE))
def test_an_answer_gets_what_it_deserves(check, name, answer, said, capsys):
    torch.manual_seed(1)  # 0 gives the numbers of the checks
    judge(check, answer, said, capsys)


def test_each_check_has_many_answers():
    assert enough(TABLE) == set()


def test_the_search_by_cosine_is_accepted(capsys):
    """Which distance of Gram matrices is meant, the task does not say."""
    judge(checks.check_closest_style, closest(gram, cosine), None, capsys)
