"""Neural style transfer and image-to-image translation, re-run from the papers.

A tensor that stands for a picture is (N, 3, H, W), float32, in [0, 1], everywhere in this package.

The names below are what notebooks and assignments import. Each is loaded when it is first used: ``import
course_lib`` alone loads neither matplotlib nor PyTorch, so Ctrl-C can stop the command line while they are loading.
"""

from __future__ import annotations

import os

# Before torch is loaded. OpenMP's threads wait for each other by spinning; when another program holds a core, they spin
# until it is done: a step on two threads took five to eleven times as long. Passive threads sleep instead.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_lib.evaluation import metrics as metrics
    from course_lib.images import center_crop as center_crop
    from course_lib.images import load_image as load_image
    from course_lib.images import resize as resize
    from course_lib.images import save_image as save_image
    from course_lib.losses.style import gram_matrix as gram_matrix
    from course_lib.networks import layers as layers
    from course_lib.pretrained.vgg import CONTENT_LAYER as CONTENT_LAYER
    from course_lib.pretrained.vgg import STYLE_LAYERS as STYLE_LAYERS
    from course_lib.pretrained.vgg import VGGFeatures as VGGFeatures
    from course_lib.samples import sample_image as sample_image
    from course_lib.samples import sample_names as sample_names
    from course_lib.samples import sample_title as sample_title
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

_NAMES = {
    **dict.fromkeys(("center_crop", "load_image", "resize", "save_image"), "images"),
    **dict.fromkeys(("CONTENT_LAYER", "STYLE_LAYERS", "VGGFeatures"), "pretrained.vgg"),
    **dict.fromkeys(("sample_image", "sample_names", "sample_title"), "samples"),
    "gram_matrix": "losses.style",
}
_MODULES = {
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

__all__ = sorted([*_NAMES, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = import_module(f"course_lib.{_MODULES[name]}.{name}")
    elif name in _NAMES:
        value = getattr(import_module(f"course_lib.{_NAMES[name]}"), name)
    else:
        raise AttributeError(f"module 'course_lib' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
