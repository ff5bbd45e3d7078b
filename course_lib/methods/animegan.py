"""Photos drawn as cartoons: AnimeGAN (Chen, Liu & Chen 2019), its second version (2020), and CartoonGAN (2018).

There are photos p, cartoons a of other scenes, and no pairs. x is a cartoon in gray, y one with blurred edges, in gray:

    L(G) = ω_adv E (D(G(p)) − 1)² + ω_con L_con + ω_gra L_gra + ω_col L_col       `losses.cartoon`; version 2: + L_tv
    L(D) = ω_adv [E (D(a) − 1)² + E D(G(p))² + E D(x)² + 0.1 E D(y)²]

D rejects three kinds of fakes: drawings, so that G learns; gray cartoons, so that drawings keep their colors; blurred
edges, so that they get sharp ones. Before the game begins, G learns to copy photos by L_con alone: from a random start,
it would never find what a photo shows.

CartoonGAN (Chen, Lai & Liu 2018) came first, with D(a), D(G(p)) and D(y), y in color, and L_con: `Config.cartoongan()`.

*Differs from the code:* a step's blurred cartoons are its cartoons, not others; D's loss has no factor of its own,
which Adam would take out again; the loss network is the VGG-19 of Gatys et al., hence ``feature_scale``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib import config_checks, runtime
from course_lib.data.cartoon import PhotosAndCartoons
from course_lib.images import check_pictures
from course_lib.losses import adversarial
from course_lib.losses.cartoon import color_loss, content_l1, gram_l1, gray, smoothness
from course_lib.networks.animegan import SMALLEST, VERSIONS, AnimeDiscriminator, AnimeGenerator
from course_lib.optimize.start import check_memory
from course_lib.pretrained.vgg import VGGFeatures
from course_lib.training import collapse, model_files, players
from course_lib.training.optimizers import adam
from course_lib.training.players import frozen, update
from course_lib.training.run import showing, train_and_summarize

KIND = "animegan"
LAYER = "conv4_4"  # before its ReLU, in all three papers
_BYTES_PER_PIXEL, _BYTES_PER_PIXEL_AND_WIDTH = 110, 2100  # peak of a pass on a CPU, of the largest of the three
_SHAPE = ("version", "width", "num_blocks")  # equal fields: the weights of one model fit the other


@dataclass(frozen=True)
class Config:
    """AnimeGAN as its authors trained it; every field names its source ("code": train.py of the release)."""

    version: str = "v1"  # of generator and discriminator: "v1", "v2", "cartoongan"
    num_epochs: int = 101  # code; those of the first phase are among them
    init_epochs: int = 5  # code: of the first phase, in which G learns from L_con alone; 0: none
    batch_size: int = 6  # code
    image_size: int = 256  # code; side of what the networks see
    load_size: int | None = None  # code: pictures are resized to image_size; a number: crops of pictures of that side
    mirror: bool = False  # code
    adv_weight: float = 300.0  # ω_adv, code
    content_weight: float = 1.5  # ω_con, code
    style_weight: float = 3.0  # ω_gra, code; 0: no gray style loss
    color_weight: float = 10.0  # ω_col, code; 0: no color reconstruction
    tv_weight: float = 0.0  # version 2: 1
    gray_weight: float = 1.0  # of D's loss on gray cartoons, relative to that on drawings; 0: D does not see any
    edge_weight: float = 0.1  # of D's loss on blurred edges, relative to that on drawings; 0: D does not see any
    gray_edges: bool = True  # whether the pictures with blurred edges are gray; CartoonGAN: no
    objective: str = "least-squares"  # code
    learning_rate: float = 8e-5  # of G, Adam, code
    rate_init: float = 1.25  # factor on G's rate in the first phase; code: 1e-4
    rate_D: float = 2.0  # factor on G's rate for D; code: 1.6e-4
    beta1: float = 0.5  # code
    cooldown: float = 0.0  # final fraction of the run, in which the rates fall to zero; not in the papers
    width: float = 1.0  # factor on all numbers of channels
    num_blocks: int | None = None  # residual blocks; None: as many as in the paper
    feature_scale: float = 25.0  # how much larger features of the authors' VGG-19, for 0–255, are: an estimate
    weights: str | Path | None = "default"  # of the loss network
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(
            self,
            whole={"num_epochs": 1, "init_epochs": 0, "batch_size": 1, "image_size": 16, "seed": 0},
            positive=(
                "adv_weight", "content_weight", "learning_rate", "rate_init", "rate_D", "width", "feature_scale",
            ),
            nonnegative=("style_weight", "color_weight", "tv_weight", "gray_weight", "edge_weight", "beta1"),
            fractions=("cooldown",),
            choices={
                "version": VERSIONS, "objective": adversarial.OBJECTIVES, "mirror": (True, False),
                "gray_edges": (True, False),
            },
        )  # fmt: skip
        if self.num_blocks is not None:
            config_checks.check(self, whole={"num_blocks": 0})
        if self.beta1 >= 1:
            raise ValueError(f"beta1 must be below 1, got {self.beta1}")
        if self.init_epochs >= self.num_epochs:
            raise ValueError(
                f"init_epochs must be fewer than num_epochs ({self.num_epochs}), which include them; "
                f"got {self.init_epochs}"
            )
        if self.load_size is not None:
            config_checks.check(self, whole={"load_size": 1})
            if self.load_size < self.image_size:
                raise ValueError(f"load_size must be at least image_size ({self.image_size}), got {self.load_size}")
        elif self.mirror:
            raise ValueError("mirror=True needs a load_size: without one, pictures are only resized")

    @classmethod
    def v2(cls) -> Config:
        """AnimeGANv2 (2020): half the generator, more weight on edges, smooth areas; train.py of its release."""
        return cls(
            version="v2", init_epochs=10, batch_size=12, style_weight=2.5, tv_weight=1.0, edge_weight=1 / 1.7,
            learning_rate=2e-5, rate_init=10.0,
        )  # fmt: skip

    @classmethod
    def cartoongan(cls) -> Config:
        """CartoonGAN (Chen, Lai & Liu 2018): Eqs. 3-5 with ω = 10; the rest as in a well-known port (znxlwm)."""
        return cls(
            version="cartoongan", num_epochs=110, init_epochs=10, batch_size=8, adv_weight=1.0, content_weight=10.0,
            style_weight=0.0, color_weight=0.0, gray_weight=0.0, edge_weight=1.0, gray_edges=False,
            objective="non-saturating", learning_rate=2e-4, rate_init=1.0, rate_D=1.0, feature_scale=0.1,
        )  # fmt: skip

    @classmethod
    def fast(cls) -> Config:
        """For an hour on a CPU: crops of 64 px, half the channels of version 2, larger rates that fall, a slower D.

        The weights are ours. With the papers', a run of this length does not get as far as colors.
        """
        return replace(
            cls.v2(), num_epochs=200, init_epochs=20, batch_size=4, image_size=64, load_size=72, mirror=True,
            adv_weight=100.0, style_weight=1.0, color_weight=1000.0, learning_rate=1e-3, rate_init=1.0, rate_D=0.2,
            cooldown=0.5, width=0.5, num_blocks=2,
        )  # fmt: skip

    @classmethod
    def quick(cls) -> Config:
        """Half a minute on a CPU with 32 photos, at 32 px: layout and some of the colors, no lines."""
        return replace(
            cls.fast(), num_epochs=28, init_epochs=4, image_size=32, load_size=36, color_weight=3000.0,
            learning_rate=3e-3, width=0.25, num_blocks=1,
        )  # fmt: skip


@dataclass(frozen=True)
class Model:
    """What `train` returns and `load` reads."""

    network: AnimeGenerator
    config: Config
    facts: dict[str, Any]  # of the training run: "photos", "history", "collapsed", "seconds", "loss_network", …
    stopped: str | None = None  # why the training ended early, or None
    discriminator: AnimeDiscriminator | None = None  # as trained; not stored in model files


@dataclass(frozen=True)
class Result:
    """What `translate` returns."""

    image: Tensor  # (N, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "seconds": duration of the pass


def build(config: Config) -> AnimeGenerator:
    """The untrained generator of a configuration; its weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        return AnimeGenerator(config.version, width=config.width, num_blocks=config.num_blocks)


def build_discriminator(config: Config) -> AnimeDiscriminator:
    """The untrained discriminator of a configuration; its weights are drawn from ``config.seed + 1``."""
    with runtime.seeded(config.seed + 1, torch.device("cpu")):
        return AnimeDiscriminator(config.version, width=config.width)


class Players(players.Players):
    """Generator, discriminator and loss network; the first phase, of `init_steps`, has an Adam of its own."""

    def __init__(
        self, config: Config, G: AnimeGenerator, D: AnimeDiscriminator, init_steps: int = 0,
        precision: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        rates = {"init": (G, config.rate_init), "D": (D, config.rate_D), "G": (G, 1.0)}
        optimizers = {
            name: adam(network, factor * config.learning_rate, (config.beta1, 0.999))
            for name, (network, factor) in rates.items()
            if name != "init" or init_steps > 0
        }
        used = {
            "D_real": 1.0, "D_fake": 1.0, "D_gray": config.gray_weight, "D_edges": config.edge_weight,
            "G": config.adv_weight, "content": config.content_weight, "style": config.style_weight,
            "color": config.color_weight, "tv": config.tv_weight,
        }  # fmt: skip
        self.weights = {name: weight for name, weight in used.items() if weight > 0}
        super().__init__({"G": G, "D": D}, optimizers, [*self.weights], precision=precision)
        self.capturable = False  # the two phases differ
        self.config, self.G, self.D, self.init_steps = config, G, D, init_steps
        vgg = VGGFeatures("vgg19", [LAYER], pooling="max", weights=config.weights, precision=precision)
        self.loss_network = vgg.to(self.device)

    def features(self, pictures: Tensor) -> Tensor:
        """conv4_4 of pictures (N, 3, H, W), on the scale of the authors' network: (N, C, H/8, W/8), float32."""
        return self.config.feature_scale * self.loss_network(pictures)[LAYER].float()

    def step(self, batch: Tensor, step: int = 0) -> tuple[Tensor, Tensor | None]:
        """`train_step` on a batch (N, 3, 3, H, W) of `data.cartoon.PhotosAndCartoons`; returns losses and drawings."""
        photo, cartoon, edges = batch.unbind(1)
        losses, drawn = train_step(self, photo, cartoon, edges, step)
        return self.stack(losses), drawn.detach()


def train_step(
    players: Players, photo: Tensor, cartoon: Tensor, edges: Tensor, step: int
) -> tuple[dict[str, Tensor], Tensor]:
    """In the first phase a gradient step on G by L_con; later one on D, then one on G (L(D), L(G)).

    Args:
        players: the two networks and their optimizers.
        photo, cartoon, edges: p, a, and a with blurred edges; (N, 3, H, W) each, in [0, 1].
        step: its number, from 0.

    Returns:
        The weighted losses by name, those in use: ``"D_real"``, ``"D_fake"``, ``"D_gray"``, ``"D_edges"``, ``"G"``,
        ``"content"``, ``"style"``, ``"color"``, ``"tv"``; in the first phase all but ``"content"`` are 0. And the
        drawings, (N, 3, H, W).
    """
    config, G, D = players.config, players.G, players.D
    losses = {name: photo.new_zeros(()) for name in players.names}
    with players.autocast():
        drawn = G(photo)
    if step < players.init_steps:
        losses |= _drawing_losses(players, ["content"], drawn, photo, cartoon)
        update(players.optimizers["init"], losses["content"])
        return losses, drawn
    shown = {
        "D_real": cartoon, "D_fake": drawn.detach(), "D_gray": gray(cartoon),
        "D_edges": gray(edges) if config.gray_edges else edges,
    }  # fmt: skip
    seen = [name for name in shown if name in players.names]
    with players.autocast():
        logits = D(torch.cat([shown[name] for name in seen])).float().chunk(len(seen))
    for name, each in zip(seen, logits, strict=True):
        loss = adversarial.real_loss if name == "D_real" else adversarial.fake_loss
        losses[name] = config.adv_weight * players.weights[name] * loss(each, config.objective)
    update(players.optimizers["D"], torch.stack([losses[name] for name in seen]).sum())
    with frozen(D), players.autocast():
        losses["G"] = config.adv_weight * adversarial.generator_loss(D(drawn).float(), config.objective)
    others = [name for name in players.names if name not in (*seen, "G")]
    losses |= _drawing_losses(players, others, drawn, photo, cartoon)
    update(players.optimizers["G"], torch.stack([losses[name] for name in ("G", *others)]).sum())
    return losses, drawn


def _drawing_losses(
    players: Players, names: list[str], drawn: Tensor, photo: Tensor, cartoon: Tensor
) -> dict[str, Tensor]:
    """The weighted losses out of "content", "style", "color" and "tv" that are named."""
    of_drawn = players.features(drawn)
    with torch.no_grad():
        of_photo = players.features(photo)
        of_gray = players.features(gray(cartoon)) if "style" in names else of_photo
    terms = {
        "content": lambda: content_l1(of_drawn, of_photo),
        "style": lambda: gram_l1(of_drawn, of_gray),
        "color": lambda: color_loss(drawn, photo),
        "tv": lambda: smoothness(drawn),
    }
    return {name: players.weights[name] * terms[name]() for name in names}


@runtime.with_gradients()
def train(
    photos: Any,
    cartoons: Any,
    config: Config | None = None,
    *,
    start: Model | None = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    preview: Tensor | None = None,
) -> Model:
    """Train a generator that draws photos as cartoons, from two sets of pictures without pairs.

    Args:
        photos, cartoons: of each: a folder, pictures (1, 3, H, W) in [0, 1] of any size, or a batch of them.
            `data.cartoon.cartoon` computes cartoons of photos. An epoch shows every picture of the larger set once.
        config: defaults to that of AnimeGAN's authors: a day on a GPU.
        start: a trained model of the same shape to start from, with its discriminator if it has one; the first phase
            is then left out.
        callback: called after each step with a `runtime.Progress` whose image is the current drawing of `preview`, or
            of the first photo of the batch if there is no `preview`.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over; the first new checkpoint replaces an existing one.
        preview: (N, 3, H, W) in [0, 1], photos for the callback; they are not used for training.

    Returns:
        The trained generator and discriminator, on the CPU.

    Raises:
        ValueError: no pictures, fewer than a batch, pictures of another range, a `start` of another shape.
        CheckpointError: the checkpoint is damaged, in use, or of another run, or it could not be written there.
        WeightsError: the loss network's weights can be neither found nor downloaded.

    >>> photos, cartoons = torch.rand(4, 3, 32, 32), torch.rand(3, 3, 40, 32)
    >>> tiny = replace(Config.quick(), num_epochs=2, init_epochs=1, width=0.05, weights=None)
    >>> model = train(photos, cartoons, tiny)
    >>> len(model.facts["history"]["style"]), tuple(translate(torch.rand(1, 3, 33, 64), model).image.shape)
    (2, (1, 3, 33, 64))
    """
    config = config_checks.given(config, Config, callback=callback)
    if preview is not None:
        check_pictures(preview, "the preview", least=SMALLEST, why="the network")
    data = PhotosAndCartoons(
        photos, cartoons, size=config.image_size, load_size=config.load_size, mirror=config.mirror, seed=config.seed
    )
    device = runtime.pick_device(config.device)
    num_steps, init_steps = (
        epochs * len(data) // config.batch_size for epochs in (config.num_epochs, config.init_epochs)
    )
    if num_steps == 0:
        raise ValueError(f"{len(data)} pictures do not fill a batch of {config.batch_size}")
    G, D = build(config), build_discriminator(config)
    if start is not None:
        config_checks.check_kind("start", start, Model)
        config_checks.check_same(start.config, config, _SHAPE)
        init_steps = 0
        G.load_state_dict(start.network.state_dict())
        if start.discriminator is not None:
            D.load_state_dict(start.discriminator.state_dict())
    for network in (G, D):
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = Players(config, G, D, init_steps, runtime.pick_precision(config.precision, device))
    some_photos, some_cartoons, _ = torch.stack(collapse.some(data, collapse.INPUTS)).unbind(1)
    if callback is not None and preview is not None:
        unfinished = Model(G, config, {})
        settings: dict[str, Any] = {"device": str(device), "precision": config.precision}
        callback = showing(lambda: translate(preview, unfinished, **settings).image, callback)
    run = train_and_summarize(
        learner, data, config, num_steps=num_steps, start=start, callback=callback, checkpoint=checkpoint,
        resume=resume, fingerprint={"discriminator goes on": start is not None and start.discriminator is not None},
        sights=[collapse.follows(G, some_photos, some_cartoons, f"{len(some_photos)} photos")],
    )  # fmt: skip
    facts = {**run.facts, "loss_network": learner.loss_network.source}
    return Model(G.cpu().eval(), config, facts, run.stopped, D.cpu().eval())


def translate(images: Tensor, model: Model, *, device: str = "auto", precision: str = "auto") -> Result:
    """Draw photos as cartoons.

    Args:
        images: (N, 3, H, W) in [0, 1], of any size from 8 px up. Lines come out at the width, in pixels, that the
            generator learned.
        model: from `train` or `load`.
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions.

    Returns:
        The pictures in the size of `images`; each is independent of the others.

    Raises:
        ValueError: wrong shape or range.
        MemoryError: the pictures do not fit into the memory; names the largest that fit.
    """
    config_checks.check_kind("model", model, Model)
    check_pictures(images, least=SMALLEST, why="the network")
    began = time.perf_counter()
    width, where = model.config.width, runtime.pick_device(device)
    height, length = images.shape[-2:]
    check_memory(lambda h, w: _memory_needed(h, w, width), height, length, where)
    with runtime.inference(model.network, device=device, precision=precision, repeats=True) as run:
        drawn = [run(image) for image in images.split(1)]
    return Result(torch.cat(drawn), {"seconds": [time.perf_counter() - began]})


def _memory_needed(height: int, width: int, channels: float) -> int:
    """Bytes for a pass over one picture, measured in float32: the layers at full size count."""
    return round(height * width * (_BYTES_PER_PIXEL + _BYTES_PER_PIXEL_AND_WIDTH * channels))


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write the generator and its configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model: a file, or the name of one that comes with the package (``"cartoon"``).

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
