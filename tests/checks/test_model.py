import numpy as np
import pytest

from auditor.checks import model

IDS = ["a", "b", "c", "d"]


def mask(*places, n=4):
    found = np.zeros(n, dtype=bool)
    found[list(places)] = True
    return found


def passes(*shifts):
    logits = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    return np.stack([logits + np.array([shift, 0], np.float32) for shift in shifts])


LABELS = np.array([0, 1])


@pytest.mark.parametrize(
    ("shifts", "status"),
    [
        ((0, 0, 0, 0, 0), "PASS"),
        ((0, 5e-5, 0, 0, 0), "PASS"),
        ((0, 0, 0, 0, 3e-4), "FAIL"),
        # The same answers but for one that changes the class.
        ((0, 0, 2, 0, 0), "FAIL"),
        ((0, np.nan, 0, 0, 0), "FAIL"),
    ],
)
def test_the_same_answer_twice(shifts, status):
    assert model.deterministic(passes(*shifts), LABELS).status == status


def test_no_answer_every_time_is_the_same_answer():
    found = passes(0, 0, 0, 0, 0)
    found[:, 1, 0] = np.nan
    assert model.deterministic(found, LABELS).status == "PASS"


def test_a_gradient_that_vanishes_is_a_warning_and_one_that_stays_away_a_failure():
    right = np.ones(4, dtype=bool)
    assert model.zero_gradient(mask(), mask(), right, True, IDS).status == "PASS"
    found = model.zero_gradient(mask(1, 3), mask(), right, True, IDS)
    assert (found.status, found.images) == ("WARN", ["b", "d"])
    assert "was not attacked" in model.zero_gradient(mask(1), mask(), right, False, IDS).reason
    assert model.zero_gradient(mask(1), mask(1), right, True, IDS).status == "FAIL"
    # On an image that is wrong from the start nothing depends.
    assert model.zero_gradient(mask(1), mask(1), ~mask(1), True, IDS).status == "PASS"


def test_one_blind_image_in_a_hundred_may_be():
    right, ids = np.ones(200, dtype=bool), [str(i) for i in range(200)]
    assert model.zero_gradient(mask(0, 1, n=200), mask(0, 1, n=200), right, True, ids).status == "WARN"
    assert model.zero_gradient(mask(0, 1, 2, n=200), mask(0, 1, 2, n=200), right, True, ids).status == "FAIL"


def test_saturation_begins_where_float32_knows_a_softmax_as_one():
    leads = np.array([0.0, 16.5, -40.0, 16.7])
    found = model.saturation(leads, True, IDS)
    assert (found.status, found.images) == ("WARN", ["d"])
    assert "was attacked as well" in found.reason
    assert "was not attacked" in model.saturation(leads, False, IDS).reason
    assert model.saturation(leads[:3], True, IDS).status == "PASS"
    # That is where float32 puts it.
    exact = np.exp(-np.array([16.5, 16.7], np.float32).astype(np.float64))
    assert np.float32(1) - np.float32(exact[0]) < 1
    assert np.float32(1) - np.float32(exact[1] / 2) == 1


def test_far_worse_than_chance_is_a_wrong_order_of_the_classes():
    labels = np.repeat([0, 1, 2], 10)
    turned = np.roll(np.arange(3), 1)[labels]
    found = model.class_order(turned, labels, ("a", "b", "c"))
    assert found.status == "WARN"
    assert "named b, c, a it would be 100.0%" in found.reason
    assert model.class_order(labels, labels, ("a", "b", "c")).status == "PASS"


@pytest.mark.parametrize("right", [5, 12])
def test_guessing_is_no_wrong_order(right):
    # Always the same class, however rare, is chance and no worse.
    labels = np.array([0] * right + [1] * (40 - right))
    assert model.class_order(np.zeros(40, int), labels, ("a", "b")).status == "PASS"
    assert model.class_order(np.random.default_rng(0).permutation(labels), labels, ("a", "b")).status == "PASS"


def test_no_number_is_a_failure():
    assert model.finite(mask(), IDS).status == "PASS"
    found = model.finite(mask(2), IDS)
    assert (found.status, found.images) == ("FAIL", ["c"])
