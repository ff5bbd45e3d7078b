"""Image style transfer using convolutional neural networks (Gatys, Ecker & Bethge, CVPR 2016).

Minimize over the picture x, from white noise, with L-BFGS (Eq. 7):

    L(x) = content_weight · ½ mean (F − P)²  +  style_weight · mean_l 1/(4N_l²) Σ (G_l/M_l − A_l/M_l)²

Symbols: p content image, a style image; F, P features of x and p at the content layer; G, A Gram matrices of
x and a at the style layers; α = content_weight, β = style_weight, both on terms that do not grow with the
image. `course_lib.losses.convert_weights` converts the weights to and from the papers' conventions.

The same function covers two special cases: ``stylize(content, None)`` reconstructs an image from its
features (their Fig. 1, top), ``stylize(None, style)`` makes a texture (Fig. 1, bottom; Gatys et al. 2015).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib import arguments, config_checks, runtime
from course_lib.image_checks import check_pictures
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.painting import objective as painting_objective
from course_lib.painting.objective import objective as objective  # part of this module's interface, like the next two
from course_lib.painting.run import Result as Result
from course_lib.painting.run import first_image as first_image
from course_lib.painting.run import optimizer as optimizer
from course_lib.painting.run import paint
from course_lib.painting.settings import Settings


@dataclass(frozen=True)
class Config(Settings):
    """The paper's configuration: the fields and defaults of `course_lib.painting.settings.Settings`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.content_weight == self.style_weight == 0:
            raise ValueError("content_weight and style_weight are both 0: there is nothing to match; raise one")

    @classmethod
    def fast(cls) -> Config:
        """Our best engine: the same objective and start, from coarse to fine, with a preconditioned optimizer."""
        return cls(precondition=0.4, curvature=True, num_steps=100, scales=(128, 256, 512))

    @classmethod
    def quick(cls) -> Config:
        """Minutes on a laptop: 100 steps from the photograph, enough for a first impression."""
        return cls(num_steps=100, start="content")


@runtime.with_gradients()
def stylize(
    content: Tensor | None,
    style: Tensor | Iterable[Tensor] | None,
    config: Config | None = None,
    *,
    initial: Tensor | None = None,
    callback: runtime.Callback | None = None,
) -> Result:
    """Paint `content` in the style of `style` (Gatys et al. 2016, Eq. 7).

    Args:
        content: (1, 3, H, W) in [0, 1]; None for texture synthesis (style only).
        style: (1, 3, h, w) in [0, 1], or several of them; resized so that its long side is the content's
            times ``config.style_scale``. None for reconstruction (content only).
        config: defaults to the paper's.
        initial: (1, 3, H, W) in [0, 1], a picture to start from in place of ``config.start``.
        callback: called after each step with a `runtime.Progress`; its picture has the final size at every scale.

    With ``config.scales``, the picture is solved at those of these long sides that are clearly smaller than its own,
    then at its own, each time from the enlarged result of the size before. ``config.num_steps`` are taken at its own
    size, and twice as many at each smaller one.

    Returns:
        A `Result`. Step k evaluates the picture and then changes it: the step's losses are those before the change,
        and the callback gets the picture after it. The returned image is the one after the last step or, if a
        loss or gradient was not finite, the last one whose loss was finite.

    Raises:
        ValueError: wrong shape or range, an image too small for the deepest layer, an unknown layer.
        MemoryError: the run would not fit into the memory; the message gives the largest size that fits.
        WeightsError: the network's weights can be neither found nor downloaded.

    *Differs from the paper:* the style image keeps its aspect ratio.

    >>> content, style = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    >>> result = stylize(content, style, Config(num_steps=20, weights=None))
    >>> result.history["total"][-1] < result.history["total"][0]
    True
    """
    return paint(
        content, style, config_checks.given(config, Config, callback=callback), initial=initial, callback=callback
    )


@runtime.with_gradients()
def dissect(
    image: Tensor, content: Tensor | None, style: Tensor | Iterable[Tensor] | None, config: Config | None = None
) -> dict[str, tuple[float, Tensor]]:
    """The value and the gradient of each term of the loss for one picture.

    Args:
        image: (1, 3, H, W) in [0, 1]: a picture that `stylize` returned or passed to the callback.
        content, style, config: as given to `stylize`.

    Returns:
        A dict: name of the term → its weighted value and ∂term/∂image, (1, 3, H, W) float32 on the CPU. The
        values add up to the loss, the gradients to its gradient.

    Raises:
        ValueError, MemoryError, WeightsError: as `stylize`.

    >>> content, style = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    >>> terms = dissect(content, content, style, Config(weights=None))
    >>> terms["content/relu4_2"][0]  # the photograph's own content matches exactly
    0.0
    """
    config = config_checks.given(config, Config)
    check_pictures(image, "the dissected image", single=True)
    goal = objective(content, style, config)
    (network,) = (part.network for part in goal.parts if isinstance(part, PerceptualLoss))
    return goal.dissect(image.to(network.mean.device, torch.float32))


def memory_needed(height: int, width: int, config: Config | None = None) -> int:
    """An estimate of the bytes that `stylize` needs for a picture of this size, without the network's weights.

    Transformed filters (`VGGFeatures.filter_bytes`) are not counted: a run that fits only without them does without.

    It counts the rectified feature maps, the widest gradients and the optimizer's history; chapter 5 compares it with
    measurements.

    Args:
        height, width: of the picture, in pixels.
        config: defaults to the paper's.

    >>> config = Config(weights=None, history_size=10, precision="float32", device="cpu")
    >>> round(memory_needed(128, 128, config) / memory_needed(64, 64, config), 2)
    4.0
    """
    config = config_checks.given(config, Config)
    height, width = arguments.whole("height", height, 1), arguments.whole("width", width, 1)
    network = painting_objective.network_for(config, (*config.content_layers, *config.style_layers))
    return painting_objective.memory_needed(network, height, width, config)
