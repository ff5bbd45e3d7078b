"""Generative adversarial networks (Goodfellow et al. 2014), with or without classes (Mirza & Osindero 2014).

A generator G makes x from noise z, a discriminator D estimates the probability that x is real, and they play

    min_G max_D  V(G, D) = E log D(x) + E log(1 − D(G(z)))                       Eq. 1
    min_G max_D  E log D(x | y) + E log(1 − D(G(z | y) | y))                      Mirza & Osindero, Eq. 2, y the class

For a fixed G, whose samples have the density q, the best D is D*(x) = p(x) / (p(x) + q(x)) (Proposition 1); where
q = p it is ½ everywhere, and V = −log 4 (Theorem 1). `train_step` is Algorithm 1.

The generator makes either points in the plane (perceptrons) or small pictures (the networks of Radford et al. 2016,
`networks.dcgan`, whose settings are the defaults here).

*Differs from the paper:* the noise is normal; that of Radford et al. is uniform.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_lib import config_checks, runtime
from course_lib.data.checked import picture_set
from course_lib.data.noise import normal_rows
from course_lib.losses import adversarial
from course_lib.losses.regularizers import r1
from course_lib.networks import layers
from course_lib.networks.dcgan import SIZES, DCGANDiscriminator, DCGANGenerator
from course_lib.networks.points import PointDiscriminator, PointGenerator
from course_lib.training import collapse, model_files, players
from course_lib.training.optimizers import adam
from course_lib.training.players import frozen, update
from course_lib.training.run import train_and_summarize

KIND = "gan"
_SHAPE = ("image_size", "noise_size", "num_classes", "width", "layers_G", "layers_D", "norm_D")


@dataclass(frozen=True)
class Config:
    """Pictures of 32 px as in Radford et al.; `points` is for the plane. Every field names its source."""

    objective: str = "non-saturating"  # Goodfellow, Section 3; "minimax" (Eq. 1), "least-squares" (Mao et al. 2017)
    steps_D: int = 1  # k of Algorithm 1: steps of D for each step of G
    num_steps: int = 20_000  # of G; ours, the papers count epochs of their own data sets
    batch_size: int = 128  # m of Algorithm 1; Radford, Section 4
    learning_rate: float = 2e-4  # Adam; Radford, Section 4
    learning_rate_D: float | None = None  # None: the rate of G; not in the papers
    beta1: float = 0.5  # Radford, Section 4
    cooldown: float = 0.0  # final fraction of the run, in which both rates fall to zero; not in the papers
    penalty: float = 0.0  # γ of (γ/2)·E|∇D(x)|² on real x (Mescheder et al. 2018, Eq. 9); 0: none, as in the papers
    image_size: int = 32  # pixels; Radford: 64; 0: points in the plane
    num_classes: int = 0  # y of Mirza & Osindero, Eq. 2; 0: no classes
    noise_size: int = 100  # Radford, Figure 1
    width: int = 128  # channels of the layer next to the picture (Radford, Figure 1), or units of a hidden layer
    layers_G: int = 2  # hidden layers of the generator of points; 0: an affine map
    layers_D: int = 2  # hidden layers of the discriminator of points
    norm_D: str = "batch"  # Radford, Section 3; "none": the output for one picture does not depend on its batch
    init_std: float = 0.02  # filters from N(0, 0.02²), Radford, Section 4; not used for points: PyTorch's defaults
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        names = ("steps_D", "num_steps", "batch_size", "noise_size", "width")
        config_checks.check(
            self,
            whole={**dict.fromkeys(names, 1), "num_classes": 0, "layers_G": 0, "layers_D": 0, "seed": 0},
            positive=("learning_rate", "init_std", *["learning_rate_D"] * (self.learning_rate_D is not None)),
            nonnegative=("beta1", "cooldown", "penalty"),
            choices={"objective": adversarial.OBJECTIVES, "image_size": (0, *SIZES), "norm_D": ("batch", "none")},
        )

    @classmethod
    def points(cls) -> Config:
        """For points in the plane: perceptrons, two-dimensional noise, a larger learning rate; seconds on a CPU."""
        return cls(image_size=0, noise_size=2, width=64, batch_size=128, learning_rate=1e-3, num_steps=2000)

    @classmethod
    def fast(cls) -> Config:
        """Our fastest settings for small pictures on a CPU: few channels, short noise, rates that fall to zero."""
        return cls(width=32, noise_size=16, batch_size=32, num_steps=4000, learning_rate=5e-4, cooldown=0.5)

    @classmethod
    def quick(cls) -> Config:
        """About 15 seconds on a CPU, at 16 px."""
        return replace(cls.fast(), image_size=16, noise_size=8, num_steps=400)


@dataclass(frozen=True)
class Model:
    """What `train` returns and `load` reads."""

    network: PointGenerator | DCGANGenerator
    config: Config
    facts: dict[str, Any]  # of the training run: "history", "collapsed", "seconds", "device", …
    stopped: str | None = None  # why the training ended early, or None
    discriminator: PointDiscriminator | DCGANDiscriminator | None = None  # as trained; not stored in model files


@dataclass(frozen=True)
class Result:
    """What `generate` returns."""

    image: Tensor  # pictures (N, 3, S, S) in [0, 1], or points (N, 2); float32, on the CPU
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> PointGenerator | DCGANGenerator:
    """The untrained generator of a configuration; its weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        shape = {"num_classes": config.num_classes, "width": config.width}
        if config.image_size == 0:
            return PointGenerator(config.noise_size, **shape, layers=config.layers_G)
        network = DCGANGenerator(config.noise_size, **shape, size=config.image_size)
        layers.initialize(network, config.init_std)
        return network


def build_discriminator(config: Config) -> PointDiscriminator | DCGANDiscriminator:
    """The untrained discriminator of a configuration; its weights are drawn from ``config.seed + 1``."""
    with runtime.seeded(config.seed + 1, torch.device("cpu")):
        if config.image_size == 0:
            return PointDiscriminator(num_classes=config.num_classes, width=config.width, layers=config.layers_D)
        network = DCGANDiscriminator(
            size=config.image_size, num_classes=config.num_classes, width=config.width, norm=config.norm_D
        )
        layers.initialize(network, config.init_std)
        return network


class Players(players.Players):
    """Generator and discriminator, each with its own Adam; `training.loop.fit` trains them by `train_step`."""

    def __init__(self, config: Config, G: nn.Module, D: nn.Module) -> None:
        betas = (config.beta1, 0.999)
        optimizers = {
            "D": adam(D, config.learning_rate_D or config.learning_rate, betas),
            "G": adam(G, config.learning_rate, betas),
        }
        losses = ["D_real", "D_fake", *["D_penalty"] * (config.penalty > 0), "G"]
        super().__init__({"G": G, "D": D}, optimizers, losses)
        self.config, self.G, self.D = config, G, D

    def noise(self, count: int) -> Tensor:
        """Normal noise (count, noise_size), drawn on the device from PyTorch's random state."""
        return torch.randn(count, self.config.noise_size, device=self.device)

    def step(self, batch: Tensor, step: int = 0) -> tuple[Tensor, Tensor | None]:
        """`train_step` on a batch (N, k, …) as `_Packed` packs it; returns the losses and, for pictures, the fakes."""
        size, (real, labels) = self.config.image_size, batch.split((batch.shape[-1] - 1, 1), -1)
        real = real.transpose(0, 1)  # (k, N, …)
        real = real.unflatten(-1, (3, size, size)) if size else real
        losses, fake = train_step(self, real, labels[..., 0].T.long() if self.config.num_classes else None)
        return self.stack(losses), fake.detach() if size else None


def train_step(players: Players, real: Tensor, labels: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor]:
    """k gradient steps on D, then one on G (Algorithm 1).

    Args:
        players: the two networks and their optimizers.
        real: k minibatches, points (k, N, 2) or pictures (k, N, 3, S, S) in [0, 1].
        labels: their classes (k, N), or None without classes.

    Returns:
        The losses by name, ``"D_real"``, ``"D_fake"``, ``"D_penalty"`` (with a penalty) and ``"G"``, and the fakes
        of the generator's step: (N, 2) or (N, 3, S, S).
    """
    config, G, D = players.config, players.G, players.D
    losses: dict[str, Tensor] = {}
    for k, x in enumerate(real):
        y = None if labels is None else labels[k]
        x = x.requires_grad_(config.penalty > 0)
        fake = G(players.noise(len(x)), y).detach()
        logits = D(x, y)
        losses["D_real"] = adversarial.real_loss(logits, config.objective)
        losses["D_fake"] = adversarial.fake_loss(D(fake, y), config.objective)
        if config.penalty > 0:
            losses["D_penalty"] = config.penalty / 2 * r1(logits, x)
        update(players.optimizers["D"], torch.stack([*losses.values()]).sum())
    y = None if labels is None else labels[-1]
    fake = G(players.noise(len(real[0])), y)
    with frozen(D):
        losses["G"] = adversarial.generator_loss(D(fake, y), config.objective)
    update(players.optimizers["G"], losses["G"])
    return losses, fake


class _Packed:
    """A data set whose item j holds k items of `data`, one for each step of D: flat rows, with the class at the end.

    The k items lie len(data) / k apart, so that the k minibatches of a step differ.
    """

    def __init__(self, data: Any, labels: Tensor | None, k: int) -> None:
        self.data, self.labels = data, torch.zeros(len(data)) if labels is None else labels.float()
        self.places = torch.arange(k) * len(data) // k
        total = data.double().sum().item() if isinstance(data, Tensor) else None
        self.fingerprint = [len(data), tuple(data[0].shape), self.labels.cumsum(0).double().sum().item(), total]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, j: int) -> Tensor:
        return self.__getitems__([j])[0]

    def __getitems__(self, items: Sequence[int]) -> Sequence[Tensor]:
        """A whole batch, each item (k, numbers per item + 1): fetching items singly would take longer than the step."""
        places = (torch.tensor(items)[:, None] + self.places) % len(self.data)  # (N, k)
        if isinstance(self.data, Tensor):
            x = self.data[places].flatten(2)
        else:
            x = torch.stack([self.data[p].flatten() for p in places.flatten().tolist()]).unflatten(0, places.shape)
        return torch.cat((x.float(), self.labels[places][..., None]), 2).unbind()


@runtime.with_gradients()
def train(
    data: Any,
    config: Config | None = None,
    *,
    labels: Sequence[int] | Tensor | None = None,
    start: Model | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
) -> Model:
    """Train a generator whose samples are distributed like `data` (Goodfellow et al. 2014, Algorithm 1).

    Args:
        data: pictures (N, 3, S, S) in [0, 1], or points (N, 2): a tensor, an array, or a map-style dataset of such
            items, which are checked when they are first used.
        config: defaults to the settings of Radford et al.; for points, begin with ``Config.points()``.
        labels: the class of each item, (N,) from 0 to num_classes − 1; required if the configuration has classes.
        start: a trained model of the same shape to start from, with its discriminator if it has one.
        callback: called after each step with a `runtime.Progress` whose image is the first fake picture;
            there is no image for points.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over; the first new checkpoint replaces an existing one.

    Returns:
        The trained generator and discriminator, on the CPU.

    Raises:
        ValueError: data whose shape contradicts the configuration, fewer items than a batch, pictures outside
            [0, 1], invalid labels, a `start` of another shape.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.

    >>> ring = torch.randn(64, 2)
    >>> model = train(ring, Config(image_size=0, noise_size=2, width=8, num_steps=3, batch_size=8))
    >>> len(model.facts["history"]["G"]), tuple(generate(5, model).image.shape)
    (3, (5, 2))
    """
    config = config_checks.given(config, Config, callback=callback)
    data = _checked_data(data, config)
    classes = config_checks.check_labels(labels, len(data), config.num_classes)
    device = runtime.pick_device(config.device)
    G, D = build(config), build_discriminator(config)
    if start is not None:
        config_checks.check_kind("start", start, Model)
        config_checks.check_same(start.config, config, _SHAPE)
        G.load_state_dict(start.network.state_dict())
        if start.discriminator is not None:
            D.load_state_dict(start.discriminator.state_dict())
    for network in (G, D):
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    packed = _Packed(data, classes, config.steps_D)
    learner = Players(config, G, D)
    run = train_and_summarize(
        learner, packed, config, start=start, callback=callback, checkpoint=checkpoint, resume=resume,
        sights=[_noise_sight(learner, data, classes)],
    )  # fmt: skip
    return Model(G.cpu().eval(), config, run.facts, run.stopped, D.cpu().eval())


def _noise_sight(players: Players, data: Any, labels: Tensor | None) -> collapse.Sight:
    """The outputs for fixed noise, of the classes that the real ones have to which they are compared."""
    real = torch.stack([torch.as_tensor(item) for item in collapse.some(data)])
    z = normal_rows(len(real), players.config.noise_size, seed=0)
    classes = None if labels is None else torch.stack(collapse.some(labels))

    def made() -> Tensor:
        with runtime.inference(players.G, device=players.device) as run:
            return run(z, classes)

    return collapse.Sight(f"{len(z)} draws of noise", made, collapse.spread(real))


def generate(
    count_or_noise: int | Tensor, model: Model, *, labels: int | Sequence[int] | Tensor | None = None, seed: int = 0,
    device: str | int | torch.device = "auto",
) -> Result:  # fmt: skip
    """Make new points or pictures.

    Args:
        count_or_noise: how many to make, or the noise itself, (N, noise_size): equal noise gives equal outputs.
        model: from `train` or `load`.
        labels: the class of each, or one class for all; required if the model was trained with classes.
        seed: of the noise, if a count is given.
        device: "auto", or where to compute.

    Raises:
        ValueError: noise of another shape, invalid labels.
    """
    config_checks.check_kind("model", model, Model)
    noise, size = normal_rows(count_or_noise, model.config.noise_size, seed), model.config.image_size
    wanted = config_checks.check_labels(labels, len(noise), model.config.num_classes)
    began, made = time.perf_counter(), []
    with runtime.inference(model.network, device=device, repeats=True) as run:
        for rows in torch.arange(len(noise)).split(256 if size else 65_536):
            made.append(run(noise[rows], None if wanted is None else wanted[rows]))
    return Result(torch.cat(made), {"seconds": [time.perf_counter() - began]})


def _checked_data(data: Any, config: Config) -> Any:
    """The data as `_Packed` takes them: a float32 tensor, or a data set whose items are checked when first used."""
    if config.image_size:
        return picture_set(data, config.image_size, config.batch_size)
    expected = (2,)
    if isinstance(data, np.ndarray | list | tuple | Iterator):
        try:  # points are small: as one tensor, all are checked before the run
            rows = [torch.as_tensor(row).detach() for row in data]
            data = torch.stack(rows) if rows else torch.zeros(0)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"expected items {expected} of numbers, got {type(data).__name__}") from None
    if isinstance(data, str | dict) or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise ValueError(f"expected a tensor or a data set of items {expected}, got {type(data).__name__}")
    shape = tuple(data[0].shape) if getattr(data, "ndim", 1) and len(data) else ()
    if shape != expected:
        raise ValueError(f"expected items {expected} for image_size=0; got {shape or 'none'}")
    if len(data) < config.batch_size:
        raise ValueError(f"{len(data)} items do not fill a batch of {config.batch_size}; use a smaller batch_size")
    if not isinstance(data, Tensor):
        return data
    if data.is_complex() or not data.isfinite().all():
        raise ValueError("the data contain values that are not finite real numbers")
    return data.detach().float()


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write the generator and its configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model from a file.

    Raises:
        ModelError: there is no such file, or it is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
