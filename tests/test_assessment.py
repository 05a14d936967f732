"""The worst case over attacks, on outcomes written by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.assessment import (
    assess_attacks,
    assess_failures,
    assess_smallest_epsilon,
    assess_subgroups,
    assess_worst_case,
)
from auditor.engine.outcomes import Attacked, Diagnosis, Outcomes
from auditor.engine.plan import Plan, choose
from auditor.metrics.perceptibility import unmoved

E1, E2 = 1 / 255, 2 / 255
LABELS = np.array([0, 0, 0, 1, 1, 1])
CLASSES = ("a", "b")


def logits(predicted):
    return np.eye(2, dtype=np.float32)[np.asarray(predicted)] * 3


def attacked(predicted, concerned=None, failure="", rounded=None):
    n = len(predicted)
    return Attacked(
        logits(predicted),
        unmoved(n),
        np.ones(n, dtype=bool) if concerned is None else np.asarray(concerned),
        np.asarray(predicted if rounded is None else rounded),
        np.zeros(n, dtype=bool),
        failure,
    )


def outcomes(clean, cells):
    nobody = np.zeros(len(clean), dtype=bool)
    return Outcomes(LABELS, logits(clean), cells, Diagnosis(nobody, nobody, nobody), {})


PLAN = Plan(choose(["noise", "fgsm", "square", "fgm-l2"]), (E1, E2), 4)
NOBODY = [False] * 6


def cells(**more):
    base = {
        ("noise", E1): attacked([0, 0, 1, 1, 1, 1]),
        ("noise", E2): attacked([0, 0, 1, 1, 1, 1]),
        ("fgsm", E1): attacked([1, 0, 1, 1, 1, 1]),
        # A single step that overshoots: the first image is right again.
        ("fgsm", E2): attacked([0, 0, 1, 0, 1, 1]),
        ("square", E1): attacked([0, 1, 1, 1, 1, 1]),
        ("square", E2): attacked([0, 1, 1, 1, 1, 1]),
        # Another norm does not count at an epsilon in L-inf.
        ("fgm-l2", E1): attacked([1, 1, 1, 0, 0, 0]),
        ("fgm-l2", E2): attacked([1, 1, 1, 0, 0, 0]),
        ("margin-remedy", E1): attacked([1, 0, 1, 1, 1, 1], NOBODY),
        ("margin-remedy", E2): attacked([0, 0, 1, 0, 1, 1], NOBODY),
    }
    return base | more


CLEAN = [0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("missed", [[True, True, True, True, True, False], [True, False, False, False, False, False]])
def test_where_attacks_left_images_out_there_is_no_worst_case(missed):
    """The images that no attack met would count as withstanding."""
    plan = Plan(choose(["noise", "square"]), (E1,), 4)
    made = {("noise", E1): attacked(CLEAN), ("square", E1): attacked([1, 1, 1, 0, 0, 1], missed)}
    assert assess_worst_case(outcomes(CLEAN, made), plan, CLASSES) == []
    made["square", E1] = attacked([1, 1, 1, 0, 0, 1])
    (worst,) = assess_worst_case(outcomes(CLEAN, made), plan, CLASSES)
    assert (worst.accuracy.count, worst.attacks) == (1, ["noise", "square"])


def test_the_worst_case_after_rounding_is_of_what_files_would_hold():
    """One image is lost to FGSM as made and given back by rounding; another is lost by rounding alone."""
    plan = Plan(choose(["fgsm"]), (E1, E2), 4)
    made = {
        ("fgsm", E1): attacked([1, 0, 1, 1, 1, 1], rounded=[0, 0, 1, 0, 1, 1]),
        ("fgsm", E2): attacked([1, 0, 1, 1, 1, 1], rounded=[0, 0, 1, 1, 1, 1]),
        ("margin-remedy", E1): attacked(CLEAN, NOBODY), ("margin-remedy", E2): attacked(CLEAN, NOBODY),
    }  # fmt: skip
    found = assess_worst_case(outcomes(CLEAN, made), plan, CLASSES)
    assert [worst.accuracy.count for worst in found] == [4, 4]
    # What rounding won at the smaller epsilon is won.
    assert [worst.eight_bit.count for worst in found] == [4, 4]


def test_noise_alone_makes_no_worst_case():
    plan = Plan(choose(["noise", "fgsm"]), (E1,), 4)
    made = {
        ("noise", E1): attacked(CLEAN), ("fgsm", E1): attacked(CLEAN, failure="Error: it crashed"),
        ("margin-remedy", E1): attacked(CLEAN, NOBODY),
    }  # fmt: skip
    assert assess_worst_case(outcomes(CLEAN, made), plan, CLASSES) == []
    assert assess_subgroups(outcomes(CLEAN, made), plan, CLASSES, {"c": ["x"] * 6})[0].worst_case is None


def test_the_worst_case_is_taken_image_by_image_and_never_falls():
    small, large = assess_worst_case(outcomes(CLEAN, cells()), PLAN, CLASSES)
    # Wrong from the start: one. Won at 1/255: one by FGSM, one by Square. At 2/255: one more by FGSM.
    assert (small.accuracy.count, small.accuracy.of) == (3, 6)
    assert (large.accuracy.count, large.accuracy.of) == (2, 6)
    assert (small.success_rate.count, small.success_rate.of) == (2, 5)
    assert (large.success_rate.count, large.success_rate.of) == (3, 5)
    assert small.sensitivity["a"].count == 0
    assert large.sensitivity["b"].count == 2
    assert small.attacks == ["noise", "fgsm", "square"]
    assert (small.eight_bit.count, large.eight_bit.count) == (3, 2)
    assert small.accuracy_drop.value == pytest.approx(2 / 6)
    assert small.clustered is None


def test_a_crashed_attack_is_a_failure_and_no_part_of_the_worst_case():
    found = outcomes(CLEAN, cells() | {("square", E1): attacked(CLEAN, failure="ValueError: no")})
    small, _ = assess_worst_case(found, PLAN, CLASSES)
    assert small.attacks == ["noise", "fgsm"]
    (failure,) = assess_failures(found)
    assert (failure.name, failure.epsilon, failure.reason) == ("square", E1, "ValueError: no")
    named = [(a.name, a.epsilon) for a in assess_attacks(found, PLAN, CLASSES, 48)]
    assert ("square", E1) not in named
    assert ("square", E2) in named


def test_an_attack_on_a_subset_is_measured_on_it():
    subset = [True, False, False, True, False, False]
    found = outcomes(CLEAN, cells() | {("square", E2): attacked([1, 1, 1, 1, 1, 1], subset)})
    square = next(a for a in assess_attacks(found, PLAN, CLASSES, 48) if (a.name, a.epsilon) == ("square", E2))
    assert (square.images, square.accuracy.count) == (2, 1)
    assert square.success_rate.of == 2
    # Outside its subset it has won nothing: images 4 and 5 stand.
    assert assess_worst_case(found, PLAN, CLASSES)[1].accuracy.count == 2


def test_a_remedy_that_was_not_needed_is_not_in_the_record():
    names = {a.name for a in assess_attacks(outcomes(CLEAN, cells()), PLAN, CLASSES, 48)}
    assert names == {"noise", "fgsm", "square", "fgm-l2"}
    needed = cells() | {("margin-remedy", E1): attacked([1, 0, 1, 0, 1, 1], [False, False, False, True, False, False])}
    found = assess_attacks(outcomes(CLEAN, needed), PLAN, CLASSES, 48)
    remedy = next(a for a in found if a.name == "margin-remedy" and a.epsilon == E1)
    assert (remedy.remedy, remedy.images, remedy.accuracy.count) == (1, 6, 3)


def test_rounding_that_undoes_a_wrong_answer_is_counted():
    found = outcomes(CLEAN, cells() | {("fgsm", E1): attacked([1, 0, 1, 1, 1, 1], rounded=CLEAN)})
    fgsm = next(a for a in assess_attacks(found, PLAN, CLASSES, 48) if (a.name, a.epsilon) == ("fgsm", E1))
    assert fgsm.eight_bit.lost == 1
    assert (fgsm.accuracy.count, fgsm.eight_bit.accuracy.count) == (4, 5)


def test_the_radius_is_in_the_norm_of_the_attack():
    found = {(a.name, a.epsilon): a.radius for a in assess_attacks(outcomes(CLEAN, cells()), PLAN, CLASSES, 48)}
    assert found["fgsm", E2] == E2
    assert found["fgm-l2", E2] == pytest.approx(E2 * np.sqrt(48))


def test_how_little_it_takes():
    worst = assess_worst_case(outcomes(CLEAN, cells()), PLAN, CLASSES)
    found = assess_smallest_epsilon(worst, 5)
    assert [flipped.count for flipped in found.counts] == [2, 1]
    assert (found.withstood, found.of) == (2, 5)
    # Three of five have fallen at 2/255, two at 1/255.
    assert found.median == E2
    assert assess_smallest_epsilon(worst, 0) is None
    assert assess_smallest_epsilon(worst[:1], 5).median is None


def test_groups_widen_the_interval():
    found = outcomes(CLEAN, cells())
    assert assess_worst_case(found, PLAN, CLASSES, ["p"] * 3 + ["q"] * 3)[0].clustered is None
    many = Outcomes(
        np.tile(LABELS, 4),
        np.tile(found.clean, (4, 1)),
        {cell: Attacked.join([part] * 4) for cell, part in found.attacked.items()},
        Diagnosis.join([found.diagnosis] * 4),
        {},
    )
    # Pairs of images with one outcome, and each image by itself.
    pairs = assess_worst_case(many, PLAN, CLASSES, [f"{i % 6 // 3} {i // 6} {i % 3 // 2}" for i in range(24)])[0]
    alone = assess_worst_case(many, PLAN, CLASSES, [str(i) for i in range(24)])[0]
    assert pairs.clustered.value == alone.clustered.value == alone.accuracy.value
    assert pairs.clustered.high - pairs.clustered.low > alone.clustered.high - alone.clustered.low


def test_subgroups_are_measured_apart_and_not_without_an_attack():
    found = outcomes(CLEAN, cells())
    many = Outcomes(
        np.tile(LABELS, 4),
        np.tile(found.clean, (4, 1)),
        {cell: Attacked.join([part] * 4) for cell, part in found.attacked.items()},
        Diagnosis.join([found.diagnosis] * 4),
        {},
    )
    columns = {"site": ["A"] * 12 + ["B"] * 9 + ["C"] * 3}
    a, b, c = assess_subgroups(many, PLAN, CLASSES, columns)
    assert (a.images, a.clean.count, a.worst_case.count) == (12, 10, 4)
    assert (b.clean, c.clean) == (None, None)
    unbounded = Plan(choose(["spatial"]), (E1, E2), 4)
    spatial = Outcomes(
        many.labels, many.clean, {("spatial", None): Attacked.join([attacked(CLEAN)] * 4)}, many.diagnosis, {}
    )
    a, *_ = assess_subgroups(spatial, unbounded, CLASSES, columns)
    assert a.clean.count == 10
    assert a.worst_case is None
    assert not a.sensitivity


@given(st.lists(st.lists(st.integers(0, 1), min_size=6, max_size=6), min_size=6, max_size=6))
def test_the_worst_case_is_at_most_every_attack(predicted):
    names = [(n, e) for n in ("noise", "fgsm", "square") for e in (E1, E2)]
    found = outcomes(CLEAN, cells() | {cell: attacked(row) for cell, row in zip(names, predicted, strict=True)})
    small, large = assess_worst_case(found, PLAN, CLASSES)
    assert large.accuracy.count <= small.accuracy.count <= 5
    for worst in (small, large):
        for name in worst.attacks:
            right = (found.attacked[name, worst.epsilon].predicted == LABELS).sum()
            assert worst.accuracy.count <= right
