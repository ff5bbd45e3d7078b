"""What a published copy says about itself, and that one place says where it is published."""

import os
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import book_share as share
import pytest
from docutils import nodes
from PIL import Image

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


def test_tags_are_escaped_and_name_the_card() -> None:
    text = share.tags('A "b" <c>', "d & e", "https://x.github.io/y/p.html", "https://x.github.io/y/", "Book")
    tree = ElementTree.fromstring(f"<head>{text}</head>")
    found = {meta.get("property") or meta.get("name"): meta.get("content") for meta in tree}
    assert found["og:title"] == 'A "b" <c>'
    assert found["description"] == found["og:description"] == "d & e"
    assert found["og:image"] == "https://x.github.io/y/_static/og.jpg"
    assert found["twitter:card"] == "summary_large_image"
    with Image.open(ROOT / "book" / share.CARD[0]) as card:
        assert card.size == (int(str(found["og:image:width"])), int(str(found["og:image:height"]))) == cards.CARD
    for name, side in (("apple-touch-icon.png", 180), ("favicon-32.png", 32)):
        with Image.open(ROOT / "book" / "_static" / name) as icon:
            assert icon.size == (side, side)


def test_the_files_beside_the_pages(tmp_path: Path) -> None:
    titles = {name: nodes.title("", f"{name} <1>") for name in ("book/intro", "notebooks/01_a", "search")}
    app = SimpleNamespace(
        builder=SimpleNamespace(format="html"),
        outdir=tmp_path,
        config=SimpleNamespace(html_baseurl="https://x.github.io/y/", html_title="A & B", root_doc="book/intro"),
        env=SimpleNamespace(get_doctree=lambda _: page_with("Hello."), titles=titles, found_docs=set(titles)),
    )
    share.write_around(app, None)
    lost = (tmp_path / "404.html").read_text()
    targets = re.findall(r'(?:href|action|src)="([^"]*)"', lost)
    assert targets
    assert all(target.startswith("/y/") for target in targets), "a 404 page stands at any depth: nothing relative"
    assert "/y/notebooks/01_a.html" in targets
    assert not re.search(r"BASE|FIRST|TITLE|CHAPTERS", lost)
    tree = ElementTree.parse(tmp_path / "sitemap.xml").getroot()
    places = [place.text for place in tree.iter() if place.tag.endswith("}loc")]
    assert places == ["https://x.github.io/y/book/intro.html", "https://x.github.io/y/notebooks/01_a.html"]
    assert "Sitemap: https://x.github.io/y/sitemap.xml" in (tmp_path / "robots.txt").read_text()
    first = (tmp_path / "index.html").read_text()
    assert 'content="0; url=book/intro.html"' in first
    assert 'property="og:image"' in first
    assert "A &amp; B" in first


def test_icons_are_drawn_from_the_one_drawing() -> None:
    icon = cards.logo(96)
    assert icon.getpixel((0, 0))[3] == 0
    assert icon.getpixel((48, 88))[:3] == (0x16, 0x32, 0x4F)
    assert icon.getpixel((24, 24))[:3] == (0xFD, 0xF6, 0xE3)
