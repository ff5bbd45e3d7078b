"""Neural style transfer and image-to-image translation, re-run from the papers.

A tensor that stands for a picture is (N, 3, H, W), float32, in [0, 1], everywhere in this package.
"""

from course_lib.features import VGGFeatures
from course_lib.images import center_crop, load_image, resize, sample_image, sample_names, save_image
from course_lib.losses import gram_matrix

__version__ = "0.1.0"

__all__ = [
    "VGGFeatures",
    "center_crop",
    "gram_matrix",
    "load_image",
    "resize",
    "sample_image",
    "sample_names",
    "save_image",
]
