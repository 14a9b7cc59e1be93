"""The pytest plugin: the fixture ``mapstore_server``, one server for the whole session."""

from __future__ import annotations

import typing as t
from collections import abc

import pytest

if t.TYPE_CHECKING:
    from . import testing

__all__ = ["mapstore_server"]


@pytest.fixture(scope="session")
def mapstore_server() -> abc.Iterator[testing.DevServer]:
    """A mapstore-dev; ``mapstore_server.open(name)`` gives a store on it."""
    from .testing import DevServer

    with DevServer() as server:
        yield server
