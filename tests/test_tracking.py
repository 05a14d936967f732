"""MLflow: a real server on loopback with its SQLite store."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import medaudit

from auditor import BadInputError, audit, resume
from auditor.engine import run as engine
from auditor.errors import AuditInterrupted
from auditor.files import sha256_file
from auditor.record import read_record
from auditor.settings import AuditSettings
from auditor.sidecar import sidecar_path
from auditor.tracking import fetched, is_uri, metrics_of, name_of, pinned, step_of

SETTINGS = AuditSettings(epsilons=(0.5 / 255, 2 / 255), preprocessing="unit", batch_size=4)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address of a server, known to MLflow by its variable."""
    mlflow = Path(sys.executable).with_name("mlflow")
    if not mlflow.is_file():
        pytest.skip("the server of MLflow is not installed; pip install mlflow")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch, (folder / "server.log").open("w") as log:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
            patch.setenv(name, "true")
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        command = [mlflow, "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder / "store"]
        running = subprocess.Popen(
            [str(word) for word in command], stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 120
            while True:
                assert running.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < deadline, (folder / "server.log").read_text()
                with socket.socket() as trial:
                    if trial.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            yield address
        finally:
            running.terminate()
            running.wait(30)


@pytest.fixture(scope="module")
def client(server):
    from mlflow import MlflowClient

    return MlflowClient()


@pytest.fixture(scope="module")
def run(client, trained, weaker):
    """A run in an experiment of its own, with a model as MLflow logs it and two as plain files."""
    import keras
    import mlflow

    experiment = client.create_experiment("skin")
    with mlflow.start_run(experiment_id=experiment) as active:
        for version in (trained, weaker):
            mlflow.log_artifact(str(version.model), "files")
        mlflow.log_artifact(str(sidecar_path(trained.model)), "files")
        model = keras.saving.load_model(trained.model, compile=False)
        mlflow.tensorflow.log_model(
            model, name="model", registered_model_name="skin lesions", pip_requirements=["tensorflow"]
        )
    client.set_registered_model_alias("skin lesions", "champion", "1")
    return active.info


def points(client, run, name):
    return {(point.step, round(point.value, 9)) for point in client.get_metric_history(run, name)}


def test_a_registered_model_is_audited_and_the_audit_is_found_beside_its_run(capsys, client, run, data, tmp_path):
    folder = tmp_path / "audit"
    code, out, err = medaudit(
        capsys, "run", "models:/skin lesions@champion", data, "-o", folder, "--eps", "0.5/255,2/255",
        "--preprocessing", "unit", "--mlflow",
    )  # fmt: skip
    assert code == 0, err
    record = read_record(folder)
    assert (record.model.path, record.model.name) == ("models:/skin lesions/1", "skin lesions-v1")
    assert record.model.format == "Keras archive"
    assert "'models:/skin lesions/1'" in record.audit.command
    for path in folder.rglob("*.*"):
        assert b"medaudit-" not in path.read_bytes() or path.suffix not in (".json", ".log", ".csv", ".md")
    (logged,) = [line.split()[-1] for line in out.splitlines() if line.startswith("MLflow: run ")]
    assert out.splitlines()[-1].startswith("medaudit: NONE ")

    found = client.get_run(logged)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == record.audit.id
    assert found.info.experiment_id == run.experiment_id
    assert found.data.tags["mlflow.parentRunId"] == run.run_id
    assert found.data.tags["medaudit.verdict"] == "NONE"
    assert found.data.tags["medaudit.model_sha256"] == record.model.sha256
    assert found.data.params["epsilons"] == "0.5/255, 2/255"
    assert points(client, logged, "fgsm/accuracy") == {
        (step, round(attack.accuracy.value, 9)) for step, attack in zip((50, 200), record.attacks, strict=True)
    }
    assert points(client, logged, "clean/accuracy") == {(0, round(record.clean.accuracy.value, 9))}
    assert points(client, logged, "epsilon_255") == {(50, 0.5), (200, 2.0)}
    kept = client.download_artifacts(logged, "", str(tmp_path))
    assert {path.relative_to(folder) for path in folder.rglob("*")} == {
        path.relative_to(kept) for path in Path(kept).rglob("*") if "audit" not in path.relative_to(kept).parts
    }
    assert sha256_file(Path(kept) / "results.json") == sha256_file(folder / "results.json")


def test_a_file_of_a_run_comes_with_its_training_record(run, trained):
    first, second = (f"runs:/{run.run_id}/files/{name}.h5" for name in ("small", "weaker"))
    with fetched(Path(first)) as file:
        assert sha256_file(file) == trained.sidecar.model_sha256
        assert sidecar_path(file).read_bytes() == sidecar_path(trained.model).read_bytes()
    assert not file.exists()
    with fetched(Path(second)) as file:
        assert not sidecar_path(file).exists()
    with (
        pytest.raises(BadInputError, match=r"several models: .*small\.h5, .*weaker\.h5"),
        fetched(Path(f"runs:/{run.run_id}/files")),
    ):
        pass


def test_an_interrupted_audit_of_an_alias_goes_on_with_the_same_version(client, run, data, tmp_path, monkeypatch):
    del run
    with monkeypatch.context() as patch:

        def stop(*arguments):
            raise KeyboardInterrupt

        patch.setattr(engine, "_work", stop)
        with pytest.raises(AuditInterrupted):
            audit("models:/skin lesions/latest", data, tmp_path / "audit", SETTINGS)
    version = client.get_model_version("skin lesions", "1")
    client.create_model_version("skin lesions", version.source, model_id=version.source.split("/")[-1])
    assert pinned(Path("models:/skin lesions/latest")) == Path("models:/skin lesions/2")
    assert resume(tmp_path / "audit").record.model.path == "models:/skin lesions/1"


def test_a_failed_upload_loses_nothing_and_can_be_tried_again(capsys, client, audited, tmp_path, monkeypatch):
    folder = tmp_path / "my audit"
    shutil.copytree(audited.folder, folder)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
        code, _, err = medaudit(capsys, "report", folder, "--mlflow")
        assert code == 2
        assert "is finished, but MLflow did not take it" in err
        assert f"medaudit report --mlflow '{folder}'" in err
        assert "secret" not in err
        # Before the work and not after it, where the server is known to be away.
        code, _, err = medaudit(capsys, "run", "model.h5", "data", "-o", tmp_path / "new", "--mlflow")
        assert (code, (tmp_path / "new").exists()) == (2, False)
        assert "MLflow cannot be used" in err
    assert (folder / "results.json").is_file()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "assurance")
    code, out, err = medaudit(capsys, "report", folder, "--mlflow")
    assert code == 0, err
    logged = client.get_run(out.splitlines()[-1].split()[-1])
    assert client.get_experiment(logged.info.experiment_id).name == "assurance"
    assert "mlflow.parentRunId" not in logged.data.tags


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/skin lesions@nobody", "cannot be found"),
        ("models:/no such/latest", "no registered model of that name"),
        ("models:/skin lesions/Production", "write models:/<name>/<version>"),
        ("models:/skin lesions/99", "cannot be downloaded"),
        ("runs:/0123", "names no artifact"),
        ("runs:/0123/model.h5", "cannot be downloaded"),
    ],
)
def test_what_is_not_there_is_a_plain_error(capsys, run, data, tmp_path, uri, message):
    del run
    code, out, err = medaudit(capsys, "run", uri, data, "-o", tmp_path / "audit")
    assert code == 2, err
    assert message in " ".join(err.split())
    assert "Traceback" not in out + err
    assert not (tmp_path / "audit").exists()


def test_names_and_steps():
    assert not is_uri(Path("models/x.h5"))
    assert not is_uri(Path("/models:/x.h5"))
    assert name_of(Path("some/where.v2.h5")) == "where.v2"
    assert name_of(Path("models:/skin/3")) == "skin-v3"
    assert name_of(Path("models:/m-0123")) == "m-0123"
    assert name_of(Path("runs:/0123456789abcdef/a/best.keras")) == "best-01234567"
    assert [step_of(epsilon) for epsilon in (None, 0.5 / 255, 2 / 255, 0.03)] == [0, 50, 200, 765]


def test_metrics_have_names_that_mlflow_takes(audited):
    from mlflow.utils.validation import _validate_metric_name

    classes = ["a:b", "a/b", "..", "皮膚", "red"]
    clean = audited.record.clean.model_copy(
        update={"sensitivity": dict.fromkeys(classes, audited.record.clean.accuracy)}
    )
    record = audited.record.model_copy(
        update={
            "clean": clean,
            "attacks": [],
            "worst_case": [],
            "model": audited.record.model.model_copy(update={"classes": classes}),
        }
    )
    names = [name for name, _, _ in metrics_of(record) if name.startswith("clean/sensitivity")]
    assert len(set(names)) == len(classes)
    for name in names:
        _validate_metric_name(name)
