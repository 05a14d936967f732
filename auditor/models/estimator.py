"""The ART estimator under every attack: logits in compiled functions, images in [0, 1]."""

from __future__ import annotations

from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from auditor.metrics.classification import leads
from auditor.models.backend import quiet_import

with quiet_import():
    from art.estimators.classification import TensorFlowV2Classifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Loss: TypeAlias = Literal["cross-entropy", "margin"]

#: Share of the largest logit by which a bfloat16 answer has to be wrong before it is taken for wrong:
#: eight bits of mantissa, added up over the layers.
_COARSE = 0.02


class LogitsClassifier(TensorFlowV2Classifier):  # type: ignore[misc]  # ART is untyped
    """ART's TensorFlow classifier over the logits of a model.

    It differs from its parent where that is slow or wrong for an audit: gradients are compiled; the loss is
    summed and not averaged, so that an image's gradient does not depend on the others of its batch; gradients are
    scaled image by image, so that a small one is not lost; the cross-entropy keeps its direction where the model
    is confident; and nothing is computed twice: the last gradient is kept, because that of a single-step attack is
    the same at every epsilon, and so are the logits of images asked before, because ART's attacks ask again and
    again. `logits` alone never answers from memory.

    Args:
        forward: from images in [0, 1], a tensor of shape `(n, h, w, c)`, to logits of shape `(n, C)`.
        classes: the number C of classes.
        input_shape: `(h, w, c)`.
        loss: what a gradient is of: `cross-entropy`, or `margin`, the largest other logit less the true one
            (Carlini and Wagner 2017), which no confidence can flatten.
        coarse: whether `forward` computes in bfloat16.
    """

    def __init__(
        self,
        forward: Callable[[Any], Any],
        classes: int,
        input_shape: tuple[int, int, int],
        loss: Loss = "cross-entropy",
        coarse: bool = False,
    ) -> None:
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
        losses = {"cross-entropy": _cross_entropy, "margin": _margin, "score": _score}

        def gradient_of(loss: str) -> Any:
            @tf.function(input_signature=[images, targets])  # type: ignore[untyped-decorator]
            def gradient(x: Any, y: Any) -> Any:
                answer = tf.cast(forward(x), tf.float32)
                # By the images alone: no gradient of a weight is ever computed. A tape would not see into a graph that
                # was imported.
                (found,) = tf.gradients(losses[loss](y, answer), [x], unconnected_gradients="zero")
                # Attacks take the direction alone; the squares of a small gradient would be lost in float32.
                largest = tf.reduce_max(tf.abs(found), axis=(1, 2, 3), keepdims=True)
                scaled = found if loss == "score" else tf.where(largest > 0, found / largest, found)
                return scaled, answer

            return gradient

        @tf.function(input_signature=[images])  # type: ignore[untyped-decorator]
        def logits(x: Any) -> Any:
            return tf.cast(forward(x), tf.float32)

        self._logits, self._gradient, self._score_gradient = logits, gradient_of(loss), gradient_of("score")
        self._coarse = coarse
        self._last: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]] | None = None
        self._answers: dict[bytes, NDArray[np.float32]] = {}
        self._trail: Trail | None = None

    def logits(self, x: NDArray[np.float32], batch_size: int) -> NDArray[np.float32]:
        """Logits of images in [0, 1], of shape `(n, C)`, computed anew, `batch_size` images at a time."""
        parts = [self._logits(x[i : i + batch_size]).numpy() for i in range(0, len(x), batch_size)]
        return np.concatenate(parts) if parts else np.empty((0, self.nb_classes), np.float32)

    def predict(
        self, x: NDArray[np.float32], batch_size: int = 128, training_mode: bool = False, **kwargs: Any
    ) -> NDArray[np.float32]:
        """Logits for the attacks, as `logits` gives them; images asked since `forget` are answered from memory."""
        del training_mode, kwargs
        x = np.ascontiguousarray(x, dtype=np.float32)
        names = _names(x)
        new = [i for i, name in enumerate(names) if name not in self._answers]
        for i, answer in zip(new, self.logits(x[new], batch_size), strict=True):
            self._answers[names[i]] = answer
        return np.array([self._answers[name] for name in names], np.float32).reshape(-1, self.nb_classes)

    def forget(self) -> None:
        """Drop the answers kept for `predict`: called between batches, so that memory stays flat."""
        self._answers.clear()

    def loss_gradient(
        self, x: NDArray[np.float32], y: NDArray[np.float32], training_mode: bool = False, **kwargs: Any
    ) -> NDArray[np.float32]:
        """Gradient of the loss of each image by the image, scaled so that its largest value is 1.

        Args:
            x: images in [0, 1] of shape `(n, h, w, c)`.
            y: ground truth, one-hot, of shape `(n, C)`.
            training_mode: ignored; an audited model is never in training mode.
            kwargs: ignored, as ART does.

        Returns:
            Array of the shape of `x`; the caller must not change it.
        """
        del training_mode, kwargs
        x, y = x.astype(np.float32, copy=False), y.astype(np.float32, copy=False)
        if self._trail:
            return self._trail.gradient(x, y)
        if self._last is None or not (np.array_equal(self._last[0], x) and np.array_equal(self._last[1], y)):
            gradient, answers = (part.numpy() for part in self._gradient(x, y))
            self._last = (x.copy(), y.copy(), gradient)
            # The pass that gives the gradient gives the logits: they need no pass of their own.
            for name, answer in zip(_names(x), answers, strict=True):
                self._answers.setdefault(name, answer)
        return self._last[2]

    def class_gradient(
        self, x: NDArray[np.float32], label: Any = None, training_mode: bool = False, **kwargs: Any
    ) -> NDArray[np.float32]:
        """Gradient of logits by the image, of shape `(n, k, h, w, c)`.

        Args:
            x: images in [0, 1] of shape `(n, h, w, c)`.
            label: the class, or one for each image (k = 1); None for all classes (k = C).
            training_mode: ignored.
            kwargs: ignored.
        """
        del training_mode, kwargs
        x = x.astype(np.float32, copy=False)
        wanted = range(self.nb_classes) if label is None else [np.broadcast_to(np.asarray(label), len(x))]
        rows = np.eye(self.nb_classes, dtype=np.float32)
        parts = [self._score_gradient(x, rows[np.broadcast_to(np.asarray(k), len(x))])[0].numpy() for k in wanted]
        return np.stack(parts, axis=1)

    def compute_loss(self, x: Any, y: Any, reduction: str = "none", **kwargs: Any) -> NDArray[np.float32]:
        """Cross-entropy of each image, of shape `(n,)`; its sum or mean where `reduction` asks for it."""
        del kwargs
        values = _cross_entropy(y.astype(np.float32), self.predict(x)).numpy()
        result: NDArray[np.float32] = values if reduction == "none" else getattr(np, reduction)(values)
        return result

    @contextmanager
    def trail(self, labels: NDArray[np.int64], done: NDArray[np.bool_], target: int | None = None) -> Iterator[Trail]:
        """Follow a gradient attack on one batch of images; see `Trail`."""
        self._trail = trail = Trail(self._gradient, labels, done.copy(), _COARSE if self._coarse else 0.0, target)
        try:
            yield trail
        finally:
            self._trail = None


class Trail:
    """Follows an iterative attack and keeps, for each image, the first iterate on which the model errs.

    The pass that gives the gradient gives the logits as well, so this costs nothing. An image whose iterate was
    kept is not moved any further: its gradient is zero, and is not computed.

    Args:
        gradient: from images and targets to gradients and logits.
        labels: ground truth of shape `(n,)`; the attack must ask for all n images in this order.
        done: of shape `(n,)`, the images that need no attack.
        slack: by which share of the largest logit an answer has to be wrong.
        target: the class that an iterate has to be taken for; None for any wrong one.

    Attributes:
        done: the images that need no attack, or no more.
        found: the kept iterates by image.
    """

    def __init__(
        self, gradient: Any, labels: NDArray[np.int64], done: NDArray[np.bool_], slack: float, target: int | None
    ) -> None:
        self._gradient, self._labels, self._slack, self._target = gradient, labels, slack, target
        self.done = done
        self.found: dict[int, NDArray[np.float32]] = {}

    def gradient(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gradients of the shape of `x`; zero for the images that need no more attack."""
        result = np.zeros_like(x)
        moving = np.flatnonzero(~self.done)
        if len(moving):
            gradients, logits = (part.numpy() for part in self._gradient(x[moving], y[moving]))
            fooled = self._fooled(logits, moving)
            for i in moving[fooled].tolist():
                self.found[i] = x[i].copy()
            self.done[moving[fooled]] = True
            result[moving[~fooled]] = gradients[~fooled]
        return result

    def _fooled(self, logits: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        lead = leads(logits, self._labels[rows])
        fooled: NDArray[np.bool_] = lead < -self._slack * np.abs(logits).max(axis=1)
        return fooled if self._target is None else fooled & (logits.argmax(axis=1) == self._target)


def _names(images: NDArray[np.float32]) -> list[bytes]:
    """A short name of each image that equal images share."""
    return [blake2b(image, digest_size=16).digest() for image in np.ascontiguousarray(images, np.float32)]


def _lead_of_others(targets: Any, logits: Any) -> Any:
    """Logits less the true one, of shape `(n, C)`; minus infinity for the true one itself."""
    import tensorflow as tf

    lead = logits - tf.reduce_sum(targets * logits, axis=1, keepdims=True)
    return tf.where(targets > 0, tf.constant(-float("inf"), lead.dtype), lead)


def _cross_entropy(targets: Any, logits: Any) -> Any:
    """Cross-entropy of each image, of one-hot targets and logits, both of shape `(n, C)`.

    It is log(1 + sum of exp(z_j - z_y) over the classes j other than the true one y): the same as the usual
    form, but its gradient is not lost where the true class leads by more than 16.6. There the usual form
    computes p_y - 1 as exactly 0 in float32, and what is left knows of the other classes alone.
    """
    import tensorflow as tf

    return tf.nn.softplus(tf.reduce_logsumexp(_lead_of_others(targets, logits), axis=1))


def _margin(targets: Any, logits: Any) -> Any:
    """Largest other logit less the true one."""
    import tensorflow as tf

    return tf.reduce_max(_lead_of_others(targets, logits), axis=1)


def _score(targets: Any, logits: Any) -> Any:
    """The logit of the target itself."""
    import tensorflow as tf

    return tf.reduce_sum(targets * logits, axis=1)
