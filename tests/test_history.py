import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from auditor import BadInputError
from auditor.history import DEPTH, read_history
from auditor.record import FILE_NAME, read_record


def put(folder, record, *, day=0, **parts):
    """Write `record` into `folder` as an audit that ended on a day of January, with other values by dotted name."""
    content = json.loads(record.model_dump_json())
    parts["audit.finished"] = f"{datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day):%Y-%m-%dT%H:%M:%SZ}"
    for name, value in parts.items():
        part, _, key = name.partition(".")
        if key:
            content[part][key] = value
        else:
            content[part] = value
    folder.mkdir(parents=True)
    (folder / FILE_NAME).write_text(json.dumps(content))
    return folder


def test_an_audit_is_read_as_its_record_says(audited):
    history = read_history(audited.folder)
    (entry,) = history.audits
    record = audited.record
    worst = next(w for w in record.worst_case if w.epsilon == record.headline_epsilon)
    assert entry.folder == "."
    assert (entry.id, entry.model, entry.model_sha256) == (record.audit.id, record.model.name, record.model.sha256)
    assert entry.clean.model_dump() == record.clean.accuracy.model_dump()
    assert entry.robust.model_dump() == worst.accuracy.model_dump()
    assert entry.finished == datetime.fromisoformat(record.audit.finished)
    assert entry.verdict == record.verdict.status
    (series,) = history.series
    assert (series.attacks, series.epsilon, series.images) == (("fgsm",), 2 / 255, record.data.images)
    assert history.skipped == []


def test_what_it_reads_is_in_the_schema_of_the_record(audited, tmp_path):
    """A record that is validated in part is still a record."""
    folder = put(tmp_path / "a", audited.record)
    assert read_record(folder).audit.finished == "2026-01-01T12:00:00Z"


def test_audits_stand_by_time_and_then_by_folder(audited, tmp_path):
    for name, day in (("late", 9), ("b", 3), ("a", 3), ("deep/er/early", 1)):
        put(tmp_path / name, audited.record, day=day)
    assert [entry.folder for entry in read_history(tmp_path).audits] == ["deep/er/early", "a", "b", "late"]


def test_comparable_audits_make_a_series(audited, tmp_path):
    record = audited.record
    other = [w.model_copy(update={"attacks": ["pgd", "fgsm"]}).model_dump() for w in record.worst_case]
    turned = [w.model_copy(update={"attacks": ["fgsm", "pgd"]}).model_dump() for w in record.worst_case]
    put(tmp_path / "one", record, day=0)
    put(tmp_path / "other images", record, day=1, **{"data.manifest_sha256": "0" * 64})
    put(tmp_path / "other attacks", record, day=2, worst_case=other)
    put(tmp_path / "the same attacks", record, day=3, worst_case=turned)
    put(tmp_path / "other epsilon", record, day=4, headline_epsilon=16 / 255)
    put(tmp_path / "other model", record, day=5, **{"model.sha256": "1" * 64})
    put(tmp_path / "not measured", record, day=6, worst_case=[])
    more = [a.model_copy(update={"parameters": {**a.parameters, "max_iter": 9}}).model_dump() for a in record.attacks]
    put(tmp_path / "other parameters", record, day=7, attacks=more)
    # Another critical error is another attack where one aims at it, and none where none does.
    put(tmp_path / "not aimed", record, day=8, critical="blue->red")
    aimed = [a.model_copy(update={"parameters": {"targeted": True}}).model_dump() for a in record.attacks]
    put(tmp_path / "aimed", record, day=9, attacks=aimed)
    put(tmp_path / "aimed elsewhere", record, day=10, attacks=aimed, critical="blue->red")
    history = read_history(tmp_path)
    assert [entry.series for entry in history.audits] == [1, 2, 3, 3, 4, 1, 5, 6, 1, 7, 8]
    assert [series.audits for series in history.series] == [3, 1, 2, 1, 1, 1, 1, 1]
    assert history.series[2].attacks == ("fgsm", "pgd")
    assert history.audits[6].robust is None


def test_another_epsilon_can_be_asked_for(audited, tmp_path):
    put(tmp_path / "a", audited.record)
    worst = audited.record.worst_case[-1]
    (entry,) = read_history(tmp_path, worst.epsilon).audits
    assert entry.robust.count == worst.accuracy.count
    assert read_history(tmp_path, 0.5).audits[0].robust is None


def damaged(place, record):
    text = put(place, record).joinpath(FILE_NAME).read_text()
    (place / FILE_NAME).write_text(text[: len(text) // 2])


def foreign(place, record):
    place.mkdir()
    (place / FILE_NAME).write_text('{"results": []}')


def newer(place, record):
    put(place, record, schema_version=2)


def no_time(place, record):
    put(place, record)
    content = json.loads((place / FILE_NAME).read_text())
    content["audit"]["finished"] = 5
    (place / FILE_NAME).write_text(json.dumps(content))


def beyond_the_chart(place, record):
    content = record.clean.model_dump()
    content["accuracy"]["value"] = 1e300
    put(place, record, clean=content)


def unfinished(place, record):
    (place / "journal").mkdir(parents=True)


def lost(place, record):
    place.mkdir()
    (place / "predictions.csv").write_text("id\n")


def pipe(place, record):
    place.mkdir()
    os.mkfifo(place / FILE_NAME)


def linked_file(place, record):
    place.mkdir()
    (place / FILE_NAME).symlink_to(put(place.parent / ".hidden", record) / FILE_NAME)


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (damaged, "damaged or no record"), (foreign, "schema_version: Field required"), (newer, "schema version 1"),
        (no_time, "audit.finished"), (beyond_the_chart, "clean.accuracy.value"), (unfinished, "medaudit run --resume"),
        (lost, "predictions.csv has no results.json"), (pipe, "no file"), (linked_file, "symbolic link"),
    ],
)  # fmt: skip
def test_what_is_no_finished_audit_is_named_and_left_out(audited, tmp_path, prepare, reason):
    put(tmp_path / "good", audited.record)
    prepare(tmp_path / "bad", audited.record)
    history = read_history(tmp_path)
    assert [entry.folder for entry in history.audits] == ["good"]
    ((folder, why),) = [(item.folder, item.reason) for item in history.skipped]
    assert folder == "bad"
    assert reason in why


def test_links_hidden_folders_and_great_depths_are_left_alone(audited, tmp_path):
    put(tmp_path / "audits" / "a", audited.record)
    (tmp_path / "audits" / "again").symlink_to(tmp_path / "audits" / "a")
    (tmp_path / "audits" / "round").symlink_to(tmp_path)
    put(tmp_path / "audits" / ".trash" / "b", audited.record)
    put(tmp_path / "audits" / "a" / "inside", audited.record)
    put(tmp_path.joinpath("audits", *"d" * DEPTH), audited.record)
    put(tmp_path.joinpath("audits", *"e" * (DEPTH + 1)), audited.record)
    history = read_history(tmp_path / "audits")
    assert [entry.folder for entry in history.audits] == ["a", "/".join("d" * DEPTH)]
    assert history.skipped == []


def test_a_name_that_is_no_unicode_does_no_harm(audited, tmp_path):
    root = tmp_path / os.fsdecode(b"caf\xe9")
    put(root / os.fsdecode(b"\xff"), audited.record)
    history = read_history(root)
    assert json.loads(history.model_dump_json())["audits"][0]["folder"] == "\ufffd"
    assert history.folder.endswith("caf\ufffd")


def test_no_folder_is_a_plain_error(tmp_path):
    with pytest.raises(BadInputError, match="is no folder"):
        read_history(tmp_path / "absent")
