import json
import subprocess
import sys

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from auditor.evidence.bom import bill, write_bom
from auditor.evidence.manifest import read_manifest


def error_of(text):
    """What the official schema of CycloneDX 1.6 objects to."""
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)


def test_the_bill_of_materials_keeps_to_the_official_schema(audited, later, thorough, signed):
    for result in (audited, later, thorough, signed):
        text = (result.folder / "bom.cdx.json").read_text()
        assert error_of(text) is None
        assert json.loads(text) == bill(result.record)
    assert error_of(text.replace('"machine-learning-model"', '"model"'))
    assert error_of(text.replace("SHA-256", "SHA-7"))


def test_it_holds_the_model_and_its_figures(thorough):
    record = thorough.record
    parts = bill(record)
    model = parts["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": record.model.sha256}]
    card = model["modelCard"]
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    assert len(metrics) == 1 + len(record.attacks) + len(record.worst_case)
    clean, worst = metrics[0], metrics[-1]
    assert (clean["type"], clean["slice"]) == ("accuracy", "no attack")
    assert float(clean["value"]) == pytest.approx(record.clean.accuracy.value, rel=1e-5)
    assert worst["type"] == "robust accuracy"
    assert worst["slice"].endswith("epsilon 2/255")
    bounds = worst["confidenceInterval"]
    found = record.worst_case[-1].accuracy
    assert float(bounds["lowerBound"]) == pytest.approx(found.low, rel=1e-5, abs=1e-6)
    assert float(bounds["upperBound"]) == pytest.approx(found.high, rel=1e-5)
    (data,) = parts["components"]
    assert card["modelParameters"]["datasets"] == [{"ref": data["bom-ref"]}]
    assert data["hashes"] == [{"alg": "SHA-256", "content": record.data.manifest_sha256}]
    tools = {tool["name"]: tool["version"] for tool in parts["metadata"]["tools"]["components"]}
    assert tools["medaudit"] == record.audit.tool_version
    assert tools["tensorflow"] == record.environment.packages["tensorflow"]


def test_it_is_the_same_every_time_and_another_for_another_audit(audited, signed):
    assert bill(audited.record) == bill(audited.record)
    assert bill(audited.record)["serialNumber"] != bill(signed.record)["serialNumber"]
    assert bill(audited.record)["metadata"]["timestamp"] == audited.record.audit.finished


def test_it_is_a_file_of_the_audit_and_needs_no_library(audited, tmp_path):
    (file,) = [file for file in read_manifest(audited.folder).files if file.path == "bom.cdx.json"]
    assert file.drawn
    (tmp_path / "results.json").write_bytes((audited.folder / "results.json").read_bytes())
    code = (
        "import sys; sys.modules['cyclonedx'] = sys.modules['cryptography'] = None\n"
        "from auditor.evidence.bom import write_bom; from auditor import read_record; from pathlib import Path\n"
        "write_bom(Path(sys.argv[1]), read_record(Path(sys.argv[1])))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / "bom.cdx.json").read_bytes() == (audited.folder / "bom.cdx.json").read_bytes()


def test_hostile_names_are_text(audited, tmp_path):
    model = audited.record.model.model_copy(update={"name": '"}\n<x>\u202e', "architecture": '"\\'})
    record = audited.record.model_copy(update={"model": model})
    write_bom(tmp_path, record)
    text = (tmp_path / "bom.cdx.json").read_text()
    assert error_of(text) is None
    assert json.loads(text)["metadata"]["component"]["name"] == model.name
