"""Which checks are made: as foreseen, and on images that both sides were run on."""

import numpy as np
import pytest

from auditor.attacks import suite
from auditor.checks import check_all, foreseen
from auditor.engine.outcomes import Attacked, Diagnosis, Outcomes
from auditor.engine.plan import Plan, choose
from auditor.metrics.perceptibility import unmoved

E1, E2 = 1 / 255, 2 / 255
LABELS = np.array([0] * 8 + [1] * 8)
NOBODY = np.zeros(16, dtype=bool)
LOGITS = np.eye(2, dtype=np.float32)[LABELS]


def attacked(plan, attack, won):
    """What comes of an attack that wins the images given, of those it is meant for."""
    concerned = attack.concerns(LABELS, plan.critical)
    logits = np.where((won & concerned)[:, None], 1 - LOGITS, LOGITS)
    return Attacked(logits, unmoved(16), concerned, logits.argmax(axis=1), NOBODY)


def checked(plan, **won):
    """The checks by name, of attacks each of which wins the images given, or none."""
    cells = {(a.name, e): attacked(plan, a, won.get(a.name.replace("-", "_"), NOBODY)) for a, e in plan.cells}
    outcomes = Outcomes(LABELS, LOGITS, cells, Diagnosis(NOBODY, NOBODY, NOBODY), {})
    found = check_all(outcomes, plan, LOGITS[None], [str(i) for i in range(16)], ("a", "b"))
    return {check.name: check for check in found}


@pytest.mark.parametrize(
    "names",
    [
        ["fgsm"], ["noise"], ["noise", "fgsm"], ["square"], ["pgd"], ["pgd", "square"], ["fgsm", "square"],
        ["noise", "pgd-targeted"], ["pgd-targeted", "square"], ["spatial"], ["fgm-l2"], ["universal", "square"],
        suite("quick"), suite("standard"), suite("full"),
    ],
    ids="+".join,
)  # fmt: skip
@pytest.mark.parametrize("epsilons", [(E2,), (E1, E2)], ids=["one", "two"])
def test_checks_are_made_as_foreseen(names, epsilons):
    plan = Plan(choose(names), epsilons, 16, critical=(0, 1))
    made = {name: check.status != "SKIPPED" for name, check in checked(plan).items()}
    before = {name: why is None for name, why in foreseen(plan).items()}
    assert {name: before[name] for name in made} == made
    assert not any(before[name] for name in before.keys() - made.keys())


def test_attacks_on_other_images_are_not_compared():
    """The images of one class alone are no match for those of both."""
    plan = Plan(choose(["noise", "pgd-targeted", "square"]), (E2,), 16, critical=(0, 1))
    found = checked(plan, noise=LABELS == 1, square=LABELS == 1, pgd_targeted=LABELS == 0)
    assert found["noise-control"].status == found["gradient-free"].status == "SKIPPED"


def test_square_that_wins_what_pgd_misses_shows_masked_gradients():
    plan = Plan(choose(["pgd", "square"]), (E2,), 16)
    assert checked(plan, pgd=LABELS == 0, square=LABELS == 0)["gradient-free"].status == "PASS"
    masked = checked(plan, pgd=LABELS == 0, square=LABELS == 1)["gradient-free"]
    assert (masked.status, masked.images) == ("FAIL", [str(i) for i in range(8, 16)])
