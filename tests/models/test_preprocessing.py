import keras
import numpy as np
import pytest

from auditor.errors import BadInputError
from auditor.models.preprocessing import MODES, choose_by_trial


@pytest.mark.parametrize("name", ["caffe", "torch", "tf"])
def test_application_modes_are_those_of_keras(name):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3)).astype(np.float32)
    expected = {
        "caffe": keras.applications.vgg19.preprocess_input,
        "torch": keras.applications.densenet.preprocess_input,
        "tf": keras.applications.mobilenet.preprocess_input,
    }[name](pixels.copy())
    found = MODES[name].apply(pixels / np.float32(255))
    assert np.allclose(found, expected, atol=1e-3 if name == "caffe" else 1e-5)
    low, high = MODES[name].input_range
    assert low - 1e-3 <= found.min()
    assert found.max() <= high + 1e-3


def test_raw_and_unit():
    images = np.array([[[[0.0, 0.5, 1.0]]]], dtype=np.float32)
    assert MODES["unit"].apply(images) is images
    assert MODES["raw"].apply(images).ravel().tolist() == [0, 127.5, 255]
    assert MODES["raw"].input_range == (0, 255)
    assert MODES["tf"].input_range == (-1, 1)


def test_colour_modes_do_not_fit_grey_images():
    assert [mode.name for mode in MODES.values() if mode.fits(1)] == ["unit", "raw", "tf"]


def test_the_clearly_best_candidate_is_chosen():
    labels = np.arange(40) % 2
    answers = {"unit": labels, "raw": 1 - labels}
    mode, trials = choose_by_trial(lambda mode: answers.get(mode.name, np.zeros(40, int)), labels, 3)
    assert mode.name == "unit"
    assert [trial.accuracy.count for trial in trials] == [40, 20, 20, 20, 0]


def test_an_ambiguous_case_is_an_error_that_asks():
    labels = np.arange(40) % 2
    with pytest.raises(BadInputError, match=r"unit 40/40.*--preprocessing"):
        choose_by_trial(lambda mode: labels, labels, 3)
