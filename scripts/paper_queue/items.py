"""What is worth having at the papers' scale, most valuable first, with the seconds it takes on an H100-class card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STYLES = ("great_wave", "composition_viii", "cafe_terrace", "church_at_auvers", "poppies")
SCALES = ("full", "tenth", "toy")
NEEDS = {  # what an item may need beside the two cut networks → in words, and how to get it
    "vgg16": ("the whole VGG-16", "`make weights` fetches it, `make paper-pack ARGS=--full` packs it"),
    "adain": ("the published decoder of AdaIN", "`make weights` fetches it, `make paper-pack ARGS=--full` packs it"),
    "datasets": ("a folder of research data sets", "give it with --datasets, or as COURSE_LIB_DATASETS"),
    "matplotlib": ("matplotlib, which draws its maps", "`pip install matplotlib`"),
}


@dataclass(frozen=True)
class Item:
    """One entry of the queue.

    Attributes:
        name: in lists, logs and file names.
        kind: the module in `tasks` that runs it.
        title: what it is, one line.
        seconds: an estimate of its whole time on an H100-class card, start included.
        records: the stored runs at the ``paper`` profile that it makes; it is done when all are there.
        models: the model files that it makes, without ``.safetensors``.
        needs: what must be at hand beside the two cut networks, words of `NEEDS`.
        settings: what `tasks` is told, plain values.
        trained: the kind of seconds given on the command line that it trains by ("painter", "several", "decoder",
            "translator", "unpaired", "styles", "domains", "attention", "cartoons", "enlarger"); empty for an item whose
            length is fixed.
    """

    name: str
    kind: str
    title: str
    seconds: float
    records: tuple[str, ...]
    models: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    trained: str = ""


@dataclass(frozen=True)
class Job:
    """An item with where, how long and how large it is run.

    Attributes:
        item: what to run.
        into: the queue's folder; records go to ``into/results/paper``, models to ``into/models``, checkpoints to
            ``into/checkpoints``.
        scale: ``"full"``, ``"tenth"`` (a tenth of the steps, to try a device), ``"toy"`` (a rehearsal on a CPU).
        device: ``"cuda"``, or ``"cpu"`` in a rehearsal.
        seconds: to train for, where ``item.trained`` is set.
        datasets: the folder of research data sets, or None.
    """

    item: Item
    into: Path
    scale: str = "full"
    device: str = "cuda"
    seconds: float = 90.0
    datasets: Path | None = None

    def steps(self, count: int) -> int:
        """`count` steps of the full scale, at this job's scale."""
        return {"full": count, "tenth": max(1, count // 10), "toy": min(count, 3)}[self.scale]

    def size(self, side: int) -> int:
        """`side` pixels of the full scale, at this job's scale: a rehearsal's pictures are 48 px at most."""
        return min(side, 48) if self.scale == "toy" else side


def _engine(size: int, seconds: float) -> Item:
    title = f"the engine at {size} px: ours, the plain loop with and without TF32, the floor"
    return Item(f"engine_{size}", "engine", title, seconds, (f"05_engine_{size}",), settings={"size": size})


def _chapter(number: str, title: str, seconds: float, *records: str, suffix: str = "", **more: Any) -> Item:
    records, settings = tuple(f"{number}_{record}" for record in records), {"notebook": number, **more.pop("told", {})}
    return Item(f"chapter_{number}{suffix}", "chapter", title, seconds, records, settings=settings, **more)


def _measure(name: str, seconds: float, **more: Any) -> Item:
    title = (
        f"the ledger's {name.replace('_', ' ')}, {more.pop('what', 'three pairs and three seeds')} at the paper's size"
    )
    return Item(f"measure_{name}", "measure", title, seconds, (f"measured_{name}",), settings={"measure": name}, **more)


def _painter(style: str) -> Item:
    title = f"a painter of {style.replace('_', ' ')}, the paper's network and batches"
    return Item(
        f"painter_{style}", "painter", title, 120, (f"model_{style}",), (f"{style}_paper",), settings={"style": style},
        trained="painter",
    )  # fmt: skip


def _several() -> Item:
    name = "twelve_paintings"
    title = "one network for twelve paintings, the paper's network and batches"
    return Item("several_paintings", "several", title, 290, (f"model_{name}",), (f"{name}_paper",),
                settings={"model": name}, trained="several")  # fmt: skip


def _decoder() -> Item:
    name = "any_style"
    title = "AdaIN's decoder, the paper's network and batches, on the package's own photographs and paintings"
    return Item("decoder_any_style", "decoder", title, 290, (f"model_{name}",), (f"{name}_paper",),
                settings={"model": name}, trained="decoder")  # fmt: skip


def _translator(source: str, width: float) -> Item:
    wide = width == 1.0
    name = f"facade_{source}"
    return Item(
        f"translator_{source}_{'full' if wide else 'half'}",
        "translator",
        f"streets from {source}, 256 px, {'the paper’s width: scores and pictures' if wide else 'half width, to keep'}",
        190,
        (f"09_{name}_full",) if wide else (f"model_{name}",),
        () if wide else (f"{name}_paper",),
        settings={"source": source, "width": width},
        trained="translator",
    )


def _unpaired() -> Item:
    name = "clear_dusk"
    return Item("unpaired_clear_dusk", "unpaired", "day and dusk without pairs, 128 px, half the paper's width", 240,
                (f"model_{name}",), (f"{name}_paper",), settings={"weathers": ["clear", "dusk"], "width": 0.5},
                trained="unpaired")  # fmt: skip


def _styles() -> Item:
    name = "streets"
    return Item("styles_streets", "styles", "streets from noise, 64 px, the paper's batches and losses", 260,
                (f"model_{name}",), (f"{name}_paper",), settings={"model": name}, trained="styles")  # fmt: skip


def _domains() -> Item:
    name = "weathers"
    return Item("domains_weathers", "domains", "eight weathers from one generator, 128 px, the paper's network", 320,
                (f"model_{name}",), (f"{name}_paper",), settings={"model": name}, trained="domains")  # fmt: skip


def _attention() -> Item:
    name = "plaster_brick"
    return Item("attention_brick", "attention", "brick from plaster, and where the generator looks, 128 px", 310,
                (f"model_{name}",), (f"{name}_paper",), settings={"model": name, "width": 0.5},
                trained="attention")  # fmt: skip


def _cartoons() -> Item:
    name = "cartoon"
    return Item("cartoon_photos", "cartoons", "photos as cartoons, the network, batches and losses of version 2", 210,
                (f"model_{name}",), (f"{name}_paper",), settings={"model": name}, trained="cartoons")  # fmt: skip


def _enlarger(factor: int, loss: str) -> Item:
    name = f"photo_x{factor}_{loss}"
    title = f"super-resolution ×{factor}, {'ℓ_pixel' if loss == 'pixel' else 'ℓ_feat'}"
    return Item(
        f"enlarger_x{factor}_{loss}", "enlarger", title, 80, (f"model_{name}",), (f"{name}_paper",),
        settings={"factor": factor, "loss": loss}, trained="enlarger",
    )  # fmt: skip


def _scores(seed: int) -> Item:
    title = f"chapter 9's scores at 128 px, seed {seed}"
    return Item(
        f"scores_{seed}", "scores", title, 240, (f"09_scores_seed_{seed}",), needs=("datasets",),
        settings={"seed": seed},
    )  # fmt: skip


QUEUE: tuple[Item, ...] = (
    Item("gpu_tests", "gpu_tests", "the tests that need a GPU", 45, ("gpu_tests",)),
    _engine(512, 110),
    _engine(256, 45),
    _engine(1024, 150),
    Item("training_steps", "training_steps", "a training step of the painter and of pix2pix, beside the plain way", 60,
         ("06_training_step", "09_rate")),
    Item("cpu_beside_gpu", "cpu_beside_gpu", "100 iterations on the CPU and on the GPU (Peng et al., Table 1)", 35,
         ("05_cpu_beside_gpu",)),
    _chapter("06", "Johnson's Table 1 at 256, 512 and 1024 px", 15, "speed", suffix="_speed",
             told={"painters": "untrained"}),
    _chapter("03", "chapter 3 at 512 px", 30, "castle", "noise", "paintings", "noise_width"),
    _chapter("04", "chapter 4 at 512 px", 180,
             "grid", "style_layers", "content_layer", "strength", "prior", "five_thousand", "costs"),
    _chapter("04", "chapter 4 at 512 px: three starts", 30, "starts", suffix="_lpips", needs=("vgg16",)),
    _measure("ratio", 55), _measure("style_layers", 40), _measure("grid", 65), _measure("transfer_learning", 40),
    _measure("printed_costs", 20), _measure("unbounded", 35), _measure("long_run", 85),
    *(_measure(name, seconds, needs=("vgg16",))
      for name, seconds in (("content_layer", 70), ("starts", 70), ("strength", 45), ("prior", 45))),
    _measure("alpha", 20, what="fifteen pairs", needs=("adain",)),
    _measure("run_time", 20, what="nine cases", needs=("adain",)),
    _measure("any_speed", 30, what="one machine", needs=("adain",)),
    *(_painter(style) for style in STYLES),
    _several(),
    _decoder(),
    _translator("labels", 1.0),
    _translator("labels", 0.5),
    _translator("sketch", 1.0),
    _translator("sketch", 0.5),
    _unpaired(),
    _styles(),
    _domains(),
    _attention(),
    _cartoons(),
    *(_enlarger(factor, loss) for factor in (4, 8) for loss in ("pixel", "feature")),
    *(_scores(seed) for seed in range(3)),
    Item("scores", "scores", "chapter 9's scores at 128 px, the three seeds together", 20, ("09_scores",),
         needs=("datasets",), settings={"seeds": 3}),
    Item("sizes", "sizes", "time and memory by size, 128 to 2048 px", 60, ("05_sizes",)),
    _chapter("05", "chapter 5: preconditioners at 512 px", 25, "preconditioner"),
    _chapter("05", "chapter 5: the microscope", 25, "microscope", suffix="_microscope", needs=("matplotlib",)),
    _chapter("06", "one pass beside 300 iterations, and what it is worth", 60, "beside", "objective",
             told={"painters": "trained here"}),
    _chapter("02", "chapter 2: textures at 512 px, 2000 steps", 90, "style_reconstructions", "textures", "larger"),
    _chapter("08", "chapter 8: two players, long games", 180, "collapse", "equilibrium", "film"),
)  # fmt: skip


def find(name: str) -> Item:
    """The item of this name.

    Raises:
        KeyError: there is none.
    """
    return {item.name: item for item in QUEUE}[name]
