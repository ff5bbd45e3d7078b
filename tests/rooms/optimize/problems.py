"""Problems whose minimum is known, and the measures that several tests of optimizers share."""

import torch


def quadratic(size, seed=0, floor=0.3):
    """A and b of ½ xᵀAx − bᵀx in float64, A symmetric with eigenvalues of at least `floor`."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(size, size, generator=generator, dtype=torch.float64)
    b = torch.randn(size, generator=generator, dtype=torch.float64)
    return q @ q.T / size + floor * torch.eye(size, dtype=torch.float64), b


def unit_clamp(x):
    return x.clamp_(0, 1)


def rms(x):
    return x.square().mean().sqrt().item()
