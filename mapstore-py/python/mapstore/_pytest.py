"""The pytest plugin: the fixture ``mapstore_server``, one server for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import DevServer


@pytest.fixture(scope="session")
def mapstore_server() -> Iterator[DevServer]:
    """A mapstore-dev; ``mapstore_server.open(name)`` gives a store on it."""
    from .testing import DevServer

    with DevServer() as server:
        yield server
