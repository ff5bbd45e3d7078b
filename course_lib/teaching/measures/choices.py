"""Measures of chapter 4 that compare pictures made with one choice changed: layers, weights, start, prior."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from statistics import mean, pvariance
from typing import Any

import torch
from torch import Tensor

from course_lib import samples
from course_lib.evaluation import metrics, structure
from course_lib.images import resize
from course_lib.methods import gatys
from course_lib.pretrained.vgg import CONTENT_LAYER, STYLE_LAYERS, cached_network
from course_lib.teaching.measures.cases import PAINTINGS, PHOTOGRAPHS
from course_lib.teaching.measures.measured import Measured

RATIOS = (1, 10, 100, 1000)


def engine(steps: int, seed: int, **change: Any) -> gatys.Config:
    """Our fast engine without coarse scales: a measure makes many pictures, and they are small."""
    return replace(gatys.Config.fast(), scales=None, num_steps=steps, seed=seed, **change)


def equal_share(photo: Tensor, painting: Tensor, config: gatys.Config, layer: str) -> gatys.Config:
    """The configuration with `layer` as its content layer, and a weight at which the content loss begins as before."""
    first = [
        gatys.stylize(photo, painting, replace(config, content_layers=(one,), num_steps=1)).history[f"content/{one}"][0]
        for one in (config.content_layers[0], layer)
    ]
    return replace(config, content_layers=(layer,), content_weight=config.content_weight * first[0] / first[1])


def _beside_noise(photo: Tensor, painting: Tensor, steps: int, seed: int, **change: float) -> list[Tensor]:
    """Three pictures: as usual, with one setting changed, and as usual from another noise."""
    tasks = (engine(steps, seed), engine(steps, seed, **change), engine(steps, seed + 100))
    return [gatys.stylize(photo, painting, task).image for task in tasks]


def content_layer(photo: Tensor, painting: Tensor, *, steps: int, seed: int) -> Measured:
    """SSIM and LPIPS to the photograph with relu4_2 and relu2_2, at an equal share of the loss and at equal weight.

    Also LPIPS between the pictures with relu4_1 and relu4_2, and between two with relu4_2 from different noises.
    """
    usual = engine(steps, seed)
    tasks = {
        "relu4_2": usual,
        "relu2_2": equal_share(photo, painting, usual, "relu2_2"),
        "relu2_2, equal weight": replace(usual, content_layers=("relu2_2",)),
        "relu4_1": equal_share(photo, painting, usual, "relu4_1"),
        "another noise": replace(usual, seed=seed + 100),
    }
    images = {name: gatys.stylize(photo, painting, task).image for name, task in tasks.items()}
    kept = ("relu4_2", "relu2_2", "relu2_2, equal weight")
    numbers = {f"SSIM {name}": metrics.ssim(images[name], photo) for name in kept}
    numbers |= {f"LPIPS {name}": metrics.lpips(images[name], photo) for name in kept}
    numbers["relu4_1 to relu4_2"] = metrics.lpips(images["relu4_1"], images["relu4_2"])
    numbers["two noises"] = metrics.lpips(images["another noise"], images["relu4_2"])
    return Measured(numbers, images)


def style_layers(painting: Tensor, *, steps: int, seed: int) -> Measured:
    """Structure size of a texture, in pixels, with the style layers up to relu1_1, up to relu3_1 and up to relu5_1."""
    images = {
        f"up to {STYLE_LAYERS[depth - 1]}": gatys.stylize(
            None, painting, engine(steps, seed, style_layers=STYLE_LAYERS[:depth])
        ).image
        for depth in (1, 3, 5)
    }
    return Measured({name: structure.structure_size(image) for name, image in images.items()}, images)


def ratio(photo: Tensor, painting: Tensor, *, steps: int, seed: int) -> Measured:
    """SSIM to the photograph at four style weights: at full size, and after both pictures are reduced to 64 px."""
    images = {
        str(weight): gatys.stylize(photo, painting, engine(steps, seed, style_weight=float(weight))).image
        for weight in RATIOS
    }
    small = {weight: metrics.ssim(resize(image, 64), resize(photo, 64)) for weight, image in images.items()}
    numbers = {f"SSIM at {weight}": metrics.ssim(image, photo) for weight, image in images.items()}
    return Measured(numbers | {f"64 px at {weight}": value for weight, value in small.items()}, images)


def strength(photo: Tensor, painting: Tensor, *, steps: int, seed: int) -> Measured:
    """Content weights 1 and 0.0005: SSIM to the photograph, LPIPS between the two pictures, and between two noises."""
    strong, weak, other = _beside_noise(photo, painting, steps, seed, content_weight=0.0005)
    numbers = {"SSIM at 1": metrics.ssim(strong, photo), "SSIM at 0.0005": metrics.ssim(weak, photo)}
    numbers |= {"apart": metrics.lpips(strong, weak), "two noises": metrics.lpips(strong, other)}
    return Measured(numbers, {"strength 1": strong, "strength 0.0005": weak})


def starts(photo: Tensor, painting: Tensor, *, steps: int, seed: int) -> Measured:
    """LPIPS between results of three starts and between the starts; SSIM at 64 px from mixed and from pure noise."""
    usual = engine(steps, seed)
    kinds = ("noise", "content", "style")
    images = {kind: gatys.stylize(photo, painting, replace(usual, start=kind)).image for kind in kinds}
    first = {kind: gatys.first_image(photo, painting, replace(usual, start=kind)).detach().cpu() for kind in kinds}
    numbers = {}
    for a, b in combinations(kinds, 2):
        numbers[f"results, {a} and {b}"] = metrics.lpips(images[a], images[b])
        numbers[f"starts, {a} and {b}"] = metrics.lpips(first[a], first[b])
    for share in (0.7, 1.0):
        task = replace(usual, start="mixed", noise_ratio=share, noise_width=1.0)
        images[f"noise ratio {share:g}"] = gatys.stylize(photo, painting, task).image
        small = resize(images[f"noise ratio {share:g}"], 64)
        numbers[f"SSIM from {share:g}"] = metrics.ssim(small, resize(photo, 64))
    return Measured(numbers, images)


def prior(photo: Tensor, painting: Tensor, *, steps: int, seed: int) -> Measured:
    """LPIPS between the pictures with and without a smoothness term, and between two pictures from different noises."""
    plain, smooth, other = _beside_noise(photo, painting, steps, seed, tv_weight=1.0)
    numbers = {"smoothed": metrics.lpips(plain, smooth), "two noises": metrics.lpips(plain, other)}
    return Measured(numbers, {"no prior": plain, "smoothness 1": smooth, "another noise": other})


def grid(*, steps: int, seed: int, size: int) -> Measured:
    """Three photographs in five styles: the worst distance and SSIM; how SSIM varies over paintings and photographs.

    The distance to the painting is the sum of the Gram distances at five layers, divided by the photograph's own sum.
    SSIM to the photograph is taken at 64 px; its variances are those of the means of five paintings and of the means of
    three photographs.
    """
    moved, kept = [], []
    paintings = [samples.sample_image(name, size) for name in PAINTINGS]
    for name in PHOTOGRAPHS:
        photo = samples.sample_image(name, size)
        for painting in paintings:
            image = gatys.stylize(photo, painting, engine(steps, seed)).image
            before, after = (sum(metrics.gram_distance(x, painting).values()) for x in (photo, image))
            moved.append(after / before)
            kept.append(metrics.ssim(resize(image, 64), resize(photo, 64)))
    rows = [kept[k : k + len(PAINTINGS)] for k in range(0, len(kept), len(PAINTINGS))]
    numbers = {"largest distance": max(moved), "smallest SSIM": min(kept)}
    numbers["variance over paintings"] = pvariance([mean(column) for column in zip(*rows, strict=True)])
    numbers["variance over photographs"] = pvariance([mean(row) for row in rows])
    return Measured(numbers)


def own_pair(*, steps: int, seed: int, size: int) -> Measured:
    """Of fifteen pictures, the shares that are nearest to their own painting and to their own photograph.

    Nearness to a painting is the sum of the Gram distances at five layers; nearness to a photograph, resized to the
    picture's size, is ‖F − P‖ / ‖P‖ at relu4_2.
    """
    network = cached_network("vgg19", (CONTENT_LAYER,), "average", "default", torch.float32, torch.device("cpu"))
    paintings = [samples.sample_image(name, size) for name in PAINTINGS]
    photos = [samples.sample_image(name, size) for name in PHOTOGRAPHS]
    right = {"painting": 0, "photograph": 0}
    for (i, photo), (k, painting) in product(enumerate(photos), enumerate(paintings)):
        image = gatys.stylize(photo, painting, engine(steps, seed)).image
        to_style = [sum(metrics.gram_distance(image, other).values()) for other in paintings]
        with torch.no_grad():
            own = network(image)[CONTENT_LAYER]
            seen = [network(resize(other, (image.shape[-2], image.shape[-1])))[CONTENT_LAYER] for other in photos]
        to_content = [((own - other).norm() / other.norm()).item() for other in seen]
        right["painting"] += to_style.index(min(to_style)) == k
        right["photograph"] += to_content.index(min(to_content)) == i
    every = len(photos) * len(paintings)
    return Measured({f"own {kind} is nearest": count / every for kind, count in right.items()})
