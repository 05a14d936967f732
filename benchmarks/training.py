"""Time of `medaudit train` with the paper's defaults against plain `model.fit`, in one run, on a few images.

usage: python benchmarks/training.py DATA WEIGHTS [IMAGES_PER_CLASS]

The peer is what the paper describes: the same model, the base frozen, a new rotation of every image in every epoch,
all held-out images judged after every epoch.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import rotate

from auditor import TrainingSettings
from auditor.data.pixels import unit
from auditor.data.split import training_sets
from auditor.models import vgg19
from auditor.models.backend import keras as load_keras
from auditor.training.train import train


def main() -> None:
    """Measure and print."""
    data, weights = Path(sys.argv[1]), Path(sys.argv[2])
    settings = TrainingSettings(weights=weights.name, per_class=int(sys.argv[3]) if len(sys.argv) > 3 else 20)
    train_set, test_set = training_sets(data, settings)
    with tempfile.TemporaryDirectory() as scratch:
        clock = time.perf_counter()
        train(train_set, test_set, Path(scratch) / "m.h5", settings, weights=weights)
        ours = time.perf_counter() - clock

    clock = time.perf_counter()
    keras = load_keras()
    model = vgg19.join(*vgg19.build(settings, len(train_set.classes), weights))
    model.compile(optimizer=keras.optimizers.Adam(settings.learning_rate), loss="categorical_crossentropy")
    size = (settings.image_size, settings.image_size)
    pixels, held_out = (part.pixels(size, 3, 0, len(part)) for part in (train_set, test_set))
    targets, held_out_targets = (np.eye(len(part.classes))[part.labels] for part in (train_set, test_set))
    generator = np.random.default_rng(0)

    class Rotated(keras.utils.PyDataset):
        def __len__(self) -> int:
            return int(np.ceil(len(pixels) / settings.batch_size))

        def __getitem__(self, index: int):
            rows = slice(index * settings.batch_size, (index + 1) * settings.batch_size)
            turned = [
                rotate(image, generator.uniform(-15, 15), reshape=False, order=1, mode="nearest")
                for image in pixels[rows]
            ]
            return unit(np.stack(turned)), targets[rows]

    model.fit(Rotated(), epochs=settings.epochs, validation_data=(unit(held_out), held_out_targets), verbose=0)
    plain = time.perf_counter() - clock
    print(f"{len(train_set)} training and {len(test_set)} held-out images, {settings.epochs} epochs")
    print(f"plain model.fit  {plain:7.1f} s")
    print(f"medaudit train   {ours:7.1f} s   {plain / ours:.2f} times as fast")


if __name__ == "__main__":
    main()
