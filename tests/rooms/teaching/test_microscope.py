"""The loss microscope: its numbers must be those of the run."""

import math
from functools import partial

import pytest
import torch

from course_lib.methods import gatys
from course_lib.teaching import microscope, records

small = partial(gatys.Config, weights=None, precision="float32", device="cpu")
STEPS = (1, 3, 6)


@pytest.fixture
def images(picture):
    return picture(40, 32, 1), 1 - picture(32, 40, 2).flip(1)


@pytest.fixture
def slides(images):
    return microscope.examine(*images, small(), steps=STEPS)


def test_values_are_those_of_the_run(images, slides):
    """The picture after step k is the one that is evaluated in step k + 1."""
    history = gatys.stylize(*images, small(num_steps=max(STEPS) + 1)).history
    assert slides.steps == list(STEPS)
    for name, values in slides.losses.items():
        assert values == pytest.approx([history[name][step] for step in STEPS], rel=1e-4), name
    assert set(slides.losses) == set(history) - {"total", "seconds"}


def test_dissected_gradients_add_up(images, slides):
    content, style = images
    picture = slides.pictures[1]
    terms = gatys.dissect(picture, content, style, small(tv_weight=2.0))
    assert list(terms)[-1] == "tv"
    values, whole = gatys.objective(content, style, small(tv_weight=2.0)).with_gradient(picture)
    assert [value for value, _ in terms.values()] == pytest.approx(values.tolist(), rel=1e-5)
    torch.testing.assert_close(sum(gradient for _, gradient in terms.values()), whole, rtol=1e-4, atol=1e-7)
    lengths = [gradient.norm().item() for _, gradient in gatys.dissect(picture, content, style, small()).values()]
    assert [norms[1] for norms in slides.lengths.values()] == pytest.approx(lengths, rel=1e-5)


def test_the_photograph_has_no_content_gradient_at_itself(images):
    content, style = images
    value, gradient = gatys.dissect(content, content, style, small())["content/relu4_2"]
    assert value == 0
    assert gradient.abs().max() == 0


def halves():
    """A content term that pulls on the left and a style term that pulls on the right, twice as hard."""
    left, right = torch.zeros(1, 3, 48, 96), torch.zeros(1, 3, 48, 96)
    left[..., :48], right[..., 48:] = 1.0, 2.0
    return {"content/relu4_2": left, "style/relu1_1": right}


def test_the_strongest_term_has_its_color():
    drawn = microscope.pull_map(halves())
    assert drawn.shape == (1, 3, 48, 96)
    red, yellow = drawn[0, :, 24, 10], drawn[0, :, 24, 86]
    palette = microscope.colors(["content/relu4_2", "style/relu1_1"])
    for seen, color in ((red, palette["content/relu4_2"]), (yellow, palette["style/relu1_1"])):
        expected = torch.tensor(microscope._rgb(color))
        assert torch.cosine_similarity(seen, expected, dim=0) > 0.9999
    assert yellow.max() / torch.tensor(microscope._rgb(palette["style/relu1_1"])).max() == pytest.approx(1, abs=0.01)


def test_where_it_changes_is_bright():
    drawn = microscope.change_map(halves())
    left, right = drawn[0, :, 24, 10].mean(), drawn[0, :, 24, 86].mean()
    assert right > left > microscope.change_map({"a": torch.zeros(1, 3, 8, 8)}).mean()


def test_opposite_pulls_cancel():
    """Two terms cancel: the picture does not change, although both gradients are large."""
    pull = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    standoff = microscope.change_map({"a": pull, "b": -pull})
    assert standoff.std(dim=(2, 3)).max() == 0


def test_colors_go_from_shallow_to_deep():
    names = ["content/relu4_2", *(f"style/relu{block}_1" for block in range(1, 6)), "tv"]
    palette = microscope.colors(names)
    assert list(palette) == names
    assert len(set(palette.values())) == len(names)
    luminance = [sum(microscope._rgb(palette[name])) for name in names[1:6]]
    assert luminance == sorted(luminance, reverse=True)


def test_the_figure_has_its_parts(slides):
    html = microscope.show(slides, only=(1, 6), caption="What it says.", alt="What is seen.")._repr_html_()
    assert html.count("<img") == 1 + 3 * 2  # the shares, and three pictures per step shown
    for words in ("step 1", "step 6", "where it changes", "who pulls", "What it says."):
        assert words in html
    assert "step 3" not in html


def test_slides_survive_storing_and_loading(slides, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "results_folder", lambda: tmp_path)
    with records.run("05_x", profile="laptop", seed=0, config=small()) as run:
        slides.store(run)
    again = microscope.load("05_x")
    assert (again.steps, again.losses, again.lengths) == (slides.steps, slides.losses, slides.lengths)
    assert all(path.exists() for path in (*again.pictures, *again.changes, *again.pulls))
    assert microscope.show(again, caption="c", alt="a")._repr_html_().count("<img") == 1 + 3 * 3
    assert all(math.isfinite(value) for values in again.lengths.values() for value in values)
