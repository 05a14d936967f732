import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.checks import strength
from auditor.metrics.intervals import paired_difference

IDS = [str(i) for i in range(100)]
E1, E2, E4 = 1 / 255, 2 / 255, 4 / 255


def first(count, n=100):
    """The first images of n."""
    return np.arange(n) < count


ALL = first(100)


def test_an_image_outside_its_budget_is_an_error():
    assert strength.within_budget({"fgsm at 1/255": first(0)}, IDS).status == "PASS"
    found = strength.within_budget({"fgsm at 1/255": first(0), "pgd at 1/255": first(2)}, IDS)
    assert (found.status, found.images) == ("ERROR", ["0", "1"])
    assert "pgd at 1/255" in found.reason
    assert "fgsm" not in found.reason


def test_an_unchanged_image_is_named():
    assert strength.unchanged(first(0), IDS).status == "PASS"
    assert strength.unchanged(first(3), IDS).images == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("noise", "attack", "status"),
    [
        (5, 50, "PASS"),
        (50, 50, "FAIL"),
        (60, 50, "FAIL"),
        # Where neither wins anything nothing is known of the attacks.
        (0, 0, "WARN"),
        (1, 0, "WARN"),
        (100, 100, "PASS"),
        (2, 2, "FAIL"),
    ],
)
def test_an_attack_beats_noise(noise, attack, status):
    assert strength.noise_control({E1: first(noise)}, {E1: first(attack)}, ALL).status == status


def test_attacks_that_make_a_model_better_are_broken():
    def drop(before, after):
        return paired_difference(first(before), first(after))

    assert strength.harmful({"fgsm at 1/255": drop(80, 30), "pgd at 1/255": drop(80, 80)}).status == "PASS"
    # One image more is chance.
    assert strength.harmful({"fgsm at 1/255": drop(80, 81)}).status == "PASS"
    found = strength.harmful({"fgsm at 1/255": drop(80, 100), "pgd at 1/255": drop(80, 30)})
    assert found.status == "FAIL"
    assert "Not fgsm at 1/255:" in found.reason
    assert "by -20.0 points" in found.figure


def test_noise_is_compared_at_every_epsilon():
    found = strength.noise_control({E1: first(3), E4: first(30)}, {E1: first(40), E4: first(20)}, ALL)
    assert found.status == "FAIL"
    assert "4/255" in found.reason
    assert "1/255" not in found.reason


def test_a_fall_within_its_interval_is_no_reversal():
    assert strength.grows("fgsm", {E1: first(50), E2: first(49)}).status == "PASS"
    found = strength.grows("fgsm", {E1: first(50), E2: first(90), E4: first(40)})
    assert found.status == "WARN"
    assert "4/255 than at 2/255" in found.reason


def test_an_unbounded_attack_has_to_win():
    assert strength.unbounded(ALL, first(0), 0.5, IDS).status == "PASS"
    assert strength.unbounded(ALL, first(50), 0.5, IDS).status == "PASS"
    found = strength.unbounded(ALL, first(51), 0.5, IDS)
    assert found.status == "FAIL"
    assert len(found.images) == 51


def test_a_model_that_guesses_does_not_pass_without_having_been_attacked():
    # Right on the largest class alone, before and after.
    assert strength.unbounded(first(88), first(88), 0.88, IDS).status == "FAIL"
    assert strength.unbounded(first(88), first(0), 0.88, IDS).status == "PASS"


def test_many_steps_win_what_one_step_wins():
    assert strength.iterative_beats_single_step({E1: first(10)}, {E1: first(10)}, IDS).status == "PASS"
    found = strength.iterative_beats_single_step({E1: first(12), E2: first(5)}, {E1: first(10), E2: first(9)}, IDS)
    assert (found.status, found.images) == ("WARN", ["10", "11"])


@pytest.mark.parametrize(
    ("more", "n", "status"), [(0, 100, "PASS"), (1, 100, "WARN"), (1, 200, "PASS"), (2, 200, "WARN")]
)
def test_twice_the_steps_win_at_most_half_a_point(more, n, status):
    ids = [str(i) for i in range(n)]
    found = strength.converged(first(20 + more, n) & ~first(20, n), E2, ids)
    assert found.status == status
    assert found.images == ids[20 : 20 + more]


@pytest.mark.parametrize(
    ("free", "n", "status"), [(40, 100, "PASS"), (41, 100, "FAIL"), (42, 1000, "PASS"), (43, 1000, "FAIL")]
)
def test_an_attack_without_gradients_wins_nothing_by_itself(free, n, status):
    found = strength.gradient_free({E1: first(free, n)}, {E1: first(40, n)}, [str(i) for i in range(n)])
    assert found.status == status
    assert (found.status == "FAIL") == bool(found.images)


def test_what_one_attack_wins_is_not_set_off_by_what_another_wins():
    found = strength.gradient_free({E1: first(2)}, {E1: ~first(2)}, IDS)
    assert (found.status, found.images) == ("FAIL", ["0", "1"])


def test_rounding_and_crashes():
    assert strength.eight_bit({"fgsm": (0, 10)}, E1).status == "PASS"
    found = strength.eight_bit({"fgsm": (0, 10), "pgd": (4, 12)}, E1)
    assert found.status == "WARN"
    assert "4 of 12 images won by pgd" in found.figure
    assert strength.completed([]).status == "PASS"
    found = strength.completed([("pgd at 1/255", "ValueError: no")])
    assert found.status == "ERROR"
    assert "pgd at 1/255: ValueError: no." in found.reason


@given(st.integers(0, 100), st.integers(0, 100))
def test_noise_never_condemns_an_attack_that_wins_more(noise, attack):
    found = strength.noise_control({E1: first(noise)}, {E1: first(attack)}, ALL)
    assert (found.status == "FAIL") <= (noise >= attack)
