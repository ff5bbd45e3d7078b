"""What takes the speckle out of a picture: python -m benchmarks.speckle --record (ten minutes on one core).

Average pooling hides the finest frequencies from every layer but the first, so grain that is in the start, or that a
step leaves behind, costs little and stays. Speckle (`course_lib.evaluation.structure.speckle`) is printed over that of
the painting; 1 is the painting's own grain. Five cures against the usual run at one size, from noise:

- *preconditioner 1*: the first guess of L-BFGS moves fine frequencies by less (p = 1 in place of 0.4, no curvature);
- *smoothness*: a total variation term of weight 0.3;
- *two looks*: the mean loss of the picture and of itself shifted by a pixel, so that pooling cuts it elsewhere; half as
  many steps, because each costs two evaluations;
- *quieter noise*: a start in 0.5 ± 0.01 in place of 0.5 ± 0.1;
- *coarse to fine*: 128 px first.

All get the same number of evaluations, weighted by their area. A cure that blurs shows in the sharpness: the variance
between 0.1 and 0.25 cycles per pixel, over the painting's.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from torch import Tensor

from course_lib import metrics, sample_image
from course_lib.evaluation import structure
from course_lib.images import resize
from course_lib.methods import gatys
from course_lib.optimize.image import optimize_image
from course_lib.teaching import records

PAIRS = (("neuschwanstein", "cafe_terrace"),)
SIZE, STEPS, COARSE = 320, 120, 128
USUAL = replace(gatys.Config.fast(), scales=None, num_steps=STEPS)
CURES = {
    "none": USUAL,
    "preconditioner 1": replace(USUAL, precondition=1.0, curvature=False),
    "smoothness": replace(USUAL, tv_weight=0.3),
    "two looks": replace(USUAL, num_steps=STEPS // 2),
    "quieter noise": replace(USUAL, noise_width=0.02),
    # 2 n steps at 128 px cost as many as 0.32 n at 320 px, and n follow
    "coarse to fine": replace(USUAL, scales=(COARSE,), num_steps=round(STEPS / (2 * (COARSE / SIZE) ** 2 + 1))),
}


class TwoLooks:
    """The mean of an objective for the picture and one for the picture shifted by a pixel."""

    def __init__(self, content: Tensor, style: Tensor, config: gatys.Config) -> None:
        self.here, self.there = (gatys.objective(x, style, config) for x in (content, self.shifted(content)))
        self.names = self.here.names

    @staticmethod
    def shifted(image: Tensor, by: int = 1) -> Tensor:
        return image.roll((by, by), (2, 3))

    def with_gradient(self, image: Tensor) -> tuple[Tensor, Tensor]:
        (terms, gradient), (others, other) = (
            self.here.with_gradient(image),
            self.there.with_gradient(self.shifted(image)),
        )
        return (terms + others) / 2, (gradient + self.shifted(other, -1)) / 2


def painted(name: str, content: Tensor, style: Tensor, config: gatys.Config) -> Tensor:
    if name != "two looks":
        return gatys.stylize(content, style, config).image
    x = gatys.first_image(content, style, config)
    optimizer = gatys.optimizer(x, config)
    return optimize_image(optimizer, TwoLooks(content, style, config), num_steps=config.num_steps).image


def sharpness(image: Tensor) -> float:
    return structure.variance_share(image, 0.1, 0.25)


def scores(image: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
    painting = resize(style, max(content.shape[-2:]))
    loss = sum(value for value, _ in gatys.dissect(image, content, style, gatys.Config(precision="float32")).values())
    return {
        "speckle": structure.speckle(image) / structure.speckle(painting),
        "sharpness": sharpness(image) / sharpness(painting),
        "loss": loss,
        "Gram distance": sum(metrics.gram_distance(image, painting).values()) / 5,
    }


def measure(images: dict[str, Tensor]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for content_name, style_name in PAIRS:
        content, style = sample_image(content_name, SIZE), sample_image(style_name)
        rows = values[f"{content_name}, {style_name}"] = {"the photograph": scores(content, content, style)}
        for name, config in CURES.items():
            image = painted(name, content, style, config)
            rows[name] = scores(image, content, style)
            images[f"{content_name}, {name}"] = image
            print(f"{content_name:>16} {name:>17}", *(f"{k} {v:.3f}" for k, v in rows[name].items()), flush=True)
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="store the result for chapter 4")
    options = parser.parse_args()
    images: dict[str, Tensor] = {}
    if not options.record:
        measure(images)
        return
    settings = {"size": SIZE, "steps": {name: config.num_steps for name, config in CURES.items()}}
    command = "python -m benchmarks.speckle --record"
    with records.run("04_speckle", profile="laptop", seed=0, config=settings, command=command) as run:
        run.values, run.images = measure(images), images


if __name__ == "__main__":
    main()
