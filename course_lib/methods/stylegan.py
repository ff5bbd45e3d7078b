"""A generator controlled by styles: StyleGAN2 (Karras et al., CVPR 2020), with AdaIN as in StyleGAN (CVPR 2019).

With a mapping f, a generator G and a discriminator D::

    w = f(z)                                    mapping: from normal noise to a style
    L_D = softplus(−D(x)) + softplus(D(G(w)))   Goodfellow et al. 2014, Eq. 1
        + γ/2 · E ‖∇D(x)‖²                      R1 (Mescheder et al. 2018, Eq. 9), at every 16th step
    L_G = softplus(−D(G(w)))                    non-saturating
        + β · E (‖Jᵀy‖ − a)²                    path length (Karras et al. 2020, Eq. 4), at every 4th step;
                                                a is a running mean of ‖Jᵀy‖, J the Jacobian of G at w

In most pictures of a batch, two styles take turns: one for the first layers, another from a random layer on ("style
mixing", Karras et al. 2019, Section 3.1), so that no layer can rely on the one before having the same style. What
comes out of a run is a running average of the generator's weights.

*Differs from the released code:* the layer where styles change is drawn for each picture, not for each batch; the mean
style is computed once, after training, from 10,000 styles; pictures are in [0, 1], and the penalties are converted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib import arguments, config_checks, runtime
from course_lib.data.checked import picture_set
from course_lib.data.noise import normal_rows
from course_lib.images import check_pictures
from course_lib.losses import adversarial
from course_lib.losses.likeness import likeness
from course_lib.losses.regularizers import path_lengths, r1
from course_lib.networks.modulated import STYLES
from course_lib.networks.stylegan import SIZES, StyleDiscriminator, StyleGenerator
from course_lib.optimize.latent import find_latent
from course_lib.training import collapse, model_files, players
from course_lib.training.optimizers import adam
from course_lib.training.players import frozen, update
from course_lib.training.run import train_and_summarize

KIND = "stylegan"
_SHAPE = ("image_size", "width", "most", "z_size", "w_size", "num_mapping", "rate_mapping", "style")
_PARTS = 16  # pictures of one pass


@dataclass(frozen=True)
class Config:
    """StyleGAN2's configuration F; every field names its source ("2019", "2020": the papers; "code": the released)."""

    image_size: int = 256  # 2019, 2020: 1024 for faces
    num_steps: int = 781_250  # 25 million pictures; code
    batch_size: int = 32  # 2020, Appendix B
    width: int = 16_384  # channels times half the size, at most `most`; code
    most: int = 512  # 2019, 2020
    z_size: int = 512  # 2019, Section 2
    w_size: int = 512  # 2019, Section 2
    num_mapping: int = 8  # layers, 2019, Figure 1
    rate_mapping: float = 0.01  # factor on the mapping's learning rate, 2019, Appendix C
    style: str = "demodulation"  # "instance": AdaIN, 2019
    mixing: float = 0.9  # part of the pictures with two styles, 2019, Section 3.1
    penalty: float = 10.0  # γ of R1, for pictures in [−1, 1]; code (100 for churches and horses); 0: none
    penalty_every: int = 16  # steps; 2020, Section 3.1; 1: at every step
    path_weight: float = 2.0  # β, for pictures in [−1, 1]; code; 0: none
    path_every: int = 4  # steps; code
    path_decay: float = 0.01  # of the running mean; code
    learning_rate: float = 0.002  # Adam; 2020, Appendix B
    beta1: float = 0.0  # 2019, Appendix C
    beta2: float = 0.99  # 2019, Appendix C
    cooldown: float = 0.0  # final fraction of the run, in which both rates fall to zero; not in the papers
    average_over: float = 10_000.0  # pictures after which a weight counts half in the average; code
    precision: str = "float32"  # of the adversarial losses' convolutions; the penalties' are float32
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        names = ("num_steps", "batch_size", "width", "most", "z_size", "w_size", "penalty_every", "path_every")
        config_checks.check(
            self,
            whole={**dict.fromkeys(names, 1), "num_mapping": 0, "seed": 0},
            positive=("learning_rate", "rate_mapping", "path_decay", "average_over"),
            nonnegative=("penalty", "path_weight", "beta1", "beta2"),
            fractions=("mixing", "cooldown", "path_decay"),
            choices={"image_size": SIZES, "style": STYLES},
        )
        if max(self.beta1, self.beta2) >= 1:
            raise ValueError(f"beta1 and beta2 must be below 1, got {self.beta1} and {self.beta2}")
        if self.num_mapping == 0 and self.w_size != self.z_size:
            raise ValueError(f"without a mapping, w is z: w_size is {self.w_size}, z_size {self.z_size}")

    @classmethod
    def adain(cls) -> Config:
        """The generator's layers as in 2019, with AdaIN and without path-length regularization; the rest as in 2020."""
        return cls(style="instance", path_weight=0.0)

    @classmethod
    def fast(cls) -> Config:
        """Our fastest settings on a CPU: 32 px, few channels, and γ small, as it should be for small pictures."""
        return cls(
            image_size=32, num_steps=8000, batch_size=16, width=1024, most=64, z_size=64, w_size=64, num_mapping=4,
            penalty=0.2, cooldown=0.2, average_over=2000.0, precision="auto",
        )  # fmt: skip

    @classmethod
    def quick(cls) -> Config:
        """Under half a minute on a CPU, at 16 px: bright above and dark below, in colors that are too strong."""
        return replace(cls.fast(), image_size=16, num_steps=300, width=256, most=32, average_over=500.0)


@dataclass(frozen=True)
class Model:
    """What `train` returns and `load` reads."""

    network: StyleGenerator  # the average over the run; with its mapping and the mean style
    config: Config
    facts: dict[str, Any]  # of the training run: "history", "collapsed", "seconds", "device", …
    stopped: str | None = None  # why the training ended early, or None
    discriminator: StyleDiscriminator | None = None  # as trained; not stored in model files


@dataclass(frozen=True)
class Result:
    """What `generate` and `paint` return."""

    image: Tensor  # (N, 3, S, S) in [0, 1], float32, on the CPU
    styles: Tensor  # (N, num_styles, w_size): the style of each layer
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> StyleGenerator:
    """The untrained generator of a configuration, with its mapping; weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        return StyleGenerator(
            config.image_size, width=config.width, most=config.most, z_size=config.z_size, w_size=config.w_size,
            num_mapping=config.num_mapping, rate_mapping=config.rate_mapping, style=config.style,
        )  # fmt: skip


def build_discriminator(config: Config) -> StyleDiscriminator:
    """The untrained discriminator of a configuration; its weights are drawn from ``config.seed + 1``."""
    with runtime.seeded(config.seed + 1, torch.device("cpu")):
        return StyleDiscriminator(config.image_size, width=config.width, most=config.most)


class _Memory(nn.Module):
    """What a run remembers beside weights: the mean path length, and the penalties of the last step that had them."""

    mean_length: Tensor
    D_penalty: Tensor
    G_path: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("mean_length", "D_penalty", "G_path"):
            self.register_buffer(name, torch.zeros(()))


class Players(players.Players):
    """Generator and discriminator; `training.loop.fit` trains them by `train_step`."""

    def __init__(
        self, config: Config, G: StyleGenerator, D: StyleDiscriminator, precision: torch.dtype = torch.float32
    ) -> None:
        lazy = {
            "D": config.penalty_every if config.penalty > 0 else 0, "G": config.path_every if config.path_weight else 0
        }  # fmt: skip
        networks: dict[str, nn.Module] = {"G": G, "D": D}
        optimizers = {}
        for name, k in lazy.items():  # with one more step of Adam at every k-th (2020, Appendix B)
            c = k / (k + 1) if k else 1.0
            betas = (config.beta1**c, config.beta2**c)
            optimizers[name] = adam(networks[name], config.learning_rate * c, betas)
        losses = ["D_real", "D_fake", *["D_penalty"] * bool(lazy["D"]), "G", *["G_path"] * bool(lazy["G"])]
        self.memory = _Memory().to(G.constant.device)
        super().__init__({**networks, "memory": self.memory}, optimizers, losses, precision=precision)
        self.capturable = False  # the penalties depend on the number of the step
        self.config, self.G, self.D = config, G, D

    def styles(self, count: int) -> Tensor:
        """Styles (count, num_styles, w_size) of new noise, most of them mixed from two."""
        return self.G.random_styles(count, self.config.mixing)

    def fakes(self, count: int) -> Tensor:
        """New pictures (count, 3, S, S), not clamped."""
        with self.autocast():
            return self.G(self.styles(count), self.G.random_noise(count))

    def step(self, batch: Tensor, step: int = 0) -> tuple[Tensor, Tensor | None]:
        """`train_step` on a batch (N, 3, S, S) in [0, 1]; returns the losses and the fakes."""
        losses, fake = train_step(self, batch, step)
        return self.stack(losses), fake.detach()


def train_step(players: Players, real: Tensor, step: int) -> tuple[dict[str, Tensor], Tensor]:
    """One gradient step on D and one on G, and now and then one more on a penalty.

    Args:
        players: the two networks and their optimizers.
        real: (N, 3, S, S) in [0, 1].
        step: its number, from 0: the penalties are computed at multiples of their intervals.

    Returns:
        The losses by name: ``"D_real"``, ``"D_fake"``, ``"G"``, and, with a weight, ``"D_penalty"`` and ``"G_path"``
        (without the interval, the latest there is); and the fakes of the generator's step, (N, 3, S, S).
    """
    config, G, D, memory = players.config, players.G, players.D, players.memory
    with torch.no_grad():
        fake = players.fakes(len(real))
    with players.autocast():
        losses = {"D_real": adversarial.real_loss(D(real)), "D_fake": adversarial.fake_loss(D(fake))}
    update(players.optimizers["D"], losses["D_real"] + losses["D_fake"])
    if config.penalty > 0:
        if step % config.penalty_every == 0:
            real = real.detach().requires_grad_()
            penalty = config.penalty / 2 * r1(D(real), real) / 4  # the paper's pictures span [−1, 1]: half the slope
            update(players.optimizers["D"], config.penalty_every * penalty)
            memory.D_penalty.copy_(penalty.detach())
        losses["D_penalty"] = memory.D_penalty.clone()
    fake = players.fakes(len(real))
    with frozen(D), players.autocast():
        losses["G"] = adversarial.generator_loss(D(fake))
    update(players.optimizers["G"], losses["G"])
    if config.path_weight > 0:
        if step % config.path_every == 0:
            styles = players.styles(max(1, len(real) // 2)).requires_grad_()  # half a batch, as in the released code
            lengths = path_lengths(2 * G(styles, G.random_noise(len(styles))), styles)
            memory.mean_length.lerp_(lengths.detach().mean(), config.path_decay)
            penalty = config.path_weight * (lengths - memory.mean_length).square().mean()
            update(players.optimizers["G"], config.path_every * penalty)
            memory.G_path.copy_(penalty.detach())
        losses["G_path"] = memory.G_path.clone()
    return losses, fake


@runtime.with_gradients()
def train(
    data: Any,
    config: Config | None = None,
    *,
    start: Model | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
) -> Model:
    """Train a generator of pictures like those of `data` (Karras et al. 2020).

    Args:
        data: pictures (N, 3, S, S) in [0, 1]: a tensor, or a map-style dataset of (3, S, S) items, which are checked
            when they are first used.
        config: defaults to the paper's: days on eight GPUs of 2020. `Config.fast()` is an hour on one core.
        start: a trained model of the same shape to start from, with its discriminator if it has one.
        callback: called after each step with a `runtime.Progress` whose image is the first fake picture, of the
            generator as it is, not of its average.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over; the first new checkpoint replaces an existing one.

    Returns:
        The average of the generator, and the discriminator, on the CPU.

    Raises:
        ValueError: data whose shape contradicts the configuration, fewer items than a batch, pictures outside
            [0, 1], a `start` of another shape.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.

    >>> model = train(torch.rand(8, 3, 8, 8), replace(Config.quick(), image_size=8, num_steps=2, batch_size=4, most=8))
    >>> len(model.facts["history"]["G_path"]), tuple(generate(5, model, truncation=0.7).image.shape)
    (2, (5, 3, 8, 8))
    """
    config = config_checks.given(config, Config, callback=callback)
    data = picture_set(data, config.image_size, config.batch_size)
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
    learner = Players(config, G, D, runtime.pick_precision(config.precision, device))
    run = train_and_summarize(
        learner, data, config, start=start, callback=callback, checkpoint=checkpoint, resume=resume,
        ema=0.5 ** (config.batch_size / config.average_over),
        fingerprint={"discriminator goes on": start is not None and start.discriminator is not None},
        sights=[_noise_sight(learner, data)],
    )  # fmt: skip
    assert run.average is not None
    G.load_state_dict(_of("G.", run.average))
    G.cpu().eval().mapping.measure_mean(config.seed)
    return Model(G, config, run.facts, run.stopped, D.cpu().eval())


def _noise_sight(players: Players, data: Any) -> collapse.Sight:
    """The pictures of fixed noise, by the generator as it is, not by its average."""
    G, real = players.G, torch.stack(collapse.some(data))
    z = normal_rows(collapse.COUNT, players.config.z_size, seed=0)

    def made() -> Tensor:
        with runtime.inference(G.mapping, device=players.device) as styles, runtime.inference(
            G, device=players.device
        ) as run:  # fmt: skip
            return run(styles(z)).clamp(0, 1)

    return collapse.Sight(f"{len(z)} draws of noise", made, collapse.spread(real))


def _of(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of a state whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def styles(count_or_noise: int | Tensor, model: Model, *, seed: int = 0, truncation: float = 1.0) -> Tensor:
    """Styles of new noise, pulled toward the mean style: w̄ + ψ (w − w̄) (Karras et al. 2019, Appendix B).

    Args:
        count_or_noise: how many, or the noise z itself, (N, z_size).
        model: from `train` or `load`.
        seed: of the noise, if a count is given.
        truncation: ψ; 1: the styles as they are; 0: the mean style; smaller means better pictures that differ less.

    Returns:
        (N, num_styles, w_size) on the CPU, the same style for each layer.

    Raises:
        ValueError: noise of another shape.
    """
    G = config_checks.check_kind("model", model, Model).network
    z = normal_rows(count_or_noise, model.config.z_size, seed)
    psi = arguments.nonnegative("truncation", truncation)
    with runtime.inference(G.mapping, device="cpu") as run:
        w = run(z)
    mean = G.mapping.mean.cpu()
    return (mean + psi * (w - mean))[:, None].repeat(1, G.num_styles, 1)


def mixed(coarse: Tensor, fine: Tensor, model: Model, sizes: tuple[int, int]) -> Tensor:
    """Styles of two pictures: those of `fine` at some sizes of the feature maps, those of `coarse` at all others.

    Args:
        coarse, fine: (N, num_styles, w_size) each, or (N, w_size) for one style in all layers; N may be 1 in one.
        model: whose styles they are.
        sizes: the smallest and the largest side in pixels at which `fine` decides: (4, 8) for what is where,
            (16, S) for colors and materials (Karras et al. 2019, Figure 3).

    Returns:
        (N, num_styles, w_size).

    Raises:
        ValueError: sizes that the generator does not have, styles of another shape.
    """
    G = config_checks.check_kind("model", model, Model).network
    chosen = G.layers_at(sizes)
    coarse, fine = (G.checked_styles(w).cpu() for w in (coarse, fine))
    if len({len(coarse), len(fine), 1}) > 2:
        raise ValueError(f"expected as many fine styles as coarse ones, or 1, got {len(coarse)} and {len(fine)}")
    return torch.where(chosen[:, None], fine, coarse)


def generate(
    count_or_noise: int | Tensor, model: Model, *, seed: int = 0, truncation: float = 1.0,
    device: str | int | torch.device = "auto",
) -> Result:  # fmt: skip
    """Make new pictures: `styles`, then `paint`.

    Args:
        count_or_noise, model, seed, truncation: as for `styles`.
        device: "auto", or where to compute.

    Raises:
        ValueError: noise of another shape.
    """
    return paint(styles(count_or_noise, model, seed=seed, truncation=truncation), model, device=device)


def paint(
    w: Tensor, model: Model, *, noise_seed: int | None = None, device: str | int | torch.device = "auto"
) -> Result:
    """The pictures of given styles.

    Args:
        w: (N, num_styles, w_size), or (N, w_size) for one style in all layers.
        model: from `train` or `load`.
        noise_seed: of the noise inside the layers, which decides details; None: the same noise for every picture.
        device: "auto", or where to compute.

    Raises:
        ValueError: styles of another shape.
    """
    G, began = config_checks.check_kind("model", model, Model).network, time.perf_counter()
    w = G.checked_styles(w).detach().cpu().clone(memory_format=torch.contiguous_format)  # the result's own
    noise = G.noise.cpu().expand(len(w), -1)
    if noise_seed is not None:
        generator = runtime.seeded_generator(arguments.seed(noise_seed, "noise_seed"))
        noise = torch.randn(noise.shape, generator=generator)
    with runtime.inference(G, device=device) as run:
        made = [run(*part).clamp(0, 1) for part in zip(w.split(_PARTS), noise.split(_PARTS), strict=True)]
    return Result(torch.cat(made), w, {"seconds": [time.perf_counter() - began]})


def project(
    image: Tensor, model: Model, *, num_steps: int = 300, per_layer: bool = False,
    weights: str | Path | None = "default", seed: int = 0, device: str = "auto",
    callback: runtime.Callback | None = None,
) -> Result:  # fmt: skip
    """The picture of the generator that is most like a given one (Karras et al. 2020, Appendix D).

    Adam starts from the mean style; the distance is `losses.likeness`. A picture like those of the
    training comes back nearly as it was; any other becomes the nearest of its kind.

    Args:
        image: (1, 3, S, S) in [0, 1], of the generator's size.
        model: from `train` or `load`.
        num_steps: steps of Adam.
        per_layer: find a style for each layer: nearer to the picture, but farther from what the mapping makes.
        weights: of VGG-16, see `course_lib.pretrained.vgg.VGGFeatures`.
        seed: of the noise that is added to the style during the search.
        callback: called after each step with a `runtime.Progress`.
        device: "auto", or where to compute.

    Returns:
        A `Result` of one picture; its history has "total", each term and "seconds", one number a step.

    Raises:
        ValueError: not one picture of the generator's size, no steps.
    """
    G = config_checks.check_kind("model", model, Model).network
    check_pictures(image, single=True)
    if image.shape[2:] != (G.size, G.size):
        raise ValueError(
            f"expected a picture of {G.size} × {G.size} px, the generator's size, got {tuple(image.shape)}"
        )
    num_steps, where = arguments.whole("num_steps", num_steps, 1), runtime.pick_device(device)
    G.to(where)
    start = G.mapping.mean[None, None].repeat(1, G.num_styles, 1) if per_layer else G.mapping.mean[None]
    with frozen(G):
        found = find_latent(
            G, start, likeness(image.detach().float().to(where), weights=weights), num_steps=num_steps,
            spread=G.mapping.spread(), seed=seed, callback=callback,
        )  # fmt: skip
    return replace(paint(found.latent.cpu(), model, device=device), history=found.history)


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write the generator, with its mapping, and the configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model: a file, or the name of one that comes with the package (``"streets"``).

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
