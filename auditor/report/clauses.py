"""The clause map: which figure of an audit serves as evidence for which clause, and where there is none.

It is informative. No official text is quoted, and to name a clause is no assessment of conformity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from auditor.epsilon import epsilon_words
from auditor.report.words import arrow, counted, counted_attacks, figure, headline_attack, headline_worst, several

if TYPE_CHECKING:
    from auditor.comparison.record import Comparison
    from auditor.record import AuditRecord


@dataclass(frozen=True)
class Evidence:
    """What an audit has to show.

    Attributes:
        text: the figure; empty where there is none.
        section: title of the report's section that holds it; empty where there is none.
        gap: what is missing; empty where nothing is.
    """

    text: str = ""
    section: str = ""
    gap: str = ""


@dataclass(frozen=True)
class Clause:
    """A clause and what an audit has to show for it.

    Attributes:
        source: the act, standard or catalogue.
        clauses: within it.
        asks: what it is about, in our words.
        evidence: what the audit has to show.
    """

    source: str
    clauses: str
    asks: str
    evidence: Evidence


def clause_map(record: AuditRecord, comparison: Comparison | None = None) -> list[Clause]:
    """Set the figures of a record, and of its comparison with a baseline, against the clauses they serve."""
    robust, clean = _robust(record), Evidence(figure(record.clean.accuracy), "Performance without an attack")
    white, black = _attacks(record, "NISTAML.022", "white-box"), _attacks(record, "NISTAML.025", "black-box")
    change, alone = _change(comparison), Evidence(gap="one audit shows no trend")
    limits = Evidence("stated", "Limits", "" if record.subgroups else "no subgroups are named in the data")
    data = Evidence(
        f"{record.data.images} images, manifest {record.data.manifest_sha256[:12]}…",
        "Test data",
        "the signature is left to the responsible person",
    )
    measures = replace(robust, gap=robust.gap or "evidence of testing, not of measures against attacks")
    mitigations = Evidence("listed", "Mitigations considered", "which are in place is for the owner to state")
    proof = Evidence(gap="NOT satisfied: tests are no proof")
    ai_act, fda, rmf, nist = "EU AI Act", "FDA", "NIST AI RMF", "NIST AI 100-2e2025"
    atlas = "MITRE ATLAS 5.6.0"
    rows = [
        (ai_act, "Art. 9(8)", "testing against criteria set beforehand", _criteria(record)),
        (ai_act, "Art. 13(3)(b)(ii), 15(1), 15(3)", "accuracy and its metrics are declared", clean),
        (ai_act, "Art. 15(4)", "robustness against errors and noise", _noise(record)),
        (ai_act, "Art. 15(5)", "resilience against adversarial examples", measures),
        (ai_act, "Annex IV 2(g)", "test data and metrics, signed and dated reports", data),
        (ai_act, "Annex IV 3, 4", "limits, and whether the metrics are suitable", limits),
        (ai_act, "Annex IV 6; Art. 72", "changes over the life cycle", change),
        (fda, "Cybersecurity in Medical Devices (2026)", "security testing", robust),
        (fda, "AI-enabled device software functions (draft 2025)", "performance and its limits", clean),
        (fda, "PCCP (2025)", "comparison of a modified version", change),
        (rmf, "MEASURE 2.1, 2.3, 2.5", "test sets, metrics and performance are documented", clean),
        (rmf, "MEASURE 2.6, 3.1", "safety, and tracking over time", change if comparison else alone),
        (rmf, "MEASURE 2.7", "security and resilience are evaluated", robust),
        (rmf, "MEASURE 2.13", "the measurement itself is evaluated", _checks(record)),
        (nist, "NISTAML.022", "evasion, white-box", white),
        (nist, "NISTAML.025", "evasion, black-box", black),
        (atlas, "AML.T0015, AML.T0043.000", "evasion, white-box optimisation", white),
        (atlas, "AML.T0043.001", "black-box optimisation", black),
        (atlas, "AML.T0043.002 to .004", "transfer, manual modification, backdoor trigger", Evidence(gap="not tested")),
        (atlas, "AML.M0003, M0006, M0008, M0010, M0014, M0015", "mitigations", mitigations),
        ("OWASP", "ML01:2023", "input manipulation", robust),
        ("ISO 14971", "hazard identification", "direction of wrong diagnoses", _direction(record)),
        ("ISO/IEC 42001", "A.6.2.4, A.6.2.6, A.6.2.7", "verification, operation, documentation", robust),
        ("ISO/IEC 25059:2023", "5.5", "robustness as a quality", robust),
        ("ISO/IEC 24029-2", "formal methods", "proof of robustness", proof),
        ("IEC 81001-5-1", "5.7.2, 5.7.3", "tests of threats and vulnerabilities", robust),
    ]
    return [Clause(*row) for row in rows]


def _robust(record: AuditRecord) -> Evidence:
    worst, attack, section = headline_worst(record), headline_attack(record), "Performance under attack"
    gap = "inconclusive: the checks of the attack failed" if record.verdict.status == "INCONCLUSIVE" else ""
    if worst and several(record):
        words = f"worst of {counted_attacks(record, worst)} at {epsilon_words(worst.epsilon)}"
        return Evidence(f"{words}: {figure(worst.accuracy)}", section, gap)
    if attack:
        return Evidence(f"{attack.name} at {epsilon_words(attack.epsilon)}: {figure(attack.accuracy)}", section, gap)
    return Evidence(gap="no attack ran to its end")


def _change(comparison: Comparison | None) -> Evidence:
    if not comparison:
        return Evidence(gap="no previous version was compared")
    pair = comparison.pairs[-1]
    words = f"against {comparison.versions[0].audit.id}: {pair.outcome}"
    return Evidence(words, "Against the previous version", "a change over time, not a plan for changes")


def _criteria(record: AuditRecord) -> Evidence:
    if judged := record.verdict.criteria:
        met = sum(item.status == "PASS" for item in judged)
        return Evidence(f"{record.verdict.status}: {met} of {len(judged)} criteria met", "Verdict")
    return Evidence(gap="no criteria were set before the audit")


def _noise(record: AuditRecord) -> Evidence:
    noise = next((a for a in record.attacks if a.name == "noise" and a.epsilon == record.headline_epsilon), None)
    if not noise:
        return Evidence(gap="noise was not run")
    return Evidence(
        f"uniform noise at {epsilon_words(noise.epsilon)}: {figure(noise.accuracy)}",
        "Performance under attack",
        "random noise alone; faults and drift were not tested",
    )


def _attacks(record: AuditRecord, nist: str, words: str) -> Evidence:
    names = sorted({attack.name for attack in record.attacks if attack.nist == nist})
    return Evidence(", ".join(names), "Attacks") if names else Evidence(gap=f"no {words} attack ran")


def _checks(record: AuditRecord) -> Evidence:
    made = [check for check in record.checks if check.status != "SKIPPED"]
    if not made:
        return Evidence(gap="no check was made")
    missing = len(record.checks) - len(made)
    return Evidence(
        f"{sum(check.status == 'PASS' for check in made)} of {len(made)} checks passed",
        "Was it a fair fight?",
        f"{missing} checks were not made" if missing else "",
    )


def _direction(record: AuditRecord) -> Evidence:
    """The worst that an attack did in the critical direction, else in any, at the headline epsilon or at none."""
    wrong = [
        (attack.flips[name], name, attack.name)
        for attack in record.attacks
        if attack.epsilon in (record.headline_epsilon, None)
        for name in attack.flips
        if name == record.critical or record.critical not in attack.flips
    ]
    if not wrong:
        return Evidence(gap="no attack ran to its end")
    flips, name, attack = max(wrong, key=lambda found: found[0].value)
    return Evidence(f"{arrow(name)}: {counted(flips)} under {attack}", "Direction of the errors")
