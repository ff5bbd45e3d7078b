"""What the page that paints in the browser is made of: python -m book.try_it.export

Writes _build/try_it: our networks as ONNX, the program that runs them in a browser (onnxruntime-web, from npm, in the
version and with the digest of package-lock.json), and a few pictures. scripts/render.py calls it; the Sphinx extension
book_try_it copies the folder into the book. Nothing is done when nothing changed. Without npm the book is rendered all
the same: `prepare` then says what was left out, and so does the page.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from book.try_it import any_style
from scripts import packages

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "_build" / "try_it"
MODELS = ROOT / "data" / "models"
STILLS = ROOT / "data" / "results" / "try_it"  # pictures of the stored run
PACKAGE = "onnxruntime-web"
# Of its dozens of builds the smallest that works everywhere: the processor only, its loader already inside.
SCRIPT, PROGRAM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
# And the one with WebGPU inside, and with the means to wait for a graphics processor that every browser understands.
GPU_SCRIPT, GPU_PROGRAM = "ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"

PAINTERS = {
    "great_wave": "The Great Wave", "composition_viii": "Composition VIII", "cafe_terrace": "Café Terrace",
    "church_at_auvers": "Church at Auvers", "poppies": "Poppies",
}  # fmt: skip
SKETCHER, STREET_PAINTER = "facade_sketch", "cafe_terrace"
STABLE = "great_wave_stable"  # trained not to flicker; beside the painter of the same painting
TRANSLATOR, WEATHERS = "clear_dusk", ("clear", "dusk")  # a network without pairs: from A to B, and back
TRANSLATORS = {f"{TRANSLATOR}_{direction}": direction for direction in ("AB", "BA")}
NOISE = {
    "streets_style": "mapping",
    "streets": "painter",
}  # one model as two networks: noise to a style, styles to a picture
NOISE_MODEL, NOISE_STILLS, NOISE_FROM = (
    "streets",
    (1, 9),
    16,
)  # seeds of the two streets; pixels from which the second decides
PHOTOS = {
    "eilean_donan": "Castle", "cat": "Cat", "scarlet_macaw": "Macaw", "neuschwanstein": "Towers", "dahlia": "Dahlia",
    "golden_temple": "Temple",
}  # fmt: skip
SCENES = (16, 11, 7, 4, 18, 21)  # of the façades of seed 1, which nothing was trained on
SCENE_SIZE = 512  # pixels of a sketch, four times what the network sees
STREET_SIZE = 256  # pixels of a street in one weather, twice what its network learned from
LARGEST, THUMBNAIL, STILL = 1024, 240, 512  # pixels


@dataclass(frozen=True)
class Parts:
    """What there is for the page, and what is missing."""

    runtime: Path | None  # folder of the program's files
    notes: tuple[str, ...] = ()


def locked_version() -> str:
    """The version of onnxruntime-web in package-lock.json."""
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    return str(lock["packages"][f"node_modules/{PACKAGE}"]["version"])


def find_runtime() -> Parts:
    """The program's files in node_modules, fetched by npm where they are not there yet."""
    try:
        return Parts(packages.install() / PACKAGE / "dist")
    except packages.PackagesError as error:
        why = str(error).splitlines()[0].rstrip(":")  # python -m scripts.packages shows the rest
        return Parts(None, (f"The program that paints in the page “Try it” was left out of this copy: {why}",))


def prepare(folder: Path = FOLDER) -> tuple[str, ...]:
    """Bring `folder` up to date, whole or not at all; returns what was left out, one sentence each."""
    parts = find_runtime()
    key = _key(parts)
    try:
        if (folder / ".key").read_text() == key:
            return parts.notes
    except OSError:
        pass
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(fresh, parts)
        (fresh / ".key").write_text(key)
        fresh.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return parts.notes


def stable() -> tuple[str, ...]:
    """The painter that does not flicker, where the package has it."""
    return (STABLE,) if (MODELS / f"{STABLE}.safetensors").exists() else ()


def _key(parts: Parts) -> str:
    """A digest of all that goes into the folder, and of what makes it."""
    made_by = [
        Path(__file__).with_name(f"{name}.py")
        for name in ("export", "any_style", "onnx_graph", "onnx_style", "onnx_styles")
    ]
    sources = [*made_by, ROOT / "data" / "images" / "LEDGER.csv"]
    sources += [
        MODELS / f"{name}.safetensors" for name in (*PAINTERS, *stable(), SKETCHER, TRANSLATOR, NOISE_MODEL)
    ] + any_style.sources()
    sources += [STILLS / f"{name}.webp" for name in any_style.STILLS]
    digest = hashlib.sha256(f"{locked_version()} {parts.runtime is not None} {any_style.left_out()}".encode())
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _write(folder: Path, parts: Parts) -> None:
    import torch  # only when there is something to make: `make html` is quick when nothing changed

    from course_lib import sample_image, save_image
    from course_lib.data.facades import draw_facade, weather_photos
    from course_lib.methods import cyclegan, johnson, pix2pix, stylegan
    from course_lib.samples import ledger

    about = {Path(row["file"]).stem: row for row in ledger()}
    for name in ("models", "pictures", "runtime"):
        (folder / name).mkdir()
    pictures = folder / "pictures"
    manifest: dict[str, object] = {
        "painters": [_described(name, label, about[name]) for name, label in PAINTERS.items()],
        "photos": [_described(name, label, about[name]) for name, label in PHOTOS.items()],
        "street painter": STREET_PAINTER,
        "stable painter": next(iter(stable()), None),
        "scenes": [f"sketch_{k}" for k in range(len(SCENES))],
        "streets": [f"street_{k}" for k in range(len(SCENES))],
        "runtime": _copy_runtime(folder / "runtime", parts),
        "notes": parts.notes,
        "paintings": [_described(name, label, about[name]) for name, label in any_style.PAINTINGS.items()],
        "stills": any_style.STILLS,
        "decoder": any_style.credit(),
        "any style": None,
        "any style left out": any_style.left_out(),
    }
    for name in {**PAINTERS, **any_style.PAINTINGS}:
        save_image(sample_image(name, THUMBNAIL, side="short"), pictures / f"{name}.webp", quality=82)
    for name in PHOTOS:
        photo = sample_image(name)
        photo = photo if max(photo.shape[-2:]) <= LARGEST else sample_image(name, LARGEST)
        save_image(photo, pictures / f"{name}.webp", quality=92)
        save_image(sample_image(name, THUMBNAIL, side="short"), pictures / f"{name}_small.webp", quality=82)
    painter, sketcher = johnson.load(next(iter(PAINTERS))), pix2pix.load(SKETCHER)
    still = sample_image(next(iter(PHOTOS)), STILL)
    save_image(still, pictures / "still_before.webp", quality=92)
    save_image(johnson.stylize(still, painter).image, pictures / "still_after.webp", quality=92)
    for name in stable():
        with torch.inference_mode():
            save_image(network(name)(still), pictures / "still_stable.webp", quality=92)
    for k, scene in enumerate(SCENES):
        sketch = draw_facade(scene, size=SCENE_SIZE, seed=1).sketch[None]
        save_image(sketch, pictures / f"sketch_{k}.webp", quality=90)
        if k == 0:
            seen = torch.nn.functional.avg_pool2d(sketch, SCENE_SIZE // sketcher.config.image_size)
            street = pix2pix.translate(seen, sketcher, test_mode="running").image
            street = torch.nn.functional.interpolate(street, scale_factor=2, mode="bicubic").clamp(0, 1)
            save_image(street, pictures / "still_street.webp", quality=92)
            painting = johnson.stylize(street, johnson.load(STREET_PAINTER)).image
            save_image(painting, pictures / "still_painting.webp", quality=92)
    for weather in WEATHERS:
        for k, street in enumerate(weather_photos(weather, SCENES, size=STREET_SIZE, seed=1).split(1)):
            save_image(street, pictures / f"street_{k}_{weather}.webp", quality=90)
    translator = cyclegan.load(TRANSLATOR)
    given = weather_photos(WEATHERS[0], SCENES[:1], size=translator.config.image_size, seed=1)
    save_image(cyclegan.translate(given, translator).image, pictures / "still_dusk.webp", quality=92)
    model = stylegan.load(NOISE_MODEL)
    first, second = (stylegan.styles(1, model, seed=seed, truncation=0.7) for seed in NOISE_STILLS)
    mixed = stylegan.mixed(first, second, model, (NOISE_FROM, model.config.image_size))
    for name, w in (("first", first), ("second", second), ("mixed", mixed)):
        save_image(stylegan.paint(w, model, device="cpu").image, pictures / f"still_noise_{name}.webp", quality=95)
    sides = [*model.network.sides, model.network.sides[-1]]  # the last colors have a style of their own
    manifest["noise"] = {"numbers": model.config.z_size, "sides": sides, "from": NOISE_FROM}
    for name in any_style.STILLS:
        shutil.copyfile(STILLS / f"{name}.webp", pictures / f"still_{name}.webp")
    if parts.runtime and not any_style.left_out():
        manifest["any style"] = any_style.write(folder)
    manifest["models"] = {
        name: _export(name, folder / "models") for name in (*PAINTERS, *stable(), SKETCHER, *TRANSLATORS, *NOISE)
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")


def _described(name: str, label: str, row: dict[str, str]) -> dict[str, str]:
    keys = ("creator", "year", "licence")
    return {"name": name, "label": label, "title": unquote(row["title"]), **{key: row[key] for key in keys}}


def network(name: str) -> Any:
    """One network of the page as a module, in evaluation mode."""
    from course_lib.methods import cyclegan, johnson, pix2pix, stable_painter, stylegan

    if name == STABLE:
        return stable_painter.load(name).network.eval()
    if name in NOISE:
        generator = stylegan.load(NOISE_MODEL).network.eval()
        return generator.mapping if NOISE[name] == "mapping" else generator
    if name in TRANSLATORS:
        return cyclegan.load(TRANSLATOR).network[TRANSLATORS[name]].eval()
    return (pix2pix.load(name) if name == SKETCHER else johnson.load(name)).network.eval()


def _export(name: str, folder: Path) -> int:
    """One network as ONNX; returns its bytes."""
    from book.try_it import onnx_styles

    parts = {**dict.fromkeys(TRANSLATORS, TRANSLATOR), **dict.fromkeys(NOISE, NOISE_MODEL)}
    file = MODELS / f"{parts.get(name, name)}.safetensors"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    about = {"name": name, "made_from_sha256": digest, "license": "CC BY 4.0"}
    return (folder / f"{name}.onnx").write_bytes(onnx_styles.export(network(name), about=about))


def _copy_runtime(folder: Path, parts: Parts) -> dict[str, object] | None:
    """The program in both builds, packed: few static hosts pack such files on their way, so the page unpacks them."""
    if parts.runtime is None:
        return None
    unpacked, packed = {}, {}
    for name, script, program in (("ort", SCRIPT, PROGRAM), ("gpu", GPU_SCRIPT, GPU_PROGRAM)):
        shutil.copyfile(parts.runtime / script, folder / f"{name}.mjs")
        content = (parts.runtime / program).read_bytes()
        # Not .gz: some servers announce such a file as packed for the way, and browsers unpack it unasked.
        packed[name] = (folder / f"{name}.wasm.bin").write_bytes(gzip.compress(content, 9, mtime=0))
        unpacked[name] = len(content)
    return {"version": locked_version(), "bytes": packed["ort"], "unpacked": unpacked["ort"], "gpu": packed["gpu"]}


def main() -> int:
    notes = prepare()
    for note in notes:
        print(f"Note: {note}")
    total = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    print(f"{FOLDER} holds {total / 1e6:.1f} MB.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
