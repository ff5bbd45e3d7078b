"""The data, the configuration and the scores of the networks that turn plastered walls into brick ones, without pairs.

Only the walls change, and which pixels they are is known: every unseen street is drawn with both materials. So there is
a truth for the translation, and one for where an attention map should be bright.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from course_lib.data.facades import draw_facade
from course_lib.methods import ugatit
from course_lib.teaching import records
from scripts.unpaired_model import Watched, color_transfer, error

MATERIALS = ("plaster", "brick")
SCENES = 1000  # of each material, drawn with seed 0
UNSEEN = 24  # streets of the scores, drawn with seed 1
WATCHED = 8  # of them, for the scores while training
SHOWN = 6
COLORS = 100  # pictures of B whose colors a color transfer aims at
EVERY = 250  # steps between two scores
CHANGED = 0.02  # a pixel counts as changed where its colors differ by more than this, on average
CONFIG = ugatit.Config.fast()


def streets(material: str, numbers: Iterable[int], size: int, seed: int = 0) -> Tensor:
    """Streets on a clear day with walls of one material, (N, 3, size, size)."""
    drawn = (draw_facade(k, size=size, seed=seed, weather="clear", material=material).photo for k in numbers)
    return torch.stack([*drawn])


def domains(size: int) -> tuple[Tensor, Tensor]:
    """The training sets A and B, (1000, 3, size, size) each, of different streets."""
    a, b = MATERIALS
    return streets(a, range(SCENES), size), streets(b, range(SCENES, 2 * SCENES), size)


def pairs(size: int, count: int = UNSEEN) -> tuple[Tensor, Tensor]:
    """Streets that no training sees, with both materials, (count, 3, size, size) each."""
    a, b = (streets(material, range(count), size, seed=1) for material in MATERIALS)
    return a, b


def changed(a: Tensor, b: Tensor) -> Tensor:
    """Where the truth differs, (N, 1, H, W), 0 or 1."""
    return ((a - b).abs().mean(1, keepdim=True) > CHANGED).float()


def correlations(heat: Tensor, truth: Tensor) -> list[float]:
    """Pearson's correlation of each map (N, 1, H, W) with its truth, of the same shape."""
    rows = (each.flatten(1) - each.flatten(1).mean(1, keepdim=True) for each in (heat, truth))
    x, y = (row / row.norm(dim=1, keepdim=True).clamp_min(1e-8) for row in rows)
    return [float(value) for value in (x * y).sum(1)]


def rhos(model: ugatit.Model, direction: str = "AB") -> dict[str, list[float]]:
    """By the name of each AdaLIN layer: the smallest, the mean and the largest ρ of its channels."""
    named = model.network[direction].named_parameters()
    return {
        name: [rho.min().item(), rho.mean().item(), rho.max().item()] for name, rho in named if name.endswith("rho")
    }


class Scores(Watched):
    """The scores of both directions, and of the attention.

    Args:
        size: of the pictures.
        checkpoint: of the run.
    """

    def __init__(self, size: int, checkpoint: Path) -> None:
        self.a, self.b = pairs(size)
        super().__init__(checkpoint, EVERY, self.a[:WATCHED], self.b[:WATCHED])

    def describe(self, run: records.Record, model: ugatit.Model) -> None:
        """Store the curve, the errors beside those of two baselines, the attention, every ρ, and pictures."""
        a, b = self.a, self.b
        there, back = (ugatit.translate(x, model, direction=d).image for x, d in ((a, "AB"), (b, "BA")))
        moved = color_transfer(a, streets(MATERIALS[1], range(SCENES, SCENES + COLORS), a.shape[-1]))
        walls = changed(a, b)
        heat = ugatit.attention(a, model)
        untrained = ugatit.Model(ugatit.build(model.config), model.config, {})
        run.values |= {
            "error while training": self.curve,
            "error": {"as it is": error(a, b), "color transfer": error(moved, b), "U-GAT-IT": error(there, b)},
            "error back": {"as it is": error(b, a), "U-GAT-IT": error(back, a)},
            "error on walls": {
                name: float(((made - b).abs() * walls).sum() / (3 * walls.sum()))
                for name, made in (("as it is", a), ("color transfer", moved), ("U-GAT-IT", there))
            },
            "share of the picture that changes": float(walls.mean()),
            "correlation of the attention with the change": {
                "trained": correlations(heat, walls),
                "untrained": correlations(ugatit.attention(a, untrained), walls),
            },
            "rho": rhos(model),
        }
        rows = {"given": a, "translated": there, "color transfer": moved, "truth": b, "translated back": back}
        rows |= {"attention": heat.expand(-1, 3, -1, -1), "changed": walls.expand(-1, 3, -1, -1)}
        for k in range(SHOWN):
            run.images |= {f"street {k}, {name}": pictures[k : k + 1] for name, pictures in rows.items()}
