"""The two passes of `VGGFeatures` without autograd, as fast as the device allows.

Forward: it keeps the requested layers and every ReLU's output. Backward: the chain rule, written out, from the deepest
layer to the image. On a CPU, `winograd` computes the convolutions where it is faster; on CUDA, a convolution and its
ReLU share a kernel where cuDNN has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.pretrained import winograd as winograd_room
from course_lib.runtime import available_memory, seeded_generator


class Passes(nn.Module):
    """What `VGGFeatures` inherits: a stack of convolutions, ReLUs and poolings, named in order."""

    mean: Tensor
    std: Tensor
    pooling: str
    padding: str
    winograd: bool
    names: tuple[str, ...]  # to the deepest requested layer
    layers: tuple[str, ...]  # the requested ones

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleDict()
        self._filters: dict[tuple[str, bool], winograd_room.Filters] = {}  # (convolution, turned?)
        self._short_of_memory = False
        self.register_load_state_dict_post_hook(_forget_filters)

    def _enter(self, image: Tensor) -> Tensor:
        """The image in the network's own scale, number format and memory layout."""
        raise NotImplementedError

    @property
    def precision(self) -> torch.dtype:
        """Number format of the convolutions and of the features."""
        return next(self.convs.parameters()).dtype

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Passes:
        self._filters.clear()  # they belong to the old weights
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def forward_with_cache(self, image: Tensor) -> dict[str, Tensor]:
        """A forward pass that keeps what `backward_to_image` needs: the requested layers and every ReLU's output.

        On a CPU it may use Winograd's algorithm, so that the features differ from `forward`'s by rounding.

        Args and Raises: as `forward`.

        Returns:
            A dict from layer name to (N, C, h, w), in the network's precision and channels-last in memory. With
            max pooling it also holds ``"pool1 indices"``, …: the position of each maximum, as
            `torch.nn.functional.max_pool2d` returns it.
        """
        kept = {name for name in self.names if name in self.layers or name.startswith("relu")}
        return self._pass(image, kept, indices=True)

    @torch.no_grad()
    def targets(self, image: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """The same features as `forward_with_cache`, bit by bit, of the given layers only: less memory.

        Features of a picture and its targets are subtracted from each other, so both must be rounded alike.

        Args, Returns and Raises: as `forward`.
        """
        wanted = self.layers if layers is None else layers
        found = self._pass(image, {*wanted}, indices=False) if wanted else {}
        return {name: found[name] for name in self.layers if name in wanted}

    def _pass(self, image: Tensor, keep: set[str], *, indices: bool) -> dict[str, Tensor]:
        x, cache = self._enter(image), {}
        if not self._short_of_memory:
            self.prepare(*image.shape[2:])
        joined = self._joined(x.device, x.dtype)
        space = winograd_room.Workspace(torch.promote_types(x.dtype, torch.float32))
        for name, below in zip(self.names, ("", *self.names), strict=False):
            if name.startswith("conv"):
                x = self._convolve(name, x, space, joined)
            elif name.startswith("relu"):
                x = F.relu(x) if below in self.layers else x  # otherwise `_convolve` has rectified it
            elif self.pooling == "average":
                x = F.avg_pool2d(x, 2)
            elif indices:
                x, cache[f"{name} indices"] = F.max_pool2d(x, 2, return_indices=True)
            else:
                x = F.max_pool2d(x, 2)
            if name in keep:
                cache[name] = x
                if keep <= cache.keys():
                    break
        return cache

    def _convolve(self, name: str, x: Tensor, space: winograd_room.Workspace, joined: frozenset[str]) -> Tensor:
        """The convolution and, unless its own output is requested, the ReLU after it."""
        conv, relu = self.convs[name], name not in self.layers
        assert isinstance(conv, nn.Conv2d)
        if name in joined:
            return torch.cudnn_convolution_relu(x, conv.weight, conv.bias, (1, 1), (1, 1), (1, 1), 1)
        filters = self._filters_for(name, x, turned=False)
        if filters is not None:
            return winograd_room.convolve(x, filters, space, relu=relu, reflect=self.padding == "reflect")
        x = conv(x)
        return F.relu_(x) if relu else x

    def _filters_for(self, name: str, x: Tensor, *, turned: bool) -> winograd_room.Filters | None:
        """The transformed filters, if Winograd's algorithm is the faster one for an input of this size."""
        filters = self._filters.get((name, turned)) if self.winograd and x.device.type == "cpu" else None
        if filters is not None and winograd_room.pays(x.dtype, *filters.values.shape[1:], *x.shape[2:], turned=turned):
            return filters
        return None

    def _fast_layers(self, height: int, width: int) -> Iterator[tuple[str, nn.Conv2d, bool, int, int]]:
        """The convolutions for which Winograd's algorithm is used at this size of image."""
        if not self.winograd or self.mean.device.type != "cpu":
            return
        for name in self.names:
            if name.startswith("pool"):
                height, width = height // 2, width // 2
            elif name.startswith("conv"):
                conv = self.convs[name]
                assert isinstance(conv, nn.Conv2d)
                for turned in (False, True) if self.padding == "zeros" else (False,):  # see `_convolve_back`
                    if winograd_room.pays(
                        self.precision, conv.in_channels, conv.out_channels, height, width, turned=turned
                    ):
                        yield name, conv, turned, height, width

    def filter_bytes(self, height: int, width: int) -> int:
        """Bytes of the transformed filters for images of this size, over those of the filters themselves."""
        return sum(winograd_room.Filters.bytes_of(conv.weight) for _, conv, *_ in self._fast_layers(height, width))

    def prepare(self, height: int, width: int, needed: int | None = None) -> None:
        """Transform the filters for images of this size; if memory is short, do without until the next call.

        Every pass of a new size calls it. Call it yourself to name what else has to fit.

        Args:
            height, width: of the images, in pixels.
            needed: bytes to leave for the passes and everything else; None: `memory_needed`.
        """
        missing = {
            (name, turned): conv
            for name, conv, turned, *_ in self._fast_layers(height, width)
            if (name, turned) not in self._filters
        }
        size = sum(winograd_room.Filters.bytes_of(conv.weight) for conv in missing.values())
        free = available_memory(self.mean.device) if missing else None
        needed = self.memory_needed(height, width) if needed is None else needed
        self._short_of_memory = free is not None and needed + size > free
        if not self._short_of_memory:
            for (name, turned), conv in missing.items():
                bias = None if turned else conv.bias
                self._filters[name, turned] = winograd_room.Filters.of(conv.weight, bias, turned=turned)

    def _joined(self, device: torch.device, precision: torch.dtype) -> frozenset[str]:
        """The convolutions that share one kernel with their ReLU, because their own output is not requested."""
        if device.type != "cuda" or self.padding != "zeros":
            return frozenset()
        joined, convs = set(), dict(self.convs.items())
        for name, after in zip(self.names, self.names[1:], strict=False):
            conv = convs.get(name)
            if not isinstance(conv, nn.Conv2d) or not after.startswith("relu") or name in self.layers:
                continue
            if _fuses(device, precision, conv.in_channels, conv.out_channels):
                joined.add(name)
        return frozenset(joined)

    @torch.no_grad()
    def backward_to_image(self, cache: dict[str, Tensor], add: Callable[[str, Tensor], None]) -> Tensor:
        """Propagate a gradient from the deepest layer back to the image: the chain rule, written out.

        Args:
            cache: what `forward_with_cache` returned.
            add: called as ``add(layer, gradient)`` at each requested layer, deepest first; it adds that layer's own
                ∂L/∂features in place to `gradient`, (N, C, h, w), channels-last.

        Returns:
            ∂L/∂image, (N, 3, H, W), float32 (float64 for a network in float64).
        """
        gradient = torch.zeros_like(cache[self.names[-1]])
        space = winograd_room.Workspace(torch.promote_types(gradient.dtype, torch.float32))
        for name, below in reversed(list(zip(self.names, ("", *self.names), strict=False))):
            if name in self.layers:
                add(name, gradient)
            if name.startswith("relu"):  # in place: the gradient passes where the output is positive
                torch.ops.aten.threshold_backward.grad_input(gradient, cache[name], 0, grad_input=gradient)
            elif name.startswith("conv"):
                gradient = self._convolve_back(name, gradient, space)
                if self.padding == "reflect":  # add the border's gradient where it was reflected from
                    seen = gradient[..., 1:-1, 1:-1]  # of the size before the border was added
                    gradient = torch.ops.aten.reflection_pad2d_backward(gradient, seen, [1, 1, 1, 1])
            elif self.pooling == "average":
                gradient = _unpool(gradient, cache[below])
            else:
                gradient = torch.ops.aten.max_pool2d_with_indices_backward(
                    gradient, cache[below], [2, 2], [2, 2], [0, 0], [1, 1], False, cache[f"{name} indices"]
                )
            gradient = gradient.contiguous(memory_format=torch.channels_last)  # no copy on most devices
        return (gradient.to(torch.promote_types(self.precision, torch.float32)) / self.std).contiguous()

    def _convolve_back(self, name: str, gradient: Tensor, space: winograd_room.Workspace) -> Tensor:
        """The gradient with respect to the convolution's input, including a reflected border; filters are frozen."""
        conv = self.convs[name]
        assert isinstance(conv, nn.Conv2d)
        if self.padding == "reflect":
            return F.conv_transpose2d(gradient, conv.weight)
        filters = self._filters_for(name, gradient, turned=True)
        if filters is not None:
            return winograd_room.convolve(gradient, filters, space)
        if name == self.names[0] and gradient.device.type == "cpu":
            return _to_colors(gradient, conv.weight)
        return F.conv_transpose2d(gradient, conv.weight, padding=1)

    def memory_needed(self, height: int, width: int) -> int:
        """Peak memory in bytes of `forward_with_cache` and `backward_to_image` for one image of this size.

        Counted from the layers' sizes: everything that is cached, for the largest layer either two gradients or the
        float32 copy that a Gram matrix needs, whichever is larger, and the workspace of Winograd's algorithm. The
        transformed filters are counted apart, because they stay: `filter_bytes`.

        Args:
            height, width: of the image, in pixels.
        """
        item, total, largest, channels = self.precision.itemsize, 0, 0, 3
        total += max(
            (
                winograd_room.workspace_bytes(conv.in_channels, conv.out_channels, h, w)
                for _, conv, _, h, w in self._fast_layers(height, width)
            ),
            default=0,
        )
        for name in self.names:
            if name.startswith("conv"):
                conv = self.convs[name]
                assert isinstance(conv, nn.Conv2d)
                channels = conv.out_channels
            elif name.startswith("pool"):
                height, width = height // 2, width // 2
                total += 8 * channels * height * width * (self.pooling == "max")  # indices, int64
            if name.startswith("relu") or name in self.layers:
                total += item * channels * height * width
                largest = max(largest, channels * height * width)
        return total + max(2 * item, 4) * largest


def _forget_filters(network: Passes, _: object) -> None:
    network._filters.clear()  # they belong to the old weights


def _unpool(gradient: Tensor, below: Tensor) -> Tensor:
    """The gradient of average pooling: a quarter to each of four places, and 0 to a last odd row or column.

    Args:
        gradient: (N, C, h, w).
        below: (N, C, H, W), the input of the pooling.
    """
    if gradient.device.type != "cpu":
        return torch.ops.aten.avg_pool2d_backward(gradient, below, [2, 2], [2, 2], [0, 0], False, True, None)
    spread = F.interpolate(gradient / 4, scale_factor=2)  # on a CPU two to five times as fast
    rest = [have - got for have, got in zip(below.shape[2:], spread.shape[2:], strict=True)]
    return F.pad(spread, (0, rest[1], 0, rest[0])) if any(rest) else spread


def _to_colors(gradient: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the first convolution: one matrix product, and its nine parts moved and added.

    With three channels on one side, this is twice as fast on a CPU as `conv_transpose2d`. The parts are added in
    float32.

    Args:
        gradient: (N, O, H, W).
        weight: (O, 3, 3, 3).

    Returns:
        (N, 3, H, W), float32 (float64 for a network in float64).
    """
    count, _, height, width = gradient.shape
    places = gradient.permute(0, 2, 3, 1).flatten(0, 2)  # (N·H·W, O)
    parts = weight.permute(2, 3, 1, 0).flatten(0, 2) @ places.t()  # (27, N·H·W)
    parts = parts.view(3, 3, 3, count, height, width)
    shape = (3, count, height + 2, width + 2)
    total = torch.zeros(shape, dtype=torch.promote_types(parts.dtype, torch.float32))
    for y in range(3):
        for x in range(3):
            total[..., y : y + height, x : x + width] += parts[y, x]
    return total[..., 1:-1, 1:-1].transpose(0, 1)


@lru_cache(maxsize=64)
def _fuses(device: torch.device, precision: torch.dtype, channels_in: int, channels_out: int) -> bool:
    """Whether cuDNN runs convolution, bias and ReLU of this shape in one kernel and returns the same numbers.

    This has to be tried, because cuDNN looks for an engine for each shape separately. The trial runs in memory
    that was filled with NaN, because the kernel receives an uninitialized output.
    """
    if device.type != "cuda" or precision not in (torch.bfloat16, torch.float16) or channels_in % 8:
        return False
    generator = seeded_generator(0)
    x, weight = (
        torch.randn(shape, generator=generator).to(device, precision).contiguous(memory_format=torch.channels_last)
        for shape in ((1, channels_in, 24, 20), (channels_out, channels_in, 3, 3))
    )
    bias = torch.randn(channels_out, generator=generator).to(device, precision)
    plain = F.relu(F.conv2d(x, weight, bias, padding=1))
    spoiled = torch.full_like(plain, float("nan"))
    del spoiled  # the allocator hands out this memory next
    try:
        fused = torch.cudnn_convolution_relu(x, weight, bias, (1, 1), (1, 1), (1, 1), 1)
    except (AttributeError, RuntimeError):  # older PyTorch, another build, or no engine for this shape
        return False
    near = (fused.float() - plain.float()).norm() <= 0.01 * plain.float().norm()  # also False for NaN
    return bool(near) and fused.is_contiguous(memory_format=torch.channels_last)
