"""The command line: `python -m course_lib fetch` and `python -m course_lib stylize`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tqdm.std import tqdm

from course_lib import weights
from course_lib.images import check_writable, load_image, save_image
from course_lib.methods import gatys
from course_lib.runtime import Progress
from course_lib.weights import WeightsError

_DEFAULT_NETWORKS = ("vgg19_normalized", "vgg16_torchvision")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 a mistake said in one sentence, 130 Ctrl-C."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _say_warning
        try:
            options.run(options)
        except (WeightsError, ValueError, MemoryError) as error:
            print(f"course_lib: {error}", file=sys.stderr)
            return 2
        except RuntimeError as error:
            if "memory" not in str(error):  # every device has its own words for it
                raise
            reason = str(error).splitlines()[0]
            print(f"course_lib: the memory is too small ({reason}); try a smaller --size", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("course_lib: stopped.", file=sys.stderr)
            return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m course_lib", description="Neural style transfer.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fetch(commands)
    _add_stylize(commands)
    return parser


def _add_fetch(commands: Any) -> None:
    fetch = commands.add_parser("fetch", help="download pretrained networks into the cache and verify them")
    fetch.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"networks to fetch (default: {' and '.join(_DEFAULT_NETWORKS)})",
    )
    fetch.add_argument("--list", action="store_true", help="only show which networks there are")
    fetch.add_argument("--refresh", action="store_true", help="download again even what is in the cache")
    fetch.set_defaults(run=_fetch)


def _add_stylize(commands: Any) -> None:
    stylize = commands.add_parser("stylize", help="paint a photo in the style of a painting (Gatys et al., 2016)")
    stylize.add_argument("content", metavar="CONTENT", help="the photo: a file")
    stylize.add_argument("style", metavar="STYLE", help="the painting: a file")
    stylize.add_argument("-o", "--output", required=True, metavar="OUT", help="where to save (.png, .jpg, .webp)")
    stylize.add_argument("--size", type=_positive, default=256, help="long side in pixels (default: 256)")
    stylize.add_argument("--steps", type=_positive, default=100, help="loss evaluations (default: 100)")
    stylize.add_argument("--style-weight", type=float, help="more is more painting, less is more photo")
    stylize.add_argument(
        "--start", choices=("noise", "content", "style", "mixed"), help="the first picture (default: content)"
    )
    stylize.add_argument("--device", default="auto", help="auto, cuda, mps, xpu or cpu (default: auto)")
    stylize.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    stylize.set_defaults(run=_stylize)


def _fetch(options: argparse.Namespace) -> None:
    if options.list:
        _print_catalog()
        return
    for name in options.names or _DEFAULT_NETWORKS:
        with tqdm(desc=name, unit="B", unit_scale=True, disable=None, leave=False) as bar:

            def show(done: int, total: int, bar: tqdm = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            path = weights.fetch(name, progress=show, refresh=options.refresh)
        print(f"{name}: {path}")


def _print_catalog() -> None:
    print(f"Cache folder: {weights.cache_folder()}")
    for entry in weights.catalog().values():
        size = f"{entry.size / 1e6:.1f} MB" if entry.size >= 1e5 else f"{entry.size / 1e3:.0f} kB"
        print(f"\n{entry.name}  ({size}, {'cached' if entry.cached else 'not cached'})")
        print(f"  {entry.description}\n  from: {entry.origin}\n  license: {entry.licence}")


def _stylize(options: argparse.Namespace) -> None:
    """Paint, showing loss and remaining time; Ctrl-C saves the picture so far."""
    check_writable(options.output)  # before minutes of work, not after
    content, style = load_image(options.content, options.size), load_image(options.style)
    chosen = {
        "style_weight": options.style_weight,
        "start": options.start,
        "device": options.device,
        "seed": options.seed,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    config = replace(gatys.Config.fast(), num_steps=options.steps, **{"start": "content", **given})
    latest: list[Progress] = []
    with tqdm(total=options.steps, unit="step", disable=None) as bar:

        def watch(progress: Progress) -> None:
            latest[:] = [progress]
            bar.set_postfix(loss=f"{progress.losses['total']:.3g}", refresh=False)
            bar.update()

        try:
            result = gatys.stylize(content, style, config, callback=watch)
        except KeyboardInterrupt:
            if not latest:
                raise
            bar.close()
            save_image(latest[0].image(), options.output)
            step = latest[0].step
            print(f"course_lib: stopped after step {step}; saved {options.output}", file=sys.stderr)
            raise SystemExit(130) from None
    save_image(result.image, options.output)
    seconds = f"{result.history['seconds'][-1]:.1f} s" if result.history else "0 s"
    print(f"{options.output}: {len(result.history.get('total', []))} steps in {seconds}")
    for note in (result.stopped, result.advice):
        if note:
            print(f"course_lib: {note}", file=sys.stderr)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"course_lib: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
