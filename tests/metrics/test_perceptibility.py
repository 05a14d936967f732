import numpy as np
import pytest
import tensorflow as tf

from auditor.metrics.perceptibility import Distances, Originals, summarise, unmoved


def distances(x, y):
    return Originals(x).distances(y)


def structural_similarity(x, y):
    return distances(x, y).ssim


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
    assert structural_similarity(x[None], y[None]) == pytest.approx([expected], abs=1e-6)
    assert structural_similarity(x[None], x[None]) == pytest.approx([1.0], abs=1e-12)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (11, 3), (64, 1)])
def test_small_and_grey_images_have_a_similarity(size, channels):
    x = images(2, size, channels)
    found = distances(x, np.clip(x + 0.02, 0, 1).astype(np.float32))
    assert ((found.ssim > 0.5) & (found.ssim < 1)).all()


def test_a_version_of_some_images_is_measured_against_those():
    x = images(4)
    y = np.clip(x + np.random.default_rng(1).normal(0, 0.05, x.shape), 0, 1).astype(np.float32)
    whole, some = Originals(x).distances(y), Originals(x).distances(y[[3, 1]], np.array([3, 1]))
    assert some.ssim == pytest.approx(whole.ssim[[3, 1]], abs=1e-9)
    assert some.l2.tolist() == whole.l2[[3, 1]].tolist()


def test_a_small_change_is_told_from_none():
    x = images(2)
    found = distances(x, x + np.float32(0.5 / 255) * np.sign(x - 0.5))
    # One less the similarity, by Wang's formula in float64.
    exact = 1 - reference(x.astype(np.float64), x + np.float64(np.float32(0.5 / 255)) * np.sign(x - 0.5))
    assert 1 - found.ssim == pytest.approx(exact, rel=1e-3)


def reference(x, y):
    """Structural similarity in float64, blur by blur."""
    g = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    g /= g.sum()

    def blur(z):
        for axis in (1, 2):
            z = np.apply_along_axis(np.convolve, axis, z, g, "valid")
        return z

    mx, my = blur(x), blur(y)
    vx, vy, c = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    return ((2 * mx * my + 1e-4) * (2 * c + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))).mean(axis=(1, 2, 3))
