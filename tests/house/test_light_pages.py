"""What happens to finished pages: pictures as files with their size, and nothing else touched."""

import base64
import io
from pathlib import Path

import book_light as light
import pydata_sphinx_theme
import pytest
from fontTools.ttLib import TTFont
from PIL import Image


def picture(width: int, height: int, kind: str = "webp") -> bytes:
    file = io.BytesIO()
    noise = Image.effect_noise((width, height), 90).convert("RGB")
    noise.save(file, format=kind.upper())
    return file.getvalue()


def uri(data: bytes, kind: str = "webp") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "a" / "b" / "page.html"
    file.parent.mkdir(parents=True)
    return file


def lighten(text: str, page: Path) -> tuple[str, list[dict[str, str]]]:
    new = light.lighten(text, page, page.parents[2])
    return new, [values for _, _, values, _, _ in light.Pictures(new).found]


def test_a_data_uri_becomes_a_file_that_the_page_finds(page: Path) -> None:
    data = picture(90, 60)
    new, (image,) = lighten(f'<p>x</p>\n<article><img alt="a > b" src="{uri(data)}"></article>', page)
    assert "base64" not in new
    assert (page.parent / image["src"]).read_bytes() == data
    assert image["src"].startswith("../../_images/")
    assert (image["width"], image["height"], image["alt"]) == ("90", "60", "a > b")
    again = light.lighten(new, page, page.parents[2])
    assert again == new


def test_the_first_figure_comes_at_once_and_the_others_when_they_are_near(page: Path) -> None:
    one = uri(picture(60, 60))
    sheet = f"<figure><img src={one!r} loading=lazy><img src={one!r}></figure>"
    _, images = lighten(f"<img src={one!r}><article>{sheet}{sheet}<img loading='eager' src={one!r}></article>", page)
    assert [image.get("fetchpriority") for image in images] == [None, "high", None, None, None, None]
    assert [image.get("loading") for image in images] == [None, "eager", None, "lazy", "lazy", "eager"]
    assert all(image["decoding"] == "async" for image in images)


def test_what_is_no_img_is_left_as_it_was(page: Path) -> None:
    one = uri(picture(60, 60))
    text = (
        f"<!doctype html>\u2028<script>const a = '<img src=\"{one}\">';</script>\r\n<!-- <img src='{one}'> -->"
        f'<div data-frames=\'["{one}"]\'>a &lt; b<br/></div><source srcset="{one}">\n<textarea><p></textarea>'
    )
    assert lighten(text, page) == (text, [])
    new, (image,) = lighten(text + f"<img src='{one}'/>", page)
    assert new.startswith(text)
    assert image["src"].endswith(".webp")


def test_sizes_that_were_given_stay_and_small_ones_stay_inside(page: Path) -> None:
    small = uri(picture(4, 4, "png"), "png")
    assert len(small) < light.LEAST
    (page.parent / "s.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 48"><g/></svg>')
    (page.parent / "p.png").write_bytes(picture(80, 40, "png"))
    text = f'<img src="{small}"><img src="s.svg"><img src="p.png" height="20"><img src="p.png" width="8" height="4">'
    new, images = lighten(text + '<img src="gone.png"><img src="https://example.org/x.png">', page)
    assert small in new
    sizes = [(image.get("width"), image.get("height")) for image in images]
    assert sizes == [("4", "4"), ("96", "48"), ("40", "20"), ("8", "4"), (None, None), (None, None)]


def test_icons_that_no_page_shows_are_cut(tmp_path: Path) -> None:
    theme = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
    (source,) = (theme / "vendor" / "fontawesome").glob("*")
    target = tmp_path / "_static" / "vendor" / "fontawesome" / source.name
    for name in ("css/all.min.css", "webfonts/fa-solid-900.ttf", "webfonts/fa-solid-900.woff2", "js/all.min.js"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((source / name).read_bytes())
    (tmp_path / "_static" / "theme.css").write_text('a:after{content:"\\f08e"}')
    light.cut_icons(tmp_path, {"fa-rocket"})
    sheet = (target / "css" / "all.min.css").read_text()
    assert ".fa-rocket:before" in sheet
    assert ".fa-cow:before" not in sheet
    assert ".woff2" not in sheet
    assert {0xF135, 0xF08E} <= set(TTFont(target / "webfonts" / "fa-solid-900.ttf").getBestCmap())
    assert (target / "webfonts" / "fa-solid-900.ttf").stat().st_size < 5000
    assert not list((target / "js").iterdir())


def test_what_is_kept_for_later_becomes_a_script_that_the_page_finds(page: Path) -> None:
    """Once: a second pass leaves the page as it is. Pages with the same content share the file."""
    text = '<article><template class="later">{"sheets":["data:image/webp;base64,AAAA"]}</template></article>'
    new = light.set_aside(text, page, page.parents[2])
    source = new.split('data-src="')[1].split('"')[0]
    script = (page.parent / source).resolve()
    name = script.name
    assert script.read_text() == (
        f'(globalThis.playLater ??= {{}})["{name}"] = {{"sheets":["data:image/webp;base64,AAAA"]}};\n'
    )
    assert new.endswith(' data-bytes="42"></template></article>')
    assert light.set_aside(new, page, page.parents[2]) == new
    assert light.set_aside(text, page.with_name("other.html"), page.parents[2]) == new
