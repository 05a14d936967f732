"""Stopping an audit at any point and going on."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import draw, draw_folder

from auditor import AuditInterrupted, AuditSettings, BadInputError, audit, resume, verify
from auditor.engine import run as engine
from auditor.evidence import manifest

SETTINGS = AuditSettings(epsilons=(1 / 255, 2 / 255), batch_size=4, preprocessing="unit", critical=("red", "blue"))


@pytest.fixture(scope="module")
def subject(trained, tmp_path_factory):
    """The small model without its record, and images of its own."""
    folder = tmp_path_factory.mktemp("subject")
    shutil.copy(trained.model, folder / "m.h5")
    return folder / "m.h5", draw_folder(folder / "data", 10, first=2000)


@pytest.fixture(scope="module")
def unbroken(subject, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "audit"
    audit(*subject, folder, SETTINGS)
    return folder


def timeless(folder):
    """The record without times and ids."""
    record = json.loads((folder / "results.json").read_text())
    record.pop("timings")
    for name in ("id", "started", "finished"):
        record["audit"].pop(name)
    return json.dumps(record)


def same(folder, unbroken):
    assert timeless(folder) == timeless(unbroken)
    assert (folder / "predictions.csv").read_bytes() == (unbroken / "predictions.csv").read_bytes()
    pictures = sorted(path.name for path in (unbroken / "examples").iterdir())
    assert sorted(path.name for path in (folder / "examples").iterdir()) == pictures
    for name in pictures:
        assert (folder / "examples" / name).read_bytes() == (unbroken / "examples" / name).read_bytes()
    assert not (folder / "journal").exists()
    assert (folder / "report.html").is_file()


def interrupt_after(monkeypatch, batches):
    """Interrupt the audit while it works on the batch after that many."""
    done = []
    original = engine._work

    def work(*arguments):
        if len(done) == batches:
            raise KeyboardInterrupt
        done.append(1)
        return original(*arguments)

    monkeypatch.setattr(engine, "_work", work)
    return done


@pytest.mark.parametrize("batches", [0, 1, 3, 4])
def test_an_interrupted_audit_goes_on_to_the_same_end(subject, unbroken, tmp_path, monkeypatch, batches):
    with monkeypatch.context() as patch:
        interrupt_after(patch, batches)
        with pytest.raises(AuditInterrupted, match="--resume"):
            audit(*subject, tmp_path / "audit", SETTINGS)
    assert not (tmp_path / "audit" / "results.json").exists()
    computed = interrupt_after(monkeypatch, 99)
    resume(tmp_path / "audit")
    assert len(computed) == 5 - batches
    same(tmp_path / "audit", unbroken)


@pytest.mark.parametrize("moment", ["describe", "write_manifest"])
def test_an_audit_that_is_stopped_after_its_attacks_is_not_finished(subject, unbroken, tmp_path, monkeypatch, moment):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(manifest, moment, stop)
        with pytest.raises(AuditInterrupted, match="--resume"):
            audit(*subject, tmp_path / "audit", SETTINGS)
    assert (tmp_path / "audit" / "results.json").is_file()
    computed = interrupt_after(monkeypatch, 99)
    resume(tmp_path / "audit")
    assert computed == []
    same(tmp_path / "audit", unbroken)
    assert not verify(tmp_path / "audit").findings


def start(subject, folder):
    """Start the audit in a process of its own."""
    command = [sys.executable, "-m", "auditor", "run", *subject, "-o", folder, "--eps", "1/255,2/255"]
    command += ["--batch-size", "4", "--preprocessing", "unit", "--critical", "red:blue"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [str(word) for word in command],
        # As under a scheduler: there is nobody to ask.
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment,
    )  # fmt: skip


@pytest.mark.parametrize("moment", ["audit.json", "000000.npz", "000002.npz"])
def test_a_killed_audit_goes_on_to_the_same_end(subject, unbroken, tmp_path, moment):
    folder = tmp_path / "audit"
    running = start(subject, folder)
    deadline = time.monotonic() + 120
    while not (folder / "journal" / moment).exists():
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.wait()
    if (folder / "results.json").exists():
        pytest.skip("it was done before it could be killed")
    resume(folder)
    same(folder, unbroken)


def test_sigterm_ends_as_ctrl_c_does(subject, tmp_path):
    running = start(subject, tmp_path / "audit")
    while not (tmp_path / "audit" / "journal" / "audit.json").exists():
        assert running.poll() is None
        time.sleep(0.002)
    running.terminate()
    assert running.wait(60) in (130, 0)


def test_a_damaged_batch_is_done_again(subject, unbroken, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(AuditInterrupted):
            audit(*subject, tmp_path / "audit", SETTINGS)
    damaged = tmp_path / "audit" / "journal" / "000001.npz"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    computed = interrupt_after(monkeypatch, 99)
    resume(tmp_path / "audit")
    assert len(computed) == 3
    same(tmp_path / "audit", unbroken)


def test_a_moved_audit_goes_on_where_model_and_data_are_named(subject, unbroken, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(AuditInterrupted):
            audit(*subject, tmp_path / "audit", SETTINGS)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copy(subject[0], moved / "m.h5")
    shutil.copytree(subject[1], moved / "data")
    shutil.move(tmp_path / "audit", moved / "audit")
    resume(moved / "audit", moved / "m.h5", moved / "data")
    same(moved / "audit", unbroken)


def other_model(model, data):
    model.write_bytes(model.read_bytes() + b" ")


def other_image(model, data):
    draw(1, 77777).save(data / "red" / "000.png")


def more_images(model, data):
    draw(1, 77777).save(data / "red" / "new.png")


@pytest.mark.parametrize(
    ("change", "message"),
    [(other_model, "the model changed"), (other_image, "the test images changed"), (more_images, "the test images")],
)
def test_a_changed_audit_is_refused_and_kept(subject, tmp_path, monkeypatch, change, message):
    shutil.copy(subject[0], tmp_path / "m.h5")
    shutil.copytree(subject[1], tmp_path / "data")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(AuditInterrupted):
            audit(tmp_path / "m.h5", tmp_path / "data", tmp_path / "audit", SETTINGS)
    change(tmp_path / "m.h5", tmp_path / "data")
    with pytest.raises(BadInputError, match=message):
        resume(tmp_path / "audit")
    assert (tmp_path / "audit" / "journal" / "000001.npz").is_file()


def test_a_full_disk_is_a_plain_error_and_keeps_what_was_done(subject, unbroken, tmp_path, monkeypatch):
    original = np.savez
    written = []

    def savez(path, **arrays):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        original(path, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", savez)
        with pytest.raises(BadInputError, match="No space left"):
            audit(*subject, tmp_path / "audit", SETTINGS)
    assert len(list((tmp_path / "audit" / "journal").glob("*.npz"))) == 2
    resume(tmp_path / "audit")
    same(tmp_path / "audit", unbroken)


def test_a_finished_audit_does_not_go_on(unbroken):
    with pytest.raises(BadInputError, match="is finished"):
        resume(unbroken)


def test_a_new_audit_does_not_write_over_an_unfinished_one(subject, tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 1)
    with pytest.raises(AuditInterrupted):
        audit(*subject, tmp_path / "audit", SETTINGS)
    with pytest.raises(BadInputError, match="holds an unfinished audit"):
        audit(*subject, tmp_path / "audit", SETTINGS)
    assert (tmp_path / "audit" / "journal" / "000000.npz").is_file()


def test_the_order_of_files_on_disk_does_not_matter(subject, unbroken, tmp_path):
    folder = tmp_path / "data"
    for path in sorted(subject[1].rglob("*.png"), reverse=True):
        place = folder / path.relative_to(subject[1])
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    audit(subject[0], folder, tmp_path / "audit", SETTINGS)
    assert (tmp_path / "audit" / "predictions.csv").read_bytes() == (unbroken / "predictions.csv").read_bytes()


def test_the_journal_holds_nothing_once_the_audit_is_done(unbroken):
    assert {path.name for path in unbroken.iterdir()} == {
        "results.json", "predictions.csv", "report.html", "report.pdf", "summary.md", "junit.xml", "examples",
        "audit.log",
        "manifest.json", "bom.cdx.json",
    }  # fmt: skip


def test_two_processes_do_not_work_on_one_folder(subject, tmp_path):
    folder = tmp_path / "audit"
    running = start(subject, folder)
    try:
        while not (folder / "journal" / "lock").exists():
            assert running.poll() is None
            time.sleep(0.002)
        running.send_signal(signal.SIGSTOP)
        before = sorted(path.name for path in folder.rglob("*"))
        message = f"Another medaudit is at work in {folder}"
        with pytest.raises(BadInputError, match=message):
            audit(*subject, folder, SETTINGS)
        running.send_signal(signal.SIGCONT)
        while not (folder / "journal" / "audit.json").exists():
            assert running.poll() is None
            time.sleep(0.002)
        running.send_signal(signal.SIGSTOP)
        with pytest.raises(BadInputError, match=message):
            resume(folder)
        with pytest.raises(BadInputError, match="holds an unfinished audit"):
            audit(*subject, folder, SETTINGS)
        assert set(before) <= {path.name for path in folder.rglob("*")}
    finally:
        running.send_signal(signal.SIGCONT)
        running.kill()
        running.wait()
    # A killed holder blocks nobody.
    resume(folder)
    assert not (folder / "journal").exists()
    log = (folder / "audit.log").read_text()
    assert [log.count(f" {event} ") for event in ("started", "resumed", "finished")] == [1, 1, 1]


def test_what_a_run_leaves_that_is_killed_while_it_prepares_is_in_nobodys_way(subject, tmp_path):
    folder = tmp_path / "audit"
    running = start(subject, folder)
    while not (folder / "journal" / "lock").exists():
        assert running.poll() is None
        time.sleep(0.002)
    running.kill()
    running.wait()
    assert not (folder / "journal" / "audit.json").exists()
    audit(*subject, folder, SETTINGS)
    assert (folder / "results.json").is_file()


def test_a_folder_called_journal_is_not_taken_for_one_of_ours(subject, tmp_path):
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "diary.txt").write_text("mine")
    with pytest.raises(BadInputError, match="not empty"):
        audit(*subject, tmp_path, SETTINGS)
    assert (tmp_path / "journal" / "diary.txt").read_text() == "mine"
    assert len(list(tmp_path.rglob("*"))) == 2
