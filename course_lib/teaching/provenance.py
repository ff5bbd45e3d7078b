"""Where a stored run comes from: the pictures it read, the machine, the versions, the commit, and a seal."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from course_lib import samples

_FOLDER = Path(__file__).resolve().parent
_CODE = ("course_lib", "scripts", "benchmarks", "notebooks", "data/claims.yml", "data/images", "data/models")
_LIBRARIES = ("numpy", "pillow", "safetensors", "torchmetrics")


def seal(stored: Mapping[str, Any], folder: Path) -> str:
    """16 hexadecimal digits over everything in a record and the bytes of its pictures.

    It guards against a number that is changed by hand without thinking, not against somebody who makes a new seal.

    Args:
        stored: the content of ``record.json``; its own ``seal`` is left out.
        folder: holds its pictures.
    """
    content = {key: value for key, value in stored.items() if key != "seal"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode())
    for file in sorted(stored["images"].values()):
        digest.update((folder / file).read_bytes())
    return digest.hexdigest()[:16]


def versions() -> dict[str, str]:
    """Python, torch, CUDA where there is one, and the libraries that a number may depend on."""
    found = {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]}
    if torch.cuda.is_available():
        found["cuda"] = str(torch.version.cuda)
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def inputs(seen: Sequence[samples.Seen]) -> dict[str, Any]:
    """Which file each picture was read from, its digest, and the sizes (H, W) at which it was used."""
    rows = {Path(row["file"]).stem: row for row in samples.ledger()} if seen else {}
    found: dict[str, Any] = {}
    for name, size in seen:
        known = {"file": rows[name]["file"], "sha256": rows[name]["sha256"], "sizes": []}
        sizes = found.setdefault(name, known)["sizes"]
        if [*size] not in sizes:
            sizes.append([*size])
    return found


def device_name() -> str:
    """Name of the GPU, or of the CPU with the number of threads in use."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = (line for line in cpuinfo.read_text(errors="replace").splitlines() if "model name" in line)
        model = next(lines, f": {model}").split(":", 1)[1].strip()
    threads = torch.get_num_threads()
    return f"{model}, {threads} thread{'s' if threads > 1 else ''}"


def forget_peak_memory() -> None:
    """Reset the peak memory counter, where the system allows it."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # Linux
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_gb() -> float | None:
    """Peak memory of the GPU in GB, or else of this process; None where the system does not record it."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e9, 3)
    status = Path("/proc/self/status")
    if status.exists():
        peak = re.search(r"VmHWM:\s+(\d+)", status.read_text())
        return round(int(peak[1]) * 1024 / 1e9, 3) if peak else None
    if sys.platform != "darwin":
        return None
    import resource  # not on Windows

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9, 3)  # since the process started


def commit() -> str | None:
    """The present commit, with ``-dirty`` if code, the list of claims, pictures or models differ from it.

    ``COURSE_LIB_COMMIT`` says it for a folder without git. New records and pages do not count as changes.
    """
    if named := os.environ.get("COURSE_LIB_COMMIT"):
        return named
    try:
        name = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", *(f":/{place}" for place in _CODE))
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{name}-dirty" if changed else name


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=_FOLDER, capture_output=True, text=True, check=True)
    return done.stdout.strip()
