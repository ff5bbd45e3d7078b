"""Measures of chapter 16: what distances between sets of pictures respond to, and how many pictures they need."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from course_lib.data.facades import draw_facade, weather_photos
from course_lib.evaluation.frechet import frechet_distance, kernel_distance, pooled_features, sample_size_curve
from course_lib.evaluation.metrics import lpips
from course_lib.pretrained.vgg import cached_network
from course_lib.teaching.measures import disturbances
from course_lib.teaching.measures.measured import Measured

LAYER = "relu5_3"
SMALL = 32  # pictures in a small set


def sample_size(*, size: int, count: int, seed: int) -> Measured:
    """Distances between sets of façades at dusk that differ in nothing, and from façades in any weather.

    Args:
        size: side of the pictures.
        count: pictures in a large set; a small one has 32.
        seed: of the façades and of the subsets.

    Sources: Bińkowski et al. 2018, Section 4; Heusel et al. 2017.
    """
    dusk = pooled_features(_photos("dusk", 0, 2 * count, size, seed))
    anything = pooled_features(_photos("any", 2 * count, count, size, seed))
    small, large = sample_size_curve(dusk, [SMALL, count], seed=seed)
    kernel = kernels(dusk, SMALL, 100, seed)
    other = kernel_distance(dusk[:count], anything).value
    return Measured(
        {
            "FD, small sets": small.mean,
            "FD, large sets": large.mean,
            "FD, any weather": frechet_distance(dusk[:count], anything),
            "KD, small sets": kernel.mean().item(),
            "KD, its deviation": kernel.std().item(),
            "KD, large sets": kernel_distance(dusk[:count], dusk[count:]).value,
            "KD, any weather": other,
        }
    )


def kernels(features: Tensor, n: int, repeats: int, seed: int) -> Tensor:
    """(repeats,) kernel distances between two subsets of n pictures that share none.

    >>> kernels(torch.rand(40, 3), 8, 5, 0).shape
    torch.Size([5])
    """
    generator = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(repeats):
        order = torch.randperm(len(features), generator=generator)
        values.append(kernel_distance(features[order[:n]], features[order[n : 2 * n]]).value)
    return torch.tensor(values, dtype=torch.float64)


def disturbed(*, size: int, count: int, seed: int) -> Measured:
    """Fréchet distances of façades at dusk to others that are disturbed in four ways, at three levels each.

    Args:
        size, count, seed: as in `sample_size`.

    Source: Heusel et al. 2017, Figure 3.
    """
    photos = _photos("dusk", 0, 2 * count, size, seed)
    plain, rest = pooled_features(photos[:count]), photos[count:]
    numbers, images = {"undisturbed": frechet_distance(plain, pooled_features(rest))}, {}
    for name, (disturb, levels) in disturbances.DISTURBANCES.items():
        for k, level in enumerate(levels, 1):
            spoiled = disturb(rest, level, seed)
            numbers[f"{name} {k}"] = frechet_distance(plain, pooled_features(spoiled))
            images[f"{name} {k}"] = spoiled[:1]
    return Measured(numbers, images)


def ugly_sets(*, size: int, count: int, seed: int) -> Measured:
    """Sets that win a distance, or a classifier, against honest ones, although nobody should want them.

    The task is to translate façades by day into façades at dusk. *Honest* pictures are the same streets at dusk, drawn.
    *Memorized* ones are copies of the real pictures at dusk that the distance is computed with. *Compressed* ones are
    honest, through JPEG at quality 75. In *turned* ones, every tenth is upside down. *Nudged* ones are the pictures by
    day, changed by at most 4/255 so that a classifier calls them dusk.

    Args:
        size, count, seed: as in `sample_size`.

    Sources: Borji 2019; Sajjadi et al. 2018; Szegedy et al. 2014; Wright & Ommer 2022, Eq. 5.
    """
    real = _photos("dusk", 0, count, size, seed)
    day, honest = (_photos(weather, count, count, size, seed) for weather in ("clear", "dusk"))
    made = {
        "honest": honest,
        "memorized": real,
        "compressed": disturbances.compress(honest, 75),
        "turned": disturbances.some_upside_down(honest),
    }
    features, numbers = pooled_features(real), {}
    for name, images in made.items():
        found = pooled_features(images)
        numbers[f"FD, {name}"] = frechet_distance(features, found)
        numbers[f"KD, {name}"] = kernel_distance(features, found).value
    for name in ("honest", "memorized"):
        distance = lpips(made[name][:64], day[:64])
        numbers[f"ArtFD, {name}"] = (1 + distance) * (1 + numbers[f"FD, {name}"])
    classifier = Classifier(day[: count // 2], real[: count // 2])
    tried = day[-8:]
    nudged = classifier.nudge(tried, 4 / 255)
    numbers |= {
        "score, by day": classifier(tried).mean().item(),
        "score, honest": classifier(honest[-8:]).mean().item(),
        "score, nudged": classifier(nudged).mean().item(),
        "change, nudged": (nudged - tried).abs().max().item(),
    }
    shown = {name: images[:1] for name, images in made.items()}
    return Measured(numbers, {"by day": day[:1], **shown, "tried": tried[:1], "nudged": nudged[:1]})


class Classifier:
    """A linear classifier of pooled features, by ridge regression: positive for the second kind of pictures.

    Args:
        first, second: (N, 3, H, W) in [0, 1], pictures of the two kinds.
    """

    def __init__(self, first: Tensor, second: Tensor) -> None:
        x = torch.cat([pooled_features(first, LAYER), pooled_features(second, LAYER)]).double()
        y = torch.cat([-torch.ones(len(first)), torch.ones(len(second))]).double()
        self.mean = x.mean(0)
        x = x - self.mean
        ridge = 0.01 * x.square().sum() / x.shape[1]
        system = x.T @ x + ridge * torch.eye(x.shape[1], dtype=torch.float64)
        self.weight = torch.linalg.solve(system, x.T @ (y - y.mean()))
        self.network = cached_network("vgg16", (LAYER,), "max", "default", torch.float32, torch.device("cpu"))

    def __call__(self, images: Tensor) -> Tensor:
        """(N,) scores: about −1 for pictures of the first kind, about 1 for the second."""
        return (self.network(images)[LAYER].mean((2, 3)) - self.mean.float()) @ self.weight.float()

    def nudge(self, images: Tensor, most: float, steps: int = 5) -> Tensor:
        """Raise the score by steps along the sign of its gradient; no value changes by more than `most`."""
        changed = images.clone()
        for _ in range(steps):
            changed.requires_grad_()
            (gradient,) = torch.autograd.grad(self(changed).sum(), changed)
            changed = changed.detach() + 2 * most / steps * gradient.sign()
            changed = torch.maximum(torch.minimum(changed, images + most), images - most).clamp(0, 1)
        return changed


@lru_cache(maxsize=4)
def _photos(weather: str, first: int, count: int, size: int, seed: int) -> Tensor:
    """(count, 3, size, size): façades from number `first` on; ``"any"`` leaves the weather to each scene."""
    numbers = range(first, first + count)
    if weather == "any":
        return torch.stack([draw_facade(k, size=size, seed=seed).photo for k in numbers])
    return weather_photos(weather, numbers, size=size, seed=seed)
