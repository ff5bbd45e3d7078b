"""A pool of earlier pictures: what it keeps, what it gives back, how often, and that a run can be taken up again."""

import pytest
import torch

from course_lib.training.image_pool import ImagePool


def numbered(first, count=1):
    """Pictures (count, 3, 2, 2) that are known by their value."""
    return torch.arange(first, first + count).float().view(-1, 1, 1, 1).expand(count, 3, 2, 2).clone()


def numbers(images):
    return images.mean((1, 2, 3)).tolist()


def test_a_pool_of_no_size_gives_back_what_came():
    pool = ImagePool(0)
    images = numbered(0, 3).requires_grad_(True)
    given = pool(images)
    torch.testing.assert_close(given, images.detach())
    assert not given.requires_grad  # the discriminator's step must not reach the generator


def test_while_it_fills_it_gives_back_what_came():
    pool = ImagePool(5)
    assert numbers(pool(numbered(0, 3))) == [0, 1, 2]
    assert numbers(pool(numbered(3, 2))) == [3, 4]
    assert int(pool.count) == 5


def test_nothing_is_differentiated_through_it():
    images = numbered(0, 2).requires_grad_(True)
    assert not ImagePool(1)(images).requires_grad


def test_full_it_gives_the_new_one_or_an_earlier_one_in_whose_place_that_stays():
    torch.manual_seed(0)
    pool = ImagePool(4)
    pool(numbered(0, 4))
    kept = {0.0, 1.0, 2.0, 3.0}
    for number in range(4, 60):
        (given,) = numbers(pool(numbered(number)))
        assert given in kept | {number}
        kept = (kept | {number}) - {given}  # what is given away is kept no longer
        assert set(numbers(pool.images)) == kept


def test_half_of_the_time_it_is_the_new_one_and_every_place_has_its_turn():
    torch.manual_seed(0)
    pool = ImagePool(10)
    pool(numbered(0, 10))
    given = numbers(pool(numbered(10, 2000)))
    fresh = sum(number == 10 + k for k, number in enumerate(given))
    assert 900 < fresh < 1100  # 1000 ± 22: four and a half standard deviations
    assert set(range(10)) <= set(given)


def test_what_it_gives_is_not_what_it_keeps():
    pool = ImagePool(1)
    given = pool(numbered(7))
    given.zero_()
    assert numbers(pool.images) == [7]
    torch.manual_seed(0)
    for number in range(8, 20):
        pool(numbered(number)).zero_()
        assert numbers(pool.images)[0] >= 7


def test_a_checkpoint_holds_it():
    torch.manual_seed(0)
    pool = ImagePool(3, (3, 2, 2))
    pool(numbered(0, 5))
    again = ImagePool(3, (3, 2, 2))
    again.load_state_dict(pool.state_dict())
    for twin in (pool, again):
        torch.manual_seed(1)
        twin.given = numbers(twin(numbered(10, 6)))
    assert pool.given == again.given
    assert not list(pool.parameters())


@pytest.mark.parametrize("shape", [(), (6, 4, 4)])
def test_it_takes_the_shape_of_what_comes(shape):
    pool = ImagePool(2, shape)
    given = pool(torch.ones(3, 6, 4, 4))
    assert given.shape == (3, 6, 4, 4)
    assert pool.images.shape == (2, 6, 4, 4)
