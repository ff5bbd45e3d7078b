"""What a stored run and a model file must be like: looked at before they are packed, and again when they come in."""

from __future__ import annotations

import importlib
import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

from scripts.paper_queue.items import Item

METHODS = {
    "painter": "johnson", "several": "multi_style", "decoder": "adain", "translator": "pix2pix",
    "unpaired": "cyclegan", "styles": "stylegan", "domains": "stargan", "attention": "ugatit", "cartoons": "animegan",
    "enlarger": "super_resolution",
}  # fmt: skip
LARGEST_SIDE = 1024  # pixels: what `records` stores at most
LONGEST = 24 * 60.0  # minutes that a stored run may have taken
LARGEST_RECORD = 8_000_000  # bytes of a record.json
PICTURE = re.compile(r"\w{1,120}\.webp")


class Unfit(ValueError):
    """A file that cannot be kept; the message says which, and why."""


def read_record(folder: Path) -> dict[str, Any]:
    """``record.json`` of a folder, not looked at closely.

    Raises:
        Unfit: there is none, or it is no JSON object.
    """
    file = folder / "record.json"
    try:
        if file.stat().st_size > LARGEST_RECORD:
            raise Unfit(f"{file} is larger than {LARGEST_RECORD:,} bytes; a stored run holds numbers, not data")
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, Unfit):
            raise
        raise Unfit(f"{file} cannot be read as JSON ({type(error).__name__}: {error})") from error
    if not isinstance(found, dict):
        raise Unfit(f"{file} holds a {type(found).__name__}; an object with a stored run's fields was expected")
    return found


def not_finite(value: Any, where: str = "") -> str:
    """Where the first number that is not finite stands, ``"values › loss › 3"``; "" where all are."""
    if isinstance(value, float) and not math.isfinite(value):
        return where or "the value itself"
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = (not_finite(inner, f"{where} › {name}" if where else str(name)) for name, inner in pairs)
    return next(filter(None, found), "")


def check_record(folder: Path, name: str, prefix: str = "") -> dict[str, Any]:
    """A stored run at the paper profile, looked at from all sides.

    Args:
        folder: with ``record.json`` and its pictures, and nothing else.
        name: what the run must be called.
        prefix: of its digest, where it is none of the full scale.

    Raises:
        Unfit: the message names the first fault.
    """
    from course_lib.teaching.provenance import seal
    from course_lib.teaching.records import Record

    found = read_record(folder)

    def need(holds: bool, field: str, expected: str) -> None:
        if not holds:
            got = str(found.get(field))[:80]
            raise Unfit(f"stored run {name}: {field} is {got!r}; expected {expected}")

    try:
        Record(**found)
    except TypeError as error:
        raise Unfit(f"stored run {name} does not have the fields of a record ({error})") from error
    need(found["name"] == name, "name", "the name of its folder")
    need(found["profile"] == "paper", "profile", "'paper'")
    need(type(found["seed"]) is int, "seed", "a whole number")
    for field in ("config", "values", "images", "claims", "versions"):
        need(isinstance(found.get(field, {}), dict), field, "an object")
    for field in ("command", "reduced", "digest", "device", "seal"):
        need(isinstance(found.get(field, ""), str), field, "a text")
    need(bool(found.get("device")), "device", "the name of what computed it")
    need(bool(re.fullmatch(f"{prefix}[0-9a-f]{{16}}", found.get("digest", ""))), "digest", "16 hexadecimal digits")
    minutes, peak = found.get("minutes"), found.get("peak_memory_gb")
    need(isinstance(minutes, int | float) and 0 <= minutes <= LONGEST, "minutes", f"a number from 0 to {LONGEST:.0f}")
    need(peak is None or (isinstance(peak, int | float) and peak >= 0), "peak_memory_gb", "a number, or nothing")
    if where := not_finite(found):
        raise Unfit(f"stored run {name} holds a number that is not finite: {where}")
    pictures = list(found["images"].values())
    need(all(isinstance(file, str) and PICTURE.fullmatch(file) for file in pictures), "images", "names like cat.webp")
    there = {path.name for path in folder.iterdir()} - {"record.json"}
    if there != set(pictures):
        odd = ", ".join(sorted(there ^ set(pictures)))
        raise Unfit(f"stored run {name}: its pictures and its list of them differ by {odd}")
    for file in pictures:
        _check_picture(folder / file, name)
    if found.get("seal") and found["seal"] != seal(found, folder):  # older runs have none
        raise Unfit(f"stored run {name} does not match its seal: it was changed after it was written")
    return found


def _check_picture(path: Path, name: str) -> None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("WEBP",)) as picture:
            if max(picture.size) > LARGEST_SIDE:
                raise Unfit(f"stored run {name}: {path.name} is {picture.size} px; sides may be {LARGEST_SIDE} at most")
            picture.load()
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        if isinstance(error, Unfit):
            raise
        raise Unfit(f"stored run {name}: {path.name} does not open as WebP ({type(error).__name__})") from error


def check_model(path: Path, item: Item) -> None:
    """A model file of the item's method: safetensors, weights that are finite and fit its configuration.

    Raises:
        Unfit: it is not.
    """
    import torch

    from course_lib.training import model_files

    if item.kind not in METHODS:
        raise Unfit(f"{path.name}: items of the kind {item.kind} make no models; only {', '.join(METHODS)} do")
    method = importlib.import_module(f"course_lib.methods.{METHODS[item.kind]}")
    try:
        file = model_files.read(path, method.KIND)
        # Shapes without memory, whatever the configuration asks for; torch warns that nothing is copied.
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):
            model_files.rebuild(file, method.Config, method.build, path.name)
    except Exception as error:  # a configuration from outside may make a method stumble anywhere
        raise Unfit(f"{path.name}: {error}") from error
    for name, value in file.state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise Unfit(f"{path.name}: the weights {name} are not finite")
