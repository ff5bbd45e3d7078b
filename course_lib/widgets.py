"""A live stylization panel for notebooks with a running kernel."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import Any

from course_lib.images import sample_image, to_pil
from course_lib.methods import gatys
from course_lib.runtime import Progress

_PREVIEW_EVERY = 5  # steps


class _Stop(Exception):
    """Raised inside a run by the Stop button."""


def stylization_panel(
    contents: Sequence[str], styles: Sequence[str], *, size: int = 160, num_steps: int = 60
) -> Any:
    """Choose a photo and a painting, set the weights, and watch the picture change while it is computed.

    The run goes in a thread of its own, so that *Stop* works; the last picture stays.

    Args:
        contents, styles: names for `sample_image`.
        size: long side in pixels; time grows with its square.
        num_steps: evaluations a run.

    Returns:
        An ipywidgets box.
    """
    import ipywidgets as w  # only notebooks have it

    choose_content = w.Dropdown(options=list(contents), description="photo")
    choose_style = w.Dropdown(options=list(styles), description="painting")
    start = w.Dropdown(options=gatys.STARTS, value="content", description="start")
    weight = w.FloatLogSlider(value=100, base=10, min=0, max=4, step=0.25, description="style weight")
    steps = w.IntSlider(value=num_steps, min=10, max=300, step=10, description="steps")
    run, stop = (
        w.Button(description="Paint", button_style="primary"),
        w.Button(description="Stop", disabled=True),
    )
    bar = w.IntProgress(min=0, max=num_steps)
    status = w.Label("Choose, then press Paint.")
    picture = w.Image(format="jpeg", layout=w.Layout(max_width="100%"))
    wanted = threading.Event()  # set: the user wants the run to stop

    def show(image: Any) -> None:
        file = io.BytesIO()
        to_pil(image).save(file, format="JPEG", quality=90)
        picture.value = file.getvalue()

    def watch(progress: Progress) -> None:
        if wanted.is_set():
            raise _Stop
        bar.value = progress.step
        if progress.step % _PREVIEW_EVERY == 0 or progress.step == progress.num_steps:
            show(progress.image())
            status.value = (
                f"step {progress.step}, loss {progress.losses['total']:.3g}, {progress.seconds:.0f} s"
            )

    def paint() -> None:
        try:
            content = sample_image(choose_content.value, size)
            style = sample_image(choose_style.value)
            config = gatys.Config(num_steps=steps.value, style_weight=weight.value, start=start.value)
            show(gatys.stylize(content, style, config, callback=watch).image)
        except _Stop:
            status.value = "Stopped; this is the picture so far."
        except Exception as error:  # the panel is the only place where it can be seen
            status.value = f"{type(error).__name__}: {error}"
        finally:
            run.disabled, stop.disabled = False, True

    def begin(_: object) -> None:
        wanted.clear()
        run.disabled, stop.disabled = True, False
        bar.value, bar.max, status.value = 0, steps.value, "Loading the network…"
        threading.Thread(target=paint, daemon=True).start()

    run.on_click(begin)
    stop.on_click(lambda _: wanted.set())
    show(sample_image(contents[0], size))
    controls = w.VBox([choose_content, choose_style, start, weight, steps, w.HBox([run, stop]), bar, status])
    return w.HBox([controls, picture], layout=w.Layout(flex_flow="row wrap"))
