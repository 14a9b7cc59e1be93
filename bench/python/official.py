"""Kubernetes' own Python client: official.py KUBECONFIG NAMESPACE NAME patch|replace THREADS SECONDS ID

`patch` sends one key; `replace` reads the map, changes the key and writes all back with the revision it read.
"""

import base64
import sys
import threading

from kubernetes import client, config
from measure import measure

kubeconfig, namespace, name, how, threads, seconds, own = sys.argv[1:]
config.load_kube_config(kubeconfig)
api = client.CoreV1Api()
one_at_a_time = threading.Lock()


def patch(key: str, value: bytes) -> None:
    body = {"binaryData": {key: base64.b64encode(value).decode()}}
    api.patch_namespaced_config_map(name, namespace, body)


def replace(key: str, value: bytes) -> None:
    with one_at_a_time:
        current = api.read_namespaced_config_map(name, namespace)
        current.binary_data = {**(current.binary_data or {}), key: base64.b64encode(value).decode()}
        api.replace_namespaced_config_map(name, namespace, current)


measure(patch if how == "patch" else replace, int(threads), float(seconds), own)
