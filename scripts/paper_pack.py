"""Packs all that the queue needs for a machine without a network and without Jupyter.

    python -m scripts.paper_pack [--into _build/pack] [--full] [--datasets FOLDER]

Writes a folder and, beside it, a tar of it: the package, the queue and its tasks, the notebooks' script forms, the
pictures, the training photographs, and the two networks cut after the last layer that is used, in half precision. On
the other machine:

    tar xf paper.tar && cd paper && python paper.py --minutes 12

``--full`` adds the whole VGG-16, the heads of LPIPS and the published decoder of AdaIN, for the runs that need them.
``--datasets`` adds the 128 px version of the façades that chapter 9 is scored on: research data, for your own use.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from course_lib import images, samples
from course_lib.data.pairs import PairedImages
from course_lib.pretrained import weights
from course_lib.pretrained.catalog import CUTS, REGISTRY
from course_lib.training import model_files
from scripts.notebook_script import find_notebooks, write_script
from scripts.paper_queue.items import QUEUE

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 60_000_000  # bytes, without --full and --datasets: what a queue of jobs lets one carry along
CODE = (
    "course_lib", "scripts/__init__.py", "scripts/environment.py", "scripts/paper.py", "scripts/notebook_script.py",
    "scripts/models.py", "scripts/unpaired_model.py", "scripts/stylegan_model.py", "scripts/domains_model.py",
    "scripts/attention_model.py", "scripts/cartoon_model.py", "scripts/paper_queue", "benchmarks", "tests/gpu",
    "data/claims.yml", "LICENSE",
)  # fmt: skip
ENTRY = '''"""Runs the queue of this pack: python paper.py --minutes 12. See README.txt."""

import sys

from scripts.paper import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''
README = """The queue of runs at the papers' scale, for a machine without a network.

    python paper.py --list            what is in it, and what is done
    python paper.py --rehearse        everything at toy size on the CPU, in a few minutes
    python paper.py --minutes 12      as much as fits into 12 minutes on one CUDA device

It needs Python 3.11 to 3.13 with torch 2.6 or newer, numpy, pillow, safetensors, platformdirs, filelock, psutil,
pyyaml, torchmetrics and tqdm; for the tests of the first item also pytest. Nothing is fetched.

The results lie in _build/paper/archives. Bring them home and call `make paper-import ARCHIVES="…"` in the repository.
The networks in networks/ are VGG-19 and VGG-16, cut and in half precision, and in a full pack the decoder of AdaIN;
their licenses are written in the files.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=ROOT / "_build" / "pack", help="where paper/ and paper.tar go")
    parser.add_argument("--full", action="store_true", help="with the whole VGG-16 and the decoder of AdaIN")
    parser.add_argument("--datasets", type=Path, help="a folder with facades256, for chapter 9's scores")
    chosen = parser.parse_args()
    try:
        return pack(chosen.into, full=chosen.full, datasets=chosen.datasets)
    except (OSError, ValueError, weights.WeightsError) as error:  # a full disk, a folder without pairs, no network
        print(f"paper-pack: {error}. An older pack is as it was.", file=sys.stderr)
        return 1


def pack(into: Path, *, full: bool = False, datasets: Path | None = None) -> int:
    """Write the folder and its tar into `into`, each whole; the exit code."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pack-", dir=into) as fresh:
        folder = Path(fresh) / "paper"
        fill(folder, full=full, datasets=datasets)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if size > LIMIT and not full and datasets is None:
            print(
                f"the pack has {size / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f}: leave something out", file=sys.stderr
            )
            return 1
        with tarfile.open(Path(fresh) / "paper.tar", "w") as tar:
            tar.add(folder, "paper", filter=_plain)
        shutil.rmtree(into / "paper", ignore_errors=True)
        folder.rename(into / "paper")
        (Path(fresh) / "paper.tar").replace(into / "paper.tar")
    print(f"{into / 'paper'} and {into / 'paper.tar'}: {size / 1e6:.1f} MB")
    return 0


def fill(folder: Path, *, full: bool = False, datasets: Path | None = None) -> None:
    """Everything that goes into the pack."""
    for name in CODE:
        _copy(ROOT / name, folder / name)
    (folder / "paper.py").write_text(ENTRY, encoding="utf-8")
    (folder / "README.txt").write_text(README, encoding="utf-8")
    (folder / "COMMIT").write_text(_commit() + "\n", encoding="utf-8")
    for number in sorted({str(item.settings["notebook"]) for item in QUEUE if item.kind == "chapter"}):
        (notebook,) = find_notebooks([number], ROOT / "notebooks")
        write_script(notebook, {"PROFILE": "paper"}, folder / "scripts" / "notebooks" / f"{notebook.stem}.py")
    _pictures(folder)
    _earlier(folder)
    _networks(folder / "networks", full)
    if datasets is not None:
        _facades(datasets / "facades256", folder / "datasets" / "facades256")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "_data", "*.pyc"))
    else:
        shutil.copy2(source, target)


def _commit() -> str:
    """Which state of the repository this is; a pack has no history to ask."""
    asked = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _pictures(folder: Path) -> None:
    """The training photographs, and every other picture whose name stands in the code that was packed."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    for name in ("photos", "content", "style", "texture"):
        for file in sorted((samples.images_folder() / name).iterdir()):
            if name in ("photos", "content") or re.search(rf"\b{re.escape(file.stem)}\b", text):
                _copy(file, folder / "data" / "images" / name / file.name)
    _copy(samples.images_folder() / "LEDGER.csv", folder / "data" / "images" / "LEDGER.csv")


def _earlier(folder: Path) -> None:
    """What earlier calls made: records without pictures, so that they are not made again, and unfinished networks."""
    (folder / "data" / "models").mkdir(parents=True, exist_ok=True)
    for file in sorted((ROOT / "data" / "results").glob("*/record.json")):  # the laptop's: chapters read their numbers
        _copy(file, folder / "data" / "results" / file.parent.name / file.name)
    for file in sorted((ROOT / "data" / "results" / "paper").glob("*/record.json")):
        _copy(file, folder / "data" / "results" / "paper" / file.parent.name / file.name)
        item = next((item for item in QUEUE if file.parent.name in item.records), None)
        if item is not None and json.loads(file.read_text(encoding="utf-8"))["reduced"]:
            for model in item.models:
                if (trained := model_files.models_folder() / f"{model}.safetensors").exists():
                    _copy(trained, folder / "data" / "models" / trained.name)


def _networks(folder: Path, full: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in CUTS:
        if not (full and name == "vgg16_torchvision"):
            file, data = weights.cut(name)
            (folder / file).write_bytes(data)
    for name in ("vgg16_torchvision", "lpips_vgg16", "adain_decoder") if full else ():
        shutil.copy2(weights.fetch(name), folder / REGISTRY[name].path.name)


def _facades(source: Path, target: Path) -> None:
    """The pairs that `benchmarks/translation_scores.py` uses, squeezed to 143 px and side by side in one file each."""
    for split, count in (("train", 845), ("test", 100)):
        pairs = PairedImages(source, split, size=143, label_maps=True)
        for k in range(min(count, len(pairs))):
            for picture, name in zip(pairs[k].split(1), ("labels.png", "photo.jpg"), strict=True):
                images.save_image(picture, target / split / f"{k:04d}_{name}", quality=92)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the names of whoever packed it."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("paper-pack: stopped; an older pack is as it was.", file=sys.stderr)
        sys.exit(130)
