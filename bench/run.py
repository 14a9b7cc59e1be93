"""Measures what writes cost, mapstore's and others', on the real API server: see README.md.

run.py WORKERS APISERVER check
run.py WORKERS APISERVER RESULTS.json [only=sizes,counts,threads,processes,runaway] [rounds=3] [seconds=2] [runaway=600]
"""

from __future__ import annotations

import base64
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from launcher import ApiServer, LineProgram

here = Path(__file__).resolve().parent
workers, apiserver = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
settings = {"only": "sizes,counts,threads,processes,runaway", "rounds": "3", "seconds": "2", "runaway": "600"}
settings |= dict(argument.split("=", 1) for argument in sys.argv[4:])
seconds = float(settings["seconds"])

# Maps by name: how many keys, and how long each value is.
MAPS = {"1 KiB": (8, 128), "100 KiB": (100, 1024), "900 KiB": (90, 10240), "5000 keys": (5000, 20)}
NAMESPACE = "bench"
MAPSTORE = ["rust", "c", "go", "python"]


@dataclass(frozen=True)
class Contender:
    name: str
    program: tuple[str, ...]
    how: str
    """What the worker calls it: a cache mode, or a way to write."""


CONTENDERS = [
    Contender("floor", ("bench-floor",), ""),
    *(
        Contender(f"mapstore {language} {cache}", program, cache)
        for cache in ("none", "exclusive")
        for language, program in {
            "rust": ("bench-worker",),
            "c": ("worker-c",),
            "go": ("worker-go",),
            "python": ("venv/bin/python", str(here / "python" / "worker.py")),
        }.items()
    ),
    Contender("client-go GET GET PUT", ("clientgo",), "ggp"),
    Contender("client-go GET PUT", ("clientgo",), "gp"),
    Contender("client-go GET GET PUT, protobuf", ("clientgo",), "ggp-protobuf"),
    Contender("client-go GET PUT, protobuf", ("clientgo",), "gp-protobuf"),
    Contender("client-go GET GET PUT, as shipped", ("clientgo",), "ggp-shipped"),
    Contender("client-go GET PUT, as shipped", ("clientgo",), "gp-shipped"),
    Contender("python client patch", ("venv/bin/python", str(here / "python" / "official.py")), "patch"),
    Contender("python client GET PUT", ("venv/bin/python", str(here / "python" / "official.py")), "replace"),
]
NAMED = {contender.name: contender for contender in CONTENDERS}
# Client-go's own limit of 5 requests a second makes these the same at every size.
SHIPPED = [contender for contender in CONTENDERS if contender.name.endswith("as shipped")]
UNLIMITED = [contender for contender in CONTENDERS if contender not in SHIPPED]


class Server(ApiServer):
    """A fresh one for each part: the memory that one part takes isn't the next one's."""

    version = ""

    def __init__(self) -> None:
        super().__init__(apiserver)
        Server.version = self.ready["version"]
        self.command("namespace", name=NAMESPACE)
        self.made = 0

    def make_map(self, kind: str) -> str:
        """As another client would: with managedFields, which client-go's writes keep and mapstore's shed."""
        self.made += 1
        keys, length = MAPS[kind]
        # Not to be compressed: client-go asks for gzip.
        random = Random(0)
        values = {f"key-{n}": base64.b64encode(random.randbytes(length)).decode() for n in range(keys)}
        body = {"metadata": {"name": f"m{self.made}"}, "binaryData": values}
        status, answer = self.request("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", body)
        assert status == 201, answer
        return f"m{self.made}"

    def rss(self) -> int:
        return int(self.command("memory")["rss"])

    def holds(self) -> dict[str, int]:
        return {"rss": self.rss(), "etcd": self.command("db_size")["bytes"]}


@dataclass(frozen=True)
class Access:
    """Where the workers connect to: the server, or the proxy before it."""

    kubeconfig: str
    url: str
    ca: str
    token: str

    @classmethod
    def to(cls, server: Server) -> Access:
        ready = server.ready
        return cls(server.kubeconfig, ready["server"], ready["ca_file"], ready["token"])

    @classmethod
    def through(cls, proxy: LineProgram, server: Server) -> Access:
        kubeconfig = proxy.ready["kubeconfig"]
        cluster = json.loads(Path(kubeconfig).read_text())["clusters"][0]["cluster"]
        ca = workers / "proxy-ca.pem"
        ca.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        return cls(kubeconfig, proxy.ready["url"], str(ca), server.ready["token"])


class Worker:
    def __init__(
        self, contender: Contender, access: Access, name: str, threads: int, lasts: float, own: int
    ) -> None:
        command = [workers / contender.program[0], *contender.program[1:]]
        if contender.name == "floor":
            command += [access.url, access.ca, access.token, NAMESPACE, name, str(lasts)]
        else:
            command += [access.kubeconfig, NAMESPACE, name, contender.how, str(threads), str(lasts), str(own)]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(workers / "python")}
        self.name = contender.name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{contender.name} ended with status {self.process.wait()}")

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self) -> tuple[float, list[int]]:
        """How long it took in seconds, and each set's microseconds."""
        out, _ = self.process.communicate()
        if self.process.returncode != 0:
            raise RuntimeError(f"{self.name} ended with status {self.process.returncode}")
        took, *sets = map(int, out.split())
        return took / 1e6, sets


def quantile(values: list[int], share: float) -> int:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def run(
    server: Server,
    contender: Contender,
    kind: str,
    *,
    threads: int = 1,
    processes: int = 1,
    lasts: float = seconds,
) -> dict[str, Any]:
    """One measurement on a map of its own, with what the server counted meanwhile."""
    name, access = server.make_map(kind), Access.to(server)
    running = [Worker(contender, access, name, threads, lasts, own) for own in range(processes)]
    before = server.configmap_requests()
    for worker in running:
        worker.go()
    results = [worker.result() for worker in running]
    counted = server.configmap_requests()
    requests = {key: counted[key] - before.get(key, 0) for key in counted}
    sets = [each for _, mine in results for each in mine]
    row = {
        "contender": contender.name, "map": kind, "threads": threads, "processes": processes,
        "sets": len(sets), "per_second": len(sets) / max(took for took, _ in results),
        "p50_us": quantile(sets, 0.5), "p99_us": quantile(sets, 0.99), "max_us": max(sets),
        "requests": sum(requests.values()), "conflicts": sum(n for (_, code), n in requests.items() if code == "409"),
        "server_rss": server.rss(),
    }  # fmt: skip
    print(
        f"{contender.name:36} {kind:9} {threads:4} threads {processes} processes: {row['per_second']:9.1f} sets/s, "
        f"p50 {row['p50_us'] / 1e3:8.2f} ms, p99 {row['p99_us'] / 1e3:8.2f} ms, "
        f"{row['requests'] / row['sets']:.2f} requests and {row['conflicts'] / row['sets']:.2f} conflicts a set",
        flush=True,
    )
    return row


def sizes() -> list[dict[str, Any]]:
    """One writer. The contenders take turns, each round beginning with another one: a slow minute of the machine, and
    what a server's first minute costs, is everybody's."""
    rows = []
    rounds = int(settings["rounds"])
    for kind in MAPS:
        with Server() as server:
            for turn in range(rounds):
                first = turn * len(UNLIMITED) // rounds
                rows += [run(server, contender, kind) for contender in UNLIMITED[first:] + UNLIMITED[:first]]
            if kind == "1 KiB":
                rows += [run(server, contender, kind, lasts=10) for contender in SHIPPED]
    return rows


def counts() -> list[dict[str, Any]]:
    """Requests and bytes of bodies a set, through the counting proxy; not timed."""
    rows = []
    with Server() as server, LineProgram(workers / "mapstore-proxy", server.kubeconfig) as proxy:
        access = Access.through(proxy, server)
        for kind in MAPS:
            for contender in UNLIMITED:
                worker = Worker(contender, access, server.make_map(kind), 1, 0.5, 0)
                proxy.command("reset_counts")
                worker.go()
                _, sets = worker.result()
                counted = proxy.command("counts")["counts"]
                total = {
                    field: sum(count[field] for count in counted)
                    for field in ("requests", "request_body", "response_body")
                }
                rows.append({"contender": contender.name, "map": kind, "sets": len(sets), **total})
                print(
                    f"{contender.name:36} {kind:9} {total['requests'] / len(sets):.2f} requests, "
                    f"{total['request_body'] / len(sets):9.0f} bytes up, "
                    f"{total['response_body'] / len(sets):9.0f} down a set",
                    flush=True,
                )
    return rows


def check() -> None:
    """The short form: a set is one request of less than 1,000 bytes whatever the map; the others do what they should."""
    rows = counts()
    expected = {
        "client-go GET GET PUT": 3,
        "client-go GET PUT": 2,
        "python client patch": 1,
        "python client GET PUT": 2,
    }
    for row in rows:
        each = row["requests"] / row["sets"]
        assert each == expected.get(row["contender"].removesuffix(", protobuf"), 1), row
        if row["contender"].startswith("mapstore"):
            assert row["request_body"] + row["response_body"] < 1000 * row["sets"], row
    print(f"requests and bytes are right: {len(rows)} rows")


def threads() -> list[dict[str, Any]]:
    rows = []
    for kind in ("1 KiB", "5000 keys"):
        with Server() as server:
            for count in (1, 8, 64, 512):
                for language in MAPSTORE:
                    rows.append(run(server, NAMED[f"mapstore {language} none"], kind, threads=count))
                rows.append(run(server, NAMED["mapstore rust exclusive"], kind, threads=count))
                for name in ("client-go GET GET PUT", "client-go GET PUT"):
                    rows.append(run(server, NAMED[name], kind, threads=count))
    return rows


def processes() -> list[dict[str, Any]]:
    """The package that mapstore replaces isn't here: with two writers it loses what one of them wrote."""
    with Server() as server:
        return [
            run(server, NAMED[name], "1 KiB", processes=count, lasts=2 * seconds)
            for count in (1, 2, 4, 8)
            for name in (*(f"mapstore {language} none" for language in MAPSTORE), "mapstore rust exclusive")
        ]


def runaway() -> list[dict[str, Any]]:
    """A loop that sets a key of a 900 KiB map without end, under the default write budget."""
    rows, lasts = [], int(settings["runaway"])
    with Server() as server:
        name, access = server.make_map("900 KiB"), Access.to(server)
        rows.append({"second": 0, "written": 0, **server.holds()})
        worker = Worker(Contender("runaway", ("bench-worker",), "runaway"), access, name, 1, lasts, 0)
        worker.go()
        assert worker.process.stdout is not None
        longest, sampled = 0, time.monotonic()
        for line in worker.process.stdout:
            second, written, overloaded, slowest, used, limit = map(int, line.split())
            longest = max(longest, slowest)
            if time.monotonic() - sampled < 10:
                continue
            sampled = time.monotonic()
            row = {
                "second": second, "written": written, "overloaded": overloaded, "longest_ms": longest,
                "budget_used": used, "budget_limit": limit, **server.holds(),
            }  # fmt: skip
            rows.append(row)
            print(
                f"{second:4} s: {written} written, {overloaded} refused (Overloaded), longest set {longest} ms, "
                f"budget {used / 2**20:.0f} of {limit / 2**20:.0f} MiB, etcd's file {row['etcd'] / 2**20:.0f} MiB, "
                f"the server's memory {row['rss'] / 2**20:.0f} MiB",
                flush=True,
            )
            longest = 0
        if worker.process.wait() != 0:
            raise RuntimeError(f"the runaway loop ended with status {worker.process.returncode}")
    return rows


def machine() -> dict[str, str]:
    def said(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=here).stdout.strip()

    cpu = next(
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    )
    memory = next(
        line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal")
    )
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": said("git", "rev-parse", "--short", "HEAD"),
        "cpu": f"{os.cpu_count()} x {cpu.split(':', 1)[1].strip()}",
        "memory": f"{int(memory.split()[1]) / 2**20:.0f} GiB",
        "system": platform.platform(),
        "api server": Server.version,
        "rust": said("rustc", "--version"),
        "go": said("go", "env", "GOVERSION"),
        "client-go": said("go", "-C", "go/clientgo", "list", "-m", "-f", "{{.Version}}", "k8s.io/client-go"),
        "python": platform.python_version(),
        "python client": (here / "requirements-check.txt").read_text().split("kubernetes==")[1].split()[0],
    }


def main() -> None:
    if sys.argv[3:] == ["check"]:
        return check()
    path, started = Path(sys.argv[3]), time.monotonic()
    results = json.loads(path.read_text()) if path.exists() else {}
    parts = {part.__name__: part for part in (sizes, counts, threads, processes, runaway)}
    for name in settings["only"].split(","):
        print(f"\n--- {name}", flush=True)
        results[name] = parts[name]()
        results["machine"] = machine()
        path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nmeasured in {(time.monotonic() - started) / 60:.0f} min")


main()
