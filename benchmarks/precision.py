"""Time and strength of PGD crafted in bfloat16 first, against PGD in float32 alone, in one run.

usage: python benchmarks/precision.py MODEL DATA [IMAGES [EPSILONS]]

EPSILONS in steps of an 8-bit image, by default 1,2. PGD takes 10 steps from one random start. What is timed is the
crafting with everything it judges on the way; both ways are judged by the float32 model.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from speed import few

from auditor.attacks import Arena
from auditor.attacks.pgd import PGD
from auditor.data.pixels import unit
from auditor.data.split import find_test_set
from auditor.models.subject import load
from auditor.sidecar import read_sidecar

BATCH = 16


class TenSteps(PGD):
    """PGD as it is measured here."""

    steps = 10
    restarts = 1


def main() -> None:
    """Measure and print a table."""
    model, data = Path(sys.argv[1]), Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 60
    steps = [float(step) for step in (sys.argv[4] if len(sys.argv) > 4 else "1,2").split(",")]
    sidecar = read_sidecar(model)
    images = few(find_test_set(data, None, sidecar.split if sidecar else None).images, count)
    subject = load(model)
    pixels, labels = unit(images.pixels(subject.size, subject.channels, 0, len(images))), images.labels
    for coarse in (False, True):  # compile
        one = np.eye(subject.outputs, dtype=np.float32)[labels[:1]]
        subject.estimator(coarse=coarse).loss_gradient(pixels[:1], one)
        subject.estimator(coarse=coarse).logits(pixels[:1], 1)
    clean = np.concatenate([subject.classifier.logits(pixels[i : i + BATCH], BATCH) for i in range(0, count, BATCH)])
    print(f"{count} images of {'x'.join(map(str, subject.input_shape))}, clean accuracy "
          f"{(clean.argmax(1) == labels).mean():.1%}")  # fmt: skip
    for step in steps:
        found = {}
        for coarse in (False, True):
            clock, wrong = time.perf_counter(), []
            for i in range(0, count, BATCH):
                x, y, logits = pixels[i : i + BATCH], labels[i : i + BATCH], clean[i : i + BATCH]
                everything = np.ones(len(x), dtype=bool)
                arena = Arena(subject, x, y, logits, everything, everything, None, coarse, (0, i))
                adversarial = TenSteps().craft(arena, step / 255)
                wrong.append(subject.classifier.predict(adversarial, BATCH).argmax(1) != y)
                subject.forget()
            found[coarse] = time.perf_counter() - clock, np.concatenate(wrong)
        (plain, by_plain), (mixed, by_mixed) = found[False], found[True]
        print(
            f"epsilon {step:g}/255: float32 {plain:6.1f} s, accuracy {1 - by_plain.mean():.1%}; mixed {mixed:6.1f} s, "
            f"accuracy {1 - by_mixed.mean():.1%}; {plain / mixed:.2f} times as fast; images that mixed leaves and "
            f"float32 wins: {(by_plain & ~by_mixed).sum()}"
        )


if __name__ == "__main__":
    main()
