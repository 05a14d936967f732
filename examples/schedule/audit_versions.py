#!/usr/bin/env python3
"""Audit every version of a model in a folder: for a timer, cron or Airflow. Needs Python 3.11 and `medaudit`, no more.

    audit_versions.py MODELS DATA AUDITS [options of `medaudit run` ...]

MODELS is a folder in which every .h5, .hdf5 and .keras file and every SavedModel folder is a version, or one such
version. Each is audited once: the audit's folder AUDITS/<model>-<key> is named by a hash over the model, its training
record, the test images and the options, the policy among them. Where it holds a finished audit nothing is done; where
it holds one that was stopped, that goes on. A version that cannot be audited does not keep the others from it, and is
tried again at the next call. Nothing is ever deleted, mailed or sent.

The exit code is the highest of the audits made by this call, 0 if there were none: 1 a criterion failed, 2 an audit
could not be made or another process is at work on it, 3 inconclusive, 70 internal error, 130 stopped; 128 + n for an
audit that was killed by signal n. With --list in front of the others, the versions left to audit are printed as JSON,
and that is all.
"""

import csv
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

MODEL_FILES = {".h5", ".hdf5", ".keras"}

#: Options that change neither what is audited nor how.
PASSING = {"model", "data", "output", "resume", "dry-run", "log-format", "mlflow"}

#: Options that a stopped audit does not remember, and whether a value follows.
FORGOTTEN = {"--sign": True, "--config": True, "--mlflow": False, "--fail-on-regression": False}


def main(arguments):
    """Audit what is left; returns the exit code."""
    only_list = arguments[:1] == ["--list"]
    models, data, audits, *options = arguments[only_list:]
    work = left(Path(models), Path(data), Path(audits), options)
    if only_list:
        print(json.dumps([str(model) for model, _ in work]))
        return 0
    worst = 0
    for model, folder in work:
        print(f"{model}: audit in {folder}", flush=True)
        code = audit(model, data, folder, options)
        print(f"{model}: exit code {code}", flush=True)
        worst = max(worst, code)
        if stopping:
            return 130
    return worst


def left(models, data, audits, options):
    """The versions without a finished audit, each with the folder of its audit."""
    shared = hash_of_data(data) + hash_of_options(options)
    found = []
    for model in versions(models):
        record = model.with_suffix(".medaudit.json")
        parts = shared + hash_of(model) + (hash_of(record) if record.is_file() else "")
        key = hashlib.sha256(parts.encode()).hexdigest()[:12]
        folder = audits / f"{model.stem}-{key}"
        if (folder / "results.json").is_file() and not unfinished(folder):
            print(f"{model}: audited in {folder}", file=sys.stderr)
        else:
            found.append((model, folder))
    return found


def versions(models):
    """The model files and SavedModel folders, sorted."""
    if models.suffix in MODEL_FILES or (models / "saved_model.pb").is_file():
        return [models]
    if not models.is_dir():
        sys.exit(f"{models} is neither a folder nor a model.")
    files = [path for path in models.rglob("*") if path.suffix in MODEL_FILES and path.is_file()]
    return sorted(files + [path.parent for path in models.rglob("saved_model.pb")])


def hash_of_data(data):
    """SHA-256 over the test images: a folder, or a table and the images it names."""
    if data.suffix.lower() == ".csv":
        with data.open(newline="", encoding="utf-8-sig") as file:
            images = [data.parent / row["path"] for row in csv.DictReader(file) if row.get("path")]
        return hash_of(data) + "".join(hash_of(image) for image in images if image.is_file())
    test = data / "test"
    return hash_of(test if test.is_dir() else data)


def hash_of_options(options):
    """SHA-256 over what is in force, from wherever it comes, and over the policy and the baseline it names."""
    printed = subprocess.run([*medaudit(), "run", *options, "--print-config"], stdout=subprocess.PIPE, check=False)
    if printed.returncode:
        sys.exit(printed.returncode)
    values = tomllib.loads(printed.stdout.decode())["run"]
    values = {name: value for name, value in values.items() if name not in PASSING}
    for name in ("policy", "baseline"):
        if name in values:
            path = Path(values[name])
            values[name] = hash_of(path / "results.json" if path.is_dir() else path)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def hash_of(path):
    """SHA-256 of a file, or of the names and contents of all files in a folder that are not hidden."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        content = hashlib.sha256()
        for inside in sorted(path.rglob("*")):
            name = inside.relative_to(path)
            if inside.is_file() and not any(part.startswith(".") for part in name.parts):
                content.update(json.dumps([str(name), hash_of(inside)]).encode())
        return content.hexdigest()
    except OSError as error:
        sys.exit(f"{error.filename} cannot be read: {error.strerror}.")


def audit(model, data, folder, options):
    """Begin an audit or go on with it; returns its exit code."""
    if unfinished(folder):
        command = [*medaudit(), "run", *again(options), "--resume", folder, "--", model, data]
    else:
        command = [*medaudit(), "run", *options, "-o", folder, "--", model, data]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:
        running.append(child)
        code = child.wait()
        running.remove(child)
    return code if code >= 0 else 128 - code


def unfinished(folder):
    """Whether an audit was begun there and stopped."""
    return (folder / "journal" / "audit.json").is_file()


def again(options):
    """Those of the options that a stopped audit does not remember."""
    found, words = [], iter(options)
    for word in words:
        name, equals, _ = word.partition("=")
        if name in FORGOTTEN:
            found.append(word)
            if FORGOTTEN[name] and not equals:
                found.append(next(words, ""))
    return found


def medaudit():
    """The command: beside this Python where it is installed there, else on the path."""
    beside = Path(sys.executable).with_name("medaudit")
    return [str(beside) if beside.is_file() else shutil.which("medaudit") or "medaudit"]


running, stopping = [], []


def stop(number, frame):
    """Stop as `medaudit` does, which keeps what is done; a terminal tells it of Ctrl-C itself."""
    del frame
    stopping.append(number)
    for child in running:
        if number == signal.SIGTERM:
            child.terminate()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sys.exit(main(sys.argv[1:]))
