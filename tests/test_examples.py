"""The examples that are files: what they say is what medaudit understands."""

import re
import shlex
from pathlib import Path
from string import Template

import click
import pytest
import yaml

from auditor.attacks import suite
from auditor.auditing import check_policy
from auditor.cli.main import cli
from auditor.policy import read_policy
from auditor.progress import Silent
from auditor.report import junit, markdown
from auditor.settings import AuditSettings

ROOT = Path(__file__).parents[1]


def github():
    """Values and shell lines of the job for GitHub."""
    job = yaml.safe_load((ROOT / "examples/ci/github-actions.yml").read_text())["jobs"]["audit"]
    return job["env"], [line for step in job["steps"] for line in step.get("run", "").splitlines()]


def gitlab():
    """Values and shell lines of the job for GitLab."""
    job = yaml.safe_load((ROOT / "examples/ci/gitlab-ci.yml").read_text())["robustness-audit"]
    return job["variables"], [*job["before_script"], *job["script"]]


@pytest.mark.parametrize("job", [github, gitlab])
def test_medaudit_takes_the_commands_of_a_job(job):
    values, lines = job()
    commands = [shlex.split(Template(line).substitute(values)) for line in lines if line.startswith("medaudit ")]
    assert commands
    for _, name, *arguments in commands:
        with click.Context(cli) as group:
            parsed = cli.get_command(group, name).make_context(name, arguments, parent=group)
        assert (ROOT / parsed.params["model"]).is_file()
        assert (ROOT / parsed.params["data"]).is_dir()
        policy = read_policy(ROOT / parsed.params["policy"])
        check_policy(policy, suite(parsed.params["suite"]), AuditSettings().epsilons, Silent())
        assert parsed.params["output"] == Path("audit")


def test_the_jobs_publish_what_an_audit_writes():
    _, lines = github()
    step = " ".join(lines)
    assert set(re.findall(r"audit/[\w.]+", step)) == {f"audit/{markdown.FILE_NAME}"}
    job = yaml.safe_load((ROOT / "examples/ci/gitlab-ci.yml").read_text())["robustness-audit"]
    assert job["artifacts"]["reports"]["junit"] == f"audit/{junit.FILE_NAME}"
    assert job["artifacts"]["when"] == "always"
