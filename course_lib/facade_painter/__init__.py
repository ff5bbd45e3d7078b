"""The hand that draws the façades: a painter with three canvases, and the streets that it knows."""

from course_lib.facade_painter.canvas import CLASSES, Painter, Weather
from course_lib.facade_painter.street import draw_street

__all__ = ["CLASSES", "Painter", "Weather", "draw_street"]
