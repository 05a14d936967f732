"""What bfloat16 is good for on a processor, and what that settles."""

import pytest

from auditor import AuditSettings, auditing, environment
from auditor.progress import Silent


@pytest.mark.parametrize(
    ("flags", "has", "fast"),
    [
        (set(), False, False),
        ({"avx512f"}, False, False),
        ({"avx512f", "avx512_bf16"}, True, False),
        ({"avx512_bf16", "amx_bf16"}, True, True),
    ],
)
@pytest.mark.parametrize("gpu", [False, True])
def test_what_bfloat16_is_good_for(monkeypatch, flags, has, fast, gpu):
    monkeypatch.setattr(environment, "_flags", lambda: flags)
    monkeypatch.setattr(environment, "_has_capable_gpu", lambda: gpu)
    assert (environment.has_bfloat16(), environment.has_fast_bfloat16()) == (has or gpu, fast or gpu)


@pytest.mark.parametrize(
    ("precision", "has", "fast", "coarse"),
    [
        (None, False, False, False), (None, True, False, False), (None, True, True, True),
        ("mixed", False, False, False), ("mixed", True, False, True), ("mixed", True, True, True),
        ("float32", True, True, False),
    ],
)  # fmt: skip
def test_iterative_attacks_are_crafted_in_bfloat16_where_it_pays_or_is_asked_for(
    monkeypatch, subject, precision, has, fast, coarse
):
    monkeypatch.setattr(auditing, "has_bfloat16", lambda: has)
    monkeypatch.setattr(auditing, "has_fast_bfloat16", lambda: fast)
    settings = AuditSettings(precision=precision)
    assert auditing._coarse(subject, settings, ["fgsm", "pgd"], Silent()) == coarse
    # A single step, and an attack that only iterates in ways of its own, are crafted in float32 always.
    assert not auditing._coarse(subject, settings, ["fgsm", "jsma", "deepfool"], Silent())
