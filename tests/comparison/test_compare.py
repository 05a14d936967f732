import shutil
from dataclasses import replace

import numpy as np
import pytest

from auditor.comparison.compare import compare
from auditor.comparison.versions import check_comparable, read_audit
from auditor.errors import BadInputError
from auditor.metrics.paired import mcnemar
from auditor.record import Check


@pytest.fixture(scope="module")
def two(audited, later):
    return [read_audit(audited.folder), read_audit(later.folder)]


def compared(audits):
    return compare(audits, "2026-01-01T00:00:00Z", "1.2.3")


def changed(audit, /, **record):
    return replace(audit, record=audit.record.model_copy(update=record))


def test_every_figure_is_paired_by_image(two):
    first, second = two
    (pair,) = compared(two).pairs
    labels = first.predictions.answers.labels
    cell = ("fgsm", first.record.headline_epsilon)
    hits = [audit.predictions.answers.attacked[cell].predicted == labels for audit in two]
    (found,) = [d for d in pair.differences if (d.attack, d.epsilon, d.of_class) == (*cell, None)]
    assert found.broken == int((hits[0] & ~hits[1]).sum())
    assert found.mended == int((~hits[0] & hits[1]).sum())
    assert found.p_value == mcnemar(found.broken, found.mended)
    assert found.before.count == hits[0].sum()
    assert found.difference.value == pytest.approx(hits[1].mean() - hits[0].mean())
    # The figures of the audits themselves, of the clean images and the worst case.
    by_cell = {(d.attack, d.epsilon): d for d in pair.differences if d.figure == "accuracy"}
    assert by_cell["none", None].before == first.record.clean.accuracy
    assert by_cell["none", None].after == second.record.clean.accuracy
    for before, after in zip(first.record.worst_case, second.record.worst_case, strict=True):
        assert by_cell["worst-case", before.epsilon].before == before.accuracy
        assert by_cell["worst-case", before.epsilon].after == after.accuracy


def with_control(audit):
    """The audit, had noise been run beside its attacks and won less."""
    checks = [c.model_copy(update={"status": "PASS"}) if c.name == "noise-control" else c for c in audit.record.checks]
    return replace(audit, record=audit.record.model_copy(update={"checks": checks}))


def test_a_version_that_learnt_less_is_worse_and_the_reverse_is_better(two):
    (worse,) = compared(two).pairs
    assert worse.outcome == "regressed"
    assert worse.sentences[0] == "Version B regressed against A."
    assert compared(two[::-1]).pairs[0].outcome == "inconclusive"
    (better,) = compared([with_control(audit) for audit in two[::-1]]).pairs
    assert better.outcome == "improved"
    for one, other in zip(worse.differences, better.differences, strict=True):
        assert (one.broken, one.mended) == (other.mended, other.broken)
        assert one.p_adjusted == other.p_adjusted
        assert one.difference.value == pytest.approx(-other.difference.value)
        assert (one.difference.low, one.difference.high) == pytest.approx(
            (-other.difference.high, -other.difference.low)
        )


def test_primary_are_accuracy_and_the_class_of_the_critical_error(two):
    (pair,) = compared(two).pairs
    primary = {(d.figure, d.of_class, d.attack) for d in pair.differences if d.primary}
    assert primary == {
        ("accuracy", None, "none"), ("accuracy", None, "worst-case"), ("sensitivity", "red", "worst-case"),
    }  # fmt: skip


def test_images_newly_broken_are_those_that_differ(two):
    (pair,) = compared(two).pairs
    first, second = (audit.predictions.answers for audit in two)
    broken = {image.id for image in pair.images if (image.attack, image.change) == ("none", "broken")}
    assert broken == {two[0].predictions.ids[i] for i in np.flatnonzero(first.right & ~second.right)}
    assert broken
    attacked = [image for image in pair.images if image.attack == "worst-case"]
    assert all(image.called != image.label for image in pair.images)
    assert {image.by for image in attacked} <= {"", "fgsm"}


def test_an_audit_against_itself_shows_nothing(two):
    found = compared([two[0], two[0]])
    (pair,) = found.pairs
    assert pair.outcome == "no difference shown"
    assert not found.regressed
    assert not pair.images
    assert all(d.p_adjusted == 1 and d.difference.value == 0 for d in pair.differences)
    assert all(k.ece.value == k.brier.low == k.brier.high == 0 for k in pair.calibration)
    assert "are the same model file" in pair.caveats[0]
    # What cannot be excluded is said.
    assert "is compatible with" in pair.sentences[-1]


def test_holm_counts_versions_as_well(two):
    alone, (first, *_) = compared(two).pairs, compared([two[0], two[1], two[1]]).pairs
    at = next(i for i, d in enumerate(first.differences) if d.attack == "none" and d.figure == "accuracy")
    assert alone[0].differences[at].p_adjusted == alone[0].differences[at].p_value
    assert first.differences[at].p_adjusted == pytest.approx(min(1, 2 * first.differences[at].p_value))


def failing():
    return Check(name="x", title="Did it?", status="FAIL", figure="", threshold="", reason="no", images=[])


def test_a_failed_attack_shows_neither_progress_nor_regress(two):
    first, second = two
    (pair,) = compared([second, changed(first, checks=[failing()])]).pairs
    assert pair.outcome == "inconclusive"
    assert "may have failed" in " ".join(pair.sentences)
    # That the later version is worse stands: a better attack could only lower it further.
    (pair,) = compared([first, changed(second, checks=[failing()])]).pairs
    assert pair.outcome == "regressed"
    (pair,) = compared([first, changed(first, checks=[failing()])]).pairs
    assert pair.outcome == "inconclusive"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: {"data": r.data.model_copy(update={"manifest_sha256": "f" * 64})}, "the test images are others"),
        (lambda r: {"model": r.model.model_copy(update={"classes": ["red", "blue"]})}, "the classes are blue, red and"),
        (
            lambda r: {"audit": r.audit.model_copy(update={"config": r.audit.config.model_copy(update={"seed": 9})})},
            "the seeds differ: 0 and 9",
        ),
        (
            lambda r: {"attacks": [a.model_copy(update={"parameters": {"x": 1}}) for a in r.attacks]},
            "the parameters of fgsm differ",
        ),
    ],
)
def test_another_test_is_refused(two, change, words):
    first, second = two
    with pytest.raises(BadInputError, match=words) as raised:
        check_comparable([first, changed(second, **change(second.record))])
    assert str(first.folder) in str(raised.value)


def test_another_sweep_is_refused_in_words(two, thorough):
    with pytest.raises(BadInputError, match=r"the sweeps of epsilon differ: 1/255, 2/255, 16/255 and 1/255, 2/255"):
        check_comparable([two[0], read_audit(thorough.folder)])


def test_a_table_of_another_audit_is_refused(audited, thorough, tmp_path):
    folder = tmp_path / "mixed"
    shutil.copytree(audited.folder, folder)
    shutil.copy(thorough.folder / "predictions.csv", folder)
    with pytest.raises(BadInputError, match="is not the table of this audit"):
        read_audit(folder)


def test_remedies_and_subsets_are_compared_as_they_were_run(thorough):
    one = read_audit(thorough.folder)
    (pair,) = compared([one, one]).pairs
    names = {d.attack for d in pair.differences}
    assert names == {"none", "worst-case", *(a.name for a in one.record.attacks if a.remedy is None)}
    sizes = {d.attack: d.before.of for d in pair.differences if d.figure == "accuracy"}
    for attack in one.record.attacks:
        if attack.remedy is None:
            assert sizes[attack.name] == attack.images
