"""How near the translations of three networks are to the pictures that they should look like, as sets.

    python -m benchmarks.translation_distances             # prints both distances; three minutes
    python -m benchmarks.translation_distances --record    # stores them for chapters 18 and 19

No pair is compared: the translations of some unseen streets, and *other* unseen streets that were drawn in the
domain asked for, by features of VGG-16 (`evaluation.frechet`). Beside them: the untouched pictures, one change of all
colors, and two halves of the true pictures, which say how small a distance between so few pictures can be. Of the six
unseen photographs, tiles are compared with the tiles of the filter's cartoons of the same photographs.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from torch import Tensor

from course_lib import sample_image
from course_lib.data.facades import weather_photos
from course_lib.evaluation.frechet import frechet_distance, kernel_distance, pooled_features
from course_lib.methods import animegan, stargan, ugatit
from course_lib.teaching import records
from scripts import attention_model, cartoon_model, domains_model
from scripts.unpaired_model import color_transfer

PICTURES = 300  # translated, and as many true ones of other scenes
SIZE = 64
GIVEN, GOALS = "clear", ("hazy", "snow", "dusk")


def distances(sets: dict[str, Tensor], true: Tensor) -> dict[str, Any]:
    """Both distances of each set of pictures (N, 3, H, W) from the true ones, and of the halves of these."""
    aim = pooled_features(true)
    features = {name: pooled_features(pictures) for name, pictures in sets.items()}
    half = len(aim) // 2
    found = {
        name: {"frechet": frechet_distance(each, aim), "kernel": list(kernel_distance(each, aim))}
        for name, each in features.items()
    }
    halves = aim[:half], aim[half : 2 * half]
    found["two halves of the true ones"] = {
        "frechet": frechet_distance(*halves), "kernel": list(kernel_distance(*halves)),
    }  # fmt: skip
    return found


def weathers(count: int) -> dict[str, Any]:
    """Clear streets, translated to three other weathers by `weathers`."""
    model = stargan.load("weathers")
    given = weather_photos(GIVEN, range(count), size=SIZE, seed=1)
    found = {}
    for goal in GOALS:
        true = weather_photos(goal, range(count, 2 * count), size=SIZE, seed=1)
        made = stargan.translate(given, model, to=goal).image
        aim = weather_photos(goal, range(domains_model.COLORS), size=SIZE)
        found[goal] = distances(
            {"as it is": given, "color transfer": color_transfer(given, aim), "StarGAN": made}, true
        )
    return found


def brick(count: int) -> dict[str, Any]:
    """Plastered streets, translated to brick by `plaster_brick`."""
    a, b = attention_model.MATERIALS
    given = attention_model.streets(a, range(count), SIZE, seed=1)
    true = attention_model.streets(b, range(count, 2 * count), SIZE, seed=1)
    aim = attention_model.streets(b, range(attention_model.COLORS), SIZE)
    made = ugatit.translate(given, ugatit.load("plaster_brick")).image
    return distances({"as it is": given, "color transfer": color_transfer(given, aim), "U-GAT-IT": made}, true)


def cartoons() -> dict[str, Any]:
    """Tiles of six photographs, drawn by `cartoon`."""
    model = animegan.load("cartoon")
    photos = [sample_image(name, cartoon_model.SIDE) for name in cartoon_model.UNSEEN]
    made = [animegan.translate(photo, model).image for photo in photos]
    true = [cartoon_model.drawn(photo) for photo in photos]
    as_tiles = [torch.cat([cartoon_model.tiles(one) for one in each]) for each in (photos, made, true)]
    return {"tiles": len(as_tiles[0])} | distances(
        {"the photo itself": as_tiles[0], "AnimeGAN": as_tiles[1]}, as_tiles[2]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="store the result for chapters 18 and 19")
    record = parser.parse_args().record
    torch.set_num_threads(1)
    values = {
        "pictures": PICTURES, "weathers": weathers(PICTURES), "plaster_brick": brick(PICTURES), "cartoon": cartoons(),
    }  # fmt: skip
    print(values)
    if record:
        with records.run(
            "18_distances", profile="laptop", seed=0, config={"pictures": PICTURES, "size": SIZE},
            command="python -m benchmarks.translation_distances --record",
        ) as run:  # fmt: skip
            run.values |= values
    return 0


if __name__ == "__main__":
    sys.exit(main())
