"""Takes in the archives of a queue: everything is looked at first, and nothing changes unless all of it is well.

Archives come from another machine. They are read as data: no entry decides where it is written, nothing in them is
executed, and what a stored run or a model must be like is checked as strictly as if somebody had made it up.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.notebook_script import Refused
from scripts.paper_queue.archives import FORMAT, LIMIT, MOST
from scripts.paper_queue.contents import Unfit, check_model, check_record, not_finite
from scripts.paper_queue.items import Item

_RECORD = re.compile(r"results/paper/(\w{1,80})/(record\.json|\w{1,120}\.webp)")
_MODEL = re.compile(r"models/(\w{1,80})\.safetensors")
_CHECKPOINT = re.compile(r"checkpoints/(\w{1,80}\.(?:checkpoint|json))")
_REPORT = re.compile(r"report\.(json|txt)")
_MANIFEST = 2_000_000  # bytes
_FIELDS = {"path": str, "size": int, "sha256": str, "member": str, "chunk": int, "chunks": int} | {
    "offset": int,
    "length": int,
}


@dataclass(frozen=True)
class Found:
    """What came in, in a folder of its own: stored runs and models by name, checkpoints with their notes by file."""

    folder: Path
    records: dict[str, dict[str, Any]]
    models: tuple[str, ...]
    checkpoints: tuple[str, ...]


def read(archives: Sequence[Path], queue: Sequence[Item], folder: Path, scale: str = "full") -> Found:
    """Read, verify and unpack archives.

    Args:
        archives: all of one run, in any order.
        queue: what may be in them.
        folder: an empty one to unpack into.
        scale: of the run; only a full one is worth keeping.

    Raises:
        Refused: the first thing that is not well, in one sentence.
    """
    manifests = [_manifest(path) for path in archives]
    _complete(archives, manifests, scale)
    rows: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for path, manifest in zip(archives, manifests, strict=True):
        for row in manifest["files"]:
            rows.setdefault(row["path"], []).append((path, row))
    for name, parts in rows.items():
        _assemble(name, sorted(parts, key=lambda part: part[1]["chunk"]), folder)
    return _contents(sorted(rows), queue, folder, "" if scale == "full" else f"{scale}-")


# --- one archive
def _manifest(path: Path) -> dict[str, Any]:
    """The manifest of an archive whose every entry is plain, sound and listed."""
    if not path.is_file():
        raise Refused(f"there is no archive {path}; give the paper-K-of-N.zip of one run, all of them.")
    size = path.stat().st_size
    if size > LIMIT:
        raise Refused(f"{path} has {size:,} bytes; an archive of the queue has {LIMIT:,} at most.")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [_plain(path, info) for info in archive.infolist()]
            if sum(info.file_size for info in archive.infolist()) > size:
                raise Refused(f"{path} says that its entries are larger than itself; it was not made by the queue.")
            if broken := archive.testzip():
                raise Refused(f"{path} is damaged: {broken} has a wrong checksum; fetch the archive again.")
            if archive.getinfo("manifest.json").file_size > _MANIFEST:
                raise Refused(f"{path} has a manifest of more than {_MANIFEST:,} bytes; it was not made by the queue.")
            manifest = json.loads(archive.read("manifest.json"))
    except (zipfile.BadZipFile, OSError, KeyError, ValueError, NotImplementedError, RecursionError, EOFError) as error:
        raise Refused(f"{path} is damaged, or not an archive of the queue ({error}); fetch it again.") from error
    _check_manifest(path, manifest)
    members = sorted([*(row["member"] for row in manifest["files"]), "manifest.json"])
    if members != sorted(names):
        odd = ", ".join(sorted(set(members) ^ set(names))) or "a name that comes twice"
        raise Refused(f"{path} and its manifest differ by {odd}; it was changed after it was made.")
    return dict(manifest)


def _plain(path: Path, info: zipfile.ZipInfo) -> str:
    """The name of an entry that is a plain stored file."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or info.is_dir():
        raise Refused(f"{path}: {info.filename} is a link or a folder; only plain files are taken in.")
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.filename != info.orig_filename:
        raise Refused(f"{path}: {info.filename} is compressed, encrypted or oddly named; the queue stores files as is.")
    return info.filename


def _check_manifest(path: Path, manifest: Any) -> None:
    about = {"format": int, "run": str, "scale": str, "archive": int, "of": int, "files": list}
    if not _has(manifest, about) or not all(_has(row, _FIELDS) for row in manifest["files"]):
        raise Refused(f"{path}: its manifest lacks a field or has one of the wrong kind; it was not made by the queue.")
    if manifest["format"] != FORMAT:
        raise Refused(
            f"{path} has format {manifest['format']}; this checkout reads format {FORMAT}: update one of both."
        )
    if not 1 <= manifest["archive"] <= manifest["of"] <= MOST:
        raise Refused(
            f"{path} calls itself archive {manifest['archive']} of {manifest['of']}; there are {MOST} at most."
        )
    for row in manifest["files"]:
        if not any(form.fullmatch(row["path"]) for form in (_RECORD, _MODEL, _CHECKPOINT, _REPORT)):
            known = "results/paper/NAME/…, models/NAME.safetensors, checkpoints/NAME.checkpoint or .json, and report.*"
            raise Refused(f"{path} wants to write {row['path']!r}; only {known} are taken in.")


def _has(value: Any, kinds: dict[str, type]) -> bool:
    return isinstance(value, dict) and all(type(value.get(name)) is kind for name, kind in kinds.items())


# --- all of them
def _complete(archives: Sequence[Path], manifests: Sequence[dict[str, Any]], scale: str) -> None:
    """Every archive of one run, once."""
    if not archives:
        raise Refused('no archive was given: make paper-import ARCHIVES="paper-1-of-2.zip paper-2-of-2.zip".')
    first = manifests[0]
    for path, manifest in zip(archives, manifests, strict=True):
        if manifest["scale"] != scale:
            expected = "only runs at the full scale are kept" if scale == "full" else f"expected the {scale} scale"
            raise Refused(f"{path} comes from a run at the {manifest['scale']} scale; {expected}.")
        if (manifest["run"], manifest["of"]) != (first["run"], first["of"]):
            raise Refused(f"{archives[0]} and {path} come from two runs of the queue; import one after the other.")
    numbers = [manifest["archive"] for manifest in manifests]
    if missing := sorted(set(range(1, first["of"] + 1)) - set(numbers)):
        names = ", ".join(f"paper-{number}-of-{first['of']}.zip" for number in missing)
        raise Refused(f"of this run {names} {'is' if len(missing) == 1 else 'are'} missing; give all archives at once.")
    if len(set(numbers)) != len(numbers):
        raise Refused("the same archive was given twice; give each once.")


def _assemble(name: str, parts: list[tuple[Path, dict[str, Any]]], folder: Path) -> None:
    """Put the chunks of a file together and compare it with its checksum."""
    row = parts[0][1]
    same = {(part["size"], part["sha256"], part["chunks"]) for _, part in parts}
    if len(same) != 1 or [part["chunk"] for _, part in parts] != list(range(1, row["chunks"] + 1)):
        have = ", ".join(str(part["chunk"]) for _, part in parts)
        raise Refused(f"of {name} the chunks {have} of {row['chunks']} are there; expected each once, of one file.")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with open(target, "xb") as stream:
        for path, part in parts:
            with zipfile.ZipFile(path) as archive:
                content = archive.read(part["member"])
            if part["offset"] != size or part["length"] != len(content):
                raise Refused(
                    f"chunk {part['chunk']} of {name} does not lie where its manifest says; fetch {path} again."
                )
            digest.update(content)
            stream.write(content)
            size += len(content)
    if size != row["size"] or digest.hexdigest() != row["sha256"]:
        raise Refused(f"{name} has another checksum than when it was packed; fetch {parts[0][0].name} again.")


# --- contents
def _contents(names: list[str], queue: Sequence[Item], folder: Path, prefix: str) -> Found:
    makers = {model: item for item in queue for model in item.models}
    known = {record for item in queue for record in item.records}
    records: dict[str, dict[str, Any]] = {}
    models, checkpoints = [], []
    try:
        for name in names:
            if match := _RECORD.fullmatch(name):
                if match[1] not in known:
                    raise Refused(f"the queue makes no stored run {match[1]}; update the checkout, or leave it out.")
                if match[1] not in records:
                    records[match[1]] = check_record(folder / "results" / "paper" / match[1], match[1], prefix)
            elif match := _MODEL.fullmatch(name):
                if match[1] not in makers:
                    raise Refused(f"the queue makes no model {match[1]}; update the checkout, or leave it out.")
                check_model(folder / name, makers[match[1]])
                models.append(match[1])
            elif match := _CHECKPOINT.fullmatch(name):
                _check_checkpoint(folder / name, name)
                checkpoints.append(match[1])
            elif name == "report.json":
                _check_report(folder / name)
    except Unfit as error:
        raise Refused(f"{str(error).replace(f'{folder}/', '')}; nothing was taken in.") from error
    for model in models:
        if alone := set(makers[model].records) - set(records):
            raise Refused(f"model {model} comes without its stored run {', '.join(alone)}, which says how it was made.")
    return Found(folder, records, tuple(models), tuple(checkpoints))


def _check_checkpoint(path: Path, name: str) -> None:
    """A checkpoint is a zip file, and is not opened here: `training.checkpoints` reads it without executing it."""
    if path.suffix == ".checkpoint":
        if not zipfile.is_zipfile(path):
            raise Unfit(f"{name} is not a checkpoint: torch writes them as zip files")
        return
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unfit(f"{name} cannot be read ({error})") from error
    if not isinstance(note, dict) or not all(type(value) is int and value >= 0 for value in note.values()):
        raise Unfit(f"{name} is not the note beside a checkpoint: expected numbers of steps")


def _check_report(path: Path) -> None:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unfit(f"report.json cannot be read ({error})") from error
    if not isinstance(report, dict) or not isinstance(report.get("items"), list) or not_finite(report):
        raise Unfit("report.json is not the report of a queue: expected an object with a list of items")
