"""Several domains with the number of the domain; the blue channel numbers the pictures, domain d from 80 · d."""

import pytest
import torch
from test_pairs import map_of

from course_lib import save_image
from course_lib.data.domains import Domains
from course_lib.images import ImageError, resize
from course_lib.training import batches
from course_lib.training.distributed import Group


def pictures(count, d, size=(16, 16)):
    return [map_of(*size, 80 * d + k) for k in range(count)]


def domains_of(*counts, **options):
    sets = {f"domain {d}": pictures(count, d) for d, count in enumerate(counts)}
    return Domains(sets, **{"size": 16, **options})


def seen_in(items):
    """For each item the number of its picture and its label."""
    return [(round(255 * picture[2].mean().item()), int(label)) for picture, label in items]


def epoch_of(domains, epoch):
    return seen_in(domains.item(epoch, k) for k in range(len(domains)))


@pytest.mark.parametrize("counts", [(4, 4), (7, 3), (2, 7, 5), (1, 1, 6, 3)])
def test_an_epoch_shows_every_picture_of_every_domain_evenly(counts):
    domains = domains_of(*counts)
    assert len(domains) == len(counts) * max(counts)
    for epoch in range(4):
        seen = epoch_of(domains, epoch)
        assert all(number // 80 == label for number, label in seen), "the label is the domain of the picture"
        for label, count in enumerate(counts):
            times = [seen.count((80 * label + k, label)) for k in range(count)]
            assert sum(times) == max(counts), "all domains are equally frequent"
            assert max(times) - min(times) <= 1
            assert min(times) >= 1


def test_training_gets_every_picture_of_every_domain_in_every_epoch():
    """Loaded as in the training loop, in batches of 4 that do not divide an epoch of 27."""
    options = {"group": Group(), "workers": 0, "device": torch.device("cpu")}
    seen = []
    for images, labels in batches.load(domains_of(9, 4, 2), range(54), 4, 0, **options):
        assert images.shape == (4, 3, 16, 16)
        assert labels.dtype == torch.int64
        seen += seen_in(zip(images, labels, strict=True))
    wanted = {(80 * label + k, label) for label, count in enumerate((9, 4, 2)) for k in range(count)}
    for epoch in range(8):
        assert set(seen[27 * epoch : 27 * (epoch + 1)]) == wanted
    resumed = batches.load(domains_of(9, 4, 2), range(50, 54), 4, 0, **options)
    assert [pair for batch in resumed for pair in seen_in(zip(*batch, strict=True))] == seen[200:216]


def test_smaller_domains_are_shuffled_for_each_epoch_and_independently():
    domains = domains_of(24, 12, 12)
    first, second = epoch_of(domains, 0), epoch_of(domains, 1)
    assert first == epoch_of(domains_of(24, 12, 12), 0) == seen_in(domains[k] for k in range(72))
    assert first[0::3] == second[0::3] == [(k, 0) for k in range(24)]
    assert first[1::3] != second[1::3]
    assert [number - 80 for number, _ in first[1::3]] != [number - 160 for number, _ in first[2::3]]
    assert epoch_of(domains_of(24, 12, 12, seed=1), 0)[1::3] != first[1::3]


def test_items_are_the_same_in_any_order():
    options = {"size": 12, "load_size": 16, "mirror": True}
    forward, backward = (domains_of(3, 2, **options) for _ in range(2))
    places = [(epoch, k) for epoch in range(3) for k in range(6)]
    before = torch.get_rng_state()
    kept = [forward.item(*place)[0] for place in places]
    for place, item in reversed([*zip(places, kept, strict=True)]):
        assert torch.equal(backward.item(*place)[0], item)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(forward.item(0, 0)[0], forward.item(1, 0)[0]), "another crop in another epoch"


def test_a_domain_is_a_folder_a_batch_or_a_list(tmp_path):
    for k, picture in enumerate(pictures(3, 0, (16, 24))):
        save_image(picture, tmp_path / f"{k}.png")
    given = pictures(3, 0, (16, 24))
    domains = Domains({"folder": tmp_path, "list": given, "batch": torch.cat(given)}, size=12)
    expected = resize(map_of(16, 24, 1), (12, 12))[0]
    for k in (3, 4, 5):  # the second picture of each
        assert torch.equal(domains[k][0], expected)
    assert [int(domains[k][1]) for k in range(6)] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        ({}, r"got the names \[\]"),
        ({"clear": [map_of(16, 16)]}, r"got the names \['clear'\]"),
        ({"clear": [map_of(16, 16)], 2: [map_of(16, 16)]}, "got the names"),
        ([[map_of(16, 16)], [map_of(16, 16)]], "got list"),
        (None, "got NoneType"),
    ],
)
def test_fewer_than_two_domains_are_refused(wrong, got):
    with pytest.raises(ValueError, match=f"expected at least two domains, a mapping from names .*, {got}"):
        Domains(wrong)


def test_a_domain_without_pictures_is_named(tmp_path):
    good = [map_of(16, 16)]
    with pytest.raises(ValueError, match="there are no pictures in dusk; give at least one"):
        Domains({"clear": good, "dusk": []})
    with pytest.raises(ValueError, match="there is no folder .*nowhere"):
        Domains({"clear": good, "dusk": tmp_path / "nowhere"})
    with pytest.raises(ImageError, match="dusk, picture 0"):
        Domains({"clear": good, "dusk": [255 * map_of(16, 16)]})
    with pytest.raises(ValueError, match="a load_size of at least the size"):
        domains_of(1, 1, size=16, load_size=15)
    with pytest.raises(IndexError, match="item 4 of 4"):
        domains_of(1, 2)[4]


def test_a_fingerprint_tells_sets_apart():
    a, b = pictures(2, 0), pictures(2, 1)
    sets = [
        Domains({"a": a, "b": b}, size=16),
        Domains({"b": a, "a": b}, size=16),
        Domains({"a": b, "b": a}, size=16),
        Domains({"a": a[::-1], "b": b}, size=16),
        Domains({"a": a, "b": b, "c": b}, size=16),
        *(domains_of(2, 2, **{"size": 8, **changed}) for changed in ({}, {"load_size": 9}, {"seed": 1})),
        domains_of(2, 2, size=8, load_size=9, mirror=True),
    ]
    assert len({str(each.fingerprint) for each in sets}) == len(sets)
    assert Domains({"a": a, "b": b}, size=16).fingerprint == sets[0].fingerprint
