"""The panel that takes any painting: what it computes is what PyTorch computes, and its controls do what they say."""

import base64
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from book.try_it import any_style, export, onnx_style
from course_lib.networks.feature_transforms import mean_and_std, normalize

Visitor = Callable[..., Any]
PAGE, ANY = "book/try_it/index.html", "#studio-any"
WAIT = 120_000  # ms; a slow machine shared by many
LEVELS = 0.6  # of 255: the canvas rounds to whole numbers, and a sum in another order may fall on the other side


@pytest.fixture
def page(visitor: Visitor) -> Any:
    """The page before anything was fetched; complaints are checked at the end."""
    if not (export.FOLDER / "models" / "any_decoder.onnx").exists():
        why = any_style.left_out() or " ".join(export.find_runtime().notes)
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    opened = visitor(PAGE)
    opened.page.set_default_timeout(WAIT)
    opened.page.wait_for_selector(f"{ANY}.live")
    yield opened.page
    assert [line for line in opened.said if "ERR_ABORTED" not in line] == []  # what a visitor stops is no mistake


@pytest.fixture(scope="module")
def networks() -> tuple[nn.Module, nn.Module]:
    encoder, decoder = (onnx_style.rounded(network) for network in any_style.networks().values())
    return encoder, decoder


@torch.inference_mode()
def expected(
    networks: tuple[nn.Module, nn.Module], photo: Tensor, paintings: list[Tensor], shares: list[float], alpha: float
) -> Tensor:
    """The picture by the book: features of every painting, their mean, the decoder."""

    def seen(picture: Tensor) -> Tensor:
        height, width = picture.shape[2:]
        padded = nn.functional.pad(picture / 255, (0, -width % 8, 0, -height % 8), mode="reflect")
        (features,) = networks[0](padded).values()
        return features

    features, target = seen(photo), torch.zeros(())
    for painting, share in zip(paintings, shares, strict=True):
        mean, std = mean_and_std(seen(painting))
        target = target + share * (normalize(features) * std + mean)
    found = networks[1](alpha * target + (1 - alpha) * features)
    return 255 * found[..., : photo.shape[2], : photo.shape[3]].clamp(0, 1)


def read(url: str) -> Tensor:
    picture = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()


def pixels(page: Any, part: str) -> Tensor:
    """A canvas as (1, 3, H, W), in whole levels from 0 to 255."""
    return read(page.eval_on_selector(f"{ANY} [data-is={part}] canvas", "(canvas) => canvas.toDataURL('image/png')"))


def painting(page: Any, name: str, side: int) -> Tensor:
    """A painting as the page reads it: by the browser's own decoder and filter."""
    return read(
        page.evaluate(
            """async ([path, side]) => {
              const script = new URL("../../_static/try_it/pictures.js", location.href);
              const {decode, fitted} = await import(script.href);
              const answer = await fetch(new URL(path, script));
              return fitted(await decode(await answer.blob()), side).toDataURL("image/png");
            }""",
            [f"pictures/style_{name}.webp", side],
        )
    )


def choose(page: Any, name: str, value: str) -> None:
    page.locator(f"{ANY} input[name={name}][value='{value}']").check(force=True)


def wait_for(page: Any, words: str) -> None:
    page.wait_for_function(
        "([panel, words]) => document.querySelector(`${panel} [role=status]`).textContent.includes(words)",
        arg=[ANY, words],
    )


def done(page: Any) -> None:
    page.wait_for_selector(f"{ANY} [role=status][data-kind=done]")
    page.wait_for_selector(f"{ANY}:not(.busy)")


def paint(page: Any) -> None:
    page.click(f"{ANY} [data-do=go]")
    done(page)


def small(page: Any, folder: Path, name: str = "small.png", size: tuple[int, int] = (90, 61)) -> None:
    """A picture of the visitor's own, so that a test is quick."""
    noise = np.random.default_rng(0).integers(0, 255, (size[1] // 8 + 1, size[0] // 8 + 1, 3), np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(folder / name)


def test_photograph_painting_and_mixture(page: Any, networks: Any, tmp_path: Path) -> None:
    fetched = "() => performance.getEntriesByType('resource').map((entry) => entry.name).join(' ')"
    assert "any_encoder" not in page.evaluate(fetched), "the networks are fetched before anybody asks for them"
    assert "10.9 MB" in page.inner_text(f"{ANY} [data-is=price]")
    choose(page, "size", "256")
    small(page, tmp_path)
    page.set_input_files(f"{ANY} [data-group=photo] input[type=file]", tmp_path / "small.png")
    wait_for(page, "90 × 61 pixels, yours")
    paint(page)
    assert "nothing crosses the network any more" in page.inner_text(f"{ANY} [data-is=price]")
    photo, wave = pixels(page, "photo"), painting(page, "great_wave", 256)
    assert photo.shape[2:] == (61, 90), "no multiple of eight is the harder one"
    truth = expected(networks, photo, [wave], [1], 1)
    assert (pixels(page, "painting") - truth).abs().max() <= LEVELS
    assert (truth - photo).abs().mean() > 10
    # a second painting and the sliders need no click any more
    choose(page, "second", "poppies")
    page.wait_for_selector(f"{ANY}.busy")
    done(page)
    page.locator(f"{ANY} input[name=mix]").fill("30")
    page.locator(f"{ANY} input[name=alpha]").fill("60")
    assert "70 % The Great Wave, 30 % Poppies" in page.inner_text(f"{ANY} [data-is=mix-words]")
    page.wait_for_timeout(300)
    done(page)
    truth = expected(networks, photo, [wave, painting(page, "poppies", 256)], [0.7, 0.3], 0.6)
    assert (pixels(page, "painting") - truth).abs().max() <= LEVELS
    assert "reading" not in page.inner_text(f"{ANY} [role=status]"), "a slider needs the decoder alone"
    with page.expect_download() as download:
        page.click(f"{ANY} [data-is=save]")
    assert download.value.suggested_filename == "small_the_great_wave.png"


def test_a_painting_of_ones_own_and_what_is_none(page: Any, tmp_path: Path) -> None:
    choose(page, "size", "256")
    small(page, tmp_path)
    small(page, tmp_path, "mine.png", (70, 64))
    style = f"{ANY} [data-group=style] input[type=file]"
    page.set_input_files(f"{ANY} [data-group=photo] input[type=file]", tmp_path / "small.png")
    page.set_input_files(style, tmp_path / "mine.png")
    for group in ("photo", "style"):  # read in a moment
        page.wait_for_selector(f"{ANY} [data-group={group}] input[value=own]:checked", state="attached")
    paint(page)
    label = page.locator(f"{ANY} [data-is=painting] canvas").get_attribute("aria-label")
    assert label == "small, painted in the manner of mine"
    before = pixels(page, "painting")
    (tmp_path / "notes.txt").write_text("no picture")
    page.set_input_files(style, tmp_path / "notes.txt")
    wait_for(page, "notes.txt is not a picture")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    page.set_input_files(style, tmp_path / "dot.png")
    wait_for(page, "A picture of 1 × 1 pixels is too narrow")
    Image.new("RGB", (5000, 4000), "teal").save(tmp_path / "huge.png")
    page.set_input_files(style, tmp_path / "huge.png")
    page.wait_for_selector(f"{ANY}.busy")
    done(page)
    assert not torch.equal(pixels(page, "painting"), before)
    assert torch.isfinite(pixels(page, "painting")).all(), "a painting of one color has no contrast to give"
    choose(page, "style", "great_wave")
    choose(page, "style", "own")  # one's own is still there
    done(page)
    assert page.is_checked(f"{ANY} [data-group=style] input[value=own]")


def test_stop_while_the_networks_are_on_their_way_and_while_they_run(page: Any) -> None:
    choose(page, "size", "256")
    page.context.route("**/any_decoder.onnx", lambda route: None)  # never arrives
    page.click(f"{ANY} [data-do=go]")
    wait_for(page, "Fetching 10.9 MB")
    page.wait_for_timeout(300)
    page.click(f"{ANY} [data-do=stop]")
    wait_for(page, "Stopped")
    page.context.unroute("**/any_decoder.onnx")
    choose(page, "size", "1024")
    page.click(f"{ANY} [data-do=go]")
    wait_for(page, "Reading")
    page.click(f"{ANY} [data-do=stop]")
    wait_for(page, "Stopped")
    assert page.is_visible(f"{ANY} [data-do=go]")
    choose(page, "size", "256")
    paint(page)


def test_it_says_what_it_runs_on(page: Any) -> None:
    """This browser has WebGPU and no graphics processor."""
    assert page.evaluate("async () => Boolean(navigator.gpu) && await navigator.gpu.requestAdapter()") in (None, False)
    assert page.inner_text(f"{ANY} [data-is=runs]") == "Runs on the processor of your machine."


@pytest.fixture
def emulated(browser: Any) -> Iterator[Any]:
    """Chromium with a graphics processor that is a program: right results, no speed."""
    flags = ["--no-sandbox", "--no-proxy-server", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    chromium = browser.browser_type.launch(executable_path=program, args=flags)
    yield chromium
    chromium.close()


def with_webgpu(emulated: Any, server: str, tmp_path: Path) -> Any:
    page = emulated.new_page()
    page.set_default_timeout(2 * WAIT)
    page.goto(server + PAGE)
    try:
        page.wait_for_selector(f"{ANY}[data-runs=webgpu]", timeout=10_000)
    except Exception:
        pytest.skip("this Chromium emulates no graphics processor, or the page was built without these networks")
    choose(page, "size", "256")
    for group, side in (("photo", (32, 24)), ("style", (24, 24))):
        small(page, tmp_path, f"{group}.png", side)
        page.set_input_files(f"{ANY} [data-group={group}] input[type=file]", tmp_path / f"{group}.png")
    return page


@pytest.mark.slow
def test_webgpu_computes_the_same(emulated: Any, server: str, networks: Any, tmp_path: Path) -> None:
    page = with_webgpu(emulated, server, tmp_path)
    assert "WebGPU" in page.inner_text(f"{ANY} [data-is=runs]")
    paint(page)
    assert page.get_attribute(ANY, "data-runs") == "webgpu"
    style = torch.from_numpy(np.array(Image.open(tmp_path / "style.png"))).permute(2, 0, 1)[None].float()
    truth = expected(networks, pixels(page, "photo"), [style], [1], 1)
    assert (pixels(page, "painting") - truth).abs().max() <= LEVELS


def test_a_graphics_processor_that_fails_hands_over(emulated: Any, server: str, tmp_path: Path) -> None:
    page = with_webgpu(emulated, server, tmp_path)
    page.context.route("**/gpu.mjs", lambda route: route.abort())
    paint(page)
    assert page.get_attribute(ANY, "data-runs") == "wasm"
    assert "could not run the networks, so the processor does" in page.inner_text(f"{ANY} [data-is=runs]")
