"""Measures of chapter 12: twelve styles with one network, after Dumoulin et al., and what a pass of it takes.

``blend`` names two paintings; ``size`` is the long side in pixels at which a function loads paintings itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from statistics import mean, median

import torch
from torch import Tensor

from course_lib import losses, runtime, samples
from course_lib.data.crops import Crops
from course_lib.images import resize
from course_lib.losses.many_styles import ManyStyles
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.methods import adain, gatys, johnson, multi_style
from course_lib.optimize.image import stepper
from course_lib.pretrained.vgg import STYLE_LAYERS, cached_network
from course_lib.teaching.measures.any_style import SHARES
from course_lib.teaching.measures.cases import PHOTOGRAPHS
from course_lib.teaching.measures.measured import Measured

MODEL = "twelve_paintings"  # comes with the package
ITERATIONS = 500  # after Gatys et al., in the comparison of Huang & Belongie
PART = 8  # a new style is learned in an eighth of the steps


def near_single(photo: Tensor, *, painter: str) -> Measured:
    """Content and style loss of twelve_paintings, divided by those of the network for this painting alone.

    The losses are those of `johnson`, with the layers and the scale that this network was trained with.

    Source: Dumoulin et al. 2017, Section 3.
    """
    alone, twelve = johnson.load(painter), multi_style.load(MODEL)
    images = {
        "twelve paintings": multi_style.stylize(photo, twelve, painter).image,
        "this painting alone": johnson.stylize(photo, alone).image,
    }
    loss = johnson.objective(samples.sample_image(painter), alone.config)
    loss.set_content(photo.to(loss.network.mean))
    many, one = (_parts(loss, image) for image in images.values())
    numbers = {part: many[part] / one[part] for part in one}
    numbers |= {f"{part}, {name}": found[part] for name, found in zip(images, (many, one), strict=True) for part in one}
    return Measured(numbers, images)


def interpolation(photo: Tensor, *, blend: tuple[str, str]) -> Measured:
    """The style losses to two paintings along the line between their scales and shifts, at five weights of the first.

    Source: Dumoulin et al. 2017, Section 3.
    """
    model = multi_style.load(MODEL)
    mixes = [dict(zip(blend, (share, 1 - share), strict=True)) for share in SHARES]
    images = [multi_style.stylize(photo, model, mix).image for mix in mixes]
    numbers = {}
    for name, painting in zip(("first", "second"), blend, strict=True):
        loss = johnson.objective(samples.sample_image(painting), johnson.Config(device=model.config.device))
        loss.set_content(photo.to(loss.network.mean))
        for share, image in zip(SHARES, images, strict=True):
            numbers[f"{name} at {share:g}"] = _parts(loss, image)["style"]
    return Measured(numbers, {f"{share:g} of {blend[0]}": image for share, image in zip(SHARES, images, strict=True)})


def own_style(photo: Tensor, *, size: int) -> Measured:
    """The share of pictures, one in each style of twelve_paintings, whose nearest painting is their own.

    The distance is the mean Gram distance at five layers. Random styles would give one twelfth.

    Source: Premamayudu et al. 2019, Section 4.
    """
    model = multi_style.load(MODEL)
    goals = [_grams(samples.sample_image(name, size)) for name in model.styles]
    images = {name: multi_style.stylize(photo, model, name).image for name in model.styles}
    right = 0
    for k, image in enumerate(images.values()):
        grams = _grams(image)
        apart = [mean(((a - b).norm() / b.norm()).item() for a, b in zip(grams, goal, strict=True)) for goal in goals]
        right += apart.index(min(apart)) == k
    return Measured({"own painting is nearest": right / len(images)}, images)


def new_style(*, new_painting: str, size: int, steps: int, seed: int = 0) -> Measured:
    """Learn a thirteenth painting by its scales and shifts in an eighth of `steps`, and alone from random weights.

    Both trainings have the same objective, learning rates and batches of two squares of `size` px; only their lengths
    differ. The objective is compared on three photographs outside both training sets.

    Source: Dumoulin et al. 2017, Section 3.
    """
    model, painting = multi_style.load(MODEL), samples.sample_image(new_painting)
    photos = torch.cat([samples.sample_image(name, (size, size)) for name in PHOTOGRAPHS])
    config = replace(model.config, num_steps=steps, batch_size=2, image_size=size, seed=seed)
    balanced = multi_style.objective([painting], config, photos, model.facts.get("style_start"))
    weight = config.style_weight * balanced.factors[0].item()  # as if the painting had been one of the twelve
    config = replace(config, style_weight=weight, equalize=False)
    short = replace(config, num_steps=max(1, steps // PART))
    crops = Crops(None, size=size, seed=seed).near(runtime.pick_device(config.device))
    models = {
        "thirteenth": multi_style.add_style(model, new_painting, painting, crops, short),
        "alone": multi_style.train({new_painting: painting}, crops, config),
    }
    objective = multi_style.objective([painting], config, photos)
    values: dict[str, list[float]] = {}
    images = {}
    for name, learned in models.items():
        painted = images[name] = multi_style.stylize(photos, learned, new_painting).image
        pairs = zip(painted.split(1), photos.split(1), strict=True)
        values[name] = [_total(objective, *pair, config.tv_weight) for pair in pairs]
    quotients = [a / b for a, b in zip(values["thirteenth"], values["alone"], strict=True)]
    numbers = {"largest quotient": max(quotients), "smallest quotient": min(quotients)}
    return Measured(numbers, {name: image[:1] for name, image in images.items()})


def any_speed(*, size: int, steps: int) -> Measured:
    """Seconds of a pass for any style, of a pass of Dumoulin et al.'s network, and of an iteration of Gatys et al.

    They run in turns, `steps` times, and the medians count: CPU seconds, or wall-clock seconds on a GPU. Pictures are
    squares of `size` px, or of half that where the rule says 256 px. In the paper, the painting's statistics are
    already computed; here it has 32 px, so that encoding it takes less than a hundredth of the pass.

    Source: Huang & Belongie 2017, Table 2.
    """
    photos = {"256 px": _square(size // 2), "512 px": _square(size)}
    painting = samples.sample_image("great_wave", (32, 32))
    plain = multi_style.Config()
    fixed = multi_style.Model(multi_style.build(plain).eval(), plain, {})  # untrained: its speed is the same
    config = gatys.Config()
    objective = gatys.objective(photos["512 px"], resize(samples.sample_image("great_wave"), size), config)
    x = gatys.first_image(photos["512 px"], painting, config)
    iteration = stepper(gatys.optimizer(x, config), objective.with_gradient, torch.zeros_like(x))
    ways: dict[str, Callable[[], object]] = {"Gatys": lambda: iteration().tolist()}
    for name, photo in photos.items():
        ways[f"any style, {name}"] = partial(adain.stylize, photo, painting)
        ways[f"fixed styles, {name}"] = partial(multi_style.stylize, photo, fixed, fixed.styles[0])
    seconds = _in_turns(ways, steps)
    numbers = {name: seconds[f"any style, {name}"] / seconds[f"fixed styles, {name}"] for name in photos}
    numbers["Gatys to any style"] = ITERATIONS * seconds["Gatys"] / seconds["any style, 512 px"]
    numbers["frames a second"] = 1 / seconds["any style, 512 px"]
    return Measured(numbers | {f"seconds, {name}": value for name, value in seconds.items()})


def _square(size: int) -> Tensor:
    """The first of the photographs, `size` px on each side."""
    return samples.sample_image(PHOTOGRAPHS[0], (size, size))


def _in_turns(ways: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """The median seconds of each way; every turn calls each of them once, and the first turns do not count."""
    on_gpu = runtime.pick_device("auto").type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + (5 if on_gpu else 1)):  # on CUDA a step is captured at its fourth call
        for name, way in ways.items():
            began = clock()
            way()
            if turn >= (5 if on_gpu else 1):
                times[name].append(clock() - began)
    return {name: median(seconds) for name, seconds in times.items()}


@torch.no_grad()
def _parts(loss: PerceptualLoss, image: Tensor) -> dict[str, float]:
    """The sums of the weighted content terms and of the weighted style terms."""
    terms = loss(image.to(loss.network.mean)).tolist()
    pairs = list(zip(loss.names, terms, strict=True))
    return {part: sum(value for name, value in pairs if name.startswith(part)) for part in ("content", "style")}


@torch.no_grad()
def _total(objective: ManyStyles, painted: Tensor, photo: Tensor, tv_weight: float) -> float:
    """The objective of one picture, including total variation."""
    place = objective.factors.device
    terms = objective(painted.to(place), photo.to(place), torch.zeros(1, dtype=torch.long, device=place))
    return (terms.sum().cpu() + tv_weight * losses.total_variation_loss(painted)).item()


@torch.no_grad()
def _grams(image: Tensor) -> list[Tensor]:
    network = cached_network("vgg19", STYLE_LAYERS, "average", "default", torch.float32, torch.device("cpu"))
    return [losses.gram_matrix(features, mean=True) for features in network(image).values()]
