"""The clause map: which figure of an audit serves as evidence for which clause, and where there is none.

It is informative. No official text was quoted, and to name a clause is no assessment of conformity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditor.epsilon import epsilon_words
from auditor.report.words import arrow, counted, figure, headline_attack, headline_worst, several

if TYPE_CHECKING:
    from auditor.record import AuditRecord


@dataclass(frozen=True)
class Clause:
    """A clause and what an audit has to show for it.

    Attributes:
        source: the act, standard or catalogue.
        clauses: within it.
        asks: what it is about, in our words.
        evidence: the figure that serves as evidence; empty where there is none.
        section: title of the report's section that holds it; empty where there is none.
        gap: what is missing; empty where nothing is.
    """

    source: str
    clauses: str
    asks: str
    evidence: str
    section: str
    gap: str = ""


def clause_map(record: AuditRecord) -> list[Clause]:
    """Set the figures of a record against the clauses they serve."""
    worst, attack = headline_worst(record), headline_attack(record)
    if worst and several(record):
        robust = (
            f"worst case over {len(worst.attacks)} attacks at {epsilon_words(worst.epsilon)}: {figure(worst.accuracy)}"
        )
    elif attack:
        robust = f"{attack.name} at {epsilon_words(attack.epsilon)}: {figure(attack.accuracy)}"
    else:
        robust = ""
    ran = {check.name: check for check in record.checks if check.status != "SKIPPED"}
    noise = next((a for a in record.attacks if a.name == "noise" and a.epsilon == record.headline_epsilon), None)
    black = sorted({a.name for a in record.attacks if a.nist == "NISTAML.025"})
    white = sorted({a.name for a in record.attacks if a.nist == "NISTAML.022"})
    missing = "" if robust else "no attack ran to its end"
    under, clean, fair = "Performance under attack", "Performance without an attack", "Was it a fair fight?"
    criteria = "no criteria were set before the audit" if record.verdict.status in ("NONE", "INCONCLUSIVE") else ""
    checks = (
        f"{sum(c.status == 'PASS' for c in ran.values())} of {len(record.checks)} checks passed, "
        f"{len(record.checks) - len(ran)} not made"
    )
    subgroups = "no subgroups are named in the data"
    return [
        Clause("EU AI Act", "Art. 9(8)", "testing against criteria set beforehand", "", "", criteria),
        Clause(
            "EU AI Act", "Art. 13(3)(b)(ii), 15(1), 15(3)", "accuracy and its metrics are declared",
            figure(record.clean.accuracy), clean,
        ),
        Clause(
            "EU AI Act", "Art. 15(4)", "robustness against errors and noise",
            f"uniform noise at {epsilon_words(noise.epsilon)}: {figure(noise.accuracy)}" if noise else "",
            under if noise else "", "random noise alone; faults and drift were not tested" if noise else "noise was not run",
        ),
        Clause(
            "EU AI Act", "Art. 15(5)", "resilience against adversarial examples", robust, under,
            missing or "evidence of testing, not of measures against attacks",
        ),
        Clause(
            "EU AI Act", "Annex IV 2(g)", "test data, metrics, signed and dated reports",
            f"{record.data.images} images, manifest {record.data.manifest_sha256[:12]}…", "Test data",
            "the signature is left to the responsible person",
        ),
        Clause("EU AI Act", "Annex IV 3, 4", "limits and suitability of the metrics", "stated", "Limits", subgroups),
        Clause("EU AI Act", "Annex IV 6; Art. 72", "changes over the life cycle", "", "", "no previous version was compared"),
        Clause(
            "FDA", "Cybersecurity in Medical Devices (2026); AI-enabled device software functions (draft 2025)",
            "testing against adversarial input", robust, under, missing,
        ),
        Clause("FDA", "PCCP (2025)", "comparison of a modified version", "", "", "no previous version was compared"),
        Clause("NIST AI RMF", "MEASURE 2.7", "security and resilience are evaluated", robust, under, missing),
        Clause(
            "NIST AI RMF", "MEASURE 2.1, 2.3, 2.5", "test sets, metrics and performance are documented",
            f"accuracy {figure(record.clean.accuracy)}", clean,
        ),
        Clause("NIST AI RMF", "MEASURE 2.13", "the measurement itself is evaluated", checks if ran else "", fair),
        Clause("NIST AI RMF", "MEASURE 2.6, 3.1", "safety and tracking over time", "", "", "one audit shows no trend"),
        Clause(
            "NIST AI 100-2e2025", "NISTAML.022", "evasion, white-box", ", ".join(white), "Attacks" if white else "",
            "" if white else "no white-box attack ran",
        ),
        Clause(
            "NIST AI 100-2e2025", "NISTAML.025", "evasion, black-box", ", ".join(black), "Attacks" if black else "",
            "" if black else "no black-box attack ran",
        ),
        Clause("MITRE ATLAS 5.6.0", "AML.T0015, AML.T0043.000", "evasion, white-box optimisation", robust, under, missing),
        Clause(
            "MITRE ATLAS 5.6.0", "AML.T0043.001", "black-box optimisation", ", ".join(black),
            "Attacks" if black else "", "" if black else "no black-box attack ran",
        ),
        Clause(
            "MITRE ATLAS 5.6.0", "AML.T0043.002 to .004", "transfer, manual modification, backdoor trigger", "", "",
            "not tested",
        ),
        Clause("OWASP", "ML01:2023", "input manipulation", robust, under, missing),
        Clause("ISO 14971", "hazard identification", "direction of wrong diagnoses", _direction(record), "Direction of the errors"),
        Clause("ISO/IEC 42001", "A.6.2.4, A.6.2.6, A.6.2.7", "verification, operation, documentation", robust, under, missing),
        Clause("ISO/IEC 25059:2023", "5.5", "robustness as a quality", robust, under, missing),
        Clause(
            "ISO/IEC 24029-2", "formal methods", "proof of robustness", "", "", "NOT satisfied: tests are no proof",
        ),
        Clause("IEC 81001-5-1", "5.7.2, 5.7.3", "security tests of threats and vulnerabilities", robust, under, missing),
    ]  # fmt: skip


def _direction(record: AuditRecord) -> str:
    attack = headline_attack(record)
    if not attack or not attack.flips:
        return ""
    name = (
        record.critical if record.critical in attack.flips else max(attack.flips, key=lambda k: attack.flips[k].count)
    )
    return f"{arrow(name)}: {counted(attack.flips[name])} under {attack.name}"
