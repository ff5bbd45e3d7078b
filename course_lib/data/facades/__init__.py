"""A synthetic data set of façades: code draws each scene as a label map, a pencil sketch and a "photo".

Other packages import `dataset`. The other modules draw: `canvas` (the three layers of a picture), `weather` (what can
be given about a scene), `street` (the layout of a scene), `houses`, `openings`, `plants`, `styles` and `colors`.
Networks and training live elsewhere.
"""

from course_lib.data.facades.canvas import CLASSES
from course_lib.data.facades.dataset import Facades, Scene, class_map, draw_facade, weather_photos
from course_lib.data.facades.weather import MATERIALS, SEASONS, WEATHERS

__all__ = [
    "CLASSES", "MATERIALS", "SEASONS", "WEATHERS", "Facades", "Scene", "class_map", "draw_facade", "weather_photos",
]  # fmt: skip
