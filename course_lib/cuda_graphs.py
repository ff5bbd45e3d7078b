"""Capture a step once as a CUDA graph and replay it, so that hundreds of small launches become one.

The host launches every PyTorch operation on a GPU, which takes a few microseconds each. A step of an optimization or a
training launches several hundred of them; on a fast GPU, this takes longer than the arithmetic. A CUDA graph records
the launches with the addresses of their tensors and submits them together.

A captured step must do the same on the host each time: everything that changes from step to step must be in a tensor,
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

WARM_UP = 3  # ordinary calls before the capture, in which libraries choose kernels and optimizers allocate their state


def can_capture(device: torch.device) -> bool:
    """Whether steps on `device` are captured: on CUDA, unless the environment sets ``COURSE_LIB_CUDA_GRAPHS=0``."""
    return device.type == "cuda" and os.environ.get("COURSE_LIB_CUDA_GRAPHS", "1") != "0"


class CapturedStep:
    """A step that is called as usual and captured on CUDA: three ordinary calls, one capture, then replays.

    Args:
        step: takes tensors of fixed shapes, may change other tensors in place, and returns a tensor or a tuple of them.
        device: where it runs; except on CUDA, all calls are ordinary.
        enabled: False makes all calls ordinary.
        clean_up: called after a failed capture, to undo what the incomplete step left on the host.

    Each replay overwrites the outputs of the one before. If a capture fails, a warning gives the reason, and all
    further calls are ordinary: slower, but with the same results.

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
        """Run one step; the inputs must have the shapes of the first call."""
        if not self.enabled:
            return self.step(*inputs)
        self.calls += 1
        if self.calls <= WARM_UP:
            return self._beside(*inputs)
        if self.replay is None:
            self.inputs = tuple(x.clone() for x in inputs)
            try:
                self.replay, self.outputs = capture(lambda: self.step(*self.inputs), self.device)
            except RuntimeError as error:  # something that CUDA or its libraries cannot record
                self.enabled = False
                if self.clean_up is not None:
                    self.clean_up()
                reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                warnings.warn(
                    f"no CUDA graph of this step ({reason}); it runs operation by operation, which is slower but gives "
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
        """An ordinary call on a side stream, which is how CUDA wants a step to be warmed up before a capture."""
        here, side = torch.cuda.current_stream(self.device), _side_stream(self.device)
        side.wait_stream(here)
        with torch.cuda.stream(side):
            outputs = self.step(*inputs)
        here.wait_stream(side)
        return outputs


@lru_cache(maxsize=8)
def _side_stream(device: torch.device) -> Any:
    """One stream for all runs, since cuBLAS keeps a workspace for every stream it has ever been used on."""
    return torch.cuda.Stream(device)


def capture(step: Callable[[], Any], device: torch.device) -> tuple[Callable[[], None], Any]:
    """Record `step` without running it.

    Returns:
        A function that replays the step, and the step's outputs, which every replay overwrites.

    Raises:
        RuntimeError: the step waits for the device, or calls something that cannot be recorded.
    """
    graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream(device)
    generator = torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
    random = generator.clone_state()
    try:
        # other threads, for example those that prepare batches, may do what is not allowed in a capture
        with torch.cuda.device(device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = step()
    except RuntimeError:  # a failed capture leaves its stream and its random state behind
        torch.cuda.set_stream(here)
        generator.graphsafe_set_state(random)
        raise
    return graph.replay, outputs
