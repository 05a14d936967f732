import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from auditor.data.imageset import ImageSet, LabelledImage
from auditor.engine.outcomes import Attacked, Diagnosis, Outcomes, predictions_csv
from auditor.metrics.perceptibility import Distances


def outcomes(n, seed):
    generator = np.random.default_rng(seed)
    size = Distances(*(generator.random(n) for _ in range(4)))
    logits = generator.normal(size=(n, 2)).astype(np.float32)
    nobody = np.zeros(n, dtype=bool)
    found = Attacked(logits * -1, size, concerned=~nobody, rounded=np.zeros(n, dtype=np.int64), outside=nobody)
    return Outcomes(
        np.zeros(n, dtype=np.int64),
        logits,
        Diagnosis(nobody, nobody, nobody),
        {("fgsm", 0.01): found},
        {"clean": 1.0},
    )


def test_batches_join_in_order():
    first, second = outcomes(3, 0), outcomes(2, 1)
    joined = Outcomes.join([first, second])
    assert np.array_equal(joined.clean, np.concatenate([first.clean, second.clean]))
    found = joined.attacked["fgsm", 0.01]
    assert np.array_equal(found.logits, -joined.clean)
    assert found.distances.linf.shape == (5,)
    assert joined.seconds == {"clean": 2.0}


def test_the_first_failure_is_kept():
    first, second = outcomes(3, 0), outcomes(2, 1)
    broken = replace(second.attacked["fgsm", 0.01], failure="ValueError: no")
    joined = Attacked.join([first.attacked["fgsm", 0.01], broken])
    assert joined.failure == "ValueError: no"
    assert len(joined.logits) == 5


def test_only_images_an_attack_was_run_on_can_be_won_or_have_a_row():
    found = outcomes(3, 0)
    attacked = replace(
        found.attacked["fgsm", 0.01],
        concerned=np.array([True, False, True]),
        logits=np.array([[0, 1], [0, 1], [1, 0]], np.float32),
    )
    found = replace(found, attacked={("fgsm", 0.01): attacked})
    assert found.wrong(("fgsm", 0.01)).tolist() == [True, False, False]
    images = ImageSet(("a", "b"), tuple(LabelledImage(name, None, 0, "") for name in "xyz"))
    rows = list(csv.DictReader(io.StringIO(predictions_csv(images, found), newline="")))
    assert [row["id"] for row in rows if row["attack"]] == ["x", "z"]


HOSTILE = ["=1+1/x.png", 'quote" and, comma.png', "new\nline.png", "-dash.png", "<b>.png"]


def test_table_reads_back_and_runs_no_formula():
    images = ImageSet(("a", "@b"), tuple(LabelledImage(name, None, 0, "") for name in HOSTILE))
    found = outcomes(len(HOSTILE), 0)
    rows = list(csv.DictReader(io.StringIO(predictions_csv(images, found), newline="")))
    assert len(rows) == 2 * len(HOSTILE)
    assert [row["id"].removeprefix("'") for row in rows[: len(HOSTILE)]] == HOSTILE
    assert not any(value[:1] in "=+@" for row in rows for value in (row["id"], row["label"], row["predicted"]) if value)
    assert rows[3]["id"] == "'-dash.png"
    clean, attacked = rows[0], rows[len(HOSTILE)]
    assert (clean["attack"], clean["linf"]) == ("", "")
    assert (attacked["attack"], float(attacked["epsilon"])) == ("fgsm", 0.01)
    # The text is the shortest that reads back as the same float32.
    assert np.float32(clean["logit a"]) == found.clean[0, 0]
    assert float(attacked["l2"]) == pytest.approx(found.attacked["fgsm", 0.01].distances.l2[0], rel=1e-15)
