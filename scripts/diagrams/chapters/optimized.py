"""Diagrams of the methods that optimize a picture."""

from functools import partial

from course_lib.methods import control, deep_photo, gatys
from course_lib.optimize.start import STARTS
from scripts.diagrams import profiles
from scripts.diagrams.layout import Arrow, Diagram
from scripts.diagrams.notebooks import section
from scripts.diagrams.shapes import Node


def chapter_03() -> Diagram:
    config = gatys.Config()
    (content,), styles = config.content_layers, config.style_layers
    arch = f"VGG-{config.arch.removeprefix('vgg')}"
    return Diagram(
        nodes={
            "photo": Node("photo p", picture="photo", kind="given"),
            "x": Node("picture x", picture="painted", kind="optimized"),
            "painting": Node("painting a", picture="painting", kind="given"),
            "vgg": Node(
                arch,
                ("the same network", "for all three pictures"),
                "frozen",
                scale=1.25,
                bars=profiles.of_vgg(config.arch, styles),
                lit=profiles.read_at(config.arch, (content, *styles)),
            ),
            "content": Node("content loss", ("features", f"at {content}"), "loss", "loss"),
            "total": Node("total loss", ("α · content + β · style",), "loss", "loss"),
            "style": Node("style loss", ("Gram matrices", f"at {styles[0]}", f"… {styles[-1]}"), "loss", "loss"),
        },
        arrows=(
            Arrow("photo", "vgg"),
            Arrow("x", "vgg", wide="r@0.35>l", narrow="b@0.35>t"),
            Arrow("painting", "vgg"),
            Arrow("vgg", "content", wide="r>l", narrow="b>t"),
            Arrow("vgg", "style", wide="r>l", narrow="b>t"),
            Arrow("content", "total", wide="b>t", narrow="b>t"),
            Arrow("style", "total", wide="t>b", narrow="b>t"),
            Arrow("total", "vgg", kind="gradient", wide="l>r", narrow="t>b"),
            Arrow("vgg", "x", kind="gradient", wide="l>r@0.65", narrow="t>b@0.65"),
        ),
        wide="""
            photo    vgg content
            x        vgg total
            painting vgg style
        """,
        narrow="""
            photo photo x x x painting painting
            vgg vgg vgg vgg vgg vgg vgg
            content content content . style style style
            total total total total total total total
        """,
        gap_narrow=(6, 30),
        caption=(
            f"What is optimized is the picture x itself. {arch} stays as it is; the gradient of both losses flows "
            f"back through it into the pixels, and {config.optimizer.replace('lbfgs', 'L-BFGS')} changes them, "
            f"{config.num_steps} times. Colored slabs are the layers that the losses read."
        ),
        alt=(
            f"Photograph p, picture x and painting a enter the same frozen network, {arch}. The content loss compares "
            f"features of x and p at {content}, the style loss Gram matrices of x and a at {len(styles)} layers. "
            "Their weighted sum is the total loss. Its gradient goes back through the network into the pixels of x, "
            "the only thing that changes."
        ),
    )


def chapter_04() -> Diagram:
    config, at = gatys.Config(), partial(section, "04_choices")
    arch = f"VGG-{config.arch.removeprefix('vgg')}"
    return Diagram(
        nodes={
            "start": Node(
                f"{at('The start')} start", (f"{STARTS[0]}, {STARTS[1]},", f"{STARTS[2]}, {STARTS[3]}"), "given"
            ),
            "optimizer": Node("optimizer", ("L-BFGS, Adam", f"{at('When')} how long"), "given"),
            "scales": Node(f"{at('From coarse to fine')} scales", ("coarse to fine,", "or one size"), "given"),
            "x": Node("picture x", picture="painted", kind="optimized"),
            "vgg": Node(arch, (f"{at('Smoothness, and pooling')} pooling:", "average or max"), "frozen"),
            "content": Node("content loss", (f"{at('The content layer')} which layer",), "loss", "loss"),
            "total": Node(
                "total loss",
                (f"{at('The style layers')} ratio β/α", f"{at('Content strength')} content strength"),
                "loss",
                "loss",
            ),
            "style": Node(
                "style loss",
                (f"{at('The style layers')} which layers", f"{at('The balance')} their weights"),
                "loss",
                "loss",
            ),
        },
        arrows=(
            Arrow("start", "x", wide="r>t", narrow="b>t@0.2"),
            Arrow("scales", "x", wide="r>l", narrow="b>t"),
            Arrow("optimizer", "x", wide="r>b", narrow="b>t@0.8"),
            Arrow("x", "vgg", wide="r@0.35>l", narrow="b@0.35>t"),
            Arrow("vgg", "x", kind="gradient", wide="l>r@0.65", narrow="t>b@0.65"),
            Arrow("vgg", "content", wide="r>l", narrow="b>t"),
            Arrow("vgg", "style", wide="r>l", narrow="b>t"),
            Arrow("content", "total", wide="b>t", narrow="b>t"),
            Arrow("style", "total", wide="t>b", narrow="b>t"),
            Arrow("total", "vgg", kind="gradient", wide="l>r", narrow="t>b"),
        ),
        wide="""
            start     . vgg content
            scales    x vgg total
            optimizer . vgg style
        """,
        narrow="""
            start   start   scales  scales optimizer optimizer
            .       .       x       x      .         .
            vgg     vgg     vgg     vgg    vgg       vgg
            content content content style  style     style
            total   total   total   total  total     total
        """,
        gap=(30, 24),
        gap_narrow=(10, 30),
        even=True,
        caption="Where a choice enters the method of chapter 3, and the section that tries its alternatives.",
        alt=(
            "The method of chapter 3 as a loop: picture, network, content and style losses, total loss, and the "
            "gradient back into the picture. At each part stand the choices of this chapter with their sections: "
            "start, scales and optimizer at the picture; pooling at the network; the layer at the content loss; "
            "layers and their weights at the style loss; the ratio of the weights at the total loss."
        ),
    )


def chapter_13() -> Diagram:
    config = control.Config()
    (content,), styles = config.content_layers, config.style_layers
    arch = f"VGG-{config.arch.removeprefix('vgg')}"
    return Diagram(
        nodes={
            "photo": Node("photo", picture="photo", kind="given"),
            "x": Node("picture x", picture="guided", kind="optimized"),
            "night": Node("painting 1", picture="night", kind="given"),
            "wave": Node("painting 2", picture="painting", kind="given"),
            "vgg": Node(
                arch,
                ("for all pictures",),
                "frozen",
                bars=profiles.of_vgg(config.arch, styles),
                lit=profiles.read_at(config.arch, (content, *styles)),
            ),
            "content": Node("content loss", (f"at {content}",), "loss", "loss"),
            "grams": Node("guided Gram", ("one for each region", f"and layer: {len(styles)}"), shape="stack"),
            "style": Node("style loss", ("region by region",), "loss", "loss"),
            "masks": Node("regions", ("sky, land, water",), "given", picture="regions"),
        },
        arrows=(
            Arrow("photo", "vgg", wide="r>l", narrow="l>l@0.2 12"),
            Arrow("x", "vgg", wide="r@0.35>l", narrow="r@0.6>r@0.25 12"),
            Arrow("night", "vgg", wide="r>l", narrow="b>t"),
            Arrow("wave", "vgg", wide="r>l", narrow="b>t"),
            Arrow("vgg", "content", wide="r>l@0.35", narrow="b>t@0.35"),
            Arrow("content", "vgg", kind="gradient", wide="l@0.7>r", narrow="t@0.65>b"),
            Arrow("vgg", "grams", wide="r>l@0.35", narrow="b>t@0.35"),
            Arrow("grams", "vgg", kind="gradient", wide="l@0.65>r", narrow="t@0.65>b"),
            Arrow("vgg", "x", kind="gradient", wide="l>r@0.65", narrow="r@0.6>r@0.3 24"),
            Arrow("masks", "grams", wide="t>b", narrow="r>l"),
            Arrow("grams", "style", wide="r@0.4>l", narrow="b@0.4>t"),
            Arrow("style", "grams", kind="gradient", wide="l@0.7>r", narrow="t@0.6>b"),
        ),
        wide="""
            photo vgg content .
            x     vgg grams   style
            night vgg masks   .
            wave  vgg masks   .
        """,
        narrow="""
            photo x
            night wave
            vgg   vgg
            content .
            masks grams
            .     style
        """,
        gap=(40, 22),
        gap_narrow=(24, 28),
        caption=(
            "Place, the second of this chapter’s three knobs. One mask for each picture says where its sky, land and "
            "water are; each region of x gets the Gram matrices of the same region of a painting. Color turns "
            "another knob, before or after all this; scale chooses which painting the lowest layers listen to."
        ),
        alt=(
            f"A photo, the picture x and two paintings pass the same frozen network, {arch}. The content loss "
            "compares x with the photo. With a mask of sky, land and water for each picture, guided Gram matrices "
            f"are computed, one for each region at each of {len(styles)} layers, and the style loss compares them "
            "region by region. The gradient of both losses goes back through the network into the pixels of x."
        ),
    )


def chapter_14() -> Diagram:
    config = deep_photo.Config()
    recolored, evening = (
        section("14_photographs_and_patches", words) for words in ("Which recolorings", "The evening")
    )
    (content,), styles = config.content_layers, config.style_layers
    arch = f"VGG-{config.arch.removeprefix('vgg')}"
    return Diagram(
        nodes={
            "light": Node("evening", picture="light", kind="given"),
            "x": Node("picture x", picture="dusk_photo", kind="optimized"),
            "photo": Node("photo", picture="castle", kind="given"),
            "real": Node("photorealism", ("only recolored,", "window by window"), "loss", "loss"),
            "matting": Node(
                "Laplacian M",
                ("of the photo,", f"{2 * config.matting_radius + 1} × {2 * config.matting_radius + 1} windows"),
            ),
            "vgg": Node(
                arch,
                (),
                "frozen",
                bars=profiles.of_vgg(config.arch, styles),
                scale=1.1,
                lit=profiles.read_at(config.arch, (content, *styles)),
            ),
            "style": Node("style loss", ("Gram matrices,", "region by region"), "loss", "loss"),
            "content": Node("content loss", (f"at {content}",), "loss", "loss"),
        },
        arrows=(
            Arrow("light", "vgg", wide="r>l", narrow="b>t"),
            Arrow("x", "vgg", wide="r@0.35>l", narrow="b@0.35>t"),
            Arrow("vgg", "x", kind="gradient", wide="l>r@0.65", narrow="t>b@0.65"),
            Arrow("photo", "vgg", wide="r>l", narrow="b>t"),
            Arrow("photo", "matting", wide="l>r", narrow="t>b"),
            Arrow("matting", "real", wide="t>b", narrow="l>r"),
            Arrow("x", "real", wide="l@0.35>r", narrow="t@0.12>b"),
            Arrow("real", "x", kind="gradient", wide="r>l@0.65", narrow="b>t@0.32"),
            Arrow("vgg", "style", wide="r>l@0.35", narrow="b>t@0.35"),
            Arrow("style", "vgg", kind="gradient", wide="l@0.7>r", narrow="t@0.65>b"),
            Arrow("vgg", "content", wide="r>l@0.35", narrow="b>t@0.35"),
            Arrow("content", "vgg", kind="gradient", wide="l@0.7>r", narrow="t@0.65>b"),
        ),
        wide="""
            .       light vgg style
            real    x     vgg .
            matting photo vgg content
        """,
        narrow="""
            real  real  real  matting matting matting
            light light x     x       photo   photo
            vgg   vgg   vgg   vgg     vgg     vgg
            style style style content content content
        """,
        gap=(28, 24),
        gap_narrow=(14, 28),
        caption=(
            f"Deep photo style transfer ({recolored} and {evening}): the method of chapter 3 with Gram matrices for "
            "each region and a third loss, which needs no network. It is zero for every picture that is only "
            "recolored, window by window, so the light may change and no line may bend."
        ),
        alt=(
            f"Another photo, at dusk, the picture x and the photo enter the frozen network, {arch}. The style loss "
            f"compares Gram matrices region by region, the content loss features at {content}. From the photo alone, "
            "a matting Laplacian is computed; with it, the photorealism loss asks of x that it be a recolored photo, "
            "window by window. The gradients of all three losses go into the pixels of x."
        ),
    )


DIAGRAMS = {
    "03_gatys": chapter_03,
    "04_choices": chapter_04,
    "13_color_place_scale": chapter_13,
    "14_photographs_and_patches": chapter_14,
}
