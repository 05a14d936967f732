import keras
import numpy as np
import pytest
from conftest import SMALL

from auditor import TrainingSettings, train
from auditor.data.folder import read_folder
from auditor.data.split import stratified
from auditor.files import sha256_file
from auditor.models.subject import load
from auditor.sidecar import read_sidecar
from auditor.training import train as training


def test_the_record_tells_everything(trained, data):
    sidecar = read_sidecar(trained.model)
    assert sidecar == trained.sidecar
    assert sidecar.status == "finished"
    assert sidecar.classes == ["blue", "red"]
    assert sidecar.preprocessing == "unit"
    assert sidecar.model_sha256 == sha256_file(trained.model)
    assert [epoch.epoch for epoch in sidecar.history] == list(range(1, SMALL.epochs + 1))
    train_set, test_set = stratified(read_folder(data), 0.3, SMALL.seed)
    assert [(i.id, i.sha256) for i in sidecar.split.train] == [(i.id, i.sha256) for i in train_set.images]
    assert [(i.id, i.sha256) for i in sidecar.split.test] == [(i.id, i.sha256) for i in test_set.images]
    assert sidecar.environment.packages["keras"] == keras.__version__


def test_the_model_learns(trained):
    history = trained.sidecar.history
    assert history[-1].loss < history[0].loss
    assert trained.sidecar.test.accuracy.value >= 0.8


def test_the_saved_model_is_the_one_that_was_measured(trained, data):
    images = read_folder(data)
    _, test_set = stratified(images, 0.3, SMALL.seed)
    x = test_set.pixels((32, 32), 3, 0, len(test_set)).astype(np.float32) / 255
    predicted = load(trained.model).classifier.predict(x).argmax(1)
    assert int((predicted == test_set.labels).sum()) == trained.sidecar.test.accuracy.count
    # The last epoch's held-out accuracy is of the very weights that were saved.
    assert trained.sidecar.history[-1].val_accuracy == pytest.approx(trained.sidecar.test.accuracy.value)


def test_a_frozen_base_stays_as_it_was_and_sees_each_picture_once(data, tmp_path, monkeypatch):
    seen = []
    original = training._Trainee.features
    monkeypatch.setattr(training._Trainee, "features", lambda self, x: seen.append(len(x)) or original(self, x))
    bases = []
    build = training.vgg19.build

    def keeping(*arguments):
        base, head = build(*arguments)
        bases.append((base, base.get_weights()))
        return base, head

    monkeypatch.setattr(training.vgg19, "build", keeping)
    settings = SMALL.model_copy(update={"epochs": 5, "rotated_copies": 2, "width": 0.05})
    result = train(data, tmp_path / "m.h5", settings)
    assert sum(seen) == 2 * len(result.sidecar.split.train) + len(result.sidecar.split.test)
    base, before = bases[0]
    assert all(np.array_equal(a, b) for a, b in zip(base.get_weights(), before, strict=True))


def test_a_base_in_training_changes(data, tmp_path):
    settings = SMALL.model_copy(update={"epochs": 1, "width": 0.05, "train_base": True})
    result = train(data, tmp_path / "m.h5", settings)
    assert result.sidecar.trainable_parameters == result.sidecar.parameters
    # Weights of four bytes, and no state of the optimiser.
    assert result.model.stat().st_size < 4 * result.sidecar.parameters + 200_000


def test_training_is_reproducible(data, tmp_path):
    settings = SMALL.model_copy(update={"epochs": 2, "width": 0.05})
    first = train(data, tmp_path / "a.h5", settings).sidecar
    second = train(data, tmp_path / "b.h5", settings).sidecar
    assert [e.loss for e in first.history] == pytest.approx([e.loss for e in second.history], rel=1e-4)
    assert first.test.confusion_matrix == second.test.confusion_matrix


def interrupting(monkeypatch, after):
    """Let the training be interrupted in the epoch after `after`."""
    original = training._epoch

    def epoch(trainee, batches, number, *rest):
        if number > after:
            raise KeyboardInterrupt
        return original(trainee, batches, number, *rest)

    monkeypatch.setattr(training, "_epoch", epoch)


def test_an_interruption_keeps_the_best_weights(data, tmp_path, monkeypatch):
    interrupting(monkeypatch, after=3)
    result = train(data, tmp_path / "m.h5", SMALL)
    sidecar = result.sidecar
    assert sidecar.status == "interrupted"
    assert len(sidecar.history) == 3
    best = min(sidecar.history, key=lambda epoch: epoch.val_loss)
    assert sidecar.kept_epoch == best.epoch
    assert sidecar.test.accuracy.value == pytest.approx(best.val_accuracy)
    assert "Interrupted" in result.reports.html.read_text()


def test_an_interruption_in_the_first_epoch_writes_nothing(data, tmp_path, monkeypatch):
    interrupting(monkeypatch, after=0)
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "m.h5", SMALL)
    assert not any(tmp_path.iterdir())


def test_the_defaults_are_the_papers():
    paper = TrainingSettings()
    assert (paper.image_size, paper.dropout, paper.dense) == (224, 0.25, (128, 64))
    assert (paper.learning_rate, paper.epochs, paper.batch_size) == (1e-4, 15, 32)
    assert (paper.test_fraction, paper.rotation, paper.weights, paper.train_base) == (
        0.3,
        15,
        "imagenet",
        False,
    )


def test_the_report_holds_curves_table_and_matrix(trained):
    text = trained.reports.html.read_text()
    for words in (
        "Course of the training",
        "Classification report",
        "Confusion matrix",
        "learning rate",
        "Loss by epoch",
    ):
        assert words in text
    assert trained.reports.pdf.is_file()
