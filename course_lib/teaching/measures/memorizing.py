"""A measure of chapter 15: whether a discriminator recognizes paintings, or only the crops that it was trained on.

Three trainings of CycleGAN from photographs to paintings by Van Gogh differ in one thing, the set of paintings: twelve
fixed crops, the same twelve shifted and mirrored at random, or a new crop in every step. Two paintings are held out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from course_lib import runtime
from course_lib.data.crops import Crops
from course_lib.data.unpaired import UnpairedImages
from course_lib.methods import cyclegan
from course_lib.samples import sample_image, sample_names
from course_lib.teaching.measures.measured import Measured

VAN_GOGH = (
    *("cafe_terrace", "church_at_auvers", "harvest", "langlois_bridge"),
    *("night_cafe", "pere_tanguy", "road_to_tarascon", "village_street_auvers"),
)
HELD_OUT = 2  # paintings
FEW = 12  # crops in a small training set
PROBES = 64  # pictures of each kind that a mean is taken over
TIMES = 8  # how often a run is measured
_SIDE = 160  # pixels; the short side of the pictures that crops are cut from
_BATCH = 4
_MARGIN = 1.5  # crops are this much larger than what the networks see, so that they can be shifted


def memorizing(*, size: int, steps: int, seed: int) -> Measured:
    """What a discriminator of paintings returns for its training crops and for paintings that it was not trained on.

    Args:
        size: side of what the networks see, in pixels.
        steps: of each training, of four photographs and four paintings each.
        seed: of everything; it also turns the list of paintings, whose first two are held out.

    Returns:
        For each training, ``"12 crops"``, ``"12 crops, varied"`` and ``"fresh crops"``: ``"gap, …"``, the mean output
        for training crops minus that for held-out paintings, at the end; and, eight times in the run, the mean outputs
        ``"training, …, step n"``, ``"other crops, …, step n"`` (of the training paintings), ``"held out, …, step n"``
        and ``"translated, …, step n"``. The training aims at 1 for paintings and at 0 for translated photographs.

    Source: Karras et al. 2020 (limited data), Section 2 and Figure 1.
    """
    turn = seed % len(VAN_GOGH)
    names = VAN_GOGH[turn:] + VAN_GOGH[:turn]
    held_out, paintings, photos = (
        [sample_image(name, _SIDE, side="short") for name in some]
        for some in (names[:HELD_OUT], names[HELD_OUT:], sample_names("photos"))
    )
    side, count = round(_MARGIN * size), _BATCH * steps
    fresh = _crops(paintings, side, count, seed)
    trainings: dict[str, tuple[Tensor, bool]] = {
        f"{FEW} crops": (fresh[:FEW], False), f"{FEW} crops, varied": (fresh[:FEW], True), "fresh crops": (fresh, False)
    }  # fmt: skip
    probes = {
        "other crops": _crops(paintings, side, PROBES, seed + 1),
        "held out": _crops(held_out, side, PROBES, seed),
    }
    given, shown = _crops(photos, side, count, seed), _crops(photos, side, PROBES, seed + 1)
    numbers: dict[str, float] = {}
    images = {"training": _row(fresh[:FEW]), "held out": _row(probes["held out"][:FEW]), "given": _row(shown[:FEW])}
    for name, (crops, varied) in trainings.items():
        cut: dict[str, Any] = {"size": size, "load_size": side if varied else None, "mirror": varied, "seed": seed}
        seen = {kind: _as_seen(some, cut) for kind, some in {"training": crops[:PROBES], **probes}.items()}
        with runtime.seeded(seed, torch.device("cpu")):  # the pools draw from it
            for step, players in trained(UnpairedImages(given, crops, **cut), steps, seed):
                means = outputs(players, seen, shown)
                numbers |= {f"{kind}, {name}, step {step}": mean for kind, mean in means.items()}
        numbers[f"gap, {name}"] = means["training"] - means["held out"]
        images[f"translated, {name}"] = _row(translated(players, shown[:FEW]))
    return Measured(numbers, images)


def trained(data: UnpairedImages, steps: int, seed: int) -> Iterator[tuple[int, cyclegan.Players]]:
    """Train small generators and larger discriminators, and pause eight times: the steps so far, and all networks.

    The discriminators are 2.5 times as wide as the generators, and their patches are as large as a crop.
    """
    config = replace(cyclegan.Config.quick(), image_size=data.a.size, width=0.2, num_blocks=1, patch=34, seed=seed)
    discriminators = cyclegan.build_discriminators(replace(config, width=0.5))
    players = cyclegan.Players(config, cyclegan.build(config), discriminators)
    every = max(1, steps // TIMES)
    for step in range(1, steps + 1):
        items = range(_BATCH * (step - 1), _BATCH * step)
        batch = torch.stack([data.item(*divmod(item, len(data))) for item in items])  # (N, 2, 3, S, S)
        cyclegan.train_step(players, *batch.unbind(1))
        if step % every == 0:
            yield step, players


@torch.no_grad()
def outputs(players: cyclegan.Players, seen: dict[str, Tensor], photos: Tensor) -> dict[str, float]:
    """The mean output of D_B for sets of paintings, by name, and for translated photographs, ``"translated"``."""
    assert players.D is not None
    sets = {**seen, "translated": translated(players, photos)}
    return {kind: players.D["B"](pictures).mean().item() for kind, pictures in sets.items()}


@torch.no_grad()
def translated(players: cyclegan.Players, photos: Tensor) -> Tensor:
    """Photographs (N, 3, H, W) as paintings, at the size of the training."""
    made: Tensor = players.G["AB"](_as_seen(photos, {"size": players.config.image_size}))
    return made


def _crops(pictures: list[Tensor], side: int, count: int, seed: int) -> Tensor:
    """(count, 3, side, side): crops of any scale, from each picture in turn."""
    crops = Crops(pictures, size=side, length=count, seed=seed, mirror=False)
    return torch.stack([crops[k] for k in range(count)])


def _as_seen(crops: Tensor, cut: dict[str, Any]) -> Tensor:
    """Crops as the networks see them: (N, 3, size, size), each resized, or shifted and mirrored at random."""
    data = UnpairedImages(crops, crops, **cut)
    return torch.stack([data[k][1] for k in range(len(data))])


def _row(pictures: Tensor) -> Tensor:
    """(N, 3, S, S) → (1, 3, S, N · S)."""
    return torch.cat(list(pictures), 2)[None]
