"""Watches a run's numbers: if a loss or a gradient stops being finite, the network goes back to its last good weights.

Reading a number makes the host wait for the accelerator. So the terms and gradient norms of several steps stay on the
device until `FiniteGuard.look` fetches them together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from course_lib.training.checkpoints import RunState
from course_lib.training.distributed import Group


class FiniteGuard:
    """Collects the numbers of each step, and keeps a copy of the weights as of the last look at them."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.unread: list[Tensor] = []  # (K + 1,) for each step: its terms, and `gradient`
        self.norms: list[Tensor] = []  # of this step's gradients, one for each optimizer
        self.good: dict[str, Tensor] = {}
        self.keep()

    def keep(self) -> None:
        """Remember the present weights as good, on their device, and in the same memory each time."""
        present = self.state.network.state_dict()
        if self.good.keys() != present.keys():
            self.good = {name: value.detach().clone() for name, value in present.items()}
        for name, value in present.items():
            self.good[name].copy_(value)
        average = self.state.average
        self.good_average = None if average is None else {name: value.clone() for name, value in average.items()}

    def before_optimizer(self, group: Group) -> Callable[..., None]:
        """A hook for `register_step_pre_hook`: averages gradients over the processes, and notes their norm."""

        def hook(optimizer: torch.optim.Optimizer, *_: object) -> None:
            parameters = [parameter for settings in optimizer.param_groups for parameter in settings["params"]]
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            for gradient in gradients:
                group.mean(gradient)
            self.norms.append(nn.utils.get_total_norm(gradients))

        return hook

    def gradient(self) -> Tensor:
        """One number, (1,), that is finite if all gradients of the step were."""
        total = torch.stack(self.norms).sum().view(1)
        self.norms.clear()
        return total

    def forget_step(self) -> None:
        """Drop what an unfinished step left behind."""
        self.norms.clear()
        for optimizer in self.state.optimizers.values():
            optimizer.zero_grad(set_to_none=True)

    def look(self, names: Sequence[str]) -> str | None:
        """Move the numbers that are not read yet into the state's rows.

        Args:
            names: of the terms.

        Returns:
            None if all are finite. Otherwise a sentence that says at which step which number was not; the network and
            the average then have their weights as of the last look.
        """
        if not self.unread:
            return None
        rows = torch.stack(self.unread).cpu()  # (steps, K + 1)
        self.unread.clear()
        broken = (~rows.isfinite()).nonzero().tolist()  # in order of steps
        if not broken:
            self.state.rows += rows[:, :-1].tolist()
            self.keep()
            return None
        self._go_back()
        first, column = broken[0]
        state = self.state
        state.rows += rows[:first, :-1].tolist()
        state.seconds, state.factors = state.seconds[: len(state.rows)], state.factors[: len(state.rows)]
        advice = "try a smaller learning_rate, precision='float32', or a smaller weight on that term"
        term = (*names, "the gradient")[column]
        return f"step {len(state.rows) + 1}: {term} is not finite any more; {advice}"

    def _go_back(self) -> None:
        self.state.network.load_state_dict(self.good)
        self.state.network.eval()
        if self.state.average is not None and self.good_average is not None:
            for name, value in self.state.average.items():
                value.copy_(self.good_average[name])
