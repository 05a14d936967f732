from datetime import date

import pytest

from auditor.judgement import verdict
from auditor.policy import Criterion, Policy, Waiver

TODAY = date(2026, 11, 23)


def judge(record, *criteria, today=TODAY, checks=None, **policy):
    chosen = Policy(name="p", criteria=criteria, **policy) if criteria else None
    return verdict(
        chosen, record.clean, record.attacks, record.worst_case, record.checks if checks is None else checks, today
    )


def criterion(figure="accuracy", attack="none", epsilon=None, name="c", **bound):
    return Criterion(name=name, figure=figure, attack=attack, epsilon=epsilon, **bound)


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
        ("ece", "fgsm", 2 / 255),
        ("brier", "none", None),
        ("auroc.red", "none", None),
        ("f1_score.blue", "none", None),
        ("precision.red", "none", None),
        ("accuracy", "spatial", None),
    ],
)
def test_every_figure_can_be_asked_for(thorough, figure, attack, epsilon):
    found = judge(thorough.record, criterion(figure, attack, epsilon, at_least=-2))
    assert [item.status for item in found.criteria] == ["PASS"]
    assert found.status == "PASS"
    assert judge(thorough.record, criterion(figure, attack, epsilon, at_least=3)).status == "FAIL"


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
