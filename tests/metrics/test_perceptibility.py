import numpy as np
import pytest

from auditor.metrics.perceptibility import Distances, distances, summarise


def images(n=3, size=20, channels=3):
    return np.random.default_rng(0).random((n, size, size, channels), dtype=np.float32) * 0.5 + 0.25


def test_distances_of_a_uniform_shift():
    x = images()
    found = distances(x, x + np.float32(0.1))
    assert found.linf == pytest.approx([0.1] * 3, abs=1e-6)
    assert found.l2 == pytest.approx([0.1 * np.sqrt(20 * 20 * 3)] * 3, rel=1e-5)
    assert found.psnr == pytest.approx([20.0] * 3, abs=1e-4)
    assert (found.ssim < 1).all()


def test_equal_images_are_counted_and_have_no_psnr():
    x = images()
    same = distances(x, x)
    assert np.isinf(same.psnr).all()
    assert same.ssim == pytest.approx([1.0] * 3)
    found = summarise(same)
    assert found.unchanged == 3
    assert found.psnr is None
    mixed = summarise(Distances.join([same, distances(x, x + np.float32(0.1))]))
    assert mixed.unchanged == 3
    assert mixed.psnr.low == pytest.approx(20, abs=1e-4)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (11, 3), (64, 1)])
def test_small_and_grey_images_have_a_similarity(size, channels):
    x = images(2, size, channels)
    found = distances(x, np.clip(x + 0.02, 0, 1).astype(np.float32))
    assert ((found.ssim > 0.5) & (found.ssim < 1)).all()
