"""Adversarial-robustness audits of medical image classifiers, on the Adversarial Robustness Toolbox.

In a few lines::

    from auditor import AuditSettings, audit, render, train

    train("data/", "model.h5")
    result = audit("model.h5", "data/", settings=AuditSettings(epsilons=(1 / 255, 2 / 255)))
    print(result.record.attacks[0].accuracy.value, result.reports.html)
    render(result.folder)
"""

from auditor.api import (
    AuditResult,
    ComparisonResult,
    TrainResult,
    audit,
    compare,
    forecast,
    render,
    resume,
    train,
    verify,
)
from auditor.comparison.record import Comparison, read_comparison
from auditor.errors import AuditInterrupted, BadInputError, MedauditError
from auditor.record import AuditRecord, read_record
from auditor.settings import AuditSettings, TrainingSettings

__all__ = [
    "AuditInterrupted",
    "AuditRecord",
    "AuditResult",
    "AuditSettings",
    "BadInputError",
    "Comparison",
    "ComparisonResult",
    "MedauditError",
    "TrainResult",
    "TrainingSettings",
    "audit",
    "compare",
    "forecast",
    "read_comparison",
    "read_record",
    "render",
    "resume",
    "train",
    "verify",
]
