"""A webhook of somebody else, on this machine, that denies all that it is asked about."""

import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.rig import Rig


@contextmanager
def denying(rig: Rig, why: str) -> Iterator[dict[str, str]]:
    """Serve it, with the API server's own certificate, and give the clientConfig that leads to it.

    Like most, it names no code for its refusals.
    """

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            verdict = {"uid": review["request"]["uid"], "allowed": False, "status": {"message": why}}
            answer = json.dumps({key: review[key] for key in ("apiVersion", "kind")} | {"response": verdict}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Keep silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(rig.certificate, rig.certificate.with_suffix(".key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        bundle = b64encode(rig.certificate.read_bytes()).decode()
        yield {"url": f"https://127.0.0.1:{server.server_port}/", "caBundle": bundle}
    finally:
        server.shutdown()
        server.server_close()
