"""Peak memory of `medaudit run` for few and for many images.

usage: python benchmarks/memory.py MODEL [FEW [MANY [EPSILONS]]]

Images of the model's input size are drawn at random into a temporary folder; every audit is a process of its own
and its peak is what the operating system accounts to it when it ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from auditor.models.subject import load
from auditor.sidecar import read_sidecar


def draw(folder: Path, classes: list[str], size: tuple[int, int], count: int) -> None:
    """Draw `count` random images, class by class in turn."""
    generator = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
    for number in range(count):
        pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / classes[number % len(classes)] / f"{number:05d}.jpg")


def peak(model: Path, data: Path, output: Path, epsilons: str) -> float:
    """Peak memory of one audit in GB."""
    command = [sys.executable, "-m", "auditor", "run", model, data, "-o", output, "--eps", epsilons]
    running = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(running.pid, 0)
    if status:
        sys.exit(f"the audit failed: {' '.join(map(str, command))}")
    return usage.ru_maxrss / 1e6


def main() -> None:
    """Measure and print a table."""
    model = Path(sys.argv[1])
    counts = [int(word) for word in sys.argv[2:4]] or [200, 5000]
    epsilons = sys.argv[4] if len(sys.argv) > 4 else "0.5/255,1/255,2/255,4/255,8/255"
    subject, sidecar = load(model), read_sidecar(model)
    classes = sidecar.classes if sidecar else [f"class-{k}" for k in range(subject.outputs)]
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for count in counts:
            data = Path(scratch) / f"data{count}"
            draw(data, classes, subject.size, count)
            found.append(peak(model, data, Path(scratch) / f"audit{count}", epsilons))
            print(
                f"{count:6d} images of {subject.size[0]}x{subject.size[1]}, {epsilons}: peak {found[-1]:.2f} GB",
                flush=True,
            )
    if len(found) > 1:
        print(f"ratio {found[-1] / found[0]:.2f}")


if __name__ == "__main__":
    main()
