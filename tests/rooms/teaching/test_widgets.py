"""The live panels: controls, complete runs in a thread, stopping, and errors shown to the user."""

import io
import threading
from dataclasses import replace
from datetime import datetime

import ipywidgets as w
import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import VGGFeatures
from course_lib.methods import adain, control, gatys
from course_lib.optimize.start import STARTS
from course_lib.pretrained.vgg import STYLE_LAYERS
from course_lib.teaching import widgets

STEPS = 10  # the smallest number that the slider allows


class Panel:
    """The widgets of a panel by their descriptions, and its threads."""

    def __init__(self, box):
        widgets, queue = [], [box]
        while queue:
            widget = queue.pop()
            widgets.append(widget)
            queue += getattr(widget, "children", ())
        self.named = {x.description: x for x in widgets if getattr(x, "description", "")}
        self.bar = next((x for x in widgets if isinstance(x, w.IntProgress)), None)
        self.status = next(x for x in widgets if isinstance(x, w.Label))
        self.picture = next(x for x in widgets if isinstance(x, w.Image))

    def __getitem__(self, description):
        return self.named[description]

    def paint(self, verb="Paint"):
        """Press the button and wait until the run ends."""
        before = set(threading.enumerate())
        self[verb].click()
        self.started = [thread for thread in threading.enumerate() if thread not in before]
        for thread in self.started:
            thread.join(60)
            assert not thread.is_alive()

    @property
    def image(self):
        return Image.open(io.BytesIO(self.picture.value))


@pytest.fixture
def used(monkeypatch):
    """Replace the real network with a small random one; the fixture is the list of configurations used."""
    configs, original = [], gatys.stylize

    def stylize(content, style, config, **options):
        configs.append(config)
        settings = {**vars(config), "weights": None, "device": "cpu", "precision": "float32"}
        return original(content, style, gatys.Config(**settings), **options)

    monkeypatch.setattr(gatys, "stylize", stylize)
    return configs


@pytest.fixture
def panel():
    return Panel(widgets.stylization_panel(["cat", "astronaut"], ["great_wave"], size=48, num_steps=STEPS))


def test_the_panel_shows_the_photo_and_the_papers_defaults(panel):
    assert panel["photo"].options == ("cat", "astronaut")
    assert panel["painting"].options == ("great_wave",)
    assert panel["start"].options == STARTS
    assert panel["style weight"].value == pytest.approx(gatys.Config().style_weight)
    assert panel["steps"].value == STEPS
    assert max(panel.image.size) == 48
    assert not panel["Paint"].disabled
    assert panel["Stop"].disabled


def test_no_panel_stretches_its_picture():
    """A row stretches its children to the height of the column of controls unless it is aligned."""
    network = VGGFeatures("vgg19", ["relu1_1"], weights=None)
    for box in (
        widgets.stylization_panel(["cat"], ["great_wave"], size=48),
        widgets.texture_panel(["brick"], size=40),
        widgets.feature_panel(["cat"], ["relu1_1"], size=64, network=network),
        widgets.fast_style_panel(["cat"], ["great_wave"], size=64),
        widgets.translation_panel(["facade_labels"]),
    ):
        picture = box.children[1]
        assert isinstance(picture, w.Image)
        assert box.layout.align_items == "flex-start"
        assert (picture.layout.max_width, picture.layout.object_fit) == ("100%", "contain")
        assert picture.layout.width is None
        assert picture.layout.height is None


def test_a_run_finishes_and_changes_the_picture(panel, used):
    panel["photo"].value = "astronaut"
    panel["style weight"].value = 1000
    panel["start"].value = "noise"
    before = panel.picture.value
    panel.paint()
    assert len(panel.started) == 1
    (config,) = used
    assert (config.num_steps, config.style_weight, config.start) == (STEPS, 1000, "noise")
    assert panel.bar.value == panel.bar.max == STEPS
    assert panel.picture.value != before
    assert max(panel.image.size) == 48
    assert f"step {STEPS}, loss " in panel.status.value
    assert not panel["Paint"].disabled
    assert panel["Stop"].disabled


def test_a_second_run_uses_the_new_settings(panel, used):
    panel.paint()
    panel["steps"].value = 20
    panel.paint()
    assert [config.num_steps for config in used] == [STEPS, 20]
    assert panel.bar.value == panel.bar.max == 20


def test_a_running_panel_can_be_stopped_but_not_started(panel, used, monkeypatch):
    seen, original = [], widgets.to_pil

    def at_the_first_preview(image):
        if not seen:
            panel["Stop"].click()
        seen.append((panel["Paint"].disabled, panel["Stop"].disabled, panel.bar.value))
        return original(image)

    monkeypatch.setattr(widgets, "to_pil", at_the_first_preview)
    panel.paint()
    # a preview at step 5, then the picture at the step where the run stopped
    assert seen == [(True, False, 5), (True, False, 6)]
    assert "Stopped" in panel.status.value
    assert not panel["Paint"].disabled
    monkeypatch.setattr(widgets, "to_pil", original)
    panel.paint()  # the old request does not stop the next run
    assert panel.bar.value == STEPS


def test_an_error_is_shown_in_the_panel(panel, used, monkeypatch):
    def broken(*arguments, **options):
        raise ValueError("relu5_1 needs an image of at least 16 px")

    monkeypatch.setattr(gatys, "stylize", broken)
    panel.paint()
    assert panel.status.value.startswith("ValueError: ")
    assert "relu5_1 needs an image" in panel.status.value
    assert not panel["Paint"].disabled


def test_the_reason_for_an_early_end_is_shown(panel, used, monkeypatch):
    original = gatys.stylize

    def ended_early(*arguments, **options):
        result = original(*arguments, **options)
        return gatys.Result(result.image, result.history, result.config, stopped="tv was not finite at step 3")

    monkeypatch.setattr(gatys, "stylize", ended_early)
    panel.paint()
    assert "tv was not finite" in panel.status.value


def test_an_unknown_picture_raises_at_once():
    with pytest.raises(ValueError, match="No picture is named 'unicorn'"):
        widgets.stylization_panel(["unicorn"], ["great_wave"])


def test_a_texture_grows_from_the_chosen_layers(used):
    panel = Panel(widgets.texture_panel(["brick", "harvest"], size=40, num_steps=STEPS))
    panel["sample"].value = "harvest"
    panel["layers"].value = 2
    panel.paint("Grow")
    (config,) = used
    assert config.style_layers == STYLE_LAYERS[:2]
    assert panel.image.size == (40, 40)
    first = panel.picture.value
    panel.paint("Grow")
    assert panel.picture.value == first  # the same seed
    panel["seed"].value = 1
    panel.paint("Grow")
    assert panel.picture.value != first


def test_feature_maps_follow_the_choice():
    network = VGGFeatures("vgg19", ["relu1_1", "relu3_1"], weights=None)
    panel = Panel(widgets.feature_panel(["cat"], ["relu1_1", "relu3_1"], size=64, network=network))
    shallow = panel.picture.value
    assert max(panel.image.size) == 64
    assert "mean" in panel.status.value
    assert panel["channel"].max == 64 // 8 - 1
    panel["channel"].value = 5
    assert panel.picture.value != shallow
    panel["layer"].value = "relu3_1"
    assert panel["channel"].max == 256 // 8 - 1
    assert "16×" in panel.status.value
    panel["channel"].value = 31
    panel["layer"].value = "relu1_1"  # has no channel 31
    assert panel["channel"].value == 7


def uploaded(name, content):
    """What a FileUpload holds after a file was chosen: a tuple in ipywidgets 8, a mapping in 7, which Colab has."""
    if w.__version__.startswith("7."):
        return {name: {"metadata": {"name": name, "type": "image/png", "size": len(content)}, "content": content}}
    about = {"name": name, "type": "image/png", "size": len(content), "last_modified": datetime.now()}
    return ({**about, "content": memoryview(content)},)


def test_a_trained_painter_follows_the_choice():
    panel = Panel(widgets.fast_style_panel(["cat", "astronaut"], ["great_wave"], size=48))
    painted = panel.picture.value
    panel["degree"].value = 0.0
    photo = panel.picture.value
    assert photo != painted
    panel["photo"].value = "astronaut"
    assert panel.picture.value != photo
    assert max(panel.image.size) == 48
    assert panel.status.value.endswith(" s")


def test_a_trained_painter_gives_the_photo_s_gradients_back():
    """With a large λ, the differences between neighbors are the photo's."""
    panel = Panel(widgets.fast_style_panel(["cat"], ["great_wave"], size=48, gradients=0.0))
    painted = panel.picture.value
    panel["λ"].value = 50.0
    kept = panel.picture.value
    panel["degree"].value = 0.0
    shown = [
        torch.from_numpy(np.asarray(Image.open(io.BytesIO(file)), dtype=np.float32)).mean(2)
        for file in (painted, kept, panel.picture.value)
    ]
    errors = [(image.diff(dim=1) - shown[-1].diff(dim=1)).abs().mean() for image in shown[:2]]
    assert errors[1] < errors[0] / 2


def test_any_style_follows_its_shares_its_degree_and_its_transform():
    config = adain.Config(weights=None, width=0.1)
    model = adain.Model(adain.build(config), config, {})
    for convolution in model.network.parameters():
        convolution.data.mul_(2)  # random weights of the usual size return nearly one color
    panel = Panel(widgets.any_style_panel(["cat"], ["great_wave", "poppies"], size=48, model=model))
    pictures = [panel.picture.value]
    for choice, value in (("share", 0.5), ("transform", "swap"), ("share", 1.0), ("α", 0.5)):
        panel[choice].value = value
        pictures.append(panel.picture.value)
    assert len(set(pictures)) == 5
    assert max(panel.image.size) == 48
    assert panel.status.value.endswith(" s")
    panel["painting"].value = "poppies"  # twice the same painting: its share no longer matters
    alone = panel.picture.value
    panel["share"].value = 0.3
    assert panel.picture.value == alone


def test_color_place_and_scale_are_chosen_independently(monkeypatch):
    """What is chosen reaches the method, and each choice changes the picture."""
    seen, original = [], control.stylize

    def stylize(content, style, config, **options):
        seen.append((config.colors, len(style), options["regions"], options["fine"]))
        return original(content, style, replace(config, weights=None, device="cpu", scales=None), **options)

    monkeypatch.setattr(control, "stylize", stylize)
    panel = Panel(widgets.control_panel(["cat"], ["great_wave", "poppies"], size=40, num_steps=STEPS))
    panel.paint()
    pictures = [panel.picture.value]
    for choice, value in (("colors", "luminance"), ("divided", "top and bottom"), ("strokes", "poppies")):
        panel[choice].value = value
        panel.paint()
        pictures.append(panel.picture.value)
    assert len(set(pictures)) == 4
    assert [line[:2] for line in seen] == [("painting", 1), ("luminance", 1), ("luminance", 2), ("luminance", 2)]
    assert seen[0][2:] == seen[1][2:] == (None, None)
    upper, lower = seen[2][2].content
    assert upper[0, : upper.shape[1] // 2].all()
    assert torch.equal(upper + lower, torch.ones_like(upper))
    assert seen[3][3].shape[1] == 3


def test_a_scene_or_a_file_of_ones_own_is_translated():
    panel = Panel(widgets.translation_panel(["facade_labels"], ["great_wave"]))
    scene = panel.picture.value
    width, height = panel.image.size
    assert width == 2 * height
    panel["scene"].value = 3
    assert panel.picture.value != scene
    panel["painted"].value = "great_wave"
    assert panel.image.size == (3 * 256, 256)
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 30, 30)).save(file, format="PNG")
    panel["your own"].set_trait("value", uploaded("mine.png", file.getvalue()))
    red, _, blue = panel.image.getpixel((128, 128))
    assert red > 2 * blue
