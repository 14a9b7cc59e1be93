"""A Kubernetes API server for ConfigMaps on loopback (mapstore-dev), for the tests of programs that use mapstore."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Optional

from . import Store, open


class DevServer:
    """A running mapstore-dev. It ends with the ``with``, with ``stop()``, and with this process.

    The program is the one that MAPSTORE_DEV names, or that PATH has.
    """

    #: The path of an administrator's kubeconfig for the server.
    kubeconfig: str

    def __init__(self, namespaces: Sequence[str] = ()) -> None:
        program = os.environ.get("MAPSTORE_DEV") or shutil.which("mapstore-dev")
        if program is None:
            raise FileNotFoundError(
                "mapstore-dev is not on the PATH: install it with `make install-dev` in the mapstore "
                "sources, or set MAPSTORE_DEV to the program"
            )
        self._dir = tempfile.TemporaryDirectory(prefix="mapstore-dev-")
        self.kubeconfig = os.path.join(self._dir.name, "kubeconfig")
        arguments = [program, "--write-kubeconfig", self.kubeconfig, "--exit-with-stdin"]
        for namespace in namespaces:
            arguments += ["--namespace", namespace]
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if "listening on" not in said:
            said += self._process.stdout.read()
            self.stop()
            raise RuntimeError(f"mapstore-dev didn't start: {said.strip()}")

    def open(
        self, name: str, *, namespace: Optional[str] = None, cache: str = "none", timeout: float = 10.0
    ) -> Store:
        """A store on this server."""
        return open(name, namespace=namespace, kubeconfig=self.kubeconfig, cache=cache, timeout=timeout)

    def stop(self) -> None:
        """Ends the server. A second time does nothing."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._dir.cleanup()

    def __enter__(self) -> DevServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
