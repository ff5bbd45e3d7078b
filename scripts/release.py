"""The book as one file for download: python -m scripts.release  →  _build/release/painting-with-networks-VERSION.zip

It holds the rendered pages of _build/html (`make html`), a README.txt that says how to open them, MANIFEST.json
(version, commit, every file with its size and digest) and SHA256SUMS. The same pages give the same bytes.
"""

import hashlib
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from course_lib.atomic import atomic_write

ROOT = Path(__file__).resolve().parents[1]
NAME = "painting-with-networks"
LEFT_OUT = {".sources", ".buildinfo", ".nojekyll"}  # needed by the build or the server, not by readers
README = """Painting with Networks {version}

To read: unpack this file and open index.html in a browser. Pages, search, formulas and the things to play with need no
network and no Python.

Only the page "Try it", where networks run inside the browser, must come from a server, because browsers let no file
start a program. With Python installed, one of your own is one line, said in this folder:

    python -m http.server 8000

and then open http://localhost:8000 in the browser.

To check that nothing was changed on the way:  sha256sum --check SHA256SUMS   (macOS: shasum -a 256 -c SHA256SUMS)
MANIFEST.json says the same to programs, with the version and the commit.

Text and figures: CC BY 4.0. Code: MIT. Pictures: each its own, see book/credits.html.
"""


def version(root: Path = ROOT) -> str:
    return str(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def commit(root: Path = ROOT) -> str:
    """The commit of the tree as git describes it, or "unknown" without git."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def contents(html: Path, *, version: str, commit: str) -> dict[str, bytes]:
    """The files of the archive: path → content, sorted by path.

    Raises:
        SystemExit: there are no rendered pages.
    """
    if not (html / "index.html").exists():
        raise SystemExit(f"release: {html} holds no index.html: run make html first.")
    paths = [path for path in html.rglob("*") if path.is_file() and path.name not in LEFT_OUT and path.suffix != ".map"]
    files = {path.relative_to(html).as_posix(): path.read_bytes() for path in paths}
    files["README.txt"] = README.format(version=version).encode()
    digests = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
    manifest = {
        "name": NAME,
        "version": version,
        "commit": commit,
        "files": [{"path": name, "size": len(files[name]), "sha256": digest} for name, digest in digests.items()],
    }
    files["MANIFEST.json"] = (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
    digests["MANIFEST.json"] = hashlib.sha256(files["MANIFEST.json"]).hexdigest()
    files["SHA256SUMS"] = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()
    return {name: files[name] for name in sorted(files)}


def pack(files: dict[str, bytes], folder: str, target: Path) -> None:
    """Write the archive atomically, with sorted names and the same date and permissions for every file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(f"{folder}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data, compresslevel=9)


def main() -> int:
    name = f"{NAME}-{version()}"
    target = ROOT / "_build" / "release" / f"{name}.zip"
    files = contents(ROOT / "_build" / "html", version=version(), commit=commit())
    pack(files, name, target)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    with atomic_write(target.with_name(f"{target.name}.sha256")) as stream:
        stream.write(f"{digest}  {target.name}\n".encode())
    print(f"{target}: {len(files)} files, {target.stat().st_size / 1e6:.1f} MB, sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
