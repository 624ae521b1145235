"""Run the benchmarks beside this file, one after the other, and write one record.

Run with ``python benchmarks [rounds] [name ...]`` (``make bench`` runs all). Each benchmark is a
program of its own in a process of its own with one thread; one that fails does not keep the others
from running. With names, such as ``median``, the others keep what the record says of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from _measure import RECORD_VARIABLE

from strokerepro.errors import UsageError
from strokerepro.files import write_text
from strokerepro.records import circumstances

FOLDER = Path(__file__).resolve().parent
RECORD = FOLDER / "record.json"


def run_one(path: Path, arguments: list[str]) -> dict[str, object]:
    """Run one benchmark, show what it prints, and return its part of the record."""
    print(f"== {path.name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        collected = Path(folder) / "comparisons.jsonl"
        environment = {**os.environ, "OMP_NUM_THREADS": "1", RECORD_VARIABLE: str(collected)}
        command = [sys.executable, str(path), *arguments]
        lines = []
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines.append(line.rstrip())
        rows = collected.read_text(encoding="utf-8").splitlines() if collected.exists() else []
    return {
        **circumstances(torch.device("cpu")),
        "failed": process.returncode != 0,
        "comparisons": [json.loads(row) for row in rows],
        "output": lines,
    }


def main(arguments: list[str]) -> int:
    """Run all or those named, write the record, and return the number of those that failed."""
    paths = {path.stem: path for path in FOLDER.glob("*.py") if not path.name.startswith("_")}
    rounds = [word for word in arguments if word.isdigit()]
    names = [word for word in arguments if word not in rounds]
    for name in names:
        if name not in paths:
            raise UsageError.unknown("benchmark", name, paths)
    results = {name: run_one(paths[name], rounds) for name in names or sorted(paths)}
    known = json.loads(RECORD.read_text(encoding="utf-8")) if names and RECORD.exists() else {}
    write_text(RECORD, json.dumps(dict(sorted({**known, **results}.items())), indent=1) + "\n")
    failed = [name for name, result in results.items() if result["failed"]]
    print(f"{RECORD.relative_to(FOLDER.parent)} written; failed: {', '.join(failed) or 'none'}")
    return len(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
