"""The gallery: its page shows what scripts/gallery.py paints, and the command below a picture has made it."""

import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import components
import pytest
import torch
from docutils import nodes
from docutils.parsers.rst import DirectiveError
from docutils.statemachine import StringList
from PIL import Image

from course_lib.__main__ import main, parsed
from course_lib.images import load_image
from course_lib.samples import sample_image
from course_lib.teaching import records
from scripts import gallery

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "gallery.md").read_text(encoding="utf-8")
LOOK = "The castle keeps its towers & walls."


# --- the pieces
def test_the_page_hangs_every_piece_once_and_in_order() -> None:
    assert re.findall(r"^```\{painting\} (\S+)$", PAGE, re.MULTILINE) == [piece.name for piece in gallery.PIECES]


OPTIMIZED = [piece for piece in gallery.PIECES if piece.transform is None]
IN_ONE_PASS = [piece for piece in gallery.PIECES if piece.transform]


@pytest.mark.parametrize("piece", OPTIMIZED, ids=lambda piece: piece.name)
def test_a_command_is_understood_as_it_is_meant(piece: gallery.Piece) -> None:
    config, size = gallery.settings(piece.command())
    assert size == gallery.SIZE
    assert config.start == "noise", "from noise, the page says"
    assert config.scales is not None, "from coarse to fine, the page says"
    assert max(config.scales) < size


@pytest.mark.parametrize("piece", IN_ONE_PASS, ids=lambda piece: piece.name)
def test_a_command_for_one_pass_is_understood(piece: gallery.Piece) -> None:
    options = parsed(shlex.split(piece.command())[3:])
    assert (options.method, options.transform, options.size) == ("adain", piece.transform, gallery.SIZE)


@pytest.mark.parametrize("piece", gallery.PIECES, ids=lambda piece: piece.name)
def test_a_stored_picture_was_painted_by_its_command(piece: gallery.Piece) -> None:
    record = records.load(piece.record, profile="laptop")
    assert record.command == piece.command(), f"paint it again: python -m scripts.gallery {piece.name}"
    assert (record.values["content"], record.values["style"]) == (piece.content, piece.style)
    assert {piece.content, piece.style} <= set(record.inputs)
    with Image.open(components.picture_of(record)) as picture:
        assert max(picture.size) == gallery.SIZE


@pytest.mark.real_weights
@pytest.mark.parametrize("piece", [OPTIMIZED[0], OPTIMIZED[-1]], ids=lambda piece: piece.name)
def test_a_command_paints(piece: gallery.Piece, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    target = tmp_path / "painted.png"
    words = shlex.split(piece.command(size=64))
    assert words[:3] == ["python", "-m", "course_lib"]
    assert main([*words[3:], "--steps", "2", "--device", "cpu", "-o", str(target)]) == 0
    painted, photo = load_image(target), sample_image(piece.content, 64)
    assert painted.shape == photo.shape
    assert (painted - photo).abs().mean() > 0.02


@pytest.mark.real_weights
def test_a_command_paints_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    piece, target = IN_ONE_PASS[0], tmp_path / "painted.png"
    assert main([*shlex.split(piece.command(size=64))[3:], "--device", "cpu", "-o", str(target)]) == 0
    painted, photo = load_image(target), sample_image(piece.content, 64)
    assert painted.shape == photo.shape
    assert (painted - photo).abs().mean() > 0.02


# --- the directive
@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of records with one picture, 900 × 600 pixels."""
    monkeypatch.setenv("COURSE_LIB_RESULTS", str(tmp_path / "results"))
    with records.run("gallery_pagoda_wave", profile="laptop", seed=0, command="python -m x 'a b'") as run:
        run.images["painted"] = torch.rand(1, 3, 600, 900)
        run.values = {"content": "pagoda", "style": "great_wave", "seconds": 61.6}
    return tmp_path / "results"


def directive(name: str, *lines: str, **options: str) -> tuple[list[nodes.Node], list[str]]:
    """What it puts on a page, and the files on which the page then depends."""
    files: list[str] = []
    page = SimpleNamespace(note_dependency=files.append)
    state: Any = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=page)))
    machine: Any = SimpleNamespace(reporter=None)
    body = StringList(list(lines), "gallery.md")
    kind = components.Translator if {"given", "truth"} & set(options) else components.Painting
    return kind("", [name], options, body, 1, 0, "", state, machine).run(), files


def test_a_painting_hangs_with_what_it_was_made_from(stored: Path) -> None:
    (before, command, after), files = directive("pagoda_wave", LOOK)
    text = before.astext()
    assert (
        '<a class="full" href="../_static/gallery/pagoda_wave.webp"><img loading="lazy" width="640" height="427"'
        in text
    )
    assert 'alt="Summer Palace, after The Great Wave off Kanagawa. The castle keeps its towers &amp; walls."' in text
    assert "Palace, after <cite>The Great Wave off Kanagawa</cite> (Katsushika Hokusai, c. 1831)" in text
    for thumbnail in ("content/pagoda_jpg.webp", "style/great_wave_jpg.webp"):
        assert f'loading="lazy" src="../_static/credits/{thumbnail}"' in text
    assert command.astext() == "python -m x 'a b'"
    for words in ("62 seconds on ", '"../notebooks/03_gatys.html">chapter 3<', "danielbuechele", "licenses/by/2.0"):
        assert words in after.astext()
    assert (text + after.astext()).count("<figure") == (text + after.astext()).count("</figure>") == 1
    assert str(stored / "gallery_pagoda_wave" / "record.json") in files


def test_a_painting_may_name_its_photograph_and_its_chapter(stored: Path) -> None:
    (before, _, after), _ = directive("pagoda_wave", LOOK, photo="A <pagoda>", chapter="05_what_it_costs")
    assert '<p class="title">A &lt;pagoda&gt;, after' in before.astext()
    assert "05_what_it_costs.html" in after.astext()
    assert "chapter 5" in after.astext()


@pytest.mark.parametrize(
    ("name", "lines", "options", "says"),
    [
        ("pagoda_night", [LOOK], {}, r"no stored run gallery_pagoda_night.*python -m scripts\.gallery pagoda_night"),
        ("pagoda_wave", [], {}, "pagoda_wave has no words: write one or two sentences"),
        ("pagoda_wave", [LOOK], {"chapter": "3"}, r"no notebooks/3\.ipynb; name a chapter, for example 03_gatys"),
    ],
    ids=["no record", "no words", "no chapter"],
)
def test_its_errors_say_what_to_do(
    stored: Path, name: str, lines: list[str], options: dict[str, str], says: str
) -> None:
    with pytest.raises(DirectiveError) as raised:
        directive(name, *lines, **options)
    assert re.search(says, raised.value.msg)


def test_the_pictures_are_written_in_full_and_light(stored: Path, tmp_path: Path) -> None:
    app: Any = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=str(tmp_path / "html"))
    components.hang(app, None)
    folder = tmp_path / "html" / "_static" / "gallery"
    full = (stored / "gallery_pagoda_wave" / "painted.webp").read_bytes()
    assert (folder / "pagoda_wave.webp").read_bytes() == full
    with Image.open(folder / "pagoda_wave_light.webp") as light:
        assert light.size == (640, 427)


def test_only_a_page_with_figures_loads_the_script() -> None:
    added: list[str] = []
    app: Any = SimpleNamespace(add_js_file=lambda name, **_: added.append(name))
    components.add_script(app, "book/map", "page.html", {"body": "<p>the word figure</p>"}, None)
    assert added == []
    components.add_script(app, "book/gallery", "page.html", {"body": '<figure class="painting" id="x">'}, None)
    assert added == ["pictures.js"]


# --- a network without pairs
TITLES = {"given": "by day", "translated": "translated", "truth": "drawn at dusk"}


def test_a_translator_shows_its_streets_and_the_errors_of_its_stored_run() -> None:
    (figure,), files = directive("clear_dusk", LOOK, **TITLES)
    record, text = records.load("model_clear_dusk", profile="laptop"), figure.astext()
    assert text.count("<img") == 3 * components.SHOWN
    for title in TITLES.values():
        assert text.count(f'">{title}</div>') == components.SHOWN
    better, transfer, same = (record.values["error"][name] for name in ("CycleGAN", "color transfer", "as it is"))
    assert better < transfer < same
    assert f"on 24 streets outside the training set: {better:.3f}; after one map of all colors, {transfer:.3f}" in text
    assert f"as it is, {same:.3f}." in text
    assert str(ROOT / "data" / "results" / "model_clear_dusk" / "record.json") in files


@pytest.mark.parametrize(
    ("name", "lines", "options", "says"),
    [
        ("clear_snow", [LOOK], TITLES, r"no stored run model_clear_snow.*python -m scripts\.models clear_snow"),
        ("great_wave", [LOOK], TITLES, "no stored run model_great_wave with errors"),
        ("clear_dusk", [], TITLES, "needs words on what to look at"),
        ("clear_dusk", [LOOK], {"given": "by day"}, "and the titles of its pictures"),
    ],
    ids=["no record", "a painter", "no words", "no titles"],
)
def test_a_translator_s_errors_say_what_to_do(name: str, lines: list[str], options: dict[str, str], says: str) -> None:
    with pytest.raises(DirectiveError) as raised:
        directive(name, *lines, **options)
    assert re.search(says, raised.value.msg)


def fake(folder: Path, name: str, values: dict[str, Any], images: dict[str, tuple[int, int]]) -> None:
    """A stored run of a translator, with pictures (H, W) of one gray."""
    with records.run(f"model_{name}", profile="laptop", seed=0) as run:
        run.values |= values
        run.images |= {label: torch.full((1, 3, *size), 0.5) for label, size in images.items()}


ERROR = {"as it is": 0.3, "color transfer": 0.2}


@pytest.mark.parametrize(
    ("name", "values", "images", "titles", "said"),
    [
        (
            "weathers",
            {
                "error": {**ERROR, "StarGAN": 0.1},
                "error of each translation": {"StarGAN": {"a": {"b": 1}, "b": {"a": 1}}},
            },
            {
                f"street {k}, {kind}": (64, 64 if kind == "given" else 512)
                for k in range(3)
                for kind in ("given", "translated", "truth")
            },
            {"translated": "translated", "truth": "drawn so"},
            "on streets outside the training set, from each of 2 weathers to each other: 0.100; after one map of all "
            "colors, 0.200; of the street as it is, 0.300.",
        ),
        (
            "plaster_brick",
            {
                "error": {**ERROR, "U-GAT-IT": 0.1},
                "correlation of the attention with the change": {"trained": [0.5] * 5},
            },
            {
                f"street {k}, {kind}": (64, 64)
                for k in range(3)
                for kind in ("given", "translated", "truth", "attention", "changed")
            },
            {
                "given": "plaster",
                "translated": "brick",
                "truth": "drawn so",
                "attention": "looks here",
                "changed": "here",
            },
            "on 5 streets outside the training set: 0.100;",
        ),
        (
            "cartoon",
            {
                "error": {"the photo itself": 0.3, "color transfer": 0.2, "AnimeGAN": 0.1},
                "error of each photo": {"the photo itself": {"cat": 1}, "AnimeGAN": {"cat": 1, "dog": 2}},
            },
            {
                f"{photo}, {kind}": (60, 90)
                for photo in ("cat", "dog", "owl")
                for kind in ("photo", "drawn", "by the filter")
            },
            {"given": "photo", "translated": "drawn by the network", "truth": "drawn by the filter"},
            "on 2 photos outside the training set: 0.100; after one map of all colors, 0.200; of the photo as it",
        ),
    ],
)
def test_translators_of_every_kind_show_their_pictures_and_errors(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    values: dict[str, Any],
    images: dict[str, tuple[int, int]],
    titles: dict[str, str],
    said: str,
) -> None:
    monkeypatch.setenv("COURSE_LIB_RESULTS", str(tmp_path))
    fake(tmp_path, name, values, images)
    (figure,), _ = directive(name, LOOK, **titles)
    text = figure.astext()
    assert said in text
    assert text.count("<img") == len(titles) * components.SHOWN
    for title in titles.values():
        assert text.count(f'">{title}</div>') == components.SHOWN
    if name == "cartoon":
        with pytest.raises(DirectiveError) as raised:
            directive(name, LOOK, **titles, attention="there is no such picture")
        assert "no stored run model_cartoon with errors" in raised.value.msg


@pytest.mark.parametrize("name", ["clear_dusk", "weathers", "plaster_brick", "cartoon"])
def test_every_network_without_pairs_hangs_on_the_page_and_its_commands_are_understood(name: str) -> None:
    page = (ROOT / "book" / "gallery.md").read_text(encoding="utf-8")
    assert f"```{{translator}} {name}\n" in page
    part = next(part for part in page.split("\n## ") if f"{{translator}} {name}" in part)
    commands = re.findall(r"^python -m course_lib (translate .*)$", part, re.MULTILINE)
    assert commands
    for command in commands:
        assert parsed(shlex.split(command)).model == name
    titles = dict(re.findall(r"^:(\w+): (.+)$", part.partition("{translator}")[2], re.MULTILINE))
    (figure,), _ = directive(name, LOOK, **titles)
    assert figure.astext().count("<img") == len(titles) * components.SHOWN
