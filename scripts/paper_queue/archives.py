"""Packs what a queue made into a few zip archives that are small enough to be handed on one by one.

Most valuable first: the report, the stored runs, the models, and the checkpoints where room is left. Every archive has
a ``manifest.json`` that says which run it belongs to and what each of its entries is; `intake` takes them in again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.paper_queue.contents import Unfit, check_model, check_record
from scripts.paper_queue.items import Item
from scripts.paper_queue.report import Book

FORMAT = 1
LIMIT = 15_000_000  # bytes of an archive
MOST = 6  # archives
_SMALL = 1_000_000  # bytes of a file that is not split for a few bytes of room
_LEAST = 65_536  # bytes of a chunk that are worth an entry
_BASE = 4_096  # bytes of an archive beside its entries
_SPARE = 65_536  # bytes that the report may grow by, when it says what found no room


@dataclass(frozen=True)
class Piece:
    """A file, or a chunk of one, in an archive; `path` is relative to the queue's folder."""

    path: str
    offset: int
    length: int

    @property
    def cost(self) -> int:
        """Bytes of an archive that it takes, its names in the zip and in the manifest counted generously."""
        return self.length + _entry(self.path)


def _entry(path: str) -> int:
    return 600 + 6 * len(path.encode())


@dataclass
class Layout:
    """What goes into which archive; `left` is the room in the last one."""

    limit: int = LIMIT
    most: int = MOST
    archives: list[list[Piece]] = field(default_factory=lambda: [[]])
    left: int | None = None

    def __post_init__(self) -> None:
        self.left = self.limit - _BASE if self.left is None else self.left

    def add(self, files: Iterable[tuple[str, int]]) -> bool:
        """Take in these files, all or none of them; whether there was room."""
        trial = Layout(self.limit, self.most, [list(pieces) for pieces in self.archives], self.left)
        if not all(trial._add(path, size) for path, size in files):
            return False
        self.archives, self.left = trial.archives, trial.left
        return True

    def _add(self, path: str, size: int) -> bool:
        offset = 0
        while True:
            whole = Piece(path, offset, size - offset)
            if whole.cost <= self.left:
                self._put(whole)
                return True
            room = self.left - _entry(path)
            if size > _SMALL and room >= _LEAST:
                self._put(Piece(path, offset, room))
                offset += room
            if len(self.archives) == self.most:
                return False
            self.archives.append([])
            self.left = self.limit - _BASE

    def _put(self, piece: Piece) -> None:
        self.archives[-1].append(piece)
        self.left -= piece.cost


# --- what is worth packing
def gather(folder: Path, queue: Sequence[Item], prefix: str = "") -> tuple[list[list[str]], dict[str, str]]:
    """What can be taken in elsewhere, as groups of paths that belong together, and what cannot, with the reason.

    Args:
        folder: of the queue.
        queue: in its order.
        prefix: of the digests, where they are none of the full scale.
    """
    groups: list[list[str]] = []
    odd: dict[str, str] = {}
    packed: set[str] = set()
    results = folder / "results" / "paper"
    there = {path.name: path for path in sorted(results.glob("[!.]*")) if path.is_dir()}
    for name in (name for item in queue for name in item.records if name in there):
        try:
            found = check_record(there[name], name, prefix)
        except Unfit as error:
            odd[f"results/paper/{name}"] = str(error)
            continue
        packed.add(name)
        groups.append([f"results/paper/{name}/{file}" for file in ("record.json", *found["images"].values())])
    known = {name for item in queue for name in item.records}
    odd |= {f"results/paper/{name}": "the queue knows no such run" for name in there if name not in known}
    for maker, name in ((item, name) for item in queue for name in item.models):
        path = f"models/{name}.safetensors"
        if not (folder / path).is_file():
            continue
        try:
            if not packed.issuperset(maker.records):
                raise Unfit("its stored run is not there")
            check_model(folder / path, maker)
            groups.append([path])
        except Unfit as error:
            odd[path] = str(error)
    order = [name for item in queue for name in (item.name, *item.models, *item.records)]
    found = sorted((folder / "checkpoints").glob("[!.]*.checkpoint"), key=lambda path: _place(path.stem, order))
    for path in (path for path in found if re.fullmatch(r"\w+", path.stem)):
        note = path.with_suffix(".json")  # how long the run is meant to be: without it a checkpoint is of no use
        groups.append([f"checkpoints/{file.name}" for file in (path, note) if file.is_file()])
    return groups, odd


def _place(name: str, order: list[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


# --- packing
def pack(folder: Path, queue: Sequence[Item], book: Book, *, limit: int = LIMIT, most: int = MOST) -> list[Path]:
    """Write ``archives/paper-K-of-N.zip`` in the queue's folder, in place of older ones.

    Args:
        folder: of the queue.
        queue: all of it: what it does not know is left out.
        book: its report travels in the first archive, and says what was left out.
        limit, most: bytes of an archive, and how many.

    Returns:
        The archives; the size of each is at most `limit`.
    """
    scale = str(book.about.get("scale", "full"))
    groups, book.left_out = gather(folder, queue, "" if scale == "full" else f"{scale}-")
    book.write()
    reports = ["report.json", "report.txt"]
    layout = Layout(limit, most)
    reserved = sum((folder / name).stat().st_size + _entry(name) for name in reports) + _SPARE
    layout.left -= reserved
    for group in groups:
        if not layout.add((path, (folder / path).stat().st_size) for path in group):
            what = group[0] if len(group) == 1 else str(Path(group[0]).parent)
            book.left_out[what] = f"no room in {most} archives of {limit / 1e6:.0f} MB; it lies in {folder}"
    book.write()
    layout.archives[0][:0] = [Piece(name, 0, (folder / name).stat().st_size) for name in reports]
    return _write(folder, layout.archives, scale)


def _write(folder: Path, archives: list[list[Piece]], scale: str) -> list[Path]:
    chunks: dict[str, list[Piece]] = {}
    for piece in (piece for pieces in archives for piece in pieces):
        chunks.setdefault(piece.path, []).append(piece)
    sums = {path: _sum(folder / path) for path in chunks}
    run = secrets.token_hex(8)
    fresh, final = folder / ".archives.new", folder / "archives"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for number, pieces in enumerate(archives, 1):
        rows: list[dict[str, Any]] = []
        with zipfile.ZipFile(fresh / f"paper-{number}-of-{len(archives)}.zip", "w", zipfile.ZIP_STORED) as archive:
            for piece in pieces:
                all_of_it = chunks[piece.path]
                chunk, count = all_of_it.index(piece) + 1, len(all_of_it)
                member = piece.path if count == 1 else f"{piece.path}.{chunk}-of-{count}"
                size = sum(part.length for part in all_of_it)
                rows.append({"path": piece.path, "size": size, "sha256": sums[piece.path], "member": member})
                rows[-1] |= {"chunk": chunk, "chunks": count, "offset": piece.offset, "length": piece.length}
                archive.writestr(_info(member), _read(folder / piece.path, piece))
            about = {"format": FORMAT, "run": run, "scale": scale, "archive": number, "of": len(archives)}
            archive.writestr(_info("manifest.json"), json.dumps({**about, "files": rows}, ensure_ascii=False))
    shutil.rmtree(final, ignore_errors=True)
    os.replace(fresh, final)
    return sorted(final.glob("*.zip"))


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)  # of 1980: a time would say nothing
    info.external_attr = 0o100644 << 16
    return info


def _read(path: Path, piece: Piece) -> bytes:
    with open(path, "rb") as stream:
        stream.seek(piece.offset)
        return stream.read(piece.length)


def _sum(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
