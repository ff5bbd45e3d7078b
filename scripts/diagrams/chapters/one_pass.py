"""Diagrams of the networks that paint or enlarge in one pass."""

import torch

from course_lib.methods import johnson
from scripts.diagrams import profiles
from scripts.diagrams.layout import Arrow, Diagram
from scripts.diagrams.shapes import Node


def chapter_06() -> Diagram:
    config = johnson.Config()
    network, arch = johnson.build(config), f"VGG-{config.arch.removeprefix('vgg')}"
    styles, read = config.style_layers, (*config.content_layers, *config.style_layers)
    return Diagram(
        nodes={
            "photo": Node("photo x", picture="photo", kind="given"),
            "net": Node(
                "network f<W>",
                (profiles.parameters(network),),
                "trained",
                bars=profiles.of(network, torch.rand(1, 3, 64, 64)),
            ),
            "painted": Node("result f<W>(x)", picture="painted"),
            "painting": Node("style y<s>", picture="painting", kind="given"),
            "vgg": Node(
                arch,
                (),
                "frozen",
                scale=1.6,
                bars=profiles.of_vgg(config.arch, read),
                lit=profiles.read_at(config.arch, read),
            ),
            "content": Node("feature loss", (f"{config.content_layers[0]}", "of x and f<W>(x)"), "loss", "loss"),
            "style": Node("style loss", (f"{len(styles)} Gram", "matrices"), "loss", "loss"),
            "tv": Node("TV loss", ("smoothness",), "loss", "loss"),
        },
        arrows=(
            Arrow("photo", "net"),
            Arrow("net", "painted", wide="r@0.35>l", narrow="b@0.35>t"),
            Arrow("painted", "net", kind="gradient", wide="l@0.65>r", narrow="t@0.65>b"),
            Arrow("painted", "tv", wide="r@0.35>l", narrow="r@0.35>l"),
            Arrow("tv", "painted", kind="gradient", wide="l>r@0.65", narrow="l>r@0.65"),
            Arrow("painted", "vgg", wide="b@0.35>t", narrow="b@0.35>t"),
            Arrow("vgg", "painted", kind="gradient", wide="t>b@0.65", narrow="t>b@0.65"),
            Arrow("photo", "vgg", wide="b>l@0.25", narrow="l>l@0.25 12"),
            Arrow("painting", "vgg", wide="r>l", narrow="b>t"),
            Arrow("vgg", "content", wide="r>l@0.4", narrow="b>t"),
            Arrow("content", "vgg", kind="gradient", wide="l@0.7>r", narrow="t@0.65>b"),
            Arrow("vgg", "style", wide="r>l@0.4", narrow="b>t"),
            Arrow("style", "vgg", kind="gradient", wide="l@0.7>r", narrow="t@0.65>b"),
        ),
        wide="""
            photo    net painted tv
            .        vgg vgg     content
            painting vgg vgg     style
        """,
        narrow="""
            photo    net     net
            painting painted tv
            vgg      vgg     vgg
            content  content style
        """,
        gap_narrow=(12, 30),
        caption=(
            f"Training a painter. The weights W of the network are optimized, once for each painting, over "
            f"{config.num_steps:,} steps with {config.batch_size} photos each; {arch} only measures. A new photo then "
            "takes the upper row alone, from left to right: one pass, and no loss."
        ),
        alt=(
            f"A photo enters a network with {profiles.parameters(network)}, which returns a painted picture. Three "
            "losses judge that picture: total variation, directly; the feature loss, against the photo, and the style "
            f"loss, against the painting, through the frozen {arch}. The gradient of all three goes back through the "
            "painted picture into the weights of the network, the only thing that is trained."
        ),
    )


DIAGRAMS = {"06_fast_style": chapter_06}
