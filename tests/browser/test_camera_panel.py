"""The panel that paints live: it shows what PyTorch makes of a frame, its numbers are right, and it lets go."""

import base64
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_try_it import CAMERA, PAGE, PAINT, WAIT, choose, painted, pixels, wait_for

from book.try_it import export, onnx_graph

Visitor = Callable[..., Any]
FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
LEVELS = 0.6  # of 255, a little more than for photographs: normalizing a flat picture enlarges what rounding leaves
FILM = "--use-file-for-fake-video-capture="  # the last one counts
WIDTH, HEIGHT, NOISE = 160, 120, 2.0  # of the film that stands for the camera; standard deviation in levels
GO, PAUSE = f"{CAMERA} [data-do=go]", f"{CAMERA} [data-is=pause]"
# Notes every stream that the page gets, every frame that it has painted, and the numbers beside it.
WATCH = """() => {
  window.tracks = [];
  const {mediaDevices} = navigator;
  const ask = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (wanted) => {
    const stream = await ask(wanted);
    tracks.push(...stream.getTracks());
    return stream;
  };
  window.film = [];
  const root = document.querySelector("#studio-camera");
  new MutationObserver(() => {
    const urls = [...root.querySelectorAll(".pad figure:not([hidden]) canvas")].map((one) => one.toDataURL());
    film.push({urls, flicker: root.dataset.flicker});
  }).observe(root, {attributeFilter: ["data-frames"]});
}"""
# A film of a dark square that wanders over gray: a WebM file of about a second, made by the browser itself.
RECORD = """async () => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 160, height: 120});
  const context = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(10), {mimeType: "video/webm"});
  const parts = [];
  recorder.ondataavailable = ({data}) => parts.push(data);
  const done = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.start();
  for (let k = 0; k < 10; k++) {
    context.fillStyle = "#bbb";
    context.fillRect(0, 0, 160, 120);
    context.fillStyle = "#234";
    context.fillRect(10 * k, 40, 40, 40);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  recorder.stop();
  await done;
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""


def camera_file(path: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    """A film in Y4M, which Chromium takes for a camera: one gray picture, lighter on its right, under fresh noise."""
    generator = np.random.default_rng(0)
    still = np.linspace(60, 180, width)[None] + 30 * np.sin(np.arange(height) / 7)[:, None]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F20:1 Ip A1:1 C420jpeg\n".encode())
        for _ in range(32):
            noisy = (still + generator.normal(0, NOISE, still.shape)).round().astype(np.uint8)
            file.write(b"FRAME\n" + noisy.tobytes() + bytes([128]) * (width * height // 2))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("camera") / "film.y4m"
    camera_file(path)
    return path


@pytest.fixture
def visit(launched: Any, server: str, watch: Any, film: Path) -> Iterator[Callable[..., Any]]:
    """``visit(*flags)`` opens the page; complaints are checked at the end."""
    if not (export.FOLDER / "runtime" / "ort.mjs").exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(" ".join(export.find_runtime().notes))
    watched = []

    def open_page(*flags: str, **options: Any) -> Any:
        browser = launched(f"{FILM}{film}", *flags)
        page = browser.new_page(viewport={"width": 1300, "height": 900}, **options)
        page.set_default_timeout(WAIT)
        watched.append(watch(page))
        page.goto(server + PAGE)
        page.wait_for_selector(f"{CAMERA}.live")
        page.evaluate(WATCH)
        return page

    yield open_page
    for one in watched:
        one.page.close()
        assert one.said == []


def frames(page: Any, least: int) -> None:
    page.wait_for_function("(least) => film.length >= least", arg=least)


def states(page: Any) -> list[str]:
    return list(page.evaluate("() => tracks.map((track) => track.readyState)"))


def picture(url: str) -> np.ndarray:
    image = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")
    return np.array(image).astype(float)


def expected_flicker(film: list[list[np.ndarray]]) -> list[float]:
    """Of what is seen and of each painting: the median over pairs of frames; in numpy, with the squares as an array."""
    found = []
    for before, now in itertools.pairwise(film):
        squares = [((one - other) / 255) ** 2 for one, other in zip(before, now, strict=True)]
        rows, columns = (side // 8 for side in squares[0].shape[:2])  # both sides are multiples of 8 here
        cells = [one.reshape(rows, 8, columns, 8, 3).mean((1, 3, 4)) for one in squares]
        moved = np.pad(cells[0] > (4 / 255) ** 2, 1)
        around = [moved[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
        still = ~np.any(around, axis=0)
        if still.mean() >= 0.1:
            found.append([one[still].mean() for one in cells])
    return np.median(found, axis=0).tolist()


def test_a_click_paints_live_and_pause_switches_the_camera_off(visit: Any) -> None:
    page = visit(*FAKE)
    fetched = "() => performance.getEntriesByType('resource').map((entry) => entry.name).join(' ')"
    assert "ort.wasm" not in page.evaluate(fetched), "the program is fetched before anybody asks for it"
    assert states(page) == [], "the camera is asked for before anybody clicks"
    assert page.is_disabled(PAUSE)
    page.focus(GO)
    page.keyboard.press("Enter")
    frames(page, 4)
    assert states(page) == ["live"]
    assert page.evaluate("() => document.activeElement.dataset.is") == "pause"
    first = page.inner_text(f"{CAMERA} [data-is=fps]")
    assert 0 < float(first) < 1000
    assert "frames per second" in page.inner_text(f"{CAMERA} .meters")
    frames(page, 6)
    page.keyboard.press("Space")
    wait_for(page, CAMERA, "the camera is off")
    assert states(page) == ["ended"]
    # what stands there: one frame, mirrored, and its painting
    seen, made = (pixels(page, f"{CAMERA} [data-is={which}] canvas") for which in ("seen", "painted"))
    assert seen.shape == made.shape == (1, 3, 96, 128)
    assert seen[..., :20].mean() > seen[..., -20:].mean() + 40, "a camera is mirrored, as in a mirror"
    assert (made - painted(page, "great_wave", seen)).abs().max() <= LEVELS
    if export.stable():
        steady = pixels(page, f"{CAMERA} [data-is=steady] canvas")
        with torch.inference_mode():
            expected = 255 * onnx_graph.rounded(export.network(export.STABLE))(seen / 255)
        assert (steady - expected).abs().max() <= LEVELS
    # the numbers are those of the frames that were shown
    film = page.evaluate("() => film")
    shown = [[picture(url) for url in one["urls"]] for one in film]
    said = list(json.loads(film[-1]["flicker"]).values())
    assert said == pytest.approx(expected_flicker(shown), rel=1e-6)
    assert said[0] == pytest.approx(2 * (NOISE / 255) ** 2, rel=0.6), (
        "twice the noise's variance, less what scaling took"
    )
    assert said[1] > said[0], "this painter makes more of the noise"
    assert "flicker" in page.inner_text(f"{CAMERA} [data-is=painted-flicker]")
    count = len(film)
    page.wait_for_timeout(1500)
    assert page.evaluate("() => film.length") == count, "it goes on painting after a pause"
    # and on again, with another size and another painter, unmirrored
    choose(page, CAMERA, "size", "192")
    choose(page, CAMERA, "painter", "poppies")
    page.locator(f"{CAMERA} input[name=mirror]").uncheck()
    page.click(PAUSE)
    frames(page, count + 1)
    assert states(page) == ["ended", "live"]
    page.click(PAUSE)
    wait_for(page, CAMERA, "the camera is off")
    seen, made = (pixels(page, f"{CAMERA} [data-is={which}] canvas") for which in ("seen", "painted"))
    assert seen.shape[-1] == WIDTH, "a film smaller than the chosen size is not enlarged"
    assert seen[..., :20].mean() < seen[..., -20:].mean() - 40
    assert (made - painted(page, "poppies", seen)).abs().max() <= LEVELS
    with page.expect_download() as download:
        page.click(f"{CAMERA} [data-is=save]")
    assert download.value.suggested_filename.startswith("poppies_")
    assert Image.open(download.value.path()).size == ((1 + len(export.stable())) * WIDTH, HEIGHT)


def test_out_of_sight_the_camera_is_off(visit: Any) -> None:
    page = visit(*FAKE)
    page.click(GO)
    frames(page, 1)
    page.evaluate("""() => {
      Object.defineProperty(document, "hidden", {get: () => true});
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    wait_for(page, CAMERA, "the camera is off, because this page was out of sight")
    assert states(page) == ["ended"]
    assert page.inner_text(PAUSE) == "Go on"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("NotAllowedError", "The camera was refused."),
        ("NotFoundError", "No camera was found."),
        ("NotReadableError", "another program may be using it"),
        (None, "only to pages from https"),
    ],
)
def test_without_a_camera_it_says_why(visit: Any, change: str | None, words: str) -> None:
    page = visit(*FAKE)
    page.evaluate(
        """(name) => {
          const refuse = async () => { throw new DOMException("no", name); };
          const value = name ? {getUserMedia: refuse} : undefined;
          Object.defineProperty(navigator, "mediaDevices", {value});
        }""",
        change,
    )
    page.click(GO)
    wait_for(page, CAMERA, words)
    assert "se a file" in page.inner_text(f"{CAMERA} [role=status]")
    assert page.is_visible(GO)
    assert page.is_disabled(PAUSE)


def test_a_browser_that_refuses_is_believed(visit: Any) -> None:
    """The real thing: a camera is there, and the browser denies it."""
    page = visit(FAKE[0], "--deny-permission-prompts")
    page.click(GO)
    wait_for(page, CAMERA, "The camera was refused.")
    assert states(page) == []


def test_a_video_file_and_what_is_none(visit: Any, tmp_path: Path) -> None:
    page = visit(*FAKE)
    film = tmp_path / "square.webm"
    film.write_bytes(base64.b64decode(page.evaluate(RECORD)))
    (tmp_path / "notes.txt").write_text("no video")
    (tmp_path / "torn.mp4").write_bytes(b"the rest is missing")
    field = f"{CAMERA} [data-is=file]"
    page.set_input_files(field, tmp_path / "notes.txt")
    wait_for(page, CAMERA, "notes.txt is not a video (it is text/plain). An MP4 or WebM file works.")
    page.set_input_files(field, tmp_path / "torn.mp4")
    wait_for(page, CAMERA, "torn.mp4 could not be read as a video.")
    page.set_input_files(field, film)
    frames(page, 3)
    assert states(page) == []
    page.click(PAUSE)
    wait_for(page, CAMERA, "Paused.")
    assert page.inner_text(f"{CAMERA} [data-is=seen-words]") == "square.webm"
    seen, made = (pixels(page, f"{CAMERA} [data-is={which}] canvas") for which in ("seen", "painted"))
    assert seen.shape == (1, 3, 96, 128)
    assert (made - painted(page, "great_wave", seen)).abs().max() <= LEVELS
    assert page.is_visible(GO), "the camera can still be opened"


def test_where_less_motion_is_wished_a_file_does_not_play(visit: Any, tmp_path: Path) -> None:
    page = visit(*FAKE, reduced_motion="reduce")
    film = tmp_path / "square.webm"
    film.write_bytes(base64.b64decode(page.evaluate(RECORD)))
    page.set_input_files(f"{CAMERA} [data-is=file]", film)
    wait_for(page, CAMERA, "The first frame of square.webm.")
    assert page.evaluate("() => film.length") == 1
    page.click(PAUSE)
    frames(page, 2)


def test_flicker_by_hand(visit: Any) -> None:
    """Two pictures of 3 × 2 squares of 8 pixels: one corner moves, all of the painting changes by 51 levels."""
    page = visit(*FAKE)
    found = page.evaluate(
        """async () => {
          const {change, median, stillness} = await import(
            new URL("../../_static/try_it/flicker.js", location.href).href);
          const flat = (value) => {
            const image = new ImageData(24, 16);
            image.data.fill(value);
            return image;
          };
          const [one, other] = [flat(100), flat(103)];
          const {still, share} = stillness(one, other);
          other.data.set([200, 200, 200], 0);  // one pixel of the first square
          const moved = stillness(one, other);
          return [share, Array.from(moved.still), moved.share, change(flat(0), flat(51), moved.still),
            change(flat(0), flat(51), still), median([3, 1, 2]), median([4, 1, 2, 3])];
        }"""
    )
    # 3 levels are still. A pixel that moves by 100 takes its square and the neighbors: two columns of three.
    assert found == [1, [0, 0, 1, 0, 0, 1], pytest.approx(1 / 3), pytest.approx(0.04), pytest.approx(0.04), 2, 2.5]


@pytest.mark.slow
def test_a_graphics_processor_paints_the_same(visit: Any, tmp_path: Path) -> None:
    """An emulated one: right results, no speed."""
    camera_file(tmp_path / "tiny.y4m", 32, 24)
    flags = "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", f"{FILM}{tmp_path / 'tiny.y4m'}"
    page = visit(*FAKE, *flags)
    page.set_default_timeout(3 * WAIT)
    page.wait_for_timeout(3000)
    if page.get_attribute(CAMERA, "data-runs") != "webgpu":
        pytest.skip("this Chromium emulates no graphics processor")
    page.click(GO)
    frames(page, 1)
    page.click(PAUSE)
    wait_for(page, CAMERA, "the camera is off")
    assert page.get_attribute(CAMERA, "data-runs") == "webgpu"
    seen, made = (pixels(page, f"{CAMERA} [data-is={which}] canvas") for which in ("seen", "painted"))
    assert (made - painted(page, "great_wave", seen)).abs().max() <= LEVELS


def test_two_panels_with_one_camera(visit: Any) -> None:
    """The panel above takes one picture, with the same words where that is refused."""
    page = visit(*FAKE)
    page.evaluate("""() => {
      navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotAllowedError"); };
    }""")
    page.click(f"{PAINT} [data-is=camera-open]")
    wait_for(page, PAINT, "The camera was refused.")
