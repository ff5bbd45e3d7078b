"""Answers to the tasks on color and place: matched colors, guided Gram matrices, and styles of regions."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import enough, judge, parameters
from torch import nn

from course_lib import VGGFeatures, colors
from course_lib.losses import SIZE_INDEPENDENT, gram_matrix, style_loss
from course_lib.losses import guided as library
from course_lib.losses.guided_masks import propagate
from course_lib.teaching import assignments, checks

MASTER = Path(__file__).resolve().parents[3] / "notebooks" / "assignments" / "masters" / "09_color_and_place.ipynb"
EPS = 1e-5


# --- 1. colors: any root of the covariance
def moments(picture):
    c = picture.flatten(2)[0]  # (3, M)
    mean = c.mean(1, keepdim=True)
    return c, mean, (c - mean) @ (c - mean).T / c.shape[1] + EPS * torch.eye(3)


def power(matrix, exponent):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp_min(EPS) ** exponent) @ vectors.T


def pca(s, t):
    return power(t, 0.5) @ power(s, -0.5)


def cholesky(s, t):
    return torch.linalg.cholesky(t) @ torch.linalg.inv(torch.linalg.cholesky(s))


def monge(s, t):
    return power(s, -0.5) @ power(power(s, 0.5) @ t @ power(s, 0.5), 0.5) @ power(s, -0.5)


def matched(matrix, *, clip=False):
    """x → A (x − μ) + μ', with A from the two covariances."""

    def answer(picture, target):
        (c, mean, s), (_, mean_t, t) = moments(picture), moments(target)
        out = (matrix(s, t) @ (c - mean) + mean_t).view_as(picture)
        return out.clamp(0, 1) if clip else out

    return answer


def rotated(turn):
    return lambda s, t: power(t, 0.5) @ turn @ power(s, -0.5)


ABOUT_GRAY = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def axes(s, t):
    """The main axes of one cloud of colors onto those of the other one; their signs are arbitrary."""
    (small, u), (large, v) = torch.linalg.eigh(s), torch.linalg.eigh(t)
    return v @ torch.diag((large.clamp_min(EPS) / small.clamp_min(EPS)).sqrt()) @ u.T


def in_rows(picture, target):
    """Colors as rows, the unbiased covariance, float64."""
    a, b = (x[0].permute(1, 2, 0).reshape(-1, 3).double() for x in (picture, target))
    s, t = (torch.cov(x.T) + EPS * torch.eye(3) for x in (a, b))
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(s), (a - a.mean(0)).T, upper=False)
    out = (torch.linalg.cholesky(t) @ white).T + b.mean(0)
    return out.T.reshape(picture.shape)


def by_numpy(picture, target):
    a, b = (x[0].reshape(3, -1).numpy().astype(np.float64) for x in (picture, target))

    def root(c, exponent):
        u, d, _ = np.linalg.svd(np.cov(c) + EPS * np.eye(3))
        return u @ np.diag(d**exponent) @ u.T

    out = root(b, 0.5) @ root(a, -0.5) @ (a - a.mean(1, keepdims=True)) + b.mean(1, keepdims=True)
    return torch.from_numpy(out).view_as(picture)


def in_place(picture, target):
    _, mean, s = moments(picture)
    _, mean_t, t = moments(target)
    picture -= mean.view(1, 3, 1, 1)
    out = torch.einsum("ij,njhw->nihw", pca(s, t), picture)
    out += mean_t.view(1, 3, 1, 1)
    return out


def einsum_of_first(picture, target):
    _, mean, s = moments(picture)
    return torch.einsum("ij,njhw->nihw", pca(s, moments(target)[2]), picture - mean.view(1, 3, 1, 1))


def channelwise(picture, target):
    axes = (2, 3)
    scale = target.std(axes, keepdim=True) / picture.std(axes, keepdim=True).clamp_min(1e-3)
    return (picture - picture.mean(axes, keepdim=True)) * scale + target.mean(axes, keepdim=True)


def no_eps(picture, target):
    a, b = (x.flatten(2)[0] for x in (picture, target))
    s, t = torch.cov(a), torch.cov(b)
    matrix = torch.linalg.cholesky(t) @ torch.linalg.inv(torch.linalg.cholesky(s))
    return (matrix @ (a - a.mean(1, keepdim=True)) + b.mean(1, keepdim=True)).view_as(picture)


def eps_for_the_picture(picture, target):
    c, mean, s = moments(picture)
    b = target.flatten(2)[0]
    matrix = torch.linalg.cholesky(torch.cov(b)) @ torch.linalg.inv(torch.linalg.cholesky(s))
    return (matrix @ (c - mean) + b.mean(1, keepdim=True)).view_as(picture)


def noise_of_these_colors(picture, target):
    """The right mean and covariance, but nothing of the picture."""
    c = torch.randn(3, picture[0, 0].numel(), generator=torch.Generator().manual_seed(0))
    return matched(pca)(c.view_as(picture) * 0.2 + 0.5, target)


def shuffled(picture, target):
    return matched(pca)(picture, target).flatten(2).flip(2).view_as(picture)


def ranks(picture, target):
    """Each channel gets the target's own values, in the order of the picture's (a histogram)."""
    order = picture.flatten(2).argsort(2).argsort(2)
    values = target.flatten(2).sort(2).values
    positions = order * (values.shape[2] - 1) // (order.shape[2] - 1)
    return values.gather(2, positions).view_as(picture)


def second_moments(picture, target):
    a, b = (x.flatten(2)[0] for x in (picture, target))
    s, t = (x @ x.T / x.shape[1] + EPS * torch.eye(3) for x in (a, b))
    return (pca(s, t) @ a).view_as(picture)


def sums(picture, target):
    """Sums of products, which count the pixels."""
    (c, mean, s), (b, mean_t, t) = moments(picture), moments(target)
    return (pca(s * c.shape[1], t * b.shape[1]) @ (c - mean) + mean_t).view_as(picture)


CHECK = checks.check_color_match
COLORS = [
    (CHECK, "symmetric roots", matched(pca), None),
    (CHECK, "Cholesky", matched(cholesky), None),
    (CHECK, "optimal transport", matched(monge), None),
    (CHECK, "main axes", matched(axes), None),
    (CHECK, "channels exchanged between the roots", matched(rotated(ABOUT_GRAY)), None),
    (CHECK, "mirrored between the roots", matched(rotated(torch.diag(torch.tensor([1.0, 1.0, -1.0])))), None),
    (CHECK, "rows, M − 1, float64", in_rows, None),
    (CHECK, "NumPy and its singular values", by_numpy, None),
    (CHECK, "in place", in_place, None),
    (CHECK, "the library's", colors.match_colors, None),
    (CHECK, "the library's Cholesky", partial(colors.match_colors, method="cholesky"), None),
    (CHECK, "the library's transport", partial(colors.match_colors, method="monge"), None),
    (CHECK, "the picture", lambda p, t: p, "comes back unchanged"),
    (CHECK, "the target", lambda p, t: t, "must give the picture's shape"),
    (CHECK, "exchanged", lambda p, t: matched(pca)(t, p), "must give the picture's shape"),
    (CHECK, "the means alone", matched(lambda s, t: torch.eye(3)), "covariance is still that of the picture"),
    (CHECK, "the target's mean forgotten", einsum_of_first, "the mean of green is -?0.000, that of the target"),
    (CHECK, "each channel by itself", channelwise, "vary together differently: their correlation is"),
    (CHECK, "a histogram for each channel", ranks, "vary together differently|one matrix for all"),
    (CHECK, "clipped", matched(pca, clip=True), "colors outside [0, 1] were clipped"),
    (CHECK, "clipped Cholesky", matched(cholesky, clip=True), "colors outside [0, 1] were clipped"),
    (CHECK, "no roots", matched(lambda s, t: t @ torch.linalg.inv(s)), "the variance of"),
    (CHECK, "roots of the entries", matched(lambda s, t: t.abs().sqrt() @ torch.linalg.inv(s.abs().sqrt())),
        "the variance of"),
    (CHECK, "one root", matched(lambda s, t: power(t, 0.5) @ torch.linalg.inv(s)), "the variance of"),
    (CHECK, "whitened only", matched(lambda s, t: power(s, -0.5)), "the variance of"),
    (CHECK, "from behind", matched(lambda s, t: power(s, -0.5) @ power(t, 0.5)), "the variance of|vary together"),
    (CHECK, "Cholesky, transposed", matched(lambda s, t: cholesky(s, t).T), "the variance of"),
    (CHECK, "the upper triangle of the target", matched(lambda s, t: torch.linalg.cholesky(t).T
        @ torch.linalg.inv(torch.linalg.cholesky(s))), "the variance of"),
    (CHECK, "the inverse matrix", matched(lambda s, t: pca(t, s)), "the variance of"),
    (CHECK, "too large an ε", matched(lambda s, t: pca(s + 0.01 * torch.eye(3), t)), "the variance of|vary together"),
    (CHECK, "second moments", second_moments, "the mean of"),
    (CHECK, "sums instead of means", sums, "the variance of green is 0.468"),
    (CHECK, "noise", noise_of_these_colors, "one matrix for all pixels"),
    (CHECK, "pixels moved", shuffled, "does each pixel stay where it is"),
    (CHECK, "no ε", no_eps, "for a gray picture, the function stopped with"),
    (CHECK, "ε for the picture alone", eps_for_the_picture, "for a target of a single color, the function stopped"),
    (CHECK, "half precision", lambda p, t: matched(pca)(p, t).half(), "float16"),
    (CHECK, "the matrix", lambda p, t: pca(moments(p)[2], moments(t)[2]), "must give the picture's shape"),
    (CHECK, "nothing", lambda p, t: None, "does it end in `return`"),
]  # fmt: skip


# --- 2. guided Gram matrices
def guided_gram(features, guide):
    t = guide / guide.square().sum().sqrt()
    f = (features * t).flatten(2)
    return f @ f.transpose(1, 2)


def guided_by(weights):
    """Σ w_k F_k F_kᵀ with some w of the guide."""
    return lambda f, t: torch.einsum("nchw,ndhw,nehw->ncd", f, f, weights(t))


def shares(guide):
    return guide.square() / guide.square().sum()


def looped(features, guide):
    out = torch.zeros(1, features.shape[1], features.shape[1])
    total = guide.square().sum()
    for y in range(features.shape[2]):
        for x in range(features.shape[3]):
            column = features[0, :, y, x]
            out[0] += guide[0, 0, y, x] ** 2 / total * torch.outer(column, column)
    return out


def by_norm(features, guide):
    f = features.flatten(2) * F.normalize(guide.flatten(2), dim=2)
    return torch.bmm(f, f.mT)


def inside_alone(features, guide):
    """Only the positions where the guide is not 0."""
    where = guide[0, 0] > 0
    t = guide[0, 0][where]
    f = features[0][:, where] * (t / t.norm())
    return (f @ f.T)[None]


def guided_in_place(features, guide):
    features *= guide
    features /= guide.pow(2).sum() ** 0.5
    return gram_matrix(features)


def guided_by_numpy(features, guide):
    f, t = features[0].flatten(1).numpy(), guide.flatten().numpy()
    return torch.from_numpy(np.cov(f, bias=True, aweights=t**2) + 0 * f[:1, :1])[None]  # centered: a mistake


class Guided(nn.Module):
    def forward(self, features, guide):
        return guided_gram(features.double(), guide.double())


CHECK = checks.check_guided_gram
GRAMS = [
    (CHECK, "as in the paper", guided_gram, None),
    (CHECK, "einsum", guided_by(shares), None),
    (CHECK, "loops", looped, None),
    (CHECK, "normalize", by_norm, None),
    (CHECK, "only inside", inside_alone, None),
    (CHECK, "in place", guided_in_place, None),
    (CHECK, "a module, float64", Guided(), None),
    (CHECK, "divided at the end", lambda f, t: gram_matrix(f * t) / t.square().sum(), None),
    (CHECK, "the library's, whose region is T²", lambda f, t: library.guided_gram(f, t.square()), None),
    (CHECK, "not divided", lambda f, t: gram_matrix(f * t), "every entry is 18 times"),
    (CHECK, "divided by the positions", lambda f, t: gram_matrix(f * t, mean=True), "every entry is 0.375 times"),
    (CHECK, "the sum is 1", lambda f, t: gram_matrix(f * (t / t.sum())), "every entry is 0.0556 times"),
    (CHECK, "divided by the largest", lambda f, t: gram_matrix(f * (t / t.max())), "every entry is 18 times"),
    (CHECK, "the root forgotten", lambda f, t: gram_matrix(f * (t / t.square().sum())), "0.0556 times"),
    (CHECK, "divided by the sum of T", lambda f, t: gram_matrix(f * t) / t.sum(), "a guide ten times as large"),
    (CHECK, "T once", guided_by(lambda t: t / t.sum()), "by which power of T"),
    (CHECK, "T once more", guided_by(lambda t: shares(t.square())), "does the guide enter twice"),
    (CHECK, "T as it is, by its squares", lambda f, t: gram_matrix(f * t.sqrt()) / t.sum(), "by which power of T"),
    (CHECK, "no guide", lambda f, t: gram_matrix(f, mean=True), "the guide has no effect"),
    (CHECK, "no guide, a sum", lambda f, t: gram_matrix(f), "the guide has no effect"),
    (CHECK, "outside", lambda f, t: guided_gram(f, t.max() - t), "positions outside the region"),
    (CHECK, "a hard border", lambda f, t: guided_gram(f, (t > 0.5).float()), "as if it were 0 or 1"),
    (CHECK, "the positions inside, all alike", lambda f, t: gram_matrix(f[:, :, t[0, 0] > 0][..., None], mean=True),
        "as if it were 0 or 1"),
    (CHECK, "centered", lambda f, t: guided_gram(f - f.mean((2, 3), keepdim=True), t), "mean of each channel"),
    (CHECK, "centered in the region", guided_by_numpy, "not the guided sums of products"),
    (CHECK, "over the positions", lambda f, t: (f * t).flatten(2).mT @ (f * t).flatten(2), "the shape must be"),
    (CHECK, "transposed guide", lambda f, t: guided_gram(f, t.reshape(1, 1, t.shape[3], t.shape[2]).mT),
        "not the guided sums|outside"),
    (CHECK, "one matrix, no batch", lambda f, t: guided_gram(f, t)[0], "the shape must be"),
    (CHECK, "guided features", lambda f, t: f * t, "the shape must be"),
    (CHECK, "half precision", lambda f, t: guided_gram(f.half(), t.half()), "float16"),
    (CHECK, "nothing", lambda f, t: None, "does it end in `return`"),
]  # fmt: skip


# --- 3. the loss of several regions
def distance(gram, target):
    return (gram - target).square().sum() / (4 * gram.shape[-1] ** 2)


def mean(parts):
    return sum(parts) / len(parts)


def guided_style(features, guides, targets, *, of=guided_gram, apart=distance, join=mean):
    return join([apart(of(features, t), a) for t, a in zip(guides, targets, strict=True)])


def one_product(features, guides, targets):
    """All regions in one batch."""
    t = torch.cat(list(guides))
    f = (features * t / t.square().sum((2, 3), keepdim=True).sqrt()).flatten(2)
    return (f @ f.mT - torch.cat(list(targets))).square().mean() / 4


def counted(features, guides, targets):
    total = 0.0
    for k in range(len(guides)):
        difference = guided_gram(features, guides[k]) - targets[k]
        total = total + torch.linalg.norm(difference) ** 2 / (4.0 * features.size(1) ** 2 * len(guides))
    return total


def popped(features, guides, targets):
    count, total = len(guides), torch.zeros(())
    while guides:
        total = total + F.mse_loss(guided_gram(features, guides.pop()), targets.pop()) / 4
    return total / count


def from_plain(features, guides, targets):
    return torch.stack([style_loss(features * guide / guide.square().mean().sqrt(), target, SIZE_INDEPENDENT)
                        for guide, target in zip(guides, targets, strict=True)]).mean()  # fmt: skip


def by_area(features, guides, targets):
    areas = [t.sum() for t in guides]
    parts = [distance(guided_gram(features, t), a) for t, a in zip(guides, targets, strict=True)]
    return sum(p * w for p, w in zip(parts, areas, strict=True)) / sum(areas)


def summed_first(features, guides, targets):
    return distance(sum(guided_gram(features, t) for t in guides), sum(targets))


def averaged_first(features, guides, targets):
    return summed_first(features, guides, targets) / len(guides) ** 2


def normalized_targets(features, guides, targets):
    return guided_style(features, guides, [a / a.norm() for a in targets])


def anywhere(features, guides, targets):
    """Also the positions in no region, with a share that the value hardly shows."""
    return guided_style(features, guides, targets) + 1e-11 * features.sum()


CHECK = checks.check_guided_style
STYLES = [
    (CHECK, "as in the paper", guided_style, None),
    (CHECK, "one product", one_product, None),
    (CHECK, "counted", counted, None),
    (CHECK, "the lists taken apart", popped, None),
    (CHECK, "from the plain loss", from_plain, None),
    (CHECK, "float64", lambda f, *lists: guided_style(f.double(), *([x.double() for x in one] for one in lists)), None),
    (CHECK, "stacked", lambda f, t, a: guided_style(f, t, a, join=lambda p: torch.stack(p).mean()), None),
    (CHECK, "of shape (1,)", lambda f, t, a: guided_style(f, t, a).view(1), None),
    (CHECK, "the sum", partial(guided_style, join=sum), "the losses of the regions are added up"),
    (CHECK, "exchanged", lambda f, t, a: guided_style(f, t, a[::-1]), "which matrix is compared with which target"),
    (CHECK, "the first alone", lambda f, t, a: guided_style(f, t[:1], a[:1]), "the second region has no effect"),
    (CHECK, "the last alone", lambda f, t, a: guided_style(f, t[-1:], a[-1:]), "the first region has no effect"),
    (CHECK, "returned in the loop", lambda f, t, a: guided_style(f, t, a, join=lambda p: p[0] / len(p)),
        "the first region counts half"),
    (CHECK, "overwritten in the loop", lambda f, t, a: guided_style(f, t, a, join=lambda p: p[-1] / len(p)),
        "half as much as it should"),
    (CHECK, "no guides", partial(guided_style, of=lambda f, t: gram_matrix(f, mean=True)),
        "which matrix is compared"),
    (CHECK, "by area", by_area, "larger regions count more"),
    (CHECK, "added first", summed_first, "added up before they are compared"),
    (CHECK, "averaged first", averaged_first, "added up before they are compared"),
    (CHECK, "no quarter", lambda f, t, a: 4 * guided_style(f, t, a), "the value is 4 times"),
    (CHECK, "divided by N", partial(guided_style, apart=lambda g, a: (g - a).square().sum() / (4 * g.shape[1])),
        "the value is 3 times"),
    (CHECK, "divided by M, too", lambda f, t, a: guided_style(f, t, a) / f[0, 0].numel(), "0.02083 times"),
    (CHECK, "not squared", partial(guided_style, apart=lambda g, a: (g - a).abs().sum() / (4 * g.shape[1] ** 2)),
        "times what it should be"),
    (CHECK, "signs cancel", partial(guided_style, apart=lambda g, a: (a - g).sum() / (4 * g.shape[1] ** 2)),
        "times what it should be"),
    (CHECK, "the diagonal alone", partial(guided_style, apart=lambda g, a: distance(
        torch.diag_embed(g.diagonal(dim1=1, dim2=2)), torch.diag_embed(a.diagonal(dim1=1, dim2=2)))),
        "times what it should be"),
    (CHECK, "guides not normalized", partial(guided_style, of=lambda f, t: gram_matrix(f * t)), "is not 0"),
    (CHECK, "targets normalized", normalized_targets, "is not 0"),
    (CHECK, "a number of Python", lambda f, t, a: guided_style(f, t, a).item(), "must return a tensor, got float"),
    (CHECK, "detached", lambda f, t, a: guided_style(f.detach(), t, a), "no gradient reaches the first input"),
    (CHECK, "the matrix as a constant", lambda f, t, a: guided_style(f, t, a).detach() + 0 * f.sum(),
        "the value is right, but its gradient is not"),
    (CHECK, "a trace of all positions", anywhere, "in no region get a gradient"),
    (CHECK, "each region's own", partial(guided_style, join=torch.stack), "must be a single number"),
    (CHECK, "two regions and no more", lambda f, t, a: guided_style(f, t[:2], a[:2]), "with three regions"),
    (CHECK, "three channels and no others", partial(guided_style, apart=lambda g, a: (g - a).square().sum() / 36),
        "with three regions and five channels"),
    (CHECK, "nothing", lambda f, t, a: None, "does it end in `return`"),
]  # fmt: skip


# --- 4. a painting for each region
def area(mask, features):
    return F.interpolate(mask, features.shape[2:], mode="area")


def region_loss(network, layers, masks, paintings, painting_masks, *, at=area, style_at=None, style=guided_style,
                join=mean):  # fmt: skip
    targets = {layer: [] for layer in layers}
    with torch.no_grad():
        for painting, mask in zip(paintings, painting_masks, strict=True):
            for layer, f in network(painting).items():
                if layer in layers:
                    targets[layer].append(guided_gram(f, (style_at or at)(mask, f)))

    def loss(features):
        return join([style(features[x], [at(m, features[x]) for m in masks], targets[x]) for x in layers])

    return loss


def every_time(network, layers, masks, paintings, painting_masks):
    """The targets are computed anew at each step, with gradients: slow, and right."""
    return lambda features: region_loss(network, layers, masks, paintings, painting_masks)(features)


class Loss(nn.Module):
    def __init__(self, *given):
        super().__init__()
        self.loss = region_loss(*given)

    def forward(self, features):
        return self.loss(features)


def propagated(network, layers, masks, paintings, painting_masks, how="simple"):
    """Masks at all layers at once, by the library."""
    at_layers = [propagate(mask, layers, how) for mask in masks]
    style_at_layers = [propagate(mask, layers, how) for mask in painting_masks]
    with torch.no_grad():
        seen = [network(painting) for painting in paintings]
    targets = {x: [guided_gram(f[x], m[x]) for f, m in zip(seen, style_at_layers, strict=True)] for x in layers}
    return lambda f: torch.stack([guided_style(f[x], [m[x] for m in at_layers], targets[x]) for x in layers]).mean()


def resized(**how):
    return lambda mask, f: F.interpolate(mask, size=f.shape[-2:], **how)


def pooled(mask, f):
    return F.adaptive_avg_pool2d(mask, (f.size(2), f.size(3)))


def changed(change):
    """The loss of changed arguments."""
    return lambda *given: region_loss(*change(*given))


def then(change):
    """A changed value."""

    def answer(*given):
        loss = region_loss(*given)
        return lambda features: change(loss(features), features)

    return answer


def stuck(network, layers, masks, paintings, painting_masks):
    """Notes the loss of the first features and returns it for all others."""
    loss, kept = region_loss(network, layers, masks, paintings, painting_masks), []

    def first(features):
        kept.append(loss(features))
        return kept[0]

    return first


def against(network, layers, masks, paintings, painting_masks):
    """The right value, but the gradient points uphill."""
    loss = region_loss(network, layers, masks, paintings, painting_masks)

    def uphill(features):
        value = loss(features)
        return 2 * value.detach() - value

    return uphill


def blended_targets(network, layers, masks, paintings, painting_masks):
    """Every region gets the mean of all styles."""

    def style(f, guides, targets):
        mean = sum(targets) / len(targets)
        return guided_style(f, guides, [mean] * len(targets))

    return region_loss(network, layers, masks, paintings, painting_masks, style=style)


def first_painting(n, layers, m, p, pm):
    return region_loss(n, layers, m, [p[0]] * len(p), [pm[0]] * len(pm))


def worst(parts):
    return torch.stack(parts).max()


CHECK = checks.check_region_loss
REGIONS = [
    (CHECK, "as asked", region_loss, None),
    (CHECK, "every time anew", every_time, None),
    (CHECK, "a module", Loss, None),
    (CHECK, "the library's masks", propagated, None),
    (CHECK, "the library's masks, inside", partial(propagated, how="inside"), None),
    (CHECK, "the library's masks, all", partial(propagated, how="all"), None),
    (CHECK, "masks with soft borders", partial(region_loss, at=resized(mode="bilinear", antialias=True)), None),
    (CHECK, "masks by their nearest pixel", partial(region_loss, at=resized(mode="nearest")), None),
    (CHECK, "bilinear masks", partial(region_loss, at=resized(mode="bilinear", align_corners=False)), None),
    (CHECK, "pooled masks", partial(region_loss, at=pooled), None),
    (CHECK, "hard masks", partial(region_loss, at=lambda m, f: (area(m, f) > 0.5).float()), None),
    (CHECK, "float64", lambda n, layers, m, p, pm: (lambda f: region_loss(n, layers, m, p, pm)(
        {k: x.double() for k, x in f.items()})), None),
    (CHECK, "the paintings exchanged", changed(lambda n, layers, m, p, pm: (n, layers, m, p[::-1], pm[::-1])),
        "each region takes the style of the other one's painting"),
    (CHECK, "the photo's regions exchanged", changed(lambda n, layers, m, p, pm: (n, layers, m[::-1], p, pm)),
        "each region takes the style of the other one's painting"),
    (CHECK, "whole paintings", partial(region_loss, style_at=lambda m, f: torch.ones_like(f[:, :1])),
        "the painting's masks have no effect"),
    (CHECK, "the whole photo", changed(lambda n, layers, m, p, pm: (n, layers, [torch.ones_like(x) for x in m], p, pm)),
        "the photo's masks have no effect"),
    (CHECK, "no masks", partial(region_loss, at=lambda m, f: torch.ones_like(f[:, :1])), "neither the photo's nor"),
    (CHECK, "outside", partial(region_loss, at=lambda m, f: 1 - area(m, f)), "inside and outside are exchanged"),
    (CHECK, "outside the photo's regions", changed(lambda n, layers, m, p, pm: (n, layers, [1 - x for x in m], p, pm)),
        "those inside do not"),
    (CHECK, "all layers", changed(lambda n, layers, m, p, pm: (n, n.layers, m, p, pm)), "all layers of the network"),
    (CHECK, "the first layer", partial(region_loss, join=lambda parts: parts[0]), "only relu1_1 has an effect"),
    (CHECK, "the last layer", partial(region_loss, join=lambda parts: parts[-1]), "only relu3_1 has an effect"),
    (CHECK, "the sum over layers", partial(region_loss, join=sum), "or of the regions, added up"),
    (CHECK, "the worst layer", partial(region_loss, join=worst), "only relu3_1 has|only relu1_1 has"),
    (CHECK, "the regions added up", partial(region_loss, style=partial(guided_style, join=sum)),
        "or of the regions, added up"),
    (CHECK, "every region gets a mixture", blended_targets, "25 steps of descent|is not 0"),
    (CHECK, "the first painting for all", first_painting, "25 steps of descent|is not 0"),
    (CHECK, "uphill", against, "25 steps of descent on your loss bring the first region"),
    (CHECK, "no gradient", then(lambda value, f: value.detach()), "no gradient reaches the features"),
    (CHECK, "a third of the value", then(lambda value, f: value / 3), "0.3333 times"),
    (CHECK, "negative", then(lambda value, f: -value), "must be positive"),
    (CHECK, "the root", then(lambda value, f: value.sqrt()), "times what it should be"),
    (CHECK, "the features of the first call", stuck, "no gradient reaches the features"),
    (CHECK, "masks not resized", partial(region_loss, at=lambda m, f: m), "stopped with RuntimeError"),
    (CHECK, "the number", lambda *given: region_loss(*given)(given[0](given[3][0])), "got Tensor"),
    (CHECK, "two regions and no more", changed(lambda n, layers, m, p, pm: (n, layers, m[:2], p[:2], pm[:2])),
        "with a third region"),
    (CHECK, "nothing", lambda *given: None, "does it end in `return`"),
    (CHECK, "a function of nothing", lambda *given: lambda features: None, "does it end in `return`"),
]  # fmt: skip
TABLE = [*COLORS, *GRAMS, *STYLES, *REGIONS]


@pytest.mark.parametrize(("check", "name", "answer", "said"), parameters(TABLE))
def test_an_answer_gets_what_it_deserves(check, name, answer, said, capsys):
    judge(check, answer, said, capsys)


def test_each_check_has_many_answers():
    assert enough(TABLE) == set()


@pytest.mark.parametrize(
    "check",
    [checks.check_color_match, checks.check_guided_gram, checks.check_guided_style, checks.check_region_loss],
)
def test_an_empty_answer_is_told_so(check):
    def empty(*_):
        raise NotImplementedError

    with pytest.raises(checks.CheckFailed, match="still empty"):
        check(empty)


def hidden_test(grade_id, **answers):
    """Run a test of the assignment, with its hidden part, on these answers."""
    (cell,) = (one for one in assignments.read(MASTER)["cells"] if assignments.marks(one).get("grade_id") == grade_id)
    assert "HIDDEN" in assignments.source(cell)
    exec(assignments.source(cell), {"checks": checks, "torch": torch, "VGGFeatures": VGGFeatures, **answers})


TESTS = [
    ("test_match_colors", "match_colors", COLORS),
    ("test_guided_gram", "guided_gram", GRAMS),
    ("test_guided_style_loss", "guided_style_loss", STYLES),
    ("test_region_loss", "region_loss", REGIONS),
]
RIGHT = [(test, name, row[1], row[2]) for test, name, table in TESTS for row in table if row[3] is None]


@pytest.mark.parametrize(
    ("test", "name", "answer"), [pytest.param(t, n, answer, id=f"{t}: {said}") for t, n, said, answer in RIGHT]
)
def test_right_answers_pass_the_hidden_tests_too(test, name, answer):
    hidden_test(test, **{name: answer})


def several_regions_only(network, layers, masks, *paintings):
    if len(masks) > 1:
        return region_loss(network, layers, masks, *paintings)
    return lambda features: 0 * features[layers[0]].sum()


def test_hidden_tests_find_what_the_checks_leave_open():
    """Functions that compute right values for the sizes of the check only."""
    with pytest.raises(AssertionError, match="dark picture"):
        hidden_test("test_match_colors", match_colors=lambda p, t: matched(pca)(p, t) if p.shape[3] != 20 else p)
    with pytest.raises(AssertionError, match="the values 2, 4, 6"):
        hidden_test(
            "test_guided_gram", guided_gram=lambda f, t: guided_gram(f, t) if f.shape[1] > 1 else f.sum().view(1, 1, 1)
        )
    with pytest.raises(AssertionError, match="matrices of 1 and 9"):
        hidden_test(
            "test_guided_style_loss",
            guided_style_loss=lambda f, t, a: guided_style(f, t, a) * (1 if f.shape[1] > 1 else 2),
        )
    with pytest.raises(AssertionError, match="one half in the style of the other"):
        hidden_test("test_region_loss", region_loss=several_regions_only)
