import tomllib

import pytest
from conftest import medaudit

FILE = """
[run]
model = "a model.h5"
eps = ["1/255", "2/255"]
attack = ["fgsm", "pgd"]
critical = "red:blue"
classes = ["a,b", "c"]
batch_size = 4
dry-run = true

[compare]
fail-on-regression = true
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "audit.toml"
    path.write_text(FILE)
    return path


def printed(capsys, *arguments):
    code, out, err = medaudit(capsys, *arguments, "--print-config")
    assert code == 0, err
    values = {line.split(" = ")[0]: line.rsplit("  # ", 1)[-1] for line in out.splitlines()[1:] if " = " in line}
    return tomllib.loads(out)[arguments[0]], values, out


def test_flags_win_over_variables_and_variables_over_the_file(capsys, file, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_SEED", "5")
    monkeypatch.setenv("MEDAUDIT_BATCH_SIZE", "6")
    values, sources, _ = printed(capsys, "run", "--config", file, "--seed", "7")
    assert (values["seed"], sources["seed"]) == (7, "command line")
    assert (values["batch-size"], sources["batch-size"]) == (6, "variable MEDAUDIT_BATCH_SIZE")
    assert (values["eps"], sources["eps"]) == ("1/255,2/255", "file audit.toml")
    assert (values["attack"], values["model"]) == (["fgsm", "pgd"], "a model.h5")
    assert values["classes"] == ["a,b", "c"]
    assert (values["dry-run"], values["fail-on-regression"]) == (True, False)
    assert sources["fail-on-regression"] == "default"


def test_what_is_printed_is_a_configuration(capsys, file, tmp_path):
    values, _, out = printed(capsys, "run", "--config", file)
    again = tmp_path / "again.toml"
    again.write_text(out)
    assert printed(capsys, "run", "--config", again)[0] == values


def test_defaults_are_printed_as_what_they_are(capsys):
    values, sources, out = printed(capsys, "run")
    assert values["eps"] == "0.5/255,1/255,2/255,4/255,8/255"
    assert (values["attack"], sources["attack"]) == (["fgsm"], "default")
    assert "# policy is not set" in out


def test_each_command_has_its_own_table(capsys, file):
    values, sources, _ = printed(capsys, "compare", "a", "b", "--config", file)
    assert values["versions"] == ["a", "b"]
    assert (values["fail-on-regression"], sources["fail-on-regression"]) == (True, "file audit.toml")
    assert values["eps"] == "0.5/255,1/255,2/255,4/255,8/255"


def test_the_file_can_be_named_by_a_variable(capsys, file, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_CONFIG", str(file))
    monkeypatch.setenv("MEDAUDIT_ATTACK", "square noise")
    values, sources, _ = printed(capsys, "run")
    assert (values["attack"], sources["attack"]) == (["square", "noise"], "variable MEDAUDIT_ATTACK")
    assert sources["critical"] == "file audit.toml"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[run]\nepss = 1", "run has no option 'epss' (did you mean 'eps'?)"),
        ("eps = 1", "options stand below the name of their command, here [run]"),
        ("run = 3", "options stand below"),
        ("[run]\ndry-run = 'yes'", "audit.toml: dry-run is true or false"),
        ("[run]\nseed = true", "audit.toml: seed is not true or false"),
        ("[run.eps]\na = 1", "audit.toml: eps is a table"),
        ("[run]\nseed = 'many'", "'many' is not a valid integer"),
        ("[run]\neps = [3]", "3 is not above 0"),
        ("[run", "is no TOML"),
        ("[run]\nconfig = 'x'", "run has no option 'config'"),
    ],
)
def test_a_wrong_file_is_a_plain_error(capsys, tmp_path, content, message):
    path = tmp_path / "audit.toml"
    path.write_text(content)
    code, _, err = medaudit(capsys, "run", "m.h5", "data", "--config", path)
    assert code == 2
    assert message in " ".join(err.split())


def test_a_missing_file_is_a_plain_error(capsys, tmp_path):
    code, _, err = medaudit(capsys, "run", "--config", tmp_path / "no.toml")
    assert (code, "cannot be read" in err) == (2, True)


def test_an_audit_takes_its_options_from_the_file(capsys, trained, data, tmp_path):
    path = tmp_path / "audit.toml"
    path.write_text(f"[run]\nmodel = '{trained.model}'\ndata = '{data}'\neps = '3/255'\ndry-run = true\n")
    code, out, err = medaudit(capsys, "run", "--config", path)
    assert code == 0, err
    assert "at 3/255" in out


def test_what_a_baseline_or_a_suite_sets_is_in_force(capsys, audited):
    for arguments in (("run", "--baseline", audited.folder), ("compare", audited.folder, "new.h5")):
        values, sources, _ = printed(capsys, *arguments, "--seed", "3")
        assert values["eps"] == "1/255,2/255,16/255"
        assert sources["eps"] == f"baseline {audited.folder}"
        assert values["critical"] == "red:blue"
        assert (values["seed"], sources["seed"]) == (3, "command line")
    _, _, out = printed(capsys, "run", "--suite", "full")
    assert "# attack is not set" in out
