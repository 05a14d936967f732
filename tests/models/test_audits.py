"""Models of other kinds than `medaudit train` writes, audited from end to end."""

import keras
import numpy as np
import pytest
from conftest import draw_folder, medaudit
from PIL import Image

from auditor import AuditInterrupted, AuditSettings, audit, resume
from auditor.attacks import suite
from auditor.engine import run as engine
from auditor.sidecar import sidecar_path


def brightness(library=keras, activation=None, outputs=2, shape=(8, 8, 3), sign=1.0):
    """A model that calls an image bright above the middle, of values from 0 to 1."""
    grey = {"data_format": "channels_first"} if shape[0] == 3 else {}
    model = library.Sequential(
        [
            library.Input(shape),
            library.layers.GlobalAveragePooling2D(**grey),
            library.layers.Dense(outputs, activation=activation),
        ]
    )
    kernel = np.array([[1.0] * 3, [-1.0] * 3]).T[:, -outputs:] * -20 * sign
    bias = np.array([-30.0, 30.0])[-outputs:] * -1 * sign
    if outputs == 1:
        kernel, bias = np.full((3, 1), 20.0) * sign, np.array([-30.0]) * sign
    model.layers[-1].set_weights([kernel, bias])
    return model


@pytest.fixture(scope="module")
def shades(tmp_path_factory):
    """Dark and light images, from far off to close to the middle."""
    folder = tmp_path_factory.mktemp("shades") / "data"
    for label, name in enumerate(("dark", "light")):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            grey = 126 - 4 * number if label == 0 else 130 + 4 * number
            Image.new("RGB", (8, 8), (grey,) * 3).save(folder / name / f"{number:02d}.png")
    return folder


SETTINGS = AuditSettings(epsilons=(2 / 255, 8 / 255), preprocessing="unit", batch_size=8)


def curve(record):
    return [attack.accuracy.count for attack in record.attacks if attack.name == "fgsm"]


@pytest.fixture(scope="module")
def expected(shades, tmp_path_factory):
    """The same model with two logits, as the rest of the tests know it."""
    folder = tmp_path_factory.mktemp("expected")
    brightness().save(folder / "m.keras")
    record = audit(folder / "m.keras", shades, folder / "audit", SETTINGS).record
    assert record.clean.accuracy.count == 24
    # A step of 2/255 takes the nearest dark image over the middle, one of 8/255 two of each class.
    assert curve(record) == [23, 20]
    return curve(record)


def test_a_saved_model_is_audited_and_goes_on(shades, expected, tmp_path, monkeypatch):
    brightness(activation="softmax").export(tmp_path / "v1.2", verbose=False)
    calls = []
    original = engine._work

    def work(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_work", work)
        with pytest.raises(AuditInterrupted):
            audit(tmp_path / "v1.2", shades, tmp_path / "audit", SETTINGS)
    record = resume(tmp_path / "audit").record
    assert curve(record) == expected
    assert (record.model.path, record.model.name) == ("v1.2", "v1.2")
    assert record.model.format == "TensorFlow SavedModel"
    assert record.model.loader.startswith("TensorFlow 2")
    assert record.model.head == "softmax"
    assert record.model.parameters == 8
    assert sidecar_path(tmp_path / "v1.2") == tmp_path / "v1.2.medaudit.json"
    page = (tmp_path / "audit" / "report.html").read_text()
    assert "TensorFlow SavedModel" in page
    assert "the logits before it are attacked" in page


def test_a_changed_saved_model_does_not_go_on(shades, tmp_path, monkeypatch):
    brightness().export(tmp_path / "m", verbose=False)

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_work", stop)
        with pytest.raises(AuditInterrupted):
            audit(tmp_path / "m", shades, tmp_path / "audit", SETTINGS)
    (tmp_path / "m" / "assets" / "note.txt").write_text("new")
    with pytest.raises(Exception, match="the model changed"):
        resume(tmp_path / "audit")


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_value_is_audited_as_two_classes(activation, shades, expected, tmp_path):
    brightness(activation=activation, outputs=1).save(tmp_path / "m.h5")
    record = audit(tmp_path / "m.h5", shades, tmp_path / "audit", SETTINGS).record
    assert curve(record) == expected
    assert record.model.head == ("sigmoid" if activation else "logits")
    assert "the second class" in record.model.head_words


def test_channels_first_is_audited(shades, expected, tmp_path):
    brightness(shape=(3, 8, 8)).save(tmp_path / "m.keras")
    record = audit(tmp_path / "m.keras", shades, tmp_path / "audit", SETTINGS).record
    assert curve(record) == expected
    assert record.model.channels_first
    assert record.model.input_shape == (8, 8, 3)
    assert "3 channels first" in (tmp_path / "audit" / "report.html").read_text()


def test_a_model_of_keras_2_and_a_saved_model_stand_every_attack(shades, tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    few = draw_folder(tmp_path / "few", 3, ("dark", "light"))
    image = tf_keras.Input((8, 8, 3))
    # Keras 3 does not know TensorFlow's arithmetic as a layer.
    scaled = brightness(tf_keras, "softmax")(image + 0.0)
    tf_keras.Model(image, scaled).save(tmp_path / "old.h5")
    brightness(activation="softmax").export(tmp_path / "graph", verbose=False)
    settings = AuditSettings(
        attacks=suite("standard"), epsilons=(8 / 255,), preprocessing="unit", critical=("dark", "light")
    )
    for name, loader in (("old.h5", "tf_keras 2"), ("graph", "TensorFlow 2")):
        record = audit(tmp_path / name, few, tmp_path / f"audit-{name}", settings).record
        assert record.model.loader.startswith(loader)
        assert record.failures == []
        assert len(record.attacks) >= 8
        assert record.environment.crafting == "float32"


def test_a_wrong_order_of_the_classes_is_suspected(shades, tmp_path, capsys):
    brightness(sign=-1.0).save(tmp_path / "m.keras")
    code, out, _ = medaudit(
        capsys,
        "run",
        tmp_path / "m.keras",
        shades,
        "-o",
        tmp_path / "audit",
        "--preprocessing",
        "unit",
        "--eps",
        "1/255",
    )
    assert "WARN class-order: accuracy 0.0%" in out
    words = "probably named in a wrong order"
    assert words in " ".join(out.split())
    assert "the outputs named light, dark it would be 100.0%" in " ".join(out.split())
    assert words in (tmp_path / "audit" / "report.html").read_text()
    code, out, _ = medaudit(
        capsys, "run", tmp_path / "m.keras", shades, "-o", tmp_path / "right", "--preprocessing", "unit",
        "--eps", "1/255", "--classes", "light,dark",
    )  # fmt: skip
    assert code == 0
    assert "class-order" not in out


def test_mean_and_standard_deviation_are_used_and_compared(shades, tmp_path, capsys):
    model = brightness()
    kernel, bias = model.layers[-1].get_weights()
    # The same, for values of which 0.5 was taken away, divided by 0.25.
    model.layers[-1].set_weights([kernel * 0.25, bias + kernel.sum(axis=0) * 0.5])
    model.save(tmp_path / "m.keras")
    given = "mean=0.5:std=0.25"
    audited = AuditSettings(epsilons=(8 / 255,), preprocessing=given)
    record = audit(tmp_path / "m.keras", shades, tmp_path / "audit", audited).record
    assert record.clean.accuracy.count == 24
    assert record.model.preprocessing.mode == given
    assert record.model.preprocessing.scale == [4.0]
    assert record.model.preprocessing.input_range == (-2.0, 2.0)
    scored = {score.mode: score.accuracy.count for score in record.model.preprocessing.scored}
    assert set(scored) == {given, "unit", "raw", "tf", "caffe", "torch"}
    assert scored[given] == 24
    page = (tmp_path / "audit" / "report.html").read_text()
    assert "what the alternatives score" in page
    assert "mean 0.5 and standard deviation 0.25 on values from 0 to 1" in page


def test_a_given_preprocessing_that_another_one_beats_is_told(shades, tmp_path, capsys):
    brightness().save(tmp_path / "m.keras")
    _, _, err = medaudit(
        capsys,
        "run",
        tmp_path / "m.keras",
        shades,
        "-o",
        tmp_path / "audit",
        "--preprocessing",
        "raw",
        "--eps",
        "1/255",
    )
    assert "'unit' classifies 24 of 24 images correctly and 'raw' 12" in " ".join(err.split())
    assert "Make sure that it is what the model expects" in " ".join(err.split())
