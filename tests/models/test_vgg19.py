import keras
import numpy as np
import pytest

from auditor import BadInputError, TrainingSettings
from auditor.models import vgg19


def built(classes=2, weights="random", path=None, **settings):
    base, head = vgg19.build(TrainingSettings(weights=weights, **settings), classes, path)
    return base, head, vgg19.join(base, head)


def test_default_model_has_the_papers_parameters():
    # The paper (section III-B3): 23 million parameters, 3 million of them trainable; exactly these.
    _, head, full = built()
    assert full.count_params() == 23_244_162
    assert head.count_params() == 3_219_778
    trainable = sum(int(np.prod(w.shape)) for w in full.trainable_weights)
    assert trainable == 3_219_778
    assert full.input_shape == (None, 224, 224, 3)
    assert full.output_shape == (None, 2)


def test_layers_are_those_of_keras_applications():
    base, _, _ = built(image_size=64)
    theirs = keras.applications.VGG19(include_top=False, weights=None, input_shape=(64, 64, 3))
    described = [[(type(x).__name__, x.name, x.output.shape) for x in model.layers[1:]] for model in (base, theirs)]
    assert described[0] == described[1]
    assert base.count_params() == 20_024_384


def test_head_is_the_papers():
    _, head, _ = built(classes=5, image_size=32)
    kinds = [type(layer).__name__ for layer in head.layers[1:]]
    assert kinds == ["Flatten", "Dropout", "Dense", "Dropout", "Dense", "Dense"]
    assert [layer.units for layer in head.layers if hasattr(layer, "units")] == [128, 64, 5]
    assert [layer.rate for layer in head.layers if hasattr(layer, "rate")] == [0.25, 0.25]
    assert head.layers[-1].activation is keras.activations.softmax


def test_joined_model_shares_the_weights():
    base, head, full = built(image_size=32, width=0.125)
    images = np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)
    assert np.allclose(full(images), head(base(images)), atol=1e-6)


def test_weights_from_a_file(tmp_path):
    source = keras.applications.VGG19(include_top=False, weights=None, input_shape=(32, 32, 3))
    path = tmp_path / "base.weights.h5"
    source.save_weights(path)
    base, _, _ = built(image_size=32, weights="base.weights.h5", path=path)
    assert all(np.array_equal(a, b) for a, b in zip(base.get_weights(), source.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("settings", "content", "message"),
    [
        ({"weights": "some.h5", "width": 0.5}, b"", "another width"),
        ({"weights": "some.h5", "image_size": 32}, b"no weights", "does not hold the weights"),
    ],
)
def test_unusable_weights_are_a_plain_error(settings, content, message, tmp_path):
    path = tmp_path / "some.h5"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=message):
        vgg19.build(TrainingSettings(**settings), 2, path)
