"""The mirror: the second place that a pretrained network is fetched from, if the package index does not provide it.

A mirror is a folder of files, on a web server or a local disk: one ``.safetensors`` file for each network, exactly as
the cache stores it; a text with its license; and ``MANIFEST.json``, which gives the size and SHA-256 of each file.
``make mirror`` writes it. The default mirror is a release of this project's repository; the environment variable
``COURSE_LIB_MIRROR`` names another one: a web address, a ``file://`` address or a folder, for a classroom without a
network.

The manifest's SHA-256 finds a damaged transfer. It does not make a file trustworthy, because it comes from the same
place. That is up to the fingerprint in the catalog, which `course_lib.pretrained.weights` compares before the file
enters the cache.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
import urllib3

from course_lib.pretrained import download as http
from course_lib.pretrained.catalog import Entry, mirror_address
from course_lib.pretrained.download import DownloadError, Progress

MANIFEST = "MANIFEST.json"


class MirrorError(DownloadError):
    """The mirror does not provide a network; the message names the mirror and says why."""


def download(entry: Entry, folder: Path, progress: Progress | None = None) -> Path:
    """Copy a network's file from the mirror into `folder`, resuming an unfinished download.

    Args:
        entry: the network.
        folder: an existing folder; an unfinished download stays in it as a ``.part`` file.
        progress: called with (bytes so far, total bytes).

    Returns:
        The path of the file, complete by the manifest's SHA-256. The caller verifies the fingerprint, then moves or
        deletes the file.

    Raises:
        MirrorError: the mirror could not be reached, does not offer this file, or sends other bytes than its manifest
            promises.
    """
    address = mirror_address()
    shown = http.without_password(address)
    target = folder / f".{entry.path.name}.from-mirror"
    try:
        local = local_folder(address)
        row, digest = _over_http(address, entry, target, progress) if local is None else _copied(local, entry, target)
        if digest != row["sha256"]:
            raise MirrorError(
                f"its file {row['file']} is not the one in its manifest "
                f"(SHA-256 {digest[:12]}… instead of {row['sha256'][:12]}…), so it was refused"
            )
    except (UnicodeDecodeError, json.JSONDecodeError) as error:  # before RequestException, which requests derives from
        raise MirrorError(f"{shown}: its {MANIFEST} cannot be read") from error
    except (DownloadError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise MirrorError(f"{shown}: {http.reason(error)}") from error
    return target


def _over_http(address: str, entry: Entry, target: Path, progress: Progress | None) -> tuple[dict[str, Any], str]:
    """The manifest's row, and the SHA-256 of what was downloaded; `target` exists if they agree."""
    base = address.rstrip("/")
    with requests.Session() as session:
        http.configure(session, http.pip_settings())
        answer = http.get(session, f"{base}/{MANIFEST}")
        answer.raise_for_status()
        row = _row(answer.json(), entry)
        digest = http.fetch_verified(session, f"{base}/{row['file']}", target, row["sha256"], row["size"], progress)
    return row, digest


def _copied(folder: Path, entry: Entry, target: Path) -> tuple[dict[str, Any], str]:
    """As `_over_http`, from a folder; errors of reading and of writing must not be mistaken for each other."""
    try:
        row = _row(json.loads((folder / MANIFEST).read_text(encoding="utf-8")), entry)
        source = folder / row["file"]
        digest = http.sha256_of(source)
    except OSError as error:
        raise MirrorError(f"{error.filename} cannot be read ({error.strerror})") from error
    if digest == row["sha256"]:
        shutil.copyfile(source, target)
    return row, digest


def local_folder(address: str) -> Path | None:
    """The folder that an address names, or None for a web address.

    >>> local_folder("https://campus.test/networks") is None
    True
    >>> local_folder("file:///srv/my%20networks").as_posix()
    '/srv/my networks'
    """
    if address.startswith("file:"):
        return Path(url2pathname(urlsplit(address).path))
    return None if re.match(r"https?://", address) else Path(os.path.expanduser(address))


def _row(manifest: Any, entry: Entry) -> dict[str, Any]:
    """The manifest's row for a network.

    Raises:
        MirrorError: there is none, it is for another version of the network, or it is malformed.
    """
    try:
        rows = {row["name"]: row for row in manifest["networks"]}
        left_out = {row["name"]: row["reason"] for row in manifest["left_out"]}
        if entry.name in left_out:
            raise MirrorError(f"it leaves out {entry.name}: {left_out[entry.name]}")
        if entry.name not in rows:
            raise MirrorError(f"it does not offer {entry.name}")
        row = rows[entry.name]
        if row["file"] != entry.path.name:  # also keeps the name from leading out of the folder
            raise MirrorError(f"it offers {entry.name} as {row['file']}, and {entry.path.name} is needed")
        return {"file": str(row["file"]), "sha256": str(row["sha256"]), "size": int(row["size"])}
    except (KeyError, TypeError, ValueError) as error:
        raise MirrorError(f"its {MANIFEST} is malformed ({type(error).__name__}: {error})") from error
