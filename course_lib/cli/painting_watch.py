"""What is seen of a picture while it is optimized: the bar, a preview to watch, and copies after every N steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib.cli.terminal import say, what_happened
from course_lib.images import save_image
from course_lib.runtime import Progress

BETWEEN = 2.0  # seconds from one preview to the next


class Watch:
    """The callback of a run: it shows loss and remaining time, and keeps what was reported last.

    Args:
        bar: of `terminal.bar`.
        preview: a file that the picture so far replaces, the first time after the first step; None: no preview.
        every: after how many steps `copy` is called; None: never.
        copy: saves a copy of a picture; it gets the number of the step and the picture.
    """

    def __init__(
        self,
        bar: Any,
        *,
        preview: Path | None = None,
        every: int | None = None,
        copy: Callable[[int, Tensor], None] | None = None,
    ) -> None:
        self.bar, self.preview, self.every, self.copy = bar, preview, every, copy
        self.latest: Progress | None = None
        self.shown = -BETWEEN  # when the last preview was written
        self.unseen = False  # the last preview failed

    def __call__(self, progress: Progress) -> None:
        self.latest = progress
        self.bar.total = progress.num_steps  # of all sizes
        self.bar.set_postfix(loss=f"{progress.losses['total']:.3g}", refresh=False)
        self.bar.update()
        if self.preview is not None and progress.seconds - self.shown >= BETWEEN:
            self.shown = progress.seconds
            self._show(progress, self.preview)
        if self.every is not None and self.copy is not None and progress.step % self.every == 0:
            self.copy(progress.step, progress.image())

    def _show(self, progress: Progress, preview: Path) -> None:
        try:
            save_image(progress.image().clamp(0, 1), preview)
        except (OSError, ValueError) as error:  # a full disk ends no run
            if not self.unseen:
                say(f"step {progress.step}: no preview ({what_happened(error).rstrip('.')}); painting continues")
            self.unseen = True
        else:
            self.unseen = False
