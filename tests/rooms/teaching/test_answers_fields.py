"""Answers to the tasks on receptive fields and on the use of a pretrained network."""

import copy
from functools import partial, reduce

import numpy as np
import pytest
import torch
from answers import enough, judge, parameters
from torch import nn

from course_lib.networks import layers
from course_lib.teaching import checks


def backward(chain):
    side = 1
    for kernel, stride in reversed(chain):
        side = (side - 1) * stride + kernel
    return side


def forward(chain):
    side, jump = 1, 1
    for kernel, stride in chain:
        side, jump = side + (kernel - 1) * jump, jump * stride
    return side


def recursive(chain):
    return 1 if not chain else (recursive(chain[1:]) - 1) * chain[0][1] + chain[0][0]


def taken_apart(chain):
    side = 1
    while chain:
        kernel, stride = chain.pop()
        side = side * stride - stride + kernel
    return side


def strides(chain, upto):
    return int(np.prod([stride for _, stride in chain[:upto]] or [1]))


CHECK = checks.check_receptive_field
FORMULA = [
    (CHECK, "from the last layer", backward, None),
    (CHECK, "from the first layer", forward, None),
    (CHECK, "recursive", recursive, None),
    (CHECK, "takes the list apart", taken_apart, None),
    (CHECK, "reduce", lambda c: reduce(lambda r, one: (r - 1) * one[1] + one[0], reversed(c), 1), None),
    (CHECK, "NumPy", lambda c: np.int64(1) + sum((k - 1) * strides(c, n) for n, (k, _) in enumerate(c)), None),
    (CHECK, "a tensor", lambda c: torch.tensor(backward(c)), None),
    (CHECK, "by measuring", lambda c: layers.receptive_field(nn.Sequential(*(nn.Conv2d(1, 1, *one) for one in c)))[0],
        None),
    (CHECK, "sum of kernels", lambda c: sum(k for k, _ in c), "pixel itself"),
    (CHECK, "product of kernels", lambda c: int(np.prod([k for k, _ in c])), "a second 3×3 layer"),
    (CHECK, "no strides", lambda c: 1 + sum(k - 1 for k, _ in c), "two pixels apart"),
    (CHECK, "own strides", lambda c: 1 + sum((k - 1) * s for k, s in c), "two pixels apart|last layer's own stride"),
    (CHECK, "the wrong way round", lambda c: backward(c[::-1]), "after a stride|own stride"),
    (CHECK, "only the last stride", lambda c: 1 + sum((k - 1) * strides(c[max(0, n - 1) :], n and 1)
        for n, (k, _) in enumerate(c)), "every stride before a layer"),
    (CHECK, "strides of 2 only", lambda c: 1 + sum((k - 1) * 2 ** sum(s > 1 for _, s in c[:n])
        for n, (k, _) in enumerate(c)), "other than 2"),
    (CHECK, "1×1 kernels left out", lambda c: backward([one for one in c if one[0] > 1]), "whatever the kernel"),
    (CHECK, "one too many", lambda c: backward(c) + 1, "pixel itself"),
    (CHECK, "half", lambda c: backward(c) // 2, "pixel itself"),
    (CHECK, "area", lambda c: backward(c) ** 2, "one layer sees its kernel"),
    (CHECK, "always 70", lambda c: 70, "pixel itself"),
    (CHECK, "float", lambda c: float(backward(c)), "whole number, got float"),
    (CHECK, "a pair", lambda c: (backward(c), 1), "whole number, got tuple"),
    (CHECK, "nothing", lambda c: print(backward(c)), "whole number, got NoneType; does it end in `return`"),
    (CHECK, "no argument", lambda: 1, "could not be called"),
]  # fmt: skip


def extent(values):
    places = values.nonzero()
    return int(places.max() - places.min()) + 1


def gradient(network, size, pick=None, picture=None):
    x = (torch.rand(1, 1, size, size) if picture is None else picture).requires_grad_(True)
    out = network(x)
    chosen = out[0, 0, out.shape[2] // 2, out.shape[3] // 2] if pick is None else pick(out)
    return torch.autograd.grad(chosen, x)[0][0, 0].abs()


def above_half(values):
    return values * (values > 0.5 * values.max())


def by_perturbation(network, size):
    """No gradient: change one row after the other, and see whether the output in the middle changes."""
    x = torch.zeros(size, 1, size, size)
    x[torch.arange(size), 0, torch.arange(size)] = 1
    with torch.no_grad():
        out = network(torch.cat([torch.zeros(1, 1, size, size), x]))
    middle = out[:, 0, out.shape[2] // 2, out.shape[3] // 2]
    return extent((middle[1:] - middle[0]).abs() > 1e-4)


def by_backward(network, size):
    x = torch.ones(1, 1, size, size, dtype=torch.float32, requires_grad=True)
    network(x)[0, 0].diagonal()[len(network(x)[0, 0]) // 2].backward()
    rows = (x.grad != 0).any(3).flatten()
    return rows.sum().item()


CHECK = checks.check_field_by_gradient
MEASURED = [
    (CHECK, "columns", lambda n, s: extent(gradient(n, s).sum(0)), None),
    (CHECK, "rows", lambda n, s: extent(gradient(n, s).sum(1)), None),
    (CHECK, "rows counted, backward", by_backward, None),
    (CHECK, "NumPy", lambda n, s: np.count_nonzero(gradient(n, s).numpy().any(axis=0)), None),
    (CHECK, "a tensor", lambda n, s: (gradient(n, s).sum(0) > 0).sum(), None),
    (CHECK, "root of the area", lambda n, s: round(float((gradient(n, s) > 0).sum()) ** 0.5), None),
    (CHECK, "perturbation", by_perturbation, None),
    (CHECK, "zeros", lambda n, s: extent(gradient(n, s, picture=torch.zeros(1, 1, s, s)).sum(0)), None),
    (CHECK, "area", lambda n, s: (gradient(n, s) > 0).sum(), "too large"),
    (CHECK, "all outputs", lambda n, s: extent(gradient(n, s, lambda out: out.sum()).sum(0)), "how many outputs"),
    (CHECK, "mean of the outputs", lambda n, s: extent(gradient(n, s, torch.mean).sum(0)), "how many outputs"),
    (CHECK, "the corner", lambda n, s: extent(gradient(n, s, lambda out: out[0, 0, 0, 0]).sum(0)), "far enough"),
    (CHECK, "a row of outputs", lambda n, s: extent(gradient(n, s, lambda out: out[0, 0, len(out[0, 0]) // 2].sum())
        .sum(0)), "how many outputs"),
    (CHECK, "one too few", lambda n, s: extent(gradient(n, s).sum(0)) - 1, "too small"),
    (CHECK, "half", lambda n, s: extent(gradient(n, s).sum(0)) // 2, "too small"),
    (CHECK, "the picture", lambda n, s: s, "too large"),
    (CHECK, "the output", lambda n, s: n(torch.rand(1, 1, s, s)).shape[2], "too large"),
    (CHECK, "the largest kernel", lambda n, s: max(one.kernel_size[0] for one in n), "too small"),
    (CHECK, "a threshold that is too high", lambda n, s: extent(above_half(gradient(n, s)).sum(0)), "too small"),
    (CHECK, "float", lambda n, s: float((gradient(n, s) > 0).sum()) ** 0.5, "whole number, got float"),
    (CHECK, "the gradient", gradient, "whole number, got Tensor"),
    (CHECK, "no gradient", lambda n, s: n(torch.rand(1, 1, s, s)).detach().backward(), "stopped with RuntimeError"),
    (CHECK, "the size forgotten", lambda n: 3, "could not be called"),
]  # fmt: skip


def run(network, picture, *, freeze=True, thaw=False, learn=False, optimizer=torch.optim.Adam, clear=False, steps=2):
    network.requires_grad_(not freeze)
    x = picture.clone().requires_grad_(True)
    engine = optimizer([x, *(network.parameters() if learn else ())], lr=1e-2)
    for _ in range(steps):
        engine.zero_grad()
        network(x)["relu3_1"].square().sum().backward()
        engine.step()
    if clear:
        network.zero_grad()
    if thaw:
        network.requires_grad_(True)
    return x.detach()


def by_grad(network, picture):
    x = picture.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(network(x)["relu1_1"].sum(), x)
    return (x - 0.1 * slope).detach()


def by_copy(network, picture):
    return run(copy.deepcopy(network), picture, freeze=False)


def by_lbfgs(network, picture):
    network.requires_grad_(False)
    x = nn.Parameter(picture.clone())
    engine = torch.optim.LBFGS([x], max_iter=3)

    def closure():
        engine.zero_grad()
        loss = network.forward(image=x)["relu2_1"].square().mean()
        loss.backward()
        return loss

    engine.step(closure)
    return x


def weight_decay(network, picture):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.999)
    return run(network, picture)


def one_bias(network, picture):
    with torch.no_grad():
        next(iter(network.parameters()))[0] += 1
    return run(network, picture)


CHECK = checks.check_only_the_picture_learns
LEARNS = [
    (CHECK, "frozen", run, None),
    (CHECK, "frozen, then as before", partial(run, thaw=True), None),
    (CHECK, "the picture's gradient alone", by_grad, None),
    (CHECK, "a copy of the network", by_copy, None),
    (CHECK, "L-BFGS, a parameter", by_lbfgs, None),
    (CHECK, "eval and SGD", lambda n, p: run(n.eval(), p, optimizer=torch.optim.SGD), None),
    (CHECK, "cleaned up", partial(run, freeze=False, clear=True), None),
    (CHECK, "float64", lambda n, p: run(n, p).double(), None),
    (CHECK, "both learn", partial(run, freeze=False, learn=True), "what else is being optimized"),
    (CHECK, "gradients left", partial(run, freeze=False), "gradients were computed"),
    (CHECK, "weights decay", weight_decay, "what else is being optimized"),
    (CHECK, "one number of the network", one_bias, "1 of the network's"),
    (CHECK, "no step", partial(run, steps=0), "picture has not changed"),
    (CHECK, "the picture as it came", lambda n, p: p, "picture has not changed"),
    (CHECK, "the network learns alone", lambda n, p: (run(n, p, freeze=False, learn=True), p)[1], "what else is being"),
    (CHECK, "noise", lambda n, p: (p + 0.1 * torch.rand_like(p)).clamp(0, 1), "was not called"),
    (CHECK, "features", lambda n, p: n(p)["relu1_1"], "must be a picture (1, 3, 32, 32)"),
    (CHECK, "nothing", lambda n, p: None, "does it end in `return`"),
    (CHECK, "not finite", lambda n, p: run(n, p) / 0, "not finite"),
    (CHECK, "a pair", lambda n, p: (run(n, p), []), "got tuple"),
    (CHECK, "one argument", lambda n: run(n, torch.rand(1, 3, 32, 32)), "could not be called"),
]  # fmt: skip

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
CHECK = checks.check_normalized_once
ONCE = [
    (CHECK, "called", lambda n, p: n(p), None),
    (CHECK, "forward", lambda n, p: n.forward(p), None),
    (CHECK, "by name", lambda n, p: n(image=p), None),
    (CHECK, "one layer", lambda n, p: n(p, ["relu1_1"])["relu1_1"], None),
    (CHECK, "without gradients", lambda n, p: torch.no_grad()(n)(p), None),
    (CHECK, "cut to [0, 1]", lambda n, p: n(p.clamp(0, 1)), None),
    (CHECK, "a copy of the network", lambda n, p: copy.deepcopy(n)(p), None),
    (CHECK, "float64", lambda n, p: n(p.double()), None),
    (CHECK, "normalized", lambda n, p: n((p - MEAN) / STD), "values from -"),
    (CHECK, "the mean alone", lambda n, p: n(p - MEAN), "values from -"),
    (CHECK, "0 to 255", lambda n, p: n(255 * p), "to 25"),
    (CHECK, "-1 to 1", lambda n, p: n(2 * p - 1), "values from -1.00"),
    (CHECK, "Caffe", lambda n, p: n(255 * p.flip(1) - 120), "values from -"),
    (CHECK, "BGR", lambda n, p: n(p.flip(1)), "a different picture"),
    (CHECK, "half as bright", lambda n, p: n(p / 2), "a different picture"),
    (CHECK, "smaller", lambda n, p: n(p[..., ::2, ::2]), "a different picture"),
    (CHECK, "more contrast", lambda n, p: n((2 * p - 0.5).clamp(0, 1)), "a different picture"),
    (CHECK, "upside down", lambda n, p: n(p.flip(2)), "a different picture"),
    (CHECK, "inverse", lambda n, p: n(1 - p), "a different picture"),
    (CHECK, "undone too late", lambda n, p: n(p * STD + MEAN), "to 0.[67]|a different picture"),
    (CHECK, "the network alone", lambda n, p: n, "was not called"),
    (CHECK, "another picture", lambda n, p: n(torch.full_like(p, 0.5)), "a different picture"),
]  # fmt: skip
TABLE = [*FORMULA, *MEASURED, *LEARNS, *ONCE]


@pytest.mark.parametrize(("check", "name", "answer", "said"), parameters(TABLE))
def test_an_answer_gets_what_it_deserves(check, name, answer, said, capsys):
    judge(check, answer, said, capsys)


def test_each_check_has_many_answers():
    assert enough(TABLE) == set()
