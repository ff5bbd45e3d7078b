"""Answers to the tasks on labels: planes, a test of what a network sees, a border, and StarGAN's three losses."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import enough, judge, parameters
from torch import nn

from course_lib.losses import regularizers
from course_lib.networks.stargan import StarGenerator
from course_lib.teaching import assignments, checks

MASTER = Path(__file__).resolve().parents[3] / "notebooks" / "assignments" / "masters" / "12_lost_label.ipynb"


# --- 1. planes
def rows(labels, n):
    return F.one_hot(labels, n).float()


def placed(x, label):
    """Rows of labels (N, n) as planes behind the colors."""
    return torch.cat((x, label[:, :, None, None].expand(-1, -1, *x.shape[2:])), 1)


def planes(x, labels, n):
    return placed(x, rows(labels, n))


def whole_numbers(x, labels, n):
    """The planes are integers; joined with floats, they become floats."""
    return torch.cat((x, F.one_hot(labels, n)[:, :, None, None].repeat(1, 1, *x.shape[2:])), dim=1)


def filled(x, labels, n):
    out = torch.zeros(len(x), 3 + n, *x.shape[2:])
    out[:, :3] = x
    for k, label in enumerate(labels.tolist()):
        out[k, 3 + label] = 1
    return out


def compared(x, labels, n):
    same = (labels[:, None] == torch.arange(n)).to(x.dtype)
    return torch.cat([x, torch.einsum("nd,nhw->ndhw", same, torch.ones_like(x[:, 0]))], 1)


def scattered(x, labels, n):
    label = x.new_zeros(len(x), n, *x.shape[2:])
    return torch.cat([x, label.scatter_(1, labels.view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:]), 1.0)], 1)


def one_by_one(x, labels, n):
    eye = torch.eye(n)
    every = [eye[k].view(n, 1, 1).expand(n, *x.shape[2:]) for k in labels]
    return torch.stack([torch.cat((a, label)) for a, label in zip(x, every, strict=True)])


def at_one_pixel(x, labels, n):
    out = F.pad(x, (0, 0, 0, 0, 0, n))
    out[torch.arange(len(x)), 3 + labels, x.shape[2] // 2, x.shape[3] // 2] = 1
    return out


def spread(x, labels, n):
    label = rows(labels, n).repeat(1, x.shape[2] * x.shape[3]).view(len(x), n, *x.shape[2:])
    return torch.cat((x, label), 1)


def a_gradient_of_brightness(x, labels, n):
    y = planes(x, labels, n)
    y[:, 3:] *= torch.linspace(0.5, 1, x.shape[3])
    return y


CHECK = checks.check_label_planes
PLANES = [
    (CHECK, "one-hot rows", planes, None),
    (CHECK, "whole numbers, repeated", whole_numbers, None),
    (CHECK, "filled in a loop", filled, None),
    (CHECK, "by comparison", compared, None),
    (CHECK, "scattered", scattered, None),
    (CHECK, "one by one", one_by_one, None),
    (CHECK, "float64", lambda x, labels, n: planes(x.double(), labels, n), None),
    (CHECK, "added", lambda x, labels, n: x + labels.view(-1, 1, 1, 1), "the label has no channels of its own"),
    (CHECK, "one plane", lambda x, labels, n: torch.cat((x, labels.view(-1, 1, 1, 1).expand_as(x[:, :1])), 1),
        "that domain 1 lies between 0 and 2"),
    (CHECK, "as many planes as the batch needs", lambda x, labels, n: planes(x, labels, int(labels.max()) + 1),
        "a domain that does not occur"),
    (CHECK, "no colors", lambda x, labels, n: planes(x, labels, n)[:, 3:], "but the colors are not"),
    (CHECK, "channels last", lambda x, labels, n: planes(x, labels, n).movedim(1, -1), "not the last one"),
    (CHECK, "below the picture", lambda x, labels, n: torch.cat(
        (x, rows(labels, n)[:, None, :, None].expand(-1, 3, -1, x.shape[3])), 2), "below the picture"),
    (CHECK, "beside the picture", lambda x, labels, n: torch.cat(
        (x, rows(labels, n)[:, None, None].expand(-1, 3, x.shape[2], -1)), 3), "beside the picture"),
    (CHECK, "the first label for all", lambda x, labels, n: planes(x, labels[:1].expand_as(labels), n),
        "the label of one of them"),
    (CHECK, "the last label for all", lambda x, labels, n: planes(x, labels[-1:].expand_as(labels), n),
        "the label of one of them"),
    (CHECK, "the labels of the batch for all", lambda x, labels, n: placed(
        x, rows(labels, n).amax(0, keepdim=True).expand(len(x), -1)), "the labels of the whole batch"),
    (CHECK, "their mean for all", lambda x, labels, n: placed(
        x, rows(labels, n).mean(0, keepdim=True).expand(len(x), -1)), "the labels of the whole batch"),
    (CHECK, "in another order", lambda x, labels, n: planes(x, labels.flip(0), n), "the label of another one"),
    (CHECK, "counted from 1", lambda x, labels, n: placed(x, rows(labels, n).roll(1, 1)), "counted from 1"),
    (CHECK, "planes first", lambda x, labels, n: planes(x, labels, n).roll(n, 1), "the planes come first"),
    (CHECK, "inverted", lambda x, labels, n: placed(x, 1 - rows(labels, n)), "own domain is 0, and the others are 1"),
    (CHECK, "−1 and 1", lambda x, labels, n: placed(x, 2 * rows(labels, n) - 1), "the planes are −1 and 1"),
    (CHECK, "the number in its plane", lambda x, labels, n: placed(x, rows(labels, n) * labels[:, None]),
        "the number of the domain, not a 1"),
    (CHECK, "the number in all planes", lambda x, labels, n: placed(x, labels[:, None].float().expand(-1, n)),
        "every plane holds the number"),
    (CHECK, "one pixel", at_one_pixel, "at a single pixel"),
    (CHECK, "spread over the pixels", spread, "spread over the pixels"),
    (CHECK, "not constant", a_gradient_of_brightness, "the same value at every pixel"),
    (CHECK, "half of it", lambda x, labels, n: placed(x, rows(labels, n) / 2), "not those of the task"),
    (CHECK, "whole numbers", lambda x, labels, n: planes(x, labels, n).long(), "the result is int64"),
    (CHECK, "other colors", lambda x, labels, n: planes(0.5 + 0.5 * x, labels, n), "on the scale [0, 1]"),
    (CHECK, "darker colors", lambda x, labels, n: planes(0.9 * x, labels, n), "the colors are not as they were"),
    (CHECK, "constants", lambda x, labels, n: planes(x, labels, n).detach(), "no gradient can pass to the pictures"),
    (CHECK, "two arguments", lambda x, labels: planes(x, labels, 5), "could not be called as the task describes"),
    (CHECK, "half precision", lambda x, labels, n: planes(x, labels, n).half(), "float16"),
    (CHECK, "nothing", lambda x, labels, n: None, "does it end in `return`"),
]  # fmt: skip


# --- 2. who sees the label?
def outputs(network, x, n):
    return torch.stack([network(x, torch.full((len(x),), k)) for k in range(n)])


def sees(network, x, n, *, by=lambda y: (y - y[:1]).abs().max(), least=1e-5):
    return bool(by(outputs(network, x, n)) > least)


def pairwise(network, x, n):
    every = outputs(network, x, n)
    for a in range(n):
        for b in range(a):
            if not torch.allclose(every[a], every[b], rtol=0, atol=1e-4):
                return True
    return False


def in_one_batch(network, x, n):
    labels = torch.arange(n).repeat_interleave(len(x))
    y = network(x.repeat(n, 1, 1, 1), labels).unflatten(0, (n, len(x)))
    return (y.amax(0) - y.amin(0)).max() > 1e-5


def with_numpy(network, x, n):
    return np.ptp(outputs(network, x, n).numpy(), axis=0).max() > 1e-5


def exactly(network, x, n):
    first = network(x, torch.zeros(len(x), dtype=torch.int64))
    return any(not torch.equal(network(x, torch.full((len(x),), k)), first) for k in range(1, n))


def close_by_default(network, x, n):
    first, *others = outputs(network, x, n)
    return not all(torch.allclose(other, first) for other in others)


def against_the_picture(network, x, n):
    return bool((outputs(network, x, n) - x).abs().max() > 1e-5)


def different_pictures(network, x, n):
    y = network(x, torch.arange(len(x)) % n)
    return bool((y - y[:1]).abs().max() > 1e-5)


CHECK = checks.check_sees_label
SEES = [
    (CHECK, "the largest change", sees, None),
    (CHECK, "pairs", pairwise, None),
    (CHECK, "one batch, a tensor", in_one_batch, None),
    (CHECK, "NumPy's truth", with_numpy, None),
    (CHECK, "the mean change", partial(sees, by=lambda y: (y - y.mean(0)).abs().mean()), None),
    (CHECK, "the standard deviation", partial(sees, by=lambda y: y.std(0).max()), None),
    (CHECK, "neighbors", partial(sees, by=lambda y: y.diff(dim=0).abs().max()), None),
    (CHECK, "picture by picture", lambda net, x, n: any(sees(net, one[None], n) for one in x), None),
    (CHECK, "exact equality", exactly, "which is rounding"),
    (CHECK, "close, by default", close_by_default, "which is rounding"),
    (CHECK, "a hundredth", partial(sees, least=0.01), "differ by 0.002, a thousand times"),
    (CHECK, "two labels", lambda net, x, n: sees(net, x, 2), "do you try all domains"),
    (CHECK, "all but the last", lambda net, x, n: sees(net, x, max(2, n - 1)), "the output for domain 3 is another"),
    (CHECK, "first and last", partial(sees, by=lambda y: (y[-1] - y[0]).abs().max()), "do you try all domains"),
    (CHECK, "the mean of an output", partial(sees, by=lambda y: y.mean((1, 2, 3, 4)).std()), "the mean stays"),
    (CHECK, "the mean of each color", partial(sees, by=lambda y: y.mean((3, 4)).std(0).max()),
        "the picture is mirrored"),
    (CHECK, "signed differences", partial(sees, by=lambda y: (y - y[:1]).mean((1, 2, 3, 4)).abs().max()),
        "the mean stays"),
    (CHECK, "colors averaged", partial(sees, by=lambda y: y.mean(2).std(0).max()), "red and blue are exchanged"),
    (CHECK, "the first picture", lambda net, x, n: sees(net, x[:1], n), "changes one of the pictures"),
    (CHECK, "the middle", partial(sees, by=lambda y: (y - y[:1])[..., 3:-3, 3:-3].abs().max()),
        "the uppermost row"),
    (CHECK, "against the picture", against_the_picture, "which two outputs do you compare"),
    (CHECK, "different pictures", different_pictures, "which two outputs do you compare"),
    (CHECK, "the other way round", lambda *given: not sees(*given), "you say False, but each domain"),
    (CHECK, "always", lambda net, x, n: bool(outputs(net, x, n).any()), "never looks at the label"),
    (CHECK, "never", lambda net, x, n: outputs(net, x, n) is None, "each domain makes the picture brighter"),
    (CHECK, "not called", lambda net, x, n: True, "the network was not called"),
    (CHECK, "one label too many", lambda net, x, n: sees(net, x, n + 1), "was asked for domain 3"),
    (CHECK, "one label for the batch", lambda net, x, n: bool(net(x, torch.tensor([1])).any()),
        "one label for each of 3 pictures"),
    (CHECK, "rows", lambda net, x, n: bool(net(x, torch.eye(n)[:1].expand(len(x), -1)).any()), "got shape (3, 3)"),
    (CHECK, "floats", lambda net, x, n: bool(net(x, torch.ones(len(x))).any()), "whole numbers of domains"),
    (CHECK, "the change itself", lambda net, x, n: (outputs(net, x, n).std(0)).max(), "must return True or False"),
    (CHECK, "nothing", lambda net, x, n: None, "does it end in `return`"),
]  # fmt: skip


# --- 3. what a plane adds
def sums(w, padding):
    half = 0 if padding == "reflect" else w.shape[-1] // 2
    return torch.stack([w.sum((1, 2)), w[:, half:].sum((1, 2)), w[:, half:, half:].sum((1, 2))], 1)


def convolved(w, padding, *, ones=None):
    """With a picture that is large enough."""
    half = w.shape[-1] // 2
    ones = torch.ones(1, 1, 4 * half + 5, 4 * half + 5) if ones is None else ones
    padded = F.pad(ones, (half,) * 4, mode="constant" if padding == "zeros" else padding)
    y = F.conv2d(padded, w[:, None])[0]
    return torch.stack([y[:, 2 * half + 2, 2 * half + 2], y[:, 0, 2 * half + 2], y[:, 0, 0]], 1)


def by_subtraction(w, padding):
    p = w.shape[-1] // 2
    all_of = w.sum((1, 2))
    if padding != "zeros":
        return all_of.unsqueeze(1).expand(-1, 3)
    above, left, both = w[:, :p].sum((1, 2)), w[:, :, :p].sum((1, 2)), w[:, :p, :p].sum((1, 2))
    return torch.stack((all_of, all_of - above, all_of - above - left + both), 1)


def by_layer(w, padding):
    layer = nn.Conv2d(1, len(w), w.shape[-1], padding=w.shape[-1] // 2, padding_mode=padding, bias=False)
    layer.weight = nn.Parameter(w[:, None])
    y = layer(torch.ones(1, 1, 20, 20))[0]
    return torch.stack((y[:, 10, 10], y[:, 0, 10], y[:, 0, 0]), 1)


def in_loops(w, padding):
    p, found = w.shape[-1] // 2, []
    for kernel in w.tolist():
        each = []
        for top, left in ((0, 0), (p, 0), (p, p)):
            top, left = (top, left) if padding == "zeros" else (0, 0)
            each.append(sum(sum(line[left:]) for line in kernel[top:]))
        found.append(each)
    return torch.tensor(found)


def cut(edge, corner):
    """Other parts of the kernel, with zeros."""

    def answer(w, padding):
        if padding == "reflect":
            return sums(w, padding)
        p = w.shape[-1] // 2
        return torch.stack([w.sum((1, 2)), edge(w, p).sum((1, 2)), corner(w, p).sum((1, 2))], 1)

    return answer


CHECK = checks.check_plane_border
BORDERS = [
    (CHECK, "sums", sums, None),
    (CHECK, "a convolution", convolved, None),
    (CHECK, "what is missing", by_subtraction, None),
    (CHECK, "a layer", by_layer, None),
    (CHECK, "loops", in_loops, None),
    (CHECK, "float64", lambda w, p: sums(w.double(), p), None),
    (CHECK, "always as with reflection", lambda w, p: sums(w, "reflect"), "lies outside adds nothing"),
    (CHECK, "always as with zeros", lambda w, p: sums(w, "zeros"), "there are no zeros outside"),
    (CHECK, "exchanged", lambda w, p: sums(w, "zeros" if p == "reflect" else "reflect"), "lies outside adds nothing"),
    (CHECK, "nothing with reflection", lambda w, p: sums(w, p) * (p == "zeros"), "a plane of ones adds something"),
    (CHECK, "turned around", lambda w, p: sums(w.flip((1, 2)), p), "cut on the wrong side"),
    (CHECK, "the edge turned around", cut(lambda w, p: w[:, : p + 1], lambda w, p: w[:, p:, p:]),
        "cut on the wrong side"),
    (CHECK, "the left edge", lambda w, p: sums(w.mT, p), "this is the left edge"),
    (CHECK, "a corner like an edge", cut(lambda w, p: w[:, p:], lambda w, p: w[:, p:]), "rows and columns lie outside"),
    (CHECK, "one row", cut(lambda w, p: w[:, 1:], lambda w, p: w[:, 1:, 1:]), "only one row is outside"),
    (CHECK, "the border itself", cut(lambda w, p: w[:, p + 1 :], lambda w, p: w[:, p + 1 :, p + 1 :]),
        "in the middle of the kernel"),
    (CHECK, "what is lost", cut(lambda w, p: w[:, :p], lambda w, p: w[:, :p, :p]), "the weights that lie outside"),
    (CHECK, "taken away twice", lambda w, p: by_subtraction(w, p) - F.pad(
        w[:, : len(w[0]) // 2, : len(w[0]) // 2].sum((1, 2))[:, None], (2, 0)) * (p == "zeros"), "taken away twice"),
    (CHECK, "means", lambda w, p: sums(w, p) / w[0].numel(), "divided by the number of weights"),
    (CHECK, "means of what is inside", cut(lambda w, p: w[:, p:] / (w.shape[2] * (p + 1)) , lambda w, p: w[:, p:, p:]
        / (p + 1) ** 2), "what is added is wrong at the edge"),
    (CHECK, "all output channels", lambda w, p: sums(w, p).sum(0, keepdim=True).expand(len(w), -1),
        "the output channels are added"),
    (CHECK, "in another order", lambda w, p: sums(w, p).flip(1), "in the wrong order"),
    (CHECK, "twice", lambda w, p: 2 * sums(w, p), "what is added is wrong inside"),
    (CHECK, "one channel", lambda w, p: sums(w, p)[0], "the shape must be (out, 3)"),
    (CHECK, "a list", lambda w, p: sums(w, p).tolist(), "must return a tensor, got list"),
    (CHECK, "nothing", lambda w, p: None, "does it end in `return`"),
]  # fmt: skip


# --- 4. two classification losses
def two(D, G, real, labels, goal):
    return F.cross_entropy(D(real)[1], labels), F.cross_entropy(D(G(real, goal))[1], goal)


def written_out(D, G, real, labels, goal):
    mine, theirs = -D(real)[1].log_softmax(1), -D(G(real, goal))[1].log_softmax(1)
    return mine[torch.arange(3), labels].mean(), theirs.gather(1, goal[:, None]).mean()


def with_one_hot(D, G, real, labels, goal):
    pairs = ((D(real)[1], labels), (D(G(real, goal))[1], goal))
    return [F.cross_entropy(logits, F.one_hot(target, logits.shape[1]).float()) for logits, target in pairs]


class Losses(nn.Module):
    def __init__(self):
        super().__init__()
        self.loss = nn.CrossEntropyLoss()

    def forward(self, D, G, real, labels, goal):
        _, on_real = D(real)
        _, on_fake = D(G(real, goal))
        return self.loss(on_real, labels), self.loss(on_fake, goal)


def by_negative_likelihood(D, G, real, labels, goal):
    return tuple(F.nll_loss(F.log_softmax(D(x)[1], 1), k) for x, k in ((real, labels), (G(real, goal), goal)))


def frozen_meanwhile(D, G, real, labels, goal, thaw=True):
    for p in D.parameters():
        p.requires_grad_(False)
    for_G = two(D, G, real, labels, goal)[1]
    for p in D.parameters():
        p.requires_grad_(thaw)
    return F.cross_entropy(D(real)[1], labels), for_G


def by(loss, *, of="both"):
    """Another loss in the place of the cross-entropy."""

    def answer(D, G, real, labels, goal):
        right = two(D, G, real, labels, goal)
        wrong = loss(D(real)[1], labels), loss(D(G(real, goal))[1], goal)
        return (wrong[0], right[1]) if of == "D" else (right[0], wrong[1]) if of == "G" else wrong

    return answer


def first(make):
    return lambda *x: (make(*x), two(*x)[1])


def second(make):
    return lambda *x: (two(*x)[0], make(*x))


def ce(logits, target):
    return F.cross_entropy(logits, target)


def blind(D, G, real, labels, goal):
    with torch.no_grad():
        fake = G(real, goal)
    return ce(D(real)[1], labels), ce(D(fake)[1], goal)


CHECK = checks.check_domain_losses
CLASSES = [
    (CHECK, "as in the paper", two, None),
    (CHECK, "written out", written_out, None),
    (CHECK, "a list, one-hot", with_one_hot, None),
    (CHECK, "a module", Losses(), None),
    (CHECK, "a negative likelihood", by_negative_likelihood, None),
    (CHECK, "D frozen meanwhile", frozen_meanwhile, None),
    (CHECK, "stacked", lambda *x: torch.stack(two(*x)), None),
    (CHECK, "float64", lambda D, G, real, *x: two(D, G, real.double(), *x), None),
    (CHECK, "fakes detached in D's loss only", first(lambda D, G, real, c, g: ce(D(real)[1], c) + 0 *
        D(G(real, g).detach())[1].sum()), None),
    (CHECK, "D learns from fakes, too", first(lambda D, G, real, c, g: ce(D(real)[1], c) + ce(D(G(real, g))[1], g)),
        "in D's loss, D's classifier learns from fakes, too"),
    (CHECK, "from both, on average", first(lambda D, G, real, c, g: (ce(D(real)[1], c)
        + ce(D(G(real, g).detach())[1], g)) / 2), "learns from fakes, too"),
    (CHECK, "D learns from one batch of both", first(lambda D, G, real, c, g: ce(
        D(torch.cat((real, G(real, g).detach())))[1], torch.cat((c, g)))), "learns from fakes, too"),
    (CHECK, "D learns from fakes of their own domain", first(lambda D, G, real, c, g: ce(D(real)[1], c)
        + ce(D(G(real, g))[1], c)), "learns from fakes, too"),
    (CHECK, "D learns from fakes", first(lambda D, G, real, c, g: ce(D(G(real, g).detach())[1], g)),
        "in D's loss, D's classifier learns from fakes only"),
    (CHECK, "exchanged", lambda *x: two(*x)[::-1], "in the wrong order: first that of D"),
    (CHECK, "real pictures of the goal", first(lambda D, G, real, c, g: ce(D(real)[1], g)),
        "in D's loss, real pictures are of the domain"),
    (CHECK, "fakes of their own domain", second(lambda D, G, real, c, g: ce(D(G(real, g))[1], c)),
        "in G's loss, G is asked for pictures of the domain that they come from"),
    (CHECK, "G gets the own label", second(lambda D, G, real, c, g: ce(D(G(real, c))[1], g)),
        "G is given the label that the picture has already"),
    (CHECK, "G stays at home", second(lambda D, G, real, c, g: ce(D(G(real, c))[1], c)), "nothing is translated"),
    (CHECK, "G without fakes", second(lambda D, G, real, c, g: ce(D(real)[1], g)), "in G's loss, no fake is in it"),
    (CHECK, "G after the way back", second(lambda D, G, real, c, g: ce(D(G(G(real, g), c))[1], g)), "that came back"),
    (CHECK, "a softmax before", by(lambda y, k: F.cross_entropy(y.softmax(1), k)), "a softmax is taken twice"),
    (CHECK, "a softmax before, for G", by(lambda y, k: F.cross_entropy(y.softmax(1), k), of="G"),
        "in G's loss, a softmax is taken twice"),
    (CHECK, "no logarithm", by(lambda y, k: F.nll_loss(y.softmax(1), k)), "there is no logarithm"),
    (CHECK, "logits as logarithms", by(F.nll_loss), "there is no logarithm"),
    (CHECK, "binary", by(lambda y, k: F.binary_cross_entropy_with_logits(y, F.one_hot(k, 4).float())), "yes or no"),
    (CHECK, "squares", by(lambda y, k: F.mse_loss(y.softmax(1), F.one_hot(k, 4).float())), "are squared"),
    (CHECK, "summed", by(partial(F.cross_entropy, reduction="sum")), "are added up"),
    (CHECK, "the sign", by(lambda y, k: -F.cross_entropy(y, k)), "the sign is wrong"),
    (CHECK, "weighted", by(lambda y, k: 10 * F.cross_entropy(y, k)), "in D's loss, the value is 10 times"),
    (CHECK, "the share of right ones", by(lambda y, k: (y.argmax(1) == k).float().mean()), "it has no gradient"),
    (CHECK, "the fake is cut off", lambda D, G, real, c, g: (ce(D(real)[1], c), ce(D(G(real, g).detach())[1], g)),
        "the way back from the logits ends at the fakes"),
    (CHECK, "fakes without a graph", blind, "the way back from the logits ends at the fakes"),
    (CHECK, "constants", lambda *x: tuple(loss.detach() for loss in two(*x)), "no gradient reaches the network"),
    (CHECK, "D stays frozen", partial(frozen_meanwhile, thaw=False), "no gradient reaches the network from D's"),
    (CHECK, "the patches, too", lambda D, G, real, c, g: (ce(D(real), c), ce(D(G(real, g)), g)), "could not be called"),
    (CHECK, "one number", lambda *x: sum(two(*x)), "one number; do not add them"),
    (CHECK, "nothing", lambda *x: None, "does it end in `return`"),
]  # fmt: skip


# --- 5. there and back
def l1(x, y):
    return (x - y).abs().mean()


def trip(G, real, c, g, *, by=l1):
    return by(G(G(real, g), c), real)


def wide(G, real, c, g):
    fake = G(real, g)
    return torch.stack([l1(G(fake[k : k + 1], c[k : k + 1]), real[k : k + 1]) for k in range(len(c))]).mean()


def first_without_graph(G, real, c, g):
    with torch.no_grad():
        fake = G(real, g)
    return l1(G(fake, c), real)


def second_without_graph(G, real, c, g):
    """The weights of the way back do not learn."""
    fake = G(real, g)
    for p in G.parameters():
        p.requires_grad_(False)
    value = l1(G(fake, c), real)
    for p in G.parameters():
        p.requires_grad_(True)
    return value


CHECK = checks.check_round_trip
TRIPS = [
    (CHECK, "as in the paper", trip, None),
    (CHECK, "PyTorch's", partial(trip, by=F.l1_loss), None),
    (CHECK, "a module", lambda *x: trip(*x, by=nn.L1Loss()), None),
    (CHECK, "a norm", partial(trip, by=lambda x, y: (x - y).norm(1) / x.numel()), None),
    (CHECK, "one by one", wide, None),
    (CHECK, "float64", lambda G, real, c, g: trip(G, real.double(), c, g), None),
    (CHECK, "of shape (1,)", lambda *x: trip(*x).view(1), None),
    (CHECK, "the target again", lambda G, real, c, g: l1(G(G(real, g), g), real), "has the target label again"),
    (CHECK, "never away", lambda G, real, c, g: l1(G(G(real, c), c), real), "it was never away"),
    (CHECK, "exchanged", lambda G, real, c, g: l1(G(G(real, c), g), real), "the two labels are exchanged"),
    (CHECK, "no way back", lambda G, real, c, g: l1(G(real, g), real), "where is the way back"),
    (CHECK, "one pass", lambda G, real, c, g: l1(G(real, c), real), "there is one pass"),
    (CHECK, "with the fake", lambda G, real, c, g: l1(G(G(real, g), c), G(real, g)), "is compared with the fake"),
    (CHECK, "others' labels", lambda G, real, c, g: l1(G(G(real, g), c.flip(0)), real), "other pictures of the batch"),
    (CHECK, "squared", partial(trip, by=F.mse_loss), "the differences are squared"),
    (CHECK, "the root", partial(trip, by=lambda x, y: (x - y).norm()), "the differences are squared"),
    (CHECK, "summed", partial(trip, by=partial(F.l1_loss, reduction="sum")), "are added up"),
    (CHECK, "summed for each picture", partial(trip, by=lambda x, y: (x - y).abs().sum((1, 2, 3)).mean()),
        "are added up"),
    (CHECK, "signs", partial(trip, by=lambda x, y: (x - y).mean()), "differences cancel"),
    (CHECK, "weighted", lambda *x: 10 * trip(*x), "the value is 10 times"),
    (CHECK, "on another scale", lambda *x: 2 * trip(*x), "the value is 2 times"),
    (CHECK, "the fake is cut off", lambda G, real, c, g: l1(G(G(real, g).detach(), c), real), "ends at the fakes"),
    (CHECK, "the first pass without a graph", first_without_graph, "ends at the fakes"),
    (CHECK, "the way back does not learn", second_without_graph, "the gradient of it is not"),
    (CHECK, "a constant", lambda *x: trip(*x).detach(), "no gradient reaches the network"),
    (CHECK, "not called", lambda G, real, c, g: real.mean(), "G was not called"),
    (CHECK, "of each picture", lambda *x: trip(*x, by=lambda a, b: (a - b).abs().mean((1, 2, 3))), "a single number"),
    (CHECK, "nothing", lambda *x: None, "does it end in `return`"),
]  # fmt: skip


# --- 6. the penalty
def slope(D, points, *, of=lambda y: y[0].sum(), graph=True):
    return torch.autograd.grad(of(D(points)), points, create_graph=graph)[0]


def shares(real):
    return torch.rand(len(real), 1, 1, 1)


def ordinary(lengths):
    return (lengths - 1).square().mean()


def penalized(D, real, fake, *, share=shares, measure=lambda g: ordinary(g.flatten(1).norm(dim=1)), **how):
    t = share(real)
    return measure(slope(D, (t * real + (1 - t) * fake).detach().requires_grad_(), **how))


def the_librarys(D, real, fake):
    points = regularizers.between(real, fake)
    return regularizers.gradient_penalty(D(points)[0], points)


def with_grad_outputs(D, real, fake):
    eps = torch.rand(real.size(0), 1, 1, 1).expand_as(real)
    mixed = torch.lerp(real, fake, eps)
    mixed.requires_grad_(True)
    out = D(mixed)[0]
    (g,) = torch.autograd.grad(out, mixed, torch.ones_like(out), retain_graph=True, create_graph=True)
    return torch.mean((torch.sqrt(torch.sum(g.view(g.size(0), -1) ** 2, dim=1) + 1e-12) - 1) ** 2)


def one_at_a_time(D, real, fake):
    return torch.stack([penalized(D, a[None], b[None]) for a, b in zip(real, fake, strict=True)]).mean()


def with_numpys_numbers(D, real, fake):
    drawn = torch.tensor(np.random.default_rng(3).random(len(real)), dtype=torch.float32)
    return penalized(D, real, fake, share=lambda x: drawn.view(-1, 1, 1, 1))


def by_functional_call(D, real, fake):
    """A slope by vector-Jacobian product."""
    t = shares(real)
    points = t * real + (1 - t) * fake
    value, back = torch.func.vjp(lambda x: D(x)[0], points)
    (g,) = back(torch.ones_like(value))
    return ordinary(torch.linalg.vector_norm(g, dim=(1, 2, 3)))


def by_backward(D, real, fake):
    t = shares(real)
    points = (t * real + (1 - t) * fake).requires_grad_()
    D(points)[0].sum().backward()
    return ordinary(points.grad.flatten(1).norm(dim=1))


def lengths(change):
    """Something else is done with the lengths of the pictures."""
    return partial(penalized, measure=lambda g: change(g.flatten(1).norm(dim=1)))


def other_pairs(D, real, fake):
    return penalized(D, real, fake.roll(1, 0))


CHECK = checks.check_gradient_penalty
PENALTIES = [
    (CHECK, "as in the paper", penalized, None),
    (CHECK, "the library's", the_librarys, None),
    (CHECK, "as in public code", with_grad_outputs, None),
    (CHECK, "one at a time", one_at_a_time, None),
    (CHECK, "NumPy's numbers", with_numpys_numbers, None),
    (CHECK, "a product with the Jacobian", by_functional_call, None),
    (CHECK, "float64", lambda D, real, fake: penalized(D, real.double(), fake.double()), None),
    (CHECK, "of shape (1,)", lambda *x: penalized(*x).view(1), None),
    (CHECK, "each value", partial(penalized, measure=ordinary), "each value of the gradient is compared with 1"),
    (CHECK, "each pixel", partial(penalized, measure=lambda g: ordinary(g.norm(dim=1))), "each pixel's gradient"),
    (CHECK, "each color", partial(penalized, measure=lambda g: ordinary(g.flatten(2).norm(dim=2))), "of each color's"),
    (CHECK, "each row", partial(penalized, measure=lambda g: ordinary(g.norm(dim=3))), "those of rows or columns"),
    (CHECK, "the batch", partial(penalized, measure=lambda g: (g.norm() - 1).square()), "the whole batch has one"),
    (CHECK, "over the batch", partial(penalized, measure=lambda g: ordinary(g.norm(dim=0))), "the whole batch has one"),
    (CHECK, "averaged first", lengths(lambda n: (n.mean() - 1).square()), "the lengths are averaged first"),
    (CHECK, "not squared", lengths(lambda n: (n - 1).abs().mean()), "yours is not that distance"),
    (CHECK, "signed", lengths(lambda n: (n - 1).mean()), "yours is not that distance"),
    (CHECK, "the square of the length", lengths(lambda n: ordinary(n.square())), "yours is not that distance"),
    (CHECK, "toward 0", lengths(lambda n: n.square().mean()), "draws the slope to 0"),
    (CHECK, "one-sided", lengths(lambda n: (n - 1).relu().square().mean()), "slopes below 1 cost nothing"),
    (CHECK, "summed", lengths(lambda n: (n - 1).square().sum()), "are added up"),
    (CHECK, "weighted", lengths(lambda n: 10 * ordinary(n)), "the value is 10 times"),
    (CHECK, "the sum of absolute values", partial(penalized, measure=lambda g: ordinary(g.abs().flatten(1).sum(1))),
        "not the length of a vector"),
    (CHECK, "the root of the mean", partial(penalized, measure=lambda g: ordinary(
        g.square().flatten(1).mean(1).sqrt())), "not the length of a vector"),
    (CHECK, "the mean over patches", partial(penalized, of=lambda y: y[0].mean((1, 2, 3)).sum()),
        "the slope of a mean"),
    (CHECK, "the mean of all", partial(penalized, of=lambda y: y[0].mean()), "the slope of a mean"),
    (CHECK, "the classification", partial(penalized, of=lambda y: y[1].sum()), "the slope of the classification"),
    (CHECK, "both results", partial(penalized, of=lambda y: y[0].sum() + y[1].sum()), "both of D's results"),
    (CHECK, "at real pictures", partial(penalized, share=lambda x: torch.ones(len(x), 1, 1, 1)), "the real pictures"),
    (CHECK, "at fakes", partial(penalized, share=lambda x: torch.zeros(len(x), 1, 1, 1)), "the fakes themselves"),
    (CHECK, "in the middle", partial(penalized, share=lambda x: torch.full((len(x), 1, 1, 1), 0.5)), "the middle"),
    (CHECK, "one share", partial(penalized, share=lambda x: torch.rand(())), "all pictures of a batch have the same"),
    (CHECK, "a share of each pixel", partial(penalized, share=torch.rand_like), "each value has its own share"),
    (CHECK, "a share of each color", partial(penalized, share=lambda x: torch.rand(len(x), 3, 1, 1)),
        "each value has its own share"),
    (CHECK, "normal shares", partial(penalized, share=lambda x: torch.randn(len(x), 1, 1, 1)), "beyond the real"),
    (CHECK, "near the middle", partial(penalized, share=lambda x: 0.4 + 0.2 * torch.rand(len(x), 1, 1, 1)),
        "every share from 0 to 1"),
    (CHECK, "near the fakes", partial(penalized, share=lambda x: 0.3 * torch.rand(len(x), 1, 1, 1)),
        "every share from 0 to 1"),
    (CHECK, "other pairs", other_pairs, "its own fake"),
    (CHECK, "noise", lambda D, real, fake: penalized(D, torch.randn_like(real), fake), "do not lie on straight lines"),
    (CHECK, "both", lambda D, real, fake: penalized(D, real, fake) + 0 * D(real)[0].sum(), "D gets 12 pictures"),
    (CHECK, "no second derivative", partial(penalized, graph=False), "the slope was computed as a plain number"),
    (CHECK, "backward", by_backward, "the slope was computed as a plain number"),
    (CHECK, "a constant", lambda *x: penalized(*x).detach(), "the slope was computed as a plain number"),
    (CHECK, "not called", lambda D, real, fake: (real - fake).square().mean(), "D was not called"),
    (CHECK, "the points are numbers only", lambda D, real, fake: slope(D, real).mean(), "the function stopped with"),
    (CHECK, "nothing", lambda *x: None, "does it end in `return`|D was not called"),
]  # fmt: skip

TABLE = [*PLANES, *SEES, *BORDERS, *CLASSES, *TRIPS, *PENALTIES]


@pytest.mark.parametrize(("check", "name", "answer", "said"), parameters(TABLE))
def test_an_answer_gets_its_verdict(check, name, answer, said, capsys):
    judge(check, answer, said, capsys)


def test_each_check_has_many_answers():
    assert enough(TABLE) == set()


@pytest.mark.parametrize("check", sorted({row[0] for row in TABLE}, key=lambda check: check.__name__))
def test_an_empty_answer_is_told_so(check):
    def empty(*_):
        raise NotImplementedError

    with pytest.raises(checks.CheckFailed, match="still empty"):
        check(empty)


@pytest.mark.parametrize("seed", range(5))
def test_a_right_penalty_passes_whatever_it_draws(seed):
    rng = np.random.default_rng(seed)

    def drawn(x):
        return torch.tensor(rng.random(len(x)), dtype=torch.float32).view(-1, 1, 1, 1)

    checks.check_gradient_penalty(partial(penalized, share=drawn))


def test_the_check_of_a_penalty_leaves_the_random_state_as_it_was():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    checks.check_gradient_penalty(penalized)
    assert torch.equal(torch.rand(3), expected)


# --- the assignment's own tests
def hidden_test(grade_id, **answers):
    """Run a test of the assignment, with its hidden part, on these answers."""
    (cell,) = (one for one in assignments.read(MASTER)["cells"] if assignments.marks(one).get("grade_id") == grade_id)
    assert "HIDDEN" in assignments.source(cell)
    given = {"checks": checks, "torch": torch, "nn": nn, "F": F, "StarGenerator": StarGenerator}
    exec(assignments.source(cell), {**given, **answers})


TESTS = [
    ("test_with_label", "with_label", PLANES),
    ("test_sees_label", "sees_label", SEES),
    ("test_added_by_plane", "added_by_plane", BORDERS),
    ("test_domain_losses", "domain_losses", CLASSES),
    ("test_reconstruction_loss", "reconstruction_loss", TRIPS),
    ("test_gradient_penalty", "gradient_penalty", PENALTIES),
]
RIGHT = [(test, name, row[1], row[2]) for test, name, table in TESTS for row in table if row[3] is None]


@pytest.mark.parametrize(
    ("test", "name", "answer"), [pytest.param(t, n, answer, id=f"{t}: {said}") for t, n, said, answer in RIGHT]
)
def test_right_answers_pass_the_hidden_tests_too(test, name, answer):
    hidden_test(test, **{name: answer})


def test_hidden_tests_find_what_the_checks_leave_open():
    """Functions that are right for the sizes of the check only."""
    with pytest.raises(AssertionError, match="eight pictures of eight domains"):
        hidden_test("test_with_label", with_label=lambda x, c, n: planes(x, c.clamp(max=5), n))
    with pytest.raises(AssertionError, match="five domains with zeros"):
        hidden_test("test_sees_label", sees_label=lambda net, x, n: x.shape[-1] < 20 and sees(net, x, n))
    with pytest.raises(AssertionError, match="the weights 1 to 9"):
        hidden_test("test_added_by_plane", added_by_plane=lambda w, p: sums(w.clamp(max=1), p))
    with pytest.raises(AssertionError, match="the color of its label"):
        hidden_test("test_domain_losses", domain_losses=lambda D, G, x, c, g: [
            loss if k == 0 or c[1] == 3 else 2 * loss for k, loss in enumerate(two(D, G, x, c, g))
        ])  # fmt: skip
    with pytest.raises(AssertionError, match="steps of 0.1 and 0.3"):
        hidden_test("test_reconstruction_loss", reconstruction_loss=lambda G, x, c, g: trip(G, x, c if len(x) == 3 else
                    g, g))  # fmt: skip
    with pytest.raises(AssertionError, match="three times the sum of four"):
        hidden_test("test_gradient_penalty", gradient_penalty=lambda D, x, y: penalized(D, x, y) * (4 - x.shape[1]))


# --- usual mistakes, as a student writes them, through the grader
MISTAKES = {
    "one label for all": ("with_label", "rows[:, :, None, None].expand(-1, -1, ", "rows[:1, :, None, None].expand(len("
                          "images), -1, ", "the label of one of them"),
    "planes along the height": ("with_label", "torch.cat((images, planes), 1)", "torch.cat((images, rows[:, None, :, "
                                "None].expand(-1, 3, -1, images.shape[3])), 2)", "below the picture"),
    "integers": ("with_label", "torch.cat((images, planes), 1)", "torch.cat((images, planes), 1).int()", "is int32"),
    "added": ("with_label", "torch.cat((images, planes), 1)", "images + labels.view(-1, 1, 1, 1)", "no channels of"),
    "no rounding": ("sees_label", "> 1e-4", "> 0", "which is rounding"),
    "two labels": ("sees_label", "torch.arange(num_domains)", "torch.arange(2)", "do you try all domains"),
    "the mean": ("sees_label", "(every - every[0]).abs().max()", "(every - every[0]).mean().abs()", "the mean stays"),
    "always reflected": ("added_by_plane", '// 2 if padding == "zeros" else 0', "* 0", "lies outside adds nothing"),
    "always zeros": ("added_by_plane", ' if padding == "zeros" else 0', "", "there are no zeros outside"),
    "the wrong side": ("added_by_plane", "weight[:, cut:], weight[:, cut:, cut:]", "weight[:, : len(weight[0]) - cut], "
                       "weight[:, : len(weight[0]) - cut, : len(weight[0]) - cut]", "on the wrong side"),
    "D learns from fakes": ("domain_losses", "F.cross_entropy(D(real)[1], labels)", "(F.cross_entropy(D(real)[1], "
                            "labels) + F.cross_entropy(D(G(real, goal))[1], goal)) / 2", "learns from fakes, too"),
    "the domain that it comes from": ("domain_losses", "F.cross_entropy(D(G(real, goal))[1], goal)",
                                      "F.cross_entropy(D(G(real, goal))[1], labels)", "domain that they come from"),
    "back to the target": ("reconstruction_loss", "G(fake, labels)", "G(fake, goal)", "has the target label again"),
    "cut off": ("reconstruction_loss", "G(fake, labels)", "G(fake.detach(), labels)", "ends at the fakes"),
    "each pixel": ("gradient_penalty", "slope.flatten(1).norm(dim=1)", "slope.norm(dim=1)", "each pixel's gradient"),
    "the batch": ("gradient_penalty", "slope.flatten(1).norm(dim=1)", "slope.norm()", "the whole batch has one length"),
    "a number": ("gradient_penalty", "create_graph=True", "create_graph=False", "computed as a plain number"),
    "not from 1": ("gradient_penalty", ".norm(dim=1) - 1)", ".norm(dim=1))", "draws the slope to 0"),
    "one share": ("gradient_penalty", "torch.rand(len(real), 1, 1, 1)", "torch.rand(1)", "have the same share"),
}  # fmt: skip


def with_mistake(submission, task, right, wrong):
    (cell,) = (one for one in submission["cells"] if one["id"] == task)
    assert right in assignments.source(cell)
    cell["source"] = assignments.source(cell).replace(right, wrong)


@pytest.mark.parametrize(("task", "right", "wrong", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_usual_mistake_costs_the_points_of_its_task(task, right, wrong, said):
    """The cells that the grader runs, in its order, in this process."""
    master, submission = assignments.read(MASTER), assignments.read(MASTER)
    with_mistake(submission, task, right, wrong)
    names, failed = {"__name__": "__main__"}, {}
    for kind, name, code in assignments.for_grading(master, submission):
        if name in ("bootstrap", "pictures", "measured_labels") or "figures.sheet" in code:
            continue  # no test needs the pictures
        try:
            exec(compile(code, f"<{name}>", "exec"), names)
        except AssertionError as error:
            assert kind == "test"
            failed[name] = str(error)
    assert list(failed) == [f"test_{task}"]
    assert said in failed[f"test_{task}"]


def test_the_grader_takes_the_points_and_says_why(tmp_path):
    """The command itself, on a submission with a mistake in each of four tasks."""
    from course_lib.__main__ import main

    submission = assignments.read(MASTER)
    chosen = ("one label for all", "no rounding", "back to the target", "each pixel")
    for name in chosen:
        with_mistake(submission, *MISTAKES[name][:3])
    folder = tmp_path / "handed_in" / "ada"
    folder.mkdir(parents=True)
    (folder / MASTER.name).write_bytes(assignments.write(submission))
    masters = tmp_path / "masters"
    masters.mkdir()
    (masters / MASTER.name).write_bytes(MASTER.read_bytes())
    assert main(["grade", str(folder.parent), "--masters", str(masters), "-o", str(tmp_path / "out.csv")]) == 0
    (feedback,) = (tmp_path / "out_feedback").rglob("*.txt")
    text = feedback.read_text(encoding="utf-8")
    assert "3 of 10 points" in text
    for name in chosen:
        assert MISTAKES[name][3] in text
