"""Time to read the history of many audits.

usage: python benchmarks/history.py AUDIT [AUDITS]

AUDIT is the folder of a finished audit; its record is copied to AUDITS folders, 1,000 by default, each with an identity
and a time of its own. What is timed is `medaudit history`, in a process of its own, without and with the page it can
draw; for comparison, the same records are read and validated whole.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from auditor.record import FILE_NAME, read_record


def fill(root: Path, record: Path, count: int) -> None:
    """Write `count` audits that differ in identity and time."""
    content = json.loads(record.read_bytes())
    for number in range(count):
        end = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=6 * number)
        content["audit"]["finished"] = f"{end:%Y-%m-%dT%H:%M:%SZ}"
        content["audit"]["id"] = f"model-{number:05d}"
        folder = root / f"{end:%Y-%m}" / f"audit-{number:05d}"
        folder.mkdir(parents=True)
        (folder / FILE_NAME).write_text(json.dumps(content, indent=1))


def timed(*arguments: object) -> float:
    """Seconds of one run of the command line."""
    clock = time.perf_counter()
    command = [sys.executable, "-m", "auditor", "history", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - clock


def main() -> None:
    """Measure and print."""
    record = Path(sys.argv[1]) / FILE_NAME
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "audits"
        fill(root, record, count)
        size = sum(path.stat().st_size for path in root.rglob(FILE_NAME))
        print(f"{count} records, {size / count / 1e3:.0f} kB each")
        print(f"medaudit history:        {timed(root):.2f} s")
        print(f"medaudit history --html: {timed(root, '--html', Path(scratch) / 'history.html'):.2f} s")
        clock = time.perf_counter()
        for path in root.rglob(FILE_NAME):
            read_record(path.parent)
        print(f"records read whole:      {time.perf_counter() - clock:.2f} s")


if __name__ == "__main__":
    main()
