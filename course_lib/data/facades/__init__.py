"""A synthetic data set of façades: code draws each scene as a label map, a pencil sketch and a "photo".

Other packages import `dataset`. The other modules draw: `canvas` (the three layers of a picture), `street` (the layout
of a scene), `houses`, `openings`, `plants`, `styles` and `colors`. Networks and training live elsewhere.
"""

from course_lib.data.facades.canvas import CLASSES
from course_lib.data.facades.dataset import Facades, Scene, class_map, draw_facade

__all__ = ["CLASSES", "Facades", "Scene", "class_map", "draw_facade"]
