"""The page that paints: what its networks compute is what PyTorch computes, and its controls do what they say."""

import base64
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from book.try_it import export, onnx_graph
from course_lib.data.facades import weather_photos
from course_lib.methods import johnson, pix2pix

Visitor = Callable[..., Any]
PAGE, PAINT, ANY, DRAW = "book/try_it/index.html", "#studio-paint", "#studio-any", "#studio-draw"
DUSK, NOISE, CAMERA = "#studio-dusk", "#studio-noise", "#studio-camera"
WAIT = 120_000  # ms; a slow machine shared by many
EXACT = 1e-4  # of the range of a color: float32 sums in another order (2e-6 seen), and nothing else
LEVELS = 0.52  # of 255: the canvas rounds to whole numbers, and a sum in another order may fall on the other side


@pytest.fixture
def page(visitor: Visitor) -> Any:
    """The page with its small networks loaded when they are asked for; complaints are checked at the end."""
    if not (export.FOLDER / "runtime" / "ort.mjs").exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(" ".join(export.find_runtime().notes))
    opened = visitor(PAGE)
    opened.page.set_default_timeout(WAIT)
    opened.page.wait_for_selector(f"{PAINT}.live")
    yield opened.page
    assert opened.said == []


def with_any_style() -> bool:
    return (export.FOLDER / "models" / "any_decoder.onnx").exists()


def pixels(page: Any, selector: str) -> torch.Tensor:
    """A canvas as (1, 3, H, W), in whole levels from 0 to 255."""
    url = page.eval_on_selector(selector, "(canvas) => canvas.toDataURL('image/png')")
    picture = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()


def painted(page: Any, painter: str, before: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return 255 * onnx_graph.rounded(johnson.load(painter).network)(before / 255)


def choose(page: Any, panel: str, name: str, value: str) -> None:
    page.locator(f"{panel} input[name={name}][value='{value}']").check(force=True)


def wait_for(page: Any, panel: str, words: str) -> None:
    page.wait_for_function(
        "([panel, words]) => document.querySelector(`${panel} [role=status]`).textContent.includes(words)",
        arg=[panel, words],
    )


def paint(page: Any) -> None:
    page.click(f"{PAINT} [data-do=go]")
    page.wait_for_selector(f"{PAINT} [role=status][data-kind=done]")
    page.wait_for_selector(f"{PAINT}:not(.busy)")


def test_every_network_computes_what_pytorch_computes(page: Any) -> None:
    """At sizes that are no multiple of four; the sketcher at its own size."""
    page.evaluate(
        """async () => {
          const {Engine} = await import(new URL("../../_static/try_it/engine.js", location.href).href);
          const {root, sizes, runtime} = document.querySelector("#studio-paint").dataset;
          window.engine = new Engine(new URL(root, document.baseURI).href, JSON.parse(sizes), Number(runtime));
        }"""
    )
    run = """async ([name, data, width, height]) => {
      await engine.ready(name);
      return Array.from((await engine.run(name, {data: Float32Array.from(data), width, height})).data);
    }"""
    for name in (*export.PAINTERS, *export.stable(), export.SKETCHER, *export.TRANSLATORS):
        height, width = (128, 128) if name == export.SKETCHER else (45, 62)
        image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
        found = torch.tensor(page.evaluate(run, [name, image.flatten().tolist(), width, height])).view_as(image)
        with torch.inference_mode():
            expected = onnx_graph.rounded(export.network(name))(image)
        torch.testing.assert_close(found, expected, rtol=0, atol=EXACT, msg=lambda text, n=name: f"{n}: {text}")


def test_a_click_paints_the_photograph(page: Any) -> None:
    fetched = "() => performance.getEntriesByType('resource').map((entry) => entry.name).join(' ')"
    assert "ort.wasm" not in page.evaluate(fetched), "the program is fetched before anybody asks for it"
    choose(page, PAINT, "size", "256")
    choose(page, PAINT, "painter", "poppies")
    paint(page)
    before, after = (pixels(page, f"{PAINT} [data-is={part}] canvas") for part in ("photo", "painting"))
    assert max(before.shape) == 256
    assert before.shape[-2] % 4, "a size that is no multiple of four is the harder one"
    assert (after - painted(page, "poppies", before)).abs().max() <= LEVELS
    assert (after - before).abs().mean() > 10
    # another painter needs no click any more
    choose(page, PAINT, "painter", "great_wave")
    wait_for(page, PAINT, "Great Wave painted")
    page.wait_for_selector(f"{PAINT}:not(.busy)")
    again = pixels(page, f"{PAINT} [data-is=painting] canvas")
    assert (again - painted(page, "great_wave", before)).abs().max() <= LEVELS
    # half the paint: what is saved is the mean of both
    page.locator(f"{PAINT} input[name=strength]").fill("50")
    assert page.inner_text(f"{PAINT} .slide output") == "50 %"
    with page.expect_download() as download:
        page.click(f"{PAINT} [data-is=save]")
    assert download.value.suggested_filename.startswith("great_wave_")
    saved = torch.from_numpy(np.array(Image.open(download.value.path()).convert("RGB"))).permute(2, 0, 1)[None].float()
    assert (saved - (before + again) / 2).abs().max() <= 1.51  # an alpha of eight bits, rounded twice


def test_a_picture_of_ones_own_stands_upright(page: Any, tmp_path: Path) -> None:
    """A camera held upright writes a lying picture and how to turn it; large ones are made small without tearing."""
    lying = Image.new("RGB", (1600, 1200), "white")
    lying.paste("red", (0, 0, 800, 1200))  # left as stored, on top when turned by 90°
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "upright.jpg", exif=exif, quality=95)
    choose(page, PAINT, "size", "256")
    page.set_input_files(f"{PAINT} [data-is=file]", tmp_path / "upright.jpg")
    wait_for(page, PAINT, "yours")
    seen = pixels(page, f"{PAINT} [data-is=photo] canvas")
    assert tuple(seen.shape[-2:]) == (256, 192)
    assert seen[0, :, 40, 96].tolist() == pytest.approx([255, 0, 0], abs=3)
    assert seen[0, :, 215, 96].tolist() == pytest.approx([255, 255, 255], abs=3)
    assert page.is_checked(f"{PAINT} input[value=own]")
    (tmp_path / "notes.txt").write_text("no picture")
    page.set_input_files(f"{PAINT} [data-is=file]", tmp_path / "notes.txt")
    wait_for(page, PAINT, "notes.txt is not a picture")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nthe rest is missing")
    page.set_input_files(f"{PAINT} [data-is=file]", tmp_path / "torn.png")
    wait_for(page, PAINT, "torn.png could not be read")
    paint(page)  # the good one is still there
    assert page.locator(f"{PAINT} [data-is=painting] canvas").get_attribute("aria-label").startswith("upright")


def test_stop_stops_and_nothing_is_lost(page: Any) -> None:
    choose(page, PAINT, "size", "1024")
    page.click(f"{PAINT} [data-do=go]")
    wait_for(page, PAINT, "is painting")
    page.click(f"{PAINT} [data-do=stop]")
    wait_for(page, PAINT, "Stopped")
    assert page.is_visible(f"{PAINT} [data-do=go]")
    choose(page, PAINT, "size", "256")
    paint(page)


def test_the_street_follows_the_drawing(page: Any) -> None:
    choose(page, DRAW, "pad_painter", "poppies")
    page.click(f"{DRAW} [data-do=go]")
    wait_for(page, DRAW, "both follow")
    paper, street, painting = (pixels(page, f"{DRAW} [data-is={part}]{tag}") for part, tag in (
        ("paper", ""), ("street", " canvas"), ("painting", " canvas")))  # fmt: skip
    sketch = torch.nn.functional.avg_pool2d(paper, 4) / 255
    with torch.inference_mode():
        expected = 255 * onnx_graph.rounded(pix2pix.load("facade_sketch").network)(sketch)
    # the page enlarges the street by the browser's own filter: so is the expected one, in the same browser
    stream = io.BytesIO()
    Image.fromarray(expected[0].round().byte().permute(1, 2, 0).numpy()).save(stream, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
    page.evaluate(
        """async (url) => {
          const {drawn} = await import(new URL("../../_static/try_it/pictures.js", location.href).href);
          const image = Object.assign(new Image(), {src: url});
          await image.decode();
          document.body.append(Object.assign(drawn(drawn(image, 128, 128), 256, 256), {id: "expected"}));
        }""",
        url,
    )
    assert (pixels(page, "#expected") - street).abs().max() <= 2  # of two neighbors rounded differently
    assert (painting - painted(page, "poppies", street)).abs().max() <= LEVELS

    choose(page, DRAW, "pad_painter", "none")
    wait_for(page, DRAW, "it follows")
    page.eval_on_selector(
        f"{DRAW} [data-is=paper]", "(paper) => paper.scrollIntoView({block: 'center', behavior: 'instant'})"
    )
    box = page.locator(f"{DRAW} [data-is=paper]").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.15 * box["height"], steps=5)
    page.mouse.up()
    drawn = pixels(page, f"{DRAW} [data-is=paper]")
    assert (drawn != paper).any()
    page.wait_for_selector(f"{DRAW}:not(.busy)")
    assert (pixels(page, f"{DRAW} [data-is=street] canvas") != street).any()
    page.click(f"{DRAW} [data-is=undo]")
    assert torch.equal(pixels(page, f"{DRAW} [data-is=paper]"), paper)
    page.click(f"{DRAW} [data-is=clear]")
    assert pixels(page, f"{DRAW} [data-is=paper]").min() == 255
    page.click(f"{DRAW} [data-is=undo]")
    assert torch.equal(pixels(page, f"{DRAW} [data-is=paper]"), paper)


def test_one_can_draw_with_the_keyboard(page: Any) -> None:
    page.click(f"{DRAW} [data-is=clear]")
    page.focus(f"{DRAW} [data-is=paper]")
    for key in ("Space", *["ArrowRight"] * 5, "Space", *["ArrowDown"] * 5):
        page.keyboard.press(key)
    sheet = pixels(page, f"{DRAW} [data-is=paper]")[0, 0]
    assert sheet[256, 256:290].max() < 128  # a line of five steps of eight pixels to the right of the middle
    assert sheet[250:262, 310:].min() == 255
    assert sheet[270:].min() == 255, "the pencil was up"
    choose(page, DRAW, "tool", "window")
    page.focus(f"{DRAW} [data-is=paper]")
    page.keyboard.press("Enter")
    stamped = pixels(page, f"{DRAW} [data-is=paper]")[0, 0]
    assert (stamped != sheet).sum() > 300


def translated(direction: str, before: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return 255 * onnx_graph.rounded(export.network(f"{export.TRANSLATOR}_{direction}"))(before / 255)


def translate(page: Any) -> str:
    """Press the button if it waits; returns what the panel says when it is done."""
    if page.is_visible(f"{DUSK} [data-do=go]") and page.is_visible(f"{DUSK} .old"):
        page.click(f"{DUSK} [data-do=go]")
    page.wait_for_selector(f"{DUSK} [role=status][data-kind=done]")
    page.wait_for_selector(f"{DUSK}:not(.busy)")
    page.wait_for_function("(panel) => !document.querySelector(`${panel} figure:not([hidden]).old`)", arg=DUSK)
    return str(page.inner_text(f"{DUSK} [role=status]"))


def three(page: Any) -> list[torch.Tensor]:
    return [pixels(page, f"{DUSK} [data-is={which}] canvas") for which in ("given", "made", "beside")]


def test_a_street_turns_to_dusk_beside_the_truth(page: Any) -> None:
    sizes = page.evaluate("(panel) => JSON.parse(document.querySelector(panel).dataset.sizes)", DUSK)
    choose(page, DUSK, "street", "street_2")
    page.wait_for_selector(f"{DUSK} .old")  # the street has been fetched, and waits
    said = translate(page)
    given, made, truth = three(page)
    assert given.shape == made.shape == truth.shape == (1, 3, 128, 128)
    assert (made - translated("AB", given)).abs().max() <= LEVELS
    drawn = 255 * weather_photos("dusk", [export.SCENES[2]], size=export.STREET_SIZE, seed=1)
    drawn = torch.nn.functional.avg_pool2d(drawn, 2)
    assert (truth - drawn).abs().mean() < 4, "the same street as the package draws it, but for its file and its scaling"
    errors = [(255 * float(number)) for number in re.findall(r"\d\.\d{3}", said)]
    expected = [(picture - truth).abs().mean().item() for picture in (made, given)]
    assert errors == pytest.approx(expected, abs=0.13), "the numbers are rounded to three places"
    assert errors[0] < errors[1]
    fetched = page.evaluate("() => performance.getEntriesByType('resource').map((entry) => entry.name).join(' ')")
    assert "clear_dusk_AB.onnx" in fetched
    assert "clear_dusk_BA.onnx" not in fetched, "the way back is fetched before anybody asks for it"
    # there and back: only the second network is still to be fetched, and what returns is what is shown, sent back
    choose(page, DUSK, "third", "back")
    wait_for(page, DUSK, "After both passes")
    translate(page)
    assert sizes["clear_dusk_BA"] < 1_200_000
    given, made, back = three(page)
    assert (back - translated("BA", made)).abs().max() <= LEVELS
    # the other direction begins with the street at dusk
    choose(page, DUSK, "third", "truth")
    choose(page, DUSK, "direction", "BA")
    wait_for(page, DUSK, "from the truth")
    page.wait_for_selector(f"{DUSK} [data-is=beside-words]:text('drawn by day')")
    translate(page)
    given, made, truth = three(page)
    assert (given - drawn).abs().mean() < 4
    assert (made - translated("BA", given)).abs().max() <= LEVELS
    with page.expect_download() as download:
        page.click(f"{DUSK} [data-is=save]")
    assert download.value.suggested_filename == "street_3_clear.png"


def test_a_picture_of_ones_own_has_no_truth(page: Any, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)  # normalizing a plain color is 0 / 0
    Image.fromarray(noise).save(tmp_path / "mine.png")
    page.set_input_files(f"{DUSK} input[type=file]", tmp_path / "mine.png")
    wait_for(page, DUSK, "here they stay")
    assert "no truth" in translate(page)
    assert not page.is_visible(f"{DUSK} [data-is=beside]")
    given, made = (pixels(page, f"{DUSK} [data-is={which}] canvas") for which in ("given", "made"))
    assert given.shape == (1, 3, 85, 128)
    assert (made - translated("AB", given)).abs().max() <= LEVELS
    choose(page, DUSK, "size", "256")
    page.wait_for_selector(f"{DUSK} [data-is=made]:not(.old) canvas[width='256']")


def test_a_drawn_street_goes_on_to_dusk(page: Any) -> None:
    choose(page, DRAW, "pad_painter", "none")
    assert page.is_disabled(f"{DRAW} [data-do=dusk]")
    page.click(f"{DRAW} [data-do=go]")
    wait_for(page, DRAW, "it follows")
    page.click(f"{DRAW} [data-do=dusk]")
    wait_for(page, DUSK, "here they stay")
    assert page.evaluate("() => document.activeElement.dataset.do") == "go"
    translate(page)
    given, made = (pixels(page, f"{DUSK} [data-is={which}] canvas") for which in ("given", "made"))
    sketch = torch.nn.functional.avg_pool2d(pixels(page, f"{DRAW} [data-is=paper]"), 4) / 255
    with torch.inference_mode():
        street = 255 * onnx_graph.rounded(export.network(export.SKETCHER))(sketch)
    assert (given - street).abs().max() <= LEVELS, "as the network built it, not enlarged"
    assert (made - translated("AB", given)).abs().max() <= LEVELS


def test_opened_as_a_file_it_says_what_to_do(visitor: Visitor) -> None:
    opened = visitor(PAGE, as_file=True)
    for panel in (PAINT, CAMERA, *[ANY] * with_any_style(), DRAW, DUSK, NOISE):
        assert "python -m http.server" in opened.page.inner_text(f"{panel} [role=status]")
        assert not opened.page.is_visible(f"{panel} [data-do=go]")
        opened.page.locator(f"{panel} img").first.scroll_into_view_if_needed()  # it is loaded when it is near
        opened.page.wait_for_function("(panel) => document.querySelector(`${panel} img`).naturalWidth > 0", arg=panel)
    assert opened.said == []


def test_without_webassembly_it_says_so(browser: Any, server: str) -> None:
    page = browser.new_page()
    page.add_init_script("delete window.WebAssembly")
    page.goto(server + PAGE)
    assert "WebAssembly switched off" in page.inner_text(f"{PAINT} [role=status]")
    page.close()


def test_without_scripts_there_are_pictures_and_no_dead_buttons(browser: Any, server: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server + PAGE)
    for panel in (PAINT, CAMERA, ANY, DRAW, DUSK, NOISE):
        assert page.locator(f"{panel} button:visible").count() == 0
        assert page.locator(f"{panel} img:visible").count() >= 2
    context.close()
