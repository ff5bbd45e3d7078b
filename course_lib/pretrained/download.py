"""Download one file over HTTP: resumed where an earlier attempt stopped, and accepted only with the right SHA-256.

The package index and the mirror share this module. It uses the certificates, trusted hosts and proxy that `pip` is
configured with, because an institution that sets them needs them for every download.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

Progress = Callable[[int, int], None]  # (bytes so far, total bytes)

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte
NO_ADDRESS = "this is not a web address (https://…); see PIP_INDEX_URL and `pip config list`"
_NO_ADDRESS = (
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    urllib3.exceptions.LocationParseError,
)
_CONNECTIONS = 5  # how often one call resumes a dropped download before it gives up


class DownloadError(RuntimeError):
    """A file could not be downloaded, or is not the expected one; the message says why."""


def fetch_verified(
    session: requests.Session,
    url: str,
    target: Path,
    sha256: str,
    size: int,
    progress: Progress | None = None,
    auth: tuple[str, str] | None = None,
) -> str:
    """Download `url` to `target` if it has the given SHA-256; otherwise leave `target` alone.

    An unfinished download stays beside `target` as a ``.part`` file, and the next call resumes it. If a resumed file
    has the wrong hash, the leftover may be at fault, so the file is downloaded once more from the start.

    Args:
        session: see `configure`.
        target: in an existing folder; it is written in one step.
        sha256: of the complete file, as hexadecimal digits.
        size: of the complete file in bytes; used where the server does not say.
        progress: called with (bytes so far, total bytes).
        auth: user name and password for this server.

    Returns:
        The SHA-256 of what was downloaded. Where it differs from `sha256`, nothing was written.

    Raises:
        DownloadError: the connection dropped too often.
        requests.RequestException, urllib3.exceptions.HTTPError: see `reason` for what to tell a reader.
    """
    part = target.with_name(target.name + ".part")
    had_leftover = part.exists()
    _resume(session, url, auth, part, size, progress)
    digest = sha256_of(part)
    if digest != sha256 and had_leftover:
        part.unlink()
        _resume(session, url, auth, part, size, progress)
        digest = sha256_of(part)
    if digest == sha256:
        os.replace(part, target)
    else:
        part.unlink()
    return digest


def _resume(
    session: requests.Session,
    url: str,
    auth: tuple[str, str] | None,
    part: Path,
    size: int,
    progress: Progress | None,
) -> None:
    """Append to `part` the bytes that it lacks; after a dropped connection continue where it stopped."""
    dropped = "the connection dropped"
    for _ in range(_CONNECTIONS):
        have = part.stat().st_size if part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with get(session, url, headers=headers, auth=auth, stream=True) as response:
            if response.status_code == 416:  # the server has nothing beyond these bytes: the hash decides
                return
            response.raise_for_status()
            resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            done = have if resumed and response.status_code == 206 else 0
            length = response.headers.get("Content-Length")
            total = done + int(length) if length else size
            with part.open("ab" if done else "wb") as file:
                try:
                    for chunk in response.raw.stream(1 << 18, decode_content=False):
                        file.write(chunk)
                        done += len(chunk)
                        if progress:
                            progress(done, total)
                except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                    dropped = reason(error)
        if done >= total:
            return
    raise DownloadError(f"{dropped} after {done} of {total} bytes; the next attempt resumes there")


def get(session: requests.Session, url: str, **options: Any) -> requests.Response:
    """``session.get``, whose failures to make a request become a `DownloadError`.

    A missing certificate file is an OSError and a malformed address a ValueError: neither must be mistaken for a disk
    that cannot be written to.

    Raises:
        DownloadError: the request could not be made.
        requests.RequestException, urllib3.exceptions.HTTPError: it was made, and failed.
    """
    try:
        return session.get(url, timeout=TIMEOUT, **options)
    except (requests.RequestException, urllib3.exceptions.HTTPError):
        raise
    except (OSError, ValueError) as error:
        raise DownloadError(f"the request could not be made ({error})") from error


def pip_settings() -> dict[str, str]:
    """pip's own index settings (environment before `[install]` before `[global]`), as `{"index-url": …}`."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # pip is missing: its environment variables still count
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


class _PipAdapter(HTTPAdapter):
    """Trusts the certificates and hosts that pip trusts. (Set on the session, the environment would override them.)"""

    def __init__(self, cert: str, trusted_hosts: list[str]) -> None:
        self._cert, self._trusted_hosts = cert, trusted_hosts
        super().__init__()

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        if self._cert:
            kwargs["verify"] = self._cert
        _, host = server(request.url)
        if host in self._trusted_hosts or host.rpartition(":")[0] in self._trusted_hosts:
            kwargs["verify"] = False
        return super().send(request, *args, **kwargs)


def configure(session: requests.Session, settings: dict[str, str]) -> None:
    """Make a session use the certificates, trusted hosts and proxy of `pip_settings`.

    Raises:
        DownloadError: the certificate file does not exist, or holds no certificates.
    """
    if cert := settings.get("cert", ""):
        cert = os.path.expanduser(cert)
        try:
            of_folder = os.path.isdir(cert)
            ssl.create_default_context(cafile=None if of_folder else cert, capath=cert if of_folder else None)
        except OSError as error:  # ssl.SSLError is one
            what = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be used ({error})"
            raise DownloadError(
                f"the certificate file {cert}, which PIP_CERT or pip's setting `cert` names, {what}; set another"
            ) from error
    session.mount("https://", _PipAdapter(cert, settings.get("trusted-host", "").split()))
    if proxy := settings.get("proxy"):
        session.proxies.update({"http": proxy, "https": proxy})


def reason(error: Exception) -> str:
    """What went wrong, for a reader who does not know HTTP; it never contains an address or a password."""
    if isinstance(error, DownloadError):
        return str(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"it answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted (set PIP_CERT to your institution's certificate file)"
    if isinstance(error, requests.exceptions.ProxyError):
        return "its proxy could not be reached (see PIP_PROXY, HTTPS_PROXY and pip's setting `proxy`)"
    if isinstance(error, _NO_ADDRESS):
        return NO_ADDRESS
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "it did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "it could not be reached"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection dropped"
    return f"the request failed ({type(error).__name__})"


def is_web_address(url: str) -> bool:
    """Whether a request can be made for an address.

    >>> is_web_address("https://campus.test/simple"), is_web_address("campus.test"), is_web_address("http://[::1")
    (True, False, False)
    """
    try:
        requests.Request("GET", url).prepare()
    except (requests.RequestException, ValueError):
        return False
    return url.lower().startswith(("http://", "https://"))


def server(url: str) -> tuple[str, str]:
    """Scheme and `host:port` of an address, without a user name and password."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]


def without_password(url: str) -> str:
    """The address without a user name and password.

    >>> without_password("https://ada:secret@campus.test/simple")
    'https://campus.test/simple'
    """
    return re.sub(r"^([^/]*//)[^/]*@", r"\1", url)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
