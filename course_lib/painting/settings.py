"""The settings that all methods share which optimize a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from course_lib import config_checks
from course_lib.losses.balance import check_balance
from course_lib.optimize.start import STARTS
from course_lib.pretrained.vgg import CONTENT_LAYER, STYLE_LAYERS

OPTIMIZERS = ("lbfgs", "adam")


@dataclass(frozen=True)
class Settings:
    """The configuration of Gatys et al. 2016. Other methods change the fields that their papers change.

    Every field names its source; a section without a paper is a section of Gatys et al. 2016.
    """

    num_steps: int = 500  # one step = one evaluation; "within 500 iterations" (Wang 2019, Section 3); see `scales`
    content_weight: float = 1.0  # α, Eq. 7, on the size-independent term
    style_weight: float = 150.0  # β, Eq. 7, on the size-independent term: chosen by eye, see chapter 4
    content_layers: tuple[str, ...] = (CONTENT_LAYER,)  # "conv4_2", Section 3
    style_layers: tuple[str, ...] = STYLE_LAYERS  # "conv1_1 … conv5_1", Section 3
    style_layer_weights: str | tuple[float, ...] = "balanced"  # w_l; "equal": 1/5, Section 3; "balanced": ours, ch. 4
    pooling: str = "average"  # Section 2
    arch: str = "vgg19"  # Section 2; Wang 2019 uses "vgg16"
    weights: str | Path | None = "default"  # normalized to mean activation one, Section 2
    start: str = "noise"  # "noise" (Section 2), "content", "style", or "mixed" (Premamayudu et al. 2019)
    noise_ratio: float = 0.7  # r in r·noise + (1−r)·content for start="mixed" (ANU report, Section 6)
    noise_width: float = 0.2  # noise uniform in 0.5 ± width/2; "white noise" (Section 2), no amplitude: chapter 3
    optimizer: str = "lbfgs"  # "lbfgs" (Section 2) or "adam" (Premamayudu et al. 2019)
    learning_rate: float = 2 / 255  # Adam only: 2.0 in 0–255 pixels (Premamayudu et al. 2019)
    history_size: int = 20  # L-BFGS curvature pairs; the paper gives no number
    precondition: float = 0.0  # p: initial inverse Hessian of L-BFGS ∝ frequency**−p, chapter 5; 0: plain (Section 2)
    curvature: bool = False  # from noise, L-BFGS also divides by the curvature of each color and frequency, chapter 5
    project: bool = True  # keep x in [0, 1] after each step (Wang 2019; the authors' texture code bounds it too)
    tv_weight: float = 0.0  # total variation; "we do not regularise", Section 2
    scales: tuple[int, ...] | None = None  # long sides to solve first, with more steps (Gatys et al. 2017); ch. 4
    style_scale: float | tuple[float, ...] = 1.0  # style image's long side / content's: 1, "the same size", Section 2;
    # or one number for each style layer: at a larger one, that layer takes smaller forms (Gatys et al. 2017)
    style_blend: tuple[float, ...] | None = None  # weights of several style images; None: equal
    precision: str = "auto"  # of the convolutions: "float32", "bfloat16", or "auto": the faster one on this device
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(
            self,
            whole={"num_steps": 1, "history_size": 1},
            positive=("learning_rate",),
            nonnegative=("content_weight", "style_weight", "tv_weight"),
            fractions=("noise_ratio", "noise_width", "precondition"),
            layers=("content_layers", "style_layers"),
            choices={
                "start": STARTS, "optimizer": OPTIMIZERS, "curvature": (False, True), "project": (False, True),
                "pooling": ("average", "max"), "arch": ("vgg19", "vgg16"),
            },
        )  # fmt: skip
        if isinstance(self.style_scale, tuple | list):
            config_checks.check_scales(self, "style_scale", len(self.style_layers), "style layers")
        else:
            config_checks.check(self, positive=("style_scale",))
        check_balance(self)
        if self.style_blend is not None:
            config_checks.check_shares(self, "style_blend", None, "styles")
        if self.scales is not None:
            config_checks.check_wholes(self, "scales", "long sides in pixels")

    def layer_scales(self) -> tuple[float, ...]:
        """`style_scale` of each style layer."""
        scale = self.style_scale
        return scale if isinstance(scale, tuple) else (scale,) * len(self.style_layers)
