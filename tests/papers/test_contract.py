"""Every method with training: runs are reproducible, resume, and start from a model; saved models load unchanged.

A new method adds one row to `ROWS`: its data and a configuration of four steps, which takes well under a second.
"""

import dataclasses
import importlib
import pkgutil
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from course_lib import methods
from course_lib.methods import (
    adain,
    animegan,
    cyclegan,
    gan,
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
from course_lib.training import checkpoints, collapse, loop, run
from course_lib.training.model_files import ModelError


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def pictures(seed: int) -> list[Tensor]:
    return [rand(1, 3, 40, 44, seed=10 * seed + k) for k in range(3)]


def as_it_is(x: Tensor) -> Tensor:
    return x


PLAIN = {"precision": "float32", "device": "cpu"}
SMALL = {"num_steps": 4, "batch_size": 2, "image_size": 32, "width": 0.25, "num_blocks": 1, "weights": None, **PLAIN}
POINTS = {"image_size": 0, "noise_size": 2, "width": 64, "batch_size": 8, "num_steps": 4, "device": "cpu"}
DCGAN = {
    "image_size": 16, "num_classes": 2, "noise_size": 4, "width": 8, "batch_size": 4, "num_steps": 4, "device": "cpu",
}  # fmt: skip
PAIRS = {
    "num_epochs": 2, "image_size": 32, "load_size": None, "mirror": False, "width": 0.1, "patch": 16, "dropout": (2,),
    **PLAIN,
}  # fmt: skip


UNPAIRED = {
    "num_epochs": 2, "batch_size": 2, "image_size": 32, "load_size": 36, "width": 0.1, "num_blocks": 1, "patch": 16,
    "pool_size": 3, "identity_weight": 0.5, **PLAIN,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A method at a small scale."""

    method: ModuleType
    config: Any  # of a run of four steps
    data: Callable[[int], tuple[Any, ...]]  # arguments of `train` before the configuration, by seed
    use: Callable[..., Any]  # calls the method's verb with a model and a fixed input, changed by a function if given
    setting: dict[str, Any]  # another value of a field that matters for the run
    shape: dict[str, Any]  # another value for each field that sets the shape of a network
    more: dict[str, Any] = field(default_factory=dict)  # further arguments of `train`
    shows: bool = True  # whether a step has a picture to show; points have none
    collects: bool = True  # whether the last of the data is a collection; not for one texture or a mapping of domains

    def train(self, seed: int = 0, config: Any = None, **options: Any) -> Any:
        """Train on the data of `seed`."""
        return self.method.train(*self.data(seed), config or self.config, **self.more, **options)


ANY_STYLE = {
    "num_steps": 4, "batch_size": 2, "image_size": 32, "load_size": 40, "layer": "relu2_1", "width": 0.25,
    "style_layers": ("relu1_1", "relu2_1"), "weights": None, **PLAIN,
}  # fmt: skip
TEXTURE = {
    "num_steps": 4, "batch_size": 2, "image_size": 32, "style_size": 32, "num_scales": 2, "width": 16, "weights": None,
    **PLAIN,
}  # fmt: skip
WEATHERS = {
    "num_steps": 4, "steps_D": 3, "batch_size": 2, "image_size": 16, "load_size": 18, "layers_D": 3, "width": 0.1,
    "num_blocks": 1, "num_domains": 4, **PLAIN,
}  # fmt: skip
STYLES = {
    "image_size": 8, "num_steps": 4, "batch_size": 4, "width": 32, "most": 8, "z_size": 6, "w_size": 6,
    "num_mapping": 2, "penalty_every": 2, "path_every": 3, "learning_rate": 0.01, "average_over": 2.0, **PLAIN,
}  # fmt: skip
CARTOONS = {
    "version": "v2", "num_epochs": 2, "init_epochs": 1, "batch_size": 2, "image_size": 32, "load_size": 36,
    "tv_weight": 1.0, "width": 0.1, "num_blocks": 1, "weights": None, **PLAIN,
}  # fmt: skip
ATTENTION = {
    "num_steps": 4, "batch_size": 2, "image_size": 24, "load_size": 28, "width": 0.06, "num_blocks": 1, "light": True,
    "global_patch": 34, "local_patch": 16, "learning_rate": 1e-3, **PLAIN,
}  # fmt: skip
ROWS = {
    "adain": Row(
        adain, adain.Config(**ANY_STYLE), lambda seed: ([rand(1, 3, 40, 36, seed=99 + seed)] * 2, pictures(seed)),
        lambda model, change=as_it_is: adain.stylize(change(rand(1, 3, 24, 28)), rand(1, 3, 20, 24), model, **PLAIN),
        {"style_weight": 1.0},
        {"width": 0.5, "layer": "relu3_1"},
    ),
    "animegan": Row(
        animegan, animegan.Config(**CARTOONS),
        lambda seed: (pictures(seed + 50)[:2], [*pictures(seed), rand(1, 3, 36, 36)]),
        lambda model, change=as_it_is: animegan.translate(change(rand(2, 3, 24, 28)), model, **PLAIN),
        {"style_weight": 1.0},
        {"version": "v1", "width": 0.2, "num_blocks": 2},
    ),
    "cyclegan": Row(
        cyclegan, cyclegan.Config(**UNPAIRED),
        lambda seed: (pictures(seed + 50)[:2], [*pictures(seed), rand(1, 3, 36, 36)]),
        lambda model, change=as_it_is: cyclegan.translate(change(rand(2, 3, 24, 28)), model, **PLAIN),
        {"cycle_weight": 5.0},
        {"width": 0.2, "num_blocks": 2, "upsampling": "resize", "patch": 34},
    ),
    "gan": Row(
        gan, gan.Config(**POINTS), lambda seed: (rand(24, 2, seed=seed),),
        lambda model, change=as_it_is: gan.generate(change(rand(5, 2)), model, device="cpu"), {"objective": "minimax"},
        {"width": 8, "layers_D": 1}, shows=False,
    ),
    "gan of pictures": Row(
        gan, gan.Config(**DCGAN), lambda seed: (rand(12, 3, 16, 16, seed=seed),),
        lambda model, change=as_it_is: gan.generate(change(rand(4, 4)), model, labels=[0, 1, 0, 1], device="cpu"),
        {"beta1": 0.9},
        {"noise_size": 3, "norm_D": "none"}, more={"labels": torch.arange(12) % 2},
    ),
    "johnson": Row(
        johnson, johnson.Config(**SMALL), lambda seed: (rand(1, 3, 40, 36, seed=99 + seed), pictures(seed)),
        lambda model, change=as_it_is: johnson.stylize(change(rand(1, 3, 24, 28)), model, **PLAIN),
        {"style_weight": 1.0},
        {"width": 0.5, "num_blocks": 2, "norm": "instance", "upsampling": "resize"},
    ),
    "multi_style": Row(
        multi_style, multi_style.Config(**SMALL),
        lambda seed: ({k: rand(1, 3, 40, 36, seed=97 + seed + ord(k)) for k in "ab"}, pictures(seed)),
        lambda model, change=as_it_is: multi_style.stylize(
            change(rand(1, 3, 24, 28)), model, {"a": 1, "b": 3}, **PLAIN
        ),
        {"style_weight": 2.0},
        {"width": 0.5, "num_blocks": 2},
    ),
    "pix2pix": Row(
        pix2pix, pix2pix.Config(**PAIRS), lambda seed: ([*rand(2 + seed, 2, 3, 32, 32)],),
        lambda model, change=as_it_is: pix2pix.translate(change(rand(2, 3, 32, 32)), model, **PLAIN),
        {"l1_weight": 10.0},
        {"width": 0.2, "skips": False, "norm": "instance", "patch": 34, "conditional": False},
    ),
    "stable_painter": Row(
        stable_painter, stable_painter.Config(**SMALL, shift=2.0),
        lambda seed: (rand(1, 3, 40, 36, seed=99 + seed), pictures(seed)),
        lambda model, change=as_it_is: stable_painter.stylize(change(rand(2, 3, 24, 28)), model, **PLAIN),
        {"temporal_weight": 1.0},
        {"width": 0.5, "num_blocks": 2, "norm": "batch", "upsampling": "transposed"},
    ),
    "stargan": Row(
        stargan, stargan.Config(**WEATHERS),
        lambda seed: ({name: [rand(1, 3, 24, 20, seed=40 * seed + k)] for k, name in enumerate("abcd")},),
        lambda model, change=as_it_is: stargan.translate(
            change(rand(2, 3, 24, 28)), model, to=["b", "c"], **PLAIN
        ),
        {"rec_weight": 5.0},
        {"width": 0.2, "num_blocks": 2, "image_size": 8, "layers_D": 2}, collects=False,
    ),
    "stylegan": Row(
        stylegan, stylegan.Config(**STYLES), lambda seed: (rand(12, 3, 8, 8, seed=seed),),
        lambda model, change=as_it_is: stylegan.generate(change(rand(4, 6)), model, truncation=0.7, device="cpu"),
        {"path_weight": 1.0},
        {"width": 16, "most": 4, "z_size": 4, "num_mapping": 1, "rate_mapping": 0.1, "style": "instance"},
    ),
    "super_resolution": Row(
        super_resolution, super_resolution.Config(**SMALL), lambda seed: (pictures(seed),),
        lambda model, change=as_it_is: super_resolution.upscale(change(rand(1, 3, 12, 14)), model, **PLAIN),
        {"blur": 0.5},
        {"factor": 2, "width": 0.5, "num_blocks": 2, "norm": "none", "skip": True},
    ),
    "texture_nets": Row(
        texture_nets, texture_nets.Config(**TEXTURE), lambda seed: (rand(1, 3, 40, 36, seed=99 + seed),),
        lambda model, change=as_it_is: texture_nets.generate(
            [change(rand(2, 3, side, side)) for side in (8, 16)], model, **PLAIN
        ),
        {"decay_start": 0.25},
        {"num_scales": 3, "width": 3, "norm": "instance"}, collects=False,
    ),
    "ugatit": Row(
        ugatit, ugatit.Config(**ATTENTION),
        lambda seed: (pictures(seed + 50)[:2], [*pictures(seed), rand(1, 3, 36, 36)]),
        lambda model, change=as_it_is: ugatit.translate(change(rand(2, 3, 24, 28)), model, **PLAIN),
        {"cam_weight": 5.0},
        {"width": 0.1, "num_blocks": 2, "light": False, "norm": "layer", "global_patch": 16, "local_patch": 34},
    ),
}  # fmt: skip
STEPS = 4


@pytest.fixture(params=ROWS)
def row(request: pytest.FixtureRequest) -> Row:
    return ROWS[request.param]


def networks(model: Any) -> list[torch.nn.Module]:
    """The network or networks, and the discriminators where there are any."""
    found = (model.network, getattr(model, "discriminator", None), getattr(model, "discriminators", None))
    return [network for network in found if network is not None]


def assert_same_run(ours: Any, theirs: Any) -> None:
    """Bit for bit: weights, statistics, and every loss of every step."""
    assert len(networks(ours)) == len(networks(theirs))
    for one, other in zip(networks(ours), networks(theirs), strict=True):
        torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    histories = [{k: v for k, v in model.facts["history"].items() if k != "seconds"} for model in (ours, theirs)]
    assert histories[0] == histories[1]


def test_every_method_with_training_has_a_row() -> None:
    modules = [
        importlib.import_module(f"{methods.__name__}.{each.name}") for each in pkgutil.iter_modules(methods.__path__)
    ]
    assert {module for module in modules if hasattr(module, "train")} == {row.method for row in ROWS.values()}


# --- a run
def test_the_same_seed_gives_the_same_run(row: Row) -> None:
    first = row.train()
    assert_same_run(row.train(), first)
    other = row.train(config=replace(row.config, seed=1))
    assert not torch.equal(row.use(other).image, row.use(first).image)


@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
def test_training_works_where_the_caller_has_switched_gradients_off(row: Row, switched_off: Any) -> None:
    with switched_off():
        inside = row.train()  # its data are made in there, too
    assert_same_run(inside, row.train())


def test_callback_and_facts_report_every_step(row: Row) -> None:
    steps, losses, images = [], [], []

    def watch(progress: Any) -> None:
        assert progress.num_steps == STEPS
        steps.append(progress.step)
        losses.append(dict(progress.losses))
        if row.shows:
            images.append(progress.image())

    model = row.train(callback=watch)
    assert steps == [*range(1, STEPS + 1)]
    assert len(images) == STEPS * row.shows
    assert all(image.shape[:2] == (1, 3) and image.min() >= 0 and image.max() <= 1 for image in images)
    history = model.facts["history"]
    assert set(losses[0]) >= set(history) - {"seconds"}
    for name in set(history) - {"seconds"}:
        assert history[name] == pytest.approx([each[name] for each in losses])
    assert (model.facts["steps"], model.facts["device"], model.facts["started_from"]) == (STEPS, "cpu", None)
    assert model.facts["photos"] == len(row.data(0)[-1])
    assert model.facts["seconds"] == history["seconds"][-1] > 0
    assert model.stopped is None
    assert not any(network.training for network in networks(model))
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.config = row.config


def test_the_verb_returns_a_picture_and_its_history(row: Row) -> None:
    model = row.train()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    result = row.use(model)
    assert result.image.dtype == torch.float32
    assert result.image.isfinite().all()
    assert result.history["seconds"][-1] > 0
    torch.testing.assert_close(model.network.state_dict(), before, rtol=0, atol=0)


# --- resuming
def test_a_stopped_run_resumes_from_its_checkpoint(row: Row, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint holds the whole state: networks, optimizers and random numbers."""
    monkeypatch.setattr(run, "fit", partial(loop.fit, checkpoint_every=2))
    file, whole, steps = tmp_path / "run.checkpoint", row.train(), []

    def stop(progress: Any) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        row.train(callback=stop, checkpoint=file)
    again = row.train(callback=lambda progress: steps.append(progress.step), checkpoint=file)
    assert steps == [4]  # where a callback ends a run, a checkpoint is written
    assert_same_run(again, whole)


def test_a_run_that_begins_anew_replaces_the_checkpoint_of_another(row: Row, tmp_path: Any) -> None:
    file = tmp_path / "run.checkpoint"
    row.train(seed=1, checkpoint=file)
    whole = row.train(checkpoint=file, resume=False)
    assert_same_run(whole, row.train(checkpoint=file))


def test_a_checkpoint_of_another_run_is_refused_and_kept(row: Row, tmp_path: Any) -> None:
    file, start = tmp_path / "run.checkpoint", row.train(config=replace(row.config, seed=1))
    model = row.train(checkpoint=file)
    kept = file.read_bytes()
    for options in ({"seed": 1}, {"config": replace(row.config, **row.setting)}, {"start": start}):
        with pytest.raises(checkpoints.CheckpointError, match="belongs to a run with another configuration"):
            row.train(**options, checkpoint=file)
    assert file.read_bytes() == kept
    assert_same_run(row.train(checkpoint=file), model)


def test_looks_for_a_collapse_do_not_change_a_run(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator is looked at in the middle of its training: no random number and no statistic may change."""
    whole = row.train()
    monkeypatch.setattr(run, "Watch", partial(collapse.Watch, every=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks that have learned nothing yet
        model = row.train()
    assert_same_run(model, whole)
    generates = row.method in (animegan, cyclegan, gan, stargan, stylegan, ugatit)
    assert len(model.facts.get("looks", [])) == STEPS * generates
    assert all(0 <= ratio < 10 for look in model.facts.get("looks", []) for ratio in look)


# --- starting from a model
def test_a_start_is_used_and_not_changed(row: Row) -> None:
    """With a tiny learning rate the weights stay those of the start; running statistics are still updated."""
    first = row.train()
    before = [[value.clone() for value in network.parameters()] for network in networks(first)]
    still = row.train(config=replace(row.config, learning_rate=1e-12, seed=1), start=first)
    for network, values in zip(networks(still), before, strict=True):
        torch.testing.assert_close([*network.parameters()], values, rtol=0, atol=1e-7)
    row.train(config=replace(row.config, seed=1), start=first)
    for network, values in zip(networks(first), before, strict=True):
        torch.testing.assert_close([*network.parameters()], values, rtol=0, atol=0)
    assert still.facts["started_from"] == "another model"


def test_a_start_of_another_shape_is_refused(row: Row) -> None:
    start = row.train()
    for name, value in row.shape.items():
        expected = f"the model to start from has {name}={getattr(row.config, name)!r}, not {value!r}"
        with pytest.raises(ValueError, match=re.escape(expected)):
            row.train(config=replace(row.config, **{name: value}), start=start)


# --- files
@pytest.mark.parametrize(("half", "error"), [(False, 0.0), (True, 2 / 255)])
def test_a_saved_model_loads_unchanged(row: Row, tmp_path: Any, half: bool, error: float) -> None:
    """float16 keeps eleven bits of a weight, which is enough for pictures of eight bits."""
    model = row.train()
    row.method.save(model, tmp_path / "mine.safetensors", half=half)
    again = row.method.load(tmp_path / "mine.safetensors")
    assert again.config == model.config
    assert (again.facts["name"], again.facts["steps"]) == ("mine", STEPS)
    assert "history" not in again.facts
    assert not again.network.training
    if not half:
        torch.testing.assert_close(again.network.state_dict(), model.network.state_dict(), rtol=0, atol=0)
    assert {value.dtype for value in again.network.parameters()} == {torch.float32}
    assert (row.use(again).image - row.use(model).image).abs().max() <= error
    if half:
        row.method.save(model, tmp_path / "whole.safetensors")
        assert (tmp_path / "mine.safetensors").stat().st_size < 0.7 * (tmp_path / "whole.safetensors").stat().st_size


def test_a_start_from_a_file_is_named(row: Row, tmp_path: Any) -> None:
    row.method.save(row.train(), tmp_path / "wave.safetensors")
    model = row.train(start=row.method.load(tmp_path / "wave.safetensors"))
    row.method.save(model, tmp_path / "next.safetensors")
    assert row.method.load(tmp_path / "next.safetensors").facts["started_from"] == "wave"


def test_a_file_of_another_method_is_refused(row: Row, tmp_path: Any) -> None:
    row.method.save(row.train(), tmp_path / "x.safetensors")
    for other in {each.method for each in ROWS.values()} - {row.method}:
        expected = rf"x.safetensors is an? {row.method.KIND} model; an? {other.KIND} model was expected"
        with pytest.raises(ModelError, match=expected):
            other.load(tmp_path / "x.safetensors")


def test_missing_and_damaged_files_have_different_errors(row: Row, tmp_path: Any) -> None:
    file = tmp_path / "x.safetensors"
    with pytest.raises(ModelError, match="there is no model file"):
        row.method.load(file)
    file.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="damaged or not a safetensors file"):
        row.method.load(file)
