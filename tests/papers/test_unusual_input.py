"""Every method with unusual input: converted if nothing is lost by it, otherwise refused in one sentence of its own."""

import traceback
import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_contract import PLAIN, ROWS, Row, assert_same_run
from torch import Tensor
from torch.utils.data import Dataset

import course_lib
from course_lib import VGGFeatures, losses, runtime, sample_image, sample_names
from course_lib.data.pairs import Jitter, PairedImages
from course_lib.data.sketch import pencil
from course_lib.data.unpaired import UnpairedImages
from course_lib.evaluation import metrics, segmenter, structure
from course_lib.losses import adversarial
from course_lib.losses.perceptual import PerceptualLoss
from course_lib.methods import adain, gan, gatys, johnson, super_resolution
from course_lib.training.model_files import ModelError

CONFIGS = {
    **{name: row.config for name, row in ROWS.items()},
    "gatys": gatys.Config(num_steps=2, weights=None, **PLAIN),
}
ODD = (
    None, "1", "", b"1", True, -1, 1.5, np.nan, np.inf, 2**70, 1j, [], ["x"], (), {}, object(), np.zeros(3),
    torch.zeros(3), torch.zeros(()), Path("x"), Image.new("RGB", (8, 8)), torch.device("cpu"), lambda: 1,
)  # fmt: skip
SCALES: dict[str, Callable[[Tensor], Any]] = {
    "-1 to 1": lambda x: 2 * x - 1,
    "0 to 255": lambda x: 255 * x,
    "uint8": lambda x: (255 * x).byte(),
    "NaN": lambda x: x * torch.nan,
}


@pytest.fixture(params=ROWS)
def row(request: pytest.FixtureRequest) -> Row:
    return ROWS[request.param]


def changed(data: Any, change: Callable[[Tensor], Any]) -> Any:
    """The data of a row with a function applied to each tensor."""
    if isinstance(data, dict):
        return {name: changed(part, change) for name, part in data.items()}
    return change(data) if isinstance(data, Tensor) else [changed(part, change) for part in data]


def exact(x: Tensor) -> Tensor:
    """The same numbers in every float format."""
    return x.bfloat16().float()


def said_or_done(function: Callable[..., Any], *given: Any) -> Any:
    """The result, or None for a refusal: one line that the package itself raised, no error from inside PyTorch."""
    try:
        return function(*given)
    except Exception as error:
        refusal = error
    last = traceback.extract_tb(refusal.__traceback__)[-1]
    assert Path(course_lib.__file__).parent in Path(last.filename).parents, f"{given} ended in {refusal!r}"
    assert isinstance(refusal, ValueError | TypeError)
    assert "\n" not in str(refusal)
    return None


# --- settings
@pytest.mark.parametrize("name", CONFIGS)
def test_every_field_is_converted_or_refused(name: str) -> None:
    """A value that came through is of the type of the field, or one that stands for it: a path, None, a word."""
    config = CONFIGS[name]
    for field in fields(config):
        for value in ODD:
            made = said_or_done(lambda value, f=field.name: replace(config, **{f: value}), value)
            if made is not None:
                plain = getattr(made, field.name)
                assert isinstance(plain, bool | int | float | str | tuple | Path | None), (field.name, plain)


@pytest.mark.parametrize("name", CONFIGS)
def test_numbers_of_any_type_make_the_same_configuration(name: str) -> None:
    config = CONFIGS[name]
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = np.int64 if isinstance(value, int) else np.float64
            for given in (number(value), torch.tensor(value, dtype=torch.float64), np.array(value)):
                made = replace(config, **{field.name: given})
                assert made == config
                assert type(getattr(made, field.name)) in (int, float)
        elif isinstance(value, tuple):
            assert replace(config, **{field.name: list(value)}) == config
    for device in (torch.device("cpu"), "cpu:0"):
        assert replace(config, device=device) == config


def test_arguments_of_another_kind_are_refused_before_the_run(row: Row) -> None:
    other = next(each for each in ROWS.values() if each.method is not row.method)
    config, start = f"config must be a {row.method.KIND}.Config", f"start must be what {row.method.KIND}.train or "
    for wrong in ("quick", {}, type(row.config), other.config):
        with pytest.raises(TypeError, match=config):
            row.method.train(*row.data(0), wrong, **row.more)
    with pytest.raises(TypeError, match="callback must be a function"):
        row.train(callback="print")
    for wrong in ("wave", 3, torch.nn.Linear(1, 1)):
        with pytest.raises(TypeError, match=start):
            row.train(start=wrong)
    for wrong in (3, b"x", ""):
        with pytest.raises(ValueError, match=r"path of .*checkpoint.*, as str or Path, got "):
            row.train(checkpoint=wrong)


def test_only_models_are_saved_and_only_paths_are_read(row: Row, tmp_path: Path) -> None:
    model = row.train()
    for wrong in (None, model.network, "x"):
        with pytest.raises(TypeError, match=f"model must be what {row.method.KIND}.train or "):
            row.method.save(wrong, tmp_path / "x.safetensors")
    with pytest.raises(TypeError, match="model must be what"):  # the arguments in the wrong order
        row.method.save(tmp_path / "x.safetensors", model)
    for wrong in (None, 3, b"x", ["x"], torch.zeros(3), {}):
        for function in (row.method.load, lambda path: row.method.save(model, path)):
            with pytest.raises((ModelError, TypeError, ValueError), match="path"):
                function(wrong)
    assert [*tmp_path.iterdir()] == []


# --- data
@pytest.mark.parametrize("scale", SCALES)
def test_training_refuses_data_on_another_scale(row: Row, scale: str) -> None:
    """They would train without an error. Points may have any range."""
    if not row.shows and scale != "NaN":
        return
    data = row.data(0)
    for place in range(len(data)):
        given = [changed(part, SCALES[scale]) if k == place else part for k, part in enumerate(data)]
        with pytest.raises(ValueError, match=r"expected \[0, 1\]|expected floats|not finite") as caught:
            row.method.train(*given, row.config, **row.more)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [torch.Tensor.double, torch.Tensor.bfloat16, lambda x: x.clone().requires_grad_()])
def test_training_takes_floats_of_any_precision(row: Row, change: Callable[[Tensor], Tensor]) -> None:
    data = changed(row.data(0), exact)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = row.method.train(*changed(data, change), row.config, **row.more)
    assert_same_run(ours, row.method.train(*data, row.config, **row.more))


class Items(Dataset[Any]):
    def __init__(self, items: Any) -> None:
        self.items = [*items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, k: int) -> Any:
        return self.items[k]


def test_training_takes_a_generator(row: Row) -> None:
    if not row.collects:
        return
    *before, data = row.data(0)
    assert_same_run(row.method.train(*before, iter(data), row.config, **row.more), row.train())


def test_a_data_set_of_the_callers_is_checked_item_by_item(row: Row) -> None:
    """Its items have the size of a batch; the first one is right."""
    if not row.collects:
        return
    *before, data = row.data(0)
    pictures = [x.squeeze(0)[..., :32, :32] if row.shows else x for x in data]
    row.method.train(*before, Items(pictures), row.config, **row.more)
    if row.shows:
        with pytest.raises(ValueError, match=r"\d: .*(use \(x \+ 1\) / 2|by 255)"):
            row.method.train(*before, Items([pictures[0], *[255 * x for x in pictures[1:]]]), row.config, **row.more)


@pytest.mark.parametrize("wrong", [3, {}, 1.5, object(), np.zeros((2, 5)), [None] * 40, ["x.png"] * 40, [3] * 40])
def test_training_refuses_what_is_no_data(row: Row, wrong: Any) -> None:
    *before, _ = row.data(0)
    assert said_or_done(lambda data: row.method.train(*before, data, row.config, **row.more), wrong) is None


# --- the verb
@pytest.mark.parametrize("change", [torch.Tensor.double, torch.Tensor.bfloat16, lambda x: x.clone().requires_grad_()])
def test_the_verb_takes_floats_of_any_precision(row: Row, change: Callable[[Tensor], Tensor]) -> None:
    model = row.train()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = row.use(model, lambda x: change(exact(x))).image
    assert image.dtype == torch.float32
    assert not image.requires_grad
    assert torch.equal(image, row.use(model, exact).image)


def test_the_verb_refuses_another_scale(row: Row) -> None:
    model = row.train()
    for name, change in SCALES.items():
        if row.method.KIND in ("gan", "stylegan", "texture_nets") and name != "NaN":  # their input is noise
            continue
        with pytest.raises(ValueError, match=r"expected \[0, 1\]|expected floats|not finite"):
            row.use(model, change)


def test_the_verb_refuses_what_is_no_input_and_no_model(row: Row) -> None:
    model = row.train()
    for value in ODD:
        said_or_done(lambda value: row.use(model, lambda x: value), value)
    none = [None] if row.method is not adain else []  # there it stands for the published decoder
    for wrong in (*none, "wave", 3, model.network):
        with pytest.raises(TypeError, match="model must be what"):
            row.use(wrong)


@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
def test_the_verb_works_where_the_caller_has_switched_gradients_off(row: Row, switched_off: Any) -> None:
    model = row.train()
    expected = row.use(model).image
    with switched_off():
        assert torch.equal(row.use(model, torch.clone).image, expected)


# --- every other function that takes pictures, numbers or words
def picture() -> Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def loss() -> PerceptualLoss:
    network = VGGFeatures(layers=["relu1_1"], weights=None)
    made = PerceptualLoss(network, content={"relu1_1": 1.0}, style={"relu1_1": 1.0})
    made.set_content(picture())
    made.set_style(picture())
    return made


GATYS, JOHNSON, POINTS = CONFIGS["gatys"], CONFIGS["johnson"], CONFIGS["gan"]
ADAIN = replace(CONFIGS["adain"], num_steps=1, image_size=16, load_size=16)
PAIR = [torch.rand(2, 3, 16, 16)]
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "gatys.stylize content": lambda x: gatys.stylize(x, picture(), GATYS),
    "gatys.stylize style": lambda x: gatys.stylize(picture(), x, GATYS),
    "gatys.stylize initial": lambda x: gatys.stylize(picture(), picture(), GATYS, initial=x),
    "gatys.stylize config": lambda x: gatys.stylize(picture(), picture(), GATYS if x is None else x),
    "gatys.dissect": lambda x: gatys.dissect(x, picture(), picture(), GATYS),
    "gatys.memory_needed": lambda x: gatys.memory_needed(32, x, GATYS),
    "johnson.evaluate": lambda x: johnson.evaluate(picture(), x, johnson.Model(johnson.build(JOHNSON), JOHNSON, {})),
    "johnson.objective": lambda x: johnson.objective(x, JOHNSON),
    "adain.train styles": lambda x: x is None or adain.train(x, [picture()], ADAIN),
    "adain.train photos": lambda x: x is None or adain.train([picture()], x, ADAIN),
    "adain.train preview": lambda x: adain.train([picture()], [picture()], ADAIN, preview=x, callback=print),
    "adain.train preview of": lambda x: adain.train([picture()], [picture()], ADAIN, preview=(picture(), x)),
    "super_resolution.reduce": lambda x: super_resolution.reduce(x, 4, 1.0),
    "super_resolution.reduce factor": lambda x: super_resolution.reduce(picture(), x),
    "super_resolution.reduce blur": lambda x: super_resolution.reduce(picture(), 4, x),
    "gan.generate seed": lambda x: gan.generate(1, gan.Model(gan.build(POINTS), POINTS, {}), seed=x, device="cpu"),
    "gan.generate device": lambda x: gan.generate(1, gan.Model(gan.build(POINTS), POINTS, {}), device=x),
    "PairedImages": lambda x: PairedImages(x),
    "Jitter": lambda x: Jitter(x, load_size=18, size=16),
    "Jitter size": lambda x: Jitter(PAIR, load_size=18, size=x),
    "Jitter seed": lambda x: Jitter(PAIR, load_size=18, size=16, seed=x)[0],
    "UnpairedImages": lambda x: UnpairedImages(x, [picture()], size=16),
    "UnpairedImages size": lambda x: UnpairedImages([picture()], [picture()], size=x),
    "pencil": pencil,
    "pencil sigma": lambda x: pencil(picture(), sigma=x),
    "psnr": lambda x: metrics.psnr(x, picture()),
    "psnr crop": lambda x: metrics.psnr(picture(), picture(), crop=x),
    "checkerboard stride": lambda x: metrics.checkerboard(picture(), x),
    "structure_size": structure.structure_size,
    "variance_share": lambda x: structure.variance_share(picture(), x),
    "find_classes": lambda x: segmenter.find_classes(x, segmenter.Segmenter(weights=None)),
    "pixel_accuracy": lambda x: segmenter.pixel_accuracy(x, 0 * picture()),
    "set_style": lambda x: loss().set_style(x),
    "set_content": lambda x: loss().set_content(x),
    "the loss": lambda x: loss()(x),
    "with_gradient": lambda x: loss().with_gradient(x),
    "gram_matrix": losses.gram_matrix,
    "channel_statistics": losses.channel_statistics,
    "statistics_loss": lambda x: losses.statistics_loss(x, picture()),
    "statistics_loss target": lambda x: losses.statistics_loss(picture(), x),
    "total_variation_loss": losses.total_variation_loss,
    "real_loss": adversarial.real_loss,
    "VGGFeatures": lambda x: VGGFeatures(layers=["relu1_1"], weights=None)(x),
    "VGGFeatures layers": lambda x: VGGFeatures(layers=x, weights=None),
    "VGGFeatures arch": lambda x: VGGFeatures(x, weights=None),
    "pick_device": runtime.pick_device,
    "pick_precision": lambda x: runtime.pick_precision(x, torch.device("cpu")),
    "seeded_generator": runtime.seeded_generator,
    "sample_image": lambda x: isinstance(x, str) or sample_image(x),  # a wrong name is answered with the list
    "sample_names": sample_names,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_answers_or_says_one_sentence(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in ODD:
            said_or_done(FUNCTIONS[name], value)


@pytest.mark.parametrize(
    "name", ["johnson.evaluate", "super_resolution.reduce", "gatys.dissect", "psnr", "set_style", "pencil"]
)
@pytest.mark.parametrize("scale", SCALES)
def test_no_function_takes_another_scale(name: str, scale: str) -> None:
    with pytest.raises(ValueError, match=r"expected \[0, 1\]|far outside \[0, 1\]|expected floats"):
        FUNCTIONS[name](SCALES[scale](picture()))
