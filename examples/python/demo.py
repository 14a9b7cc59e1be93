"""A part of `make demo`: reads what the others wrote, and adds a key of its own.

demo.py KUBECONFIG NAMESPACE NAME       NAMESPACE "" is the kubeconfig's
"""

import sys

import mapstore


def shown(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"{len(value)} bytes that are no text"


kubeconfig, namespace, name = sys.argv[1:]
with mapstore.open(name, kubeconfig=kubeconfig, namespace=namespace or None, text_values=True) as store:
    for key, value in store.items():
        print(f"[python]   {key} = {shown(value)}")
    written = store.update("runs", lambda old: str(int(old or 0) + 1).encode())
    print(f"[python] incremented runs (revision {written.revision})")
    try:
        store.compare_and_set("runs", b"no number", b"0")
    except mapstore.ConflictError as refused:
        print(f"[python] refused, {refused.kind} ({refused.code}): {refused}")
