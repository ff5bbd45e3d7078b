"""What functions make of any tensor, and of what is none: a right-shaped picture, or an error that names what came."""

import contextlib
import re
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from drawn_files import pictures
from hypothesis import event, given
from hypothesis import strategies as st
from observed_runs import folder
from PIL import Image
from torch import Tensor

from course_lib import load_image, resize, save_image
from course_lib.evaluation import metrics
from course_lib.images import ImageError, load_with_alpha
from course_lib.methods import gatys, johnson, pix2pix, super_resolution
from course_lib.optimize.start import STARTS
from course_lib.pretrained.vgg import VGGFeatures

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
DTYPES = (*FLOATS, torch.uint8, torch.int64, torch.bool, torch.complex64)
RANGES = {"unit": (0, 1), "flat": (0.5, 0.5), "centered": (-1, 1), "bytes": (0, 255), "NaN": (0, 1), "inf": (0, 1)}
SHAPES = (
    (), (3,), (8, 9), (3, 8, 9), (8, 9, 3), (1, 1, 8, 9), (1, 4, 8, 9), (1, 8, 9, 3), (0, 3, 8, 9), (1, 3, 0, 9),
    (1, 3, 8, 0), (1, 1, 3, 8, 9), (2, 3, 8, 9), (1, 3, 1, 1),
)  # fmt: skip
OTHERS = (
    None, "a.png", 3, 1.5, True, [0.5], [], np.zeros((1, 3, 8, 9), np.float32), Image.new("RGB", (9, 8)), b"bytes",
    {}, object(), Tensor, iter([1]),
)  # fmt: skip
DEVICES = ("cpu", "auto", torch.device("cpu"), "cpu:0", np.str_("cpu"))
NO_DEVICES = ("gpu", "cuda:99", 0, -1, None, 1.5, "", [], torch.device("meta"))
LAYOUTS = ("plain", "channels_last", "flipped", "expanded", "a leaf with gradient", "made by a function")
CONTEXTS = (contextlib.nullcontext, torch.no_grad, torch.inference_mode)


@dataclass(frozen=True, eq=False)
class Given:
    """An argument, and what is wrong with it: words of which the message must have one; empty if nothing is."""

    value: object
    wrong: tuple[str, ...] = ()

    def __repr__(self) -> str:  # of an example that fails: thousands of numbers would say nothing
        about = self.value
        if isinstance(about, Tensor):
            about = f"{tuple(about.shape)} {about.dtype} {about.stride()} gradient: {about.requires_grad}"
        return f"Given({about!r}, {self.wrong})"


def tensor(shape, dtype, values, layout, seed) -> Tensor:
    """A tensor with values spread over a range of `RANGES`."""
    low, high = RANGES[values]
    made = low + (high - low) * torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    if values in ("NaN", "inf") and made.numel():
        made.view(-1)[seed % made.numel()] = float(values)
    made = made.nan_to_num().mul(2).to(dtype) if not (dtype.is_floating_point or dtype.is_complex) else made.to(dtype)
    if made.ndim == 4 and layout == "channels_last":
        return made.contiguous(memory_format=torch.channels_last)
    if made.ndim == 4 and layout == "flipped":
        return made.flip(-1)[..., ::1]
    if made.ndim == 4 and layout == "expanded":
        return made[..., :1].expand(made.shape) if made.numel() else made
    if made.is_floating_point() and layout == "a leaf with gradient":
        return made.requires_grad_()
    if made.is_floating_point() and layout == "made by a function":
        return made.clone().requires_grad_() * 1
    return made


@st.composite
def arguments(draw, least=1, batch=True):
    """A `Given`: three of four are pictures as they should be, in any float format and memory layout."""
    fault = draw(st.sampled_from(("", "", "", "", "", "", "", "", "dtype", "range", "shape", "size", "other")))
    if fault == "other":
        value = draw(st.sampled_from(OTHERS))
        return Given(value, ("None" if value is None else type(value).__name__,))
    side = st.integers(least, least + 9)
    shape = (draw(st.integers(1, 2)) if batch else 1, 3, draw(side), draw(side))
    dtype, values = draw(st.sampled_from(FLOATS)), draw(st.sampled_from(("unit", "flat")))
    wrong: tuple[str, ...] = ()
    if fault == "dtype":
        dtype = draw(st.sampled_from(DTYPES[4:]))
        wrong = (str(dtype),)
    elif fault == "range":
        values = draw(st.sampled_from(("centered", "bytes", "NaN", "inf")))
        wrong = ("NaN or infinite",) if values in ("NaN", "inf") else ("run from", "far outside")
        shape = (*shape[:2], max(shape[2], 8), max(shape[3], 8))  # enough values that some lie outside
    elif fault == "shape":
        shape = draw(st.sampled_from(SHAPES[:12] if batch else SHAPES[:13]))
        wrong = (str(shape),)
    elif fault == "size" and least > 1:
        shape = (*shape[:2], draw(st.integers(1, least - 1)), shape[3])
        wrong = (str(shape[2]),)
    layout = draw(st.sampled_from(LAYOUTS))
    if layout == "expanded" and fault == "range":
        layout = "plain"
    return Given(tensor(shape, dtype, values, layout, draw(st.integers(0, 99))), wrong)


def devices():
    """A `Given` for an argument `device`."""
    return st.one_of(
        st.sampled_from(DEVICES).map(Given),
        st.sampled_from(DEVICES).map(Given),
        st.sampled_from(NO_DEVICES).map(lambda device: Given(device, ("device",))),
    )


def outcome(call, *inputs):
    """The result of a call whose arguments are fine, or None after a fitting error; inputs stay as they were."""
    tensors = [given.value for given in inputs if isinstance(given.value, Tensor)]
    before = [one.detach().clone() for one in tensors]
    wrong = [given.wrong for given in inputs if given.wrong]
    event("refused" if wrong else "done")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = call()
        except (ValueError, TypeError) as error:
            message = str(error)
            assert wrong, message
            assert any(word in message for words in wrong for word in words), (message, wrong)
            sentences = re.split(r"[.?] (?=[A-Z])", message)
            assert 1 <= len(sentences) <= 3, message
            assert len(message) < 500, message
            assert "Error" not in message, message
            result = None
        else:
            assert not wrong, (wrong, result)
    for one, old in zip(tensors, before, strict=True):
        torch.testing.assert_close(one.detach(), old, rtol=0, atol=0, equal_nan=True)
        assert not one.is_leaf or one.grad is None
    return result


def check_picture(image, shape):
    """A picture as everything in this package returns it."""
    assert image.dtype == torch.float32
    assert tuple(image.shape) == tuple(shape)
    assert image.device.type == "cpu"
    assert not image.requires_grad
    assert 0 <= image.min() <= image.max() <= 1


@given(
    arguments(8),
    devices(),
    st.sampled_from((None, 8, 8.0, np.int64(9), torch.tensor(4), 1000)),
    st.sampled_from(CONTEXTS),
)
def test_stylize_with_a_network(networks, image, device, tile, context):
    _, model = networks["stylize"]
    with context():
        done = outcome(lambda: johnson.stylize(image.value, model, tile=tile, device=device.value), image, device)
    if done is not None:
        check_picture(done.image, image.value.shape)


@given(arguments(5), devices(), st.sampled_from(CONTEXTS))
def test_upscale(networks, image, device, context):
    _, model = networks["upscale"]
    with context():
        done = outcome(lambda: super_resolution.upscale(image.value, model, device=device.value), image, device)
    if done is not None:
        check_picture(done.image, (*image.value.shape[:2], *(2 * side for side in image.value.shape[2:])))


@given(
    arguments(), devices(), st.sampled_from(("batch_statistics", "running")), st.sampled_from(("reflect", "replicate")),
    st.sampled_from((0, 7.0, np.int64(3), torch.tensor(5))), st.sampled_from(CONTEXTS),
)  # fmt: skip
def test_translate(networks, image, device, mode, padding, seed, context):
    _, model = networks["translate"]
    with context():
        done = outcome(
            lambda: pix2pix.translate(
                image.value, model, test_mode=mode, padding=padding, seed=seed, device=device.value
            ),
            image, device,
        )  # fmt: skip
    if done is not None:
        check_picture(done.image, image.value.shape)


@given(
    arguments(16, batch=False), arguments(16, batch=False), st.sampled_from((1, 2.0, np.int64(1))),
    st.sampled_from(STARTS), st.booleans(),
    st.sampled_from(CONTEXTS),
)  # fmt: skip
def test_stylize_by_optimization(content, style, steps, start, several, context):
    config = gatys.Config(num_steps=steps, weights=None, precision="float32", device="cpu", start=start)
    if content.value is None:  # texture synthesis
        content = Given(tensor((1, 3, 16, 17), torch.float32, "unit", "plain", 0))
    if style.value is None or isinstance(style.value, list | dict) or type(style.value).__name__ == "list_iterator":
        style = Given(tensor((1, 3, 16, 17), torch.float32, "unit", "plain", 1))
    if isinstance(style.value, Tensor) and style.value.ndim == 4 and not style.wrong:
        height, width = style.value.shape[2:]
        if (
            round(min(height, width) * max(getattr(content.value, "shape", (17,))[-2:] or (17,)) / max(height, width))
            < 16
        ):
            style = Given(style.value[..., :16, :16])
    if style.wrong and isinstance(style.value, Tensor):
        style = replace(style, wrong=(*style.wrong, "resized to"))  # the size that the network would get
    with context():
        done = outcome(
            lambda: gatys.stylize(content.value, [style.value] if several else style.value, config), content, style
        )
    if done is not None:
        check_picture(done.image.clamp(0, 1), content.value.shape)
        assert -0.5 < done.image.min() <= done.image.max() < 1.5


@given(arguments(batch=False), st.sampled_from((".png", ".webp", ".jpg")))
def test_saved_and_loaded(image, suffix):
    with folder() as root:
        path = root / f"a{suffix}"
        if isinstance(image.value, Tensor) and tuple(image.value.shape) == (3, 8, 9):
            image = replace(image, wrong=())  # a single picture may come without the batch
        if isinstance(image.value, Tensor) and len(image.value.shape) == 4 and len(image.value) == 2:
            image = replace(image, wrong=(*image.wrong, "holds 2 pictures"))
        outcome(lambda: save_image(image.value, path), image)
        assert path.exists() == (not image.wrong)
        assert len(list(root.iterdir())) == (not image.wrong)
        if path.exists():
            wanted = image.value.detach().float().reshape(1, 3, *image.value.shape[-2:])
            check_picture(load_image(path), wanted.shape)
            if suffix == ".png":
                torch.testing.assert_close(load_image(path), wanted, rtol=0, atol=0.51 / 255)


@given(pictures(), st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=4))
def test_a_damaged_file(drawn, flips):
    with folder() as root, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        path = root / "a.png"
        drawn.write(path)
        data = bytearray(path.read_bytes())
        for place, bits in flips if data else []:
            data[place % len(data)] ^= bits
        path.write_bytes(data)
        try:
            color, alpha = load_with_alpha(path)
        except ImageError as error:
            message = str(error)
        else:
            message = ""
            check_picture(load_image(path), color.shape)
            check_picture(color, (1, 3, *color.shape[2:]))
            assert alpha is None or (alpha.shape == (1, 1, *color.shape[2:]) and 0 <= alpha.min() <= alpha.max() <= 1)
            if not (flips or drawn.damage):
                assert drawn.sound
                assert tuple(color.shape[:1:-1]) == drawn.shown
        if message:
            event("refused")
            assert flips or not drawn.sound, message
            assert message.startswith(f"{path}")
            assert len(message) < 500, message
        assert all("profile" in str(one.message) for one in said), [str(one.message) for one in said]


@given(
    arguments(),
    st.one_of(st.integers(1, 40), st.tuples(st.integers(1, 40), st.integers(1, 40))),
    st.sampled_from(("long", "short")),
)
def test_resize(image, size, side):
    if (
        isinstance(image.value, Tensor)
        and image.wrong
        and ("run from" in image.wrong or "NaN or infinite" in image.wrong)
    ):
        return  # an optimizer's pictures may be resized
    done = outcome(lambda: resize(image.value, size, side=side), image)
    if done is not None:
        assert done.dtype == image.value.dtype
        if isinstance(size, tuple):
            assert tuple(done.shape[2:]) == size
        assert (max if side == "long" else min)(done.shape[2:]) == size or isinstance(size, tuple)


@pytest.fixture(scope="module")
def random_style_network():
    """Random weights in place of the pretrained ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "VGGFeatures", lambda arch, layers: VGGFeatures(arch, layers, weights=None))
        metrics._style_network.cache_clear()
        yield
        metrics._style_network.cache_clear()


MEASURES = {
    "psnr": (1, metrics.psnr), "ssim": (11, metrics.ssim), "change": (1, metrics.change),
    "gram_distance": (16, lambda a, b: metrics.gram_distance(a, b)["relu1_1"]),
    "checkerboard": (16, lambda a, b: metrics.checkerboard(a)),
}  # fmt: skip


@given(st.sampled_from(sorted(MEASURES)), st.data())
def test_measures(random_style_network, name, data):
    least, measure = MEASURES[name]
    first = data.draw(arguments(least, batch=name != "gram_distance"))
    second = data.draw(arguments(least, batch=name != "gram_distance"))
    loose = ("run from", "far outside")
    if name == "checkerboard":
        second = first
        if first.wrong == loose and first.value.min() >= -1.01 and first.value.max() <= 1.01:
            first = second = Given(first.value)  # brightness does not matter there
    shapes = {tuple(one.value.shape) for one in (first, second) if isinstance(one.value, Tensor)}
    if len(shapes) == 2 and name != "gram_distance" and not (first.wrong or second.wrong):
        second = Given(second.value, ("same shape",))
    done = outcome(lambda: measure(first.value, second.value), first, second)
    if done is not None:
        assert isinstance(done, float)
        assert done >= (-1 if name == "ssim" else 0)
