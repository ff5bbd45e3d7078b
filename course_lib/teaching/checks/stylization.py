"""Checks of a whole stylization: an encoder, a transform of its features, and a decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from course_lib.networks.adain_decoder import AdaINDecoder
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.teaching.checks.base import CheckFailed, attempt, near, need, random, tensor
from course_lib.teaching.checks.transforms import Mistake, adain, channels, moments, need_none_of

_LAYER = "relu4_1"
_CLOSE = 0.02  # between pictures that count as equal: dividing by M or M − 1 makes a difference of 0.3 %


def check_strength(function: Callable[..., Tensor]) -> None:
    """Check a stylization with a strength, g((1 − α) f(c) + α AdaIN(f(c), f(s))) (Huang & Belongie 2017, Eq. 14).

    Args:
        function: ``function(encoder, decoder, content, style, alpha)``, with pictures (1, 3, H, W) and (1, 3, H', W')
            in [0, 1] and the encoder and decoder as functions of a tensor → a picture (1, 3, H, W) in [0, 1].

    Raises:
        CheckFailed: a property does not hold.
    """
    encoder, decoder, arrived = _small_networks()
    content, style = random(1, 3, 48, 64), random(1, 3, 64, 40, seed=1).round() * channels((1.0, 0.5, 0.1))
    photo, painting = encoder(content), encoder(style)
    target = adain(photo, painting)
    arrived.clear()

    def picture(alpha: float) -> Tensor:
        out = tensor(attempt(lambda c, s: function(encoder, decoder, c, s, alpha), content, style))
        need(
            out.shape == content.shape,
            f"the result must be a picture with the content's shape {tuple(content.shape)}, got {tuple(out.shape)}",
        )
        return out

    out = picture(1.0)
    need(bool(arrived), "your function did not call the encoder that it was given")
    need(
        bool(out.min() >= 0 and out.max() <= 1),
        f"a picture has values in [0, 1], but the decoder's output can leave that range; yours goes from "
        f"{out.min():.2f} to {out.max():.2f}",
    )
    plain, full = _clipped(decoder(photo)), _clipped(decoder(target))
    wrong: list[Mistake] = [
        ("alpha = 1 gives the decoded photograph, as if alpha were 0; which end is which?", plain),
        ("alpha = 1 gives back the photograph itself; no style has been transferred", content),
        ("the result has the photograph's statistics in the painting's arrangement; which of the two is normalized?",
         _clipped(decoder(adain(painting, photo)))),
        *_unbounded(decoder(target)),
        ("your function changes the statistics of the pictures, not of their features",
         _clipped(decoder(encoder(adain(content, style))))),
        ("the features are changed, but not to the style's means and standard deviations; do you call your `adain`?",
         _clipped(decoder(photo - moments(photo)[0] + moments(painting)[0]))),
    ]  # fmt: skip
    encoded = [one for batch in arrived for one in batch.split(1)]
    message = "with alpha = 1, the result is not the decoded AdaIN of the two features"
    for name, given in (("style", style), ("content", content)):
        if not any(near(one, given, 1e-3) for one in encoded):
            message = f"your function calls the encoder, but not with the unchanged {name}"
    _need_picture(out, full, wrong, message)
    wrong = [
        ("alpha = 0 gives back the photograph itself, without the decoder; do you blend pictures, or features?",
         content),
        ("alpha has no effect: alpha = 0 and alpha = 1 give the same picture", full),
        ("alpha = 0 multiplies all features by 0; what takes the place of the style?",
         _clipped(decoder(0 * photo))),
        ("alpha = 0 gives the decoded painting", _clipped(decoder(painting))),
    ]  # fmt: skip
    _need_picture(picture(0.0), plain, wrong, "with alpha = 0, the result is not the photograph, encoded and decoded")
    for alpha in (0.5, 0.25):
        both = _clipped(decoder(alpha * target + (1 - alpha) * photo))
        wrong = [
            (f"alpha = {alpha} blends two pictures after the decoder; Eq. 14 blends features before it",
             alpha * full + (1 - alpha) * plain),
            (f"alpha = {alpha} blends two pictures after the decoder; Eq. 14 blends features before it",
             _clipped(alpha * decoder(target) + (1 - alpha) * decoder(photo))),
            (f"alpha = {alpha} gives the same picture as alpha = 1", full),
            (f"alpha = {alpha} gives the same picture as alpha = 0", plain),
            (f"alpha and 1 − alpha are exchanged: alpha = {alpha} gives what {1 - alpha} should give",
             _clipped(decoder((1 - alpha) * target + alpha * photo))),
        ]  # fmt: skip
        _need_picture(
            picture(alpha), both, wrong, f"with alpha = {alpha}, the result is not the decoded blend of Eq. 14"
        )
    print("✓ the strength blends features, from the decoded photograph to the full style")


def _unbounded(values: Tensor) -> Iterable[Mistake]:
    """Mistakes that bring a decoder's values into [0, 1] without clipping."""
    message = "all values are in [0, 1], but those that were already inside have changed, too"
    low, high = values.min(), values.max()
    squashed = (values.sigmoid(), (values - low) / (high - low), (values.tanh() + 1) / 2, values.tanh().clamp(0, 1))
    return [(message, one) for one in squashed]


def _need_picture(out: Tensor, expected: Tensor, wrong: Iterable[Mistake], message: str) -> None:
    """Raise `CheckFailed` unless two pictures agree within 2 % of the range of colors."""
    if bool((out - expected).abs().max() < _CLOSE):
        return
    need_none_of(out, wrong)
    raise CheckFailed(message)


def _small_networks() -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], list[Tensor]]:
    """A random encoder and a random decoder whose colors leave [0, 1], and the list of pictures that were encoded."""
    network = VGGFeatures("vgg19", [_LAYER], pooling="max", weights=None)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        decoder = AdaINDecoder(width=1 / 8, channels=64)
        for module in decoder.modules():
            if isinstance(module, nn.Conv2d):  # keeps the scale of the features from layer to layer
                nn.init.kaiming_normal_(module.weight)
    arrived: list[Tensor] = []

    def encode(picture: Tensor) -> Tensor:
        arrived.append(picture.detach())
        return network(picture)[_LAYER]

    with torch.no_grad():
        middle, spread = torch.std_mean(decoder(network(random(1, 3, 64, 64, seed=2))[_LAYER]))[::-1]
    return encode, lambda features: 0.5 + 0.3 * (decoder(features) - middle) / spread, arrived


def _clipped(picture: Tensor) -> Tensor:
    return picture.detach().clamp(0, 1)
