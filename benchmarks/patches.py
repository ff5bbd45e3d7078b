"""The patch term of Li & Wand: seconds and memory of a step, ours and as tutorials write it, in one run.

    python -m benchmarks.patches                   # 128, 192 and 256 px, one layer and two; five minutes on one core
    python -m benchmarks.patches --save            # also adds the rows to the table
    python -m benchmarks.patches --record          # stores them, with memory, and how many matches bfloat16 changes
    python -m benchmarks.patches --peak 256 --which plain --layer relu3_1     # peak memory of one term, in GB

A step is one evaluation of the term and of its gradient with respect to the picture, the network's two passes included.
The plain version unfolds the patches of picture and style, normalizes both, multiplies them, takes the largest product
of each row and the mean squared difference, and lets autograd differentiate all of it, in float32. Both versions read
the same network and take the style's patches at every second position. In float32, they must give the same value and
gradient up to `CLOSE`; otherwise the benchmark stops. A *term alone* is the term and its gradient with respect to the
features of one layer, without the network.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import measure, results, steps
from course_lib import runtime, sample_image
from course_lib.losses.patches import SIZE, STRIDE, PatchTerm, memory_needed, nearest_patches
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.pretrained.vgg import VGGFeatures, cached_network
from course_lib.teaching import records

CONTENT, STYLE = "eilean_donan", "great_wave"
LAYERS = (("relu4_1",), ("relu3_1", "relu4_1"))
SHAPES = {"relu3_1": (256, 4), "relu4_1": (512, 8)}  # channels, and how many times smaller than the picture
RECORD = "14_patch_steps"
CLOSE = 1e-3  # largest relative difference of value and gradient in float32: the network's passes round differently


def plain_term(features: Tensor, style: Tensor) -> Tensor:
    """By unfolding, for autograd; `style` holds patches, (S, D)."""
    patches = F.unfold(features, SIZE)[0].t()  # (P, D)
    with torch.no_grad():
        scores = F.normalize(patches) @ F.normalize(style).t()
        nearest = scores.argmax(1)
    return F.mse_loss(patches, style[nearest]) / 2


class Plain:
    """The plain terms of all layers of a network."""

    def __init__(self, network: VGGFeatures, style: Tensor) -> None:
        self.network = network
        with torch.no_grad():
            self.style = {layer: F.unfold(x, SIZE, stride=STRIDE)[0].t() for layer, x in network(style).items()}

    def with_gradient(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = image.clone().requires_grad_()
        total = torch.stack([plain_term(f, self.style[layer]) for layer, f in self.network(x).items()]).sum()
        (gradient,) = torch.autograd.grad(total, x)
        return total.detach(), gradient


def network_of(layers: Sequence[str], precision: str, device: torch.device) -> VGGFeatures:
    return cached_network("vgg19", tuple(layers), "average", "default", getattr(torch, precision), device)


def pictures(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Photo and painting, squares of `size` px."""
    return sample_image(CONTENT, (size, size)).to(device), sample_image(STYLE, (size, size)).to(device)


def ours(layers: Sequence[str], style: Tensor, precision: str, device: torch.device) -> PerceptualLoss:
    network = network_of(layers, precision, device)
    targets = network.targets(style)
    return PerceptualLoss(network, terms=[PatchTerm(layer, 1.0, targets[layer]) for layer in layers])


def difference(layers: Sequence[str], size: int, device: torch.device) -> float:
    """Largest relative difference of value and gradient in float32.

    Raises:
        RuntimeError: it is above `CLOSE`.
    """
    content, style = pictures(size, device)
    value, gradient = Plain(network_of(layers, "float32", device), style).with_gradient(content)
    terms, slope = ours(layers, style, "float32", device).with_gradient(content)
    apart = max(float(abs(terms.sum() / value - 1)), float((slope - gradient).norm() / gradient.norm()))
    if apart > CLOSE:
        raise RuntimeError(f"the plain version differs by {apart:.2g} at {size} px; expected at most {CLOSE:g}")
    return apart


def step_seconds(layers: Sequence[str], size: int, device: torch.device, rounds: int) -> dict[str, float]:
    """Seconds of a step, plain (``"plain"``) and in each precision, in turns."""
    content, style = pictures(size, device)
    plain = Plain(network_of(layers, "float32", device), style)
    ways: dict[str, Callable[[], object]] = {"plain": partial(plain.with_gradient, content)}
    for name in steps.precisions(device):
        ways[name] = partial(ours(layers, style, name, device).with_gradient, content)
    return measure.in_turns(ways, device, rounds=rounds, warm_up=1)


def term_seconds(layer: str, size: int, device: torch.device, rounds: int) -> dict[str, float]:
    """Seconds of the term and its gradient with respect to the features, without the network."""
    content, style = pictures(size, device)
    ways: dict[str, Callable[[], object]] = {}
    for name in steps.precisions(device):
        network = network_of([layer], name, device)
        features, targets = network.targets(content)[layer], network.targets(style)[layer]
        if name == "float32":
            plain = Plain(network, style)
            ways["plain"] = partial(_plain_slope, features, plain.style[layer])
        ways[name] = partial(_slope, PatchTerm(layer, 1.0, targets), features)
    return measure.in_turns(ways, device, rounds=rounds, warm_up=1)


def _plain_slope(features: Tensor, style: Tensor) -> Tensor:
    x = features.clone().requires_grad_()
    return torch.autograd.grad(plain_term(x, style), x)[0]


def _slope(term: PatchTerm, features: Tensor) -> Tensor:
    value, add = term(features)
    gradient = torch.zeros_like(features)
    add(gradient, torch.ones_like(value))
    return gradient


def changed_matches(layer: str, size: int, device: torch.device) -> float:
    """The share of the patches whose nearest patch is another one in bfloat16."""
    content, style = pictures(size, device)
    positions = []
    for name in ("float32", "bfloat16"):
        network = network_of([layer], name, device)
        positions.append(nearest_patches(network.targets(content)[layer], network.targets(style)[layer]).position)
    return (positions[0] != positions[1]).any(2).double().mean().item()


def peak(layer: str, size: int, which: str, device: torch.device) -> float:
    """GB that making the term and two steps of it add to this process; NaN if the system does not say.

    Without the network: the features are random.
    """
    channels, shrunk = SHAPES[layer]
    before = 0
    for side in (16 * shrunk, size):  # the first one is small: it loads what PyTorch needs
        dtype = torch.float32 if which == "plain" else getattr(torch, which)
        features, style = (
            torch.rand(1, channels, side // shrunk, side // shrunk, device=device)
            .to(dtype)
            .contiguous(memory_format=torch.contiguous_format if which == "plain" else torch.channels_last)
            for _ in range(2)
        )
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
        else:
            before = _resident("VmRSS")
        if which == "plain":
            patches = F.unfold(style, SIZE, stride=STRIDE)[0].t()
            way: Callable[[], object] = partial(_plain_slope, features, patches)
        else:
            way = partial(_slope, PatchTerm(layer, 1.0, [style]), features)
        for _ in range(2):
            way()
    if device.type == "cuda":
        return (torch.cuda.max_memory_allocated(device) - before) / 1e9
    return (_resident("VmHWM") - before) / 1e9 if before else float("nan")


def _resident(what: str) -> int:
    status = Path("/proc/self/status")
    found = re.search(rf"{what}:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


def peak_elsewhere(layer: str, size: int, which: str, device: torch.device) -> float:
    """`peak` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.patches", "--peak", str(size), "--which", which, "--layer", layer]
    told = subprocess.run([*command, "--device", str(device)], capture_output=True, text=True, check=True).stdout
    return float(told.split()[0])


def announced(layer: str, size: int, precision: str, device: torch.device) -> float:
    """The same GB, as `memory_needed` counts them."""
    channels, shrunk = SHAPES[layer]
    shape = (size // shrunk, size // shrunk)
    return memory_needed(shape, [shape], channels, precision=getattr(torch, precision), device=device) / 1e9


def race(options: argparse.Namespace, *, memory: bool = True) -> dict[str, dict[str, Any]]:
    """All measurements: of steps, and of each layer's term alone."""
    device = runtime.pick_device(options.device)
    precisions = steps.precisions(device)
    found: dict[str, dict[str, Any]] = {"steps": {}, "terms": {}}
    for size in options.sizes:
        for layers in LAYERS:
            found["steps"][f"{' + '.join(layers)}, {size} px"] = {
                "largest difference in float32": difference(layers, size, device),
                "seconds": step_seconds(layers, size, device, options.rounds),
            }
        for layer in SHAPES:
            found["terms"][f"{layer}, {size} px"] = {
                "seconds": term_seconds(layer, size, device, options.rounds),
                "other matches in bfloat16": changed_matches(layer, size, device),
                "GB": {w: peak_elsewhere(layer, size, w, device) for w in ("plain", *precisions) if memory},
                "GB announced": {w: announced(layer, size, w, device) for w in precisions},
            }
    return found


def rows_of(found: dict[str, dict[str, Any]], device: torch.device) -> list[results.Row]:
    """The rows of the table: whole steps, and the terms alone."""
    where = steps.threads(device)
    return [
        results.Row(
            "patches", f"patches, {kind}, {what}{where}, {name}", about["seconds"]["plain"], about["seconds"][name]
        )
        for kind, group in (("whole step", found["steps"]), ("term alone", found["terms"]))
        for what, about in group.items()
        for name in about["seconds"]
        if name != "plain"
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 192, 256], help="sides of the square pictures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--peak", type=int, metavar="SIZE", help="only print the peak memory of one term")
    parser.add_argument("--layer", choices=[*SHAPES], default="relu4_1", help="with --peak")
    parser.add_argument("--which", choices=("plain", "float32", "bfloat16"), default="float32", help="with --peak")
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    parser.add_argument("--record", action="store_true", help="store the result for chapter 14")
    options = parser.parse_args()
    device = runtime.pick_device(options.device)
    if options.peak:
        print(f"{peak(options.layer, options.peak, options.which, device):.4f} GB")
        return 0
    if options.record:
        settings = {"sizes": options.sizes, "rounds": options.rounds}
        command = " ".join(("python -m benchmarks.patches", *sys.argv[1:]))
        with records.run(RECORD, profile="laptop", seed=0, config=settings, command=command) as run:
            run.values |= race(options)
        found = run.values
    else:
        found = race(options)
    rows = rows_of(found, device)
    results.report(rows)
    for what, about in found["steps"].items():
        print(f"{what}: largest difference in float32 {about['largest difference in float32']:.1g}")
    for what, about in found["terms"].items():
        print(f"{what}: other matches in bfloat16 {about['other matches in bfloat16']:.1%}; GB {about['GB']},")
        print(f"  announced {about['GB announced']}")
    if options.save:
        results.save(rows, device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
