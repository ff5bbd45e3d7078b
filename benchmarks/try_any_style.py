"""Measurements of the panel *Any painting* for benchmarks/try_it.py, and the panel's still pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import product
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor, nn

from book.try_it import any_style, export, onnx_style
from course_lib import resize, sample_image
from course_lib.methods import adain
from course_lib.networks.feature_transforms import adain as restyled

SIZES = (256, 512)
BITS = (8, 6)

# One picture as the panel computes it: two passes of the encoder, the statistics, one pass of the decoder.
PICTURE = """async ([side, photo, painting]) => {
  const {statistics, mixture, restyled} = await import(new URL("../../_static/try_it/features.js", location.href).href);
  await engine.ready(["any_encoder", "any_decoder"]);
  const image = ([numbers, width, height]) => ({data: Float32Array.from(numbers), width, height});
  const given = [photo, painting].map(image);
  const began = performance.now();
  const style = statistics(await engine.run("any_encoder", given[1]));
  const features = await engine.run("any_encoder", given[0]);
  const read = performance.now();
  const wanted = restyled(features, statistics(features), mixture([style], [1]), 1);
  const {data} = await engine.run("any_decoder", wanted);
  return [performance.now() - began, performance.now() - read, side <= 256 ? Array.from(data) : null];
}"""


def networks() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with rounded filters, as on the page."""
    encoder, decoder = (onnx_style.rounded(network) for network in any_style.networks().values())
    return encoder, decoder


def seen(encoder: nn.Module, picture: Tensor) -> Tensor:
    """Features of the encoder's last layer, the only one it returns."""
    (features,) = encoder(picture).values()
    return features  # type: ignore[no-any-return]


def painted(encoder: nn.Module, decoder: nn.Module, photo: Tensor, painting: Tensor) -> Tensor:
    """One picture by PyTorch's plain convolutions, not clamped; sides are multiples of 8."""
    features, style = (seen(encoder, picture) for picture in (photo, painting))
    found: Tensor = decoder(restyled(features, style))
    return found


def inputs(size: int) -> list[Tensor]:
    """A photograph and a painting with sides of `size` and three quarters of it."""
    photo, painting = (resize(sample_image(name), (3 * size // 4, size)) for name in ("eilean_donan", "great_wave"))
    return [picture.clamp(0, 1).contiguous(memory_format=torch.channels_last) for picture in (photo, painting)]


def race(page: Any, rounds: int) -> dict[str, Any]:
    """Page and PyTorch in turns: milliseconds of a picture, and of one whose photo and painting are already encoded."""
    encoder, decoder = networks()
    here: dict[str, list[float]] = {str(size): [] for size in SIZES}
    slider: dict[str, list[float]] = {str(size): [] for size in SIZES}
    torch_: dict[str, list[float]] = {str(size): [] for size in SIZES}
    levels = 0.0
    for turn in range(rounds + 1):  # not timed: the first turn allocates memory
        for size in SIZES:
            pictures = inputs(size)
            given = [[picture.flatten().tolist(), size, 3 * size // 4] for picture in pictures]
            whole, decoded, data = page.evaluate(PICTURE, [size, *given])
            with torch.inference_mode():
                began = time.perf_counter()
                expected = painted(encoder, decoder, *pictures)
                there = 1000 * (time.perf_counter() - began)
            if data is not None:
                levels = max(levels, 255 * (torch.tensor(data).view_as(expected) - expected).abs().max().item())
            if turn:
                for kept, value in ((here, whole), (slider, decoded), (torch_, there)):
                    kept[str(size)].append(value)
    return {
        "any ms": {name: median(values) for name, values in here.items()},
        "any ms of a slider": {name: median(values) for name, values in slider.items()},
        "any ms of PyTorch": {name: median(values) for name, values in torch_.items()},
        "any levels between page and PyTorch": levels,
        "any bytes": {
            name.removeprefix("any_"): {str(bits): len(onnx_style.export(network, bits=bits)) for bits in (8, 16, 32)}
            for name, network in any_style.networks().items()
        },
    }


@torch.inference_mode()
def decibels(size: int, psnr: Any) -> dict[str, float]:
    """PSNR between pictures of the rounded and of the published networks: means over pairs."""
    exact = tuple(any_style.networks().values())
    truth = list(_pairs(*exact, size))
    found = {}
    for bits in BITS:
        coarse = _pairs(*(onnx_style.rounded(network, bits=bits) for network in exact), size)
        found[f"any {bits}"] = fmean(psnr(one, other) for one, other in zip(coarse, truth, strict=True))
    return found


def _pairs(encoder: nn.Module, decoder: nn.Module, size: int) -> Iterator[Tensor]:
    """Every photograph of the panel in the style of every painting."""
    photos, paintings = (
        [seen(encoder, sample_image(name, (3 * size // 4, size))) for name in names]
        for names in (export.PHOTOS, any_style.PAINTINGS)
    )
    for features, style in product(photos, paintings):
        yield decoder(restyled(features, style)).clamp(0, 1)


def stills() -> dict[str, Tensor]:
    """The panel's pictures for copies without the networks, painted by the unrounded networks."""
    found = {}
    for name, (photo, *paintings) in any_style.STILLS.items():
        pictures = [sample_image(one, export.STILL) for one in (photo, *paintings)]
        found[name] = adain.stylize(pictures[0], pictures[1:], any_style.model()).image
    return found
