"""What the commands of `python -m course_lib` do; `__main__` reads their words.

Each takes the parsed options, works, shows progress, and raises a ValueError with one sentence where it cannot.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm.std import tqdm

from course_lib.data.pairs import nearest
from course_lib.data.sketch import pencil
from course_lib.images import (
    FORMATS,
    ImageError,
    check_writable,
    load_image,
    resize,
    sample_image,
    sample_names,
    save_image,
)
from course_lib.methods import gan, gatys, johnson, pix2pix, super_resolution
from course_lib.pretrained import weights
from course_lib.runtime import Progress
from course_lib.training import model_files
from course_lib.training.loop import CheckpointError
from course_lib.training.model_files import ModelError

DEFAULT_NETWORKS = ("vgg19_normalized", "vgg16_torchvision")
_METHODS: tuple[Any, ...] = (johnson, super_resolution, pix2pix, gan)  # those whose networks are files
_PREVIEW_SIZE = 512
_GATYS_ONLY = ("steps", "style_weight", "start", "seed")


def fetch(options: argparse.Namespace) -> None:
    """Download pretrained networks, or list them."""
    if options.list:
        _print_catalog()
        return
    for name in options.names or DEFAULT_NETWORKS:
        with tqdm(desc=name, unit="B", unit_scale=True, disable=None, leave=False) as bar:

            def show(done: int, total: int, bar: tqdm = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            path = weights.fetch(name, progress=show, refresh=options.refresh)
        print(f"{name}: {path}")


def _print_catalog() -> None:
    print(f"Cache folder: {weights.cache_folder()}")
    for entry in weights.catalog().values():
        print(f"\n{entry.name}  ({_size(entry.size)}, {'cached' if entry.cached else 'not cached'})")
        print(f"  {entry.description}\n  from: {entry.origin}\n  license: {entry.licence}")


def models(options: argparse.Namespace) -> None:
    """List the trained networks that come with the package: name, method, size, and how each was made."""
    files: list[Path] = []
    with suppress(ModelError):
        files = sorted(model_files.models_folder().glob("*.safetensors"))
    if not files:
        print("No trained networks come with this copy of the package; train-style makes one.")
    for file in files:
        print(f"{file.stem}  ({_about(file)}, {_size(file.stat().st_size)})")


def _about(file: Path) -> str:
    for method in _METHODS:
        with suppress(ModelError):
            model = method.load(file)
            words = [method.__name__.rpartition(".")[2]]
            if method is super_resolution:
                words += [f"factor {model.config.factor}", f"{model.config.loss} loss"]
            words += [f"style {model.facts['style']}"] if "style" in model.facts else []
            words += [f"{model.facts['steps']} steps"] if "steps" in model.facts else []
            return ", ".join(words)
    return "damaged or of another method"


def stylize(options: argparse.Namespace) -> None:
    """Paint a photo: step by step for any painting, or in one pass of a network trained for one."""
    if options.model is not None and options.style is not None:
        raise ValueError("give a painting (STYLE) or --model, not both: a trained network has its own painting")
    if options.model is None and options.style is None:
        raise ValueError("there is nothing to paint like: give a painting (STYLE) or a trained network (--model)")
    without_use = ("tile",) if options.model is None else _GATYS_ONLY
    for name in without_use:
        if getattr(options, name) is not None:
            word, other = name.replace("_", "-"), "without" if options.model is None else "with"
            raise ValueError(f"--{word} has no meaning {other} --model; leave it out")
    if options.model is None:
        _optimize(options)
    elif Path(options.content).is_dir():
        _paint_folder(options)
    else:
        check_writable(options.output)
        model, content = johnson.load(options.model), load_image(options.content, options.size)
        result = johnson.stylize(content, model, tile=options.tile, device=options.device)
        save_image(result.image, options.output)
        print(f"{options.output}: one pass in {result.history['seconds'][-1]:.1f} s")


def _optimize(options: argparse.Namespace) -> None:
    """Paint, showing loss and remaining time; Ctrl-C saves the picture so far."""
    check_writable(options.output)  # before minutes of work, not after
    content, style = load_image(options.content, options.size or 256), load_image(options.style)
    given = _given(options, "style_weight", "start", "device", "seed")
    config = replace(gatys.Config.fast(), num_steps=options.steps or 100, **{"start": "content", **given})
    latest: list[Progress] = []
    with tqdm(total=config.num_steps, unit="step", disable=None) as bar:

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
            _say(f"stopped after step {step}; saved {options.output}")
            raise SystemExit(130) from None
    save_image(result.image, options.output)
    seconds = f"{result.history['seconds'][-1]:.1f} s" if result.history else "0 s"
    print(f"{options.output}: {len(result.history.get('total', []))} steps in {seconds}")
    for note in (result.stopped, result.advice):
        if note:
            _say(note)


def _paint_folder(options: argparse.Namespace) -> None:
    """Every picture of a folder into another one, under its own name; what cannot be painted is named and skipped."""
    source, target = Path(options.content), Path(options.output)
    if target.exists() and (not target.is_dir() or target.samefile(source)):
        problem = "is the photos' own folder" if target.is_dir() else "is a file"
        raise ValueError(f"{target} {problem}; name another folder for the painted pictures")
    model = johnson.load(options.model)
    files = sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))
    painted = 0
    for file in tqdm(files, unit="picture", disable=None):
        try:
            content = load_image(file, options.size)
            image = johnson.stylize(content, model, tile=options.tile, device=options.device).image
        except ValueError as error:
            _say(f"skipped {file.name}: {error}")
            continue
        target.mkdir(parents=True, exist_ok=True)
        save_image(image, target / (file.name if file.suffix.lower() in FORMATS else f"{file.name}.png"))
        painted += 1
    if not painted:
        raise ValueError(f"{source} has no picture that could be painted among its {len(files)} files")
    print(f"{target}: {painted} pictures")


def upscale(options: argparse.Namespace) -> None:
    """Enlarge a picture by the factor of a trained network."""
    check_writable(options.output)
    model, image = super_resolution.load(options.model), load_image(options.image)
    result = super_resolution.upscale(image, model, tile=options.tile, device=options.device)
    save_image(result.image, options.output)
    height, width = result.image.shape[-2:]
    print(f"{options.output}: {width} × {height} px in {result.history['seconds'][-1]:.1f} s")


def translate(options: argparse.Namespace) -> None:
    """Turn a label map or a sketch into a picture with a trained pix2pix generator."""
    check_writable(options.output)
    model, image = pix2pix.load(options.model), load_image(options.image)
    side = model.config.image_size
    scale = (options.size or side) / max(image.shape[-2:])
    height, width = (side * max(1, round(scale * length / side)) for length in image.shape[-2:])
    if options.pencil:
        image = pencil(resize(image, (height, width)))
    elif len(image.mul(255).round().flatten(2)[0].unique(dim=1).T) <= _MAP_COLORS:  # a label map: do not mix its colors
        image = nearest(image, (height, width))
    else:
        image = resize(image, (height, width))
    result = pix2pix.translate(image, model, seed=options.seed, device=options.device)
    save_image(result.image, options.output)
    height, width = result.image.shape[-2:]
    print(f"{options.output}: {width} × {height} px in {result.history['seconds'][-1]:.1f} s")


def train_style(options: argparse.Namespace) -> None:
    """Train a network for one painting; stopped by Ctrl-C or a kill, the same command goes on from its checkpoint."""
    output = Path(options.output)
    checkpoint, preview = output.with_suffix(".checkpoint"), output.with_suffix(".preview.jpg")
    _check_model_place(output, preview)
    name, style = _painting(options.style)
    fields = {"steps": "num_steps", "size": "image_size", "batch": "batch_size"}
    given = {fields.get(word, word): value for word, value in _given(options, *_TRAINING).items()}
    config = replace(_configuration(options.config), **given)
    photo = None if options.preview is None else load_image(options.preview, _PREVIEW_SIZE)
    if options.photos is not None and not Path(options.photos).is_dir():
        raise ValueError(f"{options.photos} is no folder; --photos wants one with pictures (.jpg, .png, .webp)")
    start = None if options.start is None else johnson.load(options.start)
    if options.fresh:
        checkpoint.unlink(missing_ok=True)
    latest: list[Progress] = []
    with tqdm(total=config.num_steps, unit="step", disable=None) as bar:

        def watch(progress: Progress) -> None:
            if not latest and progress.step > 1:
                bar.initial = bar.n = bar.last_print_n = progress.step - 1
                bar.write(f"resuming at step {progress.step}")
            latest[:] = [progress]
            if bar.update():  # the bar was drawn anew: often enough to look at a number on the device
                bar.set_postfix(loss=f"{progress.losses['total']:.3g}")
            if progress.step % options.preview_every == 0:
                save_image(progress.image(), preview)

        try:
            model = johnson.train(
                style, options.photos, config, start=start, callback=watch, checkpoint=checkpoint, preview=photo
            )
        except CheckpointError as error:
            raise CheckpointError(f"{error}; --fresh does so") from None
        except KeyboardInterrupt:
            bar.close()
            done = f"stopped after step {latest[0].step}" if latest else "stopped"
            more = "no checkpoint was written yet, so the same command begins anew"
            if checkpoint.exists():
                more = f"the same command goes on from the last checkpoint, {checkpoint}"
            _say(f"{done}; {more}")
            raise SystemExit(130) from None
    if model.stopped and not model.facts["steps"]:
        raise ValueError(f"{model.stopped}; nothing was saved")
    johnson.save(replace(model, facts={"style": name, **model.facts}), output)
    checkpoint.unlink(missing_ok=True)
    print(f"{output}: {model.facts['steps']} steps in {_duration(model.facts['seconds'])}")
    if model.stopped:
        _say(model.stopped)


def grade(options: argparse.Namespace) -> None:
    """Grade a folder of submitted notebooks: a table, and a text for each student."""
    from course_lib.teaching import grading  # its processes need IPython, which only notebooks bring

    limits = grading.Limits(options.timeout, options.memory)
    masters = Path(options.masters or grading.MASTERS)
    with tqdm(unit="notebook", disable=None, leave=False) as bar:
        folder, output = Path(options.folder), Path(options.output)
        print(grading.grade_into(folder, output, masters, limits, options.jobs, lambda row: bar.update()))


_MAP_COLORS = 32  # a photograph has thousands
_TRAINING = ("steps", "size", "batch", "style_weight", "device", "seed")


def _configuration(word: str) -> johnson.Config:
    makers: dict[str, Callable[[], johnson.Config]] = {
        "fast": johnson.Config.fast,
        "quick": johnson.Config.quick,
        "paper": johnson.Config,
        "released": johnson.Config.released,
    }
    return makers[word]()


def _painting(word: str) -> tuple[str, Any]:
    """Name and picture of a file or, where there is none, of one of the project's own paintings."""
    if not Path(word).exists() and word in sample_names():
        return word, sample_image(word)
    try:
        return Path(word).stem, load_image(word)
    except ImageError:
        if Path(word).exists() or Path(word).suffix:
            raise
        known = ", ".join(sample_names("style"))
        raise ImageError(f"no file is named {word}, and no painting of the project; those are {known}") from None


def _check_model_place(output: Path, preview: Path) -> None:
    """Refuse a place where a model could not be written, before hours of work."""
    if output.suffix != ".safetensors":
        raise ValueError(f"a model's file ends in .safetensors, got {output}")
    if output.is_dir():
        raise ValueError(f"{output} is a folder; give the name of a file")
    check_writable(preview)  # which stands in the same folder


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """What was said, as arguments; what was not is left to the method."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _say(text: str) -> None:
    print(f"course_lib: {text}", file=sys.stderr)
