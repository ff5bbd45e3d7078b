"""Diagrams of the networks that play against a discriminator."""

import torch

from course_lib.methods import pix2pix
from scripts.diagrams import profiles
from scripts.diagrams.layout import Arrow, Diagram
from scripts.diagrams.shapes import Node


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
                (profiles.parameters(D), f"one judgment for each {D.patch} px patch"),
                "trained",
                bars=judged,
                scale=0.7,
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
            "loss wants y called real and G(x) made; G’s loss wants G(x) called real, and its gradient goes through D "
            "into G. Both networks are trained."
        ),
    )


DIAGRAMS = {"09_pix2pix": chapter_09}
