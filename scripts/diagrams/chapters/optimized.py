"""Diagrams of the methods that optimize a picture."""

from course_lib.methods import gatys
from scripts.diagrams import profiles
from scripts.diagrams.layout import Arrow, Diagram
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


DIAGRAMS = {"03_gatys": chapter_03}
