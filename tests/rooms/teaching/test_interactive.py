"""Interactive components: their HTML before any script runs, and invalid input."""

import html as markup
import json
import re
from functools import lru_cache
from html.parser import HTMLParser

import pytest
import torch

from course_lib import losses, save_image
from course_lib.methods import gatys
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.runtime import seeded_generator
from course_lib.teaching import feature_atlas, interactive, microscope

WORDS = {"caption": "What to notice.", "alt": "Two gray squares"}


def plain(value=0.5, height=72, width=96):
    return torch.full((1, 3, height, width), value)


def three_frames(**options):
    pictures = [plain(k / 4) for k in range(3)]
    return interactive.frames(pictures, labels=["1", "10", "100"], axis="steps", **{**WORDS, **options})


def two_films(**options):
    films = {"rough": [plain(k / 4) for k in range(3)], "calm": [plain(0.9 - k / 4) for k in range(3)]}
    return interactive.film(films, **{**WORDS, **options})


def study(methods=("soft", "sharp"), scenes=2, **options):
    pictures = {name: torch.full((scenes, 3, 72, 96), k / 9) for k, name in enumerate(methods)}
    return interactive.study(pictures, **{"question": "Which is better?", "name": "trial", **WORDS, **options})


@lru_cache
def small_atlas():
    """Of a random network with few channels: three layers, three photographs."""
    config = feature_atlas.Config(
        ("dahlia", "cat"), size=96, layers=("relu1_1", "relu2_1", "relu3_1"), channels=6, patches=2
    )
    return feature_atlas.make(
        config, ["cat", "dahlia", "owl"], VGGFeatures("vgg19", config.layers, weights=None, seed=1)
    )


EVERY = {
    "compare": lambda **w: interactive.compare([plain(), plain(0.2)], titles=["before", "after"], **{**WORDS, **w}),
    "frames": three_frames,
    "grid": lambda **w: interactive.grid(
        [[plain(), plain(0.1)]] * 3, rows=("depth", ["1", "2", "3"]), columns=("weight", ["a", "b"]), **{**WORDS, **w}
    ),
    "receptive_field": lambda **w: interactive.receptive_field(plain(), {"relu3_1": (24, 4)}, **{**WORDS, **w}),
    "lens": lambda **w: interactive.lens([plain(), plain(0.2)], titles=["soft", "sharp"], **{**WORDS, **w}),
    "origin": lambda **w: interactive.origin(
        [plain(), plain(0.2, 48, 64)],
        torch.tensor([[[0, 0], [1, 2]], [[2, 3], [0, 1]]]),
        **{"titles": ["painted", "painting"], "side": 24, "stride": 8, "at": (1, 0), **WORDS, **w},
    ),
    "film": lambda **w: two_films(**w),
    "study": lambda **w: study(**w),
    "normalizations": lambda **w: interactive.normalizations(torch.rand(1, 3, 8, 8), **{**WORDS, **w}),
    "overlaps": lambda **w: interactive.overlaps(**{**WORDS, **w}),
    "gan_laboratory": lambda **w: interactive.gan_laboratory(
        [plain(), plain(0.2)], titles=["1", "2"], **{**WORDS, **w}
    ),
    "gram_explorer": lambda **w: interactive.gram_explorer(
        [plain(0.2, 32, 32), plain(0.8, 32, 32)],
        [torch.rand(1, 6, 8, 8, generator=seeded_generator(seed)) for seed in (0, 1)],
        **{"titles": ["street", "wave"], "layer": "relu2_1", "channels": 4, **WORDS, **w},
    ),
    "feature_explorer": lambda **w: interactive.feature_explorer(small_atlas(), **{**WORDS, **w}),
    "optimizers_road": lambda **w: interactive.optimizers_road(
        torch.rand(21, 21, 3, generator=seeded_generator(0)), torch.ones(43, 64, dtype=torch.bool), **{**WORDS, **w}
    ),
    "converter": lambda caption="Weights in other units.": interactive.converter(caption=caption),
}


class Still(HTMLParser):
    """What a reader without scripts sees: the pictures outside hidden elements."""

    VOID = ("img", "input", "br")

    def __init__(self, html):
        super().__init__()
        self.stack, self.shown, self.hidden = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "img":
            (self.hidden if any(self.stack) else self.shown).append(attributes["alt"])
        if tag not in self.VOID:
            self.stack.append("hidden" in attributes)

    def handle_endtag(self, tag):
        self.stack.pop()


def html_of(figure):
    return figure._repr_html_()


def settings_of(figure):
    (data,) = re.findall(r'data-settings="([^"]*)"', html_of(figure))
    return json.loads(markup.unescape(data))


@pytest.mark.parametrize("name", EVERY)
def test_a_component_is_a_figure_and_loads_nothing(name):
    figure = EVERY[name]()
    html = html_of(figure)
    assert html.startswith('<figure class="interactive ')
    assert html.endswith("</figure>")
    assert f"{figure.caption}</figcaption>" in html
    assert not re.search(r"https?:|src=\"(?!data:)|@import|url\(", html), "it would load something from elsewhere"
    assert html.count("<script") == html.count("</script>") == 1
    # They compute: scores; Gram matrices; two networks and their training; what a place sees; three optimizers.
    larger = {"study": 28_000, "gram_explorer": 36_000}
    larger |= dict.fromkeys(("gan_laboratory", "feature_explorer", "optimizers_road"), 40_000)
    most = larger.get(name, 20_000)
    bare = re.sub(r"<template.*?</template>", "", html, flags=re.DOTALL)  # pages fetch it on a click
    assert len(re.sub(r"data:image/[^\"]+", "", bare)) < most, "script and style must stay small"
    assert all(tag.count('alt="') == 1 and 'alt=""' not in tag for tag in re.findall("<img [^>]+>", html))


@pytest.mark.parametrize("name", EVERY)
def test_a_component_needs_a_caption(name):
    with pytest.raises(ValueError, match="non-empty caption"):
        EVERY[name](caption=" ")


def test_without_scripts_there_is_a_still_picture():
    assert Still(html_of(EVERY["compare"]())).shown == ["before", "after"]
    assert Still(html_of(three_frames())).shown == ["steps 100"]
    first = Still(html_of(three_frames(at=0)))
    assert (first.shown, first.hidden) == (["steps 1"], ["steps 10", "steps 100"])
    grid = Still(html_of(EVERY["grid"]()))
    assert grid.shown == ["depth 1, weight a"]
    assert grid.hidden == [
        "depth 1, weight b",
        *(f"depth {k}, weight {word}" for k in (2, 3) for word in ("a", "b")),
    ]
    assert Still(html_of(EVERY["lens"]())).shown == ["soft", "sharp"]
    assert Still(html_of(EVERY["origin"]())).shown == ["painted", "painting"]
    with_input = study(references=[plain(), plain(0.1)])
    assert Still(html_of(with_input)).shown == [
        f"{who}, scene {k}" for k in (1, 2) for who in ("reference", "soft", "sharp")
    ]


def test_the_cell_shown_first_is_given_by_row_and_column():
    pictures = [[plain(), plain()]] * 3
    axes = {"rows": ("depth", ["1", "2", "3"]), "columns": ("weight", ["low", "high"])}
    figure = interactive.grid(pictures, **axes, **WORDS, at=(2, 1))
    assert Still(html_of(figure)).shown == ["depth 3, weight high"]
    assert settings_of(figure)["at"] == [2, 1]


def test_each_picture_of_a_row_has_a_title():
    pairs = [[plain(), plain(0.1)], [plain(0.2), plain(0.3)]]
    figure = interactive.frames(pairs, labels=["a", "b"], axis="way", titles=["left", "right"], at=1, **WORDS)
    assert Still(html_of(figure)).shown == ["left, way b", "right, way b"]
    with pytest.raises(ValueError, match=r"one title for each, got 2 pictures, 1 titles"):
        interactive.frames(pairs, labels=["a", "b"], axis="way", titles=["left"], **WORDS)


def test_mismatched_input_is_refused():
    with pytest.raises(ValueError, match="at least 2 pictures and one title for each, got 1 pictures"):
        interactive.compare([plain()], titles=["alone"], **WORDS)
    with pytest.raises(
        ValueError, match=r"'tall' is 72 × 96 and 'wide' 96 × 72 pixels; they need the same aspect ratio"
    ):
        interactive.compare([plain(), plain(height=96, width=72)], titles=["wide", "tall"], **WORDS)
    with pytest.raises(ValueError, match="'steps' needs at least two positions, got 1"):
        interactive.frames([plain()], labels=["1"], axis="steps", **WORDS)
    with pytest.raises(ValueError, match="3 labels need as many positions, got 2"):
        interactive.frames([plain(), plain()], labels=["1", "2", "3"], axis="steps", **WORDS)
    with pytest.raises(ValueError, match=r"2 × 2 pairs of labels, got 1 rows"):
        interactive.grid([[plain(), plain()]], rows=("a", ["1", "2"]), columns=("b", ["1", "2"]), **WORDS)
    with pytest.raises(ValueError, match="at least one layer"):
        interactive.receptive_field(plain(), {}, **WORDS)


def test_without_scripts_one_frame_of_each_film_is_shown():
    still = Still(html_of(two_films(frame=1)))
    assert still.shown == ["rough, frame 1", "calm, frame 1"]
    assert len(still.hidden) == 4
    assert settings_of(two_films(frame=-1)) == {"at": 50, "frame": 2, "length": 3, "perSecond": 8.0}


@pytest.mark.parametrize(
    ("films", "options", "words"),
    [
        ({"one": 3}, {}, "at least two films of the same length, two frames or more, got one: 3"),
        ({}, {}, "got none"),
        ({"a": 3, "b": 2}, {}, "got a: 3, b: 2"),
        ({"a": 1, "b": 1}, {}, "two frames or more"),
        ({"a": 3, "b": 3}, {"frame": 3}, "frame 3 does not exist; the films have frames 0 to 2"),
        ({"a": 3, "b": 3}, {"per_second": 60}, "at most 30, got 60"),
    ],
)
def test_films_that_do_not_fit_together_are_refused(films, options, words):
    with pytest.raises(ValueError, match=words):
        interactive.film({name: [plain(k / 4) for k in range(n)] for name, n in films.items()}, **WORDS, **options)


def test_frames_of_another_shape_are_refused_by_name():
    with pytest.raises(ValueError, match="'b, frame 1' is 50 × 72"):
        interactive.film({"a": [plain(), plain(0.2)], "b": [plain(), plain(width=50)]}, **WORDS)


def test_two_resolutions_of_one_picture_may_be_compared():
    small, large = plain(height=36, width=48), plain(height=72, width=96)
    assert Still(html_of(interactive.compare([small, large], titles=["small", "large"], **WORDS))).shown


def test_without_scripts_the_middle_receptive_field_is_shown():
    """relu3_1 of VGG: 24 pixels, stride 4; the field of position 12 of 24 covers 49.5 ± 11.5 of 96 pixels."""
    figure = interactive.receptive_field(plain(), {"relu3_1": (24, 4)}, **WORDS)
    (style,) = re.findall(r'class="field dim" style="([^"]+)"', html_of(figure))
    left, top, width, height = (float(number) for number in re.findall(r":([\d.]+)%", style))
    assert (width, height) == (25.0, pytest.approx(100 * 24 / 72, abs=0.01))
    assert left == pytest.approx(100 * (1.5 + 12 * 4 - 11.5) / 96, abs=0.01)
    assert top == pytest.approx(100 * (1.5 + 9 * 4 - 11.5) / 72, abs=0.01)


def test_without_scripts_a_patch_and_its_source_are_framed():
    """Row 1, column 0 of the picture (96 × 72 px) is nearest to row 2, column 3 of the source (64 × 48 px)."""
    figure = EVERY["origin"]()
    boxes = [
        re.findall(r":([\d.]+)%", style) for style in re.findall(r'class="field" style="([^"]+)"', html_of(figure))
    ]
    of_picture, of_source = ([float(number) for number in box] for box in boxes)
    assert of_picture == pytest.approx([0, 100 * 8 / 72, 25, 100 * 24 / 72], abs=0.01)  # left, top, width, height
    assert of_source == pytest.approx([100 * 24 / 64, 100 * 16 / 48, 100 * 24 / 64, 50], abs=0.01)
    settings = settings_of(figure)
    assert (settings["at"], settings["nearest"]) == ([0, 1], [[0, 0, 1, 2], [2, 3, 0, 1]])
    assert settings["sizes"] == [[96, 72], [64, 48]]


def test_an_origin_outside_its_picture_is_refused():
    with pytest.raises(ValueError, match=r"'painting' has 64 × 48 pixels, too few for row 3 and column 4 of patches"):
        EVERY["origin"](stride=16)
    with pytest.raises(ValueError, match=r"must be \(h, w, 2\) whole numbers, .* got \(2, 2\) of torch.float32"):
        interactive.origin([plain()] * 2, torch.zeros(2, 2), titles=["a", "b"], side=8, stride=8, **WORDS)
    three = {"titles": ["a", "b", "c"], "side": 8, "stride": 8}
    with pytest.raises(ValueError, match="a picture and its source, got 3 pictures"):
        interactive.origin([plain()] * 3, torch.zeros(2, 2, 2, dtype=torch.long), **three, **WORDS)


def test_the_converter_knows_the_library_s_conventions_and_default():
    settings = settings_of(EVERY["converter"]())
    assert [losses.Convention(**row) for row in settings["conventions"]] == list(losses.CONVENTIONS)
    ours = settings["presets"]["this book's default"]
    default = gatys.Config()
    assert (float(ours["content"]), float(ours["style"])) == (default.content_weight, default.style_weight)
    assert losses.CONVENTIONS[ours["from"]] is losses.SIZE_INDEPENDENT


def test_a_map_that_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match=r"feature map \(1, 3, S, S\) of floats, S at most 64, got .* \(1, 2, 8, 8\)"):
        interactive.normalizations(torch.rand(1, 2, 8, 8), **WORDS)
    with pytest.raises(ValueError, match="got torch.int64 of shape"):
        interactive.normalizations(torch.ones(1, 3, 8, 8, dtype=torch.long), **WORDS)
    with pytest.raises(ValueError, match="not finite"):
        interactive.normalizations(torch.full((1, 3, 8, 8), torch.nan), **WORDS)
    with pytest.raises(ValueError, match=r"kernel must be one of 2, 3, 4, 5, 6, got 7"):
        interactive.overlaps(kernel=7, **WORDS)


def test_the_explorer_s_still_picture_shows_one_matrix_twice():
    figure = EVERY["gram_explorer"]()
    names = ["street", "its positions shuffled", "wave", "its Gram matrix", "the same matrix", "another matrix"]
    assert Still(html_of(figure)).shown == names
    sources = re.findall(r'src="(data:image/[^"]+)"', html_of(figure))
    assert sources[3] == sources[4] != sources[5]
    settings = settings_of(figure)
    assert (settings["side"], settings["of"], len(settings["names"])) == (8, 6, 4)
    assert 0 < settings["error"] < 0.01


def test_matrices_that_cannot_be_explored_are_refused():
    maps, ones = [torch.rand(1, 6, 8, 8, generator=seeded_generator(k)) for k in (0, 1)], torch.ones(1, 6, 8, 8)
    words = {"titles": ["a", "b"], "layer": "relu2_1", "channels": 4, **WORDS}
    squares = [plain(0.5, 32, 32)] * 2
    for pictures, features in (
        (squares, maps[:1]), ([plain()] * 2, maps), ([plain(0.5, 30, 30)] * 2, maps), (squares, [maps[0], ones[:, :5]]),
        (squares, [torch.rand(1, 6, 8, 4)] * 2), ([plain(0.5, 130, 130)] * 2, [torch.rand(1, 6, 65, 65)] * 2),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"two pictures \(1, 3, S, S\) and the features of each.* got the shapes"):
            interactive.gram_explorer(pictures, features, **words)
    with pytest.raises(ValueError, match="use those of a rectified layer"):
        interactive.gram_explorer(squares, [maps[0], maps[1] - 1], **words)
    with pytest.raises(ValueError, match="negative or not finite"):
        interactive.gram_explorer(squares, [maps[0], maps[1] * torch.inf], **words)
    with pytest.raises(ValueError, match="only 1 of 6 channels differ from combinations of the others"):
        interactive.gram_explorer(squares, [ones, ones], **words)
    with pytest.raises(ValueError, match="channels must be .* 2 .* 6, got 7"):
        interactive.gram_explorer(squares, maps, **{**words, "channels": 7})


def test_text_is_escaped(tmp_path):
    save_image(plain(), tmp_path / "a.webp")
    bad = '<b>"x" & </script>'
    figure = interactive.compare([tmp_path / "a.webp"] * 2, titles=[bad, "b"], caption=bad, alt=bad)
    html = html_of(figure)
    assert "<b>" not in html
    assert html.count("</script>") == 1
    figure = interactive.frames([plain(), plain()], labels=[bad, "b"], axis=bad, **WORDS)
    assert html_of(figure).count("</script>") == 1
    assert settings_of(figure)["axes"][0]["name"] == bad


def test_the_microscope_with_a_slider_states_every_share():
    slides = microscope.Slides([1, 5])
    slides.losses = {"content/relu4_2": [1.0, 3.0], "style/relu1_1": [3.0, 1.0]}
    slides.lengths = {"content/relu4_2": [1.0, 1.0], "style/relu1_1": [0.0, 1.0]}
    slides.pictures = slides.changes = slides.pulls = [plain(), plain(0.2)]
    html = html_of(microscope.explore(slides, **WORDS, at=0))
    assert "share of the loss: content relu4_2 25 %, style relu1_1 75 %" in html
    assert "share of the gradient: content relu4_2 100 %, style relu1_1 0 %" in html
    assert "share of the loss: content relu4_2 75 %, style relu1_1 25 %" in html
    assert html.count('class="frame"') == 2


def test_a_study_keeps_its_votes_apart_from_those_of_other_pictures():
    one, same, other = (settings_of(study(methods)) for methods in (("a", "b"), ("a", "b"), ("a", "c")))
    assert one["digest"] == same["digest"] != other["digest"]
    assert (one["methods"], one["scenes"], one["seed"]) == (["a", "b"], 2, None)
    lighter = {"a": torch.full((2, 3, 72, 96), 0.9), "b": torch.zeros(2, 3, 72, 96)}
    figure = interactive.study(lighter, question="Which?", name="trial", seed=7, **WORDS)
    assert settings_of(figure)["digest"] != one["digest"]
    assert settings_of(figure)["seed"] == 7


def test_a_study_that_cannot_be_held_is_refused():
    with pytest.raises(ValueError, match=r"two or more methods with one picture for each scene.* got \{'alone': 2\}"):
        study(("alone",))
    with pytest.raises(ValueError, match=r"same order; got \{'a': 1, 'b': 2\}"):
        interactive.study({"a": [plain()], "b": [plain()] * 2}, question="Which?", name="n", **WORDS)
    with pytest.raises(ValueError, match=r"got \{'a': 0, 'b': 0\}"):
        study(("a", "b"), 0)
    with pytest.raises(ValueError, match="study of 2 scenes needs as many references, got 1"):
        study(references=[plain()])
    with pytest.raises(ValueError, match="study's name must be one line of text"):
        study(name="two\nlines")
    with pytest.raises(ValueError, match="method's name must be one line"):
        study(("a\tb", "c"))
    with pytest.raises(ValueError, match="question must be one line"):
        study(question="")
    with pytest.raises(ValueError, match=r"'b, scene 1' is 72 × 96 and 'a, scene 1' 96 × 72"):
        interactive.study({"a": [plain()], "b": [plain(height=96, width=72)]}, question="Which?", name="n", **WORDS)
    with pytest.raises(ValueError, match="seed"):
        study(seed=-1)
