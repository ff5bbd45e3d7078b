"""Answers to the tasks on translation without pairs: cycle loss, identity loss, image pool, and the generators' sum."""

import random
from collections import deque
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from answers import enough, judge, parameters
from torch import nn

from course_lib.teaching import assignments, checks
from course_lib.training.image_pool import ImagePool

MASTER = Path(__file__).resolve().parents[3] / "notebooks" / "assignments" / "masters" / "10_there_and_back.ipynb"


# --- 1. there and back
def l1(x, y):
    return 2 * (x - y).abs().mean()


def cycle(AB, BA, a, b, *, by=l1):
    return by(BA(AB(a)), a) + by(AB(BA(b)), b)


def named(G_AB, G_BA, real_A, real_B):
    total = 0.0
    for way, back, real in ((G_AB, G_BA, real_A), (G_BA, G_AB, real_B)):
        fake = way(real)
        total += 2.0 * F.l1_loss(back(fake), real)
    return total


def on_the_papers_scale(AB, BA, a, b):
    """Differences of pictures that are converted after the generators."""
    wide = [2 * x - 1 for x in (BA(AB(a)), a, AB(BA(b)), b)]
    return (wide[0] - wide[1]).abs().mean() + (wide[2] - wide[3]).abs().mean()


def by_sums(AB, BA, a, b):
    one, other = BA(AB(a)).sub(a).norm(p=1), AB(BA(b)).sub(b).norm(p=1)
    return (one + other) * 2 / a.numel()


def one_by_one(AB, BA, a, b):
    """Each picture of the batch by itself."""
    return torch.stack([cycle(AB, BA, x[None], y[None]) for x, y in zip(a, b, strict=True)]).mean()


def in_float64(AB, BA, a, b):
    return cycle(AB, BA, a.double(), b.double())


class Loss(nn.Module):
    def forward(self, AB, BA, a, b):
        return torch.cat([BA(AB(a)) - a, AB(BA(b)) - b]).abs().mean() * 4


def without_graph(AB, BA, a, b):
    with torch.no_grad():
        return cycle(AB, BA, a, b)


def first_pass_without_graph(AB, BA, a, b):
    with torch.no_grad():
        fakes = AB(a), BA(b)
    return l1(BA(fakes[0]), a) + l1(AB(fakes[1]), b)


def one_way_learns(AB, BA, a, b):
    return l1(BA(AB(a)), a) + l1(AB(BA(b)), b).detach()


def learned_already(AB, BA, a, b):
    value = cycle(AB, BA, a, b)
    value.backward()
    return value


def wide_input(AB, BA, a, b):
    a, b = 2 * a - 1, 2 * b - 1
    return (BA(AB(a)) - a).abs().mean() + (AB(BA(b)) - b).abs().mean()


CHECK = checks.check_cycle_loss
CYCLES = [
    (CHECK, "as in the paper", cycle, None),
    (CHECK, "a loop", named, None),
    (CHECK, "converted after the generators", on_the_papers_scale, None),
    (CHECK, "norms", by_sums, None),
    (CHECK, "one by one", one_by_one, None),
    (CHECK, "float64", in_float64, None),
    (CHECK, "a module", Loss(), None),
    (CHECK, "of shape (1,)", lambda *x: cycle(*x).view(1), None),
    (CHECK, "the wrong order", lambda AB, BA, a, b: cycle(BA, AB, a, b), "called in the wrong order"),
    (CHECK, "the wrong order, in [0, 1]", lambda AB, BA, a, b: cycle(BA, AB, a, b) / 2, "called in the wrong order"),
    (CHECK, "domains exchanged", lambda AB, BA, a, b: cycle(AB, BA, b, a), "called in the wrong order"),
    (CHECK, "squared", partial(cycle, by=lambda x, y: (x - y).square().mean()), "the differences are squared"),
    (CHECK, "squared, on the paper's scale", partial(cycle, by=lambda x, y: F.mse_loss(2 * x, 2 * y)), "are squared"),
    (CHECK, "the root", partial(cycle, by=lambda x, y: 2 * F.mse_loss(x, y).sqrt()), "the root of the squared"),
    (CHECK, "Euclidean", partial(cycle, by=lambda x, y: (x - y).norm()), "the root of the squared"),
    (CHECK, "in [0, 1]", partial(cycle, by=F.l1_loss), "half of what it should be"),
    (CHECK, "both averaged, in [0, 1]", lambda *x: cycle(*x) / 4, "a quarter of what"),
    (CHECK, "generators on [−1, 1]", wide_input, "take pictures in [0, 1], but G_AB gets values from -"),
    (CHECK, "twice as much", lambda *x: 2 * cycle(*x), "the value is 2 times"),
    (CHECK, "times λ", lambda *x: 10 * cycle(*x), "the value is 10 times"),
    (CHECK, "summed", partial(cycle, by=lambda x, y: (x - y).abs().sum()), "added up over all values"),
    (CHECK, "summed for each picture", partial(cycle, by=lambda x, y: 2 * (x - y).abs().sum() / len(x)), "added up"),
    (CHECK, "signs", partial(cycle, by=lambda x, y: 2 * (x - y).mean()), "differences cancel"),
    (CHECK, "smooth", partial(cycle, by=F.smooth_l1_loss), "times what it should be"),
    (CHECK, "A alone", lambda AB, BA, a, b: l1(BA(AB(a)), a), "what about pictures of B"),
    (CHECK, "B alone", lambda AB, BA, a, b: l1(AB(BA(b)), b), "what about pictures of A"),
    (CHECK, "G_AB twice", lambda AB, BA, a, b: cycle(AB, AB, a, b), "G_BA was not called"),
    (CHECK, "the same twice", lambda AB, BA, a, b: l1(AB(AB(a)), a) + l1(BA(BA(b)), b), "the same generator twice"),
    (CHECK, "no way back", lambda AB, BA, a, b: l1(AB(a), a) + l1(BA(b), b), "where is the way back"),
    (CHECK, "with the other domain", lambda AB, BA, a, b: l1(BA(AB(a)), b) + l1(AB(BA(b)), a), "of the other domain"),
    (CHECK, "as if there were pairs", lambda AB, BA, a, b: l1(AB(a), b) + l1(BA(b), a), "shows another scene"),
    (CHECK, "with the middle", lambda AB, BA, a, b: l1(BA(AB(a)), AB(a)) + l1(AB(BA(b)), BA(b)), "in the middle"),
    (CHECK, "the identity loss", lambda AB, BA, a, b: l1(AB(b), b) + l1(BA(a), a), "this is the identity loss"),
    (CHECK, "detached between", lambda AB, BA, a, b: l1(BA(AB(a).detach()), a) + l1(AB(BA(b).detach()), b),
        "ends between the two passes"),
    (CHECK, "the first pass without a graph", first_pass_without_graph, "ends between the two passes"),
    (CHECK, "no graph", without_graph, "no gradient reaches the generators"),
    (CHECK, "B is a constant", one_way_learns, "its gradient is not"),
    (CHECK, "backward inside", learned_already, "there is no way back from it"),
    (CHECK, "a number of Python", lambda *x: cycle(*x).item(), "must return a tensor, got float"),
    (CHECK, "two numbers", lambda AB, BA, a, b: torch.stack([l1(BA(AB(a)), a), l1(AB(BA(b)), b)]), "a single number"),
    (CHECK, "half precision", lambda *x: cycle(*x).half(), "float16"),
    (CHECK, "nothing", lambda *x: None, "does it end in `return`"),
]  # fmt: skip


# --- 2. what should not change
def identity(AB, BA, a, b, *, by=l1):
    return by(AB(b), b) + by(BA(a), a)


CHECK = checks.check_identity_loss
IDENTITIES = [
    (CHECK, "as in the paper", identity, None),
    (CHECK, "the library's scale at the end", lambda *x: 2 * identity(*x, by=F.l1_loss), None),
    (CHECK, "the other order", lambda AB, BA, a, b: l1(BA(a), a) + l1(AB(b), b), None),
    (CHECK, "one mean", lambda AB, BA, a, b: 4 * torch.cat([AB(b) - b, BA(a) - a]).abs().mean(), None),
    (CHECK, "float64", lambda AB, BA, a, b: identity(AB, BA, a.double(), b.double()), None),
    (CHECK, "norms", lambda AB, BA, a, b: ((AB(b) - b).norm(1) + (BA(a) - a).norm(1)) * 2 / a.numel(), None),
    (CHECK, "G_AB gets A", lambda AB, BA, a, b: l1(AB(a), a) + l1(BA(b), b), "pictures that it should change"),
    (CHECK, "G_AB gets A, in [0, 1]", lambda AB, BA, a, b: F.l1_loss(AB(a), a) + F.l1_loss(BA(b), b),
        "pictures that it should change"),
    (CHECK, "as if there were pairs", lambda AB, BA, a, b: l1(AB(a), b) + l1(BA(b), a), "of the other domain"),
    (CHECK, "with the other domain", lambda AB, BA, a, b: l1(AB(b), a) + l1(BA(a), b), "of the other domain"),
    (CHECK, "the cycle loss", cycle, "this is the cycle loss"),
    (CHECK, "squared", partial(identity, by=F.mse_loss), "the differences are squared"),
    (CHECK, "the root", partial(identity, by=lambda x, y: (x - y).norm()), "the root of the squared"),
    (CHECK, "summed", partial(identity, by=lambda x, y: 2 * (x - y).abs().sum()), "added up over all values"),
    (CHECK, "signs", partial(identity, by=lambda x, y: 2 * (x - y).mean()), "differences cancel"),
    (CHECK, "in [0, 1]", partial(identity, by=F.l1_loss), "half of what it should be"),
    (CHECK, "weighted", lambda *x: 5 * identity(*x), "the value is 5 times"),
    (CHECK, "B alone", lambda AB, BA, a, b: l1(AB(b), b), "G_BA was not called"),
    (CHECK, "B alone, A called", lambda AB, BA, a, b: l1(AB(b), b) + 0 * BA(a).mean(), "only G_AB counts"),
    (CHECK, "generators on [−1, 1]", lambda AB, BA, a, b: l1(AB(2 * b - 1), b) + l1(BA(2 * a - 1), a),
        "take pictures in [0, 1]"),
    (CHECK, "detached", lambda *x: identity(*x).detach(), "no gradient reaches the generators"),
    (CHECK, "G_AB as a constant", lambda AB, BA, a, b: l1(AB(b).detach(), b) + l1(BA(a), a),
        "no gradient reaches G_AB"),
    (CHECK, "nothing", lambda *x: None, "does it end in `return`"),
]  # fmt: skip


# --- 3. a pool
class Listed:
    """Right, with a list and Python's random numbers; the other pools change one thing."""

    chance = 0.5

    def __init__(self, size):
        self.size, self.kept = size, []

    def __call__(self, images):
        return torch.stack([self.one(image) for image in images.detach().clone()])

    def one(self, image):
        if len(self.kept) < self.size:
            self.kept.append(image)
        elif self.size and random.random() < self.chance:
            return self.exchanged(image)
        return image

    def exchanged(self, image):
        place = random.randrange(self.size)
        image, self.kept[place] = self.kept[place], image
        return image


class WithNumPy(Listed):
    def __init__(self, size):
        super().__init__(size)
        self.rng = np.random.default_rng()

    def one(self, image):
        if len(self.kept) < self.size:
            self.kept.append(image)
        elif self.size and self.rng.integers(2):
            place = self.rng.integers(self.size)
            image, self.kept[place] = self.kept[place], image
        return image


class Popping(Listed):
    """Another order inside the pool."""

    def exchanged(self, image):
        self.kept.append(image)
        return self.kept.pop(random.randrange(len(self.kept) - 1))


class AsInTheCode(Listed):
    """The bounds of the authors' code."""

    def one(self, image):
        image = image[None]
        if self.size == 0:
            return image[0]
        if len(self.kept) < self.size:
            self.kept.append(image)
        elif random.uniform(0, 1) > 0.5:
            place = random.randint(0, self.size - 1)
            earlier = self.kept[place].clone()
            self.kept[place] = image
            return earlier[0]
        return image[0]


class InOneTensor(nn.Module):
    """A batch at once, where it can be."""

    def __init__(self, size):
        super().__init__()
        self.size, self.kept = size, None

    @torch.no_grad()
    def forward(self, images):
        out = images.clone()
        for k in range(len(images)):
            kept = 0 if self.kept is None else len(self.kept)
            if kept < self.size:
                self.kept = images[k : k + 1].clone() if kept == 0 else torch.cat([self.kept, images[k : k + 1]])
            elif self.size and torch.rand(1).item() >= 0.5:
                place = torch.randint(0, self.size, (1,)).item()
                out[k] = self.kept[place]
                self.kept[place] = images[k]
        return out


class WithoutCopies(Listed):
    """Views of what came: nobody writes into it."""

    def __call__(self, images):
        return torch.stack([self.one(image) for image in images.detach()])


def closure(size):
    pool = Listed(size)
    return lambda images: pool(images)


class Never(Listed):
    chance = 0.0


class Always(Listed):
    chance = 1.0


class Rarely(Listed):
    chance = 0.2


class NotReplaced(Listed):
    def exchanged(self, image):
        return random.choice(self.kept)


class Growing(Listed):
    """An exchanged picture is added, but none leaves."""

    def exchanged(self, image):
        earlier = random.choice(self.kept)
        self.kept.append(image)
        return earlier


class GrowsAndShrinksLate(Listed):
    """A picture that is returned at once is kept, too."""

    def one(self, image):
        if len(self.kept) < self.size:
            self.kept.append(image)
            return image
        if not self.size:
            return image
        earlier = self.exchanged(image)
        return earlier if random.random() < 0.5 else image


class KeepsAll(Listed):
    """Also what is returned at once; each leaves once."""

    def one(self, image):
        self.kept.append(image)
        if len(self.kept) <= self.size or not self.size or random.random() < 0.5:
            return image
        return self.kept.pop(random.randrange(len(self.kept) - 1))


class First(Listed):
    """The oldest of them: first in, first out."""

    def __init__(self, size):
        self.size, self.kept = size, deque()

    def exchanged(self, image):
        self.kept.append(image)
        return self.kept.popleft()


class Last(Listed):
    def exchanged(self, image):
        self.kept.append(image)
        return self.kept.pop(-2)


class NotTheLast(Listed):
    """One place is never drawn."""

    def exchanged(self, image):
        place = random.randrange(max(1, self.size - 1))
        image, self.kept[place] = self.kept[place], image
        return image


class OneMore(Listed):
    def __init__(self, size):
        super().__init__(size + 1 if size else 0)


class OneLess(Listed):
    def __init__(self, size):
        super().__init__(max(0, size - 1))


class TwiceTheSize(Listed):
    """Fills as it should, and then goes on filling."""

    def exchanged(self, image):
        if len(self.kept) < 2 * self.size:
            self.kept.append(image)
            return self.kept.pop(0) if len(self.kept) > 2 * self.size else image
        return super().exchanged(image)


class AtOnce(Listed):
    """From the beginning, whatever is in the pool."""

    def one(self, image):
        if self.kept and random.random() < 0.5:
            return self.exchanged(image)
        if len(self.kept) < self.size:
            self.kept.append(image)
        return image

    def exchanged(self, image):
        place = random.randrange(len(self.kept))
        image, self.kept[place] = self.kept[place], image
        return image


class OneDrawForABatch(Listed):
    def __call__(self, images):
        images = images.detach().clone()
        if len(self.kept) >= self.size and self.size and random.random() < 0.5:
            return torch.stack([self.exchanged(image) for image in images])
        for image in images:
            if len(self.kept) < self.size:
                self.kept.append(image)
        return images


class HalfOfABatch(Listed):
    def __call__(self, images):
        if len(images) == 1:
            return super().__call__(images)
        out = [
            self.exchanged(image) if k < len(images) // 2 and len(self.kept) == self.size and self.size
            else self.keep(image) for k, image in enumerate(images.detach().clone())
        ]  # fmt: skip
        return torch.stack(out)

    def keep(self, image):
        if len(self.kept) < self.size:
            self.kept.append(image)
        return image


class WithGraph(Listed):
    def __call__(self, images):
        return torch.stack([self.one(image) for image in images])


class KeepsWithGraph(Listed):
    """What is returned at once is cut off, but not what is kept."""

    def __call__(self, images):
        out = []
        for image in images:
            earlier = self.one(image)
            out.append(earlier.detach() if earlier is image else earlier)
        return torch.stack(out)


class WritesIntoTheBatch(Listed):
    def __call__(self, images):
        out = images.detach()
        for k, image in enumerate(images.detach().clone()):
            out[k] = self.one(image)
        return out


class Shared(Listed):
    """One list for all pools."""

    def __init__(self, size, kept=[]):  # noqa: B006
        self.size, self.kept = size, kept


class Sorted(Listed):
    """Everything that was exchanged at the end."""

    def __call__(self, images):
        return super().__call__(images).flip(0)


class Mean(Listed):
    def exchanged(self, image):
        return torch.stack(self.kept).mean(0)


class FromScratch(Listed):
    """Size 0 is forgotten."""

    def one(self, image):
        if len(self.kept) < max(1, self.size):
            self.kept.append(image)
            return image
        return self.exchanged(image) if random.random() < 0.5 else image

    def exchanged(self, image):
        place = random.randrange(len(self.kept))
        image, self.kept[place] = self.kept[place], image
        return image


class Asked:
    def __init__(self, size):
        self.query = Listed(size)


class Single(Listed):
    def __call__(self, images):
        return super().__call__(images)[0]


class AsList(Listed):
    def __call__(self, images):
        return list(super().__call__(images))


class Forgets(Listed):
    def __call__(self, images):
        super().__call__(images)


CHECK = checks.check_image_pool
POOLS = [
    (CHECK, "a list", Listed, None),
    (CHECK, "the library's", ImagePool, None),
    (CHECK, "NumPy", WithNumPy, None),
    (CHECK, "another order inside", Popping, None),
    (CHECK, "as in the authors' code", AsInTheCode, None),
    (CHECK, "a module with a tensor", InOneTensor, None),
    (CHECK, "views", WithoutCopies, None),
    (CHECK, "a closure", closure, None),
    (CHECK, "never an earlier one", Never, "never returns an earlier picture"),
    (CHECK, "no pool", lambda size: lambda images: images.detach(), "never returns an earlier picture"),
    (CHECK, "always an earlier one", Always, "never returns the picture that it gets"),
    (CHECK, "rarely", Rarely, "of all cases, not in half"),
    (CHECK, "not replaced", NotReplaced, "only the first pictures ever come back"),
    (CHECK, "growing", Growing, "does the new one take its place"),
    (CHECK, "returned at once, and kept", GrowsAndShrinksLate, "come out again later"),
    (CHECK, "everything is kept", KeepsAll, "come out again later"),
    (CHECK, "the oldest", First, "its oldest picture in 100% of the exchanges"),
    (CHECK, "the newest", Last, "returns its oldest picture in 0%"),
    (CHECK, "the last place never", NotTheLast, "its newest picture in 0%"),
    (CHECK, "one more", OneMore, "never returns an earlier picture"),
    (CHECK, "one less", OneLess, "gets its picture number 3 and returns|never returns an earlier|until it is full"),
    (CHECK, "more than its size", TwiceTheSize, "never returns an earlier picture|stay in a pool|a third"),
    (CHECK, "from the beginning", AtOnce, "until it is full, pictures are kept and returned as they come"),
    (CHECK, "one draw for a batch", OneDrawForABatch, "either all 4 pictures of a batch are exchanged or none"),
    (CHECK, "half of a batch", HalfOfABatch, "exactly half of the pictures"),
    (CHECK, "with its graph", WithGraph, "a gradient can pass from the pool"),
    (CHECK, "keeps the graph", KeepsWithGraph, "a gradient can pass from the pool"),
    (CHECK, "writes into the batch", WritesIntoTheBatch, "written into the pictures that it was given"),
    (CHECK, "one list for all", Shared, "does each pool have its own"),
    (CHECK, "turned around", Sorted, "with size 0, a picture does not come back|first batch"),
    (CHECK, "a mean", Mean, "returns its oldest picture in 0%|a picture that it was never given"),
    (CHECK, "size 0", FromScratch, "with size 0, a picture does not come back"),
    (CHECK, "not callable", Asked, "must be callable with a batch of pictures, got Asked"),
    (CHECK, "a single picture", Single, "must give as many pictures"),
    (CHECK, "a list of pictures", AsList, "must return a tensor, got list"),
    (CHECK, "half precision", lambda size: lambda images: images.detach().half(), "float16"),
    (CHECK, "nothing", Forgets, "does it end in `return`"),
]  # fmt: skip


# --- 4. what the generators minimize
def squares(logits):
    return (logits - 1).square().mean()


def total(AB, BA, D_A, D_B, a, b, weight, *, by=squares, back=cycle):
    return by(D_B(AB(a))) + by(D_A(BA(b))) + weight * back(AB, BA, a, b)


def fakes_once(AB, BA, D_A, D_B, a, b, weight):
    """The fakes are used twice."""
    fake_A, fake_B = BA(b), AB(a)
    judged = [F.mse_loss(x, torch.ones_like(x)) for x in (D_A(fake_A), D_B(fake_B))]
    return sum(judged) + weight * (l1(BA(fake_B), a) + l1(AB(fake_A), b))


def frozen_for_now(AB, BA, D_A, D_B, a, b, weight, *, thaw=True):
    weights = [p for d in (D_A, D_B) for p in d.parameters()]
    for p in weights:
        p.requires_grad_(False)
    value = total(AB, BA, D_A, D_B, a, b, weight)
    if thaw:
        for p in weights:
            p.requires_grad_(True)
    return value


def only_if_needed(AB, BA, D_A, D_B, a, b, weight):
    value = squares(D_B(AB(a))) + squares(D_A(BA(b)))
    return value + weight * cycle(AB, BA, a, b) if weight else value


def fakes_detached(AB, BA, D_A, D_B, a, b, weight):
    return squares(D_B(AB(a).detach())) + squares(D_A(BA(b).detach())) + weight * cycle(AB, BA, a, b)


def fakes_detached_once(AB, BA, D_A, D_B, a, b, weight):
    fake_A, fake_B = BA(b), AB(a)
    back = l1(BA(fake_B.detach()), a) + l1(AB(fake_A.detach()), b)
    return squares(D_B(fake_B)) + squares(D_A(fake_A)) + weight * back


def cycle_detached(AB, BA, D_A, D_B, a, b, weight):
    return squares(D_B(AB(a))) + squares(D_A(BA(b))) + weight * cycle(AB, BA, a, b).detach()


def with_reals(AB, BA, D_A, D_B, a, b, weight):
    return squares(D_B(b)) + squares(D_A(a)) + weight * cycle(AB, BA, a, b) + 0 * AB(a).mean()


def as_discriminators(AB, BA, D_A, D_B, a, b, weight):
    fakes = D_B(AB(a)).square().mean() + D_A(BA(b)).square().mean()
    return (squares(D_B(b)) + squares(D_A(a)) + fakes) / 2 + weight * cycle(AB, BA, a, b)


def judged_after_the_way_back(AB, BA, D_A, D_B, a, b, weight):
    return squares(D_A(BA(AB(a)))) + squares(D_B(AB(BA(b)))) + weight * cycle(AB, BA, a, b)


CHECK = checks.check_generators_loss
SUMS = [
    (CHECK, "as in the paper", total, None),
    (CHECK, "fakes once", fakes_once, None),
    (CHECK, "discriminators frozen meanwhile", frozen_for_now, None),
    (CHECK, "the cycle only if needed", only_if_needed, None),
    (CHECK, "another order", lambda AB, BA, D_A, D_B, a, b, w: w * cycle(AB, BA, a, b) + squares(D_A(BA(b)))
        + squares(D_B(AB(a))), None),
    (CHECK, "by squares of 1 − d", partial(total, by=lambda d: (1 - d).pow(2).mean()), None),
    (CHECK, "float64", lambda AB, BA, D_A, D_B, a, b, w: total(AB, BA, D_A, D_B, a.double(), b.double(), w), None),
    (CHECK, "discriminators exchanged", lambda AB, BA, D_A, D_B, *x: total(AB, BA, D_B, D_A, *x),
        "each discriminator gets the fakes of the other domain"),
    (CHECK, "generators exchanged", lambda AB, BA, *x: total(BA, AB, *x), "each generator gets pictures of the other"),
    (CHECK, "towards 0", partial(total, by=lambda d: d.square().mean()), "this is what the discriminators minimize"),
    (CHECK, "the discriminators' loss", as_discriminators, "this is what the discriminators minimize"),
    (CHECK, "real pictures", with_reals, "the discriminators get real pictures"),
    (CHECK, "what came back", judged_after_the_way_back, "the pictures that came back"),
    (CHECK, "not squared", partial(total, by=lambda d: (d - 1).abs().mean()), "are not squared"),
    (CHECK, "squared too late", partial(total, by=lambda d: (d.mean() - 1).square()), "square each of them"),
    (CHECK, "summed", partial(total, by=lambda d: (d - 1).square().sum()), "added up over all logits"),
    (CHECK, "a cross-entropy", partial(total, by=lambda d: F.binary_cross_entropy_with_logits(d, torch.ones_like(d))),
        "a cross-entropy"),
    (CHECK, "averaged", lambda *x: total(*x[:-1], 0.0) / 2 + x[-1] * cycle(*x[:2], *x[4:6]), "are the two adversarial"),
    (CHECK, "the weight forgotten", lambda *x: total(*x[:-1], float(x[-1] > 0)), "is not multiplied by its weight"),
    (CHECK, "always 1", lambda *x: total(*x[:-1], 1.0), "with a weight of 0, the cycle loss still counts"),
    (CHECK, "always 10", lambda *x: total(*x[:-1], 10.0), "with a weight of 0, the cycle loss still counts"),
    (CHECK, "no cycle", lambda *x: total(*x[:-1], 0.0), "the weight has no effect"),
    (CHECK, "a cycle in [0, 1]", lambda *x: total(*x, back=lambda *y: cycle(*y) / 2), "in the sum, the value is half"),
    (CHECK, "a squared cycle", lambda *x: total(*x, back=partial(cycle, by=F.mse_loss)), "differences are squared"),
    (CHECK, "a cycle the other way round", lambda *x: total(*x, back=lambda AB, BA, a, b: cycle(BA, AB, a, b)),
        "in the sum, the two generators are called in the wrong order"),
    (CHECK, "fakes detached", fakes_detached, "do not learn from the discriminators"),
    (CHECK, "fakes detached in the cycle", fakes_detached_once, "ends between the two passes"),
    (CHECK, "the cycle as a constant", cycle_detached, "do not learn from the cycle loss"),
    (CHECK, "frozen for good", partial(frozen_for_now, thaw=False), "stay frozen"),
    (CHECK, "a number of Python", lambda *x: total(*x).item(), "must return a tensor, got float"),
    (CHECK, "nothing", lambda *x: None, "does it end in `return`"),
]  # fmt: skip

TABLE = [*CYCLES, *IDENTITIES, *POOLS, *SUMS]


@pytest.mark.parametrize(("check", "name", "answer", "said"), parameters(TABLE))
def test_an_answer_gets_the_verdict_it_deserves(check, name, answer, said, capsys):
    judge(check, answer, said, capsys)


def test_each_check_has_many_answers():
    assert enough(TABLE) == set()


@pytest.mark.parametrize("check", sorted({row[0] for row in TABLE}, key=lambda check: check.__name__))
def test_an_empty_answer_is_told_so(check):
    def empty(*_):
        raise NotImplementedError

    with pytest.raises(checks.CheckFailed, match="still empty"):
        check(empty)


@pytest.mark.parametrize("seed", range(3))
def test_a_right_pool_passes_whatever_it_draws(seed):
    """A generator that nobody seeds again."""
    rng = np.random.default_rng(seed)

    class Pool(WithNumPy):
        def __init__(self, size):
            super().__init__(size)
            self.rng = rng

    checks.check_image_pool(Pool)


def test_the_check_of_a_pool_leaves_all_random_states_as_they_were():
    def draws():
        return random.random(), np.random.random(), torch.rand(()).item()  # noqa: NPY002

    def seed():
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
        torch.manual_seed(3)

    seed()
    expected = draws()
    seed()
    checks.check_image_pool(Listed)
    assert draws() == expected
    seed()
    with pytest.raises(checks.CheckFailed):
        checks.check_image_pool(Always)
    assert draws() == expected


# --- the assignment's own tests
def hidden_test(grade_id, **answers):
    """Run a test of the assignment, with its hidden part, on these answers."""
    (cell,) = (one for one in assignments.read(MASTER)["cells"] if assignments.marks(one).get("grade_id") == grade_id)
    assert "HIDDEN" in assignments.source(cell)
    exec(assignments.source(cell), {"checks": checks, "nn": nn, "torch": torch, "Tensor": torch.Tensor, **answers})


TESTS = [
    ("test_cycle_loss", "cycle_loss", CYCLES),
    ("test_identity_loss", "identity_loss", IDENTITIES),
    ("test_image_pool", "ImagePool", POOLS),
    ("test_generators_loss", "generators_loss", SUMS),
]
RIGHT = [(test, name, row[1], row[2]) for test, name, table in TESTS for row in table if row[3] is None]


@pytest.mark.parametrize(
    ("test", "name", "answer"), [pytest.param(t, n, answer, id=f"{t}: {said}") for t, n, said, answer in RIGHT]
)
def test_right_answers_pass_the_hidden_tests_too(test, name, answer):
    hidden_test(test, **{name: answer})


def test_hidden_tests_find_what_the_checks_leave_open():
    """Functions that are right for the pictures and sizes of the check only."""

    def small(function):
        return lambda *x: function(*x) * (1 if x[-1].shape[-1] != 9 else 2)

    with pytest.raises(AssertionError, match="the example of the task"):
        hidden_test("test_cycle_loss", cycle_loss=small(cycle))
    with pytest.raises(AssertionError, match="for halves and plus"):
        hidden_test("test_identity_loss", identity_loss=small(identity))
    with pytest.raises(AssertionError, match="a wrong sum"):
        hidden_test("test_generators_loss", generators_loss=lambda *x: total(*x[:-1], x[-1] if x[-1] != 2 else 1.0))

    def up_to_ten(size):
        return Listed(size) if size <= 10 else (First(size) if size < 50 else Never(size))

    with pytest.raises(AssertionError, match="in a pool of 50"):
        hidden_test("test_image_pool", ImagePool=up_to_ten)
