"""JUnit XML for a continuous-integration server: a test for each criterion of the policy and each check of the attacks.

The format has no official schema; what is written here is what Jenkins' xUnit plugin, GitLab and GitHub's actions read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from auditor.epsilon import epsilon_words
from auditor.report.words import figure, headline_worst, unmade_checks

if TYPE_CHECKING:
    from auditor.record import AuditRecord, Check, Judged

#: Name of the file in an audit's folder.
FILE_NAME = "junit.xml"

#: Characters that XML 1.0 cannot hold, not even escaped.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: What becomes of an outcome: the name of the element; nothing where the test passes.
_OUTCOMES = {"FAIL": "failure", "ERROR": "error", "NOT TESTED": "skipped", "SKIPPED": "skipped"}

#: Attributes that count elements.
_COUNTS = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def junit(record: AuditRecord) -> str:
    """Draw an audit as JUnit XML.

    A criterion or check that fails is a failure, and one in error an error; one that was not tested or not made is
    skipped, with the reason. A warning and a waived criterion pass, and say so in `system-out`. The time of the audit
    stands at the checks, because it was spent on the attacks that they judge.
    """
    criteria = [_criterion(item) for item in record.verdict.criteria]
    checks = [_check(item) for item in record.checks]
    checks += [_case("checks", name, "SKIPPED", "the policy requires it", "") for name in unmade_checks(record)]
    seconds = record.timings.get("total", 0.0)
    root = ET.Element("testsuites", name="medaudit", time=f"{seconds:.3f}")
    if criteria:
        root.append(_suite(record, "criteria", criteria, 0.0))
    root.append(_suite(record, "checks", checks, seconds))
    for attribute in ("tests", "failures", "errors"):
        root.set(attribute, str(sum(int(suite.get(attribute, 0)) for suite in root)))
    for element in root.iter():
        for attribute, value in element.items():
            element.set(attribute, _possible(value))
        element.text = element.text and _possible(element.text)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(record: AuditRecord, kind: str, cases: list[ET.Element], seconds: float) -> ET.Element:
    suite = ET.Element("testsuite", name=f"{record.model.name}: {kind}", tests=str(len(cases)))
    for name, element in _COUNTS.items():
        suite.set(name, str(sum(case.find(element) is not None for case in cases)))
    suite.set("time", f"{seconds:.3f}")
    suite.set("timestamp", record.audit.started)
    properties = ET.SubElement(suite, "properties")
    for name, value in _facts(record).items():
        ET.SubElement(properties, "property", name=name, value=value)
    suite.extend(cases)
    return suite


def _facts(record: AuditRecord) -> dict[str, str]:
    """What the audit was of, and what came of it."""
    config, worst = record.audit.config, headline_worst(record)
    facts = {
        "tool": f"medaudit {record.audit.tool_version}",
        "audit": record.audit.id,
        "finished": record.audit.finished,
        "verdict": record.verdict.status,
        "model": record.model.name,
        "model.sha256": record.model.sha256,
        "data": record.data.path,
        "data.manifest_sha256": record.data.manifest_sha256,
        "data.images": str(record.data.images),
        "attacks": ", ".join(config.attacks),
        "eps": ", ".join(map(epsilon_words, config.epsilons)),
        "accuracy.clean": figure(record.clean.accuracy),
    }
    if worst:
        facts[f"accuracy.worst-case.{epsilon_words(worst.epsilon)}"] = figure(worst.accuracy)
    if config.policy:
        facts |= {"policy": config.policy.name, "policy.sha256": config.policy.sha256}
    return facts


def _criterion(item: Judged) -> ET.Element:
    message = f"observed {item.observed}, asked {item.asked}"
    return _case("criteria", item.name, item.status, item.note if item.status == "NOT TESTED" else message, item.note)


def _check(check: Check) -> ET.Element:
    details = f"{check.title}\n{check.reason}"
    if check.images:
        details += f"\nImages: {', '.join(check.images)}"
    message = check.reason if check.status == "SKIPPED" else f"{check.figure}; asked: {check.threshold}"
    return _case("checks", check.name, check.status, message, details)


def _case(kind: str, name: str, status: str, message: str, details: str) -> ET.Element:
    case = ET.Element("testcase", classname=f"medaudit.{kind}", name=name)
    words = f"{status}: {message}" + (f"\n{details}" if details else "")
    if status in _OUTCOMES:
        ET.SubElement(case, _OUTCOMES[status], message=message, type=status).text = words
    else:
        ET.SubElement(case, "system-out").text = words
    return case


def _possible(text: str) -> str:
    return _IMPOSSIBLE.sub("\ufffd", text)
