import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import draw_folder, medaudit

from auditor.attacks import ATTACKS
from auditor.cli.summary import one_line
from auditor.record import read_record
from auditor.report import words


def test_run_writes_the_folder_and_says_where(capsys, trained, data, tmp_path):
    folder = tmp_path / "audit"
    code, out, err = medaudit(
        capsys, "run", trained.model, data, "-o", folder, "--eps", "2/255,0.05", "--critical", "red:blue"
    )
    assert code == 0, err
    assert {path.name for path in folder.iterdir()} == {
        "results.json", "predictions.csv", "report.html", "report.pdf", "junit.xml", "summary.md", "examples",
        "audit.log",
        "manifest.json", "bom.cdx.json",
    }  # fmt: skip
    record = read_record(folder)
    assert [attack.epsilon for attack in record.attacks] == pytest.approx([2 / 255, 0.05])
    assert record.critical == "red->blue"
    text = " ".join(out.split())
    assert f"{record.attacks[0].accuracy.value:.1%}" in text
    assert "Undisturbed, the model classifies" in text
    assert "report.html" in text
    worst = words.headline_worst(record)
    made = [check for check in record.checks if check.status != "SKIPPED"]
    assert out.splitlines()[-1] == (
        f"medaudit: NONE model=small clean={record.clean.accuracy.value:.1%} robust={worst.accuracy.value:.1%}@2/255 "
        f"criteria=0/0 checks={sum(check.status == 'PASS' for check in made)}/{len(made)} audit={folder}"
    )


def test_the_last_line_keeps_names_in_one_word(audited):
    model = audited.record.model.model_copy(update={"name": "a model\x1b[31m; ls"})
    line = one_line(audited.record.model_copy(update={"model": model, "worst_case": []}), Path("my audits/one"))
    values = dict(word.split("=", 1) for word in shlex.split(line)[2:])
    assert values["model"] == "a model\\x1b[31m; ls"
    assert values["audit"] == "my audits/one"
    assert values["robust"] == "unknown"


def test_the_command_in_the_record_repeats_the_audit(audited, trained, data, tmp_path, monkeypatch, capsys):
    (tmp_path / trained.model.name).write_bytes(trained.model.read_bytes())
    sidecar = trained.model.with_suffix(".medaudit.json")
    (tmp_path / sidecar.name).write_bytes(sidecar.read_bytes())
    (tmp_path / data.name).symlink_to(data)
    monkeypatch.chdir(tmp_path)
    command = shlex.split(audited.record.audit.command)
    assert command[0] == "medaudit"
    code, _, err = medaudit(capsys, *command[1:], "-o", "again")
    assert code == 0, err
    assert (tmp_path / "again/predictions.csv").read_bytes() == (audited.folder / "predictions.csv").read_bytes()


def test_a_suite_is_its_attacks_and_more_may_be_added(capsys, trained, data, tmp_path):
    code, out, err = medaudit(
        capsys, "run", trained.model, data, "-o", tmp_path / "audit", "--eps", "2/255", "--suite", "quick",
        "--attack", "fgm-l2", "--seed", "3",
    )  # fmt: skip
    assert code == 0, err
    record = read_record(tmp_path / "audit")
    assert record.audit.config.attacks == ("noise", "fgsm", "fgm-l2")
    assert record.audit.seed == 3
    assert "worst case" in out
    assert "--seed=3" in record.audit.command


def test_an_inconclusive_audit_has_its_own_exit_code(capsys, trained, data, tmp_path, monkeypatch):
    from auditor.attacks.noise import Noise

    def crash(self, arena, epsilon):
        raise ValueError("<b>no memory</b>")

    monkeypatch.setattr(Noise, "craft", crash)
    code, out, err = medaudit(
        capsys, "run", trained.model, data, "-o", tmp_path / "audit", "--eps", "2/255", "--suite", "quick"
    )
    assert code == 3, err
    assert "INCONCLUSIVE" in out
    assert "ERROR completed" in " ".join(out.split())
    record = read_record(tmp_path / "audit")
    assert record.verdict.status == "INCONCLUSIVE"
    # A crash is no result, and the rest went on.
    assert [attack.name for attack in record.attacks] == ["fgsm"]
    assert [(failure.name, failure.reason) for failure in record.failures] == [
        ("noise", "ValueError: <b>no memory</b>")
    ]
    page = (tmp_path / "audit" / "report.html").read_text()
    assert "&lt;b&gt;no memory" in page
    assert "<b>no memory" not in page


def test_a_targeted_attack_without_a_target_is_left_out_and_told(capsys, trained, data, tmp_path):
    code, _, err = medaudit(
        capsys, "run", trained.model, data, "-o", tmp_path / "audit", "--eps", "2/255", "--attack", "fgsm",
        "--attack", "pgd-targeted",
    )  # fmt: skip
    assert code == 0, err
    assert "pgd-targeted is left out" in " ".join(err.split())
    assert "pgd-targeted was chosen and not run" in (tmp_path / "audit" / "report.html").read_text()
    code, _, err = medaudit(capsys, "run", trained.model, data, "--attack", "pgd-targeted")
    assert code == 2
    assert "--critical" in err


@pytest.mark.parametrize(("bound", "code", "status"), [("0.0", 0, "PASS"), ("0.999", 1, "FAIL")])
def test_a_policy_decides_the_verdict_and_the_exit_code(capsys, trained, data, tmp_path, bound, code, status):
    policy = tmp_path / "p.toml"
    policy.write_text(
        f'name = "<b>p"\n[[criteria]]\nname = "c"\nfigure = "accuracy"\nattack = "none"\nat_least = {bound}\n'
    )
    found, out, err = medaudit(
        capsys, "run", trained.model, data, "-o", tmp_path / "audit", "--eps", "2/255", "--policy", policy
    )
    assert found == code, err
    record = read_record(tmp_path / "audit")
    assert record.verdict.status == status
    assert f"{status} c: accuracy without an attack" in " ".join(out.split())
    assert record.audit.config.policy.sha256
    assert "--policy=p.toml" in record.audit.command
    page = (tmp_path / "audit" / "report.html").read_text()
    assert "&lt;b&gt;p" in page
    assert record.audit.config.policy.sha256 in page


def test_an_impossible_policy_is_an_error_before_any_work(capsys, trained, data, tmp_path):
    policy = tmp_path / "p.toml"
    policy.write_text(
        'name = "p"\n[[criteria]]\nname = "c"\nfigure = "accuracy"\nattack = "pgd"\nepsilon = 0.1\nat_least = 1\n'
    )
    code, _, err = medaudit(capsys, "run", trained.model, data, "-o", tmp_path / "audit", "--policy", policy)
    assert code == 2
    assert "asks for the attack 'pgd', which is not run" in " ".join(err.split())
    assert not (tmp_path / "audit").exists()


def test_attacks_are_listed(capsys):
    code, out, _ = medaudit(capsys, "attacks")
    assert code == 0
    for name, attack in ATTACKS.items():
        assert name in out
        assert attack.reference in out
    assert "AML.T0043.001" in out
    assert "pgd-unbounded" not in out


def test_skipped_files_are_told(capsys, trained, data, tmp_path):
    folder = draw_folder(tmp_path / "data", 4, first=1000)
    (folder / "red" / "text.jpg").write_text("no picture")
    code, out, _ = medaudit(capsys, "run", trained.model, folder, "-o", tmp_path / "audit", "--eps", "0.01")
    assert code == 0
    assert "red/text.jpg: not an image" in " ".join(out.split())
    record = read_record(tmp_path / "audit")
    assert [(file.path, file.reason) for file in record.data.skipped] == [
        ("red/text.jpg", "not an image that Pillow can read")
    ]
    assert record.data.split == "all images"
    assert record.data.train_overlap == 0
    assert "red/text.jpg" in (tmp_path / "audit" / "report.html").read_text()


def no_folder(tmp_path, model, data):
    return model, tmp_path / "absent"


def empty_folder(tmp_path, model, data):
    (tmp_path / "empty").mkdir()
    return model, tmp_path / "empty"


def class_without_images(tmp_path, model, data):
    folder = draw_folder(tmp_path / "data", 3, ("blue",))
    (folder / "red").mkdir()
    return model, folder


def only_broken_images(tmp_path, model, data):
    folder = draw_folder(tmp_path / "data", 2)
    for path in (folder / "red").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    return model, folder


def no_model(tmp_path, model, data):
    return tmp_path / "absent.h5", data


def text_as_model(tmp_path, model, data):
    (tmp_path / "text.h5").write_text("no model")
    return tmp_path / "text.h5", data


def three_classes(tmp_path, model, data):
    return model, draw_folder(tmp_path / "three", 3, ("blue", "green", "red"))


def three_classes_without_record(tmp_path, model, data):
    (tmp_path / "bare.h5").write_bytes(model.read_bytes())
    return tmp_path / "bare.h5", draw_folder(tmp_path / "three", 3, ("blue", "green", "red"))


def record_of_another_model(tmp_path, model, data):
    (tmp_path / "other.h5").write_bytes(model.read_bytes() + b" ")
    sidecar = model.with_suffix(".medaudit.json")
    (tmp_path / "other.medaudit.json").write_bytes(sidecar.read_bytes())
    return tmp_path / "other.h5", data


def broken_record(tmp_path, model, data):
    (tmp_path / "broken.h5").write_bytes(model.read_bytes())
    (tmp_path / "broken.medaudit.json").write_text('{"classes": 3')
    return tmp_path / "broken.h5", data


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (no_folder, "absent does not exist"),
        (empty_folder, "holds no class folders"),
        (class_without_images, "red holds no readable image"),
        (only_broken_images, "red holds no readable image"),
        (no_model, "absent.h5 does not exist"),
        (text_as_model, "text.h5 is no HDF5 file"),
        (three_classes, "no class of the model: 'green'"),
        (three_classes_without_record, "distinguishes 2 classes, but"),
        (record_of_another_model, "belongs to another file"),
        (broken_record, "not a training record"),
    ],
)
def test_bad_input_is_a_plain_error_and_leaves_nothing(capsys, trained, data, tmp_path, prepare, message):
    model, folder = prepare(tmp_path, trained.model, data)
    code, out, err = medaudit(capsys, "run", model, folder, "-o", tmp_path / "audit")
    assert code == 2, err
    assert message in " ".join(err.split())
    assert "Traceback" not in err + out
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--eps", "2"], "write for example 2/255"),
        (["--eps", "0"], "not above 0"),
        (["--eps", "1/0"], "not a number"),
        (["--eps", "nan"], "not above 0"),
        (["--eps", "a,b"], "not a number"),
        (["--attack", "magic"], "no attack named magic"),
        (["--critical", "red"], "TRUE:PREDICTED"),
        (["--critical", "red:green"], "does not name two of the classes"),
        (["--batch-size", "0"], "--batch-size"),
        (["--attack", "fgsm", "--attack", "fgsm"], "--attack: a name is given twice"),
        (["--fail-on-regression"], "name it with --baseline"),
        (["--preprocessing", "magic"], "there are unit, raw, tf, caffe, torch and"),
        (["--classes", "red"], "no class of the model: 'blue'"),
    ],
)
def test_bad_usage_is_a_plain_error(capsys, trained, data, tmp_path, arguments, message):
    code, _, err = medaudit(capsys, "run", trained.model, data, "-o", tmp_path / "audit", *arguments)
    assert code == 2, err
    assert message in " ".join(err.replace("│", " ").split())
    assert not (tmp_path / "audit").exists()


def test_a_folder_with_files_is_not_written_into(capsys, trained, data, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    code, _, err = medaudit(capsys, "run", trained.model, data, "-o", tmp_path)
    assert code == 2, err
    assert "not empty" in err
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_an_unwritable_folder_is_a_plain_error(capsys, trained, data, tmp_path):
    # A file where a folder is needed: not even the superuser can write below it.
    (tmp_path / "file").write_text("x")
    code, _, err = medaudit(capsys, "run", trained.model, data, "-o", tmp_path / "file" / "audit")
    assert code == 2, err
    assert "cannot be written" in err


def test_an_internal_error_has_its_own_code(capsys, trained, data, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("auditor.preparation.load", fail)
    code, _, err = medaudit(capsys, "run", trained.model, data, "-o", tmp_path / "audit")
    assert code == 70
    assert "internal error: RuntimeError: unforeseen" in err
    assert "Traceback" not in err
    assert not (tmp_path / "audit").exists()
    code, _, err = medaudit(capsys, "--debug", "run", trained.model, data, "-o", tmp_path / "audit")
    assert code == 70
    assert "Traceback" in err


def test_an_interruption_ends_with_130_and_no_record(trained, tmp_path):
    folder = draw_folder(tmp_path / "data", 400)
    command = [sys.executable, "-m", "auditor", "run", trained.model, folder, "-o", tmp_path / "audit"]
    steps = ",".join(f"{n}/255" for n in range(1, 200))
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(
        [*map(str, command), "--eps", steps, "--batch-size", "8"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # A shell starts its background jobs deaf to Ctrl-C, and the test may be part of one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "audit" / "examples").is_dir():
        assert running.poll() is None, running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert f"medaudit run --resume {tmp_path / 'audit'}" in " ".join(err.split())
    assert "Traceback" not in err
    assert not (tmp_path / "audit" / "results.json").exists()
    assert (tmp_path / "audit" / "journal").is_dir()


def test_report_and_schema(capsys, audited, tmp_path):
    code, out, _ = medaudit(capsys, "report", audited.folder)
    assert code == 0
    assert "report.html" in out
    code, _, err = medaudit(capsys, "report", tmp_path)
    assert code == 2, err
    assert "holds no results.json" in err
    (tmp_path / "results.json").write_text('{"schema_version": 2}')
    code, _, err = medaudit(capsys, "report", tmp_path)
    assert code == 2, err
    assert "no record of schema version 1" in err
    code, out, _ = medaudit(capsys, "schema")
    assert code == 0
    assert json.loads(out)["title"] == "AuditRecord"


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom auditor.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'art', 'sklearn', 'weasyprint'}\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & heavy))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
    assert re.search(r"run\s+Audit a model", found.stdout)


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(capsys, trained, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = medaudit(capsys, "run", trained.model, data, "--dry-run", "--batch-size", "5")
    assert code == 0, err
    text = " ".join(out.split())
    assert "18: 9 blue, 9 red; 0 files cannot be read" in text
    assert "fgsm (Fast gradient sign method, L-inf, white-box) at 0.5/255, 1/255, 2/255, 4/255, 8/255" in text
    assert "at most 108 forward passes and 18 gradients, 5 images at a time" in text
    assert re.search(r"Time about \d+ s on this machine", text)
    assert re.search(r"Memory about \d+\.\d GB", text)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("attack", [["--attack", "square"], ["--attack", "noise"]])
def test_a_worst_case_that_no_attack_decides_is_refused_before_any_work(capsys, trained, data, tmp_path, attack):
    policy = tmp_path / "p.toml"
    policy.write_text('name = "p"\n[[criteria]]\nname = "c"\nfigure = "accuracy"\nepsilon = "2/255"\nat_least = 0\n')
    code, _, err = medaudit(capsys, "run", trained.model, data, "-o", tmp_path / "audit", "--policy", policy, *attack)
    assert code == 2
    assert "needs an attack in L-inf on every image" in " ".join(err.split())
    assert not (tmp_path / "audit").exists()


def test_what_rounding_leaves_of_an_attack_that_stops_early_cannot_be_asked_for(capsys, trained, data, tmp_path):
    policy = tmp_path / "p.toml"
    criterion = '[[criteria]]\nname = "c"\nfigure = "eight_bit_accuracy"\nepsilon = "2/255"\nat_least = 0\n'
    policy.write_text(f'name = "p"\n{criterion}attack = "pgd"\n')
    code, _, err = medaudit(
        capsys, "run", trained.model, data, "-o", tmp_path / "audit", "--policy", policy, "--suite", "standard"
    )
    assert code == 2
    assert "stops at its first success" in " ".join(err.split())
    assert not (tmp_path / "audit").exists()


def test_a_policy_that_cannot_be_met_for_want_of_a_control_is_told_before_the_work(capsys, trained, data, tmp_path):
    policy = tmp_path / "p.toml"
    policy.write_text('name = "p"\n[[criteria]]\nname = "c"\nfigure = "accuracy"\nepsilon = "2/255"\nat_least = 0\n')
    common = ("run", trained.model, data, "--policy", policy, "--eps", "2/255", "--preprocessing", "unit")
    code, out, err = medaudit(capsys, *common, "-o", tmp_path / "fgsm")
    assert code == 3, err
    assert "the verdict cannot be PASS: add --attack noise" in " ".join(err.split())
    assert "No check shows that the attacks can win at all" in " ".join(out.split())
    page = " ".join((tmp_path / "fgsm" / "report.html").read_text().split())
    assert page.count("No check shows that the attacks can win at all") == 2
    code, _, err = medaudit(capsys, *common, "-o", tmp_path / "quick", "--suite", "quick")
    assert code == 0, err
    assert "cannot be PASS" not in err


def test_a_reader_that_goes_away_is_no_failed_criterion():
    command = [sys.executable, "-c", "from auditor.cli.main import main; main(['attacks'])"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        err = running.stderr.read()
        assert running.wait(60) == 141
    assert err == b""


@pytest.mark.parametrize(("ended", "code"), [(130, 130), (1, 141)])
def test_a_command_that_ends_by_itself_keeps_its_exit_code(capsys, monkeypatch, ended, code):
    monkeypatch.setattr("auditor.cli.main.cli.main", lambda *_, **__: sys.exit(ended))
    assert medaudit(capsys, "train")[0] == code


def test_resume_takes_no_other_options(capsys, tmp_path):
    code, _, err = medaudit(capsys, "run", "--resume", tmp_path, "--eps", "0.1")
    assert code == 2
    assert "leave out eps" in " ".join(err.split())
    code, _, err = medaudit(capsys, "run", "--resume", tmp_path)
    assert code == 2
    assert "holds no unfinished audit" in err
    code, _, err = medaudit(capsys, "run")
    assert code == 2
    assert "MODEL and DATA are needed" in err
