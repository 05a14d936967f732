"""The examples of schedules: the script on small models, the units, the table of cron and the DAG."""

import ast
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import draw_folder

from auditor.models.backend import keras

ROOT = Path(__file__).parents[1]
SCHEDULE = ROOT / "examples" / "schedule"
SCRIPT = SCHEDULE / "audit_versions.py"
OPTIONS = ["--eps", "1/255,2/255", "--preprocessing", "unit", "--batch-size", "1"]


def save_model(path, seed):
    """Write a model of one dense layer, which nobody trained."""
    layers = keras().layers
    keras().utils.set_random_seed(seed)
    model = keras().Sequential([layers.Input((16, 16, 3)), layers.Flatten(), layers.Dense(2, activation="softmax")])
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)


def start(place, *options):
    command = [sys.executable, SCRIPT, *options, place / "models", place / "data", place / "audits", *OPTIONS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MEDAUDIT_LOG_FORMAT": "json"}
    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def call(place, *options):
    running = start(place, *options)
    out, err = running.communicate(timeout=300)
    return running.returncode, out, err


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two versions that can be audited and one that cannot, audited once."""
    place = tmp_path_factory.mktemp("schedule")
    draw_folder(place / "data", 8)
    save_model(place / "models" / "v1.keras", 1)
    save_model(place / "models" / "site b" / "v2.h5", 2)
    (place / "models" / "broken.h5").write_text("no model")
    code, out, err = call(place)
    assert code == 2, out + err
    assert "broken.h5 is no HDF5 file" in err
    (place / "models" / "broken.h5").unlink()
    return place


def finished(place):
    return sorted(path.parent.name for path in (place / "audits").glob("*/results.json"))


def test_every_version_is_audited_in_spite_of_one_that_cannot_be_and_then_skipped(place):
    names = finished(place)
    assert [name[:3] for name in names] == ["v1-", "v2-"]
    times = {path: path.stat().st_mtime_ns for path in (place / "audits").rglob("*")}
    began = time.monotonic()
    code, out, err = call(place)
    assert (code, out) == (0, "")
    assert err.count(": audited in ") == 2
    assert time.monotonic() - began < 30
    assert {path: path.stat().st_mtime_ns for path in (place / "audits").rglob("*")} == times
    assert call(place, "--list")[:2] == (0, "[]\n")


def test_a_new_version_is_audited_and_goes_on_where_it_was_stopped(place):
    before = finished(place)
    save_model(place / "models" / "v3.keras", 3)
    code, out, _ = call(place, "--list")
    assert (code, json.loads(out)) == (0, [str(place / "models" / "v3.keras")])
    running = start(place)
    while not (batches := list((place / "audits").glob("v3-*/journal/000000.npz"))):
        assert running.poll() is None, running.communicate()
        time.sleep(0.002)
    running.terminate()
    _, err = running.communicate(timeout=120)
    folder = batches[0].parents[1]
    if (folder / "results.json").is_file():
        pytest.skip("it was done before it could be stopped")
    assert running.returncode == 130
    assert "--resume" in json.loads(err.splitlines()[-1])["message"]
    code, _, err = call(place)
    assert code == 0, err
    assert finished(place) == sorted([*before, folder.name])
    assert " resumed " in (folder / "audit.log").read_text()


def test_what_a_stopped_audit_does_not_remember_is_given_again(script, tmp_path):
    options = ["--sign", "key.pem", "--eps", "1/255", "--fail-on-regression", "--config=c.toml", "--baseline", "b"]
    assert script.again(options) == ["--sign", "key.pem", "--fail-on-regression", "--config=c.toml"]


def test_an_audit_that_was_stopped_before_its_reports_is_not_done(script, tmp_path):
    data, model = draw_folder(tmp_path / "data", 1), tmp_path / "m.keras"
    model.write_bytes(b"weights")
    ((_, folder),) = script.left(model, data, tmp_path / "audits", [])
    (folder / "journal").mkdir(parents=True)
    (folder / "journal" / "audit.json").write_text("{}")
    (folder / "results.json").write_text("{}")
    assert script.left(model, data, tmp_path / "audits", []) == [(model, folder)]
    (folder / "journal" / "audit.json").unlink()
    assert script.left(model, data, tmp_path / "audits", []) == []


@pytest.fixture
def script(monkeypatch):
    """The script as a module."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    spec = importlib.util.spec_from_file_location("audit_versions", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_an_audit_depends_on_makes_it_another_and_nothing_else(script, tmp_path, monkeypatch):
    data, policy, model = draw_folder(tmp_path / "data", 2), tmp_path / "p.toml", tmp_path / "m" / "v.keras"
    criterion = '[[criteria]]\nname = "c"\nfigure = "accuracy"\nattack = "none"\nat_least = '
    policy.write_text(f'name = "p"\n{criterion}0.1\n')
    model.parent.mkdir()
    model.write_bytes(b"weights")
    table = tmp_path / "data" / "images.csv"
    table.write_text("path,label\n" + "".join(f"{c}/00{n}.png,{c}\n" for c in ("red", "blue") for n in (0, 1)))

    def folder(of=data, options=("--policy", str(policy))):
        ((_, found),) = script.left(model.parent, of, tmp_path / "audits", list(options))
        return found

    first, tabled = folder(), folder(table)
    assert first != tabled
    same = folder(options=("--log-format", "json", "--policy", str(policy)))
    monkeypatch.setenv("MEDAUDIT_OUTPUT", "elsewhere")
    assert first == same == folder()
    seen = [first, folder(options=("--seed", "1")), folder(options=())]
    policy.write_text(f'name = "p"\n{criterion}0.2\n')
    seen.append(folder())
    (tmp_path / "m" / "v.medaudit.json").write_text("a training record")
    seen.append(folder())
    model.write_bytes(b"other weights")
    seen.append(folder())
    monkeypatch.setenv("MEDAUDIT_SEED", "2")
    seen += [folder(), folder(table)]
    (data / "red" / "000.png").unlink()
    seen += [folder(), folder(table)]
    assert len(set(seen)) == len(seen)


def test_a_saved_model_folder_is_a_version(script, tmp_path):
    (tmp_path / "b" / "variables").mkdir(parents=True)
    (tmp_path / "b" / "saved_model.pb").touch()
    (tmp_path / "a.keras").touch()
    (tmp_path / "notes.txt").touch()
    assert script.versions(tmp_path) == [tmp_path / "a.keras", tmp_path / "b"]
    assert script.versions(tmp_path / "b") == [tmp_path / "b"]


def test_systemd_takes_the_units(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    for unit in SCHEDULE.glob("medaudit.*"):
        text = unit.read_text().replace("/opt/medaudit/.venv/bin/python", sys.executable)
        (tmp_path / unit.name).write_text(text)
    units = [str(path) for path in tmp_path.iterdir()]
    assert len(units) == 2
    found = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_cron_and_the_service_call_the_script_alike():
    service = (SCHEDULE / "medaudit.service").read_text()
    started = shlex.split(re.search("^ExecStart=(.*)$", service, re.MULTILINE)[1])
    line = (SCHEDULE / "crontab").read_text().splitlines()[-1]
    minute, hour, day, month, weekday, user, command = line.split(" ", 6)
    assert all(re.fullmatch(r"\d+|\*", field) for field in (minute, hour, day, month, weekday))
    assert f"User={user}" in service
    called = shlex.split(command)
    assert called[: len(started)] == started
    assert Path(started[1]).name == SCRIPT.name
    assert started[4] in re.search("^ReadWritePaths=(.*)$", service, re.MULTILINE)[1].split()


def test_the_dag_calls_the_script():
    """Airflow is no dependency of ours: the DAG is parsed, and imported where there is one."""
    text = (SCHEDULE / "airflow_dag.py").read_text()
    tree = ast.parse(text)
    values = {
        node.targets[0].id: ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)
    }  # fmt: skip
    assert Path(values["SCRIPT"]).name == SCRIPT.name
    called = [ast.unparse(node.value) for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    assert "[PYTHON, SCRIPT, '--list', MODELS, DATA, AUDITS, *OPTIONS]" in called
    assert "[PYTHON, SCRIPT, model, DATA, AUDITS, *OPTIONS]" in called
    if importlib.util.find_spec("airflow"):
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(SCHEDULE / "airflow_dag.py"))
        assert not bag.import_errors
        assert list(bag.dags["medaudit_versions"].task_ids) == ["find", "audit"]
