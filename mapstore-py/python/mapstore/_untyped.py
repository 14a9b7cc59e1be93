"""For the running program: what annotations take from typing_extensions, which needn't be installed."""

from __future__ import annotations

import collections.abc
import typing

#: Before Python 3.12 there is no name for "has the buffer protocol".
Buffer: typing.Any = getattr(collections.abc, "Buffer", typing.Any)
Self: typing.Any = getattr(typing, "Self", typing.Any)
