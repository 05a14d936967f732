import subprocess
import sys

CODE = """
import logging, sys
class Mine(logging.StreamHandler):
    def close(self):
        print("closed")
logging.getLogger().addHandler(Mine(sys.stdout))
from auditor.attacks import ATTACKS
from auditor.models.backend import keras
keras()
import auditor.models.estimator
from art.attacks.evasion import FastGradientMethod
logging.getLogger().error("still heard")
import os
os._exit(0) if sys.stdout.flush() is None else None
"""


def test_imports_are_silent_and_leave_the_logging_of_others_alone():
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert found.stdout == "still heard\n"
    assert found.stderr == ""
