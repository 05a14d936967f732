from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from auditor.history import Entry, History, Series
from auditor.metrics.intervals import proportion
from auditor.report import charts
from auditor.sidecar import Epoch

SVG = "{http://www.w3.org/2000/svg}"


def texts(markup):
    return [element.text for element in ET.fromstring(str(markup)).iter(f"{SVG}text")]


def test_accuracy_by_epsilon(audited):
    chart = charts.accuracy_by_epsilon(audited.record)
    shown = texts(chart)
    assert {"none", "1/255", "2/255", "16/255"} <= set(shown)
    root = ET.fromstring(str(chart))
    assert root.get("role") == "img"
    assert "Accuracy against epsilon" in root.get("aria-label")


def test_several_attacks_have_a_legend_and_their_worst_case(thorough):
    chart = charts.accuracy_by_epsilon(thorough.record)
    shown = texts(chart)
    assert {"pgd", "fgsm", "noise", "square", "worst case"} <= set(shown)
    # Another norm has another axis.
    assert "fgm-l2" not in shown
    assert "Worst case over the attacks" in ET.fromstring(str(chart)).get("aria-label")


def test_no_attack_is_no_chart(audited):
    assert charts.accuracy_by_epsilon(audited.record.model_copy(update={"attacks": []})) == ""


def test_one_epsilon_is_enough(audited):
    record = audited.record.model_copy(update={"attacks": audited.record.attacks[:1]})
    assert "1/255" in texts(charts.accuracy_by_epsilon(record))


def test_before_and_after_escapes_its_label(audited):
    chart = charts.before_and_after(audited.record, audited.record.attacks[0].accuracy, '<b>"x"')
    assert '<b>"x"' in texts(chart)
    assert "<b>" not in str(chart)


def history(*entries):
    """A history of audits, each a day, a series, and the shares that are right without and with an attack."""
    audits = [
        Entry(
            folder=str(n), series=series, id=str(n), finished=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day),
            tool_version="1", verdict="NONE", model="m", model_sha256="0", clean=proportion(clean, 10).model_dump(),
            robust=None if robust is None else proportion(robust, 10).model_dump(),
        )
        for n, (day, series, clean, robust) in enumerate(entries)
    ]  # fmt: skip
    series = [
        Series(
            number=n, data="d", manifest_sha256="0", images=10, epsilon=0.1, attacks=("fgsm",), audits=1,
            parameters_sha256="0",
        )
        for n in sorted({entry.series for entry in audits})
    ]  # fmt: skip
    return History(folder="f", audits=audits, series=series, skipped=[])


LONG = [(day, 1 + day % 20, 10, 0) for day in range(300)]


@pytest.mark.parametrize(
    ("entries", "lines"),
    [
        ([(0, 1, 9, 3)], []),
        ([(0, 1, 9, 3), (1, 1, 8, 4)], [2, 2]),
        ([(0, 1, 9, 3), (1, 2, 8, 4), (2, 1, 8, 5), (3, 1, 8, 5)], [3, 3]),
        ([(0, 1, 9, None), (1, 1, 8, None)], [2]),
        (LONG, [15] * 40),
    ],
)
def test_a_line_joins_comparable_audits_and_no_others(entries, lines):
    root = ET.fromstring(str(charts.accuracy_by_time(history(*entries))))
    drawn = [line for line in root.iter(f"{SVG}polyline") if line.get("stroke-width") == "1.8"]
    assert [len(line.get("points").split()) for line in drawn] == lines
    dots = sum(1 + (robust is not None) for _, _, _, robust in entries)
    assert len(list(root.iter(f"{SVG}circle"))) == dots


def test_everything_lies_inside_the_canvas(audited, thorough, trained):
    drawn = [
        charts.accuracy_by_time(history((0, 1, 10, 0))),
        charts.accuracy_by_time(history((0, 1, 10, 0), (0.01, 2, 0, 0), (0.02, 3, 5, None))),
        charts.accuracy_by_time(history(*LONG)),
        charts.accuracy_by_epsilon(thorough.record),
        charts.accuracy_by_epsilon(audited.record),
        charts.before_and_after(audited.record, audited.record.attacks[0].accuracy, "fgsm"),
        charts.reliability(audited.record.clean.calibration),
        charts.training_curve(trained.sidecar.history, "loss"),
        charts.training_curve(trained.sidecar.history, "accuracy"),
    ]
    for chart in drawn:
        root = ET.fromstring(str(chart))
        _, _, width, height = map(float, root.get("viewBox").split())
        for line in root.iter(f"{SVG}polyline"):
            for point in line.get("points").split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height
        for text in root.iter(f"{SVG}text"):
            assert 0 <= float(text.get("x")) <= width
            assert 8 <= float(text.get("y")) <= height


@pytest.mark.parametrize("epochs", [1, 2, 15, 100])
def test_training_curve_of_any_length(epochs):
    history = [
        Epoch(epoch=n, loss=1 / n, accuracy=1 - 1 / n, val_loss=2 / n, val_accuracy=0.5) for n in range(1, epochs + 1)
    ]
    shown = texts(charts.training_curve(history, "loss"))
    assert str(epochs) in shown
    assert len([text for text in shown if text.isdigit()]) <= 9
