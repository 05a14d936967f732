"""MLflow: models by their URI, and audits logged beside the runs of a team.

The only place that talks to a tracking server: `MLFLOW_TRACKING_URI` names it. Needs the extra `medaudit[mlflow]`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from auditor.epsilon import epsilon_words
from auditor.errors import BadInputError
from auditor.sidecar import sidecar_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.record import AuditRecord, Performance, WorstCase

#: Endings of the files that can be a model inside a folder of artifacts.
MODEL_FILES = (".keras", ".h5", ".hdf5")

_URI = re.compile(r"(models|runs):/+([^/].*)")
_SIDECAR = ".medaudit.json"

#: A step of a metric is epsilon in hundredths of 1/255, because MLflow's steps are whole numbers.
STEPS = 100 * 255

#: What MLflow takes at once.
_MOST_METRICS, _LONGEST_PARAM = 1000, 6000


def is_uri(model: Path) -> bool:
    """Whether a model is named by an MLflow URI, `models:/...` or `runs:/...`, and not by its file."""
    return bool(_URI.fullmatch(model.as_posix()))


def pinned(model: Path) -> Path:
    """Settle which version an alias (`models:/name@alias`) or `latest` is now; other paths and URIs stay as they are.

    Raises:
        BadInputError: if the URI is none that MLflow has, or the server does not answer.
    """
    if not is_uri(model):
        return model
    kind, rest = _parts(model)
    if kind == "runs":
        if "/" not in rest:
            raise BadInputError(f"{model.as_posix()} names no artifact; write runs:/<run id>/<path>.")
        return model
    name, at, alias = rest.partition("@")
    latest = rest.removesuffix("/latest")
    if at:
        with _plainly(f"{model.as_posix()} cannot be found"):
            return Path(f"models:/{name}/{_client().get_model_version_by_alias(name, alias).version}")
    if latest != rest:
        with _plainly(f"{model.as_posix()} cannot be found"):
            quoted = latest.replace("'", "''")
            versions = [int(found.version) for found in _client().search_model_versions(f"name='{quoted}'")]
        if not versions:
            raise BadInputError(f"{model.as_posix()} cannot be found: there is no registered model of that name.")
        return Path(f"models:/{latest}/{max(versions)}")
    if not re.fullmatch(r"[^/]+/\d+|m-\w+", rest):
        raise BadInputError(
            f"{model.as_posix()} is no version of a model; write models:/<name>/<version> or models:/<name>@<alias>."
        )
    return model


def name_of(model: Path) -> str:
    """Name of a model: `skin-v3` for `models:/skin/3`, artifact and run for `runs:/...`, else that of its file."""
    if not is_uri(model):
        whole = model.absolute()
        return whole.name if whole.is_dir() else whole.stem
    kind, rest = _parts(model)
    first, _, last = rest.partition("/")
    if kind == "models":
        return f"{first}-v{last}" if last else first
    return f"{PurePosixPath(last).stem}-{first[:8]}"


@contextmanager
def fetched(model: Path) -> Iterator[Path]:
    """Where the file of a model lies: its path, or for a URI a copy that lasts as long as the block.

    A training record that lies among the artifacts is put beside it. Errors about the copy speak of the URI.

    Raises:
        BadInputError: if it cannot be downloaded, or what was holds no model or several.
    """
    if not is_uri(model):
        yield model
        return
    uri = pinned(model).as_posix()
    with tempfile.TemporaryDirectory(prefix="medaudit-") as folder:
        with _plainly(f"{uri} cannot be downloaded"):
            mlflow = _mlflow()
            root = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder))
            file = root if root.is_file() else _only_model(root, uri)
            if root.is_file() and uri.startswith("runs:"):
                _fetch_sidecar(uri, file)
        try:
            yield file
        except BadInputError as error:
            raise BadInputError(str(error).replace(str(file), uri)) from error


def _only_model(root: Path, uri: str) -> Path:
    """Find the file of a model in a folder of artifacts."""
    files = [path for path in root.rglob("*") if path.suffix in MODEL_FILES and path.is_file()]
    files = sorted(files + [path.parent for path in root.rglob("saved_model.pb")])
    if len(files) != 1:
        names = ", ".join(path.relative_to(root).as_posix() for path in files)
        raise BadInputError(
            f"{uri} holds {'several models: ' + names if files else 'no Keras model'}. Name one file, "
            "as runs:/<run id>/<path>."
        )
    records = list(root.rglob(f"*{_SIDECAR}"))
    if len(records) == 1 and records[0] != sidecar_path(files[0]):
        shutil.copy(records[0], sidecar_path(files[0]))
    return files[0]


def _fetch_sidecar(uri: str, file: Path) -> None:
    """Download the training record that lies beside the file of a run, if there is one."""
    run, _, path = _parts(Path(uri))[1].partition("/")
    wanted = PurePosixPath(path).with_suffix(_SIDECAR)
    parent = str(wanted.parent) if len(wanted.parts) > 1 else None
    if any(item.path == str(wanted) for item in _client().list_artifacts(run, parent)):
        with tempfile.TemporaryDirectory(dir=file.parent) as place:
            found = _mlflow().artifacts.download_artifacts(run_id=run, artifact_path=str(wanted), dst_path=place)
            shutil.copy(found, sidecar_path(file))


def check_server() -> None:
    """Ask the tracking server for something small. Raises `BadInputError` if there is no MLflow, or no answer."""
    with _plainly("MLflow cannot be used"):
        _client().search_experiments(max_results=1)


def log_audit(folder: Path, record: AuditRecord) -> str:
    """Log an audit as a run: parameters, metrics by epsilon, verdict and hashes as tags, the whole folder as artifacts.

    If the model comes from a run, or the variable `MLFLOW_RUN_ID` names one, the new run is its child and in its
    experiment; else in the one that `MLFLOW_EXPERIMENT_ID` or `MLFLOW_EXPERIMENT_NAME` names, or the default one.

    Args:
        folder: of a finished audit.
        record: its record.

    Returns:
        The id of the run.

    Raises:
        BadInputError: if MLflow does not take it; the folder is as it was.
    """
    retry = f"Try again with `medaudit report --mlflow {shlex.quote(str(folder))}`"
    with _plainly(f"The audit in {folder} is finished, but MLflow did not take it", retry):
        client = _client()
        from mlflow.entities import Metric, Param

        parent = _origin(client, record.model.path)
        tags = _tags(record) | ({"mlflow.parentRunId": parent} if parent else {})
        started, ended = (_milliseconds(text) for text in (record.audit.started, record.audit.finished))
        experiment = client.get_run(parent).info.experiment_id if parent else _experiment(client)
        run: str = client.create_run(experiment, started, tags, record.audit.id).info.run_id
        try:
            metrics = [Metric(name, value, ended, step) for name, value, step in metrics_of(record)]
            params = [Param(name, value[:_LONGEST_PARAM]) for name, value in _parameters(record).items()]
            client.log_batch(run, params=params)
            for first in range(0, len(metrics), _MOST_METRICS):
                client.log_batch(run, metrics=metrics[first : first + _MOST_METRICS])
            client.log_artifacts(run, str(folder))
        except BaseException:
            client.set_terminated(run, "FAILED")
            raise
        client.set_terminated(run, "FINISHED", ended)
    return run


def metrics_of(record: AuditRecord) -> list[tuple[str, float, int]]:
    """Metrics of an audit as name, value and step.

    The step is epsilon in hundredths of 1/255: 200 is 2/255, 0 is no attack, or one without an epsilon. `epsilon_255`
    has at every step the exact value in 255ths.
    """
    names = _metric_names(record.model.classes)
    found = _performance("clean", record.clean, 0, names)
    for attack in record.attacks:
        found += _performance(attack.name, attack, step_of(attack.epsilon), names)
    for worst in record.worst_case:
        found += _performance("worst_case", worst, step_of(worst.epsilon), names)
    epsilons = {attack.epsilon for attack in record.attacks if attack.epsilon is not None}
    return found + [("epsilon_255", epsilon * 255, step_of(epsilon)) for epsilon in sorted(epsilons)]


def step_of(epsilon: float | None) -> int:
    """Step of a metric at an epsilon on images in [0, 1]."""
    return round(epsilon * STEPS) if epsilon is not None else 0


def _performance(
    prefix: str, result: Performance | WorstCase, step: int, names: dict[str, str]
) -> list[tuple[str, float, int]]:
    accuracy = result.accuracy
    values = {"accuracy": accuracy.value, "accuracy_low": accuracy.low, "accuracy_high": accuracy.high}
    values |= {f"sensitivity/{names[label]}": share.value for label, share in result.sensitivity.items()}
    return [(f"{prefix}/{name}", value, step) for name, value in values.items()]


def _metric_names(classes: list[str]) -> dict[str, str]:
    """Names of classes as parts of the name of a metric, which holds few kinds of characters."""
    found: dict[str, str] = {}
    for number, label in enumerate(classes):
        name = re.sub(r"[^\w .-]", "_", label, flags=re.ASCII).strip(". ")[:100] or "_"
        found[label] = name if name not in found.values() else f"{name}_{number}"
    return found


def _parameters(record: AuditRecord) -> dict[str, str]:
    config = record.audit.config
    return {
        "model": record.model.path,
        "data": record.data.path,
        "images": str(record.data.images),
        "attacks": ", ".join(config.attacks),
        "epsilons": ", ".join(map(epsilon_words, config.epsilons)),
        "preprocessing": record.model.preprocessing.mode,
        "critical": record.critical or "none",
        "policy": config.policy.name if config.policy else "none",
        "seed": str(record.audit.seed),
        "batch_size": str(record.audit.batch_size),
        "precision": record.environment.precision,
        "crafting": record.environment.crafting,
    }


def _tags(record: AuditRecord) -> dict[str, str]:
    policy = record.audit.config.policy
    return {
        "medaudit.verdict": record.verdict.status,
        "medaudit.audit": record.audit.id,
        "medaudit.version": record.audit.tool_version,
        "medaudit.model_sha256": record.model.sha256,
        "medaudit.manifest_sha256": record.data.manifest_sha256,
        **({"medaudit.policy_sha256": policy.sha256} if policy else {}),
    }


def _origin(client: Any, model: str) -> str | None:
    """The run that a model comes from."""
    if not is_uri(Path(model)):
        return os.environ.get("MLFLOW_RUN_ID")
    kind, rest = _parts(Path(model))
    first, _, last = rest.partition("/")
    if kind == "runs":
        return first
    return (
        client.get_model_version(first, last).run_id if last else client.get_logged_model(first).source_run_id
    ) or None


def _experiment(client: Any) -> str:
    """The experiment in use where no run says it."""
    if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return number
    if not (name := os.environ.get("MLFLOW_EXPERIMENT_NAME")):
        return "0"
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _parts(model: Path) -> tuple[str, str]:
    """Kind of a URI, and what follows the slash."""
    match = _URI.fullmatch(model.as_posix())
    if match is None:
        raise ValueError(f"{model} is no MLflow URI")
    return match[1], match[2]


def _mlflow() -> Any:
    """Import MLflow, without its telemetry, its progress bars and the addresses that it prints."""
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # A server that is down is told of within a minute.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    }.items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
    except ImportError as error:
        raise BadInputError("MLflow is not installed. Install it with: pip install 'medaudit[mlflow]'") from error
    return mlflow


def _client() -> Any:
    return _mlflow().MlflowClient()


@contextmanager
def _plainly(what: str, remedy: str = "Is MLFLOW_TRACKING_URI the server, and does it run?") -> Iterator[None]:
    """Turn whatever MLflow raises into a sentence or two, without the credentials of an address."""
    try:
        yield
    except BadInputError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = re.sub(r"//[^/@\s]+@", "//", lines[0])[:300].rstrip(".")
        raise BadInputError(f"{what}: {reason}. {remedy}") from error
