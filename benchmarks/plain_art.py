"""The peer: a sweep of FGSM written with ART as its documentation shows, on images held in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def sweep(model: Path, images: np.ndarray, labels: np.ndarray, epsilons: tuple[float, ...], batch: int = 20) -> Any:
    """Attack images in [0, 1] with plain ART; returns predicted labels by epsilon, 0 for the clean images."""
    import keras
    from art.attacks.evasion import FastGradientMethod
    from art.estimators.classification import TensorFlowV2Classifier

    network = keras.saving.load_model(model, compile=False)
    classes = network.output_shape[-1]
    classifier = TensorFlowV2Classifier(
        network,
        nb_classes=classes,
        input_shape=network.input_shape[1:],
        loss_object=keras.losses.CategoricalCrossentropy(),
        clip_values=(0, 1),
    )

    def predict(x: np.ndarray) -> np.ndarray:
        # ART's predict passes over its batch size, so the batches are cut here.
        return np.concatenate([classifier.predict(x[i : i + batch]) for i in range(0, len(x), batch)]).argmax(1)

    found = {0.0: predict(images)}
    for epsilon in epsilons:
        attack = FastGradientMethod(classifier, eps=epsilon, batch_size=batch)
        found[epsilon] = predict(attack.generate(images, np.eye(classes, dtype=np.float32)[labels]))
    return found
