"""The page that paints in the browser: its speed compared with PyTorch, and the error from weights of eight bits.

    make html && python -m benchmarks.try_it               # opens the built book in Chromium; six minutes
    python -m benchmarks.try_it --record                   # stores the result for the page itself

Page and PyTorch take turns, with one thread each. Decibels are the PSNR of PyTorch's output with rounded filters,
against its output with the package's filters; the tests check that the page computes the same.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import try_any_style
from book.try_it import export, onnx_graph
from course_lib import resize, sample_image, sample_names
from course_lib.data.facades import draw_facade
from course_lib.methods import johnson, pix2pix
from course_lib.networks import layers
from course_lib.networks.convolutions import ResizeConv
from course_lib.teaching import records

HTML = export.ROOT / "_build" / "html"
SIZES = ("256", "512", "1024")
BORDER = 16  # pixels at the border, where zero padding shows most
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def psnr(one: Tensor, other: Tensor) -> float:
    """10 log₁₀(1 / mean squared difference), in dB."""
    return -10 * torch.log10((one.double() - other.double()).square().mean()).item()


def inner(picture: Tensor) -> Tensor:
    """True within `BORDER` pixels of the border, (1, 1, H, W)."""
    frame = torch.ones_like(picture[:, :1], dtype=torch.bool)
    frame[..., BORDER:-BORDER, BORDER:-BORDER] = False
    return frame


def with_borders_of_zeros(network: nn.Module) -> nn.Module:
    """A copy whose convolutions are PyTorch's own, with zero padding instead of reflection."""
    network = onnx_graph.rounded(network, bits=32)
    for parent in [*network.modules()]:
        for name, layer in parent.named_children():
            if isinstance(layer, ResizeConv):  # computes its two parts at once, with its own border
                setattr(parent, name, nn.Sequential(layer[0], _bordered_by_zeros(layer[1])))
            elif isinstance(layer, nn.Conv2d):
                setattr(parent, name, _bordered_by_zeros(layer))
    return network


def _bordered_by_zeros(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, nn.Conv2d)
    shape = layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding
    plain = nn.Conv2d(*shape, bias=layer.bias is not None)  # type: ignore[arg-type]
    plain.load_state_dict(layer.state_dict())
    return plain


@torch.inference_mode()
def decibels(size: int) -> dict[str, float]:
    """PSNR after rounding and after possible mistakes of an export: means over networks and photographs."""
    photos = [sample_image(name, size) for name in sample_names("content")]
    ratios: dict[str, list[float]] = {}

    def note(name: str, one: Tensor, other: Tensor) -> None:
        ratios.setdefault(name, []).append(psnr(one, other))

    for painter in export.PAINTERS:
        exact = johnson.load(painter).network.eval()
        others: dict[str, nn.Module] = {str(bits): onnx_graph.rounded(exact, bits=bits) for bits in (8, 7, 6, 5, 4)}
        others["8 everywhere"] = onnx_graph.rounded(exact, bits=8, colors=8)
        others["zeros"] = with_borders_of_zeros(exact)
        for photo in photos:
            truth = exact(photo)
            for name, network in others.items():
                painted = network(photo)
                note(name, painted, truth)
                if name == "zeros":
                    frame = inner(photo).expand_as(photo)
                    note("zeros at the border", painted[frame], truth[frame])
            note("file", (truth * 255).round() / 255, truth)
        castle, cat = (sample_image(name, size) for name in ("eilean_donan", "cat"))
        with layers.held_statistics(exact, cat):
            foreign = exact(castle)
        note("foreign statistics", foreign, exact(castle))
    sketcher = pix2pix.load(export.SKETCHER)
    side = sketcher.config.image_size
    coarse = onnx_graph.rounded(sketcher.network)
    for scene in export.SCENES:
        sketch = draw_facade(scene, size=side, seed=1).sketch[None]
        street = pix2pix.translate(sketch, sketcher, test_mode="running").image
        note("sketch", coarse(sketch), street)
        note("dropout", pix2pix.translate(sketch, sketcher).image, street)
    return {name: fmean(values) for name, values in ratios.items()}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def opened(html: Path, *flags: str) -> Any:
    """Open the page in a headless Chromium with these flags, too, from a server on this machine."""
    from playwright.sync_api import sync_playwright  # imported here: everything else works without a browser

    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        raise SystemExit(f"this benchmark needs Chromium ({', '.join(CHROMIUM)}); install it first")
    if not (html / "_static" / "try_it" / "models" / "any_decoder.onnx").exists():
        needs = "npm, the networks (python -m course_lib fetch adain_decoder) and the built book (make html)"
        raise SystemExit(f"{html} has no page that paints in any style; this benchmark needs {needs}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu", *flags]
            )
            page = browser.new_page(viewport={"width": 1300, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(f"http://127.0.0.1:{server.server_port}/book/try_it/index.html")
            yield page, f"Chromium {browser.version}"
            browser.close()
    finally:
        server.shutdown()


def timed(function: Any) -> float:
    began = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - began)


# Calls the page's own engine, so that the time is what a visitor gets, without waiting for clicks.
START = """async () => {
  const {Engine} = await import(new URL("../../_static/try_it/engine.js", location.href).href);
  const {root, sizes, runtime} = document.querySelector("#studio-paint").dataset;
  window.engine = new Engine(new URL(root, document.baseURI).href, JSON.parse(sizes), Number(runtime));
  const began = performance.now();
  await engine.ready("great_wave");
  return performance.now() - began;
}"""
# Small pictures are passed as lists in both directions, to be compared; large ones are only timed.
RUN = """async ([model, width, height, data]) => {
  await engine.ready(model);
  const numbers = Float32Array.from(data ?? {length: 3 * width * height}, (value, k) => value ?? k % 256 / 255);
  const answer = await engine.run(model, {data: numbers, width, height});
  return [answer.ms, data ? Array.from(answer.data) : null];
}"""


def race(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(1)
    painter = onnx_graph.rounded(johnson.load("great_wave").network)
    sketcher = onnx_graph.rounded(pix2pix.load(export.SKETCHER).network)
    castle = resize(sample_image("schwerin_palace"), (683, 1024))
    inputs: dict[str, tuple[str, nn.Module, Tensor]] = {
        size: ("great_wave", painter, resize(castle, int(size)).clamp(0, 1)) for size in SIZES
    }
    sketch = draw_facade(export.SCENES[0], size=128, seed=1).sketch[None]
    inputs["sketch"] = (export.SKETCHER, sketcher, sketch)
    here: dict[str, list[float]] = {name: [] for name in inputs}
    torch_: dict[str, list[float]] = {name: [] for name in inputs}
    levels, loads = 0.0, []
    with opened(options.html) as (page, browser), torch.inference_mode():
        for _ in range(options.rounds):
            loads.append(page.evaluate(START))
            for name, (model, network, image) in inputs.items():
                layout = image.contiguous(memory_format=torch.channels_last)
                network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                small = image.numel() <= 3 * 256**2
                numbers = image.flatten().tolist() if small else None
                page.evaluate(
                    RUN, [model, image.shape[-1], image.shape[-2], None]
                )  # not timed: the first call allocates memory
                network(layout)
                for _ in range(options.repeats):
                    ms, painted = page.evaluate(RUN, [model, image.shape[-1], image.shape[-2], numbers])
                    here[name].append(ms)
                    torch_[name].append(timed(lambda n=network, x=layout: n(x)))
                if small:
                    theirs = torch.tensor(painted).view_as(image)
                    levels = max(levels, 255 * (theirs - network(layout)).abs().max().item())
        any_painting = try_any_style.race(page, options.rounds)
    program = (options.html / "_static" / "try_it" / "runtime" / "ort.wasm.bin").read_bytes()
    networks = {"painter": johnson.load("great_wave").network, "sketcher": pix2pix.load(export.SKETCHER).network}
    return {
        "runtime": export.locked_version(),
        "browser": browser,
        "program bytes": len(program),
        "program bytes unpacked": len(gzip.decompress(program)),
        **{
            f"{name} bytes": {str(bits): len(onnx_graph.export(network, bits=bits)) for bits in onnx_graph.BITS}
            for name, network in networks.items()
        },
        "ms to load": median(loads),
        "ms": {name: median(values) for name, values in here.items()},
        "ms of PyTorch": {name: median(values) for name, values in torch_.items()},
        "ratio": {name: median(here[name]) / median(torch_[name]) for name in inputs},
        "levels between page and PyTorch": levels,
        "dB": decibels(options.size) | try_any_style.decibels(options.size, psnr),
        "program bytes with WebGPU": (options.html / "_static/try_it/runtime/gpu.wasm.bin").stat().st_size,
        **any_painting,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="long side of the pictures for the PSNR")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=4, help="pictures of each size in one round")
    parser.add_argument("--html", type=Path, default=HTML, help="the built book")
    parser.add_argument("--record", action="store_true", help="store the result for the page")
    options = parser.parse_args()
    if not options.record:
        for name, value in race(options).items():
            print(f"{name}: {value}")
        return 0
    settings = {"size": options.size, "rounds": options.rounds, "repeats": options.repeats}
    command = "python -m benchmarks.try_it --record"
    torch.set_num_threads(1)
    with records.run("try_it", profile="laptop", seed=0, config=settings, command=command) as run:
        run.values |= race(options)
        run.images |= try_any_style.stills()
    for name, value in run.values.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
