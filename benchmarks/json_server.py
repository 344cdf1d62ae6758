"""A POST with JSON in, JSON out: the HTTP server, on this machine alone, that tests and benchmarks ask."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from numpy.typing import NDArray


class JsonServer(ThreadingHTTPServer):
    """Who derives from it says what is answered."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Request)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, request: "Request", body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """(status, reply) to a request; None where the answer has been written to `request` already."""
        raise NotImplementedError


class Request(BaseHTTPRequestHandler):
    """One request."""

    server: JsonServer

    @property
    def key(self) -> str:
        """The secret that came with it, as Azure or as OpenAI wants it."""
        return self.headers.get("api-key") or self.headers.get("Authorization", "").removeprefix("Bearer ")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if (answered := self.server.answer(self, body)) is None:
            return
        status, reply = answered
        content = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Nothing on stderr."""


Server = TypeVar("Server", bound=JsonServer)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, answering in a thread until the block is left."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refusal(status: int, message: str, code: str = "") -> tuple[int, dict[str, Any]]:
    """An error as these providers word it."""
    return status, {"error": {"code": code or str(status), "message": message}}


def embedded(vectors: "list[NDArray[Any]]", body: dict[str, Any], model: str, count: int) -> dict[str, Any]:
    """float32 `vectors` as the embeddings protocol sends them: lists of numbers, or base64 where `body` asks for it."""
    coded = [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
    sent = coded if body.get("encoding_format") == "base64" else [vector.tolist() for vector in vectors]
    data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(sent)]
    return {
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }
