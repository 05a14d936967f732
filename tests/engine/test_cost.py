import pytest

from auditor.engine.cost import Clock, Cost, Speed, measure, peak_memory


def test_costs_add_and_take_time():
    cost = Cost(forwards=6) + Cost(gradients=1)
    assert cost == Cost(6, 1)
    assert cost * 0.5 == Cost(3, 0.5)
    assert Speed(forward=0.2, gradient=0.5).seconds(cost) == 0.2 * 6 + 0.5


class Counting:
    """A classifier that counts and answers nothing."""

    def __init__(self):
        self.calls = []

    def logits(self, images, batch_size):
        self.calls.append(("forward", len(images)))

    def loss_gradient(self, images, targets):
        self.calls.append(("gradient", len(images), tuple(targets[0])))


def test_measuring_compiles_first_and_asks_nothing_twice():
    import numpy as np

    classifier = Counting()
    found = measure(classifier, np.zeros((3, 4, 4, 3), np.float32), np.eye(2, dtype=np.float32)[[0, 1, 0]])
    assert found.gradient >= 0
    assert classifier.calls == [("forward", 1), ("forward", 3), ("gradient", 1, (0, 1)), ("gradient", 3, (1, 0))]


def test_a_clock_estimates_at_first_and_measures_later():
    clock = Clock({"": 1.0, "slow": 10.0}, [4, 2])
    assert clock.left == 6 * 11
    clock.done("", 4, 2.0)
    clock.done("slow", 4, 4.0)
    # Half a second and one second an image, by what was measured; two images are left.
    assert clock.left == pytest.approx(3)
    assert clock.tick("note") == (6.0, "note", 3.0)
    assert clock.tick("")[0] == 0.0


def test_peak_memory_is_in_bytes():
    assert 50e6 < peak_memory() < 100e9
