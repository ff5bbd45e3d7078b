"""Diagrams of chapters that bring others together."""

from functools import partial

from course_lib.methods import johnson, pix2pix
from scripts.diagrams import profiles
from scripts.diagrams.layout import Arrow, Diagram
from scripts.diagrams.notebooks import section
from scripts.diagrams.shapes import Node


def chapter_10() -> Diagram:
    translator, painter = pix2pix.load("facade_sketch"), johnson.load("great_wave")
    pictures = ("sketch", "sketch_photo", "sketch_painted")
    return Diagram(
        nodes={
            "sketch": Node("sketch", picture=pictures[0], kind="given"),
            "G": Node("translator G", (profiles.parameters(translator.network),), "frozen"),
            "photo": Node("photo", picture=pictures[1]),
            "P": Node("painter P", (profiles.parameters(painter.network),), "frozen"),
            "painting": Node("painting", picture=pictures[2]),
            "pairs": Node("chapters 8, 9", ("two players,", "learned from pairs")),
            "features": Node("chapters 1 to 6", ("features, statistics,", "learned from one painting")),
        },
        arrows=(
            Arrow("sketch", "G", wide="r>l", narrow="b>t"),
            Arrow("G", "photo", wide="r>l", narrow="b>t"),
            Arrow("photo", "P", wide="r>l", narrow="b>t"),
            Arrow("P", "painting", wide="r>l", narrow="b>t"),
            Arrow("pairs", "G", wide="t>b", narrow="l>r"),
            Arrow("features", "P", wide="t>b", narrow="l>r"),
        ),
        wide="""
            sketch G photo P painting
            . pairs . features .
        """,
        narrow="""
            sketch   .
            G        pairs
            photo    .
            P        features
            painting .
        """,
        gap=(20, 30),
        gap_narrow=(14, 28),
        caption=(
            "Two networks in a row, and what each of them rests on. Neither was trained with the other one, and "
            "nothing is trained in this chapter: all that they share is what a picture is, values from 0 to 1."
        ),
        alt=(
            f"A sketch enters the translator G, with {profiles.parameters(translator.network)}, which returns a "
            f"photo. The painter P, with {profiles.parameters(painter.network)}, turns the photo into a painting. G "
            "was learned from pairs, in the manner of chapters 8 and 9; P from one painting, with what chapters 1 to "
            "6 explain."
        ),
    )


def chapter_11() -> Diagram:
    at = partial(section, "11_when_it_goes_wrong")
    return Diagram(
        nodes={
            "x": Node("picture x", picture="painted", kind="optimized"),
            "vgg": Node("network", (f"{at('Colors inverted')} negative",), "frozen"),
            "losses": Node(
                "losses and their weights",
                (
                    f"{at('Style without')} style without content",
                    f"{at('The photograph')} the photo, as it was",
                    f"{at('Grain')} grain",
                ),
                "loss",
                "loss",
            ),
            "optimizer": Node(
                "optimizer", (f"{at('A black image, and the')} black: NaN", f"{at('Confetti')} confetti")
            ),
            "file": Node(
                "saving",
                (
                    f"{at('A black image, and every')} black, no NaN",
                    f"{at('Specks')} specks",
                    f"{at('Washed')} pale, or burnt",
                    f"{at('Blue')} blue faces",
                ),
            ),
            "trained": Node(
                "networks that learn",
                (
                    f"{at('Gray mush')} gray mush",
                    f"{at('The checkerboard')} checkerboard",
                    f"{at('Seams')} seams",
                    f"{at('Mode')} all results alike",
                ),
                "trained",
            ),
        },
        arrows=(
            Arrow("x", "vgg", wide="r>l", narrow="b>t"),
            Arrow("vgg", "losses", wide="r>l", narrow="b>t"),
            Arrow("losses", "optimizer", kind="gradient", wide="b>r", narrow="b>t"),
            Arrow("optimizer", "x", wide="t>b", narrow="r>r 12"),
            Arrow("x", "file", wide="l>r", narrow="l>r"),
            Arrow("trained", "file", wide="t>b", narrow="t>b"),
        ),
        wide="""
            file    x         vgg       losses
            trained optimizer optimizer .
        """,
        narrow="""
            file      x
            trained   vgg
            losses    losses
            optimizer optimizer
        """,
        gap=(28, 34),
        gap_narrow=(20, 28),
        caption=(
            "Where the failures of this chapter come from. Four sections are about the way from a good tensor to a "
            "file; the loop around a picture has its own, and so have networks that were trained."
        ),
        alt=(
            "The loop of chapter 3, with the failures at the part that causes them, each with its section. At the "
            "network: a negative. At the losses: style without content, the photograph as it was, grain. At the "
            "optimizer: black with NaN, confetti. On saving: black without NaN, specks, pale or burnt pictures, blue "
            "faces. From trained networks: gray mush, a checkerboard, seams, results that are all alike."
        ),
    )


DIAGRAMS = {"10_sketch_to_painting": chapter_10, "11_when_it_goes_wrong": chapter_11}
