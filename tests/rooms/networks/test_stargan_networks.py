"""StarGAN's networks: counts by hand, and why the border of the generator must be zeros."""

import pytest
import torch
from torch import nn

from course_lib.image_checks import ImageError
from course_lib.networks.layers import InstanceNorm, receptive_field
from course_lib.networks.stargan import StarDiscriminator, StarGenerator


def generator(num_domains=3, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return StarGenerator(num_domains, **{"width": 0.25, "num_blocks": 2, **options})


def discriminator(num_domains=3, **options):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return StarDiscriminator(num_domains, **{"size": 32, "num_layers": 4, "width": 0.1, **options})


def pictures(count, height=32, width=32, seed=0):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def in_all_domains(network, picture):
    """One picture in every domain, (num_domains, 3, H, W)."""
    with torch.no_grad():
        rows = torch.eye(network.num_domains, dtype=picture.dtype)
        return torch.cat([network(picture, row[None]) for row in rows])


# --- counts
@pytest.mark.parametrize(("num_domains", "in_G", "in_D"), [(5, 8_430_528, 44_762_048), (8, 8_439_936, 44_786_624)])
def test_the_counts_are_those_of_the_released_networks(num_domains, in_G, in_D):
    with torch.device("meta"):
        G, D = StarGenerator(num_domains), StarDiscriminator(num_domains)
    assert (count(G), count(D)) == (in_G, in_D)
    assert num_domains != 5 or in_G + in_D == 53_192_576  # Table 1 of the paper: 53.2 M for all seven attributes


def test_a_domain_costs_one_plane_and_one_logit():
    with torch.device("meta"):
        more_G = count(StarGenerator(9)) - count(StarGenerator(8))
        more_D = count(StarDiscriminator(9)) - count(StarDiscriminator(8))
    assert more_G == 64 * 7 * 7
    assert more_D == 2048 * 2 * 2


def test_the_layers_are_those_of_the_appendix():
    with torch.device("meta"):
        G, D = StarGenerator(5), StarDiscriminator(5)
    convolutions = [each for each in G.modules() if isinstance(each, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) == 3 + 2 * 6 + 3
    assert all(each.bias is None for each in convolutions)
    norms = [each for each in G.modules() if isinstance(each, InstanceNorm)]
    assert len(norms) == len(convolutions) - 1
    assert all(each.affine for each in norms)
    assert not any(isinstance(each, InstanceNorm | nn.BatchNorm2d) for each in D.modules())
    assert {each.negative_slope for each in D.modules() if isinstance(each, nn.LeakyReLU)} == {0.01}
    assert [each.out_channels for each in D.layers if isinstance(each, nn.Conv2d)] == [64, 128, 256, 512, 1024, 2048]
    assert receptive_field(nn.Sequential(*D.layers, D.patches))[1] == 64


# --- the border
@pytest.mark.parametrize("drawn", [False, True])
def test_a_reflected_border_deletes_the_label_and_a_border_of_zeros_keeps_it(drawn):
    """Whatever the weights: untrained, and with filters, scales and shifts drawn at random."""
    moved = {}
    for padding in ("zeros", "reflect"):
        G = generator(8, width=1.0, num_blocks=6, padding=padding)
        if drawn:
            generate = torch.Generator().manual_seed(5)
            for parameter in G.parameters():
                noise = torch.randn(parameter.shape, generator=generate)
                parameter.data = 1 + 0.5 * noise if parameter.ndim == 1 else 0.05 * noise
        made = in_all_domains(G, pictures(1))
        moved[padding] = (made - made[:1]).abs().mean().item()
    assert moved["zeros"] > 0.01
    assert moved["reflect"] < 1e-4 * moved["zeros"]


def test_what_is_left_of_the_label_behind_a_reflected_border_is_rounding():
    G = generator(padding="reflect").double()
    made = in_all_domains(G, pictures(1).double())
    assert (made - made[:1]).abs().max() < 1e-12
    made = in_all_domains(generator().double(), pictures(1).double())
    assert (made - made[:1]).abs().max() > 1e-2


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_a_plane_alone_makes_a_constant_map_except_along_a_border_of_zeros(padding):
    """The first 7×7 convolution sees the border within 3 px of it. A normalization subtracts constants."""
    G = generator(padding=padding)
    planes = torch.zeros(1, 6, 16, 16)
    planes[:, 4] = 1  # the second of three domains, and a gray picture: 0 is the middle of [−1, 1]
    with torch.no_grad():
        y = G.layers[0](planes)
        normalized = G.layers[1](y)
    middle = y[..., 3:-3, 3:-3]
    torch.testing.assert_close(middle, middle[..., :1, :1].expand_as(middle), rtol=0, atol=1e-6)
    torch.testing.assert_close(middle[0, :, 0, 0], G.layers[0].weight[:, 4].sum((1, 2)))
    same = (y - y[..., 8:9, 8:9]).abs().max().item()
    if padding == "reflect":
        assert same < 1e-6
        assert normalized.abs().max() < 1e-3
    else:
        assert same > 0.01
        assert normalized.abs().max() > 0.5


def test_the_label_gets_a_gradient_only_behind_a_border_of_zeros():
    slopes = {}
    for padding in ("zeros", "reflect"):
        rows = torch.eye(3, dtype=torch.float64)[:1].requires_grad_()
        generator(padding=padding).double()(pictures(1).double(), rows)[:, 0].sum().backward()
        slopes[padding] = rows.grad.abs().max().item()
    assert slopes["reflect"] < 1e-9 < 1e-2 < slopes["zeros"]


# --- the generator
@pytest.mark.parametrize("size", [(8, 8), (9, 31), (40, 12)])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_any_size_comes_back_in_its_size(size, padding):
    made = in_all_domains(generator(padding=padding), pictures(1, *size))
    assert made.shape == (3, 3, *size)
    assert made.min() >= 0
    assert made.max() <= 1


def test_each_picture_goes_to_its_own_domain():
    G, images, rows = generator(), pictures(3), torch.eye(3)[[2, 0, 2]]
    with torch.no_grad():
        together = G(images, rows)
        alone = torch.cat([G(image, row) for image, row in zip(images.split(1), rows.split(1), strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert (together[1:2] - in_all_domains(G, images[1:2])[2]).abs().max() > 1e-3


def test_the_layout_in_memory_changes_nothing():
    G, images, rows = generator(), pictures(2), torch.eye(3)[:2]
    with torch.no_grad():
        plain = G(images, rows)
        other = G.to(memory_format=torch.channels_last)(images.contiguous(memory_format=torch.channels_last), rows)
    torch.testing.assert_close(other, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.eye(3), "for each of 2 pictures, got 3"),
        (torch.eye(4)[:2], r"domains \(N, 3\), floats"),
        (torch.tensor([0, 1]), r"domains \(N, 3\), floats, got torch.int64"),
        ("dusk", "got str"),
    ],
)
def test_other_labels_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        generator()(pictures(2), rows)


def test_other_arguments_are_refused():
    with pytest.raises(ValueError, match="padding"):
        generator(padding="mirror")
    with pytest.raises(ValueError, match="num_domains must be a whole number of at least 2"):
        generator(1)
    with pytest.raises(ImageError, match="8"):
        generator()(pictures(1, 7, 20), torch.eye(3)[:1])


# --- the discriminator
def test_a_picture_is_judged_alone():
    """So the gradient penalty of a picture is its own, too."""
    D, images = discriminator(), pictures(3).requires_grad_()
    real, classes = D(images)
    assert (real.shape, classes.shape) == ((3, 1, 2, 2), (3, 3))
    (gradient,) = torch.autograd.grad(real[1].sum() + classes[1].sum(), images)
    assert gradient[[0, 2]].abs().max() == 0
    assert gradient[1].abs().max() > 0


def test_the_classification_sees_the_whole_picture_and_the_critic_is_not_bounded():
    D, images = discriminator(), pictures(1).requires_grad_()
    _, classes = D(images)
    (gradient,) = torch.autograd.grad(classes[0, 0], images)
    assert (gradient.abs().sum(1) > 0).all()
    with torch.no_grad():
        for layer in D.layers:
            if isinstance(layer, nn.Conv2d):
                layer.weight *= 4
        assert D(pictures(1))[0].abs().max() > 4 * discriminator()(pictures(1))[0].abs().max()


def test_black_and_white_are_minus_one_and_one():
    """The layers work in [−1, 1], where a gray picture is 0: the first one answers it with its bias."""
    D = discriminator()
    seen = []
    D.layers[0].register_forward_hook(lambda module, given, answer: seen.append((given[0], answer)))
    D(torch.stack([torch.full((3, 32, 32), value) for value in (0.0, 0.5, 1.0)]))
    given, answer = seen[0]
    assert [given[k].unique().tolist() for k in range(3)] == [[-1.0], [0.0], [1.0]]
    torch.testing.assert_close(answer[1], D.layers[0].bias[:, None, None].expand_as(answer[1]))


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="halvings; got 96 and 6"):
        StarDiscriminator(3, size=96)
    with pytest.raises(ValueError, match=r"takes pictures \(N, 3, 32, 32\), got \(1, 3, 32, 40\)"):
        discriminator()(pictures(1, 32, 40))


def test_float64_stays_float64():
    answers = discriminator().double()(pictures(1))
    made = generator().double()(pictures(1), torch.eye(3)[:1])
    assert {x.dtype for x in (*answers, made)} == {torch.float64}
