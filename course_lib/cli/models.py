"""``models``: list the trained networks that come with the package, and how each was made."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.cli.arguments import add_command, size_of
from course_lib.cli.generate import KINDS
from course_lib.cli.terminal import report
from course_lib.cli.translate import BOTH_WAYS, MANY

if TYPE_CHECKING:
    from course_lib.training.model_files import ModelHeader

_FACTS = ("style", "styles", "domains", "steps", "seconds", "device", "photos")  # of the training, for programs


def add(commands: Any) -> None:
    """Declare the command and its arguments."""
    add_command(commands, "models", run, "list the trained networks that come with the package")


def run(options: argparse.Namespace) -> None:
    """Print name, method, facts and size of each network; reads only the headers of the files."""
    from course_lib.training import model_files
    from course_lib.training.model_files import ModelError

    files: list[Path] = []
    with suppress(ModelError):
        files = sorted(model_files.models_folder().glob("*.safetensors"))
    if not files:
        report("No trained networks come with this copy of the package; train-style makes one.", asked=True)
    for file in files:
        size = f", {size_of(file.stat().st_size)}" if file.is_file() else ""
        try:
            header = model_files.read_header(file)
        except ModelError as error:
            about = "damaged or of another method" if file.is_file() else "a folder or a broken link"
            report(f"{file.stem}  ({about}{size})", asked=True, name=file.stem, error=str(error))
            continue
        facts = {name: value for name, value in header.facts.items() if name in _FACTS}
        report(
            f"{file.stem}  ({_about(header)}{size})",
            asked=True, name=file.stem, method=header.kind, file=file, bytes=file.stat().st_size, facts=facts,
            settings=header.config,
        )  # fmt: skip


def _about(header: ModelHeader) -> str:
    words = [header.kind]
    if "factor" in header.config:
        words += [f"factor {header.config['factor']}", f"{header.config['loss']} loss"]
    words += ["both directions"] if header.kind in BOTH_WAYS else []
    if header.kind == MANY and isinstance(domains := header.facts.get("domains"), list):
        words += [f"between {len(domains)} domains: {' '.join(map(str, domains))}"]
    words += ["photos to cartoons"] if header.kind == "animegan" else []
    if header.kind in KINDS and (side := header.config.get("image_size")):
        words += [f"{side} × {side} px from noise"]
    words += [f"style {header.facts['style']}"] if "style" in header.facts else []
    if isinstance(styles := header.facts.get("styles"), list):
        words += [f"{len(styles)} styles: {' '.join(map(str, styles))}"]
    words += [f"{header.facts['steps']} steps"] if "steps" in header.facts else []
    return ", ".join(words)
