"""Neural style transfer and image-to-image translation, re-run from the papers.

A tensor that stands for a picture is (N, 3, H, W), float32, in [0, 1], everywhere in this package.

The names below are what notebooks and assignments import. Modules that draw, check or measure are loaded when they are
first asked for: ``import course_lib`` loads no matplotlib.
"""

from __future__ import annotations

import os

# Before torch is loaded. OpenMP's threads wait for each other by spinning; when another program holds a core, they spin
# until it is done: a step on two threads took five to eleven times as long. Passive threads sleep instead.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from importlib import import_module
from typing import TYPE_CHECKING, Any

from course_lib.images import center_crop, load_image, resize, save_image
from course_lib.losses.style import gram_matrix
from course_lib.pretrained.vgg import CONTENT_LAYER, STYLE_LAYERS, VGGFeatures
from course_lib.samples import sample_image, sample_names

if TYPE_CHECKING:
    from course_lib.evaluation import metrics as metrics
    from course_lib.networks import layers as layers
    from course_lib.teaching import (
        assignments as assignments,
    )
    from course_lib.teaching import (
        checks as checks,
    )
    from course_lib.teaching import (
        claims as claims,
    )
    from course_lib.teaching import (
        figures as figures,
    )
    from course_lib.teaching import (
        grading as grading,
    )
    from course_lib.teaching import (
        interactive as interactive,
    )
    from course_lib.teaching import (
        measures as measures,
    )
    from course_lib.teaching import (
        microscope as microscope,
    )
    from course_lib.teaching import (
        records as records,
    )
    from course_lib.teaching import (
        widgets as widgets,
    )

__version__ = "0.1.0"

_LAZY = {
    "layers": "networks",
    "metrics": "evaluation",
    **dict.fromkeys(
        (
            "assignments",
            "checks",
            "claims",
            "figures",
            "grading",
            "interactive",
            "measures",
            "microscope",
            "records",
            "widgets",
        ),
        "teaching",
    ),
}

__all__ = [
    "CONTENT_LAYER",
    "STYLE_LAYERS",
    "VGGFeatures",
    "center_crop",
    "gram_matrix",
    "load_image",
    "resize",
    "sample_image",
    "sample_names",
    "save_image",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        globals()[name] = module = import_module(f"course_lib.{_LAZY[name]}.{name}")
        return module
    raise AttributeError(f"module 'course_lib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
