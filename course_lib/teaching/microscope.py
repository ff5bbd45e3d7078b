"""The loss microscope: which term of the loss changes which part of the picture, and at which step.

In a stylization, six terms pull the picture in different directions. `examine` runs one and takes its gradient apart at
a few steps. `show` draws each term's share of the loss and of the gradient over the steps, and maps for each picture
where it still changes and which term pulls hardest there. `explore` shows the same with a slider.

    slides = microscope.examine(content, style, gatys.Config.fast(), steps=(1, 5, 20, 80))
    microscope.show(slides, caption="…", alt="…")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.methods import gatys
from course_lib.runtime import Progress
from course_lib.teaching import figures, interactive, records

CONTENT_COLOR = "#c8553d"
STYLE_COLORS = ("#e8c547", "#8fbf5a", "#3f8f8f", "#3a68a8", "#5b3a8c", "#2c1e4a")  # shallow to deep
OTHER_COLOR = "#8a8a8a"  # total variation


@dataclass
class Slides:
    """One run under the microscope; each list has one entry per step examined."""

    steps: list[int] = field(default_factory=list)
    losses: dict[str, list[float]] = field(default_factory=dict)  # term → weighted value
    lengths: dict[str, list[float]] = field(default_factory=dict)  # term → Euclidean norm of its gradient
    pictures: list[Tensor | Path] = field(default_factory=list)  # (1, 3, H, W) in [0, 1], or a stored file
    changes: list[Tensor | Path] = field(default_factory=list)  # bright where the total gradient is large
    pulls: list[Tensor | Path] = field(default_factory=list)  # in the color of the term that pulls hardest

    def add(self, step: int, picture: Tensor, terms: Mapping[str, tuple[float, Tensor]]) -> None:
        """Add one picture and its terms.

        Args:
            step: after which the picture was taken.
            picture: (1, 3, H, W) in [0, 1].
            terms: term → weighted value and gradient (1, 3, H, W), from `gatys.dissect`.
        """
        self.steps.append(step)
        for name, (value, gradient) in terms.items():
            self.losses.setdefault(name, []).append(value)
            self.lengths.setdefault(name, []).append(gradient.norm().item())
        gradients = {name: gradient for name, (_, gradient) in terms.items()}
        self.pictures.append(picture)
        self.changes.append(change_map(gradients))
        self.pulls.append(pull_map(gradients))

    def store(self, run: records.Record) -> None:
        """Store the slides in a record that is being made; `load` reads them back."""
        run.values.update(steps=self.steps, losses=self.losses, lengths=self.lengths)
        for kind in ("pictures", "changes", "pulls"):
            for step, picture in zip(self.steps, getattr(self, kind), strict=True):
                run.images[f"{kind} {step}"] = picture


def examine(
    content: Tensor | None,
    style: Tensor | Sequence[Tensor] | None,
    config: gatys.Config,
    *,
    steps: Sequence[int],
) -> Slides:
    """Run `gatys.stylize` and compute the value and gradient of each term after these steps.

    Args:
        content, style, config: as for `gatys.stylize`; the run ends after the last of `steps`, and has one size.
        steps: whole numbers from 1 up, in ascending order.

    Returns:
        `Slides` with one entry per step.
    """
    slides, kept = Slides(), {}

    def watch(progress: Progress) -> None:
        if progress.step in steps:
            kept[progress.step] = progress.image()

    gatys.stylize(content, style, replace(config, num_steps=max(steps), scales=None), callback=watch)
    for step, picture in kept.items():
        slides.add(step, picture, gatys.dissect(picture, content, style, config))
    return slides


def load(name: str) -> Slides:
    """The slides of a stored run; their pictures are paths.

    Raises:
        records.RecordError: no such run, or a damaged one.
    """
    record = records.load(name)
    slides = Slides(**{key: record.values[key] for key in ("steps", "losses", "lengths")})
    for kind in ("pictures", "changes", "pulls"):
        setattr(slides, kind, [record.images[f"{kind} {step}"] for step in slides.steps])
    return slides


def show(
    slides: Slides, *, caption: str, alt: str, only: Sequence[int] | None = None, size: int | None = 220
) -> figures.Figure:
    """Draw the shares over the steps, and below them one column of three pictures per step.

    Args:
        slides: from `examine` or `load`.
        caption, alt: as in `figures.sheet`.
        only: the steps whose pictures are shown (default: all).
        size: long side of the pictures in pixels.
    """
    shown = [k for k, step in enumerate(slides.steps) if only is None or step in only]
    rows = (slides.pictures, slides.changes, slides.pulls)
    images = [row[k] for row in rows for k in shown]
    words = ("step {}", "where it changes", "who pulls")
    titles = [word.format(slides.steps[k]) for word in words for k in shown]
    above = figures.drawing(_shares(slides), "Share of each term in the loss and in the gradient, over the steps.")
    return figures.sheet(images, titles=titles, caption=caption, alt=alt, columns=len(shown), size=size, above=above)


def explore(
    slides: Slides,
    *,
    caption: str,
    alt: str,
    at: int = -1,
    size: int | None = 220,
    quality: int = figures.QUALITY,
) -> figures.Figure:
    """An interactive version of `show`: a slider over the steps, with the shares and the pictures of each; no kernel.

    Args:
        slides: from `examine` or `load`.
        caption, alt, size, quality: as in `figures.sheet`.
        at: index of the step shown first.
    """
    rows = zip(slides.pictures, slides.changes, slides.pulls, strict=True)
    return interactive.frames(
        list(rows),
        labels=[str(step) for step in slides.steps],
        axis="steps",
        titles=["the picture", "where it changes", "who pulls"],
        notes=[_bars(slides, k) for k in range(len(slides.steps))],
        caption=caption,
        alt=alt,
        at=at,
        size=size,
        quality=quality,
    )


def change_map(gradients: Mapping[str, Tensor]) -> Tensor:
    """Map the norm of the total gradient at each pixel: dark where the picture no longer changes.

    Args:
        gradients: term → gradient (1, 3, H, W).

    Returns:
        (1, 3, H, W) in [0, 1].
    """
    total = torch.stack(list(gradients.values())).sum(0).norm(dim=1, keepdim=True)  # (1, 1, H, W)
    smooth = _blurred(total, 3)
    top = smooth.flatten().kthvalue(max(1, int(0.99 * smooth.numel()))).values  # ignore a few extreme pixels
    return figures.heatmap((smooth / top.clamp_min(1e-30)).clamp(0, 1)[0, 0], colors="magma")


def pull_map(gradients: Mapping[str, Tensor]) -> Tensor:
    """Map the term with the largest gradient around each pixel, in its color; bright where the gradients are large.

    Args:
        gradients: term → gradient (1, 3, H, W).

    Returns:
        (1, 3, H, W) in [0, 1].
    """
    lengths = torch.cat([gradient.norm(dim=1, keepdim=True) for gradient in gradients.values()])  # (K, 1, H, W)
    local = _blurred(lengths, max(3, min(lengths.shape[-2:]) // 24 | 1))
    palette = torch.tensor([_rgb(color) for color in colors(list(gradients)).values()])
    winner = palette[local.argmax(0)[0]]  # (H, W, 3)
    strength = local.sum(0)[0]  # (H, W)
    bright = 0.1 + 0.9 * strength / strength.max().clamp_min(1e-30)
    return (winner * bright[..., None]).permute(2, 0, 1)[None]


def colors(names: Sequence[str]) -> dict[str, str]:
    """A color for each term: red for content, yellow to violet for style from shallow to deep."""
    style = [name for name in names if name.startswith("style/")]
    palette = dict(zip(style, STYLE_COLORS * len(style), strict=False))
    return {name: palette.get(name, CONTENT_COLOR if name.startswith("content/") else OTHER_COLOR) for name in names}


def _shares(slides: Slides) -> Any:
    """Two stacked area charts side by side, as a matplotlib figure."""
    from matplotlib.figure import Figure as Canvas  # slow to import, and only needed here

    canvas = Canvas(figsize=(7.2, 2.6), layout="constrained", facecolor="white")
    palette = colors(list(slides.losses))
    for axes, values, title in zip(
        canvas.subplots(1, 2, sharey=True),
        (slides.losses, slides.lengths),
        ("share of the loss", "share of the gradient's length"),
        strict=True,
    ):
        table = torch.tensor(list(values.values()), dtype=torch.float64)  # (terms, steps)
        shares = (table / table.sum(0).clamp_min(1e-300)).tolist()
        areas = axes.stackplot(slides.steps, shares, colors=[palette[name] for name in values], linewidth=0)
        axes.set(xscale="log", xlabel="step", ylim=(0, 1), xlim=(slides.steps[0], slides.steps[-1]))
        axes.set_title(title, fontsize="medium")
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    canvas.legend(
        areas[::-1],
        [_short(name) for name in slides.losses][::-1],
        loc="outside right upper",
        frameon=False,
        fontsize="small",
    )
    return canvas


def _bars(slides: Slides, k: int) -> str:
    """HTML of two bars and a key: each term's share of the loss and of the gradient at one step."""
    rows, palette = "", colors(list(slides.losses))
    for title, values in (("loss", slides.losses), ("gradient", slides.lengths)):
        total = sum(series[k] for series in values.values()) or 1.0
        shares = {name: 100 * series[k] / total for name, series in values.items()}
        words = ", ".join(f"{_short(name)} {share:.0f} %" for name, share in shares.items())
        parts = "".join(
            f'<span style="width:{share:.2f}%;background:{palette[name]}"></span>' for name, share in shares.items()
        )
        rows += (
            f'<span>{title}</span><div class="bar" role="img" aria-label="share of the {title}: {words}">{parts}</div>'
        )
    key = "".join(f'<span><i style="background:{palette[name]}"></i>{_short(name)}</span>' for name in slides.losses)
    return f'<div class="bars">{rows}<div class="key">{key}</div></div>'


def _short(name: str) -> str:
    return name.replace("content/", "content ").replace("style/", "style ")


def _blurred(values: Tensor, width: int) -> Tensor:
    """Average over a window twice, with replicated borders; this is close to a Gaussian blur."""
    for _ in range(2):
        values = F.avg_pool2d(F.pad(values, [width // 2] * 4, mode="replicate"), width, stride=1)
    return values


def _rgb(color: str) -> list[float]:
    return [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
