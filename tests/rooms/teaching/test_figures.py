"""Figures: their contents, invalid input, and escaping of text."""

import base64
import io
import re

import pytest
import torch
from PIL import Image

from course_lib import save_image
from course_lib.teaching import figures
from course_lib.teaching.figures import Figure, curves, heatmap, sheet, table


def pictures_in(figure):
    """The pictures inside a figure, decoded."""
    sources = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', figure._repr_html_())
    return [(kind, Image.open(io.BytesIO(base64.b64decode(data)))) for kind, data in sources]


def plain(height=80, width=100, value=0.5):
    return torch.full((1, 3, height, width), value)


def test_a_sheet_has_its_pictures_titles_caption_and_alt():
    figure = sheet([plain(), plain(90, 70, 1.0)], titles=["photo", "painting"], caption="Two of them.", alt="A and B")
    html = figure._repr_html_()
    assert html.startswith("<figure ")
    assert html.endswith("</figure>")
    assert 'aria-label="A and B"' in html
    assert re.search(r"<figcaption[^>]*>Two of them\.</figcaption>", html)
    assert re.findall(r'<img [^>]*alt="([^"]*)"', html) == ["photo", "painting"]
    assert [image.size for _, image in pictures_in(figure)] == [(100, 80), (70, 90)]
    assert (figure.caption, figure.alt) == ("Two of them.", "A and B")
    assert repr(figure) == "<Figure: Two of them.>"
    assert "http" not in html  # nothing is loaded from elsewhere


def test_colors_are_not_mixed_up():
    red = torch.zeros(3, 80, 80)
    red[0] = 1
    (kind, image), *_ = pictures_in(sheet([red], titles=["red"], caption="c", alt="a"))
    assert kind == "webp"
    r, g, b = image.convert("RGB").getpixel((40, 40))
    assert r > 245
    assert max(g, b) < 10


def test_values_outside_the_range_are_clamped():
    (_, image), *_ = pictures_in(sheet([plain(value=1.7)], titles=["t"], caption="c", alt="a"))
    assert image.getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("make", [lambda **o: sheet([plain()], titles=["t"], **o), lambda **o: curves({"a": [1]}, **o)])
@pytest.mark.parametrize("missing", ["caption", "alt"])
@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_figure_without_caption_or_alt_is_refused(make, missing, text):
    with pytest.raises(ValueError, match=f"non-empty {missing}: say what can be seen"):
        make(**{"caption": "c", "alt": "a", missing: text})
    with pytest.raises(TypeError):
        sheet([plain()], titles=["t"], caption="c")


def test_there_must_be_one_title_per_picture():
    for images, titles in (([plain()], []), ([plain()], ["a", "b"]), ([], [])):
        with pytest.raises(ValueError, match=f"got {len(images)} pictures, {len(titles)} titles"):
            sheet(images, titles=titles, caption="c", alt="a")


def test_a_batch_is_not_one_picture():
    with pytest.raises(ValueError, match=r"got shape \(2, 3, 80, 80\)"):
        sheet([torch.zeros(2, 3, 80, 80)], titles=["t"], caption="c", alt="a")
    with pytest.raises(ValueError, match=r"got shape \(5, 80, 80\)"):
        sheet([torch.zeros(5, 80, 80)], titles=["t"], caption="c", alt="a")


def test_text_is_escaped():
    figure = sheet([plain()], titles=['<i>"t" & t'], caption="1 < 2 <script>", alt='"quoted" <b>')
    html = figure._repr_html_()
    assert "<i>" not in html
    assert "<script>" not in html
    assert 'alt="&lt;i&gt;&quot;t&quot; &amp; t"' in html
    assert 'aria-label="&quot;quoted&quot; &lt;b&gt;"' in html
    assert "1 &lt; 2 &lt;script&gt;" in html
    drawn = table([["<x>", 1.23456, 7]], header=["<h>"], caption="<c>")._repr_html_()
    assert not re.search("<[xhc]>", drawn)


def test_tiny_pictures_keep_square_pixels():
    toy = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).expand(1, 1, 2, 2)
    figure = sheet([toy[0], plain()], titles=["toy", "photo"], caption="c", alt="a")
    (_, image), (_, photo) = pictures_in(figure)
    assert image.size == (16, 16)
    assert [image.convert("L").getpixel(at) > 128 for at in ((1, 1), (14, 1), (1, 14), (14, 14))] == [0, 1, 1, 0]
    assert photo.size == (100, 80)
    assert figure._repr_html_().count("image-rendering:pixelated") == 1


def test_large_pictures_are_reduced_to_the_given_size():
    large, small = plain(200, 400), plain(80, 100)
    figure = sheet([large, small], titles=["l", "s"], caption="c", alt="a", size=120)
    assert [image.size for _, image in pictures_in(figure)] == [(120, 60), (100, 80)]


def test_a_stored_file_is_embedded_unchanged(tmp_path):
    path = tmp_path / "a.webp"
    save_image(plain(), path)
    figure = sheet([path], titles=["t"], caption="c", alt="a")
    assert base64.b64encode(path.read_bytes()).decode() in figure._repr_html_()
    assert pictures_in(figure)[0][0] == "webp"
    save_image(plain(), tmp_path / "a.jpg")
    ((kind, image),) = pictures_in(sheet([tmp_path / "a.jpg"], titles=["t"], caption="c", alt="a"))
    assert (kind, image.size) == ("webp", (100, 80))


def test_the_html_states_the_size_of_every_picture():
    (tag,) = re.findall("<img [^>]+>", sheet([plain()], titles=["t"], caption="c", alt="a")._repr_html_())
    assert 'width="100" height="80" loading="lazy" decoding="async"' in tag
    (tag,) = re.findall("<img [^>]+>", curves({"a": [1.0, 2.0]}, caption="c", alt="a")._repr_html_())
    assert f'width="{round(figures._WIDTH * figures._DPI)}" height="420" loading="lazy"' in tag


@pytest.mark.parametrize(
    ("count", "columns", "percent"), [(1, None, 100), (3, None, 33.3333), (9, None, 25), (9, 3, 33.3333)]
)
def test_columns(count, columns, percent):
    html = sheet([plain()] * count, titles=["t"] * count, caption="c", alt="a", columns=columns)._repr_html_()
    assert html.count(f"calc({percent:.4f}%") == count


def test_curves_draw_every_line_on_the_requested_axis(monkeypatch):
    from matplotlib.figure import Figure as Canvas

    drawn = []
    original = Canvas.savefig
    monkeypatch.setattr(Canvas, "savefig", lambda self, *a, **k: drawn.append(self) or original(self, *a, **k))
    lines = {f"layer {i}": [10.0 / (i + 1), 1.0, 0.1] for i in range(9)}  # more lines than colors
    figure = curves(lines, caption="It falls.", alt="Nine curves fall", ylabel="loss")
    curves({"b": [1.0, 2.0]}, caption="c", alt="a", log=False, x=[100, 200], xlabel="size")
    (axes,) = drawn[0].axes
    assert [line.get_label() for line in axes.lines] == list(lines)
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]
    assert list(axes.lines[0].get_ydata()) == [10.0, 1.0, 0.1]
    assert (axes.get_yscale(), axes.get_xlabel(), axes.get_ylabel()) == ("log", "step", "loss")
    (axes,) = drawn[1].axes
    assert (axes.get_yscale(), axes.get_xlabel(), list(axes.lines[0].get_xdata())) == ("linear", "size", [100, 200])
    assert axes.get_legend() is None
    curves({"c": [1.0, 2.0]}, caption="c", alt="a", x=["relu1_1", "relu2_1"])
    assert [label.get_text() for label in drawn[2].axes[0].get_xticklabels()] == ["relu1_1", "relu2_1"]
    assert 'alt="Nine curves fall"' in figure._repr_html_()
    ((kind, image),) = pictures_in(figure)
    assert kind == "webp"
    assert image.width == round(figures._WIDTH * figures._DPI)


def test_curves_without_lines_are_refused():
    with pytest.raises(ValueError, match="at least one line"):
        curves({}, caption="c", alt="a")


def test_a_table_rounds_floats_and_aligns_numbers():
    html = table([["relu1_1", 0.123456, 64]], header=["layer", "mean", "channels"], caption="Means")._repr_html_()
    assert '<th scope="col">layer</th>' in html
    assert "<td>relu1_1</td>" in html
    assert '<td style="text-align:right">0.1235</td>' in html
    assert '<td style="text-align:right">64</td>' in html
    assert "<figcaption" in html


def test_a_heatmap_runs_from_black_to_white():
    gray = heatmap(torch.tensor([[-2.0, 0.0], [1.0, 2.0]], dtype=torch.float64))
    assert gray.shape == (1, 3, 2, 2)
    assert gray[0, 1].tolist() == [[0.0, 0.5], [0.75, 1.0]]
    assert gray.dtype == torch.float32
    assert heatmap(torch.ones(2, 2)).abs().max() == 0  # constant: no division by zero


def test_a_colored_heatmap_keeps_order_and_position():
    picture = heatmap(torch.tensor([[0.0, 1.0, 2.0]]), colors="magma")
    assert picture.shape == (1, 3, 1, 3)
    brightness = picture.mean(1).flatten()
    assert brightness[0] < 0.05 < brightness[1] < brightness[2]
    assert picture[0, 0, 0, 2] > picture[0, 2, 0, 2]  # magma ends in a yellow: more red than blue


def test_the_kind_of_a_figure_is_its_css_class():
    assert Figure("<p>x</p>", "c", "a", kind="sheet table")._repr_html_().startswith('<figure class="sheet table"')


def test_a_stored_picture_is_reduced_only_if_it_exceeds_the_size(tmp_path):
    path = tmp_path / "run.webp"
    save_image(torch.rand(1, 3, 40, 80), path)
    as_stored = sheet([path], titles=["run"], caption="c", alt="a", size=80)._repr_html_()
    assert base64.b64encode(path.read_bytes()).decode() in as_stored
    reduced = sheet([path], titles=["run"], caption="c", alt="a", size=70)._repr_html_()
    data = re.search(r"data:image/webp;base64,([^\"]+)", reduced)[1]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (70, 35)


def test_no_picture_of_a_sheet_is_shown_at_more_than_twice_its_size():
    words = {"caption": "c", "alt": "a"}
    html = sheet([plain(), plain(90, 70)], titles=["a", "b"], **words)._repr_html_()
    assert "max-width:400px" in html  # two columns of at most 2 × 100 pixels
    assert "max-width:600px" in sheet([plain()] * 6, titles=list("abcdef"), columns=3, **words)._repr_html_()
    assert "max-width:" not in sheet([plain(5, 5)], titles=["toy"], **words)._repr_html_()  # square pixels
