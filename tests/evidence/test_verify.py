import csv
import json
import re
import shutil
import subprocess
import sys

import keras
import pytest
from conftest import CLASSES, draw_folder, medaudit

from auditor import AuditSettings, BadInputError, audit, render, verify
from auditor.evidence.attestation import attest
from auditor.evidence.manifest import ATTESTATION, HashedFile, files_of, read_manifest, write_manifest
from auditor.evidence.signature import read_private_key
from auditor.evidence.verify import differences
from auditor.files import sha256_file
from auditor.predictions import read_predictions
from auditor.reassessment import OF_THE_MODEL, reassess
from auditor.record import read_record

NOT_TO_BE_LISTED = ("manifest.json", ATTESTATION)


@pytest.fixture
def copy(signed, tmp_path):
    """A copy of a signed audit to tamper with."""
    return shutil.copytree(signed.folder, tmp_path / "audit")


def flip(path, place=None):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1
    path.write_bytes(content)


def rehash(folder):
    """Cover the traces of tampering in the manifest, as far as that can be done without the key."""
    manifest = read_manifest(folder)
    files = tuple(
        file.model_copy(update={"sha256": sha256_file(folder / file.path)})
        for file in manifest.files
        if (folder / file.path).is_file()
    )
    listed = {file.path for file in files}
    files += tuple(
        HashedFile(path=path, sha256=sha256_file(folder / path)) for path in files_of(folder) if path not in listed
    )
    write_manifest(folder, manifest.model_copy(update={"files": files}))


def unsign(folder):
    (folder / ATTESTATION).unlink()


def named(result):
    return {finding.where for finding in result.findings}


def test_an_audit_as_it_was_verifies(signed, keys, trained, data, capsys):
    result = verify(signed.folder, model=trained.model, data=data, key=keys[1])
    assert result.findings == ()
    assert len(result.confirmed) == 5
    assert any("ask the model itself" in words for words in result.unchecked)
    code, out, _ = medaudit(capsys, "verify", signed.folder, "--key", keys[1])
    assert code == 0
    assert "Verified: the figures of results.json follow from predictions.csv" in out
    assert "Not checked: the model file" in out


def test_every_kind_of_audit_verifies(audited, later, thorough):
    for result in (audited, later, thorough):
        assert verify(result.folder).findings == ()
    assert any("comparison.json" in words for words in verify(later.folder).unchecked)
    assert {"comparison.json", "comparison.html"} <= {file.path for file in read_manifest(later.folder).files}


def test_a_flipped_bit_in_any_file_is_found(copy, keys):
    files = files_of(copy, leave_out=())
    assert {"results.json", "predictions.csv", "report.pdf", "bom.cdx.json", *NOT_TO_BE_LISTED} <= set(files)
    for name in files:
        for place in (0, None, -1):
            before = (copy / name).read_bytes()
            flip(copy / name, place)
            try:
                result = verify(copy, key=keys[1])
            except BadInputError as error:
                # Only the manifest itself can be damaged so far that nothing can be said.
                assert name == "manifest.json"
                assert "manifest.json" in str(error)
            else:
                assert name in named(result), (name, place)
            (copy / name).write_bytes(before)
    assert verify(copy, key=keys[1]).good


def test_every_file_that_is_removed_is_found(copy, keys):
    for name in files_of(copy, leave_out=()):
        before = (copy / name).read_bytes()
        (copy / name).unlink()
        try:
            result = verify(copy, key=keys[1])
        except BadInputError as error:
            assert name == "manifest.json"
            assert "holds no manifest.json" in str(error)
        else:
            assert ("missing", name) in {(finding.what, finding.where) for finding in result.findings}
        (copy / name).write_bytes(before)


def test_every_file_that_is_added_is_found(copy):
    (copy / "examples" / "more").mkdir()
    for name in ("x.png", ".hidden", "examples/more/y\n.png"):
        (copy / name).write_bytes(b"x")
    (copy / "link").symlink_to(copy / "results.json")
    (copy / "folder").symlink_to(copy / "examples")
    found = [(finding.what, finding.where) for finding in verify(copy).findings]
    assert sorted(found) == sorted(
        ("added", name) for name in ("x.png", ".hidden", "examples/more/y\n.png", "link", "folder")
    )


def test_a_link_in_the_place_of_a_file_is_no_file_of_the_audit(copy, tmp_path):
    (copy / "summary.md").rename(tmp_path / "elsewhere")
    (copy / "summary.md").symlink_to(tmp_path / "elsewhere")
    (copy / "examples").rename(tmp_path / "pictures")
    (copy / "examples").symlink_to(tmp_path / "pictures")
    result = verify(copy)
    assert ("changed", "summary.md") in {(finding.what, finding.where) for finding in result.findings}
    assert ("added", "examples") in {(finding.what, finding.where) for finding in result.findings}


def test_the_signature_finds_every_file_whose_hash_was_put_right(copy, keys):
    for name in files_of(copy):
        before, manifest = (copy / name).read_bytes(), (copy / "manifest.json").read_bytes()
        flip(copy / name)
        rehash(copy)
        assert {name, "manifest.json"} <= named(verify(copy, key=keys[1]))
        (copy / name).write_bytes(before)
        (copy / "manifest.json").write_bytes(manifest)


def test_the_signature_finds_a_verdict_that_is_signed_otherwise(copy, keys):
    record, manifest = read_record(copy), read_manifest(copy)
    failing = record.model_copy(update={"verdict": record.verdict.model_copy(update={"status": "FAIL"})})
    attest(copy, failing, manifest, read_private_key(keys[0]))
    (finding,) = verify(copy, key=keys[1]).findings
    assert (finding.what, finding.where) == ("signature", ATTESTATION)
    assert "FAILED" in finding.words


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda r: r["clean"]["accuracy"].update(value=r["clean"]["accuracy"]["value"] + 1e-6), "clean.accuracy.value"),
        (lambda r: r["clean"]["calibration"].update(ece=0.5), "clean.calibration.ece"),
        (lambda r: r["clean"]["auroc"]["red"].update(low=0.0), "clean.auroc.red.low"),
        (lambda r: r["attacks"][0]["flips"]["red->blue"].update(count=99), "attacks[0].flips['red->blue'].count"),
        (lambda r: r["attacks"][0]["perceptibility"]["ssim"].update(low=0.1), "attacks[0].perceptibility.ssim.low"),
        (lambda r: r["attacks"][0]["parameters"].update(clip_max=9.0), "attacks[0].parameters.clip_max"),
        (lambda r: r["attacks"][0]["confusion_matrix"][0].reverse(), "attacks[0].confusion_matrix[0][0]"),
        (lambda r: r["worst_case"][0]["accuracy"].update(high=1.5), "worst_case[0].accuracy.high"),
        (lambda r: r["worst_case"].pop(), "worst_case"),
        (lambda r: r["smallest_epsilon"].update(withstood=1000), "smallest_epsilon.withstood"),
        (lambda r: r["examples"][0]["adversarial"].update(confidence=1.0), "examples[0].adversarial.confidence"),
        (lambda r: r["verdict"].update(status="FAIL"), "verdict.status"),
        (lambda r: r["verdict"]["criteria"][0].update(observed="1"), "verdict.criteria[0].observed"),
        (lambda r: r["data"]["per_class"].update(red=1000), "data.per_class.red"),
        (lambda r: r["data"].update(groups=7), "data.groups"),
        (lambda r: r.update(headline_epsilon=0.5), "headline_epsilon"),
        (lambda r: r.update(critical="blue->red"), "critical"),
        (lambda r: r["model"].update(sha256="0" * 64), "model.sha256"),
        (lambda r: r["audit"]["config"].update(seed=3), "audit.config"),
        (lambda r: next(c for c in r["checks"] if c["name"] == "budget").update(status="WARN"), "checks[6].status"),
    ],
)
def test_a_changed_figure_is_named_though_the_hashes_were_put_right(copy, change, path):
    unsign(copy)
    results = json.loads((copy / "results.json").read_text())
    change(results)
    (copy / "results.json").write_text(json.dumps(results))
    rehash(copy)
    assert path in named(verify(copy))


def test_a_changed_prediction_changes_figures(copy):
    unsign(copy)
    table = list(csv.reader((copy / "predictions.csv").open(newline="")))
    row = next(row for row in table[1:] if row[3])
    place = table[0].index("logit blue")
    row[place], row[place + 1] = row[place + 1], row[place]
    with (copy / "predictions.csv").open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(table)
    rehash(copy)
    assert "attacks[0].accuracy.count" in named(verify(copy))


@pytest.mark.parametrize("lost", ["a row", "an attack"])
def test_predictions_that_were_taken_out_are_missed(copy, lost):
    lines = (copy / "predictions.csv").read_text().splitlines(keepends=True)
    kept = lines[:-1] if lost == "a row" else [line for line in lines if ",fgsm," not in line]
    (copy / "predictions.csv").write_text("".join(kept))
    results = json.loads((copy / "results.json").read_text())
    if lost == "an attack":
        results.update(attacks=[], worst_case=[], smallest_epsilon=None, examples=[])
    (copy / "results.json").write_text(json.dumps(results))
    unsign(copy)
    rehash(copy)
    (finding,) = [finding for finding in verify(copy).findings if finding.where == "predictions.csv"]
    assert "has not the rows of fgsm" in finding.words


def test_an_attack_with_predictions_cannot_have_crashed(copy):
    results = json.loads((copy / "results.json").read_text())
    results["failures"] = [{"name": "fgsm", "epsilon": 2 / 255, "reason": "it did not suit"}]
    (copy / "results.json").write_text(json.dumps(results))
    assert any("says has crashed" in finding.words for finding in verify(copy).findings)


def test_the_hashes_of_the_images_belong_to_the_predictions(copy):
    manifest = read_manifest(copy)
    images = list(manifest.data.images)
    images[0] = images[0].model_copy(update={"sha256": "0" * 64})
    for changed in (images, images[1:]):
        data = manifest.data.model_copy(update={"images": tuple(changed)})
        write_manifest(copy, manifest.model_copy(update={"data": data}))
        assert {"data.manifest_sha256", "predictions.csv"} & named(verify(copy))


def test_every_figure_is_computed_again_and_none_is_taken_over(thorough):
    record = thorough.record
    blank = record.model_copy(
        update={
            "clean": record.attacks[0], "attacks": [], "worst_case": [], "smallest_epsilon": None, "examples": [],
            "headline_epsilon": 0.0, "critical": None, "subgroups": [],
            "checks": [check for check in record.checks if check.name in OF_THE_MODEL],
            "verdict": record.verdict.model_copy(update={"status": "PASS", "reasons": []}),
            "data": record.data.model_copy(update={"images": 0, "per_class": {}, "groups": 9}),
        }
    )  # fmt: skip
    predictions = read_predictions(thorough.folder / "predictions.csv", record.model.classes)
    again = reassess(blank, predictions, record.audit.tool_version).record
    assert list(differences(record.model_dump(mode="json"), again.model_dump(mode="json"))) == []


def test_descriptions_of_another_version_are_left_to_it(thorough):
    record = thorough.record
    renamed = [attack.model_copy(update={"title": "as it was called then"}) for attack in record.attacks]
    record = record.model_copy(update={"attacks": renamed})
    predictions = read_predictions(thorough.folder / "predictions.csv", record.model.classes)
    other = reassess(record, predictions, "99")
    assert [attack.title for attack in other.record.attacks] == [attack.title for attack in record.attacks]
    assert any("descriptions of the attacks" in words for words in other.left)


def test_an_attack_of_a_later_version_is_said_to_be_unknown(copy):
    results = json.loads((copy / "results.json").read_text())
    results["audit"]["config"]["attacks"] = ["fgsm", "from-the-future"]
    (copy / "results.json").write_text(json.dumps(results))
    assert any("has no attack from-the-future" in finding.words for finding in verify(copy).findings)


def test_groups_subgroups_and_remedies_are_computed_again(trained, tmp_path):
    # Logits a thousand times larger leave the cross-entropy no gradient: the margin takes its place on some images.
    model = keras.models.load_model(trained.model, compile=False)
    model.layers[-1].set_weights([weights * 60 for weights in model.layers[-1].get_weights()])
    model.save(tmp_path / "steep.h5")
    folder = draw_folder(tmp_path / "images", 12, first=500)
    rows = [
        f"images/{name}/{number:03d}.png,{name},p{number},{'a' if number % 3 else 'b'}"
        for name in CLASSES
        for number in range(12)
    ]
    (tmp_path / "data.csv").write_text("\n".join(["path,label,group,subgroup_site", *rows]) + "\n")
    assert folder.is_dir()
    options = AuditSettings(epsilons=(1 / 255, 4 / 255), preprocessing="unit")
    result = audit(tmp_path / "steep.h5", tmp_path / "data.csv", tmp_path / "audit", options)
    remedied = [attack.remedy for attack in result.record.attacks if attack.remedy is not None]
    assert remedied
    assert all(0 < count < 24 for count in remedied)
    assert result.record.worst_case[0].clustered
    assert [subgroup.value for subgroup in result.record.subgroups] == ["a", "b"]
    assert verify(result.folder, data=tmp_path / "data.csv").findings == ()


def test_another_model_and_other_images_are_told(signed, trained, data, tmp_path):
    other = shutil.copy(trained.model, tmp_path / "other.h5")
    flip(tmp_path / "other.h5")
    assert named(verify(signed.folder, model=other)) == {"other.h5"}
    images = shutil.copytree(data, tmp_path / "data")
    first, second = (image.id for image in read_manifest(signed.folder).data.images[:2])
    (images / first).unlink()
    shutil.copy(images / second.replace("blue", "red"), images / second)
    found = {(finding.what, finding.where) for finding in verify(signed.folder, data=images).findings}
    assert found >= {("missing", first), ("changed", second)}
    (finding,) = verify(signed.folder, data=tmp_path / "nowhere").findings
    assert finding.what == "unreadable"
    with pytest.raises(BadInputError, match="neither a file nor a folder"):
        verify(signed.folder, model=tmp_path / "nowhere.h5")


def test_what_does_not_verify_is_a_list_and_exit_code_2(copy, capsys):
    (copy / "x\x1b[31m.png").write_bytes(b"")
    (copy / "report.html").unlink()
    code, out, _ = medaudit(capsys, "verify", copy)
    assert code == 2
    assert "missing: report.html: " in out
    assert "added: x\\x1b[31m.png: " in out
    assert out.splitlines()[-1].endswith("do not verify.")


def test_verifying_imports_no_tensorflow(signed, data, keys):
    code = (
        "import sys\nfrom auditor.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'tensorflow', 'keras', 'art'} & {name.partition('.')[0] for name in sys.modules}\n"
        "assert not heavy, heavy\n"
    )
    arguments = ["verify", signed.folder, "--data", data, "--key", keys[1]]
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_to_draw_reports_again_changes_nothing_and_makes_nothing_good(copy, keys, capsys):
    before = {name: (copy / name).read_bytes() for name in files_of(copy, leave_out=())}
    (copy / "report.html").write_text("something else")
    render(copy)
    assert {name: (copy / name).read_bytes() for name in files_of(copy, leave_out=())} == before
    results = (copy / "results.json").read_text()
    (copy / "results.json").write_text(re.sub(r'"tool_version": "[^"]*"', '"tool_version": "7"', results))
    _, _, err = medaudit(capsys, "report", copy)
    assert "The reports are others now than those that were signed" in " ".join(err.split())
    assert ("changed", "results.json") in {(f.what, f.where) for f in verify(copy).findings}
    _, _, err = medaudit(capsys, "report", copy, "--sign", keys[0])
    assert "signed" not in err
    assert ("changed", "results.json") in {(f.what, f.where) for f in verify(copy, key=keys[1]).findings}


def test_an_audit_without_a_manifest_is_no_evidence(copy, keys, capsys):
    (copy / "manifest.json").unlink()
    code, _, err = medaudit(capsys, "verify", copy)
    assert code == 2
    assert "holds no manifest.json" in err
    with pytest.raises(BadInputError, match="no audit that can be signed"):
        render(copy, sign=keys[0])
