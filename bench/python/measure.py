"""What the Python workers have in common: see bench/README.md."""

from __future__ import annotations

import sys
import threading
import time
from typing import Callable


def measure(set_key: Callable[[str, bytes], object], threads: int, seconds: float, own: str) -> None:
    """Every thread sets its own key once, waits for a line on stdin, and then sets it for that long."""
    gate = threading.Barrier(threads + 1)
    took: list[list[int]] = [[] for _ in range(threads)]
    failures: list[BaseException] = []

    def work(number: int) -> None:
        key, mine = f"w{own}-{number}", took[number]
        try:
            set_key(key, b"0000000000000000")
            gate.wait()
            gate.wait()
            over = time.perf_counter() + seconds
            while (before := time.perf_counter()) < over:
                set_key(key, b"%016d" % (len(mine) + 1))
                mine.append(int((time.perf_counter() - before) * 1e6))
        except BaseException as failure:
            failures.append(failure)
            gate.abort()

    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    try:
        gate.wait()
        print("ready", flush=True)
        sys.stdin.readline()
        started = time.perf_counter()
        gate.wait()
    except threading.BrokenBarrierError:
        raise failures[0] from None
    for thread in running:
        thread.join()
    if failures:
        raise failures[0]
    print(int((time.perf_counter() - started) * 1e6), *(each for mine in took for each in mine), sep="\n")
