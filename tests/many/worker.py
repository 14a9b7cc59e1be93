"""Writes its own keys and increments what all share: worker.py KUBECONFIG NAMESPACE ID KEYS CACHE."""

import sys

import mapstore

kubeconfig, namespace, own, keys, cache = sys.argv[1:]
with mapstore.open("many", kubeconfig=kubeconfig, namespace=namespace, cache=cache, timeout=120) as store:
    for number in range(int(keys)):
        store.set(f"p{own}-{number}", f"{own}.{number}".encode())
        if number % 5 == 0:
            store.update("counter", lambda old: str(int(old or 0) + 1).encode())
