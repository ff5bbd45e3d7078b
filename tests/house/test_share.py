"""What a published copy says about itself, and that one place says where it is published."""

import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import book_share as share
import pytest
import yaml
from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

from scripts import cards, repository

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = {".git", ".venv", "_build", "node_modules", "__pycache__", ".ipynb_checkpoints"}


def test_nothing_but_the_listed_places_holds_the_address() -> None:
    name = repository.current().removeprefix("https://github.com/")
    site = share.site_address(repository.current()).removeprefix("https://").rstrip("/")
    holders = set()
    for folder, below, files in os.walk(ROOT):
        below[:] = [child for child in below if child not in LEFT_OUT and not child.endswith("_cache")]
        for file in files:
            path = Path(folder) / file
            if path.suffix in {
                ".md",
                ".py",
                ".yml",
                ".ipynb",
                ".toml",
                ".cff",
                ".json",
                ".sh",
                ".html",
                ".js",
                ".txt",
                "",
            }:
                text = path.read_text(encoding="utf-8", errors="replace")
                if name in text or site in text:
                    holders.add(path)
    assert holders <= set(repository.places())
    assert ROOT / "_config.yml" in holders


def test_every_notebook_installs_from_the_address() -> None:
    """Also an assignment, and the copy that its teacher keeps."""
    for path in (ROOT / "notebooks").glob("**/*.ipynb"):
        text = path.read_text(encoding="utf-8")
        if "google.colab" in text:
            assert f"git+{repository.current()}" in text, path.name


def test_the_edit_button_leads_to_the_source() -> None:
    text = (ROOT / "_config.yml").read_text(encoding="utf-8")
    assert "use_edit_page_button: true" in text
    assert re.search(r'path_to_book: ""', text), (
        "pages stand in the repository where _toc.yml says: book/ and notebooks/"
    )


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://github.com/Some-One/a.book", "https://some-one.github.io/a.book/"),
        ("https://github.com/someone/someone.github.io", "https://someone.github.io/"),
        ("https://github.com/someone/book.git", "https://someone.github.io/book/"),
    ],
)
def test_the_site_follows_from_the_repository(url: str, site: str) -> None:
    assert share.site_address(url) == site


def test_another_host_is_refused() -> None:
    with pytest.raises(ValueError, match="OWNER/NAME"):
        share.site_address("https://example.org/me/book")


def page_with(*paragraphs: str) -> nodes.document:
    tree = nodes.document(None, None)
    section = nodes.section("", nodes.title("", "Title"))
    for text in paragraphs:
        section += nodes.paragraph("", "", nodes.Text(text))
    tree += section
    return tree


def test_a_description_is_the_first_text_cut_at_a_word() -> None:
    long = "The claim. " + "word and " * 60
    text = share.description(page_with(long))
    assert text.startswith("word and")
    assert text.endswith((" word …", " and …"))
    assert len(text) <= share.LONGEST
    assert share.description(page_with("Short.", "A second one.")) == "Short. A second one."
    assert share.description(None) == ""


CHAPTER = """# 1. A & B, "quoted" (Somebody, 2015)

**The claim.** d & e are "alike": `"d" < "f"`.
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of two pages, built with the settings of _config.yml for https://github.com/X/y."""
    folder = tmp_path_factory.mktemp("share")
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]
    ours = {key: value for key, value in settings["config"].items() if re.match("ogp_|sitemap_|notfound_", key)}
    used = [name for name in settings["extra_extensions"] if not name.startswith("sphinx.")]
    confoverrides = {
        **ours,
        "extensions": ["myst_parser", *used, "book_share"],
        "root_doc": "book/intro",
        "html_title": "A & B",
        "html_theme": "sphinx_book_theme",
        "html_theme_options": {"repository_url": "https://github.com/X/y"},
        "html_static_path": [str(ROOT / "book" / "_static")],
    }
    (folder / "book").mkdir()
    (folder / "notebooks").mkdir()
    (folder / "book" / "intro.md").write_text("# Intro\n\nHello.\n\n```{toctree}\n../notebooks/01_a\n```\n")
    (folder / "notebooks" / "01_a.md").write_text(CHAPTER)
    out = folder / "html"
    said = io.StringIO()
    Sphinx(folder, None, out, folder / "trees", "html", confoverrides, status=None, warning=said).build()
    assert said.getvalue() == ""
    return out


class Tags(HTMLParser):
    """What a page's `<meta>` tags say, and where its other tags lead."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.said: dict[str, list[str]] = {}
        self.targets: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "meta":
            key = values.get("property") or values.get("name") or values.get("http-equiv", "")
            self.said.setdefault(key, []).append(values.get("content", ""))
        self.targets += [values[name] for name in ("href", "src", "action") if name in values]


def test_a_page_names_its_card_once(site: Path) -> None:
    said = Tags(site / "notebooks" / "01_a.html").said
    assert said["og:title"] == ["1. A & B, “quoted” (Somebody, 2015)"]
    assert said["description"] == said["og:description"] == ['d & e are “alike”: "d" < "f".']
    assert said["og:url"] == ["https://x.github.io/y/notebooks/01_a.html"]
    assert said["og:image"] == ["https://x.github.io/y/_static/og.jpg"]
    assert said["og:type"] == ["article"]
    assert said["og:image:alt"][0].startswith("A castle")
    assert said["twitter:card"] == ["summary_large_image"]
    with Image.open(site / "_static" / "og.jpg") as card:
        assert card.size == (int(said["og:image:width"][0]), int(said["og:image:height"][0])) == cards.CARD


def test_every_page_has_its_icons(site: Path) -> None:
    for page in ("book/intro.html", "notebooks/01_a.html", "404.html"):
        icons = [target for target in Tags(site / page).targets if target.endswith(".png")]
        for name, side in (("favicon-32.png", 32), ("apple-touch-icon.png", 180)):
            (icon,) = (target for target in icons if target.endswith(name))
            place = site / icon.removeprefix("/y/") if icon.startswith("/y/") else (site / page).parent / icon
            with Image.open(place) as picture:
                assert picture.size == (side, side)


def test_a_lost_reader_finds_every_chapter_from_any_depth(site: Path) -> None:
    lost = Tags(site / "404.html")
    inner = [target for target in lost.targets if not target.startswith(("http", "#", "mailto:"))]
    assert {"/y/notebooks/01_a.html", "/y/book/intro.html", "/y/search.html"} <= set(inner)
    assert all(target.startswith("/y/") for target in inner), "a 404 page stands at any depth: nothing relative"
    for target in inner:
        assert (site / target.removeprefix("/y/").partition("?")[0]).exists(), target
    assert lost.said["robots"] == ["noindex"]


def test_the_files_beside_the_pages(site: Path) -> None:
    tree = ElementTree.parse(site / "sitemap.xml").getroot()
    places = [place.text for place in tree.iter() if place.tag.endswith("}loc")]
    assert places == ["https://x.github.io/y/book/intro.html", "https://x.github.io/y/notebooks/01_a.html"]
    assert "Sitemap: https://x.github.io/y/sitemap.xml" in (site / "robots.txt").read_text()
    assert (site / ".nojekyll").exists()
    first, page = Tags(site / "index.html").said, Tags(site / "book" / "intro.html").said
    assert first["Refresh"] == ["0; url=book/intro.html"]
    assert first["og:url"] == ["https://x.github.io/y/"]
    assert first["og:type"] == ["website"]
    same = {"og:title", "og:description", "description", "og:image", "og:image:alt", "twitter:card"}
    assert {key: first[key] for key in same} == {key: page[key] for key in same}
    assert "<title>A &amp; B</title>" in (site / "index.html").read_text()


def test_icons_are_drawn_from_the_one_drawing() -> None:
    icon = cards.logo(96)
    assert icon.getpixel((0, 0))[3] == 0
    assert icon.getpixel((48, 88))[:3] == (0x16, 0x32, 0x4F)
    assert icon.getpixel((24, 24))[:3] == (0xFD, 0xF6, 0xE3)
