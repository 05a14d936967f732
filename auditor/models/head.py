"""The head of a model: its last step, found in the graph, and the logits before it.

The gradient through a saturated softmax or sigmoid is zero, so a model is attacked on its logits. They are found while
the model is traced, by going back from its answer to the operation that made probabilities of them; the model itself is
not changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from auditor.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from auditor.models.network import Network

#: How answers are to be read, as in `--head`.
Given: TypeAlias = Literal["softmax", "sigmoid", "logits"]

#: Operations that hand on the values they are given, perhaps in another shape or number format.
_PASSING = frozenset(
    {"Identity", "Reshape", "Squeeze", "ExpandDims", "Cast", "EnsureShape", "Snapshot", "CheckNumerics", "StopGradient"}
)

#: Operations that bend their values, so that these are no logits.
_BENDING = frozenset(
    {"Tanh", "Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Exp", "ClipByValue", "Relu1"}
)

#: How far probabilities may be from those that the logits give, by the coarsest number format in the model.
_CLOSE = {"bfloat16": 2e-2, "float16": 4e-3}
_CLOSEST = 1e-3

#: Largest lead of a probability in logits at which float32 still tells it from 1.
_LEAD = 16.6


@dataclass(frozen=True)
class Head:
    """The last step of a model.

    Attributes:
        kind: `softmax`, `sigmoid` or `logits`.
        answers: values of an answer.
        step: the operation that makes probabilities of the logits, where it was found; None where there is none, or the
            logits are computed back from the answers.
        backwards: whether they are.
        given: whether the user said how the answers are to be read.
    """

    kind: Given
    answers: int
    step: str | None
    backwards: bool = False
    given: bool = False

    @property
    def classes(self) -> int:
        """Number of classes; one probability or one logit tells two apart."""
        return 2 if self.answers == 1 else self.answers

    @property
    def words(self) -> str:
        """What it is and how it was found, for the report."""
        what = {
            "softmax": "softmax",
            "sigmoid": "one sigmoid, taken for two logits 0 and z: above 0.5 is the second class"
            if self.answers == 1
            else f"{self.answers} sigmoids, of which the largest is taken for the answer",
            "logits": "one logit, taken for two logits 0 and z: above 0 is the second class"
            if self.answers == 1
            else "logits",
        }[self.kind]
        how = "as given by the user" if self.given else "found in the graph"
        if self.kind == "logits":
            return f"{what} ({how if self.given else f'{how}, which ends in no activation; no probabilities'})"
        if self.backwards:
            found = "no such step ends the graph: logits are computed back from the probabilities"
        else:
            found = "the logits before it are attacked"
        return f"{what} ({how}; {found}), confirmed on the answers"

    def logits(self, answer: Any) -> Any:
        """Logits of shape `(n, C)` of an answer of the model, while it is traced.

        Args:
            answer: tensor of shape `(n, k)`, of the graph that is being traced.
        """
        import tensorflow as tf

        if self.step:
            _, before = last_step(answer)
            # Between the step and the answer the shape may have changed, in most models from (n, 1, 1, k).
            values = tf.reshape(before, tf.shape(answer))
        else:
            values = answer
        values = tf.cast(values, tf.float32)
        if self.backwards:
            smallest = tf.constant(np.finfo(np.float32).tiny, tf.float32)
            logs = tf.math.log(tf.maximum(values, smallest))
            values = logs - tf.math.log(tf.maximum(1 - values, smallest)) if self.kind == "sigmoid" else logs
        return tf.concat([tf.zeros_like(values), values], axis=1) if self.answers == 1 else values

    def confirm(self, name: str, answers: NDArray[np.float32], logits: NDArray[np.float32], precision: str) -> None:
        """Make sure that answers are what the logits say they should be.

        Args:
            name: of the model, for errors.
            answers: of the model, of shape `(n, k)`.
            logits: of the same images, of shape `(n, C)`.
            precision: number formats that the model computes in.

        Raises:
            BadInputError: if they are not.
        """
        # An answer that is no number confirms nothing; a check of the audit speaks of it.
        numbers = np.isfinite(logits).all(axis=1) & np.isfinite(answers).all(axis=1)
        answers, logits = answers[numbers], logits[numbers]
        if self.kind == "logits" or not len(logits):
            return
        if self.kind == "softmax":
            shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
            expected = shifted / shifted.sum(axis=1, keepdims=True)
        else:
            own = logits[:, 1:] if self.answers == 1 else logits
            expected = 1 / (1 + np.exp(-own.astype(np.float64).clip(-500, 500)))
        if not np.allclose(expected, answers, atol=_close(precision)):
            raise BadInputError(
                f"{name} does not answer with what a {self.kind} makes of its logits. Say with --head how its answers "
                "are to be read, or save it so that it ends in its logits."
            )
        if self.backwards and _saturated(self.kind, answers):
            raise BadInputError(
                f"{name} answers with probabilities so close to 0 or 1 that the logits behind them are lost, and no "
                f"{self.kind} was found at its end: an attack on these proves nothing. Save the model so that it ends "
                "in its logits."
            )


def _close(precision: str) -> float:
    return max((gap for kind, gap in _CLOSE.items() if kind in precision.split(", ")), default=_CLOSEST)


def _saturated(kind: Given, answers: NDArray[np.float32]) -> bool:
    """Tell whether float32 has lost what the logits were."""
    if kind == "sigmoid":
        edge = 1 / (1 + np.exp(_LEAD))
        return bool(((answers < edge) | (answers >= 1 - edge)).any())
    return bool((answers <= np.finfo(np.float32).tiny).any())


def last_step(answer: Any) -> tuple[str, Any]:
    """Go back from an answer over everything that only hands on values.

    Args:
        answer: tensor of a graph that is being traced.

    Returns:
        The type of the last operation that computes something, and its first input.
    """
    operation = answer.op
    while operation.type in _PASSING and operation.inputs:
        operation = operation.inputs[0].op
    return operation.type, operation.inputs[0] if operation.inputs else None


def find_head(name: str, network: Network, given: Given | None = None) -> Head:
    """Find the head of a model in its graph.

    Args:
        name: of the model, for errors.
        network: the model.
        given: how the user says that the answers are to be read.

    Raises:
        BadInputError: if it ends in something that cannot be audited as a classifier, or in something else than given.
    """
    step, answers = _traced(network), network.answers
    if step == "Softmax" and answers == 1:
        raise BadInputError(f"{name} ends in a softmax over a single value, which is 1 for every image.")
    found: Given = {"Softmax": "softmax", "Sigmoid": "sigmoid"}.get(step, "logits")  # type: ignore[assignment]
    if given:
        if given == "softmax" and answers == 1:
            raise BadInputError(f"{name} answers with a single value; --head softmax needs one for each class.")
        if given != "logits" and found not in ("logits", given):
            raise BadInputError(f"{name} ends in a {found}; --head {given} cannot be.")
        reached = given == found and given != "logits"
        return Head(given, answers, step if reached else None, given != "logits" and not reached, given=True)
    if found == "sigmoid" and answers > 1:
        raise BadInputError(
            f"{name} answers with {answers} probabilities each by itself: that is multi-label, not single-label "
            "classification. If only one of the classes is ever right and the largest is the answer, say "
            "--head sigmoid."
        )
    if step in _BENDING:
        raise BadInputError(
            f"{name} ends in the activation {step.lower()!r}; softmax, sigmoid and logits can be audited. If its "
            "answers are to be taken as logits all the same, say --head logits."
        )
    return Head(found, answers, step if found != "logits" else None)


def settle_head(name: str, head: Head, answers: NDArray[np.float32], precision: str) -> Head:
    """Look whether what seems to be logits is probabilities, made in a way that the end of the graph does not show.

    Args:
        name: of the model, for errors.
        head: as it was found in the graph.
        answers: of the model to some images, of shape `(n, k)`.
        precision: number formats that the model computes in.

    Returns:
        The head in force.

    Raises:
        BadInputError: if a single value may be a probability as well as a logit.
    """
    if head.kind != "logits" or head.given or not ((answers >= 0) & (answers <= 1)).all():
        return head
    if head.answers > 1:
        hidden = np.allclose(answers.sum(axis=1), 1, atol=_close(precision))
        return Head("softmax", head.answers, None, backwards=True) if hidden else head
    raise BadInputError(
        f"{name} answers with one value from 0 to 1, but no sigmoid ends its graph. Say whether it is a probability "
        "(--head sigmoid) or a logit (--head logits)."
    )


def _traced(network: Network) -> str:
    """The last step of a model, found by tracing it once."""
    import tensorflow as tf

    found: list[str] = []

    def trace(inputs: Any) -> Any:
        answer = network(inputs)
        found.append(last_step(answer)[0])
        return answer

    function: Callable[..., Any] = tf.function(trace)
    function.get_concrete_function(tf.TensorSpec((None, *network.input_shape), tf.float32))  # type: ignore[attr-defined]
    return found[0]
