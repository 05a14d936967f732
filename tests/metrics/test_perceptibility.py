import numpy as np
import pytest
import tensorflow as tf

from auditor.metrics.perceptibility import Distances, distances, structural_similarity, summarise, unmoved


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
    right = np.array([True, True, False])
    found = summarise(same, right)
    # An image that was wrong from the start need not be attacked: that it stands unchanged is no failure.
    assert (found.unchanged, found.changed) == (2, 0)
    assert found.psnr is None
    mixed = summarise(Distances.join([same, distances(x, x + np.float32(0.1))]), np.tile(right, 2))
    assert (mixed.unchanged, mixed.changed) == (2, 3)
    assert mixed.psnr.low == pytest.approx(20, abs=1e-4)


def test_distances_are_taken_and_put_by_row():
    x = images()
    found = unmoved(3).put(np.array([0, 2]), distances(x[[0, 2]], x[[0, 2]] + np.float32(0.1)))
    assert found.linf == pytest.approx([0.1, 0, 0.1], abs=1e-6)
    assert np.isinf(found.psnr[1])
    assert found.take(np.array([False, True, True])).ssim[0] == 1


def test_similarity_is_that_of_tensorflow():
    generator = np.random.default_rng(3)
    x = images(4, 40)
    y = np.clip(x + generator.normal(0, 0.1, x.shape), 0, 1).astype(np.float32)
    # TensorFlow's is in float32, and its variances are differences of nearly equal numbers.
    assert structural_similarity(x, y) == pytest.approx(tf.image.ssim(x, y, max_val=1.0).numpy(), abs=5e-4)


def test_similarity_of_one_window_is_its_definition():
    x, y = images(2, 11, 1)
    g = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    w = np.outer(g, g)[..., None] / np.outer(g, g).sum()
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, c = (w * (x - mx) ** 2).sum(), (w * (y - my) ** 2).sum(), (w * (x - mx) * (y - my)).sum()
    expected = (2 * mx * my + 1e-4) * (2 * c + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert structural_similarity(x[None], y[None]) == pytest.approx([expected], abs=1e-9)
    assert structural_similarity(x[None], x[None]).tolist() == [1.0]


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (11, 3), (64, 1)])
def test_small_and_grey_images_have_a_similarity(size, channels):
    x = images(2, size, channels)
    found = distances(x, np.clip(x + 0.02, 0, 1).astype(np.float32))
    assert ((found.ssim > 0.5) & (found.ssim < 1)).all()
