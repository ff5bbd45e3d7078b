"""A step captured once as a CUDA graph, then replayed: hundreds of small launches become one.

Every operation of PyTorch on a GPU is launched by the host, a few microseconds each. A step of an optimization or of a
training launches several hundred; on a fast card that takes longer than the arithmetic. A CUDA graph records the
launches with the addresses of their tensors and sends them off together.

What is captured must do the same on the host each time: whatever changes from step to step has to live in a tensor,
and nothing may wait for the device.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

WARM_UP = 3  # ordinary calls before the capture: libraries choose their kernels in them, optimizers make their state


def can_capture(device: torch.device) -> bool:
    """Whether steps on `device` become graphs: on CUDA, unless ``COURSE_LIB_CUDA_GRAPHS=0`` is in the environment."""
    return device.type == "cuda" and os.environ.get("COURSE_LIB_CUDA_GRAPHS", "1") != "0"


class CapturedStep:
    """Call it like `step`: three ordinary calls, then one capture, then replays; every call ordinary off CUDA.

    Args:
        step: takes tensors of fixed shapes, works in place on others, returns tensors (or a tuple of them).
        device: where it runs.
        enabled: False for ordinary calls throughout.
        clean_up: called after a capture that failed, to undo what the half-run step left on the host.

    What a replay returns is overwritten by the next one. Where a capture fails, one warning says why and all further
    calls are ordinary ones: slower, with the same results.

    >>> total = torch.zeros(())
    >>> step = CapturedStep(lambda x: total.add_(x), torch.device("cpu"))
    >>> for _ in range(5):
    ...     last = step(torch.ones(()))
    >>> last.item()
    5.0
    """

    def __init__(
        self,
        step: Callable[..., Any],
        device: torch.device,
        *,
        enabled: bool = True,
        clean_up: Callable[[], None] | None = None,
    ) -> None:
        self.step, self.device, self.clean_up = step, device, clean_up
        self.enabled = enabled and can_capture(device)
        self.calls = 0
        self.replay: Callable[[], None] | None = None
        self.inputs: tuple[Tensor, ...] = ()
        self.outputs: Any = None

    def __call__(self, *inputs: Tensor) -> Any:
        """One step."""
        if not self.enabled:
            return self.step(*inputs)
        self.calls += 1
        if self.calls <= WARM_UP:
            return self._beside(*inputs)
        if self.replay is None:
            self.inputs = tuple(x.clone() for x in inputs)
            try:
                self.replay, self.outputs = capture(lambda: self.step(*self.inputs), self.device)
            except RuntimeError as error:  # whatever CUDA and its libraries refuse to record
                self.enabled = False
                if self.clean_up is not None:
                    self.clean_up()
                reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                warnings.warn(
                    f"no CUDA graph of this step ({reason}); it runs operation by operation, which is slower and gives "
                    "the same results",
                    RuntimeWarning,
                    stacklevel=2,
                )
                return self.step(*inputs)
        for held, new in zip(self.inputs, inputs, strict=True):
            held.copy_(new, non_blocking=True)
        self.replay()
        return self.outputs

    def _beside(self, *inputs: Tensor) -> Any:
        """An ordinary call on a stream of its own, as captures need it to have happened."""
        here, side = torch.cuda.current_stream(self.device), _side_stream(self.device)
        side.wait_stream(here)
        with torch.cuda.stream(side):
            outputs = self.step(*inputs)
        here.wait_stream(side)
        return outputs


@lru_cache(maxsize=8)
def _side_stream(device: torch.device) -> Any:
    """One for all runs: cuBLAS keeps a workspace for every stream that it was ever used on."""
    return torch.cuda.Stream(device)


def capture(step: Callable[[], Any], device: torch.device) -> tuple[Callable[[], None], Any]:
    """Record `step` without running it; returns what replays it, and what it returns, which each replay fills.

    Raises:
        RuntimeError: the step waits for the device, or calls something that cannot be recorded.
    """
    graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream(device)
    generator = torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
    random = generator.clone_state()
    try:
        # other threads of this process, those that prepare batches, say, may go on with what a capture must not do
        with torch.cuda.device(device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = step()
    except RuntimeError:  # a capture that broke off leaves its stream and its random state behind
        torch.cuda.set_stream(here)
        generator.graphsafe_set_state(random)
        raise
    return graph.replay, outputs
