"""From what run.py measured to tables and plots: report.py RESULTS.json FOLDER"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib import pyplot

# The same numbers make the same file.
pyplot.rcParams.update({"svg.hashsalt": "mapstore", "svg.fonttype": "none", "font.size": 9})
pyplot.switch_backend("svg")

results = json.loads(Path(sys.argv[1]).read_text())
folder = Path(sys.argv[2])
MAPS = ["1 KiB", "100 KiB", "900 KiB", "5000 keys"]
LANGUAGES = ["rust", "c", "go", "python"]
WHOLE, CACHED = "client-go GET GET PUT", "client-go GET PUT"


def pick(part: str, field: str, **like: Any) -> list[float]:
    return [row[field] for row in results[part] if all(row[key] == value for key, value in like.items())]


def p50(contender: str, kind: str) -> float:
    """Milliseconds: the median of the rounds' medians."""
    return median(pick("sizes", "p50_us", contender=contender, map=kind)) / 1e3


def rate(contender: str, kind: str, threads: int) -> float:
    return median(pick("threads", "per_second", contender=contender, map=kind, threads=threads))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def times(value: float) -> str:
    return f"{value:.0f} x" if value >= 20 else f"{value:.1f} x"


def ratios() -> str:
    """How many times the work of mapstore fits into that of the others. The aims are for JSON."""
    rows = []

    def line(what: str, aim: float | None, values: Iterable[float]) -> None:
        rows.append([what, times(aim) if aim else "", *map(times, values)])

    for cache, other, aims in (
        ("none", WHOLE, (2, 4, 5, None)),
        ("exclusive", CACHED, (1.5, 2.5, 2.5, None)),
    ):
        for suffix in ("", ", protobuf"):
            for kind, aim in zip(MAPS, aims):
                mine = [p50(f"mapstore {language} {cache}", kind) for language in LANGUAGES]
                what = f"one writer, {cache}, {kind}, against {other[10:]}{suffix}"
                line(what, None if suffix else aim, (p50(other + suffix, kind) / each for each in mine))
    for other in (WHOLE, CACHED):
        for threads, aim in ((64, 30), (512, 100)):
            mine = [rate(f"mapstore {language} none", "1 KiB", threads) for language in LANGUAGES]
            theirs = rate(other, "1 KiB", threads)
            line(
                f"{threads} threads, none, 1 KiB, against {other[10:]}", aim, (each / theirs for each in mine)
            )
    return table(["how many times faster", "aim", *LANGUAGES], rows)


def floors() -> str:
    rows = [
        [f"{cache}, {kind}"]
        + [f"{p50(f'mapstore {language} {cache}', kind) / p50('floor', kind):.2f}" for language in LANGUAGES]
        for cache in ("none", "exclusive")
        for kind in MAPS
    ]
    return table(["time of a set, in floors (aim: 1.2 for Rust)", *LANGUAGES], rows)


def contenders(part: str) -> list[str]:
    return list(dict.fromkeys(row["contender"] for row in results[part]))


def sizes() -> str:
    rows = []
    for contender in contenders("sizes"):
        cells = []
        for kind in MAPS:
            p99, worst = (
                pick("sizes", field, contender=contender, map=kind) for field in ("p99_us", "max_us")
            )
            cells.append(
                f"{p50(contender, kind):.2f} / {median(p99) / 1e3:.1f} / {max(worst) / 1e3:.0f}"
                if p99
                else ""
            )
        rows.append([contender, *cells])
    return table(["one writer, ms a set: p50 / p99 / max", *MAPS], rows)


def counts() -> str:
    rows = []
    for contender in contenders("counts"):
        cells = []
        for kind in MAPS:
            [row] = [row for row in results["counts"] if row["contender"] == contender and row["map"] == kind]
            each = [row[field] / row["sets"] for field in ("requests", "request_body", "response_body")]
            cells.append(f"{each[0]:.2f}, {each[1]:,.0f} up, {each[2]:,.0f} down")
        rows.append([contender, *cells])
    return table(["requests and bytes of bodies a set", *MAPS], rows)


def throughput(part: str, by: str, kind: str) -> str:
    steps = list(dict.fromkeys(row[by] for row in results[part]))
    rows = []
    for contender in contenders(part):
        cells = []
        for step in steps:
            like = {"contender": contender, "map": kind, by: step}
            each = {
                f: pick(part, f, **like)[0]
                for f in ("per_second", "p50_us", "p99_us", "max_us", "sets", "requests", "conflicts")
            }
            cells.append(
                f"{each['per_second']:,.0f}/s; {each['p50_us'] / 1e3:.1f} / {each['p99_us'] / 1e3:.0f} / "
                f"{each['max_us'] / 1e3:.0f} ms; {each['requests'] / each['sets']:.2f}, {each['conflicts'] / each['sets']:.2f}"
            )
        rows.append([contender, *cells])
    return table(
        [f"{kind}: sets; p50 / p99 / max; requests, 409s a set", *(f"{step} {by}" for step in steps)], rows
    )


def memory() -> str:
    """What the server holds after the part's last measurement: each part has a fresh server."""
    rows = []
    for part in ("sizes", "threads", "processes"):
        last: dict[str, int] = {}
        for row in results[part]:
            last[row["map"]] = row["server_rss"]
        rows += [[f"{part}, {kind}", f"{rss / 2**20:,.0f} MiB"] for kind, rss in last.items()]
    return table(["the server's memory at the end", "etcd and API server"], rows)


def runaway() -> str:
    rows = results["runaway"]
    chosen = [row for at, row in enumerate(rows) if at % max(1, len(rows) // 12) == 0 or row is rows[-1]]
    return table(
        ["second", "written", "refused", "longest set", "budget used", "etcd's file", "server's memory"],
        (
            [
                str(row["second"]), str(row["written"]), str(row.get("overloaded", 0)),
                f"{row.get('longest_ms', 0) / 1e3:.1f} s", f"{row.get('budget_used', 0) / 2**20:.0f} MiB",
                f"{row['etcd'] / 2**20:.0f} MiB", f"{row['rss'] / 2**20:.0f} MiB",
            ]
            for row in chosen
        ),
    )  # fmt: skip


def save(figure: Any, name: str) -> None:
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")


def plot_sizes() -> None:
    figure, axes = pyplot.subplots(figsize=(8, 4))
    shown = [name for name in contenders("sizes") if "shipped" not in name]
    for contender in shown:
        style = {"floor": "k:"}.get(contender, "-o" if contender.startswith("mapstore") else "--s")
        axes.plot(MAPS, [p50(contender, kind) for kind in MAPS], style, label=contender, markersize=3)
    axes.set(yscale="log", ylabel="milliseconds a set, p50", title="One writer sets one key")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(bbox_to_anchor=(1, 1), frameon=False)
    save(figure, "one-writer")


def plot_threads() -> None:
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 4), sharey=True)
    for axes, kind in zip(panels, ("1 KiB", "5000 keys")):
        steps = list(dict.fromkeys(row["threads"] for row in results["threads"]))
        for contender in contenders("threads"):
            style = "-o" if contender.startswith("mapstore") else "--s"
            axes.plot(
                [str(step) for step in steps],
                [rate(contender, kind, step) for step in steps],
                style,
                label=contender,
                markersize=3,
            )
        axes.set(yscale="log", xlabel="writing threads in one process", title=kind)
        axes.grid(axis="y", alpha=0.3)
    panels[0].set_ylabel("sets a second")
    panels[1].legend(bbox_to_anchor=(1, 1), frameon=False)
    save(figure, "threads")


def plot_runaway() -> None:
    figure, axes = pyplot.subplots(figsize=(8, 3))
    at = [row["second"] for row in results["runaway"]]
    for field, label in (
        ("etcd", "etcd's file"),
        ("rss", "the server's memory"),
        ("budget_used", "budget used"),
    ):
        axes.plot(at, [row.get(field, 0) / 2**20 for row in results["runaway"]], label=label)
    axes.set(xlabel="seconds", ylabel="MiB", title="A loop sets a key of a 900 KiB map without end")
    axes.legend(frameon=False)
    save(figure, "runaway")


def main() -> None:
    parts = [
        "# What writes cost\n",
        "Written by `make bench`; bench/README.md says what is measured and how.\n",
        ratios(), floors(), "![one writer](one-writer.svg)\n", sizes(), counts(), "![threads](threads.svg)\n",
        throughput("threads", "threads", "1 KiB"), throughput("threads", "threads", "5000 keys"),
        "Processes with one writer each; the whole-map writers aren't here, they lose writes:\n",
        throughput("processes", "processes", "1 KiB"),
        "A loop that sets one key of a 900 KiB map without end, under the default write budget:\n",
        runaway(), "![runaway](runaway.svg)\n", memory(),
        "Measured on: " + "; ".join(f"{key} {value}" for key, value in results["machine"].items()) + ".\n",
    ]  # fmt: skip
    (folder / "README.md").write_text("\n".join(parts))
    plot_sizes()
    plot_threads()
    plot_runaway()
    print("\n" + parts[2] + "\n" + parts[3])
    print(f"all of it: {folder / 'README.md'}")


main()
