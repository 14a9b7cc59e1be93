"""Eight processes in three languages write one map of the real API server, beside kubectl and a correct
read-modify-write client: nobody's write is lost, and the counter that all increment is exact.

run.py BUILT APISERVER [KEYS]      cargo's folder with the workers in it, the folder of the API server's programs

Requests are counted as the server counts them itself, in its metrics.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from launcher import ApiServer

built, apiserver = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
keys = int(sys.argv[3]) if len(sys.argv) > 3 else 150
here = Path(__file__).resolve().parent


def foreign_writers(cluster: ApiServer, path: str, over: threading.Event, rounds: dict[str, int]) -> None:
    """A client that reads, changes and writes back with the revision it read."""
    while not over.wait(0.05):
        status, current = cluster.request("GET", path)
        if status != 200:
            continue
        current.setdefault("data", {})["careful"] = str(rounds["careful"] + 1)
        status, _ = cluster.request("PUT", path, current)
        assert status in (200, 409), status
        rounds["careful"] += status == 200


def kubectl(cluster: ApiServer, over: threading.Event, rounds: dict[str, int]) -> None:
    while not over.wait(0.05):
        patch = json.dumps({"data": {"kubectl": str(rounds["kubectl"] + 1)}})
        command = [apiserver / "kubectl", "--kubeconfig", cluster.kubeconfig, "-n", "many", "patch"]
        done = subprocess.run(
            [*command, "configmap", "many", "--type", "merge", "-p", patch], capture_output=True
        )
        rounds["kubectl"] += done.returncode == 0


def main() -> None:
    with ApiServer(apiserver) as cluster:
        cluster.command("namespace", name="many")
        path = "/api/v1/namespaces/many/configmaps/many"
        status, _ = cluster.request("POST", path.rsplit("/", 1)[0], {"metadata": {"name": "many"}})
        assert status == 201, status
        before, started = sum(cluster.configmap_requests().values()), time.monotonic()
        workers = [[built / "many-go"], [built / "many-cpp"], [sys.executable, here / "worker.py"]]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(built / "python")}
        processes = [
            subprocess.Popen(
                [*workers[own % 3], cluster.kubeconfig, "many", str(own), str(keys),
                 "exclusive" if own in (3, 4) else "none"],
                env=environment,
            )
            for own in range(8)
        ]  # fmt: skip
        over, rounds = threading.Event(), {"careful": 0, "kubectl": 0}
        others = [
            threading.Thread(target=foreign_writers, args=(cluster, path, over, rounds)),
            threading.Thread(target=kubectl, args=(cluster, over, rounds)),
        ]
        for other in others:
            other.start()
        statuses = [process.wait(900) for process in processes]
        took = time.monotonic() - started
        over.set()
        for other in others:
            other.join()
        requests = sum(cluster.configmap_requests().values()) - before
        assert statuses == [0] * 8, statuses

        _, found = cluster.request("GET", path)
        values = {key: base64.b64decode(value).decode() for key, value in found.get("binaryData", {}).items()}
        missing = [
            f"p{own}-{number}"
            for own in range(8)
            for number in range(keys)
            if values.get(f"p{own}-{number}") != f"{own}.{number}"
        ]
        assert not missing, f"{len(missing)} of {8 * keys} keys are lost, {missing[:3]} among them"
        increments = 8 * len(range(0, keys, 5))
        assert values["counter"] == str(increments), f"{increments} increments made {values['counter']}"
        for name, count in rounds.items():
            assert count > 0 and found["data"][name] == str(count), (name, count, found["data"][name])
        foreign = 2 * rounds["careful"] + 2 * rounds["kubectl"]
        writes = 8 * keys + increments
        print(
            f"8 processes, 3 languages: {8 * keys} keys and {increments} increments, none lost, in {took:.1f} s; "
            f"{(requests - foreign) / writes:.2f} requests a write; beside {rounds['kubectl']} writes of kubectl "
            f"and {rounds['careful']} of a read-modify-write client"
        )


main()
