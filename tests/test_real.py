"""On real images and weights; skipped where they are absent."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from conftest import arena, brief

from auditor import AuditSettings, TrainingSettings, audit, train
from auditor.data.folder import read_folder
from auditor.data.pixels import unit
from auditor.data.split import find_test_set, stratified
from auditor.environment import has_bfloat16
from auditor.models import vgg19
from auditor.models.subject import load


@pytest.fixture(scope="module")
def images(real):
    return real / "data" / "isic-malignant-vs-benign"


@pytest.fixture(scope="module")
def weights(real):
    return real / "weights" / "vgg19_imagenet_notop.h5"


def test_all_images_are_read_and_split_as_in_the_paper(images):
    found = read_folder(images)
    assert found.per_class == {"benign": 500, "malignant": 500}
    assert not found.skipped
    train_set, test_set = stratified(found, 0.3, 0)
    assert (len(train_set), len(test_set)) == (700, 300)


def test_the_weight_file_fills_the_base(weights):
    settings = TrainingSettings(weights=weights.name, image_size=32)
    base, _ = vgg19.build(settings, 2, weights)
    assert base.count_params() == 20_024_384
    with h5py.File(weights) as file:
        for name in ("block1_conv1", "block5_conv4"):
            kernel, bias = base.get_layer(name).get_weights()
            assert np.array_equal(kernel, file[name][name]["kernel:0"])
            assert np.array_equal(bias, file[name][name]["bias:0"])


@pytest.fixture(scope="module")
def small(images, weights, tmp_path_factory):
    """The paper's model at 32x32, trained on 200 real images."""
    settings = TrainingSettings(
        weights=str(weights), image_size=32, per_class=100, epochs=8, rotated_copies=1, learning_rate=1e-3, seed=1
    )
    return train(images, tmp_path_factory.mktemp("real") / "small.h5", settings)


def test_both_parts_of_the_paper_at_a_small_size(images, small, tmp_path):
    assert small.sidecar.test.accuracy.of == 60
    # Well above chance: the lower bound of the interval, not the estimate.
    assert small.sidecar.test.accuracy.low > 0.5
    record = audit(small.model, images, tmp_path / "audit", AuditSettings(critical=("malignant", "benign"))).record
    assert record.data.split == "recorded split"
    assert record.data.images == 60
    assert record.clean.confusion_matrix == small.sidecar.test.confusion_matrix
    assert min(attack.accuracy.value for attack in record.attacks) < record.clean.accuracy.low


@pytest.mark.skipif(not has_bfloat16(), reason="this processor does not compute in bfloat16, and imitates it slowly")
def test_bfloat16_first_is_on_no_real_image_weaker(images, small):
    found = find_test_set(images, None, small.sidecar.split).images
    found = replace(found, images=found.images[::5])
    subject = load(small.model)
    pixels, targets = unit(found.pixels((32, 32), 3, 0, len(found))), np.eye(2, dtype=np.float32)[found.labels]

    def wrong(coarse):
        adversarial = brief("pgd").craft(arena(subject, pixels, targets, coarse=coarse), 0.5 / 255)
        return subject.classifier.logits(adversarial, len(found)).argmax(axis=1) != found.labels

    plain, mixed = wrong(False), wrong(True)
    assert not (plain & ~mixed).any()
    clean = subject.classifier.logits(pixels, len(found)).argmax(axis=1) != found.labels
    assert clean.sum() < plain.sum() < len(found)
