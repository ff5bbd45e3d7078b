"""The chapters' diagrams: as the script draws them, readable, and true to the networks they show."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import chapter_diagrams
import pytest
import torch

from course_lib.losses import gram_matrix
from course_lib.networks.unet import UNet
from scripts.diagrams import drawing, layout, profiles
from scripts.diagrams.chapters import DIAGRAMS
from scripts.diagrams.layout import Arrow, Diagram, LayoutError
from scripts.diagrams.notebooks import section
from scripts.diagrams.shapes import COLORS, INK, THUMBS, Node, text_width
from scripts.diagrams.write import update

ROOT = Path(__file__).resolve().parents[2]
TWO = Diagram(
    {"a": Node("first"), "b": Node("second", ("a note",))}, (Arrow("a", "b"),), "a b", "a\nb", "A caption.", "Words."
)


def test_every_chapter_has_one() -> None:
    chapters = {path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert set(DIAGRAMS) == chapters


def test_the_committed_files_and_cells_are_what_the_script_writes() -> None:
    assert update(list(DIAGRAMS), check=True) == [], "run python -m scripts.diagrams"


@pytest.mark.parametrize("name", DIAGRAMS)
def test_it_says_in_words_what_it_shows(name: str) -> None:
    diagram = DIAGRAMS[name]()
    assert len(diagram.alt) > 150, "the alt text tells what is shown"
    assert len(diagram.caption) > 60
    assert diagram.alt[:40] != diagram.caption[:40]
    assert not re.search(r"\b(red|green|above|below|left|right)\b", diagram.alt.replace("blue faces", "")), (
        "there are two layouts: places and colors mean nothing"
    )


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("name", DIAGRAMS)
def test_nothing_overlaps_and_every_word_can_be_read(name: str, wide: bool) -> None:
    drawn = drawing.draw(DIAGRAMS[name](), wide=wide)  # raises where boxes, arrows and labels meet
    assert drawn.width == (720 if wide else 350)
    tree = ElementTree.fromstring(drawing.svg(drawn))
    sizes = [float(text.attrib["font-size"]) for text in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert min(sizes) >= 12, "11 px on a phone of 390 px, whose column is 358 px wide"


def test_overlaps_and_long_words_are_found() -> None:
    drawn = drawing.draw(TWO, wide=True)
    drawn.nodes["b"] = replace(drawn.nodes["b"], x=drawn.nodes["a"].x + 5)
    assert "a and b overlap" in layout.problems(drawn)
    drawn = drawing.draw(TWO, wide=True)
    drawn.nodes["a"] = replace(drawn.nodes["a"], w=20)
    assert "words stick out of a" in layout.problems(drawn)
    three = replace(
        TWO,
        nodes={**TWO.nodes, "c": Node("third")},
        arrows=(Arrow("a", "c", wide="r>l"),),
        wide="a b c",
        narrow="a\nb\nc",
    )
    with pytest.raises(LayoutError, match="a → c runs through b"):
        drawing.draw(three, wide=True)


def test_a_wrong_layout_is_refused() -> None:
    with pytest.raises(LayoutError, match=r"grid and nodes differ in \['b'\]"):
        drawing.draw(replace(TWO, wide="a ."), wide=True)
    with pytest.raises(LayoutError, match="written like r>l"):
        drawing.draw(replace(TWO, arrows=(Arrow("a", "b", wide="east"),)), wide=True)
    wordy = replace(TWO, nodes={"a": Node("much too long for a phone, " * 3), "b": Node("b")})
    with pytest.raises(LayoutError, match="narrow drawing needs"):
        drawing.draw(wordy, wide=False)


def test_lines_are_level_or_upright_and_end_at_their_boxes() -> None:
    for make in DIAGRAMS.values():
        diagram = make()
        for wide in (True, False):
            drawn = drawing.draw(diagram, wide=wide)
            assert len(drawn.lines) == len(diagram.arrows)
            for arrow, line in drawn.lines:
                assert all(abs(x - u) < 1e-6 or abs(y - v) < 1e-6 for (x, y), (u, v) in pairwise(line))
                x, y = line[-1]
                left, top, right, bottom = drawn.nodes[arrow.end].box
                edge = min(abs(x - left), abs(x - right), abs(y - top), abs(y - bottom))
                assert edge < 1e-6
                assert left - 1e-6 <= x <= right + 1e-6
                assert top - 1e-6 <= y <= bottom + 1e-6


def luminance(color: str) -> float:
    """Relative luminance of WCAG 2."""
    values = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colors_have_contrast(theme: int) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    ink = {name: colors[theme] for name, colors in INK.items()}
    for kind, colors in COLORS.items():
        line, fill = colors[2 * theme : 2 * theme + 2]
        assert contrast(ink["ink"], fill) >= 7, kind
        assert min(contrast(line, fill), contrast(line, ink["paper"])) >= 3, kind
    for name in ("ink", "quiet", "gradient"):  # words on the ground
        assert contrast(ink[name], ink["paper"]) >= 4.5, name
    assert contrast(ink["arrow"], ink["paper"]) >= 3


def test_what_changes_and_what_does_not_differ_without_color_too() -> None:
    drawn = drawing.draw(DIAGRAMS["03_gatys"](), wide=True).svg
    frozen, optimized = (re.findall(rf'<g class="d-{kind}">.*?</g>', drawn) for kind in ("frozen", "optimized"))
    assert 'class="d-mark"' in frozen[0], "a snow crystal"
    assert 'class="d-mark d-full"' in optimized[0], "a triangle"
    assert re.search(r"\.d-gradient\{stroke-dasharray", drawing.style())


def test_numbers_are_those_of_the_networks() -> None:
    assert profiles.receptive_fields("vgg19")[:4] == (3, 5, 10, 14)  # by hand: +2, +2, pool +1, +4, +4
    network = UNet(depth=5, width=0.1)
    bars = profiles.of(network, torch.rand(1, 3, 32, 32))
    assert [side for _, side in bars] == [16, 8, 4, 2, 1, 2, 4, 8, 16, 32]
    assert (bars[0][0], bars[-1][0]) == (6, 3)
    assert profiles.of_vgg("vgg16", ("relu2_1",), 64) == ((64, 64), (64, 64), (128, 32))
    assert profiles.read_at("vgg16", ("relu1_2", "relu2_1")) == (1, 2)
    # conv1_1 and conv1_2 on 4 × 6 positions: 2 · 9 · (3 · 64 + 64 · 64) · 24
    assert profiles.operations("vgg19", ("relu1_2",), 4, 6) == 2 * 9 * (3 * 64 + 64 * 64) * 24
    features = torch.rand(1, 64, 4, 6)
    entries = gram_matrix(features).numel()  # each is a sum of 24 products
    assert profiles.gram_operations("vgg19", ("relu1_1",), 4, 6) == 2 * entries * 24
    assert profiles.parameters(torch.nn.Linear(1000, 2000)) == "2.0 M parameters"
    assert profiles.parameters(torch.nn.Linear(10, 200)) == "2 k parameters"


def test_sections_are_read_from_the_notebook() -> None:
    assert re.fullmatch(r"4\.\d+", section("04_choices", "The start"))
    with pytest.raises(ValueError, match="has 0 sections that begin with 'No such'"):
        section("04_choices", "No such")


def test_every_small_picture_is_used() -> None:
    used = {node.picture for make in DIAGRAMS.values() for node in make().nodes.values() if node.picture}
    assert used == {path.stem for path in THUMBS.glob("*.webp")}


def test_an_index_is_narrower_than_its_letters() -> None:
    assert text_width("G<AB>", 14) == pytest.approx(text_width("G", 14) + 0.75 * text_width("AB", 14))


@pytest.mark.parametrize("name", DIAGRAMS)
def test_the_page_gets_both_drawings_with_their_words(name: str) -> None:
    both = [chapter_diagrams.inline(name, "Words &quot;in&quot; it.", wide=wide) for wide in (True, False)]
    for text, kind in zip(both, ("wide", "narrow"), strict=True):
        root = ElementTree.fromstring(text)
        assert (root.attrib["class"], root.attrib["role"]) == (kind, "img")
        assert root.attrib["aria-label"] == 'Words "in" it.'
    assert ["<style>" in text for text in both] == [True, False], "the page needs the rules once"
