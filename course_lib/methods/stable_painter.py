"""A network that paints the same stroke in the next frame (Huang et al., CVPR 2017; Ruder et al., IJCV 2018).

A network f that paints photographs one by one makes videos flicker, because small changes of its input change its
output. Here f learns from pairs of consecutive frames, x_{t-1} and x_t, with the objective of Johnson et al. (2016) and
a temporal term (Huang et al. 2017, Section 3.2):

    L = λ_c ℓ_feat(f(x_t), x_t) + λ_s Σ_l ℓ_style,l(f(x_t), y_s) + λ_TV ℓ_TV(f(x_t))
        + λ_t mean over visible pixels of ‖f(x_t) - warp(f(x_{t-1}))‖²

The flow of `warp` is needed only for training. A video is painted frame by frame, with nothing but f, at the cost of
f. Symbols: λ_c = content_weight, λ_s = style_weight, λ_TV = tv_weight, λ_t = temporal_weight.

*Differs from the paper:* Huang et al. train on 91 videos with estimated flow. We train on photographs over which a
camera moves (`data.moving`), with exact flow, as Ruder et al. do in part. The network is that of Johnson et al. Content
and style terms see the later frame only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from course_lib import config_checks, runtime
from course_lib.data.crops import training_photos
from course_lib.data.moving import Item, MovingPairs
from course_lib.flow import warp
from course_lib.images import check_pictures
from course_lib.losses.balance import check_balance
from course_lib.losses.one_painting import painting_names, painting_objective, painting_terms
from course_lib.networks import layers
from course_lib.networks.one_pass import one_pass
from course_lib.networks.transformer_net import TransformerNet
from course_lib.training import model_files
from course_lib.training.fingerprints import total
from course_lib.training.loop import Minimizer
from course_lib.training.run import showing, train_and_summarize

KIND = "stable_painter"
SMALLEST = 8  # px, shortest side of a frame
_SHAPE = ("width", "num_blocks", "norm", "upsampling")


@dataclass(frozen=True)
class Config:
    """Johnson's released training with the temporal term; what Huang et al. print differently is noted."""

    num_steps: int = 40_000  # Johnson et al. 2016, Section 4.1
    batch_size: int = 4  # pairs of frames
    image_size: int = 256  # side of a frame; Huang et al. train on 640 × 360
    learning_rate: float = 1e-3  # Adam
    cooldown: float = 0.0  # final fraction of the run, in which the learning rate falls to zero
    content_weight: float = 1.0  # λ_c
    style_weight: float = 0.7  # λ_s; Huang et al. print 10, on another scale of the losses
    tv_weight: float = 4.0  # λ_TV; Huang et al. print 1e-3, on another scale
    temporal_weight: float = 200.0  # λ_t; Huang et al. print 1e4, on another scale; chosen in chapter 20
    content_layers: tuple[str, ...] = ("relu2_2",)  # Johnson et al., Section 4.1
    style_layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")  # Johnson et al., Section 4.1
    style_layer_weights: str | tuple[float, ...] = "equal"  # Johnson et al., Eq. 4; "balanced": see `losses.balance`
    style_size: int = 256  # long side of the painting
    shift: float = 8.0  # the largest motion between the two frames, pixels; ours, as the next three
    zoom: float = 0.05  # the largest change of scale
    rotation: float = 3.0  # degrees
    noise: float = 0.02  # the largest standard deviation of the noise of the camera
    width: float = 1.0  # factor on 32, 64, 128 channels
    num_blocks: int = 5  # Johnson et al., supplement, Table 1
    norm: str = "instance"  # as in the released code of Johnson et al.
    upsampling: str = "resize"  # ours: no checkerboard to flicker
    arch: str = "vgg16"  # of the loss network
    weights: str | Path | None = "default"  # of the loss network
    accumulate: int = 1  # parts in which a batch is computed, to save memory
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        config_checks.check(
            self,
            whole={
                "num_steps": 1, "batch_size": 1, "image_size": 8, "style_size": 8, "num_blocks": 0, "accumulate": 1,
                "seed": 0,
            },
            positive=("learning_rate", "width"),
            nonnegative=(
                "content_weight", "style_weight", "tv_weight", "temporal_weight", "cooldown", "shift", "zoom",
                "rotation", "noise",
            ),
            some_layers=("content_layers", "style_layers"),
            choices={"norm": layers.NORMS, "upsampling": layers.UPSAMPLINGS, "arch": ("vgg16", "vgg19")},
        )  # fmt: skip
        check_balance(self)

    @classmethod
    def fast(cls) -> Config:
        """Our fastest settings, those of `johnson.Config.fast()`: half the width, small batches, a falling rate."""
        return cls(num_steps=3000, batch_size=2, image_size=192, cooldown=0.5, width=0.5)

    @classmethod
    def quick(cls) -> Config:
        """Minutes on a CPU: few steps at a small size, from a trained painter."""
        return replace(cls.fast(), num_steps=100, image_size=96, cooldown=0.5)


@dataclass(frozen=True)
class Model:
    """What `train` returns and `load` reads: one network for one painting."""

    network: TransformerNet
    config: Config
    facts: dict[str, Any]  # of the training run: "style", "photos", "history", "seconds", "device", …
    stopped: str | None = None  # why the training ended early, or None


@dataclass(frozen=True)
class Result:
    """What `stylize` returns."""

    image: Tensor  # (T, 3, H, W) in [0, 1], float32, on the CPU
    history: dict[str, list[float]]  # "seconds": since the start, after each frame


def build(config: Config) -> TransformerNet:
    """The untrained network of a configuration; its weights are drawn from ``config.seed``."""
    with runtime.seeded(config.seed, torch.device("cpu")):
        return TransformerNet(**{name: getattr(config, name) for name in _SHAPE})


@runtime.with_gradients()
def train(
    style: Tensor,
    photos: str | Path | Sequence[Tensor] | Dataset[Tensor] | None = None,
    config: Config | None = None,
    *,
    start: Any = None,
    callback: runtime.Callback | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    preview: Tensor | None = None,
) -> Model:
    """Train a network that paints moving pictures in the style of `style`.

    Args:
        style: (1, 3, h, w) in [0, 1].
        photos: a folder, pictures (1, 3, H, W) in [0, 1], a map-style data set of square (3, S, S) in [0, 1], or None
            for the open photos that come with the package. A camera moves over each of them.
        config: defaults to the setting of the paper: hours on a GPU.
        start: a trained model with the same network, of this method or of `johnson`; a painter that paints well only
            has to become stable, which takes a tenth of the steps.
        callback: called after each step with a `runtime.Progress` whose image is the network's output for `preview`, or
            for the first frame of the batch.
        checkpoint: a file; if it exists, the run resumes from it (`training.loop.fit`).
        resume: False: start over.
        preview: (1, 3, H, W) in [0, 1], a photo for the callback; it is not used for training.

    Returns:
        The trained network, on the CPU.

    Raises:
        TypeError: a `start` that is no model of this method or of `johnson`.
        ValueError: wrong shapes, a `start` of another shape, layers that the loss network does not have.
        CheckpointError: the checkpoint is damaged, in use, or of another run.
        WeightsError: the loss network's weights can be neither found nor downloaded.

    >>> style, photos = torch.rand(1, 3, 32, 32), [torch.rand(1, 3, 60, 60)]
    >>> tiny = Config(num_steps=2, image_size=32, style_size=32, width=0.1, num_blocks=1, weights=None, shift=2)
    >>> model = train(style, photos, tiny)
    >>> tuple(stylize(torch.rand(2, 3, 40, 36), model).image.shape)
    (2, 3, 40, 36)
    """
    config = config_checks.given(config, Config, callback=callback)
    check_pictures(style, "the style image", single=True)
    if preview is not None:
        check_pictures(preview, "the preview", single=True, least=SMALLEST, why="the network")
    device = runtime.pick_device(config.device)
    margin = int(config.shift) + 1
    crops = training_photos(photos, size=config.image_size + 2 * margin, seed=config.seed, device=device)
    data = MovingPairs(
        crops, margin=margin, shift=config.shift, zoom=config.zoom, rotation=config.rotation, noise=config.noise,
        seed=config.seed,
    )  # fmt: skip
    loss, network = painting_objective(style, config), build(config)
    if start is not None:
        if not isinstance(getattr(start, "network", None), TransformerNet):
            raise TypeError(
                f"start must be what {KIND}.train or {KIND}.load returns, or a model of johnson, which has the same "
                f"network, got {type(start).__name__}"
            )
        config_checks.check_same(start.config, config, _SHAPE)
        network.load_state_dict(start.network.state_dict())
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if callback is not None and preview is not None:
        shown = preview
        callback = showing(lambda: stylize(shown, Model(network, config, {}), device=config.device).image, callback)

    def step(net: nn.Module, batch: Item) -> tuple[Tensor, Tensor]:
        earlier, later, flow, visible = batch  # (N, 3, S, S) twice, (N, 2, S, S), (N, 1, S, S)
        frames = torch.cat((later, earlier)).contiguous(memory_format=torch.channels_last)
        painted, before = net(frames).chunk(2)
        terms = painting_terms(loss, painted, later, config.tv_weight)
        temporal = config.temporal_weight * _change(painted, before, flow, visible)
        return torch.cat((terms, temporal.view(1))), painted

    learner = Minimizer(
        network, step, (*painting_names(loss, config.tv_weight), "temporal"), learning_rate=config.learning_rate,
        accumulate=config.accumulate, precision=runtime.pick_precision(config.precision, device), capturable=True,
    )  # fmt: skip
    run = train_and_summarize(
        learner, data, config, start=start, fingerprint={"style": total(style)}, callback=callback,
        checkpoint=checkpoint, resume=resume,
    )  # fmt: skip
    return Model(network.cpu().eval(), config, {**run.facts, "loss_network": loss.network.source}, run.stopped)


def _change(painted: Tensor, before: Tensor, flow: Tensor, visible: Tensor) -> Tensor:
    """The mean over visible pixels and channels of ‖f(x_t) - warp(f(x_{t-1}))‖², a scalar."""
    squares = (painted.float() - warp(before.float(), flow)).square().mean(1, keepdim=True)
    return (squares * visible).sum() / visible.sum().clamp(min=1)


def stream(
    frames: Iterable[Tensor], model: Model, *, tile: int | None = None, device: str = "auto", precision: str = "auto"
) -> Iterator[Tensor]:
    """Paint a video frame by frame; only one frame is in memory.

    Args:
        frames: each (1, 3, H, W) in [0, 1].
        model: from `train` or `load`.
        tile, device, precision: as for `stylize`.

    Yields:
        (1, 3, H, W) in [0, 1], float32, on the CPU.

    Raises:
        ImageError: when its turn comes, a frame that is not a picture in [0, 1] of at least 8 px.
    """
    config_checks.check_kind("model", model, Model)
    for frame in frames:
        check_pictures(frame, "the frame", least=SMALLEST, why="the network")
        width = model.config.width
        yield one_pass(model.network, frame, width=width, tile=tile, device=device, precision=precision).float()


def stylize(
    frames: Tensor, model: Model, *, tile: int | None = None, device: str = "auto", precision: str = "auto"
) -> Result:
    """Paint the frames of a clip, or photographs.

    Args:
        frames: (T, 3, H, W) in [0, 1], any size from 8 px on.
        model: from `train` or `load`.
        tile: side of the tiles in px, for frames too large for the memory; None: one piece if it fits.
        device: "auto", or where to compute.
        precision: "auto", "float32" or "bfloat16", of the convolutions.

    Raises:
        ImageError: frames that are not pictures in [0, 1] of at least 8 px.
        ValueError: a tile that is not a whole number of pixels.
        MemoryError: even in tiles the result does not fit into the memory.
    """
    check_pictures(frames, "the frames", least=SMALLEST, why="the network")
    began, painted, seconds = time.perf_counter(), [], []
    for picture in stream(frames.split(1), model, tile=tile, device=device, precision=precision):
        painted.append(picture)
        seconds.append(time.perf_counter() - began)
    return Result(torch.cat(painted), {"seconds": seconds})


def save(model: Model, path: str | Path, *, half: bool = False) -> None:
    """Write the model and its configuration to one safetensors file, atomically.

    Args:
        path: of the file.
        half: store float16 weights, for half the size.
    """
    model_files.save(path, KIND, config_checks.check_kind("model", model, Model), half=half)


def load(path: str | Path) -> Model:
    """Read a model: a file, or the name of one that comes with the package (``"great_wave_stable"``).

    Raises:
        ModelError: there is no such model, or the file is damaged, not a model file, or of another method.
    """
    return Model(*model_files.load(path, KIND, Config, build))
