from auditor.record import Verdict
from auditor.report.clauses import clause_map
from auditor.report.words import figure, headline_worst


def found(record):
    return {(clause.source, clause.clauses): clause.evidence for clause in clause_map(record)}


def test_every_clause_has_evidence_or_a_gap(thorough, audited):
    for record in (
        thorough.record,
        audited.record,
        audited.record.model_copy(update={"attacks": [], "worst_case": []}),
    ):
        for evidence in found(record).values():
            assert evidence.text or evidence.gap
            assert bool(evidence.text) == bool(evidence.section)


def test_the_headline_is_the_evidence_of_robustness(thorough):
    evidence = found(thorough.record)["NIST AI RMF", "MEASURE 2.7"]
    assert figure(headline_worst(thorough.record).accuracy) in evidence.text
    assert evidence.section == "Performance under attack"


def test_what_was_not_run_is_a_gap(audited):
    clauses = found(audited.record)
    assert clauses["NIST AI 100-2e2025", "NISTAML.025"].gap == "no black-box attack ran"
    assert clauses["EU AI Act", "Art. 15(4)"].gap == "noise was not run"
    assert "not made" in clauses["NIST AI RMF", "MEASURE 2.13"].gap
    assert clauses["ISO/IEC 24029-2", "formal methods"].gap.startswith("NOT satisfied")


def test_an_inconclusive_audit_is_no_evidence_without_a_gap(thorough):
    record = thorough.record.model_copy(update={"verdict": Verdict(status="INCONCLUSIVE", reasons=["x"])})
    assert "inconclusive" in found(record)["OWASP", "ML01:2023"].gap


def test_criteria_are_evidence_whatever_the_verdict(signed, audited):
    assert signed.record.verdict.criteria
    verdict = signed.record.verdict.model_copy(update={"status": "INCONCLUSIVE"})
    inconclusive = signed.record.model_copy(update={"verdict": verdict})
    texts = [evidence.text for evidence in found(inconclusive).values()]
    assert "INCONCLUSIVE: 1 of 1 criteria met" in texts
    assert "no criteria were set before the audit" in [evidence.gap for evidence in found(audited.record).values()]


def test_the_report_prints_every_clause_and_links_what_it_names(thorough):
    page = thorough.reports.html.read_text()
    for clause in clause_map(thorough.record):
        assert clause.clauses in page
    assert page.count('<a href="#s8">section 8</a>') >= 5
