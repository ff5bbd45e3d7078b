"""The command line: ``python -m course_lib COMMAND``. What the commands do stands in `course_lib.cli.commands`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from course_lib.cli import commands
from course_lib.pretrained.weights import WeightsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 a mistake said in one sentence, 130 Ctrl-C."""
    options = _options(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _say_warning
        try:
            options.run(options)
        except (WeightsError, ValueError, MemoryError, OSError) as error:
            print(f"course_lib: {error}", file=sys.stderr)
            return 2
        except RuntimeError as error:
            if "memory" not in str(error):  # every device has its own words for it
                raise
            reason = str(error).splitlines()[0]
            print(f"course_lib: the memory is too small ({reason}); try a smaller {options.relief}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("course_lib: stopped.", file=sys.stderr)
            return 130
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options, left = parser.parse_known_args(arguments)
    if left and getattr(options, "style", "") is None and not left[0].startswith("-"):
        options.style = left.pop(0)  # older argparse overlooks a STYLE that stands behind an option
    if left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m course_lib", description="Neural style transfer.")
    words = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_fetch, _add_stylize, _add_train_style, _add_upscale, _add_translate, _add_models, _add_grade):
        add(words)
    return parser


def _add(words: Any, name: str, run: Callable[[argparse.Namespace], None], text: str, relief: str = "--size") -> Any:
    """One command; `relief` is what to make smaller where the memory is too small."""
    command = words.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=run, relief=relief)
    return command


def _add_fetch(words: Any) -> None:
    fetch = _add(words, "fetch", commands.fetch, "download pretrained networks into the cache and verify them")
    fetch.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"networks to fetch (default: {' and '.join(commands.DEFAULT_NETWORKS)})",
    )
    fetch.add_argument("--list", action="store_true", help="only show which networks there are")
    fetch.add_argument("--refresh", action="store_true", help="download again even what is in the cache")


def _add_stylize(words: Any) -> None:
    text = "paint a photo in the style of a painting (Gatys et al., 2016), or in one pass of a trained network"
    stylize = _add(words, "stylize", commands.stylize, text, "--size or --tile")
    stylize.add_argument("content", metavar="CONTENT", help="the photo: a file; with --model also a folder of them")
    stylize.add_argument("style", nargs="?", metavar="STYLE", help="the painting: a file; not with --model")
    _add_output(stylize, "where to save (.png, .jpg, .webp); for a folder of photos, a folder")
    stylize.add_argument(
        "--size", type=_positive, metavar="N", help="long side in pixels (default: 256; with --model the photo's own)"
    )
    stylize.add_argument("--model", help="a trained network: a file, or a name that `models` lists")
    stylize.add_argument("--tile", type=_positive, metavar="N", help="with --model: compute in parts of N px")
    stylize.add_argument("--steps", type=_positive, metavar="N", help="loss evaluations (default: 100)")
    stylize.add_argument("--style-weight", type=float, metavar="X", help="more is more painting, less is more photo")
    stylize.add_argument(
        "--start", choices=("noise", "content", "style", "mixed"), help="the first picture (default: content)"
    )
    _add_device(stylize)
    stylize.add_argument("--seed", type=int, metavar="N", help="of the noise (default: 0)")


def _add_train_style(words: Any) -> None:
    text = "train a network that paints any photo like one painting in one pass (Johnson et al., 2016)"
    train = _add(words, "train-style", commands.train_style, text, "--size or --batch")
    train.add_argument("style", metavar="STYLE", help="the painting: a file, or a name such as great_wave")
    _add_output(train, "the model to write (.safetensors); its checkpoint and preview stand beside it")
    train.add_argument("--photos", metavar="FOLDER", help="photos to learn from (default: those of the package)")
    train.add_argument(
        "--config", choices=("fast", "quick", "paper", "released"), default="fast",
        help="settings to begin from: fast (the default; about half an hour on two CPU cores), quick (a minute; best "
        "with --start), paper (its text) or released (its authors' code): hours on a GPU",
    )  # fmt: skip
    train.add_argument("--steps", type=_positive, metavar="N", help="batches to learn from")
    train.add_argument("--size", type=_positive, metavar="N", help="side of the crops to learn from, in pixels")
    train.add_argument("--batch", type=_positive, metavar="N", help="crops a step")
    train.add_argument("--style-weight", type=float, metavar="X", help="more is more painting, less is more photo")
    train.add_argument("--start", metavar="MODEL", help="a trained network to go on from: a file or a name")
    train.add_argument("--preview", metavar="PHOTO", help="a photo to watch (default: the first crop of the batch)")
    train.add_argument(
        "--preview-every", type=_positive, default=200, metavar="N", help="steps between previews (default: 200)"
    )
    train.add_argument("--fresh", action="store_true", help="begin anew instead of going on from the checkpoint")
    _add_device(train)
    train.add_argument("--seed", type=int, metavar="N", help="of the first weights and the crops (default: 0)")


def _add_upscale(words: Any) -> None:
    text = "enlarge a picture with a trained network (Johnson et al., 2016, super-resolution)"
    upscale = _add(words, "upscale", commands.upscale, text, "--tile")
    upscale.add_argument("image", metavar="IN", help="the picture: a file")
    _add_output(upscale, "where to save (.png, .jpg, .webp)")
    upscale.add_argument("--model", required=True, help="a trained network: a file, or a name that `models` lists")
    upscale.add_argument("--tile", type=_positive, metavar="N", help="compute in parts of N px of IN")
    _add_device(upscale)


def _add_translate(words: Any) -> None:
    text = "turn a label map or a sketch into a picture with a trained generator (Isola et al., 2017)"
    translate = _add(words, "translate", commands.translate, text, "--size")
    translate.add_argument("image", metavar="IN", help="the label map or the sketch: a file")
    _add_output(translate, "where to save (.png, .jpg, .webp)")
    translate.add_argument("--model", required=True, help="a trained generator: a file, or a name that `models` lists")
    translate.add_argument("--pencil", action="store_true", help="IN is a photo: draw its edges first")
    translate.add_argument(
        "--size", type=_positive, metavar="N", help="long side in pixels, rounded to what the generator can halve"
    )
    _add_device(translate)
    translate.add_argument("--seed", type=int, default=0, metavar="N", help="of the dropout (default: 0)")


def _add_models(words: Any) -> None:
    _add(words, "models", commands.models, "list the trained networks that come with the package")


def _add_grade(words: Any) -> None:
    text = "grade a folder of submitted notebooks (students' code runs with your rights: see the page for teachers)"
    grade = _add(words, "grade", commands.grade, text, "--jobs")
    grade.add_argument("folder", metavar="FOLDER", help="student/NN_name.ipynb, or flat files")
    grade.add_argument("-o", "--output", default="grades.csv", metavar="OUT", help="the table (default: grades.csv)")
    grade.add_argument("--masters", metavar="DIR", help="the notebooks with solutions (default: the repository's)")
    grade.add_argument(
        "--timeout", type=float, default=300.0, metavar="S", help="seconds for a notebook (default: 300)"
    )
    grade.add_argument("--memory", type=float, default=4.0, metavar="GB", help="of one notebook (default: 4)")
    grade.add_argument("--jobs", type=_positive, default=1, metavar="N", help="how many run at a time (default: 1)")


def _add_output(command: Any, text: str) -> None:
    command.add_argument("-o", "--output", required=True, metavar="OUT", help=text)


def _add_device(command: Any) -> None:
    command.add_argument("--device", default="auto", help="auto, cuda, mps, xpu or cpu (default: auto)")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"course_lib: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
