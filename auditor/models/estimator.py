"""The ART estimator under every attack: logits in compiled functions, images in [0, 1]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from auditor.models.backend import quiet_import

with quiet_import():
    from art.estimators.classification import TensorFlowV2Classifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class LogitsClassifier(TensorFlowV2Classifier):  # type: ignore[misc]  # ART is untyped
    """ART's TensorFlow classifier over the logits of a model.

    It differs from its parent where that is slow or wrong for an audit: `predict` respects the batch size,
    `loss_gradient` is compiled; its loss is summed and not averaged, so that an image's gradient does not
    depend on the others of its batch; it keeps its direction where the model is confident; and the last
    gradient is kept, because that of a single-step attack is the same at every epsilon.

    Args:
        forward: from images in [0, 1], a tensor of shape `(n, h, w, c)`, to logits of shape `(n, C)`.
        classes: the number C of classes.
        input_shape: `(h, w, c)`.
    """

    def __init__(self, forward: Callable[[Any], Any], classes: int, input_shape: tuple[int, int, int]) -> None:
        import tensorflow as tf

        super().__init__(
            model=lambda x, training=False: forward(x),
            nb_classes=classes,
            input_shape=input_shape,
            loss_object=tf.keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum"),
            clip_values=(0.0, 1.0),
        )
        # A free first dimension: the last, smaller batch does not compile the graph again.
        images = tf.TensorSpec((None, *input_shape), tf.float32)
        targets = tf.TensorSpec((None, classes), tf.float32)

        @tf.function(input_signature=[images])  # type: ignore[untyped-decorator]
        def logits(x: Any) -> Any:
            return forward(x)

        @tf.function(input_signature=[images, targets])  # type: ignore[untyped-decorator]
        def gradient(x: Any, y: Any) -> Any:
            # Only the images are watched: no gradient of a weight is ever computed.
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                loss = _cross_entropy(y, forward(x))
            return tape.gradient(loss, x)

        self._logits, self._gradient = logits, gradient
        self._last: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]] | None = None

    def predict(
        self, x: NDArray[np.float32], batch_size: int = 128, training_mode: bool = False, **kwargs: Any
    ) -> NDArray[np.float32]:
        """Logits of images in [0, 1], of shape `(n, C)`, computed `batch_size` images at a time."""
        del training_mode, kwargs
        parts = [self._logits(x[i : i + batch_size]).numpy() for i in range(0, len(x), batch_size)]
        return np.concatenate(parts) if parts else np.empty((0, self.nb_classes), np.float32)

    def loss_gradient(
        self, x: NDArray[np.float32], y: NDArray[np.float32], training_mode: bool = False, **kwargs: Any
    ) -> NDArray[np.float32]:
        """Gradient of the cross-entropy of each image by the image.

        Args:
            x: images in [0, 1] of shape `(n, h, w, c)`.
            y: ground truth, one-hot, of shape `(n, C)`.
            training_mode: ignored; an audited model is never in training mode.
            kwargs: ignored, as ART does.

        Returns:
            Array of the shape of `x`; the caller must not change it.
        """
        del training_mode, kwargs
        if self._last is None or not (np.array_equal(self._last[0], x) and np.array_equal(self._last[1], y)):
            gradient = self._gradient(x.astype(np.float32, copy=False), y.astype(np.float32, copy=False)).numpy()
            self._last = (x.copy(), y.copy(), gradient)
        return self._last[2]


def _cross_entropy(targets: Any, logits: Any) -> Any:
    """Cross-entropy of each image, of one-hot targets and logits, both of shape `(n, C)`.

    It is log(1 + sum of exp(z_j - z_y) over the classes j other than the true one y): the same as the usual
    form, but its gradient is not lost where the true class leads by more than 16.6. There the usual form
    computes p_y - 1 as exactly 0 in float32, and what is left knows of the other classes alone.
    """
    import tensorflow as tf

    lead = logits - tf.reduce_sum(targets * logits, axis=1, keepdims=True)
    others = tf.where(targets > 0, tf.constant(-float("inf"), logits.dtype), lead)
    return tf.nn.softplus(tf.reduce_logsumexp(others, axis=1))
