"""Adaptive layer-instance normalization (Kim, Kim, Kang & Lee, ICLR 2020, Eq. 1): how much to normalize is learned.

    â_I = (a − μ_I) / √(σ_I² + ε)                   instance normalization: μ and σ of each channel
    â_L = (a − μ_L) / √(σ_L² + ε)                   layer normalization: μ and σ of all channels together
    AdaLIN(a, γ, β) = γ · (ρ · â_I + (1 − ρ) · â_L) + β,    ρ ← clip(ρ, 0, 1) after each step of the optimizer

The mean and the variance of a channel say much about style (Huang & Belongie 2017). Instance normalization takes them
away from every channel, so that texture can be painted anew; but how channels differed is lost. Layer normalization
keeps those differences, and with them more of the input. ρ, a number for each channel, decides. At ρ = 1 the layer is
AdaIN.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib import arguments
from course_lib.networks.inputs import at_least_float32

NORMS = ("adalin", "instance", "layer")  # ρ is learned; is always 1; is always 0
IN_BLOCKS, ON_THE_WAY_UP = 0.9, 0.0  # what ρ is at first, in the released code


def adalin(x: Tensor, rho: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> Tensor:
    """γ · (ρ · â_I + (1 − ρ) · â_L) + β, Eq. 1.

    For given statistics both normalizations are linear in x, so that the result is one scale and one shift for each
    channel of each picture, and the feature map is read only twice. The variance of all channels together is the mean
    of their variances plus the variance of their means.

    Args:
        x: (N, C, H, W).
        rho: (C,) in [0, 1].
        gamma, beta: (C,), or (N, C) with a row for each picture.
        eps: added to the variances.

    Returns:
        (N, C, H, W) in the type of `x`; computed in float32 at least.

    *Differs from the released code:* there, both variances are corrected for small samples (n − 1 in place of n).

    >>> x, one, zero = torch.rand(1, 2, 4, 4), torch.ones(2), torch.zeros(2)
    >>> instance, layer = adalin(x, one, one, zero), adalin(x, zero, one, zero)
    >>> [round(abs(each.mean().item()), 4) for each in (instance, layer)]
    [0.0, 0.0]
    """
    wide = at_least_float32(x)
    own_variance, own_mean = torch.var_mean(wide, (2, 3), correction=0)  # (N, C)
    mean = own_mean.mean(1, keepdim=True)
    variance = (own_variance + (own_mean - mean).square()).mean(1, keepdim=True)
    own, common = rho * (own_variance + eps).rsqrt(), (1 - rho) * (variance + eps).rsqrt()
    scale = gamma * (own + common)
    shift = beta - gamma * (own * own_mean + common * mean)
    return torch.addcmul(shift[..., None, None], wide, scale[..., None, None]).to(x.dtype)


class AdaLIN(nn.Module):
    """Normalize (N, C, H, W) with a learned ρ for each channel; γ and β are given with each input, (N, C).

    Args:
        channels: C.
        norm: ``"adalin"``: ρ is learned; ``"instance"`` and ``"layer"``: it is held at 1 and at 0, and is no parameter.
        rho: what it is at first, if it is learned.

    Raises:
        ValueError: an unknown `norm`.

    >>> AdaLIN(3).rho.tolist() == 3 * [AdaLIN(3).rho[0].item()], [*dict(AdaLIN(3, norm="layer").named_parameters())]
    (True, [])
    """

    rho: Tensor

    def __init__(self, channels: int, *, norm: str = "adalin", rho: float = IN_BLOCKS) -> None:
        super().__init__()
        learned = arguments.choice("norm", norm, NORMS) == "adalin"
        if learned:
            self.rho = nn.Parameter(torch.full((channels,), float(rho)))
        else:
            self.register_buffer("rho", torch.full((channels,), float(norm == "instance")))

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        return adalin(x, self.rho, gamma, beta)


class LIN(AdaLIN):
    """Normalize (N, C, H, W) with a learned ρ, γ and β for each channel: AdaLIN without adaptation.

    Args:
        channels: C.
        norm: see `AdaLIN`.

    >>> sum(parameter.numel() for parameter in LIN(128).parameters()), tuple(LIN(3)(torch.rand(1, 3, 2, 2)).shape)
    (384, (1, 3, 2, 2))
    """

    def __init__(self, channels: int, *, norm: str = "adalin") -> None:
        super().__init__(channels, norm=norm, rho=ON_THE_WAY_UP)
        self.gamma, self.beta = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return adalin(x, self.rho, self.gamma, self.beta)


def rhos(network: nn.Module) -> dict[str, Tensor]:
    """The ρ of every layer of a network that has one, (C,) each, by the layer's name and in the order of the layers.

    >>> [*rhos(nn.Sequential(nn.Conv2d(3, 4, 1), LIN(4)))]
    ['1']
    """
    return {name: module.rho for name, module in network.named_modules() if isinstance(module, AdaLIN)}


@torch.no_grad()
def clip_rhos(network: nn.Module) -> None:
    """Move every ρ of a network into [0, 1], in place; call it after each step of the optimizer.

    Nothing else keeps ρ there, and outside of [0, 1] one of the two normalizations is subtracted.
    """
    for rho in rhos(network).values():
        rho.clamp_(0, 1)
