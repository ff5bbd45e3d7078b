"""Convert published network files into plain state dicts, without running any code that a file may contain.

Every converter takes the bytes of one file and returns `{key: tensor}`. It reorders the numbers and never rounds
them, so the result is bit-identical on every machine, and `fingerprint` can confirm it.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import warnings
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

StateDict = dict[str, Tensor]

# Indices of the convolutions in the `features` part of the torchvision models.
VGG19_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
VGG16_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
ALEXNET_CONVOLUTIONS = (0, 3, 6, 8, 10)

# Their indices in the Sequential of the normalized VGG-19, which counts padding layers separately.
_PADDED_VGG19 = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)


class FormatError(ValueError):
    """A network file does not contain what it should, or would run code when opened."""


def normalized_vgg19(data: bytes) -> StateDict:
    """The normalized VGG-19 with the keys of `torchvision.models.vgg19().features`: `"0.weight"`, `"0.bias"`, …

    The file begins with a 1x1 convolution that converts RGB in [0, 1] to BGR in [0, 255] and subtracts the mean. The
    result omits it: the first kernel's input channels are flipped to RGB, and the rest of the preprocessing becomes
    `(x - mean) / std` with mean (123.68, 116.779, 103.939)/255 and std 1/255.

    Raises:
        FormatError: the file's preprocessing differs, or a layer is missing.
    """
    source = tensors_only(data)
    swap_and_scale = 255.0 * torch.eye(3).flip(0).reshape(3, 3, 1, 1)
    minus_mean = -torch.tensor([103.939, 116.779, 123.68])
    if not (_equal(source, "0.weight", swap_and_scale) and _equal(source, "0.bias", minus_mean)):
        raise FormatError("the VGG-19 file does not begin with the preprocessing this project knows")
    result = _renumbered(source, _PADDED_VGG19, VGG19_CONVOLUTIONS)
    result["0.weight"] = result["0.weight"].flip(1).contiguous()  # input channels BGR -> RGB
    return result


def adain_decoder(data: bytes) -> StateDict:
    """Huang and Belongie's decoder from relu4_1 to RGB, with the keys of its Sequential of 29 entries.

    Entries 1, 5, 8, 11, 14, 18, 21, 25 and 28 are convolutions, each after a reflection padding; entries 3, 16 and 23
    are nearest-neighbor upsampling.
    """
    convolutions = (1, 5, 8, 11, 14, 18, 21, 25, 28)
    return _renumbered(tensors_only(data), convolutions, convolutions)


def vgg16_features(data: bytes) -> StateDict:
    """The convolutions of torchvision's VGG-16, with the keys of `torchvision.models.vgg16().features`."""
    return _flax_convolutions(arrays_only(data), "VGG16_0", VGG16_CONVOLUTIONS)


def lpips_vgg16(data: bytes) -> StateDict:
    """The five linear heads of LPIPS v0.1 on VGG-16: `"heads.0.weight"` (1, 64, 1, 1) … `"heads.4.weight"`.

    They weight relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3 of the network `vgg16_torchvision`.
    """
    return _flax_heads(arrays_only(data))


def lpips_alexnet(data: bytes) -> StateDict:
    """AlexNet's convolutions (`"features.0.weight"` …, numbered as in torchvision) and the five LPIPS heads.

    `"heads.0.weight"` (1, 64, 1, 1) … `"heads.4.weight"` weight the outputs of the five ReLUs.
    """
    tree = arrays_only(data)
    convolutions = _flax_convolutions(tree, "AlexNet_0", ALEXNET_CONVOLUTIONS)
    return {f"features.{key}": value for key, value in convolutions.items()} | _flax_heads(tree)


def multistyle26(data: bytes) -> StateDict:
    """The 26-style network, with the keys of `course_lib.networks.multistyle26.MultiStyle26`.

    For each convolution: `"contract.0.conv.weight"` (O, C, k, k), and γ and β of the normalization after it,
    `"contract.0.norm.weight"` (26, O) and `"contract.0.norm.bias"` (26, O).
    """
    kinds = {".w": ".conv.weight", ".norm.gamma": ".norm.weight", ".norm.beta": ".norm.bias"}
    return {
        name.removesuffix(end) + kinds[end]: value
        for name, value in onnx_initializers(data).items()
        for end in kinds
        if name.endswith(end)
    }


def resnet_generator(data: bytes) -> StateDict:
    """A generator of CycleGAN, with the numbers of its Sequential as keys: `"1.weight"`, `"10.conv_block.1.weight"`, …

    Reads files of the authors' code and of its ports: each key begins with `model.`, and the convolutions of a residual
    block are in `conv_block` or `block`. The running means and variances that files from 2017 contain are left out, as
    in the authors' code: instance normalization takes its statistics from the picture.

    Raises:
        FormatError: a key does not begin with `model.`.
    """
    result: StateDict = {}
    for key, value in tensors_only(data).items():
        prefix, _, rest = key.partition(".")
        if prefix != "model" or not rest:
            raise FormatError(f"its entry {key!r} is not one of a ResNet generator, whose names begin with 'model.'")
        if rest.rpartition(".")[2] in ("weight", "bias"):
            result[rest.replace(".block.", ".conv_block.")] = value.contiguous()
    return result


def fingerprint(state_dict: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and numbers: independent of the file format, its version and its metadata.

    >>> fingerprint({"0.bias": torch.zeros(3)})[:12]
    '2e90e44d2352'
    """
    digest = hashlib.sha256()
    for key in sorted(state_dict):
        tensor = state_dict[key].detach().cpu().contiguous()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tensors_only(data: bytes) -> StateDict:
    """Read a state dict written by `torch.save`; anything other than tensors in plain containers is refused.

    Raises:
        FormatError: the file is damaged, contains something else, or would run code when opened.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about pickles that are refused anyway
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many unrelated types here
        raise FormatError(
            "it cannot be read as tensors alone: it is damaged, or a pickle that could run any code on this "
            "computer when opened. If you trust it, convert it once: "
            'safetensors.torch.save_file(model.state_dict(), "network.safetensors")'
        ) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise FormatError(f"it holds a {type(content).__name__}, not a state dict {{name: tensor}}")
    return {str(key): value for key, value in content.items()}


_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],  # NumPy 1 and 2 name it
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],  # differently
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        raise FormatError(f"it asks for {module}.{name}; only NumPy arrays are read from a pickle here")


def arrays_only(data: bytes) -> dict[str, Any]:
    """Unpickle nested dicts of NumPy arrays; the reader allows the three names that NumPy needs and no others.

    Raises:
        FormatError: the pickle names anything else (nothing of it is run then), or is damaged.
    """
    try:
        content = _ArraysOnly(io.BytesIO(data)).load()
    except FormatError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise FormatError(f"it is not a readable pickle ({type(error).__name__}: {error})") from error
    if not isinstance(content, dict):
        raise FormatError(f"it holds a {type(content).__name__}, not a dict of arrays")
    return content


def onnx_initializers(data: bytes) -> StateDict:
    """The stored float32 tensors of an ONNX file by name; the computations in its graph are not read.

    An ONNX file is a protocol-buffer message. Its field 7 is the graph, field 5 of the graph is a tensor, and fields 1,
    2, 8 and 9 of a tensor are its shape, its number format, its name and its numbers. Nothing in the file is executed.

    Raises:
        FormatError: the file is damaged, or a tensor is not stored as float32 in the file itself.
    """
    found: StateDict = {}
    graphs = [part for field, part in _fields(memoryview(data)) if field == 7]
    tensors = [part for graph in graphs for field, part in _fields(_message(graph)) if field == 5]
    for tensor in tensors:
        sides, kind, name, numbers = [], 0, "", memoryview(b"")
        for field, part in _fields(_message(tensor)):
            if field == 1:
                sides += [part] if isinstance(part, int) else _whole_numbers(part)
            elif field == 2:
                kind = part if isinstance(part, int) else 0
            elif field == 8:
                name = bytes(_message(part)).decode(errors="replace")
            elif field == 9:
                numbers = _message(part)
        if kind != 1 or len(numbers) != 4 * prod(sides):  # 1 is float32
            raise FormatError(f"its tensor {name!r} is not {' × '.join(map(str, sides))} float32 numbers")
        found[name] = torch.from_numpy(np.frombuffer(numbers, "<f4").reshape(sides).astype(np.float32))
    if not found:
        raise FormatError("it is not an ONNX file with stored tensors")
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a protocol-buffer message: their numbers, and a whole number or bytes for each."""
    at = 0
    while at < len(data):
        key, at = _whole_number(data, at)
        if (wire := key & 7) == 0:
            value, at = _whole_number(data, at)
            yield key >> 3, value
            continue
        if wire not in (1, 2, 5):  # 64 bits, bytes after their count, 32 bits
            raise FormatError("it is not an ONNX file, or it is damaged")
        length, at = _whole_number(data, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
        if at + length > len(data):
            raise FormatError("it ends too early")
        yield key >> 3, data[at : at + length]
        at += length


def _whole_number(data: memoryview, at: int) -> tuple[int, int]:
    """A whole number, stored in groups of seven bits, lowest first, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise FormatError("it ends too early")
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise FormatError("it is not an ONNX file, or it is damaged")


def _whole_numbers(data: memoryview) -> list[int]:
    numbers, at = [], 0
    while at < len(data):
        value, at = _whole_number(data, at)
        numbers.append(value)
    return numbers


def _message(part: int | memoryview) -> memoryview:
    if isinstance(part, int):
        raise FormatError("it is not an ONNX file, or it is damaged")
    return part


def _renumbered(source: StateDict, old: tuple[int, ...], new: tuple[int, ...]) -> StateDict:
    try:
        return {
            f"{n}.{kind}": source[f"{o}.{kind}"].contiguous()
            for o, n in zip(old, new, strict=True)
            for kind in ("weight", "bias")
        }
    except KeyError as error:
        raise FormatError(f"the file has no entry {error}") from error


def _flax_convolutions(tree: dict[str, Any], net: str, positions: tuple[int, ...]) -> StateDict:
    result: StateDict = {}
    try:
        for index, position in enumerate(positions):
            layer = tree[net][f"Conv_{index}"]
            result[f"{position}.weight"] = _oihw(layer["kernel"])
            result[f"{position}.bias"] = torch.from_numpy(layer["bias"].copy())
    except KeyError as error:
        raise FormatError(f"the file has no entry {error}") from error
    return result


def _flax_heads(tree: dict[str, Any]) -> StateDict:
    try:
        kernels = [tree[f"NetLinLayer_{k}"]["Conv_0"]["kernel"] for k in range(5)]
    except KeyError as error:
        raise FormatError(f"the file has no entry {error}") from error
    return {f"heads.{k}.weight": _oihw(kernel) for k, kernel in enumerate(kernels)}


def _oihw(kernel: np.ndarray) -> Tensor:
    """JAX's order (height, width, in, out) -> PyTorch's (out, in, height, width)."""
    return torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))


def _equal(source: StateDict, key: str, expected: Tensor) -> bool:
    return key in source and source[key].shape == expected.shape and torch.allclose(source[key], expected)
