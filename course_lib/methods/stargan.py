"""One generator for all domains: StarGAN (Choi, Choi, Kim, Ha, Kim & Choo, CVPR 2018).

CycleGAN needs two generators for each pair of domains: 56 for eight weathers. Here a single G gets a picture x and the
label c of the domain to go to. A single D judges whether a picture is real (D_src), and which domain it is of (D_cls)::

    L_adv = E D_src(x) − E D_src(G(x, c)) − λ_gp E (‖∇D_src(x̂)‖ − 1)²       Eq. 8: Wasserstein, with gradient penalty
    L_cls = E −log D_cls(c' ∣ x)   for D,   E −log D_cls(c ∣ G(x, c))   for G      Eq. 2 and 3; c' is the domain of x
    L_rec = E ‖x − G(G(x, c), c')‖₁                                                Eq. 4: there and back
    L_D = −L_adv + λ_cls L_cls,   L_G = L_adv + λ_cls L_cls + λ_rec L_rec          Eq. 5 and 6

D learns what a domain is from real pictures only, and G is asked for pictures that D would classify so. Each picture
belongs to one domain, as in the paper's RaFD; its attributes that come in any combination, and its training on two data
sets of different labels at once (Section 3.2), are not here. The label needs zeros as a border: `networks.stargan`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import arguments, config_checks, runtime
from course_lib.data.domains import Domains
from course_lib.images import check_pictures
from course_lib.losses.regularizers import between, gradient_penalty
from course_lib.networks.stargan import PADDINGS, SMALLEST, StarDiscriminator, StarGenerator
from course_lib.optimize.start import check_memory
from course_lib.training import collapse, model_files, players
from course_lib.training.optimizers import adam
from course_lib.training.players import frozen, update
from course_lib.training.run import showing, train_and_summarize

KIND = "stargan"
_BYTES_PER_PIXEL, _BYTES_PER_PIXEL_AND_WIDTH = 200, 470  # peak of a pass on a CPU
_SHAPE = ("width", "num_blocks", "halvings")  # equal fields: the weights of one generator fit the other
_SHAPE_D = ("image_size", "layers_D")
_WATCHED = 4  # domains, and pictures of each, that a look at the generator uses
_OF_G = ("G", "G_class", "reconstruction")


@dataclass(frozen=True)
class Config:
    """The paper's configuration; every field names its source."""

    num_steps: int = 200_000  # steps of D, the released code; the paper: 20 epochs of CelebA, 250,000 steps
    steps_D: int = 5  # of D for one of G, Section 5.3
    batch_size: int = 16  # Section 5.3
    image_size: int = 128  # Section 5.2; side of what the networks see
    load_size: int | None = 128  # Section 5.2: resized to 128 px, not cropped after that. None: no mirror either
    mirror: bool = True  # with a probability of one half, Section 5.3
    num_domains: int = 5  # the labels of CelebA (Table 4); `train` sets it to the number of domains
    class_weight: float = 1.0  # λ_cls, Section 3.1
    rec_weight: float = 10.0  # λ_rec, Section 3.1; for pictures in [−1, 1]
    penalty: float = 10.0  # λ_gp, Section 4; for pictures in [−1, 1]
    learning_rate: float = 1e-4  # Adam, Section 5.3
    beta1: float = 0.5  # Section 5.3
    cooldown: float = 0.5  # final fraction of the run, in which the learning rate falls to zero, Section 5.3
    num_blocks: int = 6  # residual blocks, Section 4
    halvings: int = 2  # of the generator, Appendix 7.2
    layers_D: int = 6  # halvings of the discriminator, Appendix 7.2
    width: float = 1.0  # factor on the 64 channels of both networks, Appendix 7.2
    padding: str = "zeros"  # the released code; "reflect": the label is lost
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        ones, zeros = ("num_steps", "steps_D", "batch_size", "layers_D"), ("num_blocks", "halvings", "seed")
        config_checks.check(
            self,
            whole={**dict.fromkeys(ones, 1), **dict.fromkeys(zeros, 0), "image_size": SMALLEST, "num_domains": 2},
            positive=("learning_rate", "width"), fractions=("cooldown",),
            nonnegative=("class_weight", "rec_weight", "penalty", "beta1"),
            choices={"padding": PADDINGS, "mirror": (True, False)},
        )  # fmt: skip
        arguments.whole("halvings", self.halvings, 0, 2)
        if self.beta1 >= 1:
            raise ValueError(f"beta1 must be below 1, got {self.beta1}")
        if self.image_size % 2 ** min(self.layers_D, 64):
            raise ValueError(
                "image_size must be a multiple of 2 to the power of layers_D, its number of halvings; "
                f"got {self.image_size} and {self.layers_D}"
            )
        if self.load_size is not None:
            config_checks.check(self, whole={"load_size": 1})
            if self.load_size < self.image_size:
                raise ValueError(f"load_size must be at least image_size ({self.image_size}), got {self.load_size}")
        elif self.mirror:
            raise ValueError("mirror=True needs a load_size: without one, pictures are only resized")

    @classmethod
    def fast(cls) -> Config:
        """Our fastest settings on a CPU: small pictures, halved once, few channels, one step of D for one of G.

        In the same time, G gets further with twice as many steps of half as many pictures, and with one step of D.
        """
        return cls(
            num_steps=9000, steps_D=1, batch_size=4, image_size=64, load_size=64, num_blocks=3, halvings=1,
            layers_D=5, width=0.375, learning_rate=5e-4,
        )  # fmt: skip

    @classmethod
    def quick(cls) -> Config:
        """Half a minute on a CPU, at 32 px: three weathers get their light, no details; too short for eight."""
        return replace(
            cls.fast(), num_steps=300, steps_D=2, batch_size=8, image_size=32, load_size=32, num_blocks=2,
            halvings=2, layers_D=4, width=0.25, learning_rate=1e-3,
        )  # fmt: skip


@dataclass(frozen=True)
class Model:
    """What `train` returns and `load` reads."""

    network: StarGenerator
    config: Config
    facts: dict[str, Any]  # of the training run: "domains", "photos", "history", "collapsed", "seconds", "device", …
    stopped: str | None = None  # why the training ended early, or None
    discriminator: StarDiscriminator | None = None  # as trained; not stored in model files

    @property
    def domains(self) -> tuple[str, ...]:
        """The names of the domains, in the order of the label's planes."""
        return tuple(self.facts.get("domains") or (f"domain {k}" for k in range(self.config.num_domains)))


@dataclass(frozen=True)
class Result:
    """What `translate` returns."""

    image: Tensor  # (N, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> StarGenerator:
    """The untrained generator of a configuration; its weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        return StarGenerator(
            config.num_domains,
            num_blocks=config.num_blocks,
            width=config.width,
            halvings=config.halvings,
            padding=config.padding,
        )


def build_discriminator(config: Config) -> StarDiscriminator:
    """The untrained discriminator of a configuration; its weights are drawn from ``config.seed + 1``."""
    with runtime.seeded(config.seed + 1, torch.device("cpu")):
        return StarDiscriminator(
            config.num_domains, size=config.image_size, num_layers=config.layers_D, width=config.width
        )


class _Memory(nn.Module):
    """What a run remembers beside weights: the losses of G's last step; zeros before its first."""

    losses: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("losses", torch.zeros(len(_OF_G)))


class Players(players.Players):
    """Generator and discriminator, each with its own Adam; `training.loop.fit` trains them by `train_step`."""

    def __init__(
        self, config: Config, G: StarGenerator, D: StarDiscriminator, precision: torch.dtype = torch.float32
    ) -> None:
        betas = (config.beta1, 0.999)
        optimizers = {"D": adam(D, config.learning_rate, betas), "G": adam(G, config.learning_rate, betas)}
        losses = ["D_real", "D_fake", "D_class", *["D_penalty"] * (config.penalty > 0), *_OF_G]
        self.memory = _Memory().to(next(G.parameters()).device)
        super().__init__({"G": G, "D": D, "memory": self.memory}, optimizers, losses, precision=precision)
        self.capturable = False  # whether G learns depends on the number of the step
        self.config, self.G, self.D = config, G, D

    def step(self, batch: tuple[Tensor, Tensor], step: int = 0) -> tuple[Tensor, Tensor | None]:
        """`train_step` on pictures (N, 3, S, S) in [0, 1] and their domains (N,); returns the losses and the fakes."""
        losses, fake = train_step(self, *batch, step)
        return self.stack(losses), fake.detach()


def train_step(players: Players, real: Tensor, labels: Tensor, step: int) -> tuple[dict[str, Tensor], Tensor]:
    """One gradient step on D; after every `steps_D` of them, one on G (Eq. 5 and 6).

    Args:
        players: the two networks and their optimizers.
        real: (N, 3, S, S) in [0, 1].
        labels: (N,), the number of each picture's domain. The same labels in another order are where G is sent.
        step: its number, from 0.

    Returns:
        The weighted losses by name: ``"D_real"``, ``"D_fake"``, ``"D_class"``, ``"D_penalty"`` (with a penalty), and
        ``"G"``, ``"G_class"``, ``"reconstruction"`` of G's last step (zeros before its first); and the fakes,
        (N, 3, S, S) in [0, 1].
    """
    config, G, D = players.config, players.G, players.D
    goal = labels[torch.randperm(len(labels), device=labels.device)]
    there, back = (F.one_hot(each, config.num_domains).float() for each in (goal, labels))
    with players.autocast():
        with torch.no_grad():
            fake = G(real, there)
        (on_real, classes), (on_fake, _) = D(real), D(fake)
    losses = {"D_real": -on_real.mean(), "D_fake": on_fake.mean()}
    losses["D_class"] = config.class_weight * F.cross_entropy(classes, labels)
    if config.penalty > 0:
        points = between(real, fake)
        losses["D_penalty"] = config.penalty * gradient_penalty(D(points)[0], points, span=2)
    update(players.optimizers["D"], torch.stack([*losses.values()]).sum())
    if (step + 1) % config.steps_D == 0:
        with frozen(D), players.autocast():
            fake = G(real, there)
            (on_fake, classes), again = D(fake), G(fake, back)
            of_G = torch.stack((
                -on_fake.mean(),
                config.class_weight * F.cross_entropy(classes, goal),
                2 * config.rec_weight * (again - real).abs().mean(),  # the paper's pictures span [−1, 1]
            ))  # fmt: skip
        update(players.optimizers["G"], of_G.sum())
        players.memory.losses.copy_(of_G.detach())
    return losses | dict(zip(_OF_G, players.memory.losses.clone(), strict=True)), fake


@runtime.with_gradients()
def train(
    images: Mapping[str, Any],
    config: Config | None = None,
    *,
    start: Model | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    preview: Tensor | None = None,
) -> Model:
    """Train one generator that translates between all domains, from pictures without pairs (Choi et al. 2018).

    Args:
        images: the name of each domain → a folder, pictures (1, 3, H, W) in [0, 1] of any size, or a batch of them.
            All domains are equally frequent, whatever their numbers of pictures (`data.domains.Domains`).
        config: defaults to the paper's: a day on a GPU of 2018. Its `num_domains` is set to the number of domains.
        start: a trained model of the same shape and domains to start from, with its discriminator if it has one.
        callback: called after each step with a `runtime.Progress` whose image is the current translation of `preview`
            to all domains, side by side, or the first fake of the batch if there is no `preview`.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over; the first new checkpoint replaces an existing one.
        preview: (1, 3, H, W) in [0, 1], a picture for the callback; it is not used for training.

    Returns:
        The trained generator and discriminator, on the CPU.

    Raises:
        ValueError: fewer than two domains, no pictures, fewer than a batch, a `start` of another shape or with other
            domains.
        ImageError: pictures of another range.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.

    >>> weathers = {"clear": torch.rand(3, 3, 32, 32), "dusk": torch.rand(2, 3, 40, 32)}
    >>> model = train(weathers, replace(Config.quick(), num_steps=2, batch_size=2, width=0.05, num_blocks=1))
    >>> model.domains, tuple(translate(torch.rand(1, 3, 33, 64), model, to="dusk").image.shape)
    (('clear', 'dusk'), (1, 3, 33, 64))
    """
    config = config_checks.given(config, Config, callback=callback)
    if preview is not None:
        check_pictures(preview, "the preview", single=True, least=SMALLEST, why="the network")
    data = Domains(
        images, size=config.image_size, load_size=config.load_size, mirror=config.mirror, seed=config.seed
    )  # fmt: skip
    if len(data) < config.batch_size:
        raise ValueError(f"{len(data)} pictures do not fill a batch of {config.batch_size}; use a smaller batch_size")
    config, device = replace(config, num_domains=len(data.names)), runtime.pick_device(config.device)
    G, D = build(config), build_discriminator(config)
    if start is not None:
        _take(G, D, start, config, data.names)
    for network in (G, D):
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = Players(config, G, D, runtime.pick_precision(config.precision, device))
    if callback is not None and preview is not None:
        unfinished = Model(G, config, {"domains": [*data.names]})
        callback = showing(lambda: _everywhere(preview, unfinished, str(device)), callback)
    run = train_and_summarize(
        learner, data, config, start=start, callback=callback, checkpoint=checkpoint, resume=resume,
        fingerprint={"discriminator goes on": start is not None and start.discriminator is not None},
        sights=_sights(G, data, device),
    )  # fmt: skip
    facts = {"domains": [*data.names], **run.facts}
    return Model(G.cpu().eval(), config, facts, run.stopped, D.cpu().eval())


def _sights(G: StarGenerator, data: Domains, device: torch.device) -> list[collapse.Sight]:
    """That the outputs follow the label, and that they follow the picture.

    The label may change little, such as glasses in a face, so it counts as ignored only below a hundredth.
    """
    D = len(data.names)
    chosen = collapse.some(range(D), _WATCHED)
    picture = [torch.stack([data[k][0] for k in collapse.some(range(d, len(data), D), _WATCHED)]) for d in chosen]
    inputs, K = picture[-1], len(picture[-1])  # pictures of the last domain go to all, or to the first
    labels = F.one_hot(torch.tensor(chosen), D).float()

    def everywhere() -> Tensor:
        with runtime.inference(G, device=device) as run:
            made = run(inputs.repeat_interleave(len(labels), 0), labels.repeat(K, 1))
            return made.unflatten(0, (K, len(labels)))  # (K, domains, 3, S, S)

    def in_first() -> Tensor:
        with runtime.inference(G, device=device) as run:
            return run(inputs, labels[:1].expand(K, -1))

    label = collapse.Sight(
        f"{len(chosen)} domains", everywhere, collapse.spread(torch.cat(picture)),
        "Does the label reach the network? It needs zeros as a border (padding='zeros'), or a larger class_weight",
        dim=1, least=0.01,
    )  # fmt: skip
    return [label, collapse.Sight(f"{K} pictures", in_first, collapse.spread(picture[0]))]


def _take(G: StarGenerator, D: StarDiscriminator, start: Model, config: Config, domains: Sequence[str]) -> None:
    """Start from the weights of another model."""
    config_checks.check_kind("start", start, Model)
    config_checks.check_same(start.config, config, _SHAPE)
    if start.domains != tuple(domains):
        raise ValueError(
            f"the model to start from has the domains {', '.join(start.domains)}, not {', '.join(domains)}; "
            "give the same ones in the same order"
        )
    G.load_state_dict(start.network.state_dict())
    if start.discriminator is not None:
        config_checks.check_same(start.config, config, _SHAPE_D)
        D.load_state_dict(start.discriminator.state_dict())


def _everywhere(image: Tensor, model: Model, device: str) -> Tensor:
    """One picture in all domains, side by side."""
    made = (translate(image, model, to=name, device=device, precision=model.config.precision) for name in model.domains)
    return torch.cat([each.image for each in made], -1)


def translate(
    images: Tensor, model: Model, *, to: str | Sequence[str], device: str = "auto", precision: str = "auto"
) -> Result:
    """Translate pictures to a domain; where they come from is not asked.

    Args:
        images: (N, 3, H, W) in [0, 1], of any size from 8 px up. Details come out at the size, in pixels, that the
            generator learned.
        model: from `train` or `load`.
        to: the name of a domain, or one name for each picture.
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions.

    Returns:
        The pictures in the size of `images`; each is independent of the others.

    Raises:
        ValueError: wrong shape or range, a domain that the model does not have.
        MemoryError: the pictures do not fit into the memory; names the largest that fit.
    """
    config_checks.check_kind("model", model, Model)
    check_pictures(images, "the pictures", least=SMALLEST, why="the network")
    rows = _rows(to, len(images), model.domains)
    began = time.perf_counter()
    width, where = model.config.width, runtime.pick_device(device)
    height, length = images.shape[-2:]
    check_memory(lambda h, w: _memory_needed(h, w, width), height, length, where)
    with runtime.inference(model.network, device=device, precision=precision, repeats=True) as run:
        translated = [run(*each) for each in zip(images.split(1), rows.split(1), strict=True)]
    return Result(torch.cat(translated), {"seconds": [time.perf_counter() - began]})


def _rows(to: str | Sequence[str], count: int, domains: Sequence[str]) -> Tensor:
    """The label of each picture, (count, num_domains), with a single 1."""
    names = [to] * count if isinstance(to, str) else to
    if not isinstance(names, list | tuple) or len(names) != count or not all(isinstance(name, str) for name in names):
        raise ValueError(f"to must be the name of a domain, or a list of {count}, one for each picture, got {to!r}")
    if unknown := [name for name in names if name not in domains]:
        raise ValueError(f"this model has no domain {unknown[0]!r}; it has {', '.join(domains)}")
    return torch.eye(len(domains))[[domains.index(name) for name in names]]


def _memory_needed(height: int, width: int, channels: float) -> int:
    """Bytes for a pass over one picture, measured in float32: the layers at full size count."""
    return round(height * width * (_BYTES_PER_PIXEL + _BYTES_PER_PIXEL_AND_WIDTH * channels))


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write the generator, the names of its domains and its configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model: a file, or the name of one that comes with the package (``"weathers"``).

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
