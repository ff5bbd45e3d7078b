"""What is connected with what, a chapter's diagram each. Numbers come from networks and configurations."""

from collections.abc import Callable

from scripts.diagrams.chapters import one_pass, optimized, translated
from scripts.diagrams.layout import Diagram

DIAGRAMS: dict[str, Callable[[], Diagram]] = {**optimized.DIAGRAMS, **one_pass.DIAGRAMS, **translated.DIAGRAMS}

AFTER = {  # notebook → the cell after which its diagram stands
    "03_gatys": "cell-08",
    "06_fast_style": "cell-08",
    "09_pix2pix": "cell-09",
}
