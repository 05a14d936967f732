from dataclasses import replace

import numpy as np

from auditor.engine.outcomes import Attacked, Diagnosis, Outcomes
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
        {("fgsm", 0.01): found},
        Diagnosis(nobody, nobody, nobody),
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


def test_only_images_an_attack_was_run_on_can_be_won():
    found = outcomes(3, 0)
    attacked = replace(
        found.attacked["fgsm", 0.01],
        concerned=np.array([True, False, True]),
        logits=np.array([[0, 1], [0, 1], [1, 0]], np.float32),
    )
    found = replace(found, attacked={("fgsm", 0.01): attacked})
    assert found.wrong(("fgsm", 0.01)).tolist() == [True, False, False]
