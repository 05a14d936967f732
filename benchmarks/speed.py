"""Time of an audit against plain ART and against the machine's limit, in one run.

usage: python benchmarks/speed.py MODEL DATA [IMAGES]

MODEL takes images in [0, 1]. The audit is timed with everything it does: reading and hashing files, decoding,
attacking, judging, judging again after rounding to 8 bits where that changes the image, distances, journal.
The peer is timed on images that lie decoded in memory. The limit is a
bare loop of compiled functions over the passes the work needs, with their results thrown away: for each image one
prediction, one gradient by the image, and one prediction for each epsilon.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from plain_art import sweep

from auditor import AuditSettings
from auditor.attacks import ATTACKS
from auditor.data.pixels import unit
from auditor.data.split import find_test_set
from auditor.engine.examples import ExampleKeeper
from auditor.engine.journal import Header, Journal
from auditor.engine.plan import Plan
from auditor.engine.run import run
from auditor.models.subject import load
from auditor.sidecar import read_sidecar

if TYPE_CHECKING:
    from auditor.data.imageset import ImageSet


def few(images: ImageSet, count: int) -> ImageSet:
    """Take images evenly from the whole set."""
    places = np.linspace(0, len(images) - 1, count).round().astype(int)
    chosen = {images.images[i].id for i in places}
    return images.where(lambda image: image.id in chosen)


def limit(model: Path, x: np.ndarray, y: np.ndarray, epsilons: int, batch: int) -> float:
    """Seconds of the bare loop, without compiling."""
    import keras
    import tensorflow as tf

    network = keras.saving.load_model(model, compile=False)
    loss = keras.losses.CategoricalCrossentropy(reduction="sum")
    shape = (None, *network.input_shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape)])
    def forward(images):
        return network(images, training=False)

    @tf.function(input_signature=[tf.TensorSpec(shape), tf.TensorSpec((None, network.output_shape[-1]))])
    def gradient(images, targets):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            value = loss(targets, network(images, training=False))
        return tape.gradient(value, images)

    forward(x[:1]), gradient(x[:1], y[:1])
    clock = time.perf_counter()
    for i in range(0, len(x), batch):
        part = tf.constant(x[i : i + batch])
        for _ in range(1 + epsilons):
            forward(part)
        gradient(part, y[i : i + batch]).numpy()
    return time.perf_counter() - clock


def main() -> None:
    """Measure and print a table."""
    model, data = Path(sys.argv[1]), Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 60
    epsilons = AuditSettings().epsilons
    sidecar = read_sidecar(model)
    images = few(find_test_set(data, None, sidecar.split if sidecar else None).images, count)
    subject = load(model)
    plan = Plan((ATTACKS["fgsm"],), epsilons, 8)
    pixels = images.pixels(subject.size, subject.channels, 0, len(images))
    x, y = unit(pixels), np.eye(subject.outputs, dtype=np.float32)[images.labels]

    with tempfile.TemporaryDirectory() as scratch:
        header = Header(
            id="", started="", model="", data="", settings=AuditSettings(), batch_size=plan.batch_size, key={}
        )
        keeper = ExampleKeeper(Path(scratch), images, "fgsm", plan.headline)
        journal = Journal.begin(Path(scratch), header, plan.names)
        clock = time.perf_counter()
        outcomes = run(subject, images, plan, keeper, journal)
        ours = time.perf_counter() - clock
    bare = limit(model, x, y, len(epsilons), plan.batch_size)
    clock = time.perf_counter()
    theirs = sweep(model, x, images.labels, epsilons)
    peer = time.perf_counter() - clock

    labels = {0.0: outcomes.clean.argmax(1)} | {e: outcomes.attacked["fgsm", e].logits.argmax(1) for e in epsilons}
    differ = sum(int((labels[e] != theirs[e]).sum()) for e in labels)
    print(f"{count} images of {'x'.join(map(str, subject.input_shape))}, {len(epsilons)} epsilons")
    print(f"plain ART      {peer:8.1f} s   {peer / count:6.2f} s an image")
    print(
        f"medaudit       {ours:8.1f} s   {ours / count:6.2f} s an image   {peer / ours:.2f} times as fast as plain ART"
    )
    print(f"bare loop      {bare:8.1f} s   {bare / count:6.2f} s an image   medaudit reaches {bare / ours:.2f} of it")
    print(f"predicted labels that differ from plain ART's: {differ} of {count * len(labels)}")


if __name__ == "__main__":
    main()
