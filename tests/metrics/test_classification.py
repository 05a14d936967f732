import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from auditor.metrics.classification import calibration, confidences, performance

#: The paper's Fig. 3 and Fig. 4: rows true classes, columns predicted ones, benign first.
PART_1 = [[135, 15], [20, 130]]
PART_2 = [[15, 135], [132, 18]]


def predictions(matrix):
    """Labels and logits whose confusion matrix is `matrix`."""
    cells = [(t, p) for t, row in enumerate(matrix) for p, n in enumerate(row) for _ in range(n)]
    labels = np.array([t for t, _ in cells], dtype=np.int64)
    return labels, np.eye(len(matrix), dtype=np.float32)[[p for _, p in cells]]


def test_confusion_matrix_of_part_1_gives_the_papers_table_2():
    found = performance(*predictions(PART_1), ["benign", "malignant"])
    assert found.confusion_matrix == PART_1
    assert round(found.accuracy.value, 2) == 0.88
    rows = found.classification_report.classes
    percents = {
        name: tuple(round(100 * value) for value in (row.precision, row.recall, row.f1_score))
        for name, row in rows.items()
    }
    # The paper prints an F1 of 89 for benign; its own matrix gives 88.5, which rounds to 89 half up.
    assert percents["malignant"] == (90, 87, 88)
    assert percents["benign"][:2] == (87, 90)
    assert rows["benign"].f1_score == pytest.approx(0.885, abs=5e-4)
    assert [row.support for row in rows.values()] == [150, 150]
    assert found.sensitivity["malignant"].count == 130
    assert found.flips["malignant->benign"].count == 20


def test_confusion_matrix_of_part_2_gives_the_papers_11_percent():
    found = performance(*predictions(PART_2), ["benign", "malignant"])
    assert round(found.accuracy.value, 2) == 0.11
    assert found.flips["malignant->benign"].value == 0.88
    assert found.flips["benign->malignant"].value == 0.90
    assert found.specificity["malignant"].value == 0.10


matrices = arrays(np.int64, (3, 3), elements=st.integers(0, 12)).filter(lambda m: m.sum() > 0)


@given(matrices)
def test_figures_agree_with_the_matrix(matrix):
    names = ["a", "accuracy", "a->b"]
    found = performance(*predictions(matrix.tolist()), names)
    assert found.confusion_matrix == matrix.tolist()
    assert found.accuracy.count == matrix.trace()
    assert found.accuracy.of == found.images == matrix.sum()
    assert sum(flip.count for flip in found.flips.values()) == matrix.sum() - matrix.trace()
    for k, name in enumerate(names):
        row = found.classification_report.classes[name]
        assert row.support == matrix[k].sum()
        assert (row.recall is None) == (matrix[k].sum() == 0)
        assert (row.precision is None) == (matrix[:, k].sum() == 0)
        if row.recall is not None:
            assert row.recall == pytest.approx(found.sensitivity[name].value)


def test_averages_count_a_class_that_is_never_predicted_as_zero():
    # Three classes of ten images, all called the first: scikit-learn prints a mean precision of 0.11.
    found = performance(*predictions([[10, 0, 0]] * 3), ["a", "b", "c"]).classification_report
    assert found.classes["b"].precision is None
    for average in (found.macro_avg, found.weighted_avg):
        assert average.precision == pytest.approx(1 / 9)
        assert average.recall == pytest.approx(1 / 3)
        assert average.f1_score == pytest.approx(1 / 6)
        assert average.support == 30


def test_wrong_confidence_is_of_the_wrong_answers_only():
    labels = np.array([0, 0, 1])
    logits = np.array([[9, 0], [0, np.log(3)], [0, 5]], dtype=np.float32)
    found = performance(labels, logits, ["a", "b"])
    assert found.wrong_confidence == {"a->b": pytest.approx(0.75), "b->a": None}


def test_auroc_sees_order_where_probabilities_saturate():
    # All probabilities of class 1 are exactly 1 in float32; the logits still rank the images.
    logits = np.array([[0, 100], [0, 101], [0, 102], [0, 103]], dtype=np.float32)
    found = performance(np.array([0, 0, 1, 1]), logits, ["a", "b"])
    assert found.auroc["b"].value == 1.0


def test_calibration_of_a_worked_example():
    # Four images of confidence 0.75, three of them right; two of confidence 0.95, both right.
    high, low = np.log(0.95 / 0.05), np.log(3)
    logits = np.array([[low, 0]] * 4 + [[high, 0]] * 2, dtype=np.float64)
    found = calibration(np.array([0, 0, 0, 1, 0, 0]), logits)
    assert found.ece == pytest.approx(2 / 6 * 0.05)
    assert found.brier == pytest.approx((3 * 2 * 0.25**2 + 2 * 0.75**2 + 2 * 2 * 0.05**2) / 6)
    assert [(b.accuracy.count, b.accuracy.of) for b in found.bins] == [(3, 4), (2, 2)]


@given(arrays(np.float32, (6, 3), elements=st.floats(-300, 300, width=32)))
def test_confidences_are_probabilities(logits):
    found = confidences(logits)
    assert ((found >= 1 / 3 - 1e-9) & (found <= 1)).all()


def test_precision_and_f1_have_intervals_and_are_scikit_learns():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    logits = np.eye(3)[labels] + generator.normal(0, 0.8, (200, 3))
    found = performance(labels, logits, ["a", "b", "c"])
    rows = found.classification_report.classes
    for name in ("a", "b", "c"):
        assert found.precision[name].value == pytest.approx(rows[name].precision)
        f1 = found.f1_score[name]
        assert f1.value == pytest.approx(rows[name].f1_score)
        assert 0 < f1.low < f1.value < f1.high < 1


def test_a_class_never_predicted_has_no_precision_and_an_f1_of_nothing():
    found = performance(np.array([0, 0, 1]), np.array([[1.0, 0, 0]] * 3), ["a", "b", "c"])
    assert set(found.precision) == {"a"}
    assert found.f1_score["b"].value == 0
    assert "c" not in found.f1_score


def test_calibration_has_intervals_that_narrow_with_the_images():
    generator = np.random.default_rng(0)

    def width(n):
        labels = generator.integers(0, 2, n)
        found = calibration(labels, np.eye(2)[labels] + generator.normal(0, 1, (n, 2)))
        assert found.brier_interval[0] < found.brier < found.brier_interval[1]
        assert 0 <= found.ece_interval[0] < found.ece_interval[1] <= 1
        return found.brier_interval[1] - found.brier_interval[0]

    assert width(50) > 2 * width(800)
