"""Diagrams of two players: from noise, from pairs, without pairs."""

import torch

from course_lib.methods import cyclegan, gan, pix2pix
from scripts.diagrams import profiles
from scripts.diagrams.layout import Arrow, Diagram
from scripts.diagrams.shapes import Node


def chapter_08() -> Diagram:
    config = gan.Config()
    G, D = gan.build(config), gan.build_discriminator(config)
    bars = profiles.of(G, torch.rand(2, config.noise_size))
    judged = profiles.of(D, torch.rand(2, 3, config.image_size, config.image_size))
    return Diagram(
        nodes={
            "z": Node("noise z", (f"{config.noise_size} numbers",), "given"),
            "G": Node("generator G", (profiles.parameters(G),), "trained", bars=bars, scale=1.1),
            "fake": Node("made G(z)", ("a batch",), shape="stack"),
            "real": Node("real x", ("a batch",), "given", "stack"),
            "D": Node("discriminator D", ("real or made?", profiles.parameters(D)), "trained", bars=judged, scale=1.1),
            "tell": Node("D’s loss", ("x: real", "G(z): made"), "loss", "loss"),
            "fool": Node("G’s loss", ("G(z): real",), "loss", "loss"),
        },
        arrows=(
            Arrow("z", "G"),
            Arrow("G", "fake", wide="r@0.35>l", narrow="b@0.35>t"),
            Arrow("fake", "G", kind="gradient", wide="l@0.7>r", narrow="t@0.7>b"),
            Arrow("fake", "D", wide="r@0.35>l", narrow="b@0.35>t"),
            Arrow("D", "fake", kind="gradient", wide="l>r@0.7", narrow="t>b@0.7"),
            Arrow("real", "D", wide="r>l", narrow="b>t"),
            Arrow("D", "fool", wide="r>l@0.35", narrow="b>t@0.35"),
            Arrow("fool", "D", kind="gradient", wide="l@0.7>r", narrow="t@0.65>b"),
            Arrow("D", "tell", wide="r>l@0.35", narrow="b>t@0.35"),
            Arrow("tell", "D", kind="gradient", wide="l@0.7>r", narrow="t@0.65>b"),
        ),
        wide="""
            z G fake D fool
            . . real D tell
        """,
        narrow="""
            z    G
            real fake
            D    D
            tell fool
        """,
        gap=(30, 34),
        caption=(
            "The game, in two moves. D’s move: with D’s loss, D learns to tell real pictures from made ones; the "
            "gradient stops at D. G’s move: with G’s loss, the gradient goes on through D, which stays as it is, "
            "into G."
        ),
        alt=(
            f"Noise z, {config.noise_size} numbers, enters the generator G, which makes a batch of pictures. The "
            "discriminator D gets made and real ones. D’s loss wants real called real and made called made. G’s loss "
            "wants made called real; its gradient goes through D and the made pictures into G."
        ),
    )


def chapter_09() -> Diagram:
    config = pix2pix.Config()
    G, D = pix2pix.build(config), pix2pix.build_discriminator(config)
    side = torch.rand(1, 3, config.image_size, config.image_size)
    bars, judged = profiles.of(G, side), profiles.of(D, side, side)
    last = len(bars) - 1
    return Diagram(
        nodes={
            "x": Node("labels x", picture="labels", kind="given"),
            "G": Node(
                "U-Net G",
                (profiles.parameters(G),),
                "trained",
                bars=bars,
                arcs=tuple((k, last - 1 - k) for k in range(last // 2)),
                scale=0.7,
            ),
            "fake": Node("made G(x)", picture="street_made"),
            "l1": Node("L1 loss", (f"× {config.l1_weight:g}",), "loss", "loss"),
            "y": Node("photo y", picture="street", kind="given"),
            "D": Node(
                "PatchGAN D",
                (profiles.parameters(D), f"judges pairs, each {D.patch} px patch"),
                "trained",
                bars=judged,
                scale=1.2,
            ),
            "fool": Node("G’s loss", ("G(x): real",), "loss", "loss"),
            "tell": Node("D’s loss", ("y: real", "G(x): made"), "loss", "loss"),
        },
        arrows=(
            Arrow("x", "G"),
            Arrow("G", "fake", wide="r@0.35>l", narrow="b@0.35>t"),
            Arrow("fake", "G", kind="gradient", wide="l@0.65>r", narrow="t@0.65>b"),
            Arrow("fake", "l1", wide="r@0.35>l", narrow="l@0.35>r"),
            Arrow("l1", "fake", kind="gradient", wide="l>r@0.65", narrow="r>l@0.65"),
            Arrow("y", "l1"),
            Arrow("x", "D", wide="b>l", narrow="l>l 10"),
            Arrow("fake", "D", wide="b@0.35>t", narrow="b@0.35>t"),
            Arrow("D", "fake", kind="gradient", wide="t>b@0.65", narrow="t>b@0.65"),
            Arrow("y", "D", wide="b>t", narrow="b>t"),
            Arrow("D", "fool", wide="b>t@0.4", narrow="b>t@0.4"),
            Arrow("fool", "D", kind="gradient", wide="t@0.6>b", narrow="t@0.6>b"),
            Arrow("D", "tell", wide="b>t@0.4", narrow="b>t@0.4"),
            Arrow("tell", "D", kind="gradient", wide="t@0.6>b", narrow="t@0.6>b"),
        ),
        wide="""
            x G fake l1 y
            . . D    D  D
            . . fool .  tell
        """,
        narrow="""
            x    G  G
            y    l1 fake
            D    D  D
            tell .  fool
        """,
        gap=(22, 34),
        caption=(
            f"Two networks, two losses. The U-Net translates the labels; the L1 loss (times {config.l1_weight:g}) "
            "keeps its picture near the photo. PatchGAN sees the labels together with either picture and learns to "
            "tell which is which, and the U-Net learns to make it err. Lines over the U-Net are its skip connections."
        ),
        alt=(
            f"Labels x enter a U-Net G with {profiles.parameters(G)}; skip connections join its layers of equal size. "
            "It returns a picture G(x), which the L1 loss compares with the photo y. A PatchGAN D with "
            f"{profiles.parameters(D)} gets x with y, or x with G(x), and judges each patch of {D.patch} pixels. D’s "
            "loss wants y called real and G(x) made; G’s loss wants G(x) called real, and its gradient goes through "
            "D into G. Both networks are trained."
        ),
    )


def chapter_15() -> Diagram:
    config = cyclegan.Config()
    G, D = cyclegan.build(config), cyclegan.build_discriminators(config)
    picture = torch.rand(1, 3, 64, 64)
    bars, judged = profiles.of(G["AB"], picture), profiles.of(D["B"], picture)
    half = bars[:3] + bars[3:-3:3] + bars[-3:]  # every third residual convolution, so that two networks fit
    size = profiles.parameters(G["AB"])
    lines = tuple(size.rsplit(" ", 1))
    return Diagram(
        nodes={
            "cycle": Node("cycle loss", (f"L1, × {config.cycle_weight:g}",), "loss", "loss"),
            "A": Node("day, of A", picture="day", kind="given"),
            "AB": Node("G<AB>", lines, "trained", bars=half, scale=0.75),
            "fake": Node("made dusk", picture="dusk_made"),
            "BA": Node("G<BA>", lines, "trained", bars=half, scale=0.75),
            "again": Node("day again", picture="day_again"),
            "B": Node("dusk, of B", picture="dusk", kind="given"),
            "D": Node("D<B>", (f"{D['B'].patch} px patches",), "trained", bars=judged, scale=0.8),
            "gan": Node("GAN losses", ("real or made?",), "loss", "loss"),
        },
        arrows=(
            Arrow("A", "AB"),
            Arrow("AB", "fake", wide="r@0.35>l", narrow="b@0.7>l@0.35"),
            Arrow("fake", "BA", wide="r@0.35>l", narrow="r@0.35>b@0.3"),
            Arrow("BA", "again", wide="r@0.35>l", narrow="t@0.35>b"),
            Arrow("again", "BA", kind="gradient", wide="l@0.65>r", narrow="b@0.65>t"),
            Arrow("BA", "fake", kind="gradient", wide="l>r@0.65", narrow="b@0.7>r@0.7"),
            Arrow("fake", "AB", kind="gradient", wide="l@0.65>r", narrow="l@0.7>b@0.3"),
            Arrow("A", "cycle", wide="t>l", narrow="r>l"),
            Arrow("again", "cycle", wide="t@0.65>r@0.35", narrow="l>r@0.35"),
            Arrow("cycle", "again", kind="gradient", wide="r@0.7>t@0.35", narrow="r@0.75>l"),
            Arrow("B", "D", wide="r>l", narrow="r>l"),
            Arrow("fake", "D", wide="b@0.35>t", narrow="b@0.35>t"),
            Arrow("D", "fake", kind="gradient", wide="t>b@0.65", narrow="t>b@0.65"),
            Arrow("D", "gan", wide="r@0.35>l", narrow="b@0.4>t"),
            Arrow("gan", "D", kind="gradient", wide="l@0.7>r", narrow="t@0.6>b"),
        ),
        wide="""
            .  cycle cycle cycle .
            A  AB    fake  BA    again
            .  B     D     gan   .
        """,
        narrow="""
            A   cycle again
            AB  .     BA
            .   fake  .
            B   D     D
            .   gan   gan
        """,
        gap=(22, 26),
        gap_narrow=(12, 26),
        caption=(
            "Half of the training: from A to B and back. The made dusk must pass for real, and the way back must "
            "lead to the picture it came from, so that the generator cannot paint just any street. The other half is "
            "the same with A and B exchanged, with the same two generators and a second discriminator."
        ),
        alt=(
            f"A picture of A, a street by day, enters the generator G AB, with {size}. It returns a made dusk, which "
            "enters a second generator, G BA, and a day comes back. The cycle loss compares it with the first "
            "picture. A discriminator D B compares the made dusk with a real one, of another street. Gradients of "
            "both losses go back through the pictures into both generators."
        ),
    )


DIAGRAMS = {"08_two_players": chapter_08, "09_pix2pix": chapter_09, "15_without_pairs": chapter_15}
