"""The segmenter, on pictures whose colors determine the classes, with a small random network."""

import math

import pytest
import torch

from course_lib.data.facades import CLASSES
from course_lib.evaluation.segmenter import Segmenter, find_classes, pixel_accuracy, train_segmenter
from course_lib.training.checkpoints import CheckpointError

NAMES = [*CLASSES]
COLORS = torch.tensor([*CLASSES.values()]) / 255


def classes_of(k, size=32):
    """Three horizontal bands of random classes, determined by k."""
    generator = torch.Generator().manual_seed(k)
    classes = torch.randint(1, 4, (size, 1), generator=generator).repeat(1, size)
    first, second = sorted(torch.randint(4, size - 4, (2,), generator=generator).tolist())
    bands = torch.randint(1, 4, (3,), generator=generator)
    classes[:first], classes[first:second], classes[second:] = bands
    return classes


def labels_of(classes):
    """(H, W) → (3, H, W) in the palette's colors."""
    return COLORS[classes].permute(2, 0, 1)


def pair(k, background=None):
    """A label map, and a photo in which every class has a color of its own, different from that in the map."""
    classes = classes_of(k)
    photo = labels_of(classes).roll(1, 0) * 0.8 + 0.1
    if background is not None:
        classes = classes.clone()
        classes[:, background] = 0
    return torch.stack((labels_of(classes), photo))


@pytest.fixture(scope="module")
def trained():
    return train_segmenter([pair(k) for k in range(16)], num_steps=60, weights=None)


# --- accuracy ---


def test_accuracy_by_hand():
    """Of eight pixels, two are background; four of the other six are right."""
    truth = torch.tensor([[[1, 2, 3, 0], [6, 6, 0, 8]]])
    predicted = torch.tensor([[[1, 2, 4, 5], [6, 7, 0, 8]]])
    assert pixel_accuracy(predicted, labels_of(truth[0])[None]) == pytest.approx(4 / 6)
    assert pixel_accuracy(truth, labels_of(truth[0])[None]) == 1
    assert pixel_accuracy((truth + 1) % 9, labels_of(truth[0])[None]) == 0


def test_accuracy_averages_over_pixels_not_pictures():
    """One labeled pixel in the first picture, three in the second."""
    truth = torch.tensor([[[1, 0, 0, 0]], [[1, 1, 1, 0]]])
    labels = torch.stack([labels_of(each) for each in truth])
    predicted = torch.tensor([[[1, 1, 1, 1]], [[2, 2, 2, 2]]])
    assert pixel_accuracy(predicted, labels) == pytest.approx(1 / 4)


def test_accuracy_is_nan_if_everything_is_background():
    nothing = torch.zeros(1, 2, 2, dtype=torch.long)
    assert math.isnan(pixel_accuracy(nothing, torch.zeros(1, 3, 2, 2)))


# --- the network ---


def test_logits_of_every_class_at_every_pixel():
    network = Segmenter(weights=None).eval()
    for size in ((16, 16), (33, 47), (64, 32)):
        assert network(torch.rand(2, 3, *size)).shape == (2, len(CLASSES), *size)
    assert Segmenter(3, weights=None, channels=8).eval()(torch.rand(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_the_pretrained_features_are_frozen_and_the_rest_learns():
    network = Segmenter(weights=None).train()
    network(torch.rand(2, 3, 32, 32)).square().mean().backward()
    read = {name for name, parameter in network.named_parameters() if name.startswith("features")}
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad == (name not in read)
        assert (parameter.grad is None) == (name in read)
    assert len(read) == 2 * 10  # of VGG-16's convolutions, those up to the fourth block
    assert all(parameter.grad.abs().sum() > 0 for name, parameter in network.named_parameters() if name not in read)


def test_background_is_never_predicted():
    network = Segmenter(weights=None).eval()
    with torch.no_grad():
        network.decide[-1].bias[0] = 1000
        network.decide[-1].bias[5] = 500
    predicted = find_classes(torch.rand(9, 3, 32, 32), network)  # more than one batch
    assert predicted.shape == (9, 32, 32)
    assert predicted.unique().tolist() == [5]


def test_predictions_do_not_depend_on_the_batch(trained):
    photos = torch.stack([pair(k)[1] for k in range(100, 110)])
    apart = torch.cat([find_classes(photo[None], trained) for photo in photos])
    assert (find_classes(photos, trained) == apart).float().mean() > 0.999


# --- learning ---


def test_classes_determined_by_color_are_learned(trained):
    labels, photos = torch.stack([pair(k) for k in range(100, 108)]).unbind(1)
    predicted = find_classes(photos, trained)
    assert pixel_accuracy(predicted, labels) > 0.9  # the network's strides blur the borders between bands
    assert pixel_accuracy(predicted, labels.flip(0)) < 0.7
    untrained = pixel_accuracy(find_classes(photos, Segmenter(weights=None).eval()), labels)
    assert untrained < 0.6
    assert not trained.training


def test_unlabeled_pixels_are_ignored_in_training():
    """The left half has no labels, but its classes are predicted as well as those on the right."""
    network = train_segmenter([pair(k, slice(0, 16)) for k in range(16)], num_steps=60, weights=None)
    labels, photos = torch.stack([pair(k) for k in range(100, 108)]).unbind(1)
    predicted = find_classes(photos, network)
    assert pixel_accuracy(predicted[..., :16], labels[..., :16]) > 0.85
    logits = network(photos).softmax(1)
    assert logits[:, 4:].sum(1).mean() < 0.1  # classes that are nowhere; 0, of which nobody said a word, is left alone


def test_the_seed_determines_the_network(tmp_path):
    pairs, before = [pair(k) for k in range(4)], torch.get_rng_state()
    first, again, other = (train_segmenter(pairs, num_steps=3, weights=None, seed=seed) for seed in (0, 0, 1))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    apart = (first.decide[1].weight - other.decide[1].weight).abs().max()
    assert apart > 0.02  # three steps of 0.002 in each direction explain only 0.012, so the initial weights differ
    assert torch.equal(torch.get_rng_state(), before)
    kept = train_segmenter(pairs, num_steps=3, weights=None, checkpoint=tmp_path / "run")
    resumed = train_segmenter(pairs, num_steps=3, weights=None, checkpoint=tmp_path / "run")
    assert torch.equal(kept.decide[1].weight, first.decide[1].weight)
    assert torch.equal(resumed.decide[1].weight, first.decide[1].weight)
    with pytest.raises(CheckpointError, match="belongs to a run with another configuration"):
        train_segmenter(pairs, num_steps=3, weights=None, seed=1, checkpoint=tmp_path / "run")
