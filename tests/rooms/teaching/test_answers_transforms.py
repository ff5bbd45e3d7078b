"""Answers to the tasks on AdaIN: for any style, with a strength, and for several styles."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import enough, judge, parameters
from torch import nn

from course_lib.networks import feature_transforms
from course_lib.teaching import assignments, checks

MASTER = Path(__file__).resolve().parents[3] / "notebooks" / "assignments" / "masters" / "08_any_style.ipynb"


def moments(f, axes=(2, 3), correction=1, eps=1e-5):
    return f.mean(axes, keepdim=True), (f.var(axes, keepdim=True, correction=correction) + eps).sqrt()


def adain(x, y, of=moments):
    (m, s), (mean, spread) = of(x), of(y)
    return (x - m) / s * spread + mean


def outside(x, y):
    """ε added to the standard deviations, whose derivative PyTorch sets to 0 where they are 0."""
    return (x - x.mean((2, 3), keepdim=True)) / (x.std((2, 3), keepdim=True) + 1e-6) * y.std(
        (2, 3), keepdim=True
    ) + y.mean((2, 3), keepdim=True)


def looped(x, y):
    """Picture by picture and channel by channel."""
    y = y.expand(len(x), -1, -1, -1)
    rows = [
        torch.stack([
            (a - a.mean()) / (a.var(correction=0) + 1e-5) ** 0.5 * (b.var(correction=0) + 1e-5) ** 0.5 + b.mean()
            for a, b in zip(one, other, strict=True)
        ])
        for one, other in zip(x, y, strict=True)
    ]  # fmt: skip
    return torch.stack(rows)


def flat(x, y):
    a, b = x.flatten(2), y.flatten(2)
    scale = (b.var(2, keepdim=True) + 1e-5).sqrt() / (a.var(2, keepdim=True) + 1e-5).sqrt()
    return ((a - a.mean(2, keepdim=True)) * scale + b.mean(2, keepdim=True)).view_as(x)


def as_affine(x, y):
    """A scale and a shift for each channel."""
    (m, s), (mean, spread) = moments(x), moments(y)
    scale = spread / s
    return x * scale + (mean - m * scale)


def in_place(x, y):
    m, s = moments(x)
    x -= m
    x /= s
    x *= moments(y)[1]
    x += moments(y)[0]
    return x


class AdaIN(nn.Module):
    def forward(self, x, y):
        return F.instance_norm(x) * moments(y)[1] + moments(y)[0]


def without_eps(x, y):
    return adain(x, y, partial(moments, eps=0))


def asked(x, y):
    """A channel that is 0 everywhere is left out, but the square root is still taken."""
    (m, s), (mean, spread) = moments(x, eps=0), moments(y)
    return torch.where(s > 0, (x - m) / s, 0) * spread + mean


def first_alone(x, y):
    return torch.cat([adain(x[:1], y[:1]), adain(x[1:], y[:1])])


def need_pairs(x, y):
    return torch.stack([adain(x[n][None], y[n][None])[0] for n in range(len(x))])


def strict_pairs(x, y):
    return torch.cat([adain(a[None], b[None]) for a, b in zip(x, y, strict=True)])


def by_numpy(x, y):
    a, b = x.numpy(), y.numpy()
    scale = b.std((2, 3), keepdims=True) / (a.std((2, 3), keepdims=True) + 1e-6)
    return torch.from_numpy((a - a.mean((2, 3), keepdims=True)) * scale + b.mean((2, 3), keepdims=True))


CHECK = checks.check_adain_for_any_style
ADAIN = [
    (CHECK, "the port: M − 1, ε under the root", adain, None),
    (CHECK, "the authors: M", lambda x, y: adain(x, y, partial(moments, correction=0)), None),
    (CHECK, "M and M − 1 mixed", lambda x, y: F.instance_norm(x) * moments(y)[1] + moments(y)[0], None),
    (CHECK, "a module", AdaIN(), None),
    (CHECK, "ε outside of the root, std", outside, None),
    (CHECK, "loops", looped, None),
    (CHECK, "flat", flat, None),
    (CHECK, "a scale and a shift", as_affine, None),
    (CHECK, "in place", in_place, None),
    (CHECK, "float64", lambda x, y: adain(x.double(), y.double()), None),
    (CHECK, "variance clamped", lambda x, y: adain(x, y, lambda f: (moments(f)[0],
        f.var((2, 3), keepdim=True).clamp_min(1e-5).sqrt())), None),
    (CHECK, "the library's", feature_transforms.adain, None),
    (CHECK, "no ε", without_eps, "not finite; what is that channel divided by"),
    (CHECK, "NaN replaced", lambda x, y: torch.nan_to_num(without_eps(x, y)), "0 everywhere, the result is not the"),
    (CHECK, "ε outside of the root, var", lambda x, y: adain(x, y, lambda f: (moments(f)[0],
        f.var((2, 3), keepdim=True).sqrt() + 1e-5)), "how steep is a square root at 0"),
    (CHECK, "dead channels left out", asked, "how steep is a square root at 0"),
    (CHECK, "too large an ε", lambda x, y: adain(x, y, partial(moments, eps=1e-2)), "where the content varies little"),
    (CHECK, "statistics of the batch", lambda x, y: adain(x, y, partial(moments, axes=(0, 2, 3))), "other pictures"),
    (CHECK, "the style's statistics over the batch", lambda x, y: (x - moments(x)[0]) / moments(x)[1]
        * moments(y, (0, 2, 3))[1] + moments(y, (0, 2, 3))[0], "other pictures"),
    (CHECK, "batch norm", lambda x, y: F.batch_norm(x, None, None, training=True) * moments(y)[1] + moments(y)[0],
        "the mean of a channel|spread of a channel"),
    (CHECK, "the first style for all", first_alone, "statistics of the first style"),
    (CHECK, "all channels together", lambda x, y: adain(x, y, partial(moments, axes=(1, 2, 3))), "each channel needs"),
    (CHECK, "layer norm", lambda x, y: F.layer_norm(x, x.shape[1:]) * moments(y, (1, 2, 3))[1]
        + moments(y, (1, 2, 3))[0], "each channel needs its own"),
    (CHECK, "all numbers together", lambda x, y: adain(x, y, lambda f: (f.mean(), f.std())), "the whole batch"),
    (CHECK, "over the channels", lambda x, y: adain(x, y, partial(moments, axes=(1,))), "which of the four axes"),
    (CHECK, "over the rows", lambda x, y: adain(x, y, partial(moments, axes=(2,))), "which of the four axes"),
    (CHECK, "over the pictures", lambda x, y: adain(x, y, partial(moments, axes=(0,))), "which of the four axes"),
    (CHECK, "exchanged", lambda x, y: adain(y, x), "which of the two keeps its arrangement"),
    (CHECK, "means only", lambda x, y: x - moments(x)[0] + moments(y)[0], "deviations are still the content's"),
    (CHECK, "spreads only", lambda x, y: adain(x, y) - moments(y)[0] + moments(x)[0], "means are still the content's"),
    (CHECK, "mean and spread exchanged", lambda x, y: adain(x, y, lambda f: moments(f)[::-1]),
        "the mean of a channel|spread of a channel"),
    (CHECK, "the style's mean and spread exchanged", lambda x, y: F.instance_norm(x) * moments(y)[0] + moments(y)[1],
        "of the style are exchanged"),
    (CHECK, "normalized only", lambda x, y: F.instance_norm(x), "where does the style come in"),
    (CHECK, "variances", lambda x, y: adain(x, y, lambda f: (moments(f)[0], moments(f)[1] ** 2)),
        "the spread of a channel"),
    (CHECK, "content not centered", lambda x, y: x / moments(x)[1] * moments(y)[1] + moments(y)[0],
        "the mean of a channel"),
    (CHECK, "the content", lambda x, y: x, "content comes back"),
    (CHECK, "the style", lambda x, y: y, "style comes back"),
    (CHECK, "the values sorted", lambda x, y: adain(x.flatten(2).sort(2).values.view_as(x), y), "keep the spatial"),
    (CHECK, "the style's own arrangement, resized", lambda x, y: adain(F.interpolate(y, x.shape[2:]).expand_as(x), y),
        "style comes back|keep the spatial"),
    (CHECK, "a style for each picture", need_pairs, "one style for two pictures"),
    (CHECK, "a style for each picture, zip", strict_pairs, "one style for two pictures.*ValueError"),
    (CHECK, "the shorter of the two", lambda x, y: adain(x[: len(y)], y),
        "one style for two pictures, the shape"),
    (CHECK, "one size alone", lambda x, y: adain(x, y + 0 * x), "stopped with RuntimeError on input of shape"),
    (CHECK, "without gradients", torch.no_grad()(adain), "no gradient reaches the content"),
    (CHECK, "NumPy", by_numpy, "stopped with RuntimeError"),
    (CHECK, "the style detached", lambda x, y: adain(x, y.detach()), "no gradient reaches the style"),
    (CHECK, "the spread as a constant", lambda x, y: adain(x, y, lambda f: (moments(f)[0], moments(f)[1].detach())),
        "treated as constant"),
    (CHECK, "half precision", lambda x, y: adain(x.half(), y.half()), "float16"),
    (CHECK, "the statistics", lambda x, y: moments(adain(x, y)), "got tuple"),
    (CHECK, "nothing", lambda x, y: None, "does it end in `return`"),
]  # fmt: skip


def stylize(encoder, decoder, content, style, alpha, *, blend=None, transform=adain, end=lambda p: p.clamp(0, 1)):
    f = encoder(content)
    t = transform(f, encoder(style))
    return end(decoder(alpha * t + (1 - alpha) * f if blend is None else blend(t, f, alpha)))


def blended(blend):
    return partial(stylize, blend=blend)


def statistics_blended(encoder, decoder, content, style, alpha):
    """α on the two means and the two spreads: the same, since AdaIN is linear in them."""
    f = encoder(content)
    (m, s), (mean, spread) = moments(f), moments(encoder(style))
    mean, spread = alpha * mean + (1 - alpha) * m, alpha * spread + (1 - alpha) * s
    return decoder((f - m) / s * spread + mean).clip(0, 1)


def with_if(encoder, decoder, content, style, alpha):
    f = encoder(content)
    if alpha > 0:
        f = torch.lerp(f, adain(f, encoder(style)), alpha)
    return torch.clamp(decoder(f), min=0.0, max=1.0)


def in_pixels(encoder, decoder, content, style, alpha):
    return (alpha * stylize(encoder, decoder, content, style, 1) + (1 - alpha) * content).clamp(0, 1)


def two_pictures(encoder, decoder, content, style, alpha):
    full, plain = (stylize(encoder, decoder, content, style, one) for one in (1, 0))
    return alpha * full + (1 - alpha) * plain


def two_pictures_clipped_late(encoder, decoder, content, style, alpha):
    full, plain = (stylize(encoder, decoder, content, style, one, end=lambda p: p) for one in (1, 0))
    return (alpha * full + (1 - alpha) * plain).clamp(0, 1)


def on_pixels(encoder, decoder, content, style, alpha):
    return stylize(encoder, decoder, alpha * adain(content, style) + (1 - alpha) * content, style, 0)


def twice(encoder, decoder, content, style, alpha):
    """A second round, on what the first gave."""
    return stylize(encoder, decoder, stylize(encoder, decoder, content, style, alpha), style, alpha)


def normalized(encoder, decoder, content, style, alpha):
    return stylize(lambda p: encoder((p - 0.45) / 0.225), decoder, content, style, alpha)


def by_255(encoder, decoder, content, style, alpha):
    return stylize(lambda p: encoder(255 * p), decoder, content, style, alpha)


def rescaled(picture):
    return (picture - picture.min()) / (picture.max() - picture.min())


CHECK = checks.check_strength
STRENGTH = [
    (CHECK, "as in the paper", stylize, None),
    (CHECK, "no gradients", torch.no_grad()(stylize), None),
    (CHECK, "lerp", blended(lambda t, f, a: torch.lerp(f, t, a)), None),
    (CHECK, "a step towards the style", blended(lambda t, f, a: f + a * (t - f)), None),
    (CHECK, "the statistics blended", statistics_blended, None),
    (CHECK, "no style at 0", with_if, None),
    (CHECK, "divided by M", partial(stylize, transform=lambda x, y: adain(x, y, partial(moments, correction=0))), None),
    (CHECK, "minimum and maximum", partial(stylize, end=lambda p: p.minimum(torch.ones(())).maximum(torch.zeros(()))),
        None),
    (CHECK, "float64", partial(stylize, end=lambda p: p.double().clamp(0, 1)), None),
    (CHECK, "in pixels", in_pixels, "do you blend pictures, or features"),
    (CHECK, "two decoded pictures", two_pictures, "two pictures after the decoder"),
    (CHECK, "two decoded pictures, clipped late", two_pictures_clipped_late, "two pictures after the decoder"),
    (CHECK, "alpha and 1 − alpha exchanged", blended(lambda t, f, a: (1 - a) * t + a * f), "which end is which"),
    (CHECK, "no alpha", blended(lambda t, f, a: t), "alpha has no effect"),
    (CHECK, "all or nothing", blended(lambda t, f, a: t if a >= 0.5 else f), "the same picture as alpha = 1"),
    (CHECK, "rounded down", blended(lambda t, f, a: int(a) * t + (1 - int(a)) * f),
        "the same picture as alpha = 0"),
    (CHECK, "exchanged between the ends", blended(lambda t, f, a: t if a == 1 else f if a == 0
        else (1 - a) * t + a * f),
        "exchanged: alpha = 0.25"),
    (CHECK, "alpha times the style alone", blended(lambda t, f, a: a * t), "what takes the place of the style"),
    (CHECK, "squared", blended(lambda t, f, a: a**2 * t + (1 - a**2) * f), "not the decoded blend"),
    (CHECK, "the sum of both", blended(lambda t, f, a: a * t + f), "not the decoded AdaIN"),
    (CHECK, "content and style exchanged", lambda e, d, c, s, a: stylize(e, d, s, c, a), "must be a picture"),
    (CHECK, "AdaIN exchanged", partial(stylize, transform=lambda x, y: adain(y, x)), "stopped with RuntimeError"),
    (CHECK, "AdaIN of the pictures", on_pixels, "of the pictures, not of their features"),
    (CHECK, "no ε", partial(stylize, transform=without_eps), "not finite"),
    (CHECK, "AdaIN writes into the photo's features", partial(stylize, transform=in_place), "alpha has no effect"),
    (CHECK, "means only", partial(stylize, transform=lambda x, y: x - moments(x)[0] + moments(y)[0]), "your `adain`"),
    (CHECK, "no AdaIN", partial(stylize, transform=lambda x, y: x), "which end is which"),
    (CHECK, "the content", lambda e, d, c, s, a: c, "did not call the encoder"),
    (CHECK, "the content after all", lambda e, d, c, s, a: (e(c), c)[1], "the photograph itself; no style"),
    (CHECK, "two rounds", twice, "not the decoded AdaIN"),
    (CHECK, "not clipped", partial(stylize, end=lambda p: p), "can leave that range"),
    (CHECK, "a sigmoid", partial(stylize, end=torch.sigmoid), "already inside have changed"),
    (CHECK, "rescaled", partial(stylize, end=rescaled), "already inside have changed"),
    (CHECK, "normalized before the encoder", normalized, "not with the unchanged content"),
    (CHECK, "0 to 255", by_255, "not with the unchanged content"),
    (CHECK, "features", lambda e, d, c, s, a: adain(e(c), e(s)), "must be a picture"),
    (CHECK, "the pictures as a batch", lambda e, d, c, s, a: e(torch.cat([c, s])), "stopped with RuntimeError"),
    (CHECK, "a list", lambda *given: [stylize(*given)], "got list"),
    (CHECK, "nothing", lambda *given: None, "does it end in `return`"),
]  # fmt: skip


def mix(x, styles, weights):
    return sum(w / sum(weights) * adain(x, y) for w, y in zip(weights, styles, strict=True))


def shares(weights):
    w = torch.as_tensor(weights, dtype=torch.float32)
    return w / w.sum()


def stacked(x, styles, weights):
    return torch.einsum("k,knchw->nchw", shares(weights), torch.stack([adain(x, y) for y in styles]))


def statistics_mixed(x, styles, weights):
    pairs = [moments(y) for y in styles]
    mean = sum(w * m for w, (m, _) in zip(shares(weights), pairs, strict=True))
    spread = sum(w * s for w, (_, s) in zip(shares(weights), pairs, strict=True))
    return (x - moments(x)[0]) / moments(x)[1] * spread + mean


def averaged(x, styles, weights):
    return torch.from_numpy(np.average([adain(x, y).numpy() for y in styles], axis=0, weights=weights))


def added_up(x, styles, weights):
    out = torch.zeros_like(x)
    while styles:  # takes the lists apart
        out += weights.pop() * adain(x, styles.pop()) / 1.0
        weights.append(0)
        weights.pop()
    return out


def by_and_by(x, styles, weights):
    out, total = x, 0.0
    for w, y in zip(weights, styles, strict=True):
        total += w
        out = torch.lerp(out, adain(x, y), w / total) if total else out
    return out


def in_turn(x, styles, weights):
    for y in styles:
        x = adain(x, y)
    return x


def variances_mixed(x, styles, weights):
    pairs = [moments(y) for y in styles]
    mean = sum(w * m for w, (m, _) in zip(shares(weights), pairs, strict=True))
    variance = sum(w * s**2 for w, (_, s) in zip(shares(weights), pairs, strict=True))
    return (x - moments(x)[0]) / moments(x)[1] * variance.sqrt() + mean


def together(x, styles, weights):
    return adain(x, torch.cat([y.flatten(2) for y in styles], 2)[..., None])


def weighted(how):
    return lambda x, styles, weights: sum(
        w * adain(x, y) for w, y in zip(how(torch.as_tensor(weights).float()), styles, strict=True)
    )


def summed_styles(x, styles, weights):
    return adain(x, sum(w * y for w, y in zip(shares(weights), styles, strict=True)))


def random_style(x, styles, weights):
    return adain(x, styles[max(range(len(styles)), key=lambda k: weights[k])])


CHECK = checks.check_style_mixture
MIXTURE = [
    (CHECK, "as in the paper", mix, None),
    (CHECK, "einsum", stacked, None),
    (CHECK, "the statistics mixed", statistics_mixed, None),
    (CHECK, "NumPy", averaged, None),
    (CHECK, "by and by", by_and_by, None),
    (CHECK, "float64", lambda x, s, w: mix(x.double(), [y.double() for y in s], w), None),
    (CHECK, "divided at the end", lambda x, s, w: weighted(lambda w: w)(x, s, w) / sum(w), None),
    (CHECK, "divided by M", lambda x, s, w: sum(v * adain(x, y, partial(moments, correction=0))
        for v, y in zip(shares(w), s, strict=True)), None),
    (CHECK, "not divided by the sum", weighted(lambda w: w), "only their ratio counts"),
    (CHECK, "not divided, from behind", added_up, "only their ratio counts"),
    (CHECK, "by the number of styles", weighted(lambda w: w / len(w)), "divided by the number of styles"),
    (CHECK, "softmax", weighted(lambda w: w.softmax(0)), "through an exponential"),
    (CHECK, "equal", weighted(lambda w: torch.ones(len(w)) / len(w)), "every style counts the same"),
    (CHECK, "from behind", lambda x, s, w: mix(x, s, w[::-1]), "to the wrong styles"),
    (CHECK, "by the largest", weighted(lambda w: w / w.max()), "not the weighted sum"),
    (CHECK, "by the norm", weighted(lambda w: w / w.norm()), "not the weighted sum"),
    (CHECK, "squared", weighted(lambda w: w**2 / (w**2).sum()), "not the weighted sum"),
    (CHECK, "in turn", in_turn, "only the last style counts"),
    (CHECK, "the first alone", lambda x, s, w: adain(x, s[0]), "only the first style counts"),
    (CHECK, "the heaviest alone", random_style, "only the last style counts"),
    (CHECK, "the variances mixed", variances_mixed, "the variances are mixed"),
    (CHECK, "all styles as one", together, "whatever the weights"),
    (CHECK, "the styles added", summed_styles, "added position by position"),
    (CHECK, "only two", lambda x, s, w: mix(x, s[:2], w[:2]), "with three styles"),
    (CHECK, "the content counts too", lambda x, s, w: (mix(x, s, w) + x) / 2, "with style 0 alone"),
    (CHECK, "the content", lambda x, s, w: x, "with style 0 alone"),
    (CHECK, "the styles", lambda x, s, w: s[0], "not its AdaIN|the shape must be"),
    (CHECK, "a list", lambda x, s, w: [adain(x, y) for y in s], "got list"),
    (CHECK, "nothing", lambda x, s, w: None, "does it end in `return`"),
]  # fmt: skip
TABLE = [*ADAIN, *STRENGTH, *MIXTURE]


@pytest.mark.parametrize(("check", "name", "answer", "said"), parameters(TABLE))
def test_an_answer_gets_what_it_deserves(check, name, answer, said, capsys):
    judge(check, answer, said, capsys)


def test_each_check_has_many_answers():
    assert enough(TABLE) == set()


@pytest.mark.parametrize("check", [checks.check_adain_for_any_style, checks.check_strength, checks.check_style_mixture])
def test_an_empty_answer_is_told_so(check):
    def empty(*_):
        raise NotImplementedError

    with pytest.raises(checks.CheckFailed, match="still empty"):
        check(empty)


def hidden_test(grade_id, **answers):
    """Run a test of the assignment, with its hidden part, on these answers."""
    (cell,) = (one for one in assignments.read(MASTER)["cells"] if assignments.marks(one).get("grade_id") == grade_id)
    assert "HIDDEN" in assignments.source(cell)
    exec(assignments.source(cell), {"checks": checks, "torch": torch, "adain": adain, **answers})


RIGHT = [("test_adain", row, "adain") for row in ADAIN] + [("test_mixture", row, "mixture") for row in MIXTURE]
RIGHT = [(test, name, row[2]) for test, row, name in RIGHT if row[3] is None]


@pytest.mark.parametrize(("test", "name", "answer"), RIGHT)
def test_right_answers_pass_the_hidden_tests_too(test, name, answer):
    hidden_test(test, **{name: answer})


@pytest.mark.parametrize("correction", [0, 1])
def test_both_ways_to_divide_pass_the_hidden_test_of_the_statistics(correction):
    hidden_test("test_channel_statistics", channel_statistics=partial(moments, correction=correction))


def test_hidden_tests_find_what_the_checks_leave_open():
    """A function that computes right values for the sizes of the check only."""
    with pytest.raises(AssertionError, match="stripes of 10 and 30"):
        hidden_test("test_adain", adain=lambda x, y: adain(x, y) if x.shape[1] == 3 else x)
    with pytest.raises(AssertionError, match="its own style"):
        hidden_test("test_mixture", mixture=lambda x, s, w: mix(x, s, w) if x.shape[1] == 3 else x)
