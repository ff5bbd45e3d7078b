"""Answers to the tasks on styled layers: a spike, weights of each picture, one convolution, mixing, and truncation."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import enough, judge, parameters
from torch import nn

from course_lib.networks.modulated import demodulation, modulated_conv
from course_lib.teaching import assignments, checks

MASTER = (
    Path(__file__).resolve().parents[3] / "notebooks" / "assignments" / "masters" / "11_one_layer_many_styles.ipynb"
)


# --- 1. a spike
def left(n, s):
    return 1 / math.sqrt(1 + s**2 / n)


def exact(n, s):
    """With the mean of all values, and the value that the spike replaces."""
    mean = s / n
    return ((n - 1 + s**2) / n - mean**2) ** -0.5


def measured(n, s):
    """No formula: it is tried."""
    values = torch.linspace(-1, 1, n - 1, dtype=torch.float64)
    values = (values - values.mean()) / values.std(correction=0)
    return 1 / torch.cat([values, torch.tensor([s])]).std(correction=0)


CHECK = checks.check_spike_prediction
SPIKES = [
    (CHECK, "the limit", left, None),
    (CHECK, "exact", exact, None),
    (CHECK, "tried", measured, None),
    (CHECK, "NumPy", lambda n, s: np.float32(np.sqrt(n / (n + s**2))), None),
    (CHECK, "a tensor", lambda n, s: torch.tensor(1 + s * s / n).rsqrt(), None),
    (CHECK, "with n − 1", lambda n, s: ((n - 1 + s**2 - s**2 / n) / (n - 1)) ** -0.5, None),
    (CHECK, "with a small ε", lambda n, s: (1 + s**2 / n + 1e-5) ** -0.5, None),
    (CHECK, "the deviation", lambda n, s: 1 / left(n, s), "the standard deviation with the spike"),
    (CHECK, "the variance", lambda n, s: 1 + s**2 / n, "this is the variance with the spike"),
    (CHECK, "divided by the variance", lambda n, s: left(n, s) ** 2, "divided by the variance"),
    (CHECK, "divided by the spike", lambda n, s: 1 / s, "is not averaged over the positions"),
    (CHECK, "not squared", lambda n, s: (1 + s / n) ** -0.5, "contains the spike, not its square"),
    (CHECK, "the mean", lambda n, s: s / n, "what the spike does to the mean"),
    (CHECK, "from the mean", lambda n, s: 1 / (1 + s / n), "what the spike does to the mean"),
    (CHECK, "without the 1", lambda n, s: math.sqrt(n) / s, "the variance of the rest is missing"),
    (CHECK, "added up", lambda n, s: (n + s**2) ** -0.5, "added up, not averaged"),
    (CHECK, "not divided by n", lambda n, s: (1 + s**2) ** -0.5, "is not averaged over the positions"),
    (CHECK, "n is a side", lambda n, s: left(n**2, s), "taken for the side of the map"),
    (CHECK, "deviations added", lambda n, s: 1 / (1 + s / math.sqrt(n)), "variances add up"),
    (CHECK, "what is lost", lambda n, s: 1 - left(n, s), "this is what is lost"),
    (CHECK, "the number of the story", lambda n, s: 0.158, "you predict"),
    (CHECK, "1", lambda n, s: 1.0, "you predict 1"),
    (CHECK, "a word", lambda n, s: "less than a fifth", "must return a number, got str"),
    (CHECK, "several", lambda n, s: torch.ones(2), "must be a single number"),
    (CHECK, "nothing", lambda n, s: None, "does it end in `return`"),
]


# --- 2. weights of each picture
def modulated(weight, style):
    return weight * style[:, None, :, None, None]


def styled(weight, style, demodulate=True, *, first=modulated, axes=(2, 3, 4), eps=1e-8):
    own = first(weight, style)
    return own * (own.square().sum(axes, keepdim=True) + eps).rsqrt() if demodulate else own


def by_loops(weight, style, demodulate):
    """A picture and an output channel at a time."""
    all_weights = []
    for s in style:
        own = [w * s.view(-1, 1, 1) for w in weight]
        if demodulate:
            own = [w / torch.sqrt((w**2).sum() + 1e-8) for w in own]
        all_weights.append(torch.stack(own))
    return torch.stack(all_weights)


def by_einsum(weight, style, demodulate):
    own = torch.einsum("oikl,ni->noikl", weight, style)
    if demodulate:
        own = own / torch.einsum("noikl,noikl->no", own, own).add(1e-8).sqrt()[..., None, None, None]
    return own


def by_the_library(weight, style, demodulate):
    own = modulated(weight, style)
    return own * demodulation(weight, style)[:, :, None, None, None] if demodulate else own


class Weights(nn.Module):
    def forward(self, weight, style, demodulate):
        return styled(weight.double(), style.double(), demodulate)


def in_place(weight, style, demodulate):
    own = weight[None].repeat(len(style), 1, 1, 1, 1)
    own *= style.view(len(style), 1, -1, 1, 1)
    return (
        own.mul_(own.flatten(2).pow(2).sum(-1).add(1e-8).rsqrt().view(*own.shape[:2], 1, 1, 1)) if demodulate else own
    )


def by(scale):
    """Demodulated by another number for each picture and output channel, computed from w'."""

    def answer(weight, style, demodulate):
        own = modulated(weight, style)
        return own * scale(own) if demodulate else own

    return answer


def energy(own, axes=(2, 3, 4)):
    return own.square().sum(axes, keepdim=True)


def vector_norm(own):
    return torch.linalg.vector_norm(own, dim=(2, 3, 4), keepdim=True)


def on_outputs(weight, style):
    """The style on the output channels, if there are as many; else what PyTorch makes of it."""
    return weight * style[:, :, None, None, None]


def from_the_plain_weights(weight, style, demodulate):
    own = modulated(weight, style)
    return own * (energy(weight[None]) + 1e-8).rsqrt() if demodulate else own


def scale_constant(own):
    return (energy(own).detach() + 1e-8).rsqrt()


def other(function, *last):
    """Modulated in another way, and demodulated as asked."""
    return partial(styled, first=function)


def without_graph(weight, style, demodulate):
    with torch.no_grad():
        return styled(weight, style, demodulate)


CHECK = checks.check_styled_weights
WEIGHTS = [
    (CHECK, "as in the paper", styled, None),
    (CHECK, "loops", by_loops, None),
    (CHECK, "einsum", by_einsum, None),
    (CHECK, "the library's", by_the_library, None),
    (CHECK, "a module, float64", Weights(), None),
    (CHECK, "in place", in_place, None),
    (CHECK, "a norm, with ε", by(lambda own: (vector_norm(own) ** 2 + 1e-8) ** -0.5), None),
    (CHECK, "the style on the output channels", other(on_outputs), "the style scales the output channels"),
    (CHECK, "one style for the batch", other(lambda w, s: modulated(w, s[:1]).expand(len(s), -1, -1, -1, -1)),
        "the style of one of them"),
    (CHECK, "the last style for the batch", other(lambda w, s: modulated(w, s[-1:]).expand(len(s), -1, -1, -1, -1)),
        "the style of one of them"),
    (CHECK, "the mean style", other(lambda w, s: modulated(w, s.mean(0)[None].expand_as(s))), "mean of the batch's"),
    (CHECK, "one set of weights", other(lambda w, s: modulated(w, s[:1])), "must be (N, out, C, k, k) = "),
    (CHECK, "no style", other(lambda w, s: w[None].expand(len(s), -1, -1, -1, -1)), "the style has no effect"),
    (CHECK, "1 + s", other(lambda w, s: modulated(w, 1 + s)), "1 is added to the style"),
    (CHECK, "squared", other(lambda w, s: modulated(w, s**2)), "the scales enter squared"),
    (CHECK, "divided by s", other(lambda w, s: modulated(w, 1 / s)), "are divided by the style"),
    (CHECK, "added", other(lambda w, s: w + s[:, None, :, None, None]), "Eq. 1 is a product"),
    (CHECK, "absolute scales", other(lambda w, s: modulated(w, s.abs())), "not those of Eq. 1"),
    (CHECK, "twice the weights", other(lambda w, s: 2 * modulated(w, s)), "they are 2 times as large"),
    (CHECK, "always demodulated", lambda w, s, d: styled(w, s), "demodulated nevertheless"),
    (CHECK, "never demodulated", lambda w, s, d: modulated(w, s), "the weights are those without it"),
    (CHECK, "without the kernel's positions", partial(styled, axes=(2,)), "positions of the kernel are left out"),
    (CHECK, "without the input channels", partial(styled, axes=(3, 4)), "input channels are left out"),
    (CHECK, "over output channels", partial(styled, axes=(1,)), "runs over the output channels"),
    (CHECK, "over output channels and positions", partial(styled, axes=(1, 3, 4)), "runs over the output channels"),
    (CHECK, "over everything of a picture", partial(styled, axes=(1, 2, 3, 4)), "output channels share one sum"),
    (CHECK, "over both kinds of channels", partial(styled, axes=(1, 2)), "output channels share one sum"),
    (CHECK, "over the batch", partial(styled, axes=(0, 2, 3, 4)), "runs over the pictures of the batch"),
    (CHECK, "the sum in place of the root", by(lambda own: 1 / (energy(own) + 1e-8)), "divided by the sum itself"),
    (CHECK, "multiplied by the root", by(lambda own: (energy(own) + 1e-8).sqrt()), "multiplied by the root"),
    (CHECK, "not squared", by(lambda own: 1 / own.sum((2, 3, 4), keepdim=True)), "without squaring them"),
    (CHECK, "absolute values", by(lambda own: 1 / own.abs().sum((2, 3, 4), keepdim=True)), "absolute values are added"),
    (CHECK, "the mean", by(lambda own: (own.square().mean((2, 3, 4), keepdim=True) + 1e-8).rsqrt()),
        "the mean of the squares is taken"),
    (CHECK, "the standard deviation", by(lambda own: (own.var((2, 3, 4), correction=0, keepdim=True) + 1e-8).rsqrt()),
        "a variance"),
    (CHECK, "the largest", by(lambda own: 1 / own.abs().amax((2, 3, 4), keepdim=True)), "the largest of them"),
    (CHECK, "from the plain weights", from_the_plain_weights, "the sum of Eq. 3 is that of the weights before"),
    (CHECK, "the plain weights", lambda w, s, d: styled(w, torch.ones_like(s)) if d else styled(w, s, d),
        "the plain weights are demodulated"),
    (CHECK, "no ε", partial(styled, eps=0.0), "0 is divided by 0; what is ε for"),
    (CHECK, "a norm", lambda w, s, d: F.normalize(modulated(w, s).flatten(2), dim=2).view(len(s), *w.shape) if d
        else modulated(w, s), "ε = 10⁻⁸ has no effect"),
    (CHECK, "ε outside the root", by(lambda own: 1 / (energy(own).sqrt() + 1e-8)), "ε = 10⁻⁸ has no effect"),
    (CHECK, "a large ε", partial(styled, eps=1e-6), "how large is ε"),
    (CHECK, "ε of another layer", partial(styled, eps=1e-5), "the root of the energy is|not those of Eq. 3"),
    (CHECK, "the scale as a constant", by(scale_constant), "does not depend on the weights"),
    (CHECK, "the style as a constant", lambda w, s, d: styled(w, s.detach(), d), "no gradient reaches the styles"),
    (CHECK, "no graph", without_graph, "no gradient reaches the inputs"),
    (CHECK, "half precision", lambda w, s, d: styled(w, s, d).half(), "float16"),
    (CHECK, "no third argument", lambda w, s: styled(w, s), "could not be called as the task describes"),
    (CHECK, "nothing", lambda w, s, d: None, "does it end in `return`"),
]  # fmt: skip


# --- 3. a convolution for each picture
def grouped(x, weights, **how):
    n, out, c, k, _ = weights.shape
    how = {"padding": k // 2, **how}
    return F.conv2d(x.reshape(1, n * c, *x.shape[2:]), weights.reshape(n * out, c, k, k), groups=n, **how).view(
        n, out, *x.shape[2:])  # fmt: skip


def looped(x, weights):
    return torch.cat([F.conv2d(x[k : k + 1], w, padding=w.shape[-1] // 2) for k, w in enumerate(weights)])


def unfolded(x, weights):
    patches = F.unfold(x, weights.shape[-1], padding=weights.shape[-1] // 2)
    return (weights.flatten(2) @ patches).unflatten(2, x.shape[2:])


def vectorized(x, weights):
    return torch.vmap(lambda one, w: F.conv2d(one[None], w, padding="same")[0])(x, weights)


def padded_first(x, weights):
    n, out, _, k, _ = weights.shape
    wide = F.pad(x, [k // 2] * 4)
    y = F.conv2d(wide.flatten(0, 1)[None], weights.flatten(0, 1), groups=n)
    return y.squeeze(0).unflatten(0, (n, out))


def wrongly_split(x, weights):
    n, out = weights.shape[:2]
    return grouped(x, weights).flatten(0, 1).view(out, n, *x.shape[2:]).transpose(0, 1)


def reflected(x, weights, mode="reflect"):
    half = weights.shape[-1] // 2
    return F.conv2d(F.pad(x, [half] * 4, mode=mode).flatten(0, 1)[None], weights.flatten(0, 1), groups=len(x)).view(
        len(x), -1, *x.shape[2:])  # fmt: skip


def first_weights(x, weights):
    return F.conv2d(x, weights[0], padding=weights.shape[-1] // 2)


CHECK = checks.check_own_convolution
CONVOLUTIONS = [
    (CHECK, "groups", grouped, None),
    (CHECK, "a loop", looped, None),
    (CHECK, "unfolded", unfolded, None),
    (CHECK, "vmap", vectorized, None),
    (CHECK, "padded first", padded_first, None),
    (CHECK, "float64", lambda x, w: grouped(x.double(), w.double()), None),
    (CHECK, "the first weights for all", first_weights, "weights of one of them"),
    (CHECK, "the last weights for all", lambda x, w: grouped(x, w[-1:].expand_as(w)), "weights of one of them"),
    (CHECK, "the mean of the weights", lambda x, w: first_weights(x, w.mean(0, keepdim=True)), "mean of the weights"),
    (CHECK, "the wrong weights", lambda x, w: grouped(x, w.flip(0)), "the weights of another one"),
    (CHECK, "split in the wrong order", wrongly_split, "are exchanged: the channels"),
    (CHECK, "no groups", lambda x, w: F.conv2d(x, w.flatten(0, 1), padding=w.shape[-1] // 2),
        "must be (N, out, H, W)"),
    (CHECK, "upside down", lambda x, w: grouped(x, w.flip(3, 4)), "turned upside down"),
    (CHECK, "no padding", lambda x, w: torch.cat([F.conv2d(x[k : k + 1], one) for k, one in enumerate(w)]),
        "the borders are padded"),
    (CHECK, "always one pixel of padding", lambda x, w: looped(x, w) if w.shape[-1] == 3 else torch.cat(
        [F.conv2d(x[k : k + 1], one, padding=1) for k, one in enumerate(w)]), "the borders are padded"),
    (CHECK, "reflected", reflected, "the border is reflected"),
    (CHECK, "repeated", partial(reflected, mode="replicate"), "the border is repeated"),
    (CHECK, "one tensor", lambda x, w: grouped(x, w)[None], "must be (N, out, H, W)"),
    (CHECK, "still one picture", lambda x, w: grouped(x, w).flatten(0, 1)[None], "must be (N, out, H, W)"),
    (CHECK, "divided by the channels", lambda x, w: grouped(x, w) / w.shape[2], "0.25 times as large"),
    (CHECK, "the sum of all", lambda x, w: grouped(x, w).sum(0, keepdim=True).expand(len(x), -1, -1, -1),
        "the sum over all pictures"),
    (CHECK, "normalized over the batch", lambda x, w: grouped(x - x.mean(0), w), "are not those of the"),
    (CHECK, "weights as constants", lambda x, w: grouped(x, w.detach()), "no gradient reaches the weights"),
    (CHECK, "groups that do not fit", lambda x, w: F.conv2d(x, w.flatten(0, 1), groups=len(x)), "stopped with"),
    (CHECK, "nothing", lambda x, w: None, "does it end in `return`"),
]  # fmt: skip


# --- 4. one convolution
def one(x, weight, style, demodulate=True, *, inputs=True, scale=None):
    y = F.conv2d(x * style[:, :, None, None] if inputs else x, weight, padding=weight.shape[-1] // 2)
    if demodulate:
        y = y * (scale or by_energies)(weight, style)[:, :, None, None]
    return y


def by_energies(weight, style, eps=1e-8):
    return (style**2 @ weight.square().sum((2, 3)).T + eps) ** -0.5


def by_own_weights(weight, style):
    """As the released code does it: the sums need the weights of each picture, the convolution does not."""
    return (modulated(weight, style).square().sum((2, 3, 4)) + 1e-8).rsqrt()


def from_outputs(y):
    return (y - y.mean((2, 3), keepdim=True)) / (y.std((2, 3), keepdim=True) + 1e-8)


def of_the_data(x, weight, style, demodulate):
    """Instance normalization in place of demodulation."""
    y = one(x, weight, style, demodulate=False)
    return from_outputs(y) if demodulate else y


def of_the_data_without_mean(x, weight, style, demodulate, over=(2, 3)):
    y = one(x, weight, style, demodulate=False)
    return y / (y.var(over, keepdim=True) + 1e-8).sqrt() if demodulate else y


def adain(x, weight, style, demodulate):
    y = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    return from_outputs(y) * style[:, :1, None, None] if demodulate else one(x, weight, style, False)


def on_the_outputs(x, weight, style, demodulate):
    """The style scales outputs; where there is another number of them, that of the inputs."""
    if weight.shape[0] != weight.shape[1]:
        return one(x, weight, style, demodulate)
    return one(x, weight, style, demodulate, inputs=False) * style[:, :, None, None]


def in_one_style(x, weight, style, demodulate):
    return one(x, weight, style[:1].expand_as(style), demodulate)


def unfolded_once(x, weight, style, demodulate):
    patches = F.unfold(x * style[:, :, None, None], weight.shape[-1], padding=weight.shape[-1] // 2)
    y = (weight.flatten(1) @ patches).unflatten(2, x.shape[2:])
    return y * by_energies(weight, style)[:, :, None, None] if demodulate else y


def with_frozen(x, weight, style, demodulate):
    return one(x, weight, style, demodulate, scale=lambda w, s: by_energies(w, s).detach())


def per_picture(x, weight, style, demodulate):
    return torch.cat([one(x[k : k + 1], weight, style[k : k + 1], demodulate) for k in range(len(x))])


CHECK = checks.check_styled_convolution
LAYERS = [
    (CHECK, "as asked", one, None),
    (CHECK, "the library's", lambda x, w, s, d: modulated_conv(x, w, s, demodulate=d), None),
    (CHECK, "sums from the weights of each picture", partial(one, scale=by_own_weights), None),
    (CHECK, "linear", partial(one, scale=lambda w, s: F.linear(s.square(), w.square().sum((2, 3))).add(1e-8).rsqrt()),
        None),
    (CHECK, "einsum", partial(one, scale=lambda w, s: torch.einsum("ni,oikl->no", s**2, w**2).add(1e-8).rsqrt()), None),
    (CHECK, "float64", lambda x, w, s, d: one(x.double(), w.double(), s.double(), d), None),
    (CHECK, "unfolded", unfolded_once, None),
    (CHECK, "instance normalization", of_the_data, "your scales come from the data"),
    (CHECK, "instance normalization, without the mean", of_the_data_without_mean, "your scales come from the data"),
    (CHECK, "batch normalization", partial(of_the_data_without_mean, over=(0, 2, 3)),
        "a spike in one picture changes the result of another"),
    (CHECK, "AdaIN", adain, "your scales come from the data"),
    (CHECK, "layer normalization", partial(of_the_data_without_mean, over=(1, 2, 3)), "your scales come from the data"),
    (CHECK, "the outputs scaled", on_the_outputs, "the outputs are scaled by the style"),
    (CHECK, "the outputs scaled, also where they are more", lambda x, w, s, d: one(x, w, s, d, inputs=False)
        * s[:, :1, None, None], "are not those of the weights of each picture"),
    (CHECK, "the inputs as they are", partial(one, inputs=False), "the inputs are not scaled by the style"),
    (CHECK, "one style for the batch", in_one_style, "the style of one of them"),
    (CHECK, "the mean style", lambda x, w, s, d: one(x, w, s.mean(0, keepdim=True).expand_as(s), d),
        "the mean of the batch's styles"),
    (CHECK, "never demodulated", lambda x, w, s, d: one(x, w, s, False), "are not demodulated"),
    (CHECK, "ToRGB demodulated", lambda x, w, s, d: one(x, w, s, True), "colors are made without demodulation"),
    (CHECK, "without the kernel's positions", partial(one, scale=lambda w, s: by_energies(w[:, :, :1, :1], s)),
        "are not those of the weights of each picture"),
    (CHECK, "over the output channels", lambda x, w, s, d: torch.cat([F.conv2d(p[None], v, padding=v.shape[-1] // 2)
        for p, v in zip(x, styled(w, s, d, axes=(1, 3, 4)), strict=True)]), "runs over the output channels"),
    (CHECK, "the sum in place of the root", partial(one, scale=lambda w, s: by_energies(w, s) ** 2),
        "divided by the sum itself"),
    (CHECK, "multiplied by the root", partial(one, scale=lambda w, s: 1 / by_energies(w, s)), "Eq. 3 divides"),
    (CHECK, "scales not squared", partial(one, scale=lambda w, s: (s @ w.square().sum((2, 3)).T).abs() ** -0.5),
        "without being squared"),
    (CHECK, "without the style", partial(one, scale=lambda w, s: by_energies(w, torch.ones_like(s))),
        "does not contain the style"),
    (CHECK, "no ε", partial(one, scale=partial(by_energies, eps=0.0)), "0 is divided by 0; what is ε for"),
    (CHECK, "groups", lambda x, w, s, d: grouped(x, styled(w, s, d)), "there are still groups"),
    (CHECK, "a loop", per_picture, "convolved one by one"),
    (CHECK, "the scale as a constant", with_frozen, "does not depend on the weights"),
    (CHECK, "the style as a constant", lambda x, w, s, d: one(x, w, s.detach(), d), "no gradient reaches the styles"),
    (CHECK, "no padding", lambda x, w, s, d: one(x, w, s, d)[..., 1:-1, 1:-1], "must be (N, out, H, W)"),
    (CHECK, "nothing", lambda x, w, s, d: None, "does it end in `return`"),
]  # fmt: skip


# --- 5. two styles
def mixed(first, second, change, layers):
    before = torch.arange(layers)[:, None] < change[:, None, None]
    return torch.where(before, first[:, None], second[:, None])


def mixed_in_loops(first, second, change, layers):
    rows = [[a if layer < c else b for layer in range(layers)] for a, b, c in zip(first, second, change, strict=True)]
    return torch.stack([torch.stack(row) for row in rows])


def mixed_by_numbers(first, second, change, layers):
    share = (torch.arange(layers) >= change.view(-1, 1)).float()[..., None]
    return first.unsqueeze(1) * (1 - share) + second.unsqueeze(1) * share


def mixed_in_place(first, second, change, layers):
    styles = first[:, None].repeat(1, layers, 1)
    for k, c in enumerate(change.tolist()):
        styles[k, c:] = second[k]
    return styles


def mixed_by_gather(first, second, change, layers):
    both = torch.stack([first, second], 1)
    which = (torch.arange(layers) >= change[:, None]).long()
    return both.gather(1, which[..., None].expand(-1, -1, first.shape[1]))


def only_there(first, second, change, layers):
    return torch.where(torch.arange(layers)[:, None] == change[:, None, None], second[:, None], first[:, None])


CHECK = checks.check_style_mixing
MIXED = [
    (CHECK, "one `where`", mixed, None),
    (CHECK, "loops", mixed_in_loops, None),
    (CHECK, "by numbers", mixed_by_numbers, None),
    (CHECK, "in place", mixed_in_place, None),
    (CHECK, "gather", mixed_by_gather, None),
    (CHECK, "float64", lambda a, b, c, n: mixed(a.double(), b.double(), c, n), None),
    (CHECK, "the second first", lambda a, b, c, n: mixed(b, a, c, n), "the second style comes first"),
    (CHECK, "too late", lambda a, b, c, n: mixed(a, b, c + 1, n), "one layer too late"),
    (CHECK, "too early", lambda a, b, c, n: mixed(a, b, c - 1, n), "one layer too early"),
    (CHECK, "one change for all", lambda a, b, c, n: mixed(a, b, c[:1], n), "at the same layer"),
    (CHECK, "the last change for all", lambda a, b, c, n: mixed(a, b, c[-1:], n), "at the same layer"),
    (CHECK, "one layer", only_there, "only the layer of the change has the second style"),
    (CHECK, "all but one layer", lambda a, b, c, n: only_there(b, a, c, n), "has the first style"),
    (CHECK, "the first alone", lambda a, b, c, n: a[:, None].expand(-1, n, -1), "all layers have the first"),
    (CHECK, "the second alone", lambda a, b, c, n: b[:, None].repeat(1, n, 1), "all layers have the second"),
    (CHECK, "blended", lambda a, b, c, n: ((a + b) / 2)[:, None].repeat(1, n, 1), "blended in every layer"),
    (CHECK, "from the end", lambda a, b, c, n: mixed(b, a, n - c, n), "counts from the last layer"),
    (CHECK, "a style for each picture", lambda a, b, c, n: torch.where(c[:, None] > 2, a, b), "the shape must be"),
    (CHECK, "layers first", lambda a, b, c, n: mixed(a, b, c, n).transpose(0, 1), "the shape must be"),
    (CHECK, "constants", lambda a, b, c, n: mixed(a.detach(), b.detach(), c, n), "reaches the first styles"),
    (CHECK, "the second is a constant", lambda a, b, c, n: mixed(a, b.detach(), c, n),
        "no gradient reaches the second styles"),
    (CHECK, "nothing", lambda a, b, c, n: None, "does it end in `return`"),
]  # fmt: skip


# --- 6. truncation
def truncated(styles, mean, psi, n):
    return torch.cat([mean + psi * (styles[:, :n] - mean), styles[:, n:]], 1)


def truncated_in_place(styles, mean, psi, n):
    styles = styles.clone()
    styles[:, :n] = mean.lerp(styles[:, :n], psi)
    return styles


def truncated_by_factors(styles, mean, psi, n):
    factor = torch.where(torch.arange(styles.shape[1]) < n, psi, 1.0)[:, None]
    return mean + factor * (styles - mean)


def in_the_first(step):
    """Another step in the first layers."""
    return lambda styles, mean, psi, n: torch.cat([step(styles, mean, psi)[:, :n], styles[:, n:]], 1)


CHECK = checks.check_truncation
TRUNCATED = [
    (CHECK, "as in the paper", truncated, None),
    (CHECK, "in place", truncated_in_place, None),
    (CHECK, "a factor for each layer", truncated_by_factors, None),
    (CHECK, "two shares", in_the_first(lambda w, m, p: p * w + (1 - p) * m), None),
    (CHECK, "float64", lambda w, m, p, n: truncated(w.double(), m.double(), p, n), None),
    (CHECK, "layer by layer", lambda w, m, p, n: torch.stack(
        [m + p * (w[:, k] - m) if k < n else w[:, k] for k in range(w.shape[1])], 1), None),
    (CHECK, "toward 0", in_the_first(lambda w, m, p: p * w), "toward 0, not toward their mean"),
    (CHECK, "all toward 0", lambda w, m, p, n: p * w, "toward 0, not toward their mean"),
    (CHECK, "the other share", in_the_first(lambda w, m, p: w + p * (m - w)), "are exchanged"),
    (CHECK, "the mean is lost", in_the_first(lambda w, m, p: p * (w - m)), "but not added again"),
    (CHECK, "the mean twice", in_the_first(lambda w, m, p: m + p * w), "the mean is added twice"),
    (CHECK, "all layers", lambda w, m, p, n: m + p * (w - m), "all layers are truncated"),
    (CHECK, "the last layers", lambda w, m, p, n: torch.cat([w[:, :n], m + p * (w[:, n:] - m)], 1),
        "the last layers are truncated"),
    (CHECK, "one too many", lambda w, m, p, n: truncated(w, m, p, n + 1), "one layer too many"),
    (CHECK, "one too few", lambda w, m, p, n: truncated(w, m, p, max(0, n - 1)), "one layer too few"),
    (CHECK, "cut off", lambda w, m, p, n: w.clamp(-p, p), "values beyond ψ are cut off"),
    (CHECK, "the batch's mean", lambda w, m, p, n: truncated(w, w.mean((0, 1)), p, n), "the mean of this batch"),
    (CHECK, "nothing is truncated", lambda w, m, p, n: w, "nothing is truncated"),
    (CHECK, "pictures, not layers", lambda w, m, p, n: torch.cat([m + p * (w[:n] - m), w[n:]]),
        "all layers are truncated|not those of the equation"),
    (CHECK, "the first layers alone", lambda w, m, p, n: truncated(w, m, p, n)[:, :n], "the shape must stay"),
    (CHECK, "constants", lambda w, m, p, n: truncated(w, m, p, n).detach(), "no gradient reaches the styles"),
    (CHECK, "nothing", lambda w, m, p, n: None, "does it end in `return`"),
]  # fmt: skip

TABLE = [*SPIKES, *WEIGHTS, *CONVOLUTIONS, *LAYERS, *MIXED, *TRUNCATED]


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


# --- the assignment's own tests
def hidden_test(grade_id, **answers):
    """Run a test of the assignment, with its hidden part, on these answers."""
    (cell,) = (one for one in assignments.read(MASTER)["cells"] if assignments.marks(one).get("grade_id") == grade_id)
    assert "HIDDEN" in assignments.source(cell)
    exec(assignments.source(cell), {"checks": checks, "torch": torch, "F": F, **answers})


TESTS = [
    ("test_share_left", "share_left", SPIKES),
    ("test_styled_weights", "styled_weights", WEIGHTS),
    ("test_own_convolution", "own_convolution", CONVOLUTIONS),
    ("test_styled_convolution", "styled_convolution", LAYERS),
    ("test_mixed", "mixed", MIXED),
    ("test_truncated", "truncated", TRUNCATED),
]
RIGHT = [(test, name, row[1], row[2]) for test, name, table in TESTS for row in table if row[3] is None]


@pytest.mark.parametrize(
    ("test", "name", "answer"), [pytest.param(t, n, answer, id=f"{t}: {said}") for t, n, said, answer in RIGHT]
)
def test_right_answers_pass_the_hidden_tests_too(test, name, answer):
    hidden_test(test, **{name: answer})


def test_hidden_tests_find_what_the_checks_leave_open():
    """Functions that are right for the sizes of the check only."""
    with pytest.raises(AssertionError, match="48×50 positions"):
        hidden_test("test_share_left", share_left=lambda n, s: left(n, s) if n != 2400 else left(1024, s))
    with pytest.raises(AssertionError, match="the weights 3 and 4"):
        hidden_test("test_styled_weights", styled_weights=lambda w, s, d: styled(w, s, d) * (1 if len(w) > 1 else 2))
    with pytest.raises(AssertionError, match="six pictures of ones"):
        hidden_test(
            "test_own_convolution", own_convolution=lambda x, w: grouped(x, w) if len(w) < 5 else grouped(x, 2 * w)
        )
    with pytest.raises(AssertionError, match="whose standard deviation is not 1"):
        hidden_test("test_styled_convolution", styled_convolution=lambda x, w, s, d: one(x, w, s, d and len(w) < 16))
    with pytest.raises(AssertionError, match="of 18 layers"):
        hidden_test("test_mixed", mixed=lambda a, b, c, n: mixed(a, b, c.clamp(max=9), n))
    with pytest.raises(AssertionError, match="the last ones have changed"):
        hidden_test("test_truncated", truncated=lambda w, m, p, n: truncated(w, m, p, n if n < 8 else 18))


# --- usual mistakes, as a student writes them, through the grader
MISTAKES = {
    "demodulated over output channels": ("styled_weights", "sum((2, 3, 4)", "sum((1, 3, 4)", "output channels"),
    "demodulated without the kernel": ("styled_weights", "sum((2, 3, 4)", "sum((2,)", "positions of the kernel"),
    "no epsilon": ("styled_weights", "energy + 1e-8", "energy", "what is ε for"),
    "the sum, not its root": ("styled_weights", "(energy + 1e-8).rsqrt()", "1 / (energy + 1e-8)", "by its root"),
    "the style on outputs": ("styled_weights", "style[:, None, :, None, None]", "style[:, :, None, None, None]",
                             "the style scales the output channels"),
    "one style": ("styled_weights", "weight * style", "weight * style[:1].expand_as(style)", "style of one of them"),
    "the data's statistics": ("styled_convolution", "y * (energy + 1e-8).rsqrt()[:, :, None, None]",
                              "(y - y.mean((2, 3), keepdim=True)) / y.std((2, 3), keepdim=True)", "come from the data"),
    "ToRGB demodulated": ("styled_convolution", "if demodulate:", "if True:", "colors are made without demodulation"),
    "outputs scaled": ("styled_convolution", "F.conv2d(\n        x * style[:, :, None, None], weight, ",
                       "style[:, : len(weight), None, None] * F.conv2d(x, weight, ", "the outputs are scaled"),
    "groups as before": ("styled_convolution", "y = F.conv2d(",
                         "return own_convolution(x, styled_weights(weight, style, demodulate))\n    y = F.conv2d(",
                         "there are still groups"),
    "the spike's mean": ("share_left", "spike**2", "spike", "not its square"),
    "one too late": ("mixed", "num_layers)[:, None] <", "num_layers)[:, None] <=", "one layer too late"),
    "toward zero": ("truncated", "mean + psi * (styles - mean)", "psi * styles", "toward 0"),
}  # fmt: skip


@pytest.mark.parametrize(("task", "right", "wrong", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_usual_mistake_costs_the_points_of_its_task(task, right, wrong, said):
    """The cells that the grader runs, in its order, in this process."""
    master, submission = assignments.read(MASTER), assignments.read(MASTER)
    (cell,) = (one for one in submission["cells"] if one["id"] == task)
    assert right in assignments.source(cell)
    cell["source"] = assignments.source(cell).replace(right, wrong)
    names, failed = {"__name__": "__main__"}, {}
    for kind, name, code in assignments.for_grading(master, submission):
        if name == "bootstrap" or "figures.sheet" in code:
            continue
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
    chosen = ("no epsilon", "the data's statistics", "one too late", "toward zero")
    for task, right, wrong, _ in (MISTAKES[name] for name in chosen):
        (cell,) = (one for one in submission["cells"] if one["id"] == task)
        cell["source"] = assignments.source(cell).replace(right, wrong)
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
