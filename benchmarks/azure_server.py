"""Texts over the Azure OpenAI embeddings protocol in; 1536 numbers a text out, made from its words, on this machine.

    python benchmarks/azure_server.py [--port 8123]

Texts with words in common get vectors with a high cosine, so retrieval over them is a lexical search. A wrong key, path
or version is answered as Azure answers it. Protocol: https://learn.microsoft.com/azure/ai-foundry/openai/reference
"""

import argparse
import base64
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSIONS = 1536  # of text-embedding-3-small
PATH = re.compile(r"^/openai/deployments/([^/]+)/embeddings$")


class AzureServer(ThreadingHTTPServer):
    """Answers one deployment to whoever holds the key."""

    daemon_threads = True

    def __init__(self, key: str = "local", deployment: str = "text-embedding-3-small", port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Request)
        self.key, self.deployment = key, deployment
        self.requests, self.texts = 0, 0  # answered

    @property
    def url(self) -> str:
        """What AZURE_OPENAI_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running(server: AzureServer) -> Iterator[AzureServer]:
    """The server, answering in a thread until the block is left."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Request(BaseHTTPRequestHandler):
    server: AzureServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        address = urlparse(self.path)
        named = PATH.match(address.path)
        if self.headers.get("api-key") != self.server.key:
            return self._refuse(401, "401", "Access denied due to invalid subscription key or wrong API endpoint.")
        if named is None or "api-version" not in parse_qs(address.query):
            return self._refuse(404, "404", "Resource not found")
        if named[1] != self.server.deployment:
            return self._refuse(404, "DeploymentNotFound", "The API deployment for this resource does not exist.")
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if not texts or not all(isinstance(text, str) and text for text in texts):
            return self._refuse(400, "invalid_request_error", "'$.input' is invalid.")
        data = [{"object": "embedding", "index": n, "embedding": coded(t, body)} for n, t in enumerate(texts)]
        self.server.requests, self.server.texts = self.server.requests + 1, self.server.texts + len(texts)
        count = sum(len(text) // 4 + 1 for text in texts)
        usage = {"prompt_tokens": count, "total_tokens": count}
        self._send(200, {"object": "list", "data": data, "model": named[1], "usage": usage})

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, {"error": {"code": code, "message": message}})

    def _send(self, status: int, reply: dict[str, Any]) -> None:
        content = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Nothing on stderr."""


def coded(text: str, body: dict[str, Any]) -> Any:
    """The vector as the request wants it: a list of numbers, or base64 of little-endian float32."""
    made = vector(text, int(body.get("dimensions") or DIMENSIONS))
    return base64.b64encode(made.tobytes()).decode() if body.get("encoding_format") == "base64" else made.tolist()


def vector(text: str, size: int = DIMENSIONS) -> "NDArray[Any]":
    """The words' own directions added, a word said n times counting sqrt(n); length 1, float32."""
    import numpy as np

    total = np.zeros(size)
    for word, count in Counter(re.findall(r"\w+", text.lower()) or [text]).items():
        total += count**0.5 * _direction(word, size)
    return (total / np.linalg.norm(total)).astype("<f4")


@lru_cache(maxsize=50_000)
def _direction(word: str, size: int) -> "NDArray[Any]":
    import numpy as np

    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8123)
    with AzureServer(port=parser.parse_args().port) as serving:
        print(f"AZURE_OPENAI_ENDPOINT={serving.url} AZURE_OPENAI_API_KEY={serving.key}", flush=True)
        serving.serve_forever()
