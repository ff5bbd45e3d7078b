"""Diagrams of the networks that paint or enlarge in one pass."""

import torch

from course_lib.methods import adain, johnson, stable_painter, super_resolution
from scripts.diagrams import profiles
from scripts.diagrams.layout import Arrow, Diagram
from scripts.diagrams.notebooks import section
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
            "Training a painter. The weights W of the network are optimized, once for each painting, over "
            f"{config.num_steps:,} steps with {config.batch_size} photos each; {arch} only measures. Afterwards a new "
            "photo goes through the network alone: one pass, and no loss."
        ),
        alt=(
            f"A photo enters a network with {profiles.parameters(network)}, which returns a painted picture. Three "
            "losses judge that picture: total variation, directly; the feature loss, against the photo, and the "
            f"style loss, against the painting, through the frozen {arch}. The gradient of all three goes back "
            "through the painted picture into the weights of the network, the only thing that is trained."
        ),
    )


def chapter_12() -> Diagram:
    config = adain.Config()
    arch, decoder = "VGG-19", adain.build(config)
    deep = profiles.of_vgg("vgg19", (config.layer,))
    back = profiles.of(decoder, torch.rand(1, deep[-1][0], 16, 16))
    lit = profiles.read_at("vgg19", config.style_layers)
    return Diagram(
        nodes={
            "photo": Node("photo c", picture="photo", kind="given"),
            "painting": Node("painting s", picture="painting", kind="given"),
            "encoder": Node("encoder f", (arch, f"to {config.layer}"), "frozen", bars=deep),
            "t": Node("AdaIN", ("f(c) with the", "means and deviations", "of f(s)"), shape="stack"),
            "decoder": Node("decoder g", (profiles.parameters(decoder),), "trained", bars=back),
            "painted": Node("g(t)", picture="painted_any"),
            "again": Node("encoder f", ("the same",), "frozen", bars=deep, lit=lit),
            "content": Node("content loss", ("f(g(t)) and t",), "loss", "loss"),
            "style": Node("style loss", ("means, deviations", f"at {len(config.style_layers)} layers"), "loss", "loss"),
        },
        arrows=(
            Arrow("photo", "encoder", wide="r>l", narrow="b>t"),
            Arrow("painting", "encoder", wide="r>l", narrow="b>t"),
            Arrow("encoder", "t", wide="r>l", narrow="b>t"),
            Arrow("t", "decoder", label="t", wide="r@0.5>l", narrow="b>t"),
            Arrow("decoder", "painted", wide="r@0.35>l", narrow="b@0.4>t"),
            Arrow("painted", "decoder", kind="gradient", wide="l@0.65>r", narrow="t@0.6>b"),
            Arrow("painted", "again", wide="b@0.35>t", narrow="b@0.4>t"),
            Arrow("again", "painted", kind="gradient", wide="t>b@0.65", narrow="t>b@0.6"),
            Arrow("t", "content", wide="b>t", narrow="l>l 12"),
            Arrow("again", "content", wide="l>r@0.35", narrow="b>t@0.4"),
            Arrow("content", "again", kind="gradient", wide="r@0.7>l", narrow="t@0.65>b"),
            Arrow("again", "style", wide="b@0.4>t@0.4", narrow="b>t@0.4"),
            Arrow("style", "again", kind="gradient", wide="t@0.6>b@0.6", narrow="t@0.65>b"),
            Arrow("encoder", "style", wide="b>l", narrow="r>r 12"),
        ),
        wide="""
            photo    encoder t       decoder painted
            painting encoder content again   again
            .        .       .       style   style
        """,
        narrow="""
            photo   painting
            encoder encoder
            t       t
            decoder decoder
            painted painted
            again   again
            content style
        """,
        gap=(30, 30),
        caption=(
            "Only the decoder learns. AdaIN has no weights: it gives each feature map of the photo the mean and the "
            "deviation of the painting’s map. So encoder, AdaIN and decoder paint in one pass, also after a painting "
            "that no training used. The losses and the second encoder are for the training."
        ),
        alt=(
            f"A photo c and a painting s enter the frozen encoder f, {arch} up to {config.layer}. AdaIN gives the "
            "feature maps of c the means and deviations of those of s; the result is t. A trained decoder g turns t "
            "into a picture. For training, the picture enters the encoder again: the content loss compares its "
            f"features with t, the style loss its means and deviations with those of s at {len(config.style_layers)} "
            "layers. The gradient goes back into the decoder alone."
        ),
    )


def chapter_07() -> Diagram:
    config = super_resolution.Config()
    network, arch = super_resolution.build(config), f"VGG-{config.arch.removeprefix('vgg')}"
    bars = profiles.of(network, torch.rand(1, 3, 32, 32))
    read = (config.layer,)
    return Diagram(
        nodes={
            "large": Node("photo", picture="large", kind="given"),
            "reduce": Node("reduce", ("blur, then", f"{config.factor} × smaller")),
            "small": Node("small", picture="small"),
            "net": Node("network", (profiles.parameters(network),), "trained", bars=bars),
            "made": Node("enlarged", picture="enlarged"),
            "pixel": Node("either ℓ<pixel>", ("squared error", "of the pixels"), "loss", "loss"),
            "vgg": Node(
                arch,
                (),
                "frozen",
                bars=profiles.of_vgg(config.arch, read),
                lit=profiles.read_at(config.arch, read),
                scale=1.2,
            ),
            "feature": Node("or ℓ<feat>", ("squared error of features", f"at {config.layer}"), "loss", "loss"),
        },
        arrows=(
            Arrow("large", "reduce", wide="r>l", narrow="r>l"),
            Arrow("reduce", "small", wide="r>l", narrow="r>l"),
            Arrow("small", "net", wide="r>l", narrow="b>t"),
            Arrow("net", "made", wide="r@0.35>l", narrow="b@0.4>t"),
            Arrow("made", "net", kind="gradient", wide="l@0.65>r", narrow="t@0.65>b"),
            Arrow("large", "pixel", wide="t>l", narrow="b>l"),
            Arrow("made", "pixel", wide="t@0.65>r@0.35", narrow="l@0.35>r"),
            Arrow("pixel", "made", kind="gradient", wide="r@0.7>t@0.35", narrow="r>l@0.65"),
            Arrow("large", "vgg", wide="b>l", narrow="b@0.2>t"),
            Arrow("made", "vgg", wide="b@0.65>r@0.65", narrow="b@0.35>t"),
            Arrow("vgg", "made", kind="gradient", wide="r@0.35>b@0.35", narrow="t>b@0.65"),
            Arrow("vgg", "feature", wide="b@0.45>t", narrow="b@0.45>t"),
            Arrow("feature", "vgg", kind="gradient", wide="t@0.55>b", narrow="t@0.55>b"),
        ),
        wide="""
            .     pixel   pixel   pixel   .
            large reduce  small   net     made
            .     vgg     vgg     vgg     .
            .     feature feature feature .
        """,
        narrow="""
            large reduce  small
            .     net     net
            .     pixel   made
            vgg   vgg     vgg
            feature feature feature
        """,
        gap=(30, 26),
        gap_narrow=(18, 28),
        caption=(
            "One network, two ways to train it. The photo is made small, and the network has to enlarge it again. "
            f"Either the pixels are compared with those of the photo, or {arch}’s features are. (Our feature network "
            "adds a little of the pixel loss.)"
        ),
        alt=(
            f"A photo is blurred and reduced by a factor of {config.factor}. A network with "
            f"{profiles.parameters(network)} enlarges the small picture again. Either the pixel loss compares it with "
            f"the photo, or both enter the frozen {arch} and the feature loss compares them at {config.layer}. The "
            "gradient of the chosen loss goes back through the enlarged picture into the network."
        ),
    )


def chapter_20() -> Diagram:
    network = profiles.parameters(stable_painter.build(stable_painter.Config()))
    lines = tuple(network.rsplit(" ", 1))
    return Diagram(
        nodes={
            "early": Node("frame t − 1", picture="frame_1", kind="given"),
            "f1": Node("painter f", lines, "trained"),
            "p1": Node("painted", picture="frame_1_painted"),
            "warp": Node("warp", ("to frame t",)),
            "motion": Node("motion", ("and what", "is hidden"), "given"),
            "late": Node("frame t", picture="frame_2", kind="given"),
            "f2": Node("painter f", ("the same",), "trained"),
            "p2": Node("painted", picture="frame_2_painted"),
            "temporal": Node("temporal", ("loss, of what", "is visible"), "loss", "loss"),
            "others": Node("3 losses", ("of chapter 6",), "loss", "loss"),
        },
        arrows=(
            Arrow("early", "f1", wide="r>l", narrow="b>t"),
            Arrow("f1", "p1", wide="r@0.35>l", narrow="b@0.35>t"),
            Arrow("p1", "f1", kind="gradient", wide="l>r@0.7", narrow="t>b@0.65"),
            Arrow("p1", "warp", wide="r>l@0.35", narrow="b@0.35>t"),
            Arrow("warp", "p1", kind="gradient", wide="l@0.7>r", narrow="t>b@0.65"),
            Arrow("motion", "warp", wide="l>r", narrow="b@0.2>t@0.85"),
            Arrow("motion", "temporal", wide="b>r", narrow="b>t"),
            Arrow("warp", "temporal", wide="b@0.35>t", narrow="r>l@0.35"),
            Arrow("temporal", "warp", kind="gradient", wide="t>b@0.65", narrow="l@0.7>r"),
            Arrow("late", "f2", wide="r>l", narrow="b>t"),
            Arrow("f2", "p2", wide="r@0.35>l", narrow="b@0.35>t"),
            Arrow("p2", "f2", kind="gradient", wide="l>r@0.7", narrow="t>b@0.65"),
            Arrow("p2", "temporal", wide="t@0.35>l@0.35", narrow="l>r@0.35"),
            Arrow("temporal", "p2", kind="gradient", wide="l@0.75>t@0.7", narrow="r@0.7>l"),
            Arrow("p2", "others", wide="r>l@0.35", narrow="b@0.35>t"),
            Arrow("others", "p2", kind="gradient", wide="l@0.7>r", narrow="t>b@0.65"),
        ),
        wide="""
            early f1 p1 warp     motion
            .     .  .  temporal .
            late  f2 p2 others   .
        """,
        narrow="""
            early .      late
            f1    .      f2
            p1    motion   .
            warp  temporal p2
            .     .        others
        """,
        gap=(30, 26),
        gap_narrow=(12, 28),
        caption=(
            f"Training a painter for video ({section('20_video', 'The stable painter')}). Two frames that follow each "
            "other go through the same network. The first painting is moved along with the picture, and what is "
            "visible in both must agree. The motion is needed for training only; a video is then painted by f alone, "
            "frame by frame."
        ),
        alt=(
            f"Two consecutive frames pass the same painter f, with {network}. The first painted frame is warped to "
            "the time of the second, by a known motion, and the temporal loss compares the two where both show the "
            "same thing. The three losses of chapter 6 judge the second painted frame. Gradients go back from all "
            "losses, also through the warp, into the one network."
        ),
    )


DIAGRAMS = {
    "06_fast_style": chapter_06,
    "07_super_resolution": chapter_07,
    "12_any_style": chapter_12,
    "20_video": chapter_20,
}
