"""What is connected with what, a chapter's diagram each. Numbers come from networks and configurations."""

from collections.abc import Callable
from functools import cache

from scripts.diagrams.chapters import features, one_pass, optimized, overview, styled, translated
from scripts.diagrams.layout import Diagram

_MODULES = (features, optimized, one_pass, translated, styled, overview)
DIAGRAMS: dict[str, Callable[[], Diagram]] = {  # notebook → its diagram; a network that it reads is built once
    name: cache(make) for name, make in sorted(item for module in _MODULES for item in module.DIAGRAMS.items())
}

AFTER = {  # notebook → the cell after which its diagram stands
    "01_what_a_network_sees": "b2fe6497",
    "02_style_is_statistics": "c006",
    "03_gatys": "cell-08",
    "04_choices": "cell-08",
    "05_what_it_costs": "cell-08",
    "06_fast_style": "cell-08",
    "07_super_resolution": "cell-10",
    "08_two_players": "cell-15",
    "09_pix2pix": "cell-09",
    "10_sketch_to_painting": "cell-10",
    "11_when_it_goes_wrong": "cell-01",
    "12_any_style": "cell-new-style-claim",
    "13_color_place_scale": "cell-007",
    "14_photographs_and_patches": "cell-006",
    "15_without_pairs": "cell-013",
    "16_how_to_measure_a_picture": "cell-008",
    "17_style_in_the_generator": "cell-008",
    "18_one_generator_every_domain": "cell-009",
    "19_where_to_look": "cell-027",
    "20_video": "cell-012",
}
