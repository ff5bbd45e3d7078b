"""A generator that makes the same picture whatever it is given: noticed, said once, and not said of a healthy one."""

import warnings
from contextlib import suppress

import pytest
import torch
from torch import nn

from course_lib.evaluation.diversity import diversity
from course_lib.training import checkpoints
from course_lib.training.collapse import COUNT, Sight, Watch, both_ways, follows, has_collapsed, some, spread
from course_lib.training.loop import Minimizer, fit

SAME, RICH, RISING = 0.01, 0.8, 0.2  # low, alive, and neither


# --- the measure
def test_the_spread_of_pictures_is_their_diversity():
    x = torch.rand(6, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    assert spread(x) == pytest.approx(diversity(x), rel=1e-9)
    assert spread(x[:1]) == 0


def test_the_spread_along_another_dimension_leaves_out_the_first():
    """Two pictures, each in two domains that differ by 0.6; the pictures themselves differ by far more."""
    x = torch.tensor([[0.0, 0.6], [9.0, 9.6]])
    assert spread(x, dim=1) == pytest.approx(0.6)
    assert spread(x) == pytest.approx(9.0)


# --- the rule, by hand
@pytest.mark.parametrize(
    ("ratios", "part", "expected"),
    [
        ([RICH, SAME, SAME, SAME], 0.05, True),  # lost
        ([RICH, SAME, SAME], 0.05, False),  # two looks are not enough
        ([RICH, SAME, RICH, SAME, SAME], 0.9, False),  # a swing
        ([SAME] * 10, 0.24, False),  # the beginning, where all pictures are alike
        ([SAME] * 3, 0.25, True),  # it never came
        ([RISING, SAME, SAME, SAME], 0.05, False),  # it was never alive
        ([SAME, RISING, RICH], 0.9, False),
        ([RICH, *[float("nan")] * 3], 0.9, False),  # another kind of failure, which the loop ends
        ([], 0.0, False),
        ([SAME, SAME], 1.0, False),
    ],
)
def test_three_low_looks_after_life_or_after_a_quarter_of_the_run(ratios, part, expected):
    assert has_collapsed(ratios, part) is expected


def test_what_counts_as_low_is_the_callers():
    ratios = [0.5, 0.05, 0.05, 0.05]
    assert has_collapsed(ratios, 0.1, least=0.1)
    assert not has_collapsed(ratios, 0.1, least=0.01)


# --- a watch
def watch_of(values, every=1, **settings):
    """A watch over pictures whose spread takes the given values, one a look."""
    values = iter(values)
    made = lambda: torch.tensor([[0.0], [next(values)]])  # noqa: E731
    return Watch([Sight("2 draws of noise", made, real=1.0, **settings)], every=every)


def test_the_sentence_says_what_when_and_what_to_do_and_comes_once():
    watch = watch_of([RICH, SAME, SAME, SAME, SAME], every=10, advice="Do that")
    said = [watch.look(step, num_steps=1000) for step in range(1, 51)]
    assert [step for step, sentence in enumerate(said, 1) if sentence] == [40]
    assert said[39] == (
        "step 40: the generator has collapsed. Since step 20 its outputs for 2 draws of noise are nearly the same: "
        "they differ by 1 % of what real ones do. The run goes on, but seldom recovers. Do that."
    )
    assert watch.collapsed == 20
    assert [look for (look,) in watch.looks] == pytest.approx([RICH, *[SAME] * 4])


def test_a_set_of_real_ones_that_are_all_alike_says_nothing_and_is_left_out():
    for real in (0.0, float("nan")):
        watch = Watch([Sight("x", lambda: pytest.fail("not to be made"), real)], every=1)
        assert [watch.look(step, 4) for step in (1, 2, 3)] == [None] * 3


def test_one_blind_sight_of_two_is_enough():
    """Its outputs follow the picture, and not the label."""
    x = torch.rand(3, 1, 3, 4, 4).expand(3, 2, 3, 4, 4)
    made = lambda: x  # noqa: E731
    watch = Watch([Sight("3 pictures", made, 0.4), Sight("2 domains", made, 0.4, dim=1)], every=1)
    sentences = [watch.look(step, 4) for step in (1, 2, 3)]
    assert "for 2 domains are nearly the same" in sentences[2]


def test_a_translator_is_compared_with_real_pictures_of_where_it_goes():
    pairs = torch.rand(40, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    pairs[:, 1] /= 4  # B is dark
    constant = nn.Conv2d(3, 3, 1)
    nn.init.zeros_(constant.weight)
    there, back = both_ways(Darker(), constant, pairs)
    assert there.ratio() == pytest.approx(1, rel=0.2)  # a quarter of what A differs: as much as B does
    assert back.ratio() == 0
    assert (there.given, back.given) == ("8 pictures of A", "8 pictures of B")


class Darker(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.25))

    def forward(self, x):
        return self.factor * x


def test_a_look_leaves_the_network_in_its_mode_and_its_statistics_alone():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout())
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    follows(network, torch.rand(4, 3, 8, 8), torch.rand(4, 3, 8, 8), "x").ratio()
    assert (network.training, network[0].training, network[1].training) == (True, True, False)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


def test_items_are_spread_over_the_data_and_random_ones_change_no_random_numbers():
    class Noisy(list):
        def __getitem__(self, k):
            torch.rand(3)
            return super().__getitem__(k)

    torch.manual_seed(3)
    state = torch.get_rng_state()
    assert some(Noisy(range(32))) == [*range(0, 32, 2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert some([5, 6, 7]) == [5, 6, 7]
    assert len(some(range(1000))) == COUNT


# --- in a run
class Fading(Minimizer):
    """Learns nothing; its generator's contrast is multiplied by `factor` at each step. It draws random numbers."""

    def __init__(self, factor):
        network = nn.Linear(2, 3, bias=False)
        nn.init.ones_(network.weight)
        super().__init__(network, lambda network, batch: (network(batch).sum()[None] * 0, None), ["none"])
        self.factor = factor

    def step(self, batch, step=0):
        terms, _ = super().step(batch, step)
        with torch.no_grad():
            self.network.weight.mul_(self.factor + 1e-3 * torch.rand(()))
        return terms, None


Z = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def run(factor, num_steps=24, watched=True, **options):
    learner = Fading(factor)
    watch = Watch([Sight("3 draws", lambda: learner.network(Z).detach(), real=1.0)], every=2) if watched else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = fit(learner, torch.rand(8, 2), num_steps=num_steps, batch_size=4, seed=1, watch=watch, **options)
    said = [str(warning.message) for warning in caught if "collapsed" in str(warning.message)]
    return done, learner.network, watch, said


def test_a_run_that_collapses_says_so_and_goes_on_to_its_end():
    done, _, watch, said = run(0.7)
    assert len(said) == 1
    assert "its outputs for 3 draws are nearly the same" in said[0]
    assert 6 <= watch.collapsed <= 10  # 0.7 to the power of 8 is 0.06
    assert len(done.history["total"]) == 24
    assert done.stopped is None


def test_a_healthy_run_says_nothing():
    _, _, watch, said = run(1.0)
    assert (watch.collapsed, said, len(watch.looks)) == (None, [], 12)


def test_looks_change_nothing_to_the_last_bit():
    _, watched, _, _ = run(0.7)
    _, alone, _, _ = run(0.7, watched=False)
    assert torch.equal(watched.weight, alone.weight)


def test_a_resumed_run_goes_on_with_its_looks_and_does_not_say_it_again(tmp_path):
    file = tmp_path / "run.checkpoint"

    def stopped_at(last):
        def stop(progress):
            if progress.step == last:
                raise KeyboardInterrupt

        with suppress(KeyboardInterrupt):
            run(0.7, callback=stop, checkpoint=file)

    _, whole, watch, _ = run(0.7)
    whole_said = watch.collapsed + 4  # at the third low look
    stopped_at(whole_said - 1)  # two of the three low looks are past
    _, network, again, said = run(0.7, checkpoint=file)
    assert torch.equal(network.weight, whole.weight)
    assert (again.looks, again.collapsed, len(said)) == (watch.looks, watch.collapsed, 1)
    _, _, third, said = run(0.7, checkpoint=file)  # it is over
    assert (third.looks, third.collapsed, said) == (watch.looks, watch.collapsed, [])


def test_a_checkpoint_of_a_run_without_looks_is_resumed(tmp_path):
    file = tmp_path / "run.checkpoint"
    run(1.0, num_steps=4, watched=False, checkpoint=file)
    state = checkpoints.torch.load(file, weights_only=True)
    assert state.pop("watch") is None  # earlier versions had no such entry
    checkpoints.write(file, {key: value for key, value in state.items() if key != "format"})
    _, _, watch, _ = run(1.0, num_steps=8, checkpoint=file)
    assert len(watch.looks) == 2
