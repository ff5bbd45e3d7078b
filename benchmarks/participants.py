"""Who takes part in the race of `benchmarks.engine`: the loop that tutorials write, and ours."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import VGGFeatures, runtime, sample_image
from course_lib.losses.balance import layer_weights
from course_lib.methods import gatys
from course_lib.optimize.image import stepper
from course_lib.pretrained.vgg import CONTENT_LAYER, STYLE_LAYERS

BLOCK = 20  # evaluations in one turn: torch's max_iter
CONTENT, STYLE = "eilean_donan", "great_wave"


class Plain:
    """The tutorials' loop. One `optimizer.step(closure)` is 20 evaluations."""

    def __init__(self, content: Tensor, style: Tensor, start: Tensor, config: gatys.Config) -> None:
        self.x, self.config = start.clone().requires_grad_(True), config
        features = VGGFeatures(layers=(*STYLE_LAYERS, CONTENT_LAYER)).to(start.device)
        self.mean, self.std = features.mean, features.std
        layers: list[nn.Module] = []
        for name in features.names:
            if name.startswith("conv"):
                conv = features.convs[name]
                layers.append(conv.to(memory_format=torch.contiguous_format))
            else:
                layers.append(nn.ReLU() if name.startswith("relu") else nn.AvgPool2d(2))
        self.network, self.names = nn.Sequential(*layers), features.names
        with torch.no_grad():
            self.content = self.features(content)[CONTENT_LAYER]
            self.grams = {layer: self.gram(f) for layer, f in self.features(style).items() if layer in STYLE_LAYERS}
        self.shares = layer_weights(config.style_layer_weights, STYLE_LAYERS)
        self.optimizer = torch.optim.LBFGS([self.x])
        self.watch: Callable[[Tensor], None] = lambda x: None

    def features(self, x: Tensor) -> dict[str, Tensor]:
        x, features = (x - self.mean) / self.std, {}
        for name, layer in zip(self.names, self.network, strict=True):
            x = features[name] = layer(x)
        return features

    @staticmethod
    def gram(features: Tensor) -> Tensor:
        _, channels, height, width = features.shape
        f = features.view(channels, height * width)
        return f @ f.t() / (height * width)

    def closure(self) -> Tensor:
        self.watch(self.x)
        self.optimizer.zero_grad()
        features = self.features(self.x)
        loss = self.config.content_weight * F.mse_loss(features[CONTENT_LAYER], self.content) / 2
        for layer, share in zip(STYLE_LAYERS, self.shares, strict=True):
            weight = self.config.style_weight * share / sum(self.shares)
            loss = loss + weight * F.mse_loss(self.gram(features[layer]), self.grams[layer]) / 4
        loss.backward()
        return loss

    def run(self) -> None:
        self.optimizer.step(self.closure)


class Ours:
    """`gatys.stylize` in blocks."""

    def __init__(self, content: Tensor, style: Tensor, start: Tensor, config: gatys.Config) -> None:
        self.objective, self.x = gatys.objective(content, style, config), start.clone()
        self.step = stepper(gatys.optimizer(self.x, config), self.objective.with_gradient, torch.zeros_like(self.x))
        self.watch: Callable[[Tensor], None] = lambda x: None

    def run(self) -> None:
        for _ in range(BLOCK):
            self.watch(self.x)
            row = self.step()
        row.tolist()  # waits for the device


class OursWithoutGraph(Ours):
    """The same without a CUDA graph: the host launches every operation."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.step.enabled = False


@contextmanager
def settings_of(name: str) -> Iterator[None]:
    """Set PyTorch's TF32 switches for a participant, by its name, and restore them afterwards."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    kept = matmul.allow_tf32, cudnn.allow_tf32
    try:
        if "TF32 off" in name:
            matmul.allow_tf32 = cudnn.allow_tf32 = False
        if "TF32 everywhere" in name:
            matmul.allow_tf32 = cudnn.allow_tf32 = True
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = kept


def configs(seed: int, device: str) -> dict[str, tuple[type, gatys.Config]]:
    same = {"seed": seed, "device": device}
    participants = {
        "plain": (Plain, gatys.Config(**same)),
        "float32": (Ours, gatys.Config(**same, precision="float32")),
        "Config()": (Ours, gatys.Config(**same)),
        "Config.fast()": (Ours, replace(gatys.Config.fast(), **same)),
    }
    if runtime.pick_device(device).type == "cuda":
        participants |= {
            "plain, TF32 off": participants["plain"],
            "plain, TF32 everywhere": participants["plain"],
            "Config(), no graph": (OursWithoutGraph, participants["Config()"][1]),
        }
    return participants


def pictures(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Photograph and painting; the photograph's long side is `size`, with `square` both sides."""
    square = getattr(options, "square", False)
    return sample_image(CONTENT, (options.size, options.size) if square else options.size), sample_image(
        STYLE, options.size
    )
