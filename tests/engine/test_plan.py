import pytest

from auditor.attacks import ATTACKS
from auditor.engine.cost import Cost
from auditor.engine.plan import Plan, fitting_batch_size


def test_cost_of_a_sweep_is_one_gradient_and_a_pass_for_each_epsilon():
    plan = Plan((ATTACKS["fgsm"],), tuple(e / 255 for e in (0.5, 1, 2, 4, 8)), 16)
    # The clean prediction and five adversarial images to judge; the gradient is the same at every epsilon.
    assert plan.cost == Cost(forwards=1 + 5, gradients=1)
    assert len(plan.cells) == 5


@pytest.mark.parametrize(("steps", "headline"), [((0.5, 1, 2, 4, 8), 2), ((1, 4), 1), ((8,), 8), ((1.9, 2.2), 1.9)])
def test_headline_is_the_nearest_to_two(steps, headline):
    plan = Plan((ATTACKS["fgsm"],), tuple(e / 255 for e in steps), 16)
    assert plan.headline * 255 == pytest.approx(headline)


def test_batch_size_falls_with_the_size_of_the_input():
    assert fitting_batch_size((224, 224, 3)) == 16
    assert fitting_batch_size((32, 32, 3)) == 128
    assert fitting_batch_size((4000, 4000, 1)) == 1
