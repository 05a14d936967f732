import numpy as np
import pytest

from auditor.attacks import ATTACKS, SUITES, suite
from auditor.engine.cost import Cost
from auditor.engine.plan import Plan, choose, critical_pair, fitting_batch_size

SWEEP = tuple(e / 255 for e in (0.5, 1, 2, 4, 8))


def test_cost_of_a_sweep_is_one_gradient_and_a_pass_for_each_epsilon():
    plan = Plan((ATTACKS["fgsm"],), SWEEP, 16)
    # The clean prediction and five adversarial images to judge; the gradient is the same at every epsilon.
    assert plan.cost(100) == Cost(forwards=1 + 5, gradients=1)
    assert len(plan.cells) == 5


def test_a_subset_costs_its_share():
    plan = Plan((ATTACKS["spatial"],), SWEEP, 16)
    whole = ATTACKS["spatial"].cost(1).forwards + 1
    assert plan.cost(ATTACKS["spatial"].subset * 4).forwards == pytest.approx(1 + whole / 4)


@pytest.mark.parametrize(("steps", "headline"), [((0.5, 1, 2, 4, 8), 2), ((1, 4), 1), ((8,), 8), ((1.9, 2.2), 1.9)])
def test_headline_is_the_nearest_to_two(steps, headline):
    plan = Plan((ATTACKS["fgsm"],), tuple(e / 255 for e in steps), 16)
    assert plan.headline * 255 == pytest.approx(headline)


def test_budgets_are_those_of_the_attack():
    plan = Plan(choose(["fgsm", "deepfool", "spatial", "pgd"]), SWEEP, 16)
    found = {attack.name: plan.budgets(attack) for attack in plan.attacks}
    assert found["fgsm"] == SWEEP
    assert found["deepfool"] == (None, *SWEEP)
    assert found["spatial"] == (None,)
    assert found["pgd-unbounded"] == (0.5,)
    assert found["pgd-longer"] == (2 / 255,)


def test_checks_bring_what_they_need():
    def names(*chosen):
        return [attack.name for attack in choose(chosen)]

    assert names("fgsm") == ["fgsm", "margin-remedy"]
    assert names("noise") == ["noise"]
    assert names("pgd", "pgd-margin") == ["pgd", "pgd-margin", "pgd-unbounded", "pgd-longer"]
    with pytest.raises(KeyError):
        choose(["pgd-unbounded"])


def test_the_remedy_follows_the_first_attack_along_the_gradient():
    assert choose(["noise", "square", "apgd", "fgsm"])[-1].follows == "apgd"
    # Not one in another norm, nor one that is meant for some images only.
    assert choose(["fgm-l2", "pgd-targeted", "fgsm"])[-1].follows == "fgsm"
    assert [attack.name for attack in choose(["fgm-l2"])] == ["fgm-l2"]


def test_every_suite_holds_the_one_before():
    quick, standard, full = (set(suite(name)) for name in SUITES)
    assert {"fgsm", "noise"} == quick
    assert quick < standard < full
    assert full == set(ATTACKS)


def test_shown_is_the_attack_of_the_paper_where_it_is_run():
    assert Plan(choose(suite("full")), SWEEP, 16).shown.name == "fgsm"
    assert Plan(choose(["noise", "spatial", "square"]), SWEEP, 16).shown.name == "square"
    assert Plan(choose(["noise"]), SWEEP, 16).shown.name == "noise"


def test_a_subset_is_drawn_once_and_by_the_seed():
    jsma = ATTACKS["jsma"]
    plan, other = Plan((jsma,), SWEEP, 16, seed=1), Plan((jsma,), SWEEP, 4, seed=2)
    assert plan.drawn(jsma, 50).sum() == jsma.subset
    assert np.array_equal(plan.drawn(jsma, 50), plan.drawn(jsma, 50))
    assert not np.array_equal(plan.drawn(jsma, 50), other.drawn(jsma, 50))
    assert plan.drawn(jsma, 2).all()


def test_batch_size_falls_with_the_size_of_the_input_and_the_memory():
    assert fitting_batch_size((224, 224, 3), 15_000_000, None) == 8
    assert fitting_batch_size((224, 224, 3), 15_000_000, 64 << 30) == 8
    # 180 MB an image: half of 2 GB holds five.
    assert fitting_batch_size((224, 224, 3), 15_000_000, 2_000_000_000) == 5
    assert fitting_batch_size((224, 224, 3), 15_000_000, 1000) == 1
    assert fitting_batch_size((32, 32, 3), 100_000, 64 << 30) == 128
    assert fitting_batch_size((4000, 4000, 1), 1, None) == 1


def test_the_critical_error_by_index():
    assert critical_pair(("b", "a"), ["a", "b", "c"]) == (1, 0)
    assert critical_pair(None, ["a"]) is None
