"""Runs mypy and pyright over mistakes.py: check.py. What they find has to be what is planted there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

program = Path(__file__).resolve().with_name("mistakes.py")
planted = {number for number, line in enumerate(program.read_text().splitlines(), 1) if "# mistake" in line}


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, cwd=program.parent).stdout


def mypy(cache: str) -> set[int]:
    said = output(sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, str(program))
    return {int(line) for line in re.findall(r"mistakes\.py:(\d+): error", said)}


def pyright(folder: str) -> set[int]:
    # Strict is its `strict`, on the whole of a folder that has this file only.
    Path(folder, program.name).write_text(program.read_text())
    Path(folder, "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    said = output(sys.executable, "-m", "pyright", "--outputjson", "-p", folder)
    errors = (entry for entry in json.loads(said)["generalDiagnostics"] if entry["severity"] == "error")
    return {entry["range"]["start"]["line"] + 1 for entry in errors}


with tempfile.TemporaryDirectory() as folder:
    for name, found in (("mypy --strict", mypy(folder + "/mypy")), ("pyright", pyright(folder))):
        if found != planted:
            sys.exit(f"{name}: missed lines {sorted(planted - found)}, wrong about {sorted(found - planted)}")
        print(f"{name}: found all {len(planted)} mistakes, and no other")
