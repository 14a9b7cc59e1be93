"""An HTTP proxy before a mapstore-dev that counts requests."""

from __future__ import annotations

import base64
import http.client
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class CountingProxy:
    def __init__(self, kubeconfig: str, own_kubeconfig: Path) -> None:
        config = Path(kubeconfig).read_text()
        address = self._field(config, "server").removeprefix("https://")
        authority = base64.b64decode(self._field(config, "certificate-authority-data")).decode()
        trust = ssl.create_default_context(cadata=authority)
        # No client sends a credential over plain http: the proxy knows it from the kubeconfig.
        credential = {"Authorization": f"Bearer {self._field(config, 'token')}"}
        self.requests: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                proxy.requests.append(self.command)
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                server = http.client.HTTPSConnection(address, context=trust)
                server.request(self.command, self.path, body, dict(self.headers) | credential)
                answer = server.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                self.send_header("content-type", answer.getheader("content-type", ""))
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                server.close()

            do_GET = do_PATCH = do_PUT = do_POST = forward

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        plain = f"server: http://127.0.0.1:{self.server.server_port}"
        config = re.sub(r"server: .*", plain, re.sub(r"\n *certificate-authority-data: .*", "", config))
        own_kubeconfig.write_text(config)
        self.kubeconfig = str(own_kubeconfig)

    @staticmethod
    def _field(config: str, name: str) -> str:
        found = re.search(rf"{name}: (.*)", config)
        assert found is not None, f"no {name} in the kubeconfig"
        return found[1].strip('"')

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
