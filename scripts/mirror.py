"""Writes the mirror of the pretrained networks: python -m scripts.mirror  →  _build/mirror/

For each network of the catalog that may be passed on, the folder holds the file exactly as the cache stores it and a
text with its licenses; MANIFEST.json lists every network with its size and SHA-256, and what was left out and why.
Upload all of it as assets of this repository's release `networks`, or put the folder where a classroom can read it and
set COURSE_LIB_MIRROR to its path.
"""

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from course_lib.atomic import atomic_folder
from course_lib.pretrained import weights
from course_lib.pretrained.catalog import REGISTRY, RELEASE, REPOSITORY, Entry, Notice
from course_lib.pretrained.download import sha256_of
from course_lib.pretrained.formats import fingerprint
from course_lib.pretrained.mirror import MANIFEST

ROOT = Path(__file__).resolve().parents[1]
LICENSES = Path(__file__).with_name("licenses")
ABOUT = (
    "Pretrained networks as course_lib caches them. `sha256` is of the file, to find a damaged copy; `fingerprint` is "
    "of the tensors, and course_lib compares it with its own catalog before it uses a file."
)


def license_text(entry: Entry, origin: str) -> str:
    """The network's origin, every work in it with its copyright line, then the text of each license once.

    Raises:
        SystemExit: scripts/licenses has no text for one of the licenses.
    """
    parts = [f"{entry.name}: {entry.description}\nOrigin: {origin}"]
    parts += [f"{notice.covers}\n{notice.holder}\nLicense: {notice.spdx}" for notice in entry.notices]
    for spdx in dict.fromkeys(notice.spdx for notice in entry.notices):
        file = LICENSES / f"{spdx}.txt"
        if not file.is_file():
            raise SystemExit(f"mirror: {entry.name} needs the text of the license {spdx} in {file}.")
        parts.append(file.read_text(encoding="utf-8").strip())
    return f"\n\n{'-' * 70}\n\n".join(parts) + "\n"


def write(target: Path, entries: Iterable[Entry]) -> dict[str, Any]:
    """Write a mirror of the given networks, fetching those that are not cached, and return its manifest.

    Args:
        target: the folder; an older one is replaced when the new one is complete.
        entries: of the catalog.

    Raises:
        SystemExit: a file does not have the catalog's fingerprint; an older folder is left as it was.
        WeightsError: a network is not available.
    """
    networks, left_out = [], []
    with atomic_folder(target) as folder:
        for entry in entries:
            if entry.kept_off_mirror:
                left_out.append({"name": entry.name, "reason": entry.kept_off_mirror, "license": entry.license})
                continue
            file = Path(shutil.copyfile(weights.fetch(entry.name), folder / entry.path.name))
            loaded = weights.load(file)
            if (actual := fingerprint(loaded.state_dict)) != entry.key:  # the copy, not the original: what is uploaded
                raise SystemExit(f"mirror: {file.name} has the fingerprint {actual}, and the catalog says {entry.key}.")
            text = folder / f"{entry.name}-LICENSE.txt"
            origin = weights.load(entry.name).source
            text.write_text(license_text(entry, origin), encoding="utf-8")
            networks.append(
                {
                    "name": entry.name,
                    "description": entry.description,
                    "file": file.name,
                    "size": file.stat().st_size,
                    "sha256": sha256_of(file),
                    "fingerprint": entry.key,
                    "origin": origin,
                    "license": entry.license,
                    "notices": [_notice(notice) for notice in entry.notices],
                    "license_file": text.name,
                }
            )
        manifest = {"about": ABOUT, "networks": networks, "left_out": left_out}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def _notice(notice: Notice) -> dict[str, str]:
    return {"license": notice.spdx, "holder": notice.holder, "covers": notice.covers}


def main() -> int:
    target = ROOT / "_build" / "mirror"
    try:
        manifest = write(target, REGISTRY.values())
    except weights.WeightsError as error:
        print(f"mirror: {error}", file=sys.stderr)
        return 1
    for row in manifest["networks"]:
        print(f"{row['sha256'][:12]}…  {row['size'] / 1e6:6.1f} MB  {row['file']}")
    for row in manifest["left_out"]:
        print(f"left out: {row['name']}: {row['reason']}")
    print(f"{target}: upload its files to the release {RELEASE!r} of {REPOSITORY}, or set COURSE_LIB_MIRROR to it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
