"""Measures of the trained painters that come with the package."""

from __future__ import annotations

from statistics import mean

from course_lib import samples
from course_lib.evaluation import structure
from course_lib.methods import johnson
from course_lib.teaching.measures.measured import Measured

LIVING = ("astronaut", "cat", "dog", "horse", "owl", "panda", "jaguar", "koala")
LANDSCAPES = (
    *("eilean_donan", "mont_saint_michel", "schwerin_palace", "great_wall_of_china", "machu_picchu", "pont_du_gard"),
    *("rocamadour", "canyon_de_chelly"),
)


def survival(painter: str, *, size: int) -> Measured:
    """Mean agreement of edges after one painter's pass: for a person and seven animals, and for eight landscapes.

    Source: Premamayudu et al. 2019, Section 5.

    Args:
        painter: name of a painter that comes with the package.
        size: long side of the photographs in pixels.
    """
    model = johnson.load(painter)
    kept = {}
    for kind, names in (("people and animals", LIVING), ("landscapes", LANDSCAPES)):
        photos = [samples.sample_image(name, size) for name in names]
        kept[kind] = mean(structure.edge_agreement(johnson.stylize(photo, model).image, photo) for photo in photos)
    return Measured(kept)
