"""Trains the networks that come with the package.

    python -m scripts.models                    lists them, with the command that made each
    python -m scripts.models great_wave …       trains these again: minutes each on a laptop's CPU

Writes ``data/models/NAME.safetensors`` (half precision) and a record ``data/results/model_NAME``. The training
photographs are the project's 63 open ones. A run that was stopped resumes from its checkpoint. The network of the first
painting starts from random weights, those of the others from its weights, and so does the one that paints videos
without flicker. The network of twelve paintings also starts from its convolutions. The decoder for any style is trained
on paintings and photographs; two paintings are held out. The networks of textures are trained on noise.
The two networks that turn label maps and sketches into façades are trained on scenes that the package draws, and so are
those that turn day into dusk and back, from two sets of different streets (`scripts.unpaired_model`), the one that
makes streets from noise (`scripts.stylegan_model`), the one for eight weathers (`scripts.domains_model`), and those
that turn plaster into brick (`scripts.attention_model`). The one for cartoons is trained on photographs and filtered
photographs (`scripts.cartoon_model`).
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm.std import tqdm

from course_lib import sample_image, sample_names
from course_lib.data.facades import Facades
from course_lib.images import center_crop
from course_lib.methods import (
    adain,
    animegan,
    cyclegan,
    johnson,
    multi_style,
    pix2pix,
    stable_painter,
    stargan,
    stylegan,
    super_resolution,
    texture_nets,
    ugatit,
)
from course_lib.teaching import records
from scripts import attention_model, cartoon_model, domains_model, stylegan_model, unpaired_model

ROOT = Path(__file__).resolve().parents[1]
MODELS, CHECKPOINTS = ROOT / "data" / "models", ROOT / "_build" / "checkpoints"
WATCHED = ("eilean_donan", "cat", "golden_temple", "scarlet_macaw")  # not in the training set


@dataclass(frozen=True)
class Recipe:
    """The method, configuration and data of one network."""

    method: Any
    config: Any
    start: str | None = None
    style: str | None = None
    source: str | None = None  # of procedural façades, "labels" or "sketch"
    styles: tuple[str, ...] = ()  # of one network for several paintings
    weathers: tuple[str, ...] = ()  # of procedural façades, A and B, without pairs


def _style(name: str, start: str | None, **settings: Any) -> Recipe:
    return Recipe(johnson, replace(johnson.Config.fast(), **settings), start, name)


def _larger(factor: int, loss: str, start: str | None = None, **settings: Any) -> Recipe:
    return Recipe(
        super_resolution, replace(super_resolution.Config.fast(), factor=factor, loss=loss, **settings), start
    )


def _facades(source: str, start: str | None = None, **settings: Any) -> Recipe:
    return Recipe(pix2pix, replace(pix2pix.Config.fast(), **settings), start, None, source)


def _styles(names: tuple[str, ...], start: str, **settings: Any) -> Recipe:
    config = replace(multi_style.Config.fast(), num_styles=len(names), **settings)
    return Recipe(multi_style, config, start, styles=names)


def _texture(style: str, **settings: Any) -> Recipe:
    return Recipe(texture_nets, replace(texture_nets.Config.fast(), **settings), style=style)


SCENES = 2000  # training façades, drawn with seed 0; seed 1 is for the pictures of the record
_ALONE = {"pixel_weight": 0.0, "shift": 0}  # both are for ℓ_feat
TWELVE = (
    "great_wave", "ejiri", "poppies", "composition_viii", "cafe_terrace", "night_cafe", "church_at_auvers",
    "road_to_tarascon", "village_street_auvers", "moulin_de_la_galette", "summertime", "librarian",
)  # fmt: skip
AWAITED = (
    "any_style",  # 3,000 steps on a CPU leave a photograph nearly as it was; the queue of long runs trains it
)  # fmt: skip
HELD_OUT = ("great_wave", "composition_viii")  # paintings outside the training set of the decoder for any style
RECIPES = {
    "great_wave": _style("great_wave", None),
    "composition_viii": _style("composition_viii", "great_wave", num_steps=1000, style_weight=1.3),
    "cafe_terrace": _style("cafe_terrace", "great_wave", num_steps=1000, style_weight=2.0),
    "church_at_auvers": _style("church_at_auvers", "great_wave", num_steps=1000, style_weight=4.0),
    "poppies": _style("poppies", "great_wave", num_steps=1000, style_weight=1.0),
    "great_wave_stable": Recipe(
        stable_painter,
        replace(stable_painter.Config.fast(), num_steps=2600, temporal_weight=500.0),  # by eye and error, chapter 20
        "great_wave",
        "great_wave",
    ),
    "photo_x4_pixel": _larger(4, "pixel", **_ALONE),
    "photo_x4_feature": _larger(4, "feature", "photo_x4_pixel", num_steps=2000),
    "photo_x8_pixel": _larger(8, "pixel", num_steps=2000, **_ALONE),
    "photo_x8_feature": _larger(8, "feature", "photo_x8_pixel", num_steps=2000),
    "twelve_paintings": _styles(
        TWELVE,
        "great_wave",
        num_steps=4600,
        style_weight=1.6,
        content_layers=("relu2_2",),  # Johnson's; by eye
    ),
    "any_style": Recipe(
        adain,
        replace(adain.Config.quick(), num_steps=30_000),
        styles=tuple(name for name in sample_names("style") if name not in HELD_OUT),
    ),
    "texture_great_wave": _texture("great_wave"),
    "texture_poppies": _texture("poppies"),
    "texture_village_street": _texture("village_street_auvers"),
    "clear_dusk": Recipe(cyclegan, unpaired_model.CONFIG, weathers=("clear", "dusk")),
    "weathers": Recipe(stargan, domains_model.CONFIG),
    "plaster_brick": Recipe(ugatit, attention_model.CONFIG),
    "cartoon": Recipe(animegan, cartoon_model.CONFIG),
    "streets": Recipe(stylegan, stylegan_model.CONFIG),
    "facade_labels": _facades("labels", num_epochs=12),
    "facade_sketch": _facades("sketch", "facade_labels", num_epochs=32),
}


def make(name: str) -> None:
    """Train one network, store it and its record."""
    recipe = RECIPES[name]
    method, config = recipe.method, recipe.config
    start = None if recipe.start is None else RECIPES[recipe.start].method.load(recipe.start)
    inputs: tuple[Any, ...] = (sample_image(recipe.style), None) if recipe.style else (None,)
    if method is texture_nets:
        inputs = inputs[:1]  # it is trained on noise
    if recipe.styles:
        paintings = {each: sample_image(each) for each in recipe.styles}
        inputs = (paintings if method is multi_style else varied(paintings), None)
    if recipe.source:
        scenes = Facades(recipe.source, size=config.image_size, length=SCENES)
        inputs = ([scenes[k] for k in range(SCENES)],)  # drawn once and kept in memory
    if recipe.weathers:
        inputs = unpaired_model.domains(recipe.weathers, config.image_size)
    if method is stargan:
        inputs = (domains_model.domains(config.image_size),)
    if method is ugatit:
        inputs = attention_model.domains(config.image_size)
    if method is animegan:
        inputs = cartoon_model.domains()
    if method is stylegan:
        inputs = (stylegan_model.streets(stylegan_model.SCENES, config.image_size),)
    with (
        records.run(
            f"model_{name}",
            profile="laptop",
            seed=config.seed,
            config=config,
            command=f"python -m scripts.models {name}",
        ) as run,
        tqdm(total=steps_of(recipe), desc=name, unit="step", mininterval=10) as bar,
    ):

        def watch(progress: Any) -> None:
            bar.set_postfix({term: f"{value:.3g}" for term, value in progress.losses.items()}, refresh=False)
            bar.update(progress.step - bar.n)
            if scores is not None:
                scores.watch(progress)

        checkpoint = CHECKPOINTS / f"{name}.checkpoint"
        scores = _scores(recipe, checkpoint)
        more = {} if scores is None else {"preview": scores.given}
        model = method.train(*inputs, config, start=start, callback=watch, checkpoint=checkpoint, **more)
        if model.stopped:
            raise SystemExit(f"{name}: {model.stopped}")
        model = replace(model, facts={"style": recipe.style, **model.facts} if recipe.style else model.facts)
        method.save(model, MODELS / f"{name}.safetensors", half=True)
        describe(run, recipe, model)
        if scores is not None:
            scores.describe(run, model)
            scores.file.unlink(missing_ok=True)
    checkpoint.unlink(missing_ok=True)


def describe(run: records.Record, recipe: Recipe, model: Any, **options: Any) -> None:
    """Store facts about a trained network in a record, with its outputs for pictures outside the training set."""
    history = model.facts["history"]
    run.values |= {
        "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        "seconds of training": model.facts["seconds"],
        "photos": model.facts["photos"],
        "started from": recipe.start,
        # means over a hundredth of the run, because batches vary more than the curve falls
        "steps": [int(step) for step in _centers(len(history["total"]))],
        "history": {term: _means(values) for term, values in history.items() if term != "seconds"},
    }
    if recipe.source:
        unseen = Facades(recipe.source, size=model.config.image_size, length=len(WATCHED), seed=1)
        run.images |= {f"scene {k}": _triple(unseen[k], model) for k in range(len(unseen))}
    elif recipe.method is stylegan:
        stylegan_model.describe(run, model, **options)
    elif recipe.method is texture_nets:
        del run.values["photos"]
        run.images["texture"] = texture_nets.generate(1, model, size=384).image
    elif recipe.method is multi_style:
        photo = sample_image(WATCHED[0], 384)
        run.images |= {name: multi_style.stylize(photo, model, name).image for name in model.styles}
    elif not recipe.weathers and recipe.method not in (stargan, ugatit, animegan):
        run.images |= {photo: _watched(recipe.method, model, photo) for photo in WATCHED}


def _scores(recipe: Recipe, checkpoint: Path) -> Any:
    """What watches a run whose truth is known."""
    if recipe.method is stargan:
        return domains_model.Scores(recipe.config.image_size, checkpoint)
    if recipe.method is ugatit:
        return attention_model.Scores(recipe.config.image_size, checkpoint)
    if recipe.method is animegan:
        return cartoon_model.Scores(checkpoint)
    return unpaired_model.Scores(recipe.weathers, recipe.config.image_size, checkpoint) if recipe.weathers else None


def varied(paintings: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Half paintings, half photographs: more colors than thirteen paintings alone."""
    photos = [sample_image(name) for name in sample_names("photos")]
    return [*paintings.values()] * round(len(photos) / len(paintings)) + photos


def steps_of(recipe: Recipe) -> int:
    """The number of training steps of a recipe."""
    config = recipe.config
    if recipe.method is animegan:
        return config.num_epochs * len(cartoon_model.domains()[0]) // config.batch_size
    scenes = SCENES if recipe.source else unpaired_model.SCENES if recipe.weathers else 0
    return config.num_epochs * scenes // config.batch_size if scenes else config.num_steps


def _triple(pair: torch.Tensor, model: Any) -> torch.Tensor:
    """Input, output and truth side by side."""
    source, truth = pair.split(1)
    return torch.cat((source, pix2pix.translate(source, model).image, truth), -1)


def _watched(method: Any, model: Any, photo: str) -> torch.Tensor:
    if method in (johnson, stable_painter):
        found: torch.Tensor = method.stylize(sample_image(photo, 384), model).image
        return found
    if method is adain:
        found = adain.stylize(
            sample_image(photo, 384), sample_image(HELD_OUT[WATCHED.index(photo) % 2], 384), model
        ).image
        return found
    large = center_crop(sample_image(photo), (256, 256))
    enlarged: torch.Tensor = super_resolution.upscale(super_resolution.reduce(large, model.config.factor), model).image
    return enlarged


def _window(count: int) -> int:
    return max(1, count // 100)


def _centers(count: int) -> range:
    return range(_window(count) // 2 + 1, count + 1, _window(count))


def _means(values: list[float]) -> list[float]:
    window = _window(len(values))
    parts = [values[k : k + window] for k in range(0, len(values), window)]
    return [float(f"{sum(part) / len(part):.5g}") for part in parts][: len(_centers(len(values)))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    names = parser.parse_args().names
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        print(f"no recipe for {', '.join(unknown)}; there are {', '.join(RECIPES)}", file=sys.stderr)
        return 2
    if not names:
        for name, recipe in RECIPES.items():
            made = "made" if (MODELS / f"{name}.safetensors").exists() else "not made"
            print(f"{name}: {made}, {steps_of(recipe)} steps, starts from {recipe.start or 'random weights'}")
    for name in names:
        make(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
