"""One audit with every attack: the record is complete, consistent, and drawn in full."""

import csv

import numpy as np
import pytest
from markupsafe import escape
from pypdf import PdfReader

from auditor import AuditInterrupted, AuditSettings, audit, resume
from auditor.attacks import ATTACKS, suite
from auditor.record import AuditRecord


def test_every_attack_is_in_the_record(thorough):
    record = thorough.record
    assert {attack.name for attack in record.attacks} == set(ATTACKS)
    assert not record.failures
    for attack in record.attacks:
        assert attack.accuracy.of == attack.images == attack.eight_bit.accuracy.of
        if attack.name == "pgd-targeted":
            assert attack.images == record.data.per_class["red"]
        else:
            assert attack.images == min(ATTACKS[attack.name].subset or 12, 12)
    names = {attack.name for attack in record.attacks if attack.epsilon is None}
    assert names == {"deepfool", "carlini-l2", "hopskipjump", "jsma", "spatial"}


def test_the_worst_case_is_what_the_table_of_predictions_says(thorough):
    with (thorough.folder / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    norms = {attack.name: attack.norm for attack in thorough.record.attacks}
    wrong = {row["id"] for row in rows if not row["attack"] and row["predicted"] != row["label"]}
    for worst in thorough.record.worst_case:
        for row in rows:
            bounded = row["epsilon"] and float(row["epsilon"]) == worst.epsilon
            if bounded and norms.get(row["attack"]) == "L-inf" and row["predicted"] != row["label"]:
                wrong.add(row["id"])
        assert worst.accuracy.count == 12 - len(wrong)


def test_no_attack_left_its_budget_and_every_check_was_made(thorough):
    checks = {check.name: check for check in thorough.record.checks}
    assert checks["budget"].status == "PASS"
    assert checks["completed"].status == "PASS"
    assert checks["deterministic"].status == "PASS"
    assert not [name for name, check in checks.items() if check.status == "SKIPPED"]
    assert {"noise-control", "unbounded", "iterative", "converged", "gradient-free", "eight-bit"} <= set(checks)
    assert thorough.record.verdict.status == "NONE"


def test_the_record_reads_back_and_is_drawn_in_full(thorough):
    text = (thorough.folder / "results.json").read_text()
    assert AuditRecord.model_validate_json(text) == thorough.record
    page = thorough.reports.html.read_text()
    for check in thorough.record.checks:
        assert str(escape(check.title)) in page
    pages = " ".join(sheet.extract_text() for sheet in PdfReader(thorough.reports.pdf).pages)
    for name in ATTACKS:
        assert name in pages
    assert "Was it a fair fight?" in pages
    assert "Clause map" in pages


def test_a_stopped_audit_of_many_attacks_ends_as_the_unbroken_one(trained, thorough, tmp_path, monkeypatch):
    from auditor.engine import run as engine

    names = tuple(name for name in suite("standard") if name != "square")
    options = AuditSettings(
        attacks=names, epsilons=(1 / 255,), critical=("red", "blue"), preprocessing="unit", batch_size=7
    )
    data = thorough.folder.parent / "data"
    whole = audit(trained.model, data, tmp_path / "whole", options)
    original, done = engine._work, []

    def work(*arguments):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_work", work)
        with pytest.raises(AuditInterrupted):
            audit(trained.model, data, tmp_path / "broken", options)
    again = resume(tmp_path / "broken")
    assert (again.folder / "predictions.csv").read_bytes() == (whole.folder / "predictions.csv").read_bytes()
    assert again.record.checks == whole.record.checks
    assert again.record.worst_case == whole.record.worst_case


def test_the_seed_decides(trained, thorough, tmp_path):
    data = thorough.folder.parent / "data"

    def logits(seed, name):
        options = AuditSettings(attacks=("noise",), epsilons=(2 / 255,), preprocessing="unit", seed=seed)
        with (audit(trained.model, data, tmp_path / name, options).folder / "predictions.csv").open() as stream:
            return np.array([float(row["logit red"]) for row in csv.DictReader(stream) if row["attack"]])

    assert np.array_equal(logits(1, "a"), logits(1, "b"))
    assert not np.array_equal(logits(1, "c"), logits(2, "d"))
