"""Runs the README's sections as they stand, each in an empty folder with these sources as `mapstore`.

readme.py TARGET [SECTION…]     TARGET is cargo's folder, built for the workspace; without sections all of them

A block whose first line names a file (```c app.c) is written to that file; a ```console block is typed: its lines that
begin with "$ " go to one bash for the whole section, and what stands under them has to be what they print. Each section
has an API server of its own (mapstore-dev), found as kubectl finds one.

What is shortened, by the environment and not by the text: `make install` takes the development library that is built
already (`make installed` takes the release one), pip builds in the development profile, and nothing is downloaded
but maturin, which is pinned.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Where the blocks of this section are typed: its text says "in these sources".
IN_THE_SOURCES = "Two commands"
# This test is part of it.
NOT_TYPED = ["make test"]
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", f"-I{ROOT / 'include'}"]
COMPILERS = {".c": ["cc", "-std=c99"], ".cpp": ["c++", "-std=c++17"]}


@dataclass
class Section:
    name: str
    files: list[tuple[str, str]] = field(default_factory=list)
    typed: list[tuple[str, list[str]]] = field(default_factory=list)


def sections(text: str) -> Iterator[Section]:
    """The sections that have something to type, with their files."""
    for part in re.split(r"^##+ ", text, flags=re.M)[1:]:
        section = Section(part.split("\n", 1)[0])
        for info, body in re.findall(r"^```(\S[^\n]*)\n(.*?)^```$", part, flags=re.M | re.S):
            language, _, name = info.partition(" ")
            if name:
                section.files.append((name, body))
            elif language == "console":
                section.typed += commands(section.name, body)
        if section.files or section.typed:
            yield section


def commands(section: str, body: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
        else:
            raise SystemExit(f"README, {section}: a console block has to begin with '$ ', not with: {line}")
    return found


@contextlib.contextmanager
def server(target: Path, kubeconfig: Path) -> Iterator[None]:
    program = [str(target / "debug/mapstore-dev"), "--write-kubeconfig", str(kubeconfig), "--exit-with-stdin"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={}) as dev:
        assert dev.stdin is not None and dev.stdout is not None
        if "listening" not in dev.stdout.readline():
            raise SystemExit("README: mapstore-dev did not start")
        yield
        dev.stdin.close()


def caches() -> dict[str, str]:
    """The toolchains and what they have downloaded: HOME is an empty folder."""
    home = Path.home()
    kept = {
        "CARGO_HOME": os.environ.get("CARGO_HOME", str(home / ".cargo")),
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(home / ".rustup")),
        "PYENV_ROOT": os.environ.get("PYENV_ROOT", str(home / ".pyenv")),
    }
    for name in ("GOMODCACHE", "GOCACHE", "GOPROXY"):
        done = subprocess.run(["go", "env", name], capture_output=True, text=True, check=True)
        kept[name] = done.stdout.strip()
    return kept


def environment(target: Path, scratch: Path, wheels: Path) -> dict[str, str]:
    return caches() | {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch / "home"),
        "KUBECONFIG": str(scratch / "kubeconfig"),
        "MAPSTORE_LIBRARY": str(target / "debug"),
        "CARGO_TARGET_DIR": str(target / "readme"),
        "CARGO_NET_OFFLINE": "true",
        "GOTOOLCHAIN": "local",
        # go would give what pkg-config said in another run, for a HOME that is gone.
        "CGO_LDFLAGS": f"-L{scratch}",
        "MATURIN_PEP517_ARGS": "--profile dev --locked",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def downloaded_maturin(target: Path) -> Path:
    """What pip needs to build the package, by its pinned list."""
    wheels = target / "readme" / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    listed = ROOT / "mapstore-py" / "requirements-wheel.txt"
    if not (wheels / listed.name).exists() or (wheels / listed.name).read_bytes() != listed.read_bytes():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
        subprocess.run([*pip, "--only-binary=:all:", "-d", wheels, "-r", listed], check=True)
        (wheels / listed.name).write_bytes(listed.read_bytes())
    return wheels


def prepared(section: Section, scratch: Path) -> Path:
    """The folder to type in, with the section's files."""
    (scratch / "home").mkdir()
    # The profile of this workspace, so that cargo and pip share what they compile.
    (scratch / ".cargo").mkdir()
    profile = re.findall(
        r"^\[profile\.dev.*?(?=^\[(?!profile\.dev)|^#|\Z)", (ROOT / "Cargo.toml").read_text(), re.M | re.S
    )
    (scratch / ".cargo" / "config.toml").write_text("\n".join(profile))
    if section.name == IN_THE_SOURCES:
        return ROOT
    folder = scratch / "empty"
    folder.mkdir()
    (folder / "mapstore").symlink_to(ROOT)
    for name, body in section.files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
        if path.suffix in COMPILERS:
            subprocess.run([*COMPILERS[path.suffix], *WARNINGS, path], check=True)
    return folder


def run(section: Section, target: Path, wheels: Path) -> None:
    typed = [command for command in section.typed if command[0] not in NOT_TYPED]
    if not typed:
        raise SystemExit(f"README, {section.name}: it has files, and nothing to type")
    # A line of its own after each command's output.
    mark = "--- typed: "
    script = "".join(f"{command}\necho '{mark}{number}'\n" for number, (command, _) in enumerate(typed))
    with tempfile.TemporaryDirectory() as made:
        scratch = Path(made)
        folder = prepared(section, scratch)
        with server(target, scratch / "kubeconfig"):
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment(target, scratch, wheels),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"README, {section.name}: it failed:\n{done.stdout}")
    said = re.split(rf"^{mark}\d+\n", done.stdout, flags=re.M)
    for (command, expected), output in zip(typed, said):
        printed = output.splitlines()
        if expected and printed[-len(expected) :] != expected:
            raise SystemExit(
                f"README, {section.name}: `{command}` should print {expected}, and printed:\n{output}"
            )
        print(f"docs: README, {section.name}: $ {command}", *expected, sep="\n  " if expected else "")


def main() -> None:
    target = Path(sys.argv[1]).resolve()
    only = sys.argv[2:]
    found = [s for s in sections((ROOT / "README.md").read_text()) if not only or s.name in only]
    # What finds nothing has not passed.
    if len(found) < (len(only) or 6):
        raise SystemExit(f"README: only {len(found)} sections have something to type")
    wheels = downloaded_maturin(target)
    for section in found:
        run(section, target, wheels)
    print(f"docs: README: {len(found)} sections run as they stand")


if __name__ == "__main__":
    main()
