"""Photos as cartoons: AnimeGAN's second version, its networks, batches and losses, on the package's own photographs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from course_lib import sample_image
from course_lib.methods import animegan
from scripts import cartoon_model
from scripts.paper_queue.items import Job
from scripts.paper_queue.tasks import scored

PAPER = replace(animegan.Config.v2(), image_size=cartoon_model.TILE)
TOY: dict[str, Any] = {"image_size": 32, "batch_size": 2, "width": 0.1, "num_blocks": 1}


def _few() -> tuple[Tensor, Tensor]:
    """Four tiles of a photo and their cartoons, for a rehearsal."""
    tiles = cartoon_model.tiles(sample_image(cartoon_model.UNSEEN[0], cartoon_model.SIDE))[:4]
    return tiles, cartoon_model.drawn(tiles)


def run(job: Job) -> None:
    """Train the generator, score its drawings of photographs it has not seen, and write the model file."""
    toy = job.scale == "toy"
    config = replace(PAPER, device=job.device, **(TOY if toy else {}))
    photos, cartoons = _few() if toy else cartoon_model.domains()
    count = max(len(photos), len(cartoons))

    def epochs(steps: int) -> int:
        return max(1, round(steps * config.batch_size / count))

    def in_full(steps: int) -> int:
        return epochs(steps) * count // config.batch_size

    def train(steps: int, **more: Any) -> animegan.Model:
        num_epochs = epochs(steps)
        first = min(config.init_epochs, num_epochs // 10)  # as large a part as in the paper's run
        return animegan.train(photos, cartoons, replace(config, num_epochs=num_epochs, init_epochs=first), **more)

    whole = config.num_epochs * count // config.batch_size
    scored.run(job, animegan, config, whole, train, cartoon_model.Scores, in_full)
