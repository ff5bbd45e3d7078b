"""The patch term: by hand, against a plain version, finite differences and autograd; regions; half precision."""

from itertools import accumulate, product

import pytest
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from course_lib import VGGFeatures, losses, sample_image
from course_lib.losses import patch_matching
from course_lib.losses.patch_matching import Matcher
from course_lib.losses.patches import PatchTerm, convert_patch_weight, memory_needed, nearest_patches
from course_lib.losses.perceptual import PerceptualLoss


def random(*shape, seed=0, dtype=torch.float64):
    """Features as a ReLU leaves them: about half of them zero."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).relu()


def dense(*shape, seed=0):
    """Features without zeros: no patch is dead, and no two patches have the same pattern, of whatever size."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01


def gradient_of(term, features, factor=1.0):
    value, add = term(features)
    gradient = torch.zeros_like(features)
    add(gradient, torch.tensor(factor, dtype=value.dtype))
    return value, gradient


def unfolded(features, size):
    """All patches, (P, D), with the numbers in the order of `F.unfold`."""
    return F.unfold(features, size)[0].t()


def plain_nearest(features, styles, size, stride):
    """Eq. 3 with both norms: for each patch of the picture, an index into the style's patches, and these patches."""
    candidates = torch.cat([F.unfold(style, size, stride=stride)[0].t() for style in styles])
    patches = unfolded(features, size)
    scores = (patches @ candidates.t()) / patches.norm(dim=1)[:, None] / candidates.norm(dim=1)
    return scores.argmax(1), candidates


def plain_term(features, styles, size=3, stride=2):
    """½ mean over patches and numbers, for autograd."""
    nearest, candidates = plain_nearest(features.detach(), styles, size, stride)
    return (unfolded(features, size) - candidates[nearest]).square().mean() / 2


# --- by hand: one channel, patches of 2×2 ---

# Four patches, two positions apart: flat (1 1 / 1 1), left edge (2 0 / 2 0), lower edge (0 0 / 2 2), and one of zeros.
STYLE = torch.tensor([[[[1, 1, 2, 0], [1, 1, 2, 0], [0, 0, 0, 0], [2, 2, 0, 0]]]], dtype=torch.float64)
# Each row is 3 0 1 1, so there are three kinds of patches:
#   3 0 / 3 0: 3 with the flat one (6 / 2), 4.2 with the left edge (12 / √8), 2.1 with the lower edge (6 / √8)
#   0 1 / 0 1: 1, 0 and 0.7
#   1 1 / 1 1: 2, 1.4 and 1.4
PICTURE = torch.tensor([3.0, 0, 1, 1], dtype=torch.float64).expand(1, 1, 4, 4).contiguous()


def test_the_nearest_patches_by_hand():
    found = nearest_patches(PICTURE, [STYLE], size=2, stride=2)
    assert found.position.tolist() == [[[0, 2], [0, 0], [0, 0]]] * 3
    assert found.picture.tolist() == [[0, 0, 0]] * 3


def test_value_and_gradient_by_hand():
    """The differences are 1 0 / 1 0, −1 0 / −1 0 and 0 in three rows of patches: 3 · (2 + 2) over 2 · 9 · 4."""
    value, gradient = gradient_of(PatchTerm("relu1_1", 1.0, [STYLE], size=2, stride=2), PICTURE)
    assert value.item() == pytest.approx(12 / 72)
    covered = torch.tensor([1.0, 2, 2, 1], dtype=torch.float64)[:, None]  # each row, by how many rows of patches
    expected = covered * torch.tensor([1.0, -1, 0, 0], dtype=torch.float64) / 36
    torch.testing.assert_close(gradient[0, 0], expected)


# --- the matches ---


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (2, 1), (3, 1), (3, 2), (3, 4), (4, 3)])
def test_the_matches_are_those_of_the_definition(size, stride):
    features, styles = dense(1, 6, 9, 11), [dense(1, 6, 8, 13, seed=1), dense(1, 6, 10, 7, seed=2)]
    expected, _ = plain_nearest(features, styles, size, stride)
    found = nearest_patches(features, styles, size=size, stride=stride)
    assert found.picture.shape == (9 - size + 1, 11 - size + 1)
    ranges = [[range(0, n - size + 1, stride) for n in style.shape[2:]] for style in styles]
    where = [(k, y, x) for k, (rows, columns) in enumerate(ranges) for y, x in product(rows, columns)]
    told = zip(found.picture.flatten().tolist(), *found.position.flatten(0, 1).t().tolist(), strict=True)
    assert [where.index(each) for each in told] == expected.tolist()


def test_chunks_do_not_change_the_matches(monkeypatch):
    features, style = random(1, 6, 12, 9), random(1, 6, 11, 12, seed=1)
    whole = Matcher([style], 3, 1).nearest(features)
    for numbers in (1, 500, 2000):
        monkeypatch.setitem(patch_matching._AT_ONCE, "cpu", numbers)
        assert torch.equal(Matcher([style], 3, 1).nearest(features), whole)


def test_only_the_pattern_of_a_patch_counts():
    """Neither the strength of the picture nor that of a patch of the style changes a match."""
    features, style = random(1, 6, 9, 9), random(1, 6, 9, 9, seed=1)
    before = nearest_patches(features, [style], stride=3).position
    assert torch.equal(nearest_patches(7 * features, [style], stride=3).position, before)
    strong = style.clone()
    strong[..., 3:6, 3:6] *= 100  # one of the nine patches, which do not overlap
    assert torch.equal(nearest_patches(features, [strong], stride=3).position, before)


def test_a_picture_made_of_the_style_is_matched_with_itself():
    style = random(1, 6, 10, 12)
    crop = style[..., 3:9, 2:10].contiguous()
    found = nearest_patches(crop, [random(1, 6, 7, 7, seed=1), style], stride=1)
    assert (found.picture == 1).all()
    rows, columns = torch.meshgrid(torch.arange(3, 7), torch.arange(2, 8), indexing="ij")
    assert torch.equal(found.position, torch.stack((rows, columns), 2))
    value, gradient = gradient_of(PatchTerm("relu1_1", 1.0, [style], stride=1), crop)
    assert (value.item(), gradient.abs().max().item()) == (0, 0)


def test_turned_copies_are_further_pictures():
    style = random(1, 6, 9, 9)
    turned = style.rot90(1, (2, 3)).contiguous()
    assert (nearest_patches(turned, [style, turned], stride=1).picture == 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_patches_of_zeros_stay_finite(dtype):
    features, style = random(1, 6, 9, 9, dtype=dtype), random(1, 6, 9, 9, seed=1, dtype=dtype)
    style[..., :5, :] = 0
    features[..., :, 5:] = 0
    assert (nearest_patches(features, [style], stride=1).position[:, :3, 0] >= 3).all()  # a dead patch is never nearer
    for theirs in (style, torch.zeros_like(style)):
        value, gradient = gradient_of(PatchTerm("relu1_1", 1.0, [theirs], stride=1), features)
        assert value.isfinite()
        assert gradient.isfinite().all()


# --- the gradient ---


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (2, 1), (3, 2), (4, 3)])
def test_value_and_gradient_are_those_of_a_plain_version(size, stride):
    features, styles = dense(1, 6, 9, 11), [dense(1, 6, 8, 13, seed=1), dense(1, 6, 10, 7, seed=2)]
    value, gradient = gradient_of(PatchTerm("relu1_1", 3.0, styles, size=size, stride=stride), features, factor=2.0)
    plain = features.clone().requires_grad_()
    expected = 3 * plain_term(plain, styles, size, stride)
    (slope,) = torch.autograd.grad(expected, plain)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient, 2 * slope)


def test_the_gradient_is_the_slope_along_a_line():
    """Central differences, in float64: the matches do not change on so short a way."""
    features, direction = (
        random(1, 5, 8, 9),
        torch.randn(1, 5, 8, 9, generator=torch.Generator().manual_seed(3)).double(),
    )
    term = PatchTerm("relu1_1", 1.0, [random(1, 5, 9, 8, seed=1)])
    _, gradient = gradient_of(term, features)
    step = 1e-6
    slope = (term(features + step * direction)[0] - term(features - step * direction)[0]) / (2 * step)
    assert slope.item() == pytest.approx((gradient * direction).sum().item(), rel=1e-7)


def test_the_gradient_is_added_and_the_features_stay():
    features = random(1, 6, 9, 8, dtype=torch.float32).to(memory_format=torch.channels_last)
    kept, before = features.clone(), torch.rand_like(features)
    _, alone = gradient_of(PatchTerm("relu1_1", 2.0, [random(1, 6, 9, 9, seed=1, dtype=torch.float32)]), features)
    gradient = before.clone()
    PatchTerm("relu1_1", 2.0, [random(1, 6, 9, 9, seed=1, dtype=torch.float32)])(features)[1](
        gradient, torch.tensor(1.0)
    )
    torch.testing.assert_close(gradient, before + alone)
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(features, kept)


def test_a_step_against_the_gradient_lowers_the_term():
    features, term = random(1, 6, 12, 12), PatchTerm("relu1_1", 1.0, [random(1, 6, 12, 12, seed=1)])
    values = []
    for _ in range(20):
        value, gradient = gradient_of(term, features)
        values.append(value.item())
        features = features - 50 * gradient
    assert values[-1] < 0.7 * values[0]  # what remains: overlapping patches that disagree


def test_it_shares_the_pass_of_a_perceptual_loss():
    """The gradient with respect to the picture, beside autograd of the plain version."""
    network = VGGFeatures(layers=["relu1_1", "relu2_1"], weights=None).double()
    image, style = (
        torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(k)).double()
        for k, size in enumerate(((20, 24), (18, 18)))
    )
    targets = network.targets(style)
    terms = [PatchTerm(layer, 2.0, [targets[layer]]) for layer in network.layers]
    loss = PerceptualLoss(network, terms=terms)
    assert loss.names == ("patches/relu1_1", "patches/relu2_1")
    values, gradient = loss.with_gradient(image)
    x = image.clone().requires_grad_()
    expected = [2 * plain_term(features, [targets[layer]]) for layer, features in network(x).items()]
    (slope,) = torch.autograd.grad(sum(expected), x)
    torch.testing.assert_close(values, torch.stack(expected).detach())
    torch.testing.assert_close(gradient, slope, rtol=1e-6, atol=1e-10)


# --- weights ---


def test_a_converted_weight_gives_the_gradient_of_the_plain_sum():
    features, style = random(1, 6, 9, 11), random(1, 6, 8, 13, seed=1)
    weight = convert_patch_weight(0.3, channels=6, height=9, width=11)
    value, gradient = gradient_of(PatchTerm("relu1_1", weight, [style]), features)
    plain = features.clone().requires_grad_()
    nearest, candidates = plain_nearest(features, [style], 3, 2)
    expected = 0.3 * (unfolded(plain, 3) - candidates[nearest]).square().sum()
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, plain)[0])


def test_a_converted_weight_gives_the_authors_gradient_except_at_the_border():
    features, style = random(1, 6, 9, 11), random(1, 6, 8, 13, seed=1)
    weight = convert_patch_weight(0.3, channels=6, height=9, width=11, averaged=True)
    _, gradient = gradient_of(PatchTerm("relu1_1", weight, [style]), features)
    nearest, candidates = plain_nearest(features, [style], 3, 2)
    shape, ones = features.shape[2:], torch.ones_like(candidates[nearest])
    sums, counts = (F.fold(patches.t()[None], shape, 3) for patches in (candidates[nearest], ones))
    expected = 0.3 * (features - sums / counts)
    torch.testing.assert_close(gradient[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2])
    assert not torch.allclose(gradient, expected)


def test_the_value_does_not_grow_with_the_picture():
    features, style = random(1, 6, 6, 6), random(1, 6, 9, 9, seed=1)
    small, large = (PatchTerm("relu1_1", 1.0, [style], size=1)(features.repeat(1, 1, k, k))[0] for k in (1, 3))
    torch.testing.assert_close(small, large)


# --- regions ---


def halves(height, width):
    """0 in the upper half, 1 in the lower one."""
    return (torch.arange(height)[:, None] >= height // 2).long().expand(height, width)


def test_a_patch_is_matched_in_its_own_region():
    """The style is the picture upside down, so without regions most patches go to the other half."""
    features = random(1, 6, 12, 10)
    style = features.flip(2)
    style[..., :6, :], style[..., 6:, :] = features[..., 6:, :], features[..., :6, :]
    free = nearest_patches(features, [style], stride=1)
    middle = torch.arange(10)[:, None] + 1  # the row of a patch's middle
    crossed = (free.position[..., 0] + 1 >= 6) != (middle >= 6)
    assert crossed.double().mean() > 0.5
    regions = halves(12, 10)
    kept = nearest_patches(features, [style], stride=1, regions=regions, style_regions=[regions])
    assert torch.equal(kept.position[..., 0] + 1 >= 6, (middle >= 6).expand(10, 8))


def test_regions_give_the_best_of_their_candidates():
    features, styles = random(1, 6, 9, 11), [random(1, 6, 8, 13, seed=1), random(1, 6, 10, 7, seed=2)]
    draw = torch.Generator().manual_seed(5)
    regions, *theirs = (torch.randint(0, 3, each.shape[2:], generator=draw) for each in (features, *styles))
    found = nearest_patches(features, styles, stride=1, regions=regions, style_regions=theirs)
    patches = unfolded(features, 3)
    candidates = torch.cat([unfolded(style, 3) for style in styles])
    scores = patches @ candidates.t() / candidates.norm(dim=1)
    labels = torch.cat([each[1:-1, 1:-1].flatten() for each in theirs])
    scores[regions[1:-1, 1:-1].flatten()[:, None] != labels] = -torch.inf
    where = [(k, y, x) for k, s in enumerate(styles) for y, x in product(range(s.shape[2] - 2), range(s.shape[3] - 2))]
    told = zip(found.picture.flatten().tolist(), *found.position.flatten(0, 1).t().tolist(), strict=True)
    assert [where.index(each) for each in told] == scores.argmax(1).tolist()


def test_a_faint_patch_is_found_by_its_direction():
    """The first patch of the style has a norm of 1e-6 and the direction of the picture's, the second is 18° away."""
    style = torch.tensor([[[[1e-6, 3.0]], [[0.0, 1.0]]]])
    assert nearest_patches(torch.tensor([[[[5.0]], [[0.0]]]]), [style], size=1, stride=1).position.tolist() == [
        [[0, 0]]
    ]


def test_without_a_region_a_patch_may_come_from_everywhere_and_goes_to_no_region():
    """Negative labels. The style is the picture, in which only the lower half is marked: by another label each time."""
    features = random(1, 6, 12, 10)
    lower = torch.where(halves(12, 10) == 1, 0, -1)
    rows = torch.arange(10)[:, None].expand(10, 8)  # of the first position of each patch
    free = nearest_patches(features, [features], stride=1, regions=lower, style_regions=[lower])
    assert torch.equal(free.position[..., 0], rows)  # everything finds itself: the upper half, too
    bound = nearest_patches(features, [features], stride=1, regions=0 * lower, style_regions=[lower])
    assert (bound.position[..., 0] + 1 >= 6).all()  # what is marked takes nothing from what is not
    with pytest.raises(ValueError, match="region 0 of the picture has no patch in the style, whose regions are none"):
        nearest_patches(features, [features], regions=0 * lower, style_regions=[0 * lower - 1])


def test_one_region_is_no_region():
    features, style = random(1, 6, 9, 11), random(1, 6, 8, 13, seed=1)
    one = {"regions": torch.full((9, 11), 4), "style_regions": torch.full((8, 13), 4, dtype=torch.uint8)}
    plain, labeled = (gradient_of(PatchTerm("relu1_1", 1.0, style, **each), features) for each in ({}, one))
    torch.testing.assert_close(labeled, plain, rtol=0, atol=0)


def test_a_region_that_the_style_lacks_is_refused():
    style = random(1, 6, 8, 13, seed=1)
    message = "^region 1 of the picture has no patch in the style, whose regions are 0, 2; mark it in a style picture"
    with pytest.raises(ValueError, match=message):
        PatchTerm("relu1_1", 1.0, [style], regions=halves(9, 11), style_regions=[2 * halves(8, 13)])
    term = PatchTerm("relu1_1", 1.0, [style], regions=halves(9, 11), style_regions=[halves(8, 13)])
    with pytest.raises(ValueError, match="regions has 9×11 labels, but the feature map has 9×12 positions; scale"):
        term(random(1, 6, 9, 12))


# --- half precision ---


def test_bfloat16_changes_few_matches_and_little_of_the_term():
    """8 bits: 0.4 % for each number. Independent noise has no clear nearest patch, so the style holds it, changed."""
    features, noise = random(1, 16, 24, 24), random(1, 16, 24, 24, seed=1)
    style = features.roll((3, 5), (2, 3)) + 0.5 * noise
    exact, half = (
        [x.to(dtype).contiguous(memory_format=torch.channels_last) for x in (features, style)]
        for dtype in (torch.float32, torch.bfloat16)
    )
    a, b = (nearest_patches(picture, [painting]).position for picture, painting in (exact, half))
    assert (a != b).any(2).double().mean() < 0.05
    (value, gradient), (rounded, slope) = (gradient_of(PatchTerm("relu1_1", 1.0, s), x) for x, s in (exact, half))
    assert (rounded.dtype, slope.dtype) == (torch.float32, torch.bfloat16)
    assert rounded.item() == pytest.approx(value.item(), rel=0.01)
    assert torch.cosine_similarity(gradient.flatten(), slope.float().flatten(), dim=0) > 0.99


def test_where_half_precision_is_slow_matching_uses_float32(monkeypatch):
    features, style = random(1, 6, 12, 12, dtype=torch.bfloat16), random(1, 6, 12, 12, seed=1, dtype=torch.bfloat16)
    monkeypatch.setattr(patch_matching, "has_fast_bfloat16", lambda device: False)
    expected = nearest_patches(features.float(), [style.float()])
    assert torch.equal(nearest_patches(features, [style]).position, expected.position)


@pytest.mark.parametrize("layer", ["relu3_1", "relu4_1"])
def test_bfloat16_with_the_real_network(real_network, layer):
    """Measured: 2 of 100 patches get another match, and the mean correlation falls by 0.00002."""
    photo, painting = (sample_image(name, (128, 128)) for name in ("eilean_donan", "great_wave"))
    positions, values = [], []
    for precision in (torch.float32, torch.bfloat16):
        network = real_network("vgg19", [layer], precision=precision)
        of_photo, of_painting = (network.targets(image)[layer] for image in (photo, painting))
        positions.append(nearest_patches(of_photo, [of_painting]).position)
        values.append(PatchTerm(layer, 1.0, [of_painting])(of_photo)[0].item())
    assert (positions[0] != positions[1]).any(2).double().mean() < 0.1
    assert values[1] == pytest.approx(values[0], rel=0.02)


# --- memory, and the host ---


def test_what_is_kept_is_what_was_announced():
    features, styles = random(1, 16, 9, 11, dtype=torch.float32), [random(1, 16, 30, 31, dtype=torch.float32)]
    matcher = Matcher(styles, 3, 1)
    matcher.nearest(features)
    layout = [matcher._layout[1], *(group[0] for group in matcher._layout[2])]
    tensors = [matcher.positions, matcher.members, matcher.picture, matcher.corner, matcher._unit, *layout]
    kept = sum(tensor.untyped_storage().nbytes() for tensor in tensors)
    needed = memory_needed((9, 11), [(30, 31)], 16, stride=1)
    in_a_step = 4 * 63 * (9 * 16 + 28 * 29)  # all 63 patches, and their products with all of the style's
    assert needed == kept + in_a_step


def live_peak(program):
    """The most bytes that PyTorch's CPU allocator had given out at a time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        program()
    events = [event.nbytes() for event in watched.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(events))


@pytest.mark.parametrize(
    ("dtype", "fast"), [(torch.float32, True), (torch.bfloat16, True), (torch.bfloat16, False), (torch.float64, True)]
)
@pytest.mark.parametrize(("channels", "side"), [(512, 24), (64, 40)])
def test_the_peak_is_what_was_announced(monkeypatch, channels, side, dtype, fast):
    monkeypatch.setattr(patch_matching, "has_fast_bfloat16", lambda device: fast)
    features, style = (
        random(1, channels, side, side, seed=k).to(dtype, memory_format=torch.channels_last) for k in range(2)
    )
    peak = live_peak(lambda: PatchTerm("relu1_1", 1.0, [style])(features))
    assert peak == pytest.approx(memory_needed((side, side), [(side, side)], channels, precision=dtype), rel=0.05)


def test_memory_grows_with_the_picture_and_not_with_its_square():
    sizes = [memory_needed((side, side), [(64, 64)], 256) for side in (64, 128, 256)]
    assert sizes[0] < sizes[1] < sizes[2] < 16 * sizes[0]
    on_a_gpu = memory_needed((256, 256), [(256, 256)], 256, device="cuda") if torch.cuda.is_available() else None
    assert on_a_gpu is None or on_a_gpu < 2**30


def test_the_host_waits_for_nothing_in_a_step(host_reads):
    term = PatchTerm("relu1_1", 1.0, [random(1, 6, 9, 9, seed=1)], regions=halves(9, 9), style_regions=[halves(9, 9)])
    features = random(1, 6, 9, 9)
    gradient_of(term, features)
    with host_reads() as reads:
        value, add = term(features)
        add(torch.zeros_like(features), torch.ones_like(value))
    assert reads == []


def test_another_size_of_picture_is_taken_as_it_comes():
    style = random(1, 6, 9, 9, seed=1)
    term = PatchTerm("relu1_1", 1.0, [style])
    for size in ((9, 11), (7, 8), (9, 11)):
        features = random(1, 6, *size)
        torch.testing.assert_close(term(features)[0], plain_term(features, [style]))


# --- what is refused ---

FEATURES = random(1, 6, 9, 9, dtype=torch.float32)


@pytest.mark.parametrize(
    ("style", "options", "message"),
    [
        ([], {}, "the list of style features is empty; give those of at least one style picture"),
        ([None], {}, "expected style features of shape .*, got NoneType"),
        ([FEATURES[0]], {}, r"expected style features of shape \(N, C, H, W\), got \(6, 9, 9\)"),
        ([FEATURES.repeat(2, 1, 1, 1)], {}, r"number 1 are \(2, 6, 9, 9\)"),
        ([FEATURES, FEATURES[:, :4]], {}, r"the first are \(1, 6, 9, 9\) .*, number 2 are \(1, 4, 9, 9\)"),
        ([FEATURES, FEATURES.double()], {}, "one number format .*, number 2 are .* in torch.float64"),
        ([FEATURES[..., :2]], {}, "the style picture has 9×2 positions at this layer, fewer than a patch of 3×3; use"),
        ([FEATURES], {"size": 0}, "size must be a whole number of at least 1"),
        ([FEATURES], {"stride": 1.5}, "stride must be a whole number of at least 1"),
        ([FEATURES], {"weight": -1.0}, "weight must be a finite number of at least 0"),
        ([FEATURES], {"regions": halves(9, 9)}, "each of the 1 style pictures, got some for the picture and none for"),
        ([FEATURES], {"style_regions": [halves(9, 9)]}, "got none for the picture and 1 for the style"),
        ([FEATURES], {"regions": halves(9, 9), "style_regions": []}, "got some for the picture and 0 for the style"),
        (
            [FEATURES],
            {"regions": halves(9, 9).float(), "style_regions": [halves(9, 9)]},
            r"regions must be labels \(h, w\) in whole numbers, one for each position, got \(9, 9\) of torch.float32",
        ),
        (
            [FEATURES],
            {"regions": halves(9, 9), "style_regions": [halves(9, 8)]},
            r"style_regions\[0\] has 9×8 labels, but the feature map has 9×9 positions; scale the label map",
        ),
    ],
)
def test_what_no_style_can_be_is_refused(style, options, message):
    with pytest.raises(ValueError, match=message):
        PatchTerm("relu1_1", options.pop("weight", 1.0), style, **options)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (FEATURES[:, :4], r"expected features \(1, 6, h, w\) in torch.float32 like the style's, got \(1, 4, 9, 9\)"),
        (FEATURES.repeat(2, 1, 1, 1), r"got \(2, 6, 9, 9\)"),
        (FEATURES.bfloat16(), "in torch.bfloat16; take both from the same layer of one network"),
        (FEATURES[..., :2, :], "the picture has 2×9 positions at this layer, fewer than a patch of 3×3; use a larger"),
        (FEATURES.long(), "use .float"),
        (None, "got NoneType"),
    ],
)
def test_features_that_do_not_fit_are_refused(features, message):
    with pytest.raises(ValueError, match=message):
        PatchTerm("relu1_1", 1.0, [FEATURES])(features)


def test_content_and_patches_of_a_converged_picture_share_a_scale():
    """½ mean, as the content loss: patches of 1×1 that match position by position give the same number."""
    style = torch.eye(16, dtype=torch.float64).view(1, 16, 4, 4)  # every position has a channel of its own
    features = 3 * style
    term = PatchTerm("relu1_1", 1.0, [style], size=1, stride=1)
    torch.testing.assert_close(term(features)[0], losses.content_loss(features, style))
