"""Diagrams of what a network computes from pictures: features, statistics, distances, and what that costs."""

from itertools import pairwise

from course_lib.methods import gatys
from course_lib.pretrained import vgg
from scripts.diagrams import profiles
from scripts.diagrams.layout import Arrow, Diagram
from scripts.diagrams.notebooks import section
from scripts.diagrams.shapes import Node

SIDE = 256  # px, of the photograph in the diagrams
BLOCKS = (1, 2, 3, 4, 5)


def chapter_01() -> Diagram:
    fields, sizes = profiles.receptive_fields("vgg19"), profiles.of_vgg("vgg19", ("relu5_4",), SIDE)
    names = [name for name in vgg.layer_names("vgg19") if name.startswith("conv")]

    def block(number: int) -> Node:
        own = [k for k, name in enumerate(names) if int(name[4]) == number]
        channels, side = sizes[own[0]]
        notes = (f"{len(own)} convolutions", f"{channels} channels", f"{side} × {side}", f"field {fields[own[-1]]} px")
        return Node(f"block {number}", notes, "frozen", picture=f"map_{number}")

    order = ("photo", *(f"b{number}" for number in BLOCKS))
    return Diagram(
        nodes={
            "photo": Node("photo", ("3 colors", f"{SIDE} × {SIDE}"), "given", picture="macaw"),
            **{f"b{number}": block(number) for number in BLOCKS},
        },
        arrows=tuple(Arrow(a, b) for a, b in pairwise(order)),
        wide="photo b1 b2 b3 b4 b5",
        narrow="""
            photo b1
            b3    b2
            b4    b5
        """,
        gap=(12, 20),
        gap_narrow=(34, 26),
        caption=(
            f"VGG-19, block by block, for a photo of {SIDE} px. Each pooling halves the sides; the channels double up "
            "to block 4. The field is what one position at the end of a block depends on. The pictures: one channel "
            "of the first layer of each block."
        ),
        alt=(
            f"A photo of {SIDE} by {SIDE} pixels passes five blocks of convolutions. The sides of the feature maps "
            f"fall from {sizes[0][1]} to {sizes[-1][1]} positions, the channels rise from {sizes[0][0]} to "
            f"{sizes[-1][0]}, and the receptive field grows from {fields[1]} to {fields[-1]} pixels. One map of each "
            "block is shown: fine edges first, a few bright squares last."
        ),
    )


def chapter_02() -> Diagram:
    layer = "relu2_1"
    channels, side = profiles.of_vgg("vgg19", (layer,), SIDE)[-1]
    return Diagram(
        nodes={
            "painting": Node("painting", picture="painting", kind="given"),
            "vgg": Node("VGG-19", (f"to {layer}",), "frozen", bars=profiles.of_vgg("vgg19", (layer,)), scale=1.2),
            "maps": Node("feature maps", (f"{channels} maps of", f"{side} × {side}"), picture="maps"),
            "F": Node("F", ("each map as a row:", f"{channels} rows,", f"{side**2:,} columns")),
            "G": Node("G = F Fᵀ", (f"{channels} × {channels}",), picture="gram"),
        },
        arrows=(
            Arrow("painting", "vgg", wide="r>l", narrow="r>l"),
            Arrow("vgg", "maps", wide="r>l", narrow="b>t"),
            Arrow("maps", "F", wide="r>l", narrow="l>r"),
            Arrow("F", "G", wide="r>l", narrow="b>t"),
        ),
        wide="painting vgg maps F G",
        narrow="""
            painting vgg
            F        maps
            G        .
        """,
        gap=(26, 20),
        gap_narrow=(34, 28),
        caption=(
            f"From a painting to its Gram matrix at {layer}. F remembers where a feature is: its columns are "
            "positions. G has no positions any more. Its entry in row i and column j adds up how strongly maps i and "
            "j are active together (bright: strongly)."
        ),
        alt=(
            f"A painting passes VGG-19 up to {layer}, which gives {channels} feature maps of {side} by {side} "
            f"positions. Each map is written as a row of a matrix F with {side**2:,} columns. F times its transpose "
            f"is the Gram matrix G, with {channels} rows and columns: the positions are summed away."
        ),
    )


def chapter_05() -> Diagram:
    config, height, width = gatys.Config(), 384, 512
    forward = profiles.operations(config.arch, config.style_layers, height, width)
    grams = profiles.gram_operations(config.arch, config.style_layers, height, width)
    steps = 8 * config.history_size * 3 * height * width  # two loops, each with a product and a sum of vectors a pair
    bars = profiles.of_vgg(config.arch, config.style_layers)
    return Diagram(
        nodes={
            "x": Node("picture x", ("the pixels",), "optimized", picture="painted"),
            "forward": Node(
                "forward",
                (
                    "VGG-19",
                    f"{forward / 1e9:.0f} billion",
                ),
                "frozen",
                bars=bars,
            ),
            "features": Node("features F", (f"of {len(config.style_layers) + 1} layers",), shape="stack"),
            "losses": Node("losses", ("Gram matrices G", f"{grams / 1e9:.0f} billion"), "loss", "loss"),
            "slopes": Node("slopes", ("F − P", "and (G − A) F"), shape="stack"),
            "backward": Node(
                "backward",
                (
                    "VGG-19",
                    f"{forward / 1e9:.0f} billion",
                ),
                "frozen",
                bars=bars[::-1],
            ),
            "lbfgs": Node("L-BFGS", (f"{config.history_size} earlier steps", f"{steps / 1e9:.1f} billion")),
        },
        arrows=(
            Arrow("x", "forward", wide="r>l", narrow="b>t"),
            Arrow("forward", "features", wide="r>l", narrow="b>t"),
            Arrow("features", "losses", wide="r>l", narrow="b>t"),
            Arrow("losses", "slopes", kind="gradient", wide="l>r", narrow="t>b"),
            Arrow("slopes", "backward", kind="gradient", wide="l>r", narrow="t>b"),
            Arrow("backward", "lbfgs", kind="gradient", wide="l>r", narrow="t>b"),
            Arrow("lbfgs", "x", wide="t>b", narrow="l>r"),
        ),
        wide="""
            x     forward  features losses
            lbfgs backward slopes   losses
        """,
        narrow="""
            x        lbfgs
            forward  backward
            features slopes
            losses   losses
        """,
        gap=(34, 30),
        gap_narrow=(28, 28),
        caption=(
            f"One step, for a picture of {width} × {height} px, and how many multiplications and additions each part "
            "takes. Nearly all of them are the convolutions, forward and backward; the slopes cost as much as the "
            "Gram matrices once more. This chapter makes the two gray boxes cheaper, and then takes fewer steps."
        ),
        alt=(
            f"A loop. The picture x passes VGG-19 forward, {forward / 1e9:.0f} billion operations. From the features "
            f"of {len(config.style_layers) + 1} layers come the losses, with Gram matrices, {grams / 1e9:.0f} "
            "billion. Their slopes, F minus P and G minus A times F, pass VGG-19 backward, as many operations as "
            f"forward. With the gradient, L-BFGS computes new pixels from {config.history_size} earlier steps, "
            f"{steps / 1e9:.1f} billion operations."
        ),
    )


def chapter_16() -> Diagram:
    layer = "relu5_3"
    bars = profiles.of_vgg("vgg16", (layer,))
    channels = bars[-1][0]
    return Diagram(
        nodes={
            "a": Node("real set", ("many pictures",), "given", picture="street"),
            "b": Node("made set", ("as many",), picture="street_made"),
            "vgg": Node("VGG-16", (f"{layer}, averaged", "over positions"), "frozen", bars=bars, scale=0.9),
            "va": Node("vectors a", (f"{channels} numbers", "for each picture"), shape="stack"),
            "vb": Node("vectors b", (f"{channels} numbers", "for each picture"), shape="stack"),
            "ga": Node("cloud a", ("mean μ<a>", "covariance Σ<a>")),
            "gb": Node("cloud b", ("mean μ<b>", "covariance Σ<b>")),
            "fd": Node("Fréchet", ("distance of the", "two clouds")),
        },
        arrows=(
            Arrow("a", "vgg"),
            Arrow("b", "vgg"),
            Arrow("vgg", "va", wide="r>l", narrow="b>t"),
            Arrow("vgg", "vb", wide="r>l", narrow="b>t"),
            Arrow("va", "ga"),
            Arrow("vb", "gb"),
            Arrow("ga", "fd", wide="r>l", narrow="b>t"),
            Arrow("gb", "fd", wide="r>l", narrow="b>t"),
        ),
        wide="""
            a vgg va ga fd
            b vgg vb gb fd
        """,
        narrow="""
            a   b
            vgg vgg
            va  vb
            ga  gb
            fd  fd
        """,
        gap=(22, 26),
        caption=(
            f"The metric that needs no reference ({section('16_how_to_measure_a_picture', 'Two sets')}). No picture "
            "is compared with another one: each set becomes a cloud of vectors, and only the clouds’ means and "
            "covariances are compared. So the number depends on the network, on its layer, and on how many pictures "
            "there are."
        ),
        alt=(
            "Two sets of pictures, real and made ones, pass the same frozen network, VGG-16. Averaged over "
            f"positions, {layer} gives a vector of {channels} numbers for each picture. Each set is a cloud of such "
            "vectors, with a mean and a covariance. The Fréchet distance compares the two clouds by these alone."
        ),
    )


DIAGRAMS = {
    "01_what_a_network_sees": chapter_01,
    "02_style_is_statistics": chapter_02,
    "05_what_it_costs": chapter_05,
    "16_how_to_measure_a_picture": chapter_16,
}
