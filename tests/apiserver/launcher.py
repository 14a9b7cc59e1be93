"""The real API server, from Python: the launcher beside this file, for the time of a `with`."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


class LineProgram:
    """A program that answers each JSON line with one; its first line says that it is ready. It ends with its input."""

    def __init__(self, *command: str | Path) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = self._line()
        if self.ready["event"] != "ready":
            raise RuntimeError(f"{command[0]} didn't start: {self.ready}")

    def _line(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} ended with status {self.process.wait()}")
        return json.loads(line)

    def command(self, cmd: str, **fields: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"cmd": cmd, **fields}) + "\n")
        self.process.stdin.flush()
        answer = self._line()
        if not answer["ok"]:
            raise RuntimeError(f"{cmd}: {answer['error']}")
        return answer

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class ApiServer(LineProgram):
    """kube-apiserver and etcd. `folder` holds the programs; `flags` are kube-apiserver's."""

    def __init__(self, folder: Path, *flags: str) -> None:
        super().__init__(folder / "launcher", "--server", folder / "apiserver", "--", *flags)
        self.kubeconfig: str = self.ready["kubeconfig"]
        self._trust = ssl.create_default_context(cafile=self.ready["ca_file"])

    def _open(self, method: str, path: str, body: Any = None, media: str = "application/json") -> Any:
        request = urllib.request.Request(
            self.ready["server"] + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": "Bearer " + self.ready["token"], "Content-Type": media},
            method=method,
        )
        return urllib.request.urlopen(request, context=self._trust)

    def request(
        self, method: str, path: str, body: Any = None, media: str = "application/json"
    ) -> tuple[int, Any]:
        """What an administrator's request is answered: the status, and the body from JSON."""
        try:
            with self._open(method, path, body, media) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    def configmap_requests(self) -> dict[tuple[str, str], int]:
        """How many requests for ConfigMaps there were so far by verb and status, as the server counts them."""
        with self._open("GET", "/metrics") as answer:
            text = answer.read().decode()
        counts: dict[tuple[str, str], int] = {}
        for labels, value in re.findall(r"^apiserver_request_total\{(.*)\} (\S+)$", text, re.M):
            label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if label["resource"] == "configmaps":
                key = label["verb"], label["code"]
                counts[key] = counts.get(key, 0) + int(float(value))
        return counts
