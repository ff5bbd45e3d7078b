"""Where and how a computation runs: device, seed, precision, threads, memory and progress.

Methods report progress through a single type of callback, so notebooks, the command line and widgets can all watch a
run without the method depending on them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

from course_lib import arguments
from course_lib.cuda_graphs import CapturedStep

_GROUP = Path("/sys/fs/cgroup")  # a container may be given less memory than the machine has
DEVICES = ("auto", "cuda", "mps", "xpu", "cpu")


def pick_device(name: str | int | torch.device = "auto") -> torch.device:
    """Choose a device by name.

    Args:
        name: ``"cuda"``, ``"mps"``, ``"xpu"`` or ``"cpu"``, or ``"auto"`` for the first of these that is available. A
            kind may be followed by a number: ``"cuda:1"``. A `torch.device`, or PyTorch's number of an accelerator,
            means the same.

    Returns:
        A device of a kind that is available here.

    Raises:
        ValueError: an unknown name, or a device that this machine or this PyTorch build does not have.

    >>> pick_device("cpu").type
    'cpu'
    """
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "xpu": hasattr(torch, "xpu") and torch.xpu.is_available(),
        "cpu": True,
    }
    name = device_name(name)
    if name == "auto":
        kind = next(kind for kind, available in here.items() if available)
        local = os.environ.get("LOCAL_RANK")  # torchrun starts one process for each GPU
        return torch.device(kind, int(local)) if kind == "cuda" and local else torch.device(kind)
    kind, _, number = name.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" and here[kind] else 0
    if not here[kind] or (count and int(number or 0) >= count):
        available = f"cuda:0 to cuda:{count - 1}" if count else ", ".join(kind for kind, ok in here.items() if ok)
        raise ValueError(f"device {name!r} is not available here; available: {available}. Use device='auto'.")
    return torch.device(name)


def device_name(device: str | int | torch.device) -> str:
    """The name of a device as `pick_device` takes it, whether or not it is available here.

    Raises:
        ValueError: neither the name of a kind of device, with or without a number, nor the number of an accelerator.

    >>> device_name(torch.device("cpu")), device_name("cuda:1")
    ('cpu', 'cuda:1')
    """
    given = arguments.plain(device)
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:  # what PyTorch means by a bare number
        accelerator = torch.accelerator.current_accelerator() if hasattr(torch, "accelerator") else None
        given = f"{accelerator.type if accelerator else 'cuda'}:{given}"
    name = str(given) if isinstance(given, str | torch.device) else ""
    kind, colon, number = name.partition(":")
    if kind not in DEVICES or (colon and (kind == "auto" or not number.isdecimal() or not number.isascii())):
        raise ValueError(f"unknown device {device!r}; use one of {', '.join(DEVICES)}")
    return "cpu" if name == "cpu:0" else name


def seeded_generator(seed: int) -> torch.Generator:
    """A CPU random generator with its own state: the same noise for every device, and global seeds stay untouched."""
    return torch.Generator().manual_seed(_seed_of_torch(seed))


def _seed_of_torch(seed: int) -> int:
    """The seed as PyTorch takes it: methods derive seeds from a caller's, such as seed + 1 or seed · epochs."""
    return arguments.whole("seed", seed, -(2**63), 2**64 - 1)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside the ``with``, seed torch's random state on the CPU and on `device`.

    Afterwards, the states of the CPU and of CUDA devices are restored. `torch.manual_seed` would seed every accelerator
    permanently.
    """
    kind, seed = device.type, _seed_of_torch(seed)
    with torch.random.fork_rng([device] if kind == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if kind == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif kind != "cpu":
            torch.get_device_module(device).manual_seed(seed)
        yield


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether `device` computes bfloat16 convolutions with hardware units made for them.

    On a CPU, this means AVX512-BF16 or AMX; without them, bfloat16 is emulated and slower than float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        cpuinfo = Path("/proc/cpuinfo")
        text = cpuinfo.read_text(errors="replace") if cpuinfo.exists() else ""
        return "avx512_bf16" in text or "amx_bf16" in text
    return False


def pick_precision(precision: str | torch.dtype, device: torch.device) -> torch.dtype:
    """Choose the number format of a network's convolutions.

    Args:
        precision: ``"float32"``, ``"bfloat16"`` or the dtype itself, or ``"auto"`` for bfloat16 if the device has fast
            units for it.
        device: where the network will run.

    Raises:
        ValueError: an unknown precision.
    """
    name = precision_name(precision)
    if name == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def precision_name(precision: str | torch.dtype) -> str:
    """``"auto"``, ``"float32"`` or ``"bfloat16"``, also for a dtype.

    Raises:
        ValueError: an unknown precision.

    >>> precision_name(torch.bfloat16)
    'bfloat16'
    """
    name = str(precision).removeprefix("torch.") if isinstance(precision, torch.dtype) else precision
    if not isinstance(name, str) or name not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"unknown precision {precision!r}; use 'auto', 'float32' or 'bfloat16'")
    return name


@contextmanager
def inference(
    network: nn.Module, *, device: str | int | torch.device = "auto", precision: str | torch.dtype = "float32",
    layout: torch.memory_format = torch.channels_last, repeats: bool = False,
) -> Iterator[Callable[..., Tensor]]:  # fmt: skip
    """Inside the ``with``, a function that computes ``network(*tensors)`` without gradients.

    It takes tensors from any device, floats of any precision, and returns the result on the CPU. The network moves to
    `device` and is in evaluation mode: no dropout, and the statistics collected in training. Afterwards every module is
    in the mode that it was in before. Weights are converted to a lower precision once, at their first use.

    Args:
        network: one tensor out; None among its arguments is passed on.
        device: as for `pick_device`.
        precision: of the convolutions, as for `pick_precision`.
        layout: of the network and the tensors in memory.
        repeats: nothing in the network changes inside the ``with``. On CUDA, the fourth call with tensors of one shape
            is then captured, and later ones replay it (`course_lib.cuda_graphs`): for tiles, frames and batches.

    >>> network = nn.Sequential(nn.Dropout(0.5), nn.Identity())
    >>> with inference(network, device="cpu") as run:
    ...     run(torch.ones(1, 3)).tolist()
    [[1.0, 1.0, 1.0]]
    """
    place = pick_device(device)
    dtype = pick_precision(precision, place)
    network.to(place, memory_format=layout)  # type: ignore[call-overload]
    modes = [(module, module.training) for module in network.modules()]
    steps: dict[tuple[torch.Size, ...], CapturedStep] = {}

    weight = next(network.parameters(), torch.zeros(0))

    def moved(x: Tensor | None) -> Tensor | None:
        if x is None:
            return None
        x = x.to(place, weight.dtype if x.is_floating_point() else None)
        return x.contiguous(memory_format=layout) if x.ndim == 4 else x

    def compute(*tensors: Tensor | None) -> Tensor:
        with torch.autocast(place.type, dtype, enabled=dtype != torch.float32):
            result: Tensor = network(*tensors)
        return result

    def run(*tensors: Tensor | None) -> Tensor:
        inputs = [moved(x) for x in tensors]
        given = [x for x in inputs if x is not None]
        if not repeats or len(given) < len(inputs):
            return compute(*inputs).cpu()
        step = steps.setdefault(tuple(x.shape for x in given), CapturedStep(compute, place))
        result: Tensor = step(*given)
        return result.to("cpu", copy=step.replay is not None)  # a replay overwrites the result of the one before

    try:
        network.eval()
        with torch.no_grad(), _casts_kept():  # in inference mode, autocast keeps nothing
            yield run
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _casts_kept() -> Iterator[None]:
    """Inside the ``with``, autocast keeps the weights that it has converted, from one of its contexts to the next."""
    torch.autocast_increment_nesting()  # it drops them where the number of contexts falls to zero
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()


@contextmanager
def with_gradients() -> Iterator[None]:
    """Inside the ``with``, autograd works, even within `torch.no_grad` or `torch.inference_mode`; also a decorator.

    What optimizes or trains needs gradients, whatever its caller has switched off.

    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.inference_mode(), with_gradients():
    ...     torch.autograd.grad(3 * x, x)
    (tensor([3.]),)
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield


def available_memory(device: torch.device) -> int | None:
    """Free memory on `device` in bytes; None if it cannot be determined.

    On a CPU this respects the memory limit of a container.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    if device.type != "cpu":
        return None
    free = psutil.virtual_memory().available
    try:
        limit, used = ((_GROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        cache = re.search(r"^inactive_file (\d+)", (_GROUP / "memory.stat").read_text(), re.MULTILINE)
    except OSError:
        return free
    if limit == "max" or cache is None:
        return free
    return min(free, int(limit) - int(used) + int(cache[1]))


def has_room(device: torch.device, count: int) -> bool:
    """Whether to keep `count` bytes of training data on `device`: only on CUDA, within a quarter of its free memory."""
    free = available_memory(device) if device.type == "cuda" else None
    return free is not None and 4 * count <= free


def steps_between_looks(device: torch.device) -> int:
    """After how many steps a loop reads its losses: 1 on a CPU, 10 elsewhere, where reading makes the device wait."""
    return 1 if device.type == "cpu" else 10


def use_threads(count: int | None = None) -> int:
    """Let PyTorch use `count` CPU threads (default: all cores that this process may use); returns the count.

    Raises:
        ValueError: a count below 1.
    """
    if count is None:
        available = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        count = len(available)
    count = arguments.whole("count", count, 1)
    torch.set_num_threads(count)
    return count


class Losses(Mapping[str, float]):
    """``"total"`` and each weighted term by name; the values stay on the device until they are read.

    >>> reading = Losses(("content", "style"), torch.tensor([1.0, 2.0]))
    >>> reading["total"], list(reading)
    (3.0, ['total', 'content', 'style'])
    """

    def __init__(self, names: Sequence[str], terms: Tensor) -> None:
        self._names, self._terms = tuple(names), terms

    @cached_property
    def _values(self) -> dict[str, float]:
        values = self._terms.tolist()  # synchronizes with the device
        return {"total": sum(values), **dict(zip(self._names, values, strict=True))}

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(("total", *self._names))

    def __len__(self) -> int:
        return 1 + len(self._names)


@dataclass(frozen=True)
class Progress:
    """What a running method reports after each step.

    One *step* is one evaluation of the loss and its gradient.
    """

    step: int  # steps done, from 1
    num_steps: int
    losses: Mapping[str, float]  # "total" and each weighted term, "style/relu1_1" per layer
    seconds: float  # since the run began
    image: Callable[[], Tensor]  # a copy of the present picture, (1, 3, H, W) in [0, 1]; LookupError if there is none


Callback = Callable[[Progress], None]
