import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.data.imageset import ImageSet, LabelledImage
from auditor.engine.outcomes import Answers, Attacked
from auditor.errors import BadInputError
from auditor.metrics.perceptibility import Distances
from auditor.predictions import predictions_csv, read_predictions

HOSTILE = [
    "=1+1/x.png", 'quote" and, comma.png', "new\nline.png", "old\rline.png", "-dash.png", "<b>.png", "'apostrophe.png",
]  # fmt: skip


def answers(n, seed, **more):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, 2)).astype(np.float32)
    given = {
        "logits": logits * -1,
        "distances": Distances(*(generator.random(n) for _ in range(4))),
        "concerned": np.ones(n, dtype=bool),
        "rounded": np.zeros(n, dtype=np.int64),
        "outside": generator.random(n) < 0.5,
    } | more
    return Answers(np.zeros(n, dtype=np.int64), logits, {("fgsm", 0.01): Attacked(**given)})


def images(*names, classes=("a", "@b"), **more):
    return ImageSet(classes, tuple(LabelledImage(name, None, 0, "", **more) for name in names))


def written(path, table):
    # The bytes, as an audit writes them: no line ending is translated.
    path.write_bytes(table.encode())
    return path


def test_a_table_runs_no_formula():
    table = predictions_csv(images(*HOSTILE), answers(len(HOSTILE), 0))
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert len(rows) == 2 * len(HOSTILE)
    assert not any(value[:1] in "=+@" for row in rows for value in (row["id"], row["label"], row["predicted"]) if value)
    assert rows[4]["id"] == "'-dash.png"
    clean, attacked = rows[0], rows[len(HOSTILE)]
    assert (clean["attack"], clean["linf"]) == ("", "")
    assert (attacked["attack"], float(attacked["epsilon"])) == ("fgsm", 0.01)


def test_an_image_that_was_not_attacked_and_an_attack_that_crashed_have_no_row():
    found = answers(3, 0, concerned=np.array([True, False, True]))
    rows = list(csv.DictReader(io.StringIO(predictions_csv(images(*"xyz"), found), newline="")))
    assert [row["id"] for row in rows if row["attack"]] == ["x", "z"]
    rows = list(csv.DictReader(io.StringIO(predictions_csv(images(*"xyz"), answers(3, 0, failure="no")), newline="")))
    assert [row["attack"] for row in rows] == ["", "", ""]


@given(
    seed=st.integers(0, 2**32),
    concerned=st.lists(st.booleans(), min_size=len(HOSTILE), max_size=len(HOSTILE)).filter(any),
)
def test_a_table_reads_back_to_the_last_bit(seed, concerned, tmp_path_factory):
    found = answers(len(HOSTILE), seed, concerned=np.array(concerned))
    given = images(*HOSTILE, group="=p", subgroups=(("@site", "-1"),))
    path = written(tmp_path_factory.mktemp("table") / "predictions.csv", predictions_csv(given, found))
    read = read_predictions(path, given.classes)
    assert (read.ids, read.groups, read.subgroups) == (
        tuple(HOSTILE),
        ("=p",) * len(HOSTILE),
        {"@site": ["-1"] * len(HOSTILE)},
    )
    assert np.array_equal(read.answers.labels, found.labels)
    assert read.answers.clean.tobytes() == found.clean.tobytes()
    before, after = found.attacked["fgsm", 0.01], read.answers.attacked["fgsm", 0.01]
    rows = before.concerned
    assert np.array_equal(after.concerned, rows)
    for name in ("logits", "rounded", "outside"):
        assert getattr(after, name)[rows].tobytes() == getattr(before, name)[rows].tobytes()
    for name in ("linf", "l2", "psnr", "ssim"):
        assert getattr(after.distances, name)[rows].tobytes() == getattr(before.distances, name)[rows].tobytes()
    # The others stand as they were.
    assert np.array_equal(after.logits[~rows], found.clean[~rows])
    assert not after.distances.linf[~rows].any()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda table: table[:-9], "cells instead of"),
        (lambda table: table.replace("predicted 8-bit", "other"), "the headings are others"),
        (lambda table: table.replace("0.01", "much", 1), "could not convert"),
        (lambda table: table + table.splitlines()[-1] + "\n", "two rows under fgsm"),
        (lambda table: table + table.splitlines()[1] + "\n", "two rows without an attack"),
        (lambda table: table.splitlines()[0], "no image"),
        (lambda table: table.replace("x,,a", "x,,c", 1), "'c'"),
        (lambda table: table.replace("\ny,,a,fgsm", "\nother,,a,fgsm", 1), "'other'"),
        (lambda table: "", "headings"),
    ],
)
def test_a_damaged_table_is_named(tmp_path, damage, words):
    table = damage(predictions_csv(images(*"xyz", classes=("a", "b")), answers(3, 0)))
    path = written(tmp_path / "predictions.csv", table)
    with pytest.raises(BadInputError, match=words) as raised:
        read_predictions(path, ("a", "b"))
    assert str(path) in str(raised.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(BadInputError, match=r"predictions\.csv cannot be read"):
        read_predictions(tmp_path / "predictions.csv", ("a", "b"))
