import keras
import numpy as np
import pytest

from auditor.errors import BadInputError
from auditor.models.preprocessing import MODES, candidates, choose, mode_of, try_modes
from auditor.settings import AuditSettings


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
    assert [mode.name for mode in candidates(1)] == ["unit", "raw", "tf"]


def test_the_clearly_best_candidate_is_chosen():
    labels = np.arange(40) % 2
    answers = {"unit": labels, "raw": 1 - labels}
    trials = try_modes(lambda mode: answers.get(mode.name, np.zeros(40, int)), labels, candidates(3))
    assert choose(trials).name == "unit"
    assert [trial.accuracy.count for trial in trials] == [40, 20, 20, 20, 0]


def test_an_ambiguous_case_is_an_error_that_asks():
    labels = np.arange(40) % 2
    with pytest.raises(BadInputError, match=r"unit 40/40.*--preprocessing"):
        choose(try_modes(lambda mode: labels, labels, candidates(3)))


@pytest.mark.parametrize("text", ["mean=0.485,0.456,0.406:std=0.229,0.224,0.225", "mean=0.5:std=0.25"])
def test_mean_and_standard_deviation(text):
    mean, std = ([float(n) for n in part.split("=")[1].split(",")] for part in text.split(":"))
    images = np.random.default_rng(0).random((2, 4, 4, 3), dtype=np.float32)
    mode = mode_of(AuditSettings(preprocessing=text).preprocessing)
    found = mode.apply(images)
    assert np.allclose(found, (images - mean) / std, atol=1e-5)
    low, high = (mode.apply(np.full((1, 1, 1, 3), value, np.float32)) for value in (0, 1))
    assert mode.input_range == pytest.approx((low.min(), high.max()))
    assert mode.fits(3)
    assert mode.fits(1) == (len(mean) == 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mean=0.5,0.5:std=0.5,0.5", "three each"),
        ("mean=0.5:std=0.1,0.1,0.1", "three each"),
        ("mean=0.5:std=0", "above 0"),
        ("mean=123.7,116.8,103.9:std=58.4,57.1,57.4", "divide those of 8-bit images by 255"),
        ("mean=1e999:std=1", "are numbers"),
        ("mean=0.5", "there are unit"),
        ("mean=0.5.5:std=1", "could not convert"),
        ("zscore", "there are unit"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        AuditSettings(preprocessing=text)
