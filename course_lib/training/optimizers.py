"""Adam in its fastest form, the learning rates of optimizers, and their state in a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.cuda_graphs import can_capture

_FUSED = ("cpu", "cuda")  # devices with a fused Adam
_OWN = ("lr", "fused", "capturable", "foreach")  # settings that belong to the device, not to the run

Optimizers = Mapping[str, torch.optim.Optimizer]


def adam(
    network: nn.Module,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    factor: Callable[[str], float] = lambda name: 1.0,
    *,
    weight_decay: float = 0.0,
) -> torch.optim.Adam:
    """Adam (Kingma & Ba 2015) over the parameters of `network` that require a gradient, fused where torch can.

    On CUDA the learning rate is a tensor, so that a captured step can be given another one.

    Args:
        factor: on the learning rate of a parameter, by its name.
        weight_decay: λ, added to each gradient as λ times the weight: the gradient of λ/2 · ‖weights‖².
    """
    device = next(network.parameters()).device
    graphs = can_capture(device)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(learning_rate * factor(name), []).append(parameter)
    settings = [
        {"params": parameters, "lr": torch.tensor(rate, device=device) if graphs else rate}
        for rate, parameters in groups.items()
    ]
    return torch.optim.Adam(
        settings, betas=betas, weight_decay=weight_decay, fused=device.type in _FUSED, capturable=graphs
    )


def learning_rates(optimizers: Optimizers) -> dict[str, list[float]]:
    """By name: the learning rate of each parameter group."""
    return {
        name: [_number(settings["lr"]) for settings in optimizer.param_groups] for name, optimizer in optimizers.items()
    }


def set_learning_rates(optimizers: Optimizers, rates: Mapping[str, list[float]], factor: float) -> None:
    """Give every parameter group its rate out of `rates` (from `learning_rates`), times `factor`."""
    for name, optimizer in optimizers.items():
        for settings, rate in zip(optimizer.param_groups, rates[name], strict=True):
            if isinstance(settings["lr"], Tensor):
                settings["lr"].fill_(rate * factor)
            else:
                settings["lr"] = rate * factor


def load_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a ``state_dict`` that may come from another kind of device: what belongs to the device stays."""
    own = [{name: settings[name] for name in _OWN if name in settings} for settings in optimizer.param_groups]
    for settings, kept in zip(state["param_groups"], own, strict=True):
        settings |= kept
    optimizer.load_state_dict(state)
    for settings, kept in zip(optimizer.param_groups, own, strict=True):
        settings |= kept  # loading copies a rate that is a tensor; a captured step reads the original


def _number(rate: float | Tensor) -> float:
    """A learning rate as it was given: a float32 tensor holds 0.001 as 0.00100000005."""
    return float(f"{rate.item():.6g}") if isinstance(rate, Tensor) else rate
