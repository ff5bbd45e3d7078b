"""Live panels for notebooks with a running kernel: choose settings, press a button, and watch the picture change."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from course_lib.data.facades import Facades
from course_lib.data.sketch import pencil
from course_lib.images import from_pil, resize, to_pil
from course_lib.masks import Regions
from course_lib.methods import adain, control, gatys, johnson, pix2pix, screened_poisson
from course_lib.networks.feature_transforms import TRANSFORMS
from course_lib.optimize.start import STARTS
from course_lib.pretrained.vgg import STYLE_LAYERS, VGGFeatures
from course_lib.runtime import Callback, Progress, seeded_generator
from course_lib.samples import sample_image
from course_lib.teaching.figures import heatmap

_PREVIEW_EVERY = 5  # steps


class _Stop(Exception):
    """Raised inside a run by the Stop button."""


class _Easel:
    """A picture with buttons, progress bar and status line; runs go in a thread, so that *Stop* works.

    Args:
        compute: what the button starts; it gets the callback to report to.
        first: picture (1, 3, H, W) in [0, 1] shown before the first run.
        verb: label of the button.
    """

    def __init__(self, compute: Callable[[Callback], gatys.Result], first: Tensor, verb: str) -> None:
        import ipywidgets as w  # only notebooks need it

        self.compute = compute
        self.button = w.Button(description=verb, button_style="primary")
        self.stop = w.Button(description="Stop", disabled=True)
        self.bar = w.IntProgress(min=0, max=1)
        self.status = w.Label(f"Choose, then press {verb}.")
        self.picture = _frame()
        self.wanted = threading.Event()  # set: the user wants the run to stop
        self.thread: threading.Thread | None = None
        self.button.on_click(self._begin)
        self.stop.on_click(lambda _: self.wanted.set())
        self.show(first)

    def beside(self, *choices: Any) -> Any:
        """The whole panel: choices, buttons and status in a column, with the picture beside them."""
        import ipywidgets as w

        return _beside(self.picture, *choices, w.HBox([self.button, self.stop]), self.bar, self.status)

    def show(self, image: Tensor) -> None:
        _put(image, self.picture)

    def _watch(self, progress: Progress) -> None:
        self.bar.max, self.bar.value = progress.num_steps, progress.step
        if self.wanted.is_set():
            self.show(progress.image())
            raise _Stop
        if progress.step % _PREVIEW_EVERY == 0 or progress.step == progress.num_steps:
            self.show(progress.image())
            loss = progress.losses["total"]
            self.status.value = f"step {progress.step}, loss {loss:.3g}, {progress.seconds:.0f} s"

    def _paint(self) -> None:
        try:
            result = self.compute(self._watch)
            self.show(result.image)
            self.status.value = result.stopped or result.advice or self.status.value
        except _Stop:
            self.status.value = "Stopped; this is the picture so far."
        except Exception as error:  # the user can see an error only in the panel
            self.status.value = f"{type(error).__name__}: {error}"
        finally:
            self.button.disabled, self.stop.disabled = False, True

    def _begin(self, _: object) -> None:
        self.wanted.clear()
        self.button.disabled, self.stop.disabled = True, False
        self.bar.value, self.status.value = 0, "Loading the network…"
        self.thread = threading.Thread(target=self._paint, daemon=True)
        self.thread.start()


def stylization_panel(contents: Sequence[str], styles: Sequence[str], *, size: int = 160, num_steps: int = 60) -> Any:
    """Choose a photo and a painting, set the style weight, and watch the picture while it is optimized.

    Args:
        contents, styles: names for `sample_image`.
        size: long side in pixels; the time grows with its square.
        num_steps: initial number of steps per run.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as w

    content = w.Dropdown(options=list(contents), description="photo")
    style = w.Dropdown(options=list(styles), description="painting")
    start = w.Dropdown(options=STARTS, value="content", description="start")
    usual = gatys.Config().style_weight
    weight = w.FloatLogSlider(value=usual, base=10, min=0, max=4, step=0.25, description="style weight")
    steps = w.IntSlider(value=num_steps, min=10, max=300, step=10, description="steps")

    def paint(callback: Callback) -> gatys.Result:
        config = replace(gatys.Config.fast(), num_steps=steps.value, style_weight=weight.value, start=start.value)
        photo, painting = sample_image(content.value, size), sample_image(style.value)
        return gatys.stylize(photo, painting, config, callback=callback)

    easel = _Easel(paint, sample_image(contents[0], size), "Paint")
    return easel.beside(content, style, start, weight, steps)


def texture_panel(samples: Sequence[str], *, size: int = 128, num_steps: int = 60) -> Any:
    """Choose a picture and the deepest layer of its statistics, and watch a texture grow from noise.

    Args:
        samples: names for `sample_image`; the pictures are resized to long side `size`.
        size: side of the square texture in pixels; the time grows with its square.
        num_steps: initial number of steps per run.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as w

    sample = w.Dropdown(options=list(samples), description="sample")
    depths = [(f"up to {layer}", count) for count, layer in enumerate(STYLE_LAYERS, start=1)]
    depth = w.Dropdown(options=depths, value=len(depths), description="layers")
    seed = w.BoundedIntText(value=0, min=0, max=9999, description="seed")
    steps = w.IntSlider(value=num_steps, min=10, max=300, step=10, description="steps")

    def grow(callback: Callback) -> gatys.Result:
        config = replace(
            gatys.Config.fast(),
            num_steps=steps.value,
            style_layers=STYLE_LAYERS[: depth.value],
            tv_weight=0.3,  # suppresses a checkered grain, see chapter 2
        )
        noise = torch.rand(1, 3, size, size, generator=seeded_generator(seed.value))
        target = sample_image(sample.value, size)
        return gatys.stylize(None, target, config, initial=noise, callback=callback)

    easel = _Easel(grow, sample_image(samples[0], size), "Grow")
    return easel.beside(sample, depth, seed, steps)


def feature_panel(
    names: Sequence[str], layers: Sequence[str], *, size: int = 256, network: VGGFeatures | None = None
) -> Any:
    """Choose a photo, a layer and a channel, and see its feature map.

    Args:
        names: names for `sample_image`.
        layers: names from `course_lib.pretrained.vgg.layer_names`.
        size: long side in pixels.
        network: returns these layers; by default the normalized VGG-19 with average pooling.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as w

    network = network or VGGFeatures("vgg19", layers)
    features: dict[str, dict[str, Tensor]] = {}  # photo → its feature maps, computed when first shown
    photo = w.Dropdown(options=list(names), description="photo")
    layer = w.Dropdown(options=list(layers), description="layer")
    channel = w.BoundedIntText(value=0, min=0, max=0, description="channel")
    status, picture = w.Label(), _frame()

    def show(_: object = None) -> None:
        if photo.value not in features:
            with torch.no_grad():
                features[photo.value] = network(sample_image(photo.value, size))
        maps = features[photo.value][layer.value][0].float()  # (C, h, w)
        channel.max = len(maps) - 1  # ipywidgets reduces a larger value
        chosen = maps[channel.value]
        height, width = chosen.shape
        large = resize(heatmap(chosen, colors="magma"), (max(1, size * height // width), size))
        file = io.BytesIO()
        to_pil(large).save(file, format="JPEG", quality=90)
        picture.value = file.getvalue()
        status.value = f"{width}×{height} positions, mean {chosen.mean():.2f}, largest {chosen.max():.2f}"

    for choice in (photo, layer, channel):
        choice.observe(show, names="value")
    show()
    return _beside(picture, photo, layer, channel, status)


def fast_style_panel(
    contents: Sequence[str], models: Sequence[str], *, size: int = 384, gradients: float | None = None
) -> Any:
    """Choose a photo, a trained network and a degree; the picture appears at once, since it takes a single pass.

    Args:
        contents: names for `sample_image`.
        models: names for `johnson.load`.
        size: long side in pixels.
        gradients: if given, a slider with this value first says how strongly the screened Poisson equation gives the
            picture the photo's gradients (λ of the lightness; that of the colors is a fifth of it).

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as w

    content = w.Dropdown(options=list(contents), description="photo")
    model = w.Dropdown(options=list(models), description="network")
    degree = w.FloatSlider(value=1.0, min=0.0, max=1.0, step=0.05, description="degree")
    kept = w.FloatSlider(value=gradients or 0.0, min=0.0, max=50.0, step=0.5, description="λ", continuous_update=False)
    picture, status = _frame(), w.Label()
    load = lru_cache(maxsize=None)(johnson.load)

    def show(_: object = None) -> None:
        photo = sample_image(content.value, size)
        result = johnson.stylize(photo, load(model.value))
        status.value = f"{result.history['seconds'][0]:.2f} s"
        config = screened_poisson.Config(lightness_weight=kept.value, color_weight=kept.value / 5)
        image = screened_poisson.stylize(photo, result.image, config).image if kept.value else result.image
        _put(torch.lerp(photo, image, degree.value), picture)

    choices = (content, model, degree, *([] if gradients is None else [kept]))
    for choice in choices:
        choice.observe(show, names="value")
    show()
    return _beside(picture, *choices, status)


def any_style_panel(
    contents: Sequence[str], styles: Sequence[str], *, size: int = 256, model: adain.Model | None = None
) -> Any:
    """Choose a photo, two paintings and their shares, a strength and a transform; one decoder paints them all.

    Args:
        contents, styles: names for `sample_image`; the second painting starts as the last one of `styles`.
        size: long side of the photo and of the paintings in pixels.
        model: from `adain.train` or `adain.load`; None: the published decoder.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as w

    content = w.Dropdown(options=list(contents), description="photo")
    first = w.Dropdown(options=list(styles), description="painting")
    second = w.Dropdown(options=list(styles), value=styles[-1], description="and")
    share = w.FloatSlider(value=0.0, min=0.0, max=1.0, step=0.1, description="share", continuous_update=False)
    alpha = w.FloatSlider(value=1.0, min=0.0, max=1.0, step=0.1, description="α", continuous_update=False)
    transform = w.Dropdown(options=list(TRANSFORMS), description="transform")
    colors = w.Checkbox(value=False, description="keep the photo's colors")
    picture, status = _frame(), w.Label()

    def show(_: object = None) -> None:
        shares = {first.value: 1 - share.value}
        shares[second.value] = shares.get(second.value, 0.0) + share.value
        used = {name: weight for name, weight in shares.items() if weight > 0}
        result = adain.stylize(
            sample_image(content.value, size), [sample_image(name, size) for name in used], model,
            transform=transform.value, alpha=alpha.value, weights=[*used.values()], keep_colors=colors.value,
        )  # fmt: skip
        status.value = f"{result.history['seconds'][0]:.2f} s"
        _put(result.image, picture)

    for choice in (content, first, second, share, alpha, transform, colors):
        choice.observe(show, names="value")
    show()
    return _beside(picture, content, first, second, share, alpha, transform, colors, status)


def control_panel(contents: Sequence[str], styles: Sequence[str], *, size: int = 128, num_steps: int = 30) -> Any:
    """Choose a photo, two paintings and a division of the picture, whose colors to keep, and whose strokes to take.

    Args:
        contents, styles: names for `sample_image`; the second painting starts as the last one of `styles`.
        size: long side in pixels; the time grows with its square.
        num_steps: initial number of steps per run.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as w

    content = w.Dropdown(options=list(contents), description="photo")
    style = w.Dropdown(options=list(styles), description="painting")
    second = w.Dropdown(options=list(styles), value=styles[-1], description="and")
    divided = w.Dropdown(options=["nowhere", "left and right", "top and bottom"], description="divided")
    colors = w.Dropdown(options=list(control.COLORS), description="colors")
    fine = w.Dropdown(options=["its own", *styles], description="strokes")
    steps = w.IntSlider(value=num_steps, min=10, max=200, step=10, description="steps")

    def paint(callback: Callback) -> gatys.Result:
        config = control.Config(num_steps=steps.value, precondition=0.4, colors=colors.value)
        photo, paintings = sample_image(content.value, size), [sample_image(style.value, size)]
        strokes = None if fine.value == "its own" else sample_image(fine.value, size)
        regions = None
        if divided.value != "nowhere":
            paintings.append(sample_image(second.value, size))
            first = torch.zeros_like(photo[:, :1])
            axis = 3 if divided.value == "left and right" else 2
            first.narrow(axis, 0, photo.shape[axis] // 2).fill_(1)
            regions = Regions.split([first, 1 - first])
        return control.stylize(photo, paintings, config, regions=regions, fine=strokes, callback=callback)

    easel = _Easel(paint, sample_image(contents[0], size), "Paint")
    return easel.beside(content, style, divided, second, colors, fine, steps)


def translation_panel(models: Sequence[str], styles: Sequence[str] = ()) -> Any:
    """Choose a scene or upload a sketch or photo; it is translated and, if a style is chosen, painted.

    Args:
        models: names for `pix2pix.load`: networks trained on ``facade_labels`` or ``facade_sketch``.
        styles: names for `johnson.load`.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as w

    model = w.Dropdown(options=list(models), description="network")
    scene = w.IntSlider(value=0, min=0, max=99, description="scene", continuous_update=False)
    seed = w.IntSlider(value=0, min=0, max=9, description="dropout", continuous_update=False)
    style = w.Dropdown(options=["as it is", *styles], description="painted")
    own = w.FileUpload(accept="image/*", description="your own", multiple=False)
    edges = w.Checkbox(value=False, description="a photo: draw its edges first")
    picture, status = _frame(), w.Label()
    load, paint = lru_cache(maxsize=None)(pix2pix.load), lru_cache(maxsize=None)(johnson.load)

    def given(side: int) -> Tensor:
        if not own.value:
            return Facades(model.value.partition("_")[2], size=side, length=100, seed=1)[scene.value][:1]
        file = own.value[0] if isinstance(own.value, tuple) else next(iter(own.value.values()))  # ipywidgets 8 and 7
        with Image.open(io.BytesIO(bytes(file["content"]))) as pil:
            image = resize(from_pil(pil), (side, side))
        return pencil(image) if edges.value else image

    def show(_: object = None) -> None:
        network = load(model.value)
        source = given(network.config.image_size)
        made = pix2pix.translate(source, network, seed=seed.value)
        pictures, seconds = [source, made.image], made.history["seconds"][0]
        if style.value in styles:
            larger = resize(made.image, (256, 256))
            painted = johnson.stylize(larger, paint(style.value))
            pictures = [resize(source, (256, 256)), larger, painted.image]
            seconds += painted.history["seconds"][0]
        status.value = f"{seconds:.2f} s"
        _put(torch.cat(pictures, -1), picture)

    for choice in (model, scene, seed, style, own, edges):
        choice.observe(show, names="value")
    show()
    return _beside(picture, model, scene, seed, *([style] if styles else []), own, edges, status)


def _frame() -> Any:
    """Where a picture appears, in its own size and proportions."""
    import ipywidgets as w

    return w.Image(format="jpeg", layout=w.Layout(max_width="100%", object_fit="contain"))


def _beside(picture: Any, *controls: Any) -> Any:
    """The controls in a column and the picture beside it, or below where there is no room.

    A row stretches what is in it to its own height unless it is told not to; the picture would lose its proportions.
    """
    import ipywidgets as w

    row = w.Layout(flex_flow="row wrap", align_items="flex-start")
    return w.HBox([w.VBox(controls), picture], layout=row)


def _put(image: Tensor, place: Any) -> None:
    file = io.BytesIO()
    to_pil(image).save(file, format="JPEG", quality=90)
    place.value = file.getvalue()
