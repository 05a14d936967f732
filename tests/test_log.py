import getpass
import json
import platform
import re

import pytest
from conftest import medaudit

from auditor import BadInputError
from auditor import log as logs
from auditor.log import EventLog, as_json, as_line, audit_log
from auditor.progress import Several, Silent

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING|ERROR) +[a-z-]+( |$)")


def test_an_audit_tells_what_happened_when_and_nobodys_paths(audited, trained, data):
    lines = (audited.folder / "audit.log").read_text().splitlines()
    assert all(LINE.match(line) for line in lines)
    events = [line.split()[2] for line in lines]
    assert (events[0], events[-1]) == ("started", "finished")
    assert {"prepared", "task", "task-done"} <= set(events)
    text = "\n".join(lines)
    record = audited.record
    assert f"model_sha256={record.model.sha256} manifest_sha256={record.data.manifest_sha256}" in text
    assert f"audit={record.audit.id}" in lines[0]
    for private in (str(trained.model.parent), str(data.parent), str(audited.folder.parent), platform.node()):
        assert private not in text
    assert f" {getpass.getuser()}" not in text


def test_a_failure_is_the_last_line_and_names_no_folder(tmp_path):
    folder, model = tmp_path / "audit", tmp_path / "secret place" / "m.h5"
    folder.mkdir()
    with pytest.raises(BadInputError), audit_log(folder, [folder, model]) as log:
        log.mark("started", audit="m-1")
        raise BadInputError(f"{model} and {folder / 'x.csv'} cannot be written: No space left on device.")
    last = (folder / "audit.log").read_text().splitlines()[-1]
    assert last.split()[1:4] == ["ERROR", "failed", "audit=m-1"]
    assert '"BadInputError: m.h5 and audit/x.csv cannot be written' in last
    assert "secret" not in last


def test_nothing_follows_the_end(tmp_path):
    with pytest.raises(BadInputError), audit_log(tmp_path, []) as log:
        log.mark("finished")
        raise BadInputError("the report cannot be written")
    assert len((tmp_path / "audit.log").read_text().splitlines()) == 1


def test_an_audit_that_leaves_nothing_leaves_no_log(tmp_path):
    with pytest.raises(BadInputError), audit_log(tmp_path, []) as log:
        log.mark("started")
        (tmp_path / "audit.log").unlink()
        raise BadInputError("no such model")
    assert not (tmp_path / "audit.log").exists()


@pytest.mark.parametrize("text", ["a\nERROR forged", "\x1b[31mred", "\u202eevil", 'say "x"', "皮膚", ""])
def test_text_from_outside_stays_one_value_of_one_line(text):
    line = as_line({"time": "2026-01-01T00:00:00Z", "level": "info", "event": "message", "message": text})
    assert line.isprintable()
    assert json.loads(line.partition("message=")[2]) == text
    assert as_json({"message": text}).isprintable()


def test_progress_is_told_now_and_then_with_what_is_left(monkeypatch):
    clock = iter([0.0, 10.0, 40.0, 40.0, 50.0])
    monkeypatch.setattr(logs.time, "monotonic", lambda: next(clock))
    events = []
    listener = Several(Silent(), EventLog(events.append))
    listener.mark("started", audit="a")
    with listener.task("Attacking", 10) as advance:
        advance(1, "too early")
        advance(1, "pgd", 6.0)
    assert [(event["event"], event["audit"]) for event in events] == [
        ("started", "a"), ("task", "a"), ("progress", "a"), ("task-done", "a")
    ]  # fmt: skip
    assert (events[2]["done"], events[2]["left_seconds"], events[2]["note"]) == (0.25, 120.0, "pgd")
    assert events[3]["seconds"] == 50.0


def test_json_lines_take_the_place_of_text(capsys, trained, data, tmp_path):
    code, out, err = medaudit(
        capsys, "run", trained.model, data, "-o", tmp_path / "audit", "--eps", "2/255", "--log-format", "json"
    )
    assert code == 0, err
    events = [json.loads(line) for line in err.splitlines()]
    names = [event["event"] for event in events]
    assert (names[0], names[-2:]) == ("started", ["finished", "reports"])
    assert len({event["audit"] for event in events}) == 1
    assert all({"time", "level", "event", "audit"} <= event.keys() for event in events)
    assert out.splitlines()[-1].startswith("medaudit: NONE ")


def test_errors_are_json_too(capsys, trained, data, tmp_path):
    arguments = ("-o", tmp_path / "audit", "--log-format", "json")
    for model, more in (
        (tmp_path / "absent.h5", ()),
        (trained.model, ("--attack", "magic")),
        (trained.model, ("--eps", "0")),
    ):
        code, _, err = medaudit(capsys, "run", model, data, *arguments, *more)
        assert code == 2
        last = json.loads(err.splitlines()[-1])
        assert (last["event"], last["level"], last["exit_code"]) == ("error", "error", 2)
    assert not (tmp_path / "audit").exists()
