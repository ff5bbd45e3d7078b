"""The objective of a picture: content, style, smoothness, and what a method adds, for images of one size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from course_lib import losses, runtime
from course_lib.losses.balance import layer_weights
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.losses.style import SIZE_INDEPENDENT
from course_lib.optimize.objective import Objective, Term
from course_lib.optimize.start import check_memory, checked_images
from course_lib.painting.settings import Settings
from course_lib.painting.terms import Addition, Scene
from course_lib.pretrained.vgg import VGGFeatures, cached_network

_MARGIN = 1.1  # for the workspace of convolutions and gaps between tensors
_PICTURES = 16  # float32 pictures besides the optimizer's history: images, gradients, the directions of one step


@runtime.with_gradients()  # targets that were computed in inference mode could not be differentiated
def objective(
    content: Tensor | None,
    style: Tensor | Iterable[Tensor] | None,
    config: Settings,
    *,
    additions: Sequence[Addition] = (),
) -> Objective:
    """The loss as named terms; its targets are computed here, once.

    Args:
        content: (1, 3, H, W) in [0, 1]; None for a texture.
        style: (1, 3, h, w) in [0, 1], or several of them; with a content image, resized to match it.
        config: of the method.
        additions: further terms; see `course_lib.painting.terms`.

    Raises:
        ValueError: images and configuration that do not fit together, or no term at all.
        MemoryError: the run would not fit into memory.
        WeightsError: the network's weights can be neither found nor downloaded.
    """
    content, styles = check_images(content, style, config, additions)
    content_layers, style_layers = _layers(content, styles, config)
    network = checked_network(content, styles, config, size_of(content, styles), additions)
    device = network.mean.device
    photo = None if content is None else content.to(device, torch.float32)
    paintings = [image.to(device, torch.float32) for image in styles]
    scene = Scene(photo, paintings, network)
    made = [addition.terms(scene) for addition in additions]
    loss = PerceptualLoss(
        network,
        content=SIZE_INDEPENDENT.join(config.content_weight, content_layers),
        style=layer_shares(config) if style_layers else {},
        terms=[term for of_features, _ in made for term in of_features],
    )
    if photo is not None and content_layers:
        loss.set_content(photo)
    if style_layers:
        _set_style(loss, scene, config)
    smooth = Term("tv", config.tv_weight, losses.total_variation_loss, losses.total_variation_gradient)
    parts = [part for _, others in made for part in others]
    return Objective([*([loss] if loss.names else []), *parts, *([smooth] if config.tv_weight > 0 else [])])


def check_images(
    content: Tensor | None,
    style: Tensor | Iterable[Tensor] | None,
    config: Settings,
    additions: Sequence[Addition] = (),
) -> tuple[Tensor | None, list[Tensor]]:
    """Check the images and the configuration against each other; return them as `checked_images` does."""
    content, styles = checked_images(content, style)
    if content is not None and not styles and config.content_weight == 0:
        raise ValueError("reconstruction (no style image) needs a content_weight greater than 0, got 0")
    if styles and content is None and config.style_weight == 0 and not additions:
        raise ValueError("texture synthesis (no content image) needs a style_weight greater than 0, got 0")
    if config.style_blend is not None and len(config.style_blend) != len(styles):
        raise ValueError(f"style_blend has {len(config.style_blend)} weights for {len(styles)} style images")
    return content, styles


def checked_network(
    content: Tensor | None,
    styles: list[Tensor],
    config: Settings,
    size: tuple[int, int],
    additions: Sequence[Addition] = (),
) -> VGGFeatures:
    """The network of the terms, prepared for a picture of `size`; one that needs too much memory is refused."""
    layers = (*sum(_layers(content, styles, config), ()), *(name for each in additions for name in each.layers))
    network = network_for(config, layers)
    height, width = size
    advice = "" if config.optimizer == "adam" else "a smaller history_size or optimizer='adam' needs less"

    def needed(h: int, w: int) -> int:
        return memory_needed(network, h, w, config) + sum(each.memory_needed(network, h, w) for each in additions)

    check_memory(needed, height, width, network.mean.device, advice=advice)
    network.prepare(height, width, needed(height, width))
    return network


def memory_needed(network: VGGFeatures, height: int, width: int, config: Settings) -> int:
    """An estimate of the bytes that a run needs for a picture of this size, without the network's weights."""
    pictures = _PICTURES + 2 * (config.history_size if config.optimizer == "lbfgs" else 1)
    return int(_MARGIN * (network.memory_needed(height, width) + pictures * 4 * 3 * height * width))


def network_for(config: Settings, layers: Sequence[str]) -> VGGFeatures:
    """The network of a configuration; with no layer to read, its first one alone."""
    device = runtime.pick_device(config.device)
    precision = runtime.pick_precision(config.precision, device)
    names = tuple(dict.fromkeys(layers)) or ("relu1_1",)
    return cached_network(config.arch, names, config.pooling, config.weights, precision, device)


def size_of(content: Tensor | None, styles: Sequence[Tensor], initial: Tensor | None = None) -> tuple[int, int]:
    """(H, W) of the picture: that of the content image or, for a texture, of the first picture or style image."""
    frame = content if content is not None else styles[0] if initial is None else initial
    return frame.shape[-2], frame.shape[-1]


def _layers(content: Tensor | None, styles: list[Tensor], config: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The content layers and the style layers that have a term."""
    has_content, has_style = content is not None and config.content_weight > 0, styles and config.style_weight > 0
    return config.content_layers if has_content else (), config.style_layers if has_style else ()


def layer_shares(config: Settings) -> dict[str, float]:
    """Style layer → the weight of its term."""
    of_network = {"arch": config.arch, "pooling": config.pooling, "weights": config.weights}
    own = layer_weights(config.style_layer_weights, config.style_layers, **of_network)  # type: ignore[arg-type]
    return SIZE_INDEPENDENT.join(config.style_weight, config.style_layers, own)


def _set_style(loss: PerceptualLoss, scene: Scene, config: Settings) -> None:
    """Compute the style targets, of each layer at its own scale."""
    scales = dict(zip(config.style_layers, config.layer_scales(), strict=True))
    for scale in dict.fromkeys(scales.values()):
        resized = scene.resized(scale)
        try:
            loss.set_style(resized, config.style_blend, [layer for layer in scales if scales[layer] == scale])
        except ValueError as error:  # name the resized size: the caller gave another one
            sizes = ", ".join(f"{image.shape[-2]}×{image.shape[-1]}" for image in resized)
            raise ValueError(f"the style image, resized to {sizes}: {error}") from error
