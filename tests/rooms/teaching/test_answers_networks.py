"""Answers to the tasks on architectures: the same network written in other ways, and networks with one mistake."""

from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from answers import enough, judge, parameters
from torch import nn

from course_lib.networks import layers
from course_lib.networks.transformer_net import TransformerNet
from course_lib.teaching import checks


def conv(before, after, kernel=3, stride=1, border="reflect", bias=True):
    return nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, padding_mode=border, bias=bias)


def norm(channels, affine=True):
    return nn.InstanceNorm2d(channels, affine=affine)


class Block(nn.Module):
    """A residual block with a switch for each mistake."""

    def __init__(self, channels, *, border="reflect", between=F.relu, order="cnr", late=None, scale=1.0, last=None,
                 make=norm):  # fmt: skip
        super().__init__()
        self.conv1, self.norm1 = conv(channels, channels, border=border), make(channels)
        self.conv2, self.norm2 = conv(channels, channels, border=border), make(channels)
        self.between, self.order, self.late, self.scale, self.last = between, order, late, scale, last

    def forward(self, x):
        y = x
        for letter in self.order:
            y = {"c": self.conv1, "n": self.norm1, "r": self.between}[letter](y)
        y = self.norm2(self.conv2(y))
        y = x + self.scale * (y if self.late is None else self.late(y))
        return y if self.last is None else self.last(y)


class Reversed(nn.Module):
    """Defined in another order than used, with a module of its own for the sum."""

    def __init__(self, channels):
        super().__init__()
        self.second = nn.Sequential(conv(channels, channels), norm(channels))
        self.first = nn.Sequential(conv(channels, channels), norm(channels), nn.ReLU(inplace=True))

    def forward(self, x):
        return self.second(self.first(x)).add(x)


class Padded(nn.Module):
    """Borders by `nn.ReflectionPad2d`, as in the authors' code."""

    def __init__(self, channels):
        super().__init__()
        parts = []
        for k in range(2):
            parts += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), norm(channels)]
            parts += [] if k else [nn.ReLU()]
        self.body = nn.Sequential(*parts)

    def forward(self, x):
        return self.body(x) + x


class OwnNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale, self.shift = (
            nn.Parameter(torch.ones(1, channels, 1, 1)),
            nn.Parameter(torch.zeros(1, channels, 1, 1)),
        )

    def forward(self, x):
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
        return (x - mean) / (variance + 1e-5).sqrt() * self.scale + self.shift


class Functional(nn.Module):
    """No convolution modules at all."""

    def __init__(self, channels):
        super().__init__()
        inner = nn.Conv2d(channels, channels, 3), nn.Conv2d(channels, channels, 3)
        self.w1, self.b1, self.w2, self.b2 = (p for one in inner for p in one.parameters())
        self.n1, self.n2 = norm(channels), norm(channels)

    def forward(self, x):
        y = self.n1(F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), self.w1, self.b1)).relu()
        return x + self.n2(F.conv2d(F.pad(y, (1, 1, 1, 1), "reflect"), self.w2, self.b2))


class Inherited(layers.ResidualBlock):
    def __init__(self, channels):
        super().__init__(channels, "instance")


def started(factory):
    """With the start of DCGAN: all weights drawn anew, the norms' around one."""

    def make(*sizes):
        network = factory(*sizes)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, 0.02)
            elif isinstance(module, nn.InstanceNorm2d | nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1, 0.02)
        return network

    return make


CHECK = checks.check_residual_block
OTHER = "is not a ReLU"
BLOCKS = [
    (CHECK, "modules and functions", Block, None),
    (CHECK, "the library's", lambda c: layers.ResidualBlock(c, "instance"), None),
    (CHECK, "a subclass", Inherited, None),
    (CHECK, "defined in another order", Reversed, None),
    (CHECK, "padding layers", Padded, None),
    (CHECK, "a norm of its own", partial(Block, make=OwnNorm), None),
    (CHECK, "group norm, one channel a group", partial(Block, make=lambda c: nn.GroupNorm(c, c)), None),
    (CHECK, "functional", Functional, None),
    (CHECK, "another start", started(Block), None),
    (CHECK, "clamp", partial(Block, between=lambda y: y.clamp(min=0)), None),
    (CHECK, "maximum", partial(Block, between=lambda y: torch.maximum(y, torch.zeros(()))), None),
    (CHECK, "no ReLU", partial(Block, between=lambda y: y), "is nonlinear"),
    (CHECK, "leaky", partial(Block, between=F.leaky_relu), OTHER),
    (CHECK, "leaky 0.2", partial(Block, between=lambda y: F.leaky_relu(y, 0.2)), OTHER),
    (CHECK, "tanh", partial(Block, between=torch.tanh), OTHER),
    (CHECK, "GELU", partial(Block, between=F.gelu), OTHER),
    (CHECK, "ELU", partial(Block, between=F.elu), OTHER),
    (CHECK, "ReLU before its norm", partial(Block, order="crn"), "swapped"),
    (CHECK, "norm first", partial(Block, order="ncr"), "gives another output|frame"),
    (CHECK, "ReLU first", partial(Block, order="rcn"), "gives another output"),
    (CHECK, "ReLU before the sum", partial(Block, late=F.relu), "nothing negative can be added"),
    (CHECK, "ReLU after the sum", partial(Block, last=F.relu), "does nothing after the sum"),
    (CHECK, "norm after the sum", partial(Block, last=F.instance_norm), "return its input unchanged"),
    (CHECK, "a tenth", partial(Block, scale=0.1), "gives another output"),
    (CHECK, "subtracted", partial(Block, scale=-1.0), "gives another output"),
    (CHECK, "zeros", partial(Block, border="zeros"), "beyond the border"),
    (CHECK, "repeated border", partial(Block, border="replicate"), "beyond"),
    (CHECK, "circular", partial(Block, border="circular"), "beyond"),
    (CHECK, "batch norm", partial(Block, make=nn.BatchNorm2d), "neighbors in the batch"),
    (CHECK, "no affine", partial(Block, make=partial(norm, affine=False)), "fewer than"),
    (CHECK, "one group", partial(Block, make=lambda c: nn.GroupNorm(1, c)), "gives another output"),
    (CHECK, "one convolution", lambda c: nn.Sequential(conv(c, c), norm(c)), "fewer than"),
    (CHECK, "a module, no class", Block(8), "could not be called"),
    (CHECK, "a number", lambda c: c, "expected a network"),
]  # fmt: skip


class Upsampling(nn.Module):
    def __init__(self, a, b, *, enlarge=None, border="reflect", first=True, after=None):
        super().__init__()
        self.conv = conv(a, b, border=border)
        self.enlarge = enlarge or partial(F.interpolate, scale_factor=2)
        self.first, self.after = first, after

    def forward(self, x):
        y = self.conv(self.enlarge(x)) if self.first else self.enlarge(self.conv(x))
        return y if self.after is None else self.after(y)


def repeated(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def expanded(x):
    n, c, h, w = x.shape
    return x[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)


CHECK = checks.check_upsampling
UPSAMPLINGS = [
    (CHECK, "interpolate", Upsampling, None),
    (CHECK, "Upsample", lambda a, b: nn.Sequential(nn.Upsample(scale_factor=2), conv(a, b)), None),
    (CHECK, "UpsamplingNearest2d", lambda a, b: nn.Sequential(nn.UpsamplingNearest2d(None, 2), conv(a, b)), None),
    (CHECK, "the library's", lambda a, b: layers.upsampling("resize", a, b), None),
    (CHECK, "repeated", partial(Upsampling, enlarge=repeated), None),
    (CHECK, "expanded", partial(Upsampling, enlarge=expanded), None),
    (CHECK, "kron", partial(Upsampling, enlarge=lambda x: torch.kron(x, torch.ones(2, 2))), None),
    (CHECK, "padding layer", lambda a, b: nn.Sequential(nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1),
        nn.Conv2d(a, b, 3)), None),
    (CHECK, "another start", started(Upsampling), None),
    (CHECK, "bilinear", partial(Upsampling, enlarge=partial(F.interpolate, scale_factor=2, mode="bilinear")),
        "not repeated but interpolated"),
    (CHECK, "bicubic", partial(Upsampling, enlarge=partial(F.interpolate, scale_factor=2, mode="bicubic")),
        "not repeated but interpolated"),
    (CHECK, "convolved first", partial(Upsampling, first=False), "convolved before it is enlarged"),
    (CHECK, "transposed", lambda a, b: nn.ConvTranspose2d(a, b, 3, 2, 1, 1), "pattern of period 2"),
    (CHECK, "transposed 4", lambda a, b: nn.ConvTranspose2d(a, b, 4, 2, 1), "pattern of period 2"),
    (CHECK, "zeros between", partial(Upsampling, enlarge=lambda x: torch.kron(x, torch.tensor([[1.0, 0], [0, 0]]))),
        "pattern of period 2"),
    (CHECK, "pixel shuffle", lambda a, b: nn.Sequential(conv(a, 4 * b), nn.PixelShuffle(2)), "pattern of period 2"),
    (CHECK, "zeros at the border", partial(Upsampling, border="zeros"), "frame"),
    (CHECK, "ReLU", partial(Upsampling, after=F.relu), "something follows"),
    (CHECK, "norm", partial(Upsampling, after=F.instance_norm), "something follows"),
    (CHECK, "no offset", lambda a, b: nn.Sequential(nn.Upsample(scale_factor=2), conv(a, b, bias=False)), "fewer than"),
    (CHECK, "five by five", lambda a, b: nn.Sequential(nn.Upsample(scale_factor=2), conv(a, b, 5)), "more than"),
    (CHECK, "four times", lambda a, b: nn.Sequential(nn.Upsample(scale_factor=4), conv(a, b)), "must become"),
    (CHECK, "not enlarged", conv, "must become"),
    (CHECK, "channels exchanged", lambda a, b: Upsampling(b, a), "stopped with RuntimeError"),
]  # fmt: skip


class Painter(nn.Module):
    """The network of the table with a switch for each mistake, a quarter of them in `options` of the block."""

    def __init__(self, *, enter=lambda x: (x - 0.5) * 4, leave=lambda x: 0.5 + 0.5 * torch.tanh(x), act=F.relu,
                 blocks=5, border="reflect", enlarge=None, outer=norm, last_norm=False, **options):  # fmt: skip
        super().__init__()
        self.enter, self.leave, self.act = enter, leave, act
        down = [(3, 32, 9, 1), (32, 64, 3, 2), (64, 128, 3, 2)]
        self.down = nn.ModuleList([conv(a, b, k, s, border) for a, b, k, s in down])
        self.down_norms = nn.ModuleList([outer(b) for _, b, _, _ in down])
        self.blocks = nn.Sequential(*(Block(128, border=border, **options) for _ in range(blocks)))
        self.up = nn.ModuleList([Upsampling(a, b, border=border, enlarge=enlarge) for a, b in ((128, 64), (64, 32))])
        self.up_norms = nn.ModuleList([outer(b) for b in (64, 32)])
        self.paint = conv(32, 3, 9, border=border)
        self.last_norm = norm(3) if last_norm else nn.Identity()

    def forward(self, x):
        x = self.enter(x)
        for layer, one in zip(self.down, self.down_norms, strict=True):
            x = self.act(one(layer(x)))
        x = self.blocks(x)
        for layer, one in zip(self.up, self.up_norms, strict=True):
            x = self.act(one(layer(x)))
        return self.leave(self.last_norm(self.paint(x)))


BILINEAR = partial(F.interpolate, scale_factor=2, mode="bilinear")


class Own(TransformerNet):
    """A subclass of the library's."""


CHECK = checks.check_transformer_net
PAINTERS = [
    (CHECK, "the library's", TransformerNet, None),
    (CHECK, "a subclass", Own, None),
    (CHECK, "lists of modules", Painter, None),
    (CHECK, "sigmoid of twice the value", partial(Painter, leave=lambda y: torch.sigmoid(2 * y)), None),
    (CHECK, "4 x − 2", partial(Painter, enter=lambda x: 4 * x - 2), None),
    (CHECK, "another start", started(Painter), None),
    (CHECK, "norms of its own", partial(Painter, outer=OwnNorm, make=OwnNorm), None),
    (CHECK, "ReLU modules", partial(Painter, act=nn.ReLU(), between=nn.ReLU(inplace=True)), None),
    # the first normalization takes every scale out again, so this is the same network
    (CHECK, "another scale", partial(Painter, enter=lambda x: 2 * x - 1), None),
    (CHECK, "sigmoid", partial(Painter, leave=torch.sigmoid), "the last step"),
    (CHECK, "cut", partial(Painter, leave=lambda y: y.clamp(0, 1)), "the last step|black and white"),
    (CHECK, "tanh", partial(Painter, leave=torch.tanh), "must be a picture in [0, 1]"),
    (CHECK, "nothing at the end", partial(Painter, leave=lambda y: y), "must be a picture in [0, 1]"),
    (CHECK, "gray", partial(Painter, leave=lambda y: 0.5 + 0.25 * torch.tanh(y)), "able to paint black and white"),
    (CHECK, "no ReLU in the blocks", partial(Painter, between=lambda y: y), "is nonlinear"),
    (CHECK, "no ReLU outside", partial(Painter, act=lambda y: y), "not followed by a ReLU"),
    (CHECK, "no ReLU", partial(Painter, act=lambda y: y, between=lambda y: y), "ReLU is missing everywhere"),
    (CHECK, "leaky", partial(Painter, act=F.leaky_relu, between=F.leaky_relu), "a function other than ReLU"),
    (CHECK, "ReLU after the sums", partial(Painter, last=F.relu), "followed by a ReLU; nothing should follow"),
    (CHECK, "ReLU before the sums", partial(Painter, late=F.relu), "nothing negative can be added"),
    (CHECK, "bilinear", partial(Painter, enlarge=BILINEAR), "interpolate"),
    (CHECK, "zeros", partial(Painter, border="zeros"), "mirror image"),
    (CHECK, "replicate", partial(Painter, border="replicate"), "mirror image"),
    (CHECK, "batch norm", partial(Painter, outer=nn.BatchNorm2d, make=nn.BatchNorm2d), "neighbors in the batch"),
    (CHECK, "four blocks", partial(Painter, blocks=4), "fewer than 1,679,235"),
    (CHECK, "norm after the last", partial(Painter, last_norm=True), "more than 1,679,235"),
    (CHECK, "half the width", partial(TransformerNet, width=0.5), "fewer than 1,679,235"),
    (CHECK, "one layer", lambda: conv(3, 3, 9), "must be a picture in [0, 1]"),
    (CHECK, "a function", lambda: lambda x: x, "expected a network"),
]  # fmt: skip


class Judge(nn.Module):
    def __init__(self, *, strides=(2, 2, 2, 1, 1), act=None, make=nn.BatchNorm2d, early=False, bias=False, padding=1,
                 channels=(64, 128, 256, 512), last=None, first_norm=False):  # fmt: skip
        super().__init__()
        sizes = (6, *channels, 1)
        self.act, self.early, self.last = act or nn.LeakyReLU(0.2), early, last
        ends = (0, len(strides) - 1)
        self.convs = nn.ModuleList([nn.Conv2d(sizes[min(k, 4)], 1 if k == ends[1] else sizes[min(k + 1, 4)], 4, stride,
            padding, bias=bias or k in ends) for k, stride in enumerate(strides)])  # fmt: skip
        self.norms = nn.ModuleList([nn.Identity() if (k == 0 and not first_norm) or k == ends[1] else
            make(one.out_channels) for k, one in enumerate(self.convs)])  # fmt: skip

    def forward(self, x):
        for k, (layer, one) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = layer(x)
            if k < len(self.convs) - 1:
                x = one(self.act(x)) if self.early else self.act(one(x))
        return x if self.last is None else self.last(x)


def in_a_row():
    channels, parts = (64, 128, 256, 512), [nn.Conv2d(6, 64, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for before, after in pairwise(channels):
        parts += [nn.Conv2d(before, after, 4, 2 if after < 512 else 1, 1, bias=False)]
        parts += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*parts, nn.Conv2d(512, 1, kernel_size=4, padding=1))


CHECK = checks.check_patchgan
JUDGES = [
    (CHECK, "lists of modules", Judge, None),
    (CHECK, "in a row", in_a_row, None),
    (CHECK, "maximum", partial(Judge, act=lambda y: torch.maximum(y, 0.2 * y)), None),
    (CHECK, "inplace", partial(Judge, act=nn.LeakyReLU(0.2, inplace=True)), None),
    (CHECK, "where", partial(Judge, act=lambda y: torch.where(y > 0, y, y / 5)), None),
    (CHECK, "another start", started(Judge), None),
    (CHECK, "a function", partial(Judge, act=lambda y: F.leaky_relu(y, negative_slope=0.2)), None),
    (CHECK, "ReLU", partial(Judge, act=F.relu), "a slope other than 0.2"),
    (CHECK, "leaky 0.01", partial(Judge, act=F.leaky_relu), "a slope other than 0.2"),
    (CHECK, "nothing between", partial(Judge, act=lambda y: y), "a slope other than 0.2"),
    (CHECK, "tanh", partial(Judge, act=torch.tanh), "gives another output"),
    (CHECK, "instance norm", partial(Judge, make=norm), "what does each normalization use"),
    (CHECK, "activation first", partial(Judge, early=True), "the opposite order"),
    (CHECK, "no norm", partial(Judge, make=lambda c: nn.Identity()), "fewer than 2,768,705"),
    (CHECK, "offsets", partial(Judge, bias=True), "more than 2,768,705"),
    (CHECK, "norm after the first", partial(Judge, first_norm=True), "more than 2,768,705"),
    (CHECK, "sigmoid", partial(Judge, last=torch.sigmoid), "something bounds it"),
    (CHECK, "one number", partial(Judge, last=lambda y: y.mean((2, 3))), "one logit per patch"),
    (CHECK, "one map of size 1", partial(Judge, last=lambda y: y.mean((2, 3), keepdim=True)), "30 × 30"),
    (CHECK, "a stride more", partial(Judge, strides=(2, 2, 2, 2, 1)), "30 × 30"),
    (CHECK, "other strides first", partial(Judge, strides=(1, 2, 2, 2, 1)), "30 × 30|70 × 70"),
    (CHECK, "no padding", partial(Judge, padding=0), "how are the borders padded"),
    (CHECK, "half the width", partial(Judge, channels=(32, 64, 128, 256)), "fewer than 2,768,705"),
    (CHECK, "three channels", lambda: nn.Conv2d(3, 1, 4), "stopped with RuntimeError"),
]  # fmt: skip

TABLE = [*BLOCKS, *UPSAMPLINGS, *PAINTERS, *JUDGES]


@pytest.mark.parametrize(("check", "name", "answer", "said"), parameters(TABLE, slow=[*PAINTERS, *JUDGES]))
def test_an_answer_gets_what_it_deserves(check, name, answer, said, capsys):
    judge(check, answer, said, capsys)


def test_each_check_has_many_answers():
    assert enough(TABLE) == set()
