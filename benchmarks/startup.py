"""Time from `medaudit --help` to its end: median of nine runs, each a process of its own.

usage: python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time


def main() -> None:
    """Measure and print."""
    seconds = []
    for _ in range(9):
        clock = time.perf_counter()
        subprocess.run([sys.executable, "-m", "auditor", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - clock)
    print(f"medaudit --help: median {statistics.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f} s")


if __name__ == "__main__":
    main()
