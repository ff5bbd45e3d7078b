"""Check of a picture whose regions take their styles from paintings of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.pretrained.vgg import VGGFeatures
from course_lib.runtime import with_gradients
from course_lib.teaching.checks.base import CheckFailed, attempt, need, need_factor, number, random
from course_lib.teaching.checks.control import guided, guided_style, left_part
from course_lib.teaching.checks.transforms import Mistake, channels

Features = Mapping[str, Tensor]
Loss = Callable[[dict[str, Tensor]], Tensor]

_LAYERS, _OTHER = ["relu1_1", "relu3_1"], "relu2_1"  # the network has one layer that is not asked for
_CLOSE = 0.08  # the ways to bring masks to a layer differ by up to 5 % here
_STEPS, _RATE = 25, 0.03  # of the descent that shows where the styles go; the rate: root mean square over the pixels


def check_region_loss(function: Callable[..., Loss]) -> None:
    """Check the style loss of a picture with one painting for each region.

    Args:
        function: ``function(network, layers, masks, paintings, painting_masks)`` → a function of a picture's features,
            a dictionary layer → (1, C, h, w), that returns their loss: the mean over `layers` of what
            `check_guided_style` checks. `network` is a `VGGFeatures` that may have more layers. ``masks[r]``
            (1, 1, H, W) is region r of the photo; its style is that of the region ``painting_masks[r]`` (1, 1, h, w)
            of ``paintings[r]`` (1, 3, h, w). A guide is a mask at the size of a layer, made in any way: the tolerance
            is 8 %, and the kinds of resizing and the three ways of `losses.guided_masks` differ by less here.

    Raises:
        CheckFailed: a property does not hold.
    """
    network = VGGFeatures("vgg19", (_LAYERS[0], _OTHER, _LAYERS[1]), weights=None)
    masks = [left_part(32, 48, 16), 1 - left_part(32, 48, 24)]  # 8 columns are in no region
    photo = random(1, 3, 32, 48, seed=3)
    paintings = [
        random(1, 3, 40, 24, seed=1) * channels((1.0, 0.3, 0.1)),
        random(1, 3, 32, 64, seed=2).round() * channels((0.1, 0.5, 1.0)),
    ]
    painting_masks = [left_part(24, 40, 24).transpose(2, 3), left_part(32, 64, 40)]
    features = _features(network, photo)

    def made(masks: list[Tensor], paintings: list[Tensor], painting_masks: list[Tensor]) -> Loss:
        loss: Loss = attempt(function, network, list(_LAYERS), masks, paintings, painting_masks)
        hint = "; does it end in `return`?" if loss is None else ""
        need(callable(loss), f"the function must return a function of features, got {type(loss).__name__}{hint}")
        return loss

    loss = made(masks, paintings, painting_masks)
    value = number(loss, dict(features))
    need(bool(value > 0), f"the loss must be positive where styles differ, got {value.item():.3g}")
    for message, wrong in _wrong_losses(network, features, masks, paintings, painting_masks):
        need(abs(value.item() / wrong.item() - 1) > 1e-4, message)
    same = number(made(masks, [photo, photo], masks), dict(features))
    need(
        bool(same.abs() < 1e-4 * value),
        "if every region takes its style from the same region of the photo itself, the loss is not 0",
    )
    _need_styles_in_their_regions(network, loss, masks, paintings, painting_masks)
    need_factor(
        value,
        _loss(network, features, masks, paintings, painting_masks),
        "the mean over the layers of the mean over the regions",
        _CLOSE,
    )
    three = ([*masks, masks[0]], [*paintings, photo], [*painting_masks, masks[1]])
    need_factor(
        number(made(*three), dict(features)),
        _loss(network, features, *three),
        "with a third region, which shares its positions with the first, the mean over the regions",
        _CLOSE,
    )
    print("✓ every region takes the style of its own painting, at all layers")


# --- the equations, and common mistakes
def _features(network: VGGFeatures, picture: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return dict(network(picture))


def _at(mask: Tensor, features: Tensor) -> Tensor:
    """A mask at the size of features: the mean over the pixels below each position."""
    return F.interpolate(mask, features.shape[2:], mode="area")


def _targets(network: VGGFeatures, layer: str, paintings: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    """The guided Gram matrix of each painting's region."""
    every = [_features(network, painting)[layer] for painting in paintings]
    return [guided(one, _at(mask, one)) for one, mask in zip(every, masks, strict=True)]


def _loss(
    network: VGGFeatures,
    features: Features,
    masks: Sequence[Tensor],
    paintings: Sequence[Tensor],
    painting_masks: Sequence[Tensor],
    layers: Sequence[str] = _LAYERS,
) -> Tensor:
    """The mean over layers and regions."""
    parts = [
        guided_style(
            features[layer],
            [_at(mask, features[layer]) for mask in masks],
            _targets(network, layer, paintings, painting_masks),
        )
        for layer in layers
    ]
    return torch.stack(parts).mean()


def _wrong_losses(
    network: VGGFeatures,
    features: Features,
    masks: Sequence[Tensor],
    paintings: Sequence[Tensor],
    painting_masks: Sequence[Tensor],
) -> list[Mistake]:
    """For two regions."""

    def loss(masks: Sequence[Tensor] = masks, layers: Sequence[str] = _LAYERS, *, back: bool = False,
             style_masks: Sequence[Tensor] = painting_masks) -> Tensor:  # fmt: skip
        step = -1 if back else 1
        return _loss(network, features, masks, paintings[::step], style_masks[::step], layers)

    everywhere, whole = ([torch.ones_like(mask) for mask in group] for group in (masks, painting_masks))
    outside, rest = ([1 - mask for mask in group] for group in (masks, painting_masks))
    everything = [*_LAYERS, _OTHER]
    used = "all layers of the network are used; the argument `layers` names those that count"
    return [
        ("each region takes the style of the other one's painting", loss(back=True)),
        ("the style comes from the whole paintings; the painting's masks have no effect", loss(style_masks=whole)),
        ("the whole picture gets the styles of both paintings; the photo's masks have no effect", loss(everywhere)),
        ("the masks have no effect, neither the photo's nor the paintings'", loss(everywhere, style_masks=whole)),
        ("the positions outside the photo's regions get the style, those inside do not", loss(outside)),
        ("the style comes from outside the painting's regions", loss(style_masks=rest)),
        ("inside and outside are exchanged, in the photo and in the paintings", loss(outside, style_masks=rest)),
        (f"only {_LAYERS[0]} has an effect", loss(layers=_LAYERS[:1])),
        (f"only {_LAYERS[1]} has an effect", loss(layers=_LAYERS[1:])),
        ("the loss is twice what it should be: are those of the layers, or of the regions, added up?", 2 * loss()),
        (used, loss(layers=everything)),
        (used, 3 * loss(layers=everything)),
        (used, 1.5 * loss(layers=everything)),
    ]  # fmt: skip


# --- what the loss does to a picture
def _need_styles_in_their_regions(
    network: VGGFeatures,
    loss: Loss,
    masks: Sequence[Tensor],
    paintings: Sequence[Tensor],
    painting_masks: Sequence[Tensor],
) -> None:
    """Raise `CheckFailed` unless a picture that descends gets each style in its own region, and nothing leaks."""
    picture = random(1, 3, 32, 48, seed=4)
    targets = {layer: _targets(network, layer, paintings, painting_masks) for layer in _LAYERS}

    def distances(picture: Tensor) -> Tensor:
        """From each region (a row) to each style (a column), the mean over the layers."""
        found = _features(network, picture)
        rows = [
            [guided_style(found[x], [_at(mask, found[x])], [target]) for target in targets[x]]
            for x in _LAYERS
            for mask in masks
        ]
        return torch.tensor(rows).view(len(_LAYERS), len(masks), -1).mean(0)

    before = distances(picture)
    with with_gradients():
        for _ in range(_STEPS):
            x = picture.clone().requires_grad_(True)
            value = attempt(loss, dict(network(x)))
            lost = "no gradient reaches the features; a descent on this loss would not change the picture"
            need(isinstance(value, Tensor) and value.requires_grad, lost)
            (slope,) = torch.autograd.grad(value.sum(), x, allow_unused=True)
            if slope is None:
                raise CheckFailed(lost)
            picture = picture - _RATE * slope / slope.square().mean().sqrt().clamp_min(1e-12)
    after = distances(picture)
    for k, which in enumerate(("first", "second")):
        left = (after[k, k] / before[k, k]).item()
        need(
            left < 0.5,
            f"{_STEPS} steps of descent on your loss bring the {which} region to {left:.3g} times its distance from "
            "the style of its own painting; that distance should fall by more than half",
        )
        need(
            bool(after[k, k] < after[k, 1 - k]),
            f"after {_STEPS} steps of descent on your loss, the {which} region is closer to the style of the other "
            "painting than to that of its own",
        )
