from datetime import date
from pathlib import Path

import pytest

from auditor.errors import BadInputError
from auditor.policy import Criterion, Policy, read_policy

EXAMPLES = Path(__file__).parents[1] / "examples" / "policies"
GOOD = """
name = "p"
[[criteria]]
name = "a"
figure = "sensitivity.red"
epsilon = "2/255"
at_least = 0.5
"""
WAIVER = '[[waivers]]\ncriterion = "b"\nowner = "o"\nreason = "r"\nexpires = 2030-01-01'
AGAIN = '[[criteria]]\nname = "a"\nfigure = "accuracy"\nepsilon = 0.01\nat_least = 0'


def write(tmp_path, text):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return path


def test_a_policy_reads(tmp_path):
    policy = read_policy(write(tmp_path, GOOD))
    (criterion,) = policy.criteria
    assert criterion.epsilon == pytest.approx(2 / 255)
    assert criterion.attack == "worst-case"
    assert criterion.asked == "sensitivity.red under worst-case at 2/255: at least 0.5"
    assert len(policy.sha256) == 64
    assert policy.file == "policy.toml"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_examples_read(path):
    assert read_policy(path).criteria


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "p"', "name = ", "cannot be read as TOML"),
        ("at_least = 0.5", "", "one of at_least and at_most"),
        ("at_least = 0.5", "at_least = 0.5\nat_most = 1", "one of at_least and at_most"),
        ("at_least", "at_leest", "did you mean 'at_least'"),
        ("figure = ", "figures = ", "did you mean 'figure'"),
        ("[[criteria]]", "[[criterion]]", "did you mean 'criteria'"),
        ("sensitivity.red", "sensitivty.red", "did you mean 'sensitivity'"),
        ("sensitivity.red", "sensitivity", "is written sensitivity.CLASS"),
        ("sensitivity.red", "accuracy.red", "is written accuracy"),
        ("sensitivity.red", "ece", "is not known of 'worst-case'"),
        ('epsilon = "2/255"', "", "the worst case is asked for at an epsilon"),
        ('epsilon = "2/255"', 'epsilon = "two"', "could not convert"),
        ('epsilon = "2/255"', 'epsilon = "2/255"\nattack = "none"', "have no epsilon"),
        ("at_least = 0.5", f"at_least = 0.5\n{WAIVER}", "names no criterion: 'b'"),
        ("at_least = 0.5", f"at_least = 0.5\n{AGAIN}", "the same name"),
    ],
)
def test_what_cannot_be_right_is_refused_with_the_nearest_right_name(tmp_path, old, new, message):
    with pytest.raises(BadInputError, match=message):
        read_policy(write(tmp_path, GOOD.replace(old, new)))


def test_a_missing_file_is_a_plain_error(tmp_path):
    with pytest.raises(BadInputError, match="does not exist"):
        read_policy(tmp_path / "absent.toml")


def test_what_an_audit_does_not_measure_is_refused_before_it_begins():
    def policy(**criterion):
        return Policy(name="p", criteria=(Criterion(name="c", at_least=0, **criterion),))

    measured = {"fgsm": (2 / 255,), "spatial": (None,), "carlini-l2": (None, 2 / 255)}
    policy(figure="accuracy", epsilon=2 / 255).check_plan(measured, [2 / 255], {})
    policy(figure="accuracy", attack="carlini-l2").check_plan(measured, [2 / 255], {})
    for criterion, message in (
        ({"attack": "fgms", "epsilon": 2 / 255}, "did you mean 'fgsm'"),
        ({"epsilon": 3 / 255}, "worst-case at 3/255, but it is measured at 2/255"),
        ({"attack": "fgsm"}, "fgsm without an epsilon, but it is measured at 2/255"),
        ({"attack": "spatial", "epsilon": 2 / 255}, "spatial at 2/255, but it is measured without an epsilon"),
    ):
        with pytest.raises(BadInputError, match=message):
            policy(figure="accuracy", **criterion).check_plan(measured, [2 / 255], {})
    with pytest.raises(BadInputError, match="needs an attack in L-inf on every image"):
        policy(figure="accuracy", epsilon=2 / 255).check_plan(measured, [], {})
    with pytest.raises(BadInputError, match="did you mean 'malignant'"):
        policy(figure="sensitivity.malignent", epsilon=2 / 255).check_classes(["benign", "malignant"])
    with pytest.raises(BadInputError, match="which the model does not know"):
        policy(figure="flips.benign->x", attack="fgsm", epsilon=2 / 255).check_classes(["benign", "malignant"])


@pytest.mark.parametrize(
    ("name", "message"),
    [("deterministc", "did you mean 'deterministic'"), ("unbounded", "will not be made: it needs the attack pgd")],
)
def test_a_check_that_will_not_be_made_is_refused_before_it_begins(name, message):
    criterion = Criterion(name="c", figure="accuracy", attack="none", at_least=0)
    checks = {"deterministic": None, "unbounded": "it needs the attack pgd"}
    Policy(name="p", criteria=(criterion,), required_checks=("deterministic",)).check_plan({}, [], checks)
    with pytest.raises(BadInputError, match=message):
        Policy(name="p", criteria=(criterion,), required_checks=(name,)).check_plan({}, [], checks)


def test_dates_are_dates(tmp_path):
    text = GOOD + '[[waivers]]\ncriterion = "a"\nowner = "o"\nreason = "r"\nexpires = 2030-01-31\n'
    assert read_policy(write(tmp_path, text)).waivers[0].expires == date(2030, 1, 31)
