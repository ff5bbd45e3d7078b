"""Façades without end: a set of image pairs that code draws, each as a label map, a pencil sketch and a "photo".

`dataset` is what others import; the other modules draw: `canvas` (the three layers of one picture), `street` (what
stands where), `houses`, `openings`, `plants`, `styles` and `colors`. No training and no network belongs here.
"""

from course_lib.data.facades.canvas import CLASSES
from course_lib.data.facades.dataset import Facades, Scene, class_map, draw_facade

__all__ = ["CLASSES", "Facades", "Scene", "class_map", "draw_facade"]
