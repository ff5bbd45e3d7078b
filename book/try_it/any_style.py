"""The parts of the panel that takes any painting: AdaIN's two networks, and paintings.

The decoder is Huang and Belongie's, trained on photographs and paintings of others. The page has it where it is built
on a machine that has these networks; `make release`, which makes the copy to publish, leaves it out. The variable
`SWITCH` decides: `make release ANY_STYLE=on`, `make html ANY_STYLE=off`. A decoder of our own would take its place in
`DECODER`, and then it would always be there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DECODER: str | None = None  # a model in data/models; None: the published decoder
SWITCH = "ANY_STYLE"
NETWORKS = ("vgg19_normalized", "adain_decoder")  # in the catalog of `course_lib.pretrained`

PAINTINGS = {
    "great_wave": "The Great Wave", "composition_viii": "Composition VIII", "night_cafe": "The Night Café",
    "poppies": "Poppies", "langlois_bridge": "Langlois Bridge", "librarian": "The Librarian",
}  # fmt: skip
SIDE = 512  # pixels of a painting's long side, at most: the size that the authors' code uses
# Computed by the stored run, shown where the networks are not: a photograph and one or two paintings.
STILLS = {
    "castle_wave": ("eilean_donan", "great_wave"),
    "cat_cafe": ("cat", "night_cafe"),
    "macaw_mix": ("scarlet_macaw", "great_wave", "composition_viii"),
}


def left_out() -> str:
    """Why this copy of the page has no such networks, one sentence; empty where it has them."""
    from course_lib.pretrained import weights

    if DECODER is not None:
        return ""
    if os.environ.get(SWITCH, "on").strip().lower() in ("off", "0", "no"):
        return (
            "A published copy of this page does without these networks, because they were trained on other people’s "
            "photographs; a copy that you build yourself can have them."
        )
    if all(weights.at_hand(name) for name in NETWORKS):
        return ""
    return (
        "The two networks were not on the machine that built this page; python -m course_lib fetch adain_decoder "
        "fetches them."
    )


def model() -> Any:
    """The decoder with its configuration, an `adain.Model`."""
    from course_lib.methods import adain

    return adain.published() if DECODER is None else adain.load(DECODER)


def networks() -> dict[str, Any]:
    """Encoder and decoder as modules, by the name that the page knows them by."""
    from course_lib.pretrained.vgg import VGGFeatures

    decoder = model().network
    # without the transformed filters that it keeps otherwise: those of filters rounded later would be others
    encoder = VGGFeatures("vgg19", [decoder.layer], pooling="max", padding="reflect", winograd=False)
    return {"any_encoder": encoder, "any_decoder": decoder}


def sources() -> list[Path]:
    """Files that the networks are made from; the catalog's never change."""
    return [] if DECODER is None else [ROOT / "data" / "models" / f"{DECODER}.safetensors"]


def credit() -> str:
    """Who trained the decoder, on what."""
    if DECODER is None:
        return "trained by Huang and Belongie on photographs and paintings of others (MIT)"
    return "ours, trained on open photographs and paintings (CC BY 4.0)"


def write(folder: Path) -> dict[str, Any]:
    """The networks as ONNX, and the paintings; returns what the page has to know."""
    from book.try_it import onnx_style
    from course_lib import sample_image, save_image

    about = {"encoder": "VGG-19, Simonyan and Zisserman (CC BY 4.0)", "decoder": credit()}
    models = {
        name: (folder / "models" / f"{name}.onnx").write_bytes(
            onnx_style.export(network, about={"name": name, **about})
        )
        for name, network in networks().items()
    }
    for name in PAINTINGS:
        save_image(sample_image(name, SIDE), folder / "pictures" / f"style_{name}.webp", quality=90)
    return {"models": models}
