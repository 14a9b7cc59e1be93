"""Applies examples/pod/manifest.yaml on the real API server and runs the examples under exactly its rights.

pod.py APISERVER DOCUMENT COMMAND…     DOCUMENT shows the Role; each COMMAND a program with its arguments, in one word; all count the same visits
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from launcher import ApiServer

apiserver, document = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
manifest = Path(__file__).resolve().parents[2] / "examples" / "pod" / "manifest.yaml"
NAMESPACE = "pod"
MAP = f"/api/v1/namespaces/{NAMESPACE}/configmaps/my-settings"


def main() -> None:
    with ApiServer(apiserver) as server, tempfile.TemporaryDirectory() as scratch:
        server.command("namespace", name=NAMESPACE)

        def kubectl(*arguments: str, kubeconfig: str = server.kubeconfig, given: str | None = None) -> str:
            command = [
                apiserver / "kubectl",
                "--kubeconfig",
                kubeconfig,
                "--namespace",
                NAMESPACE,
                *arguments,
            ]
            done = subprocess.run(command, input=given, capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"kubectl {' '.join(arguments)}: {done.stderr}")
            return done.stdout

        def rules(applied: str) -> Any:
            answer = json.loads(applied)
            items = answer.get("items", [answer])
            return [item["rules"] for item in items if item["kind"] == "Role"]

        applied = rules(kubectl("apply", "-f", str(manifest), "-o", "json"))
        shown = [
            block
            for block in re.findall(r"```yaml\n(.*?)```", document.read_text(), re.S)
            if "kind: Role" in block
        ]
        assert len(shown) == 1, f"{document} should have one Role"
        assert rules(kubectl("apply", "--dry-run=server", "-f", "-", "-o", "json", given=shown[0])) == applied

        token = kubectl("create", "token", "my-program").strip()
        config = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        config["users"][0]["user"] = {"token": token}
        mine = Path(scratch) / "kubeconfig"
        mine.write_text(json.dumps(config))
        allowed = kubectl("auth", "can-i", "--list", kubeconfig=str(mine))
        assert "delete" not in allowed, allowed

        environment = {
            "PATH": os.environ["PATH"], "HOME": scratch, "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "MAPSTORE_CLUSTER_CONFIG_PATH": str(mine), "NAMESPACE": NAMESPACE,
        }  # fmt: skip
        for visits, command in enumerate(sys.argv[3:], 1):
            done = subprocess.run(command.split(), capture_output=True, text=True, env=environment)
            said = done.stdout + done.stderr
            assert done.returncode == 0 and f"visits = {visits}" in said, f"{command}: {said}"
            print(
                f"ok: under the manifest's rights: {command.split()[-1].rsplit('/', 1)[-1]}: {done.stdout.strip()}"
            )
        status, _ = server.request("GET", MAP)
        assert status == 200, status


main()
