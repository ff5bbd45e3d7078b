"""StarGAN's losses as `domains` checks them, what common mistakes make of them, and small networks to try them.

Pictures span [−1, 1], as in the paper. A generator takes pictures and the numbers of domains; a discriminator gives
values of patches, and logits of the domains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.teaching.checks.base import random
from course_lib.teaching.checks.transforms import Mistake

NUM_DOMAINS = 4

Judge = Callable[[Tensor], tuple[Tensor, Tensor]]
Translate = Callable[[Tensor, Tensor], Tensor]
Distance = Callable[[Tensor, Tensor], Tensor]


# --- networks and pictures
class LabeledGenerator(nn.Module):
    """x → tanh(W x + c of the domain) for the three colors of a pixel; it notes the labels that it gets."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.W = nn.Parameter(2 * random(3, 3, 1, 1, seed=seed) - 0.8)
        self.c = nn.Parameter(1.5 * random(NUM_DOMAINS, 3, seed=seed + 50) - 0.7)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        self.seen.append(labels.detach())
        return (F.conv2d(x, self.W.to(x.dtype)) + self.c.to(x.dtype)[labels][:, :, None, None]).tanh()


class DomainDiscriminator(nn.Module):
    """Values of patches (N, 1, h, w), and logits of the domains (N, 4); it notes the pictures that it gets."""

    def __init__(self, seed: int, steep: float = 1.0) -> None:
        super().__init__()
        self.W = nn.Parameter(random(5, 3, 4, 4, seed=seed) - 0.45)
        self.v = nn.Parameter(steep * (0.5 * random(5, seed=seed + 50) - 0.1))
        self.U = nn.Parameter(6 * random(NUM_DOMAINS, 5, seed=seed + 90) - 3)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append(x.detach())
        W, v, U = (p.to(x.dtype) for p in (self.W, self.v, self.U))
        features = F.conv2d(x, W, stride=2).tanh()
        return torch.einsum("nchw,c->nhw", features, v)[:, None], features.mean((2, 3)) @ U.T


def pictures(count: int, seed: int = 0, size: tuple[int, int] = (10, 8)) -> Tensor:
    """Pictures (N, 3, H, W) in [−1, 1], some darker than others."""
    shift = random(count, 3, 1, 1, seed=seed + 7)
    return (1.2 * random(count, 3, *size, seed=seed) - 0.9 + 0.7 * shift).clamp(-1, 1)


# --- classification
def of_D(D: Judge, real: Tensor, labels: Tensor) -> Tensor:
    """Eq. 2 of Choi et al. 2018."""
    return F.cross_entropy(D(real)[1], labels)


def of_G(D: Judge, G: Translate, real: Tensor, goal: Tensor) -> Tensor:
    """Eq. 3."""
    return F.cross_entropy(D(G(real, goal))[1], goal)


def _other_losses(logits: Tensor, target: Tensor) -> list[Mistake]:
    """What some write for −log D_cls(target)."""
    row, share = F.one_hot(target, NUM_DOMAINS).to(logits.dtype), logits.softmax(1)
    twice = "a softmax is taken twice: of the logits, and again in the loss"
    no_log = "there is no logarithm; Eq. 2 has −log of the probability"
    binary = "each domain is judged by itself, yes or no; a picture belongs to exactly one of them"
    right = F.cross_entropy(logits, target)
    return [
        (twice, F.cross_entropy(share, target)),
        (no_log, F.nll_loss(logits, target)), (no_log, F.nll_loss(share, target)),
        (no_log, 1 + F.nll_loss(share, target)),
        (binary, F.binary_cross_entropy_with_logits(logits, row)),
        (binary, F.binary_cross_entropy_with_logits(logits, row, reduction="sum") / len(logits)),
        ("the distances of probabilities are squared; the task asks for a cross-entropy", F.mse_loss(share, row)),
        ("the distances of logits are squared; the task asks for a cross-entropy", F.mse_loss(logits, row)),
        ("the losses of the pictures are added up; the task asks for their mean", len(logits) * right),
        ("the sign is wrong: a smaller value would mean a worse classification", -right),
        ("this is a share of right or wrong pictures; it has no gradient", (logits.argmax(1) == target).float().mean()),
        ("this is a share of right or wrong pictures; it has no gradient", (logits.argmax(1) != target).float().mean()),
    ]  # fmt: skip


@torch.no_grad()
def wrong_of_D(D: Judge, G: Translate, real: Tensor, labels: Tensor, goal: Tensor) -> list[Mistake]:
    fakes, right = of_G(D, G, real, goal), of_D(D, real, labels)
    own = F.cross_entropy(D(G(real, goal))[1], labels)
    both = "D's classifier learns from fakes, too; while these are bad, it would learn to call them by their label"
    return [
        ("D's classifier learns from fakes only; its examples are the real pictures", fakes),
        (both, right + fakes), (both, (right + fakes) / 2), (both, right + own), (both, (right + own) / 2),
        ("D's classifier learns from fakes only; its examples are the real pictures", own),
        ("real pictures are of the domain `labels`, not of the one that they will be sent to",
         F.cross_entropy(D(real)[1], goal)),
        *_other_losses(D(real)[1], labels),
    ]  # fmt: skip


@torch.no_grad()
def wrong_of_G(D: Judge, G: Translate, real: Tensor, labels: Tensor, goal: Tensor) -> list[Mistake]:
    stay = "G is asked for pictures of the domain that they come from; which label was it given?"
    right = of_G(D, G, real, goal)
    sent = "G is given the label that the picture has already, so nothing is translated"
    return [
        (stay, F.cross_entropy(D(G(real, goal))[1], labels)),
        (sent, F.cross_entropy(D(G(real, labels))[1], labels)), (sent, F.cross_entropy(D(G(real, labels))[1], goal)),
        ("no fake is in it: D gets the real pictures, from which G learns nothing", F.cross_entropy(D(real)[1], goal)),
        ("no fake is in it: D gets the real pictures, from which G learns nothing", of_D(D, real, labels)),
        ("D gets the pictures that came back, not the fakes", F.cross_entropy(D(G(G(real, goal), labels))[1], goal)),
        ("real pictures are in it; G cannot change what D makes of those", right + of_D(D, real, labels)),
        *_other_losses(D(G(real, goal))[1], goal),
    ]  # fmt: skip


# --- reconstruction
def l1(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).abs().mean()


def round_trip(
    G: Translate, real: Tensor, labels: Tensor, goal: Tensor, *, by: Distance = l1,
    between: Callable[[Tensor], Tensor] = lambda x: x,
) -> Tensor:  # fmt: skip
    """Eq. 4 with any distance, and anything done to the fakes."""
    return by(G(between(G(real, goal)), labels), real)


@torch.no_grad()
def wrong_round_trips(G: Translate, real: Tensor, labels: Tensor, goal: Tensor) -> list[Mistake]:
    fake = G(real, goal)
    squared = "the differences are squared; what does ‖·‖₁ stand for?"
    summed = "the differences are added up; the task asks for their mean"
    signed = "positive and negative differences cancel"

    def trip(by: Distance) -> Tensor:
        return round_trip(G, real, labels, goal, by=by)

    return [
        ("the way back has the target label again; which domain does the picture have to return to?",
         l1(G(fake, goal), real)),
        ("both passes have the picture's own label, so it was never away", l1(G(G(real, labels), labels), real)),
        ("the two labels are exchanged: first to the goal, then back", l1(G(G(real, labels), goal), real)),
        ("the picture is compared with its translation; where is the way back?", l1(fake, real)),
        ("there is one pass, with the picture's own label; first it has to go away", l1(G(real, labels), real)),
        ("the picture that came back is compared with the fake", l1(G(fake, labels), fake)),
        ("the way back begins at the real picture, not at the fake", l1(G(real, labels), fake)),
        ("the labels of the way back belong to other pictures of the batch", l1(G(fake, labels.flip(0)), real)),
        (squared, trip(F.mse_loss)), (squared, trip(lambda x, y: F.mse_loss(x, y).sqrt())),
        (squared, trip(lambda x, y: (x - y).norm())),
        (summed, trip(lambda x, y: (x - y).abs().sum())), (summed, trip(lambda x, y: (x - y).abs().sum() / len(x))),
        (summed, trip(lambda x, y: (x - y).abs().sum(1).mean())),
        (signed, trip(lambda x, y: (x - y).mean())), (signed, trip(lambda x, y: (y - x).mean())),
        (signed, trip(lambda x, y: (x - y).mean().abs())),
    ]  # fmt: skip


# --- the penalty
def slopes(D: Judge, points: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of the critic's values and of the domains' logits, each (N, 3, H, W)."""
    leaf = points.clone().requires_grad_()
    patches, logits = D(leaf)
    return torch.autograd.grad(patches.sum(), leaf, retain_graph=True)[0], torch.autograd.grad(logits.sum(), leaf)[0]


def penalty(slope: Tensor) -> Tensor:
    """Eq. 3 of Gulrajani et al. 2017, without its weight."""
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def wrong_penalties(slope: Tensor, of_classes: Tensor, num_patches: int) -> list[Mistake]:
    """For gradients (N, 3, H, W) of the critic and of the classification."""
    count, length = len(slope), slope.flatten(1).norm(dim=1)
    each = "each value of the gradient is compared with 1; ‖·‖ is the length of all that belong to one picture"
    pixel = "each pixel's gradient is compared with 1; ‖·‖ is the length of all that belong to one picture"
    batch = "the whole batch has one length; each picture has its own"
    square = "the length must be 1, and its distance from 1 is squared; yours is not that distance"
    zero = "this draws the slope to 0; the critic of a Wasserstein GAN should have the slope 1"
    mean = "this is the slope of a mean; add the values of all patches, and of all pictures"
    other = "this is not the length of a vector: ‖·‖ is the root of the sum of squares"
    wrong: Iterable[Mistake] = (
        (each, (slope - 1).square().mean()), (each, (slope.abs() - 1).square().mean()),
        (each, (slope - 1).square().flatten(1).sum(1).mean()),
        (pixel, (slope.norm(dim=1) - 1).square().mean()),
        (pixel, (slope.norm(dim=1) - 1).square().flatten(1).sum(1).mean()),
        ("the lengths are those of each color's gradient; ‖·‖ is the length of all three",
         (slope.flatten(2).norm(dim=2) - 1).square().mean()),
        ("the lengths are those of rows or columns; ‖·‖ is the length of all that belong to one picture",
         (slope.norm(dim=2) - 1).square().mean()),
        ("the lengths are those of rows or columns; ‖·‖ is the length of all that belong to one picture",
         (slope.norm(dim=3) - 1).square().mean()),
        (batch, (slope.norm() - 1).square()), (batch, (slope.norm() - 1).square() / count),
        (batch, (slope.flatten(1).norm(dim=0) - 1).square().mean()),
        ("the lengths are averaged first; each is compared with 1", (length.mean() - 1).square()),
        (square, (length - 1).abs().mean()), (square, (length - 1).mean()), (square, (length.square() - 1).mean()),
        (square, (length.square() - 1).abs().mean()), (square, (length.square() - 1).square().mean()),
        (zero, length.square().mean()), (zero, length.mean()), (zero, length.square().mean() / 2),
        ("slopes below 1 cost nothing here; the paper's penalty is two-sided", (length - 1).relu().square().mean()),
        ("the penalties of the pictures are added up; the task asks for their mean", (length - 1).square().sum()),
        *((mean, penalty(slope / k)) for k in (count, num_patches, count * num_patches)),
        (other, (slope.abs().flatten(1).sum(1) - 1).square().mean()),
        (other, (slope.flatten(1).square().mean(1).sqrt() - 1).square().mean()),
        (other, (slope.abs().flatten(1).amax(1) - 1).square().mean()),
        ("this is the slope of the classification; the critic is the first of D's two results", penalty(of_classes)),
        ("the slope is that of both of D's results; the critic is the first one", penalty(slope + of_classes)),
    )  # fmt: skip
    return list(wrong)
