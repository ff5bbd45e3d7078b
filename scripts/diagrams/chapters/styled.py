"""Diagrams of generators that are told more than a picture: a style, a label, where to look."""

from collections import Counter
from dataclasses import replace

import torch

from course_lib.methods import stargan, stylegan, ugatit
from course_lib.networks.stylegan import StyleGenerator
from course_lib.networks.stylegan import channels as stylegan_channels
from scripts.diagrams import profiles
from scripts.diagrams.layout import Arrow, Diagram
from scripts.diagrams.shapes import Node


def chapter_17() -> Diagram:
    config = stylegan.Config()
    with torch.device("meta"):
        G = StyleGenerator(config.image_size, width=config.width, most=config.most)
    maps, convs = stylegan_channels(config.image_size, config.width, config.most), Counter(G.sides)

    def block(side: int) -> Node:
        count = convs[side]
        notes = (f"{maps[side]} channels", f"{count} convolution{'s' * (count > 1)}")
        return Node(f"{side} × {side}", notes, "trained")

    return Diagram(
        nodes={
            "z": Node("noise z", (f"{config.z_size} numbers",), "given"),
            "mapping": Node(
                "mapping network",
                (f"{config.num_mapping} fully connected layers",),
                "trained",
                narrow=(f"{config.num_mapping} layers",),
            ),
            "w": Node(
                "style w",
                (f"{config.w_size} numbers; scales the channels of every convolution",),
                narrow=(f"{config.w_size} numbers;", "scales the", "channels of", "every", "convolution"),
            ),
            "constant": Node("constant", ("4 × 4,", f"{maps[4]} channels"), "trained", "stack"),
            "b4": block(4),
            "b8": block(8),
            "more": Node("…", shape="words"),
            "last": block(config.image_size),
            "picture": Node("picture", picture="generated"),
            "noise": Node(
                "noise",
                ("one number for each pixel, after every convolution",),
                "given",
                narrow=("for each", "pixel"),
            ),
        },
        arrows=(
            Arrow("z", "mapping", wide="r>l", narrow="r>l"),
            Arrow("mapping", "w", wide="b>t", narrow="b>t"),
            Arrow("w", "b4", wide="b>t", narrow="r>l"),
            Arrow("w", "b8", wide="b>t", narrow="r>l"),
            Arrow("w", "last", wide="b>t", narrow="r>l"),
            Arrow("constant", "b4", wide="r>l", narrow="b>t"),
            Arrow("b4", "b8", wide="r>l", narrow="b>t"),
            Arrow("b8", "more", wide="r>l", narrow="b>t"),
            Arrow("more", "last", wide="r>l", narrow="b>t"),
            Arrow("last", "picture", wide="r>l", narrow="b>t"),
            Arrow("noise", "b4", wide="t>b", narrow="l>r"),
            Arrow("noise", "b8", wide="t>b", narrow="l>r"),
            Arrow("noise", "last", wide="t>b", narrow="l>r"),
        ),
        wide="""
            z        mapping mapping mapping mapping .
            .        w       w       w       w       .
            constant b4      b8      more    last    picture
            .        noise   noise   noise   noise   .
        """,
        narrow="""
            z mapping mapping
            w constant .
            w b4 noise
            w b8 noise
            w more noise
            w last noise
            . picture .
        """,
        gap=(22, 24),
        gap_narrow=(18, 24),
        caption=(
            "Nothing random enters at the bottom: the maps start from a learned constant. The style w reaches every "
            "convolution, coarse sizes and fine ones, and decides how strong each channel is. Not drawn: after each "
            f"size, a layer adds to the picture, which is enlarged from size to size up to {config.image_size} px."
        ),
        alt=(
            f"Noise z, {config.z_size} numbers, passes a mapping network of {config.num_mapping} layers and becomes "
            "the style w. A learned constant of 4 by 4 positions passes blocks of convolutions, each at twice the "
            f"size of the one before, up to {config.image_size} by {config.image_size}, and becomes a picture of a "
            "street. The style w enters every block, and so does noise, one number for each pixel."
        ),
    )


def chapter_18() -> Diagram:
    config = stargan.Config()
    G, D = stargan.build(config), stargan.build_discriminator(config)
    side = torch.rand(1, 3, config.image_size, config.image_size)
    bars = profiles.of(G, side, torch.eye(config.num_domains)[:1])
    short, size = bars[:3] + bars[3:-3:4] + bars[-3:], profiles.parameters(G)
    return Diagram(
        nodes={
            "rec": Node("L1 loss", ("the way back", f"× {config.rec_weight:g}"), "loss", "loss"),
            "x": Node("clear", picture="day", kind="given"),
            "to": Node("label", ("“snow”",), "given"),
            "G": Node("G", tuple(size.rsplit(" ", 1)), "trained", bars=short, scale=0.75),
            "fake": Node("made snow", picture="snow_made"),
            "back": Node("old label", ("“clear”",), "given"),
            "G2": Node("G again", ("same weights",), "trained", bars=short, scale=0.75),
            "again": Node("clear again", picture="clear_again"),
            "real": Node("real rain", picture="rain", kind="given"),
            "D": Node("D", ("two outputs", profiles.parameters(D)), "trained", bars=profiles.of(D, side)),
            "gan": Node("GAN loss", ("real?",), "loss", "loss"),
            "class": Node("class loss", ("weather?",), "loss", "loss"),
        },
        arrows=(
            Arrow("x", "G", wide="r>l", narrow="b>t"),
            Arrow("to", "G", wide="t>b", narrow="l>r"),
            Arrow("G", "fake", wide="r@0.35>l", narrow="b@0.7>l@0.35"),
            Arrow("fake", "G", kind="gradient", wide="l@0.65>r", narrow="l@0.7>b@0.3"),
            Arrow("fake", "G2", wide="r@0.35>l", narrow="r@0.35>b@0.3"),
            Arrow("G2", "fake", kind="gradient", wide="l>r@0.65", narrow="b@0.7>r@0.7"),
            Arrow("back", "G2", wide="t>b", narrow="r>l"),
            Arrow("G2", "again", wide="r@0.35>l", narrow="t@0.35>b"),
            Arrow("again", "G2", kind="gradient", wide="l@0.65>r", narrow="b@0.65>t"),
            Arrow("x", "rec", wide="t>l", narrow="r>l"),
            Arrow("again", "rec", wide="t@0.65>r@0.35", narrow="l>r@0.35"),
            Arrow("rec", "again", kind="gradient", wide="r@0.7>t@0.35", narrow="r@0.75>l"),
            Arrow("fake", "D", wide="b@0.35>t", narrow="b@0.35>t"),
            Arrow("D", "fake", kind="gradient", wide="t>b@0.65", narrow="t>b@0.65"),
            Arrow("real", "D", wide="r>l", narrow="r>l"),
            Arrow("D", "gan", wide="r>l@0.35", narrow="b>t@0.35"),
            Arrow("gan", "D", kind="gradient", wide="l@0.7>r", narrow="t@0.65>b"),
            Arrow("D", "class", wide="r>l@0.35", narrow="b>t@0.35"),
            Arrow("class", "D", kind="gradient", wide="l@0.7>r", narrow="t@0.65>b"),
        ),
        wide="""
            .    rec rec  rec  .
            x    G   fake G2   again
            .    to  .    back .
            real D   D    D    gan
            real D   D    D    class
        """,
        narrow="""
            x    rec  again
            G    to   G2
            G    back G2
            .    fake .
            real D    D
            .    gan  class
        """,
        gap=(26, 24),
        gap_narrow=(16, 26),
        caption=(
            "One generator for every weather. It gets the picture and a label; the way back uses the same generator "
            "and the old label. The discriminator answers two questions. Of a real picture, it learns the domain "
            "from the picture’s own label; a made one must be classified as what was asked for."
        ),
        alt=(
            f"A clear street and the label “snow” enter the generator G, with {size}. The made snow and the old label "
            "“clear” enter the same generator again, and the reconstruction loss compares what comes back with the "
            "first picture. The discriminator D gets the made picture and real ones and has two outputs: real or "
            "made, and which weather. Gradients of all losses go back into G; D is trained on both of its losses."
        ),
    )


def chapter_19() -> Diagram:
    config = ugatit.Config()
    small = ugatit.build(replace(config, light=True))["AB"]
    bars = profiles.of(small, torch.rand(1, 3, 64, 64))
    merged = config.halvings + 1 + 2 * config.num_blocks  # the attention's 1 × 1 convolution has no hook
    return Diagram(
        nodes={
            "x": Node("plaster", picture="plaster", kind="given"),
            "encoder": Node("encoder", (f"{config.num_blocks} blocks",), "trained", bars=bars[:merged], scale=0.8),
            "attention": Node("attention", ("maps × weights", "of a classifier"), "trained"),
            "decoder": Node(
                "decoder", (f"{config.num_blocks} AdaLIN blocks",), "trained", bars=bars[merged:], scale=0.8
            ),
            "fake": Node("made brick", picture="brick_made"),
            "heat": Node("heat map", picture="attention"),
            "cam": Node("CAM loss", ("which pile?", f"× {config.cam_weight:g}"), "loss", "loss"),
            "style": Node("γ, β", ("fully connected",), "trained"),
            "D": Node("2 discriminators", (f"{config.local_patch} px, {config.global_patch} px",), "trained"),
            "gan": Node("GAN losses", ("real or made?",), "loss", "loss"),
            "others": Node("L1 losses", ("cycle, identity", f"× {config.cycle_weight:g}"), "loss", "loss"),
        },
        arrows=(
            Arrow("x", "encoder", wide="r>l", narrow="b>t"),
            Arrow("encoder", "attention", wide="r@0.35>l", narrow="b@0.4>t"),
            Arrow("attention", "encoder", kind="gradient", wide="l>r@0.65", narrow="t>b@0.6"),
            Arrow("attention", "decoder", wide="r>l@0.35", narrow="b@0.4>t"),
            Arrow("decoder", "attention", kind="gradient", wide="l@0.65>r", narrow="t>b@0.6"),
            Arrow("decoder", "fake", wide="r@0.35>l", narrow="b@0.4>t"),
            Arrow("fake", "decoder", kind="gradient", wide="l@0.65>r", narrow="t@0.65>b"),
            Arrow("attention", "heat", wide="t>b", narrow="r>l"),
            Arrow("attention", "cam", wide="b@0.3>r@0.35", narrow="l@0.35>r"),
            Arrow("cam", "attention", kind="gradient", wide="r@0.7>b@0.45", narrow="r>l@0.7"),
            Arrow("attention", "style", wide="b@0.8>l", narrow="b@0.15>t 0.5"),
            Arrow("style", "decoder", wide="t>b", narrow="r>l"),
            Arrow("fake", "D", wide="b@0.35>t", narrow="b@0.35>t"),
            Arrow("D", "fake", kind="gradient", wide="t>b@0.65", narrow="t>b@0.65"),
            Arrow("D", "gan", wide="b@0.4>t", narrow="l>r@0.35"),
            Arrow("gan", "D", kind="gradient", wide="t@0.6>b", narrow="r@0.7>l"),
            Arrow("fake", "others", wide="t@0.35>b", narrow="l>r@0.35"),
            Arrow("others", "fake", kind="gradient", wide="b>t@0.65", narrow="r@0.65>l"),
        ),
        wide="""
            . .       heat      .       others
            x encoder attention decoder fake
            . cam     .         style   D
            . .       .         .       gan
        """,
        narrow="""
            .      x         .
            .      encoder   .
            cam    attention heat
            style  decoder   .
            others fake      .
            gan    D         D
        """,
        gap=(22, 30),
        gap_narrow=(12, 26),
        caption=(
            "The generator of one direction, and its losses. A classifier inside it learns which pile a picture "
            "comes from; its weights multiply the feature maps, and their sum can be looked at. From the same maps "
            "come γ and β, which scale and shift the normalized maps of the decoder. The discriminators have such a "
            "classifier too."
        ),
        alt=(
            "A plastered street enters the encoder. An attention module multiplies the feature maps by the weights "
            f"of a classifier, trained by the CAM loss with weight {config.cam_weight:g}; their sum is a heat map. "
            f"Fully connected layers turn the maps into γ and β for the {config.num_blocks} AdaLIN blocks of the "
            f"decoder, which returns the street with bricks. Two discriminators, for patches of {config.local_patch} "
            f"and {config.global_patch} pixels, and the cycle and identity losses judge it. Gradients of all losses "
            "go back through the decoder and the attention into the encoder."
        ),
    )


DIAGRAMS = {
    "17_style_in_the_generator": chapter_17,
    "18_one_generator_every_domain": chapter_18,
    "19_where_to_look": chapter_19,
}
