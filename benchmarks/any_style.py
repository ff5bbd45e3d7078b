"""Any style: seconds of our pass and of a plain port of the published network, in total, by part and by transform.

    python -m benchmarks.any_style                 # 256, 512 and 1024 px; ten minutes on one core
    python -m benchmarks.any_style --save          # also adds the rows to the table
    python -m benchmarks.any_style --record        # stores them, with parts, transforms and memory, for chapter 12
    python -m benchmarks.any_style --peak 1024 --which plain   # peak memory of painting one picture, in GB

The plain port is what tutorials use: encoder and decoder as `nn.Sequential` of PyTorch's own layers, with
`ReflectionPad2d` before each convolution, in float32, with the same published weights. A pass encodes the photo and the
painting, transforms the photo's features, and decodes them; it starts and ends on the CPU. Photo and painting are
squares of the same size. In float32, both must give the same picture, up to `CLOSE`; otherwise the benchmark stops.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import measure, results, steps
from course_lib import runtime, sample_image
from course_lib.methods import adain
from course_lib.networks import feature_transforms
from course_lib.pretrained import weights
from course_lib.teaching import records

CONTENT, STYLE = "eilean_donan", "great_wave"
CLOSE = 1e-4  # largest difference of a color in [0, 1], in float32
ENCODER = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, 256, "pool", 512)
DECODER = (256, "up", 256, 256, 256, 128, "up", 128, 64, "up", 64, 3)


class Plain:
    """The published encoder and decoder, of PyTorch's own layers."""

    def __init__(self, device: torch.device) -> None:
        vgg = weights.load("vgg19_normalized")
        mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (vgg.mean, vgg.std))
        scale = nn.Conv2d(3, 3, 1)
        scale.load_state_dict({"weight": torch.eye(3).view(3, 3, 1, 1) / std, "bias": (-mean / std).flatten()})
        self.encoder = nn.Sequential(scale, *_layers(3, ENCODER, vgg.state_dict)).to(device).eval()
        *decoder, _ = _layers(512, DECODER, weights.load("adain_decoder").state_dict)  # no ReLU after the colors
        self.decoder = nn.Sequential(*decoder).to(device).eval()

    @torch.no_grad()
    def stylize(self, content: Tensor, style: Tensor, transform: str = "adain") -> Tensor:
        features, of_style = self.encoder(content), self.encoder(style)
        painted: Tensor = self.decoder(TRANSFORMS[transform](features, of_style))
        return painted.clamp(0, 1)


def _layers(channels: int, kinds: tuple[int | str, ...], state: dict[str, Tensor]) -> list[nn.Module]:
    """Padding, convolution and ReLU for each number of channels; the weights of a file come in the same order."""
    keys = sorted({key.split(".")[0] for key in state}, key=int)
    layers: list[nn.Module] = []
    for kind in kinds:
        if kind == "pool":
            layers.append(nn.MaxPool2d(2))
        elif kind == "up":
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        else:
            conv, key = nn.Conv2d(channels, int(kind), 3), keys.pop(0)
            conv.load_state_dict({part: state[f"{key}.{part}"] for part in ("weight", "bias")})
            layers += [nn.ReflectionPad2d(1), conv, nn.ReLU()]
            channels = int(kind)
    return layers


def _statistics(features: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    flat = features.flatten(2)
    return flat.mean(2)[..., None, None], (flat.var(2, correction=0) + eps).sqrt()[..., None, None]


def plain_adain(content: Tensor, style: Tensor) -> Tensor:
    """Mean and standard deviation of every channel, exchanged."""
    (mean, std), (goal, spread) = _statistics(content), _statistics(style, 0.0)
    return (content - mean) / std * spread + goal


def plain_wct(content: Tensor, style: Tensor) -> Tensor:
    """Whitening and coloring by two singular value decompositions in float64."""
    flat, other = (x[0].flatten(1).double() for x in (content, style))
    mean, goal = (x.mean(1, keepdim=True) for x in (flat, other))
    (u, s, _), (v, t, _) = (torch.linalg.svd(torch.cov(x, correction=0)) for x in (flat, other))
    white = u @ torch.diag((s + 1e-5).rsqrt()) @ u.T @ (flat - mean)
    return (v @ torch.diag(t.sqrt()) @ v.T @ white + goal).to(content).view_as(content)


def plain_swap(content: Tensor, style: Tensor) -> Tensor:
    """Replace each patch of 3 × 3 positions by the style's nearest: two convolutions with the patches as filters."""
    patches = F.unfold(style, 3)[0].T.reshape(-1, style.shape[1], 3, 3)
    unit = patches / patches.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
    scores = F.conv2d(content, unit)
    chosen = torch.zeros_like(scores).scatter_(1, scores.argmax(1, keepdim=True), 1.0)
    overlaps = F.conv_transpose2d(torch.ones_like(scores[:, :1]), torch.ones(1, 1, 3, 3).to(scores))
    return F.conv_transpose2d(chosen, patches) / overlaps


def plain_swap_adain(content: Tensor, style: Tensor) -> Tensor:
    """Swap normalized features, then exchange mean and standard deviation."""
    (mean, std), (goal, spread) = _statistics(content), _statistics(style)
    return plain_adain(plain_swap((content - mean) / std, (style - goal) / spread), style)


TRANSFORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "adain": plain_adain, "wct": plain_wct, "swap": plain_swap, "swap+adain": plain_swap_adain,
}  # fmt: skip


def pictures(size: int) -> tuple[Tensor, Tensor]:
    """Photo and painting, squares of `size` px."""
    return sample_image(CONTENT, (size, size)), sample_image(STYLE, (size, size))


def difference(plain: Plain, size: int, device: torch.device) -> float:
    """Largest difference of a color between the two pictures in float32.

    Raises:
        RuntimeError: it is above `CLOSE`.
    """
    content, style = pictures(size)
    ours = adain.stylize(content, style, device=str(device), precision="float32").image
    apart = (plain.stylize(content.to(device), style.to(device)).cpu() - ours).abs().max().item()
    if apart > CLOSE:
        raise RuntimeError(f"the plain port's picture differs by {apart:.2g} at {size} px; expected at most {CLOSE:g}")
    return apart


def passes(plain: Plain, size: int, device: torch.device, rounds: int) -> dict[str, float]:
    """Seconds of a pass at one size, plain (``"plain"``) and in each precision, in turns."""
    content, style = pictures(size)
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: plain.stylize(content.to(device), style.to(device)).cpu(),
    }
    for name in steps.precisions(device):
        ways[name] = partial(adain.stylize, content, style, device=str(device), precision=name)
    return measure.in_turns(ways, device, rounds=rounds, warm_up=1)


def parts(plain: Plain, size: int, device: torch.device, precision: str, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of the parts of a pass, plain and ours in one precision: encode one picture, AdaIN, decode."""
    content, _ = pictures(size)
    model = adain.published()
    encoder = adain.encoder_of(model.config, device, runtime.pick_precision(precision, device))
    picture = content.to(device)
    with torch.no_grad(), runtime.inference(model.network, device=str(device), precision=precision) as decode:
        features = plain.encoder(picture)
        ways = {
            "encode": {"plain": lambda: plain.encoder(picture), "ours": lambda: encoder.targets(picture)},
            "transform": {
                "plain": lambda: plain_adain(features, features),
                "ours": lambda: feature_transforms.adain(features, features),
            },
            "decode": {"plain": lambda: plain.decoder(features), "ours": lambda: decode(features)},
        }
        return {part: measure.in_turns(pair, device, rounds=rounds, warm_up=1) for part, pair in ways.items()}


@torch.no_grad()
def transforms(plain: Plain, size: int, device: torch.device, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of the four transforms on the features of photo and painting, plain and ours."""
    content, style = (plain.encoder(picture.to(device)) for picture in pictures(size))
    found = {}
    for name, way in TRANSFORMS.items():
        pair = {
            "plain": partial(way, content, style),
            "ours": partial(feature_transforms.transform, name, content, style),
        }
        found[name] = measure.in_turns(pair, device, rounds=rounds, warm_up=1)
    return found


def peak(size: int, which: str, device: torch.device) -> float:
    """Paint one picture; return the peak memory of this process in GB, NaN if the system does not report it."""
    content, style = pictures(size)
    if which == "plain":
        Plain(device).stylize(content.to(device), style.to(device)).cpu()
    else:
        adain.stylize(content, style, device=str(device), precision=which)
    return measure.peak_memory(device)


def peak_elsewhere(size: int, which: str, device: torch.device) -> float:
    """`peak` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.any_style", "--peak", str(size), "--which", which]
    told = subprocess.run([*command, "--device", str(device)], capture_output=True, text=True, check=True).stdout
    return float(told.split()[0])


def race(options: argparse.Namespace, *, memory: bool = True) -> dict[str, Any]:
    """All measurements, by size."""
    device = runtime.pick_device(options.device)
    plain, found = Plain(device), {}
    for size in options.sizes:
        found[str(size)] = {
            "largest difference in float32": difference(plain, size, device),
            "pass": passes(plain, size, device, options.rounds),
            "transforms": transforms(plain, size, device, options.rounds) if size <= options.details else {},
            **{
                f"parts, {name}": parts(plain, size, device, name, options.rounds) if size <= options.details else {}
                for name in steps.precisions(device)
            },
            "GB": {w: peak_elsewhere(size, w, device) for w in ("plain", *steps.precisions(device)) if memory},
        }
    return found


def rows_of(found: dict[str, Any], device: torch.device) -> list[results.Row]:
    """The rows of the table: the passes, the parts and the transforms."""
    rows, where = [], steps.threads(device)
    for size, about in found.items():
        seconds = dict(about["pass"])
        alone = seconds.pop("plain")
        rows += [
            results.Row("any_style", f"any style, whole pass, {size} px{where}, {name}", alone, ours)
            for name, ours in seconds.items()
        ]
        for name in ("float32", "bfloat16"):
            for part, pair in about.get(f"parts, {name}", {}).items():
                row = f"any style, {part}, {size} px{where}, {name}"
                rows += [results.Row("any_style", row, pair["plain"], pair["ours"])] * (part != "transform")
        for name, pair in about["transforms"].items():
            rows.append(results.Row("any_style", f"{name}, features of {size} px{where}", pair["plain"], pair["ours"]))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="sides of the square pictures")
    parser.add_argument("--details", type=int, default=512, help="largest size at which parts and transforms are timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--peak", type=int, metavar="SIZE", help="only paint one picture, and print the peak memory")
    parser.add_argument("--which", choices=("plain", "float32", "bfloat16"), default="float32", help="with --peak")
    parser.add_argument("--save", action="store_true", help="add the rows to the table of all machines")
    parser.add_argument("--record", action="store_true", help="store the result for chapter 12")
    options = parser.parse_args()
    device = runtime.pick_device(options.device)
    if options.peak:
        print(f"{peak(options.peak, options.which, device):.3f} GB")
        return 0
    if options.record:
        settings = {"sizes": options.sizes, "rounds": options.rounds}
        command = " ".join(("python -m benchmarks.any_style", *sys.argv[1:]))
        with records.run("12_passes", profile="laptop", seed=0, config=settings, command=command) as run:
            run.values |= race(options)
        found = run.values
    else:
        found = race(options)
    rows = rows_of(found, device)
    results.report(rows)
    for size, about in found.items():
        print(f"{size} px: largest difference {about['largest difference in float32']:.1g}; GB: {about['GB']}")
    if options.save:
        results.save(rows, device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
