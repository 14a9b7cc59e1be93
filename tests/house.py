"""The drawing of the house: per crate its folders, floors, circles, longest files and longest functions.

house.py [CRATE…]     folders of crates; without any, all of the workspace

Read from the sources alone, tests left out. An import is a path that begins with `crate`, `super`, `self` or a module of
the same file; a name that a module hands on (`pub use`) counts as the module's that has it. Floors are the files of the
longest chain of imports; a circle is several files that import each other. Fails where the core breaks its rules.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORE = "mapstore"
# What the core keeps to (CONTRIBUTING.md).
FILE_LINES = 500
FUNCTION_LINES = 40

# What holds no code: comments, strings, characters (not lifetimes).
NO_CODE = re.compile(
    r"//[^\n]*"
    r"|/\*.*?\*/"
    r'|b?r(?P<hashes>#*)".*?"(?P=hashes)'
    r'|b?c?"(?:\\.|[^"\\])*"'
    r"|b?'(?:\\u\{[0-9a-fA-F]+\}|\\x[0-9a-fA-F]{2}|\\.|[^'\\\n])'",
    re.S,
)
TEST_ITEM = re.compile(r"#\[(?:cfg\((?:all\()?test\b[^\]]*|test)\]")
FUNCTION = re.compile(r"\bfn\s+(\w+)")


@dataclass
class Module:
    name: tuple[str, ...]
    path: Path
    code: str
    parent: tuple[str, ...] | None
    children: set[str] = field(default_factory=set)
    # What it hands on: the name, and the path that it stands for.
    hands_on: dict[str, tuple[str, ...]] = field(default_factory=dict)
    paths: set[tuple[str, ...]] = field(default_factory=set)

    @property
    def title(self) -> str:
        return "::".join(self.name) or "lib"


def blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def block_end(code: str, start: int) -> int:
    """Behind the item that begins at `start`: its last brace, or its semicolon."""
    depth = 0
    for place in re.finditer(r"[{};()\[\]]", code[start:]):
        depth += {"{": 1, "(": 1, "[": 1}.get(place[0], 0) - {"}": 1, ")": 1, "]": 1}.get(place[0], 0)
        if depth == 0 and place[0] in "};":
            return start + place.end()
    return len(code)


def without_tests(code: str) -> tuple[str, set[str]]:
    """The code that is shipped, and the names of the modules that are only for tests."""
    only_tests: set[str] = set()
    while found := TEST_ITEM.search(code):
        end = block_end(code, found.end())
        item = code[found.end() : end]
        if module := re.search(r"\bmod\s+(\w+)\s*;", item):
            only_tests.add(module[1])
        code = code[: found.start()] + re.sub(r"[^\n]", " ", code[found.start() : end]) + code[end:]
    return code, only_tests


def tree(text: str) -> list[tuple[tuple[str, ...], str]]:
    """The paths of a `use`, each with the name that it gets: `a::{b, c as d}`."""
    text = text.strip()
    if "{" not in text:
        path, _, alias = text.partition(" as ")
        parts = tuple(part.strip() for part in path.split("::") if part.strip())
        if parts and parts[-1] == "self":
            parts = parts[:-1]
        return [(parts, alias.strip() or (parts[-1] if parts else ""))]
    head, _, rest = text.partition("{")
    inner, depth, start, found = rest[: rest.rindex("}")], 0, 0, []
    prefix = tuple(part.strip() for part in head.split("::") if part.strip())
    for place, letter in enumerate(inner + ","):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            if inner[start:place].strip():
                found += [((*prefix, *path), name) for path, name in tree(inner[start:place])]
            start = place + 1
    return found


def read(crate: Path) -> dict[tuple[str, ...], Module]:
    """The modules of a crate, from its root file down."""
    modules: dict[tuple[str, ...], Module] = {}
    source = crate / "src"

    def enter(name: tuple[str, ...], path: Path, folder: Path) -> None:
        code, only_tests = without_tests(NO_CODE.sub(blank, path.read_text()))
        modules[name] = module = Module(name, path, code, name[:-1] if name else None)
        for child in re.findall(r"^\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;", code, re.M):
            places = [folder / f"{child}.rs", folder / child / "mod.rs"]
            for place in places:
                if child not in only_tests and place.exists():
                    module.children.add(child)
                    enter((*name, child), place, folder / child)

    for root in ("lib.rs", "main.rs"):
        if (source / root).exists():
            enter((), source / root, source)
            break
    for module in modules.values():
        take_paths(module)
    return modules


def take_paths(module: Module) -> None:
    """Which paths a module names, those aside that it only hands on."""
    rest = module.code
    for use in re.finditer(r"^\s*(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", module.code, re.M):
        for path, name in tree(use[2]):
            absolute = start_of(module, path)
            if absolute is not None:
                if use[1]:
                    module.hands_on[name] = absolute
                else:
                    module.hands_on.setdefault(name, absolute)
                    module.paths.add(absolute)
        rest = rest.replace(use[0], "\n" * use[0].count("\n"), 1)
    known = "|".join(["crate", "super", "self", *sorted(module.children)])
    for path in re.findall(rf"(?<![\w:])((?:{known})(?:\s*::\s*\w+)+)", rest):
        absolute = start_of(module, tuple(re.split(r"\s*::\s*", path)))
        if absolute is not None:
            module.paths.add(absolute)


def start_of(module: Module, path: tuple[str, ...]) -> tuple[str, ...] | None:
    """The path from the crate's root; None if it is another crate's."""
    if not path:
        return None
    at = module.name
    if path[0] == "crate":
        return path[1:]
    if path[0] == "self":
        return (*at, *path[1:])
    while path and path[0] == "super":
        at, path = at[:-1], path[1:]
        if not path or path[0] != "super":
            return (*at, *path)
    return (*at, *path) if path[0] in module.children else None


def owner(
    modules: dict[tuple[str, ...], Module],
    path: tuple[str, ...],
    seen: frozenset[tuple[str, ...]] = frozenset(),
) -> Module:
    """The module that has what the path names."""
    deep = max((n for n in range(len(path) + 1) if path[:n] in modules), default=0)
    module, rest = modules[path[:deep]], path[deep:]
    if rest and rest[0] in module.hands_on and path not in seen:
        return owner(modules, (*module.hands_on[rest[0]], *rest[1:]), seen | {path})
    return module


def imports(modules: dict[tuple[str, ...], Module]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {module.title: set() for module in modules.values()}
    for module in modules.values():
        for path in module.paths:
            target = owner(modules, path)
            if target is not module:
                found[module.title].add(target.title)
    return found


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Files that reach each other."""
    reach = {node: set(to) for node, to in edges.items()}
    for middle in edges:
        for node in edges:
            if middle in reach[node]:
                reach[node] |= reach[middle]
    groups = {frozenset(b for b in edges if b in reach[a] and a in reach[b]) for a in edges if a in reach[a]}
    return sorted(sorted(group) for group in groups)


def longest_chain(edges: dict[str, set[str]]) -> list[str]:
    chains: dict[str, list[str]] = {}

    def chain(node: str, above: frozenset[str]) -> list[str]:
        if node not in chains:
            below = [chain(to, above | {node}) for to in sorted(edges[node]) if to not in above | {node}]
            chains[node] = [node, *max(below, key=len, default=[])]
        return chains[node]

    return max((chain(node, frozenset()) for node in sorted(edges)), key=len, default=[])


def functions(modules: dict[tuple[str, ...], Module]) -> list[tuple[int, str]]:
    """Each function's lines, from `fn` to its last brace."""
    found = []
    for module in modules.values():
        for place in FUNCTION.finditer(module.code):
            end = block_end(module.code, place.start())
            body = module.code[place.start() : end]
            if "{" in body:
                where = os.path.relpath(module.path, ROOT)
                line = module.code.count("\n", 0, place.start()) + 1
                found.append((body.count("\n") + 1, f"{place[1]} ({where}:{line})"))
    return sorted(found, key=lambda one: (-one[0], one[1]))


def lines(module: Module) -> int:
    """Its lines, comments too, without those of its tests."""
    text = module.path.read_text()
    tests = re.search(r"^#\[cfg\(test\)\]\nmod \w+ \{", text, re.M)
    return text[: tests.start()].count("\n") if tests else text.count("\n")


def folder_arrows(edges: dict[str, set[str]], folders: set[str]) -> list[str]:
    def of(title: str) -> str:
        return title.split("::")[0] if title.split("::")[0] in folders else "."

    arrows: dict[str, set[str]] = {}
    for node, to in edges.items():
        arrows.setdefault(of(node), set()).update(of(target) for target in to)
    return [
        f"{name} → {', '.join(sorted(to - {name}))}" for name, to in sorted(arrows.items()) if to - {name}
    ]


def draw(crate: Path) -> list[str]:
    """Prints one crate; gives what breaks the core's rules."""
    modules = read(crate)
    edges, shown = imports(modules), crate.relative_to(ROOT)
    files = sorted(
        ((lines(module), str(module.path.relative_to(ROOT))) for module in modules.values()), reverse=True
    )
    folders = {module.path.parent.name for module in modules.values() if module.path.parent != crate / "src"}
    chain, rings, longest = longest_chain(edges), circles(edges), functions(modules)
    print(f"\n{shown}: {len(files)} files, {sum(n for n, _ in files)} lines")
    if folders:
        print(f"  folders   {'; '.join(folder_arrows(edges, folders))}")
    print(f"  floors    {len(chain)}: {' → '.join(chain)}")
    print(f"  circles   {'; '.join(' ↔ '.join(ring) for ring in rings) or 'none'}")
    print(f"  functions {', '.join(f'{n} {name}' for n, name in longest[:5])}")
    print(f"  files     {', '.join(f'{n} {name}' for n, name in files[:5])}")
    if str(shown) != CORE:
        return []
    return (
        [f"a circle: {' ↔ '.join(ring)}" for ring in rings]
        + [f"{name} has {n} lines, more than {FILE_LINES}" for n, name in files if n > FILE_LINES]
        + [f"{name} has {n} lines, more than {FUNCTION_LINES}" for n, name in longest if n > FUNCTION_LINES]
    )


# A crate for `prove`: a and b import each other, a by a name that lib.rs hands on; c's import is in a test.
SMALL = {
    "lib.rs": "mod a;\nmod b;\nmod c;\npub use b::{B as Handed};\n",
    "a.rs": 'use crate::Handed;\npub fn a() {\n    let _ = "}";\n}\n',
    "b.rs": "pub struct B;\nfn b() { super::a::a() }\n",
    "c.rs": "#[cfg(test)]\nmod tests {\n    use crate::a;\n}\nfn c<'a>() { crate::b::b(); let _ = '{'; }\n",
}


def prove() -> None:
    """What finds no circle must be able to find one."""
    with tempfile.TemporaryDirectory() as scratch:
        crate = Path(scratch)
        (crate / "src").mkdir()
        for name, text in SMALL.items():
            (crate / "src" / name).write_text(text)
        modules = read(crate)
        edges = imports(modules)
        assert edges == {"lib": set(), "a": {"b"}, "b": {"a"}, "c": {"b"}}, edges
        assert circles(edges) == [["a", "b"]], circles(edges)
        assert len(longest_chain({"a": {"b"}, "b": {"c"}, "c": set()})) == 3
        assert [(n, name.split()[0]) for n, name in functions(modules)] == [(3, "a"), (1, "b"), (1, "c")]


def main() -> None:
    prove()
    listed = subprocess.run(
        ["git", "ls-files", "*Cargo.toml"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    crates = [(ROOT / name).parent for name in listed]
    crates = [(ROOT / name).resolve() for name in sys.argv[1:]] or crates
    wrong = []
    for crate in crates:
        if any((crate / "src" / root).exists() for root in ("lib.rs", "main.rs")):
            wrong += draw(crate)
    if wrong:
        raise SystemExit("\nhouse: the core breaks its rules:\n" + "\n".join(f"  {line}" for line in wrong))


if __name__ == "__main__":
    main()
