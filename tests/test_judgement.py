from datetime import date

import pytest

from auditor.judgement import Measured, verdict
from auditor.policy import Criterion, Policy, Waiver
from auditor.record import Estimate

TODAY = date(2026, 11, 23)


def passed(record, *names):
    """The checks of a record, those named as if they had passed."""
    return [c.model_copy(update={"status": "PASS"}) if c.name in names else c for c in record.checks]


def judge(record, *criteria, today=TODAY, checks=None, worst=None, grouped=False, **policy):
    chosen = Policy(name="p", criteria=criteria, **policy) if criteria else None
    checks, worst = record.checks if checks is None else checks, record.worst_case if worst is None else worst
    return verdict(chosen, Measured(record.clean, record.attacks, worst, checks, grouped), today)


def criterion(figure="accuracy", attack="none", epsilon=None, name="c", **bound):
    return Criterion(name=name, figure=figure, attack=attack, epsilon=epsilon, **bound)


def test_where_patients_are_known_robust_accuracy_is_judged_on_the_interval_that_draws_them(audited):
    first = audited.record.worst_case[0]
    wider = Estimate(value=first.accuracy.value, low=first.accuracy.low - 0.1, high=first.accuracy.high + 0.1)
    worst = [first.model_copy(update={"clustered": wider})]
    between = (wider.low + first.accuracy.low) / 2
    robust = criterion("accuracy", "worst-case", first.epsilon, at_least=between)
    assert judge(audited.record, robust, checks=passed(audited.record, "noise-control")).status == "PASS"
    found = judge(audited.record, robust, worst=worst, grouped=True)
    assert (found.status, found.criteria[0].note) == ("FAIL", "")
    assert f"{wider.low:.4g}" in found.criteria[0].observed


@pytest.mark.parametrize("control", ["noise-control", "unbounded"])
def test_what_attacks_leave_passes_only_where_something_shows_that_they_can_win(audited, control):
    robust = criterion("accuracy", "worst-case", audited.record.worst_case[0].epsilon, at_least=0)
    found = judge(audited.record, robust)
    assert (found.status, found.criteria[0].status) == ("INCONCLUSIVE", "PASS")
    assert found.reasons == [
        "No check shows that the attacks can win at all: noise beside them does (--suite quick), or pgd (--suite "
        "standard)."
    ]
    assert judge(audited.record, robust, checks=passed(audited.record, control)).status == "PASS"


def test_an_interval_that_takes_the_images_of_a_patient_for_independent_is_told(audited):
    clean = criterion(at_least=0)
    assert judge(audited.record, clean).criteria[0].note == ""
    assert "too narrow" in judge(audited.record, clean, grouped=True).criteria[0].note


def test_figures_under_an_attack_that_left_its_budget_are_not_judged(audited):
    broken = [c.model_copy(update={"status": "ERROR"}) if c.name == "budget" else c for c in audited.record.checks]
    epsilon = audited.record.worst_case[0].epsilon
    impossible = criterion("accuracy", "worst-case", epsilon, name="robust", at_least=1.0)
    assert judge(audited.record, impossible).status == "FAIL"
    found = judge(audited.record, impossible, criterion(at_least=0), checks=broken)
    assert found.status == "INCONCLUSIVE"
    assert [judged.status for judged in found.criteria] == ["NOT TESTED", "PASS"]
    assert judge(audited.record, criterion(at_least=1.0), checks=broken).status == "FAIL"


def test_without_criteria_there_is_no_verdict(audited):
    assert judge(audited.record).status == "NONE"


def test_the_bound_is_judged_and_not_the_point(audited):
    accuracy = audited.record.clean.accuracy
    assert accuracy.low < accuracy.value < accuracy.high
    between = (accuracy.low + accuracy.value) / 2
    assert judge(audited.record, criterion(at_least=accuracy.low)).status == "PASS"
    found = judge(audited.record, criterion(at_least=between))
    assert found.status == "FAIL"
    assert found.criteria[0].status == "FAIL"
    assert f"{accuracy.value:.4g}" in found.criteria[0].observed
    assert judge(audited.record, criterion(at_most=accuracy.high)).status == "PASS"
    assert judge(audited.record, criterion(at_most=(accuracy.value + accuracy.high) / 2)).status == "FAIL"


@pytest.mark.parametrize(
    ("figure", "attack", "epsilon"),
    [
        ("accuracy", "worst-case", 2 / 255),
        ("success_rate", "worst-case", 2 / 255),
        ("accuracy_drop", "fgsm", 2 / 255),
        ("sensitivity.red", "worst-case", 1 / 255),
        ("flips.red->blue", "pgd", 2 / 255),
        ("eight_bit_accuracy", "pgd", 2 / 255),
        ("eight_bit_accuracy", "worst-case", 2 / 255),
        ("ece", "fgsm", 2 / 255),
        ("brier", "none", None),
        ("auroc.red", "none", None),
        ("f1_score.blue", "none", None),
        ("precision.red", "none", None),
        ("accuracy", "spatial", None),
    ],
)
def test_every_figure_can_be_asked_for(thorough, figure, attack, epsilon):
    lowest = -1 if figure == "accuracy_drop" else 0
    found = judge(thorough.record, criterion(figure, attack, epsilon, at_least=lowest))
    assert [item.status for item in found.criteria] == ["PASS"]
    assert found.status == "PASS"
    assert judge(thorough.record, criterion(figure, attack, epsilon, at_most=lowest)).status == "FAIL"


def test_what_was_not_tested_is_no_pass(audited):
    found = judge(audited.record, criterion(attack="pgd", epsilon=2 / 255, at_least=0))
    assert found.criteria[0].status == "NOT TESTED"
    assert found.status == "INCONCLUSIVE"
    assert judge(audited.record, criterion(at_least=0), required_checks=("unbounded",)).status == "INCONCLUSIVE"
    assert judge(audited.record, criterion(at_least=0), required_checks=("deterministic",)).status == "PASS"


def test_a_failed_check_is_no_pass_but_a_failed_criterion_stands(audited):
    failed = [check.model_copy(update={"status": "FAIL"}) for check in audited.record.checks[:1]]
    assert judge(audited.record, criterion(at_least=0), checks=failed).status == "INCONCLUSIVE"
    found = judge(audited.record, criterion(at_least=1), checks=failed)
    assert found.status == "FAIL"
    assert len(found.reasons) == 2


def test_a_waiver_holds_until_its_day_and_shows(audited):
    def waived(day):
        waiver = Waiver(criterion="c", owner="A. Person", reason="in training", expires=day)
        return judge(audited.record, criterion(at_least=1), waivers=(waiver,))

    found = waived(TODAY)
    assert (found.status, found.criteria[0].status) == ("PASS", "WAIVED")
    assert "A. Person" in found.reasons[1]
    found = waived(date(2026, 11, 22))
    assert found.status == "FAIL"
    assert "expired" in found.criteria[0].note
