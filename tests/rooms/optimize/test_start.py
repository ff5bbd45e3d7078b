"""The first picture of a run, and the check that the run fits into memory."""

import pytest
import torch

from course_lib import runtime
from course_lib.optimize.start import check_memory, checked_images, start_image

CPU = torch.device("cpu")


def test_every_kind_of_start():
    content, style = torch.full((1, 3, 8, 6), 0.25), torch.full((1, 3, 4, 4), 0.75)
    noise = start_image("noise", content, style, noise_width=0.2, seed=3)
    assert noise.shape == content.shape
    assert 0.4 <= noise.min() < 0.45
    assert 0.55 < noise.max() <= 0.6
    assert torch.equal(noise, start_image("noise", None, content, noise_width=0.2, seed=3))
    assert not torch.equal(noise, start_image("noise", content, style, noise_width=0.2, seed=4))
    assert torch.equal(start_image("content", content, None), content)
    assert start_image("content", content, None) is not content
    torch.testing.assert_close(start_image("style", content, style), torch.full_like(content, 0.75))
    mixed = start_image("mixed", content, None, noise_width=0.2, noise_ratio=0.7, seed=3)
    torch.testing.assert_close(mixed, 0.7 * noise + 0.3 * content)


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [("content", False, "needs a content image"), ("mixed", False, "needs a content image"),
     ("style", True, "needs a style image"), ("sepia", True, "sepia")],
)  # fmt: skip
def test_a_start_without_its_image_is_refused(kind, content, message):
    image = torch.rand(1, 3, 4, 4)
    with pytest.raises(ValueError, match=message):
        start_image(kind, *((image, None) if content else (None, image)))


def test_images_come_out_as_float32_without_gradients():
    image = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    content, styles = checked_images(image, (image for _ in range(2)))
    assert len(styles) == 2
    for each in (content, *styles):
        assert each.dtype == torch.float32
        assert not each.requires_grad
    assert checked_images(None, image)[0] is None
    assert checked_images(image, None)[1] == []


@pytest.mark.parametrize(
    "style", ["painting.jpg", 3, ["painting.jpg"], [None], torch.rand(3, 4, 4), torch.full((1, 3, 4, 4), 2.0)]
)
def test_what_is_no_style_image_is_refused(style):
    with pytest.raises(ValueError, match="^the style image: .* expected |^the style image: expected "):
        checked_images(torch.rand(1, 3, 4, 4), style)


def test_no_image_at_all_is_refused():
    with pytest.raises(ValueError, match="a content image, a style image, or both; got neither"):
        checked_images(None, None)
    for nothing in ([], (), iter([])):
        with pytest.raises(ValueError, match="the list of style images is empty; give at least one, or None"):
            checked_images(torch.rand(1, 3, 4, 4), nothing)


def test_the_largest_side_that_fits_is_named(monkeypatch):
    """100 bytes per pixel and 40,000 bytes free: 20×20 px fits, so for 60×30 the long side is 28."""
    monkeypatch.setattr(runtime, "available_memory", lambda device: 40_000)
    check_memory(lambda h, w: 100 * h * w, 20, 20, CPU)
    with pytest.raises(MemoryError, match="long side of 28 px; less history helps"):
        check_memory(lambda h, w: 100 * h * w, 60, 30, CPU, advice="less history helps")
    monkeypatch.setattr(runtime, "available_memory", lambda device: None)
    check_memory(lambda h, w: 10**15, 60, 30, CPU)
