"""Measures over many iterations: 5000 of Adam and of L-BFGS, printed costs, and the recipe of Premamayudu et al."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import mean

from torch import Tensor

from course_lib import runtime
from course_lib.evaluation import metrics, structure
from course_lib.methods import gatys
from course_lib.teaching.measures.measured import Measured

PRINTED = {  # Premamayudu et al. 2019, the costs printed at iterations 0, 20, 40, 60
    "total": (5.04752e9, 9.44829e8, 4.80348e8, 3.10248e8),
    "style": (1.26186e8, 2.36169e7, 1.20045e7, 7.75183e6),
    "content": (7865.72, 15237.8, 16714.2, 17445.0),
}
# α = 10 and β = 40 reproduce the printed totals to six digits; the document prints neither.
SHARE = 10 * PRINTED["content"][0] / PRINTED["total"][0]
HELD_OUT = ("relu1_2", "relu2_2", "relu3_2", "relu4_2")  # no style loss asks for these


def first_fifth(pictures: Sequence[Tensor]) -> float:
    """The sum of root mean square changes from picture to picture: the share of its first fifth, from 0 to 1.

    Args:
        pictures: at least six, (1, 3, H, W) in [0, 1], in order.
    """
    moves = [metrics.change(before, after) for before, after in pairwise(pictures)]
    return sum(moves[: len(moves) // 5]) / sum(moves)


def long_run(photo: Tensor, painting: Tensor, *, steps: int, seed: int) -> Measured:
    """Adam and L-BFGS from one mixed start: the change in the first fifth, and the loss after a tenth and at the end.

    The change is measured between pictures a fiftieth of the run apart: 100 of 5000 iterations, as in Peng et al.
    """
    numbers: dict[str, float] = {}
    images: dict[str, Tensor] = {}
    early = max(1, steps // 10)
    for name in ("adam", "lbfgs"):
        seen: dict[int, Tensor] = {}

        def watch(progress: runtime.Progress, seen: dict[int, Tensor] = seen) -> None:
            if progress.step == 1 or progress.step % max(1, steps // 50) == 0:
                seen[progress.step] = progress.image()

        config = gatys.Config(num_steps=steps, start="mixed", optimizer=name, seed=seed)
        total = gatys.stylize(photo, painting, config, callback=watch).history["total"]
        numbers[f"{name}, share"] = first_fifth(list(seen.values()))
        numbers |= {f"{name}, loss at a tenth": total[early - 1], f"{name}, loss at the end": total[-1]}
        images |= {f"{name}, {step}": seen[step] for step in (early, steps)}
    return Measured(numbers, images)


def recipe(photo: Tensor, painting: Tensor, *, steps: int, seed: int, start: str = "mixed") -> gatys.Config:
    """Adam at 2.0 on pixels of 0–255 from a mixed start; the content begins with its share of the total in their print.

    Premamayudu et al. 2019, Section 4. We do not copy α and β, which are not printed and would mean something else on
    another network: the content cost grows with the square of the features and the style cost with their fourth power.
    The share (`SHARE`, from the printed costs and our fit) carries over.
    """
    mixed = gatys.Config(optimizer="adam", start="mixed", style_layer_weights="equal", style_weight=1.0, seed=seed)
    first = gatys.stylize(photo, painting, replace(mixed, num_steps=1)).history
    part = first["content/relu4_2"][0]
    weight = SHARE / (1 - SHARE) * (first["total"][0] - part) / part
    return replace(mixed, content_weight=weight, num_steps=steps, start=start)


def costs(history: dict[str, list[float]], every: int = 20) -> dict[str, list[float]]:
    """Total, content and style cost at iterations 0, `every`, 2 · `every`, …, as Premamayudu et al. print them."""
    content = history["content/relu4_2"]
    style = [total - part for total, part in zip(history["total"], content, strict=True)]
    return {"total": history["total"][::every], "content": content[::every], "style": style[::every]}


def printed_costs(photo: Tensor, painting: Tensor, *, seed: int) -> Measured:
    """Costs at 0, 20, 40 and 60 iterations: the extreme factors from print to print, and those since the start."""
    found = costs(gatys.stylize(photo, painting, recipe(photo, painting, steps=61, seed=seed)).history)
    numbers = {f"largest step of {name}": max(b / a for a, b in pairwise(found[name])) for name in ("total", "style")}
    numbers["smallest step of content"] = min(b / a for a, b in pairwise(found["content"]))
    numbers["content at 60"] = found["content"][3] / found["content"][0]
    numbers |= {f"style factor at {20 * k}": found["style"][0] / found["style"][k] for k in (1, 3)}
    return Measured(numbers)


def transfer_learning(photo: Tensor, painting: Tensor, *, steps: int, seed: int) -> Measured:
    """The recipe of Premamayudu et al.: edges kept (and by Gatys et al.), iterations, the mixed start, style layers.

    The style is measured at layers that are in no loss (relu1_2, relu2_2, relu3_2, relu4_2), as the mean Gram distance.
    """
    ours = recipe(photo, painting, steps=steps, seed=seed)
    early = max(1, steps // 10)
    marks = {"at a tenth": early, "halfway": max(1, steps // 2), "at the end": steps}
    seen: dict[int, Tensor] = {}

    def watch(progress: runtime.Progress) -> None:
        if progress.step in marks.values():
            seen[progress.step] = progress.image()

    mixed = gatys.stylize(photo, painting, ours, callback=watch)
    noise = gatys.stylize(photo, painting, replace(ours, start="noise", num_steps=early))
    plain = gatys.Config(style_layer_weights="equal", style_weight=100.0, num_steps=steps, seed=seed)
    gatys_image = gatys.stylize(photo, painting, plain).image
    numbers = {f"style {name}": _style(seen[step], painting) for name, step in marks.items()}
    numbers |= {
        "edges, theirs": structure.edge_agreement(mixed.image, photo),
        "edges, Gatys": structure.edge_agreement(gatys_image, photo),
        "style, Gatys": _style(gatys_image, painting),
        "content from the mixture": mixed.history["content/relu4_2"][early - 1] / ours.content_weight,
        "content from noise": noise.history["content/relu4_2"][-1] / ours.content_weight,
    }
    images = {"theirs": mixed.image, "Gatys": gatys_image}
    for layer in ("relu1_1", "relu3_1", "relu5_1"):
        alone = replace(ours, style_layers=(layer,), style_weight=_same_start(photo, painting, ours, layer))
        images[f"{layer} alone"] = gatys.stylize(photo, painting, alone).image
        numbers[f"style, {layer} alone"] = _style(images[f"{layer} alone"], painting)
    return Measured(numbers, images)


def _style(image: Tensor, painting: Tensor) -> float:
    return mean(metrics.gram_distance(image, painting, HELD_OUT).values())


def _same_start(photo: Tensor, painting: Tensor, config: gatys.Config, layer: str) -> float:
    """The weight at which one style layer begins with the same cost as all of them."""
    whole = gatys.stylize(photo, painting, replace(config, num_steps=1)).history
    alone = gatys.stylize(photo, painting, replace(config, num_steps=1, style_layers=(layer,))).history
    parts = [sum(values[0] for name, values in one.items() if name.startswith("style/")) for one in (whole, alone)]
    return config.style_weight * parts[0] / parts[1]
