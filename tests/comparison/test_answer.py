from types import SimpleNamespace

from auditor.comparison.answer import answer, what
from auditor.comparison.record import Difference
from auditor.metrics.intervals import proportion
from auditor.record import Estimate


def version(label, doubts, controlled=True):
    return SimpleNamespace(label=label, doubts=doubts, controlled=controlled)


def difference(value, outcome, attack="worst-case", epsilon=2 / 255, primary=True, of_class=None):
    return Difference(
        figure="sensitivity" if of_class else "accuracy",
        of_class=of_class,
        attack=attack,
        epsilon=epsilon,
        before=proportion(50, 100),
        after=proportion(50 + round(100 * value), 100),
        difference=Estimate(value=value, low=value - 0.05, high=value + 0.05),
        broken=20,
        mended=3,
        p_value=0.0004,
        p_adjusted=0.0004,
        outcome=outcome,
        primary=primary,
    )


def test_regressed_names_the_largest_fall_first():
    small, large = difference(-0.06, "worse", epsilon=1 / 255), difference(-0.2, "worse")
    outcome, (lead, most, others) = answer([small, large], version("A", []), version("B", []))
    assert outcome == "regressed"
    assert lead == "Version B regressed against A."
    assert most == (
        "Robust accuracy at epsilon 2/255 fell from 50.0% to 30.0%: −20.0 percentage points, 95% interval "
        "[−25.0, −15.0]; of 100 images 20 are newly broken and 3 newly mended (exact McNemar, p < 0.001 after Holm's "
        "correction)."
    )
    assert others == "So did robust accuracy at epsilon 1/255 by −6.0 points [−11.0, −1.0]."


def test_better_here_and_worse_there_is_mixed():
    clean = difference(0.1, "better", "none", None)
    assert answer([clean, difference(-0.2, "worse")], version("A", []), version("B", []))[0] == "mixed"


def test_a_rise_under_attacks_that_nothing_shows_to_work_is_no_improvement():
    rise, fall, clean = (
        difference(0.2, "better"), difference(-0.2, "worse"), difference(0.1, "better", "none", None),
    )  # fmt: skip
    blind = version("B", [], controlled=False)
    outcome, sentences = answer([rise], version("A", []), blind)
    assert outcome == "inconclusive"
    assert "No check shows that the attacks on B can win" in sentences[-1]
    assert answer([fall], version("A", []), blind)[0] == "regressed"
    assert answer([clean], version("A", []), blind)[0] == "improved"


def test_figures_that_are_not_primary_do_not_decide():
    outcome, sentences = answer(
        [difference(-0.2, "worse", "square", primary=False), difference(-0.01, "no difference shown")],
        version("A", []),
        version("B", []),
    )
    assert outcome == "no difference shown"
    assert "a fall of robust accuracy at epsilon 2/255 by up to 6.0 points" in sentences[-1]


def test_a_doubtful_baseline_hides_a_fall_and_a_doubtful_version_a_rise():
    fall, rise = difference(-0.2, "worse"), difference(0.2, "better")
    assert answer([fall], version("A", ["Did it?"]), version("B", []))[0] == "inconclusive"
    assert answer([fall], version("A", []), version("B", ["Did it?"]))[0] == "regressed"
    assert answer([rise], version("A", []), version("B", ["Did it?"]))[0] == "inconclusive"
    assert answer([rise], version("A", ["Did it?"]), version("B", []))[0] == "improved"
    # Accuracy without an attack rests on no attack.
    assert (
        answer([difference(-0.1, "worse", "none", None)], version("A", ["Did it?"]), version("B", ["Did it?"]))[0]
        == "regressed"
    )


def test_a_sound_rise_does_not_make_up_for_a_fall_in_doubt():
    clean = difference(0.1, "better", "none", None)
    assert answer([clean, difference(-0.2, "worse")], version("A", ["Did it?"]), version("B", []))[0] == "inconclusive"


def test_figures_have_names():
    assert what(difference(0, "better", "none", None)) == "accuracy without an attack"
    assert what(difference(0, "better", of_class="red")) == "sensitivity for “red” in the worst case at epsilon 2/255"
    assert what(difference(0, "better", "pgd")) == "accuracy under pgd at epsilon 2/255"


def test_an_interval_without_zero_is_no_contradiction():
    alone = difference(-0.2, "no difference shown").model_copy(update={"p_value": 0.031, "p_adjusted": 0.16})
    *_, last = answer([alone], version("A", []), version("B", []))[1]
    assert "by itself it would count, p = 0.031, but not as the most extreme of several, p = 0.16" in last
