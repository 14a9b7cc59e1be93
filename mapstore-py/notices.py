"""The licences of what the native module is made of: notices.py OUT. Needs cargo and its downloaded sources only."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

here = Path(__file__).resolve().parent
NAMES = re.compile(r"^(licen[cs]e|copying|notice|unlicense|copyright)", re.IGNORECASE)


def cargo(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments], cwd=here, check=True, capture_output=True, text=True).stdout


def linked() -> list[str]:
    """Package ids of what is linked in: no build scripts, no macros, no tests."""
    tree = cargo("tree", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}")
    return sorted({line.removesuffix(" (*)").split(" (")[0] for line in tree.splitlines() if line})


def main() -> None:
    packages = json.loads(cargo("metadata", "--format-version", "1", "--locked"))["packages"]
    by_name = {f"{package['name']} v{package['version']}": package for package in packages}
    # Many crates share one text.
    texts: dict[str, list[str]] = defaultdict(list)
    for name in linked():
        package = by_name[name]
        if package["source"] is None:
            continue  # a part of mapstore
        folder = Path(package["manifest_path"]).parent
        files = sorted(path for path in folder.iterdir() if path.is_file() and NAMES.match(path.name))
        if not files and not package["license"]:
            raise SystemExit(f"{name} has neither a licence nor a licence file")
        text = "\n\n".join(path.read_text(errors="replace").strip() for path in files)
        title = f"{name}: {package['license']}, {package['repository'] or 'no address'}"
        texts[text or f"(no licence file in the package; {package['license']})"].append(title)
    parts = ["The native module of mapstore contains the following packages.\n"]
    for text, titles in sorted(texts.items(), key=lambda item: item[1]):
        parts.append("=" * 80 + "\n" + "\n".join(titles) + "\n\n" + text + "\n")
    Path(sys.argv[1]).write_text("\n".join(parts))
    print(f"notices: {sum(map(len, texts.values()))} packages, {len(texts)} texts")


main()
