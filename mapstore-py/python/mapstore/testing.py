"""A Kubernetes API server for ConfigMaps on loopback (mapstore-dev), for the tests of programs that use mapstore."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import typing as t
import weakref
from collections import abc

from . import Store, open

if t.TYPE_CHECKING:
    # Every type checker knows this module; nobody needs to have it installed.
    import typing_extensions as te
else:
    from . import _untyped as te

__all__ = ["DevServer"]


class DevServer:
    """A running mapstore-dev. It ends with the ``with``, with ``stop()``, and with this process.

    The program is the one that MAPSTORE_DEV names, or that PATH has. A forked
    child may use the server; it doesn't hold it, and can't stop it.
    """

    #: The path of an administrator's kubeconfig for the server.
    kubeconfig: str

    def __init__(self, namespaces: abc.Sequence[str] = ()) -> None:
        program = os.environ.get("MAPSTORE_DEV") or shutil.which("mapstore-dev")
        if program is None:
            raise FileNotFoundError(
                "mapstore-dev is not on the PATH: install it with `make install-dev` in the mapstore "
                "sources, or set MAPSTORE_DEV to the program"
            )
        folder = tempfile.mkdtemp(prefix="mapstore-dev-")
        self.kubeconfig = os.path.join(folder, "kubeconfig")
        arguments = [program, "--write-kubeconfig", self.kubeconfig, "--exit-with-stdin"]
        for namespace in namespaces:
            arguments += ["--namespace", namespace]
        process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._stop = weakref.finalize(self, _stop, process, folder, os.getpid())
        _RUNNING.add(process)
        assert process.stdout is not None
        said = process.stdout.readline()
        if "listening on" not in said:
            said += process.stdout.read()
            self.stop()
            raise RuntimeError(f"mapstore-dev didn't start: {said.strip()}")

    def open(
        self,
        name: str,
        *,
        namespace: t.Optional[str] = None,
        cache: t.Literal["none", "exclusive"] = "none",
        timeout: float = 10.0,
    ) -> Store:
        """A store on this server."""
        return open(name, namespace=namespace, kubeconfig=self.kubeconfig, cache=cache, timeout=timeout)

    def stop(self) -> None:
        """Ends the server. A second time does nothing, and in a forked child neither."""
        self._stop()

    def __enter__(self) -> te.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


_RUNNING: weakref.WeakSet[subprocess.Popen[str]] = weakref.WeakSet()


def _stop(process: subprocess.Popen[str], folder: str, owner: int) -> None:
    if os.getpid() != owner:
        return
    _let_go(process)
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _let_go(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _let_go_of_all() -> None:
    """In a forked child: a server lives as long as its standard input is held."""
    for process in list(_RUNNING):
        _let_go(process)


os.register_at_fork(after_in_child=_let_go_of_all)
