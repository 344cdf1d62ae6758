"""Requests over the chat completions protocol in, what the test tells it to say out, whole or streamed."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ChatServer(ThreadingHTTPServer):
    """Says `replies` one after the other, the last one for ever; a word is a token."""

    daemon_threads = True

    def __init__(self, *replies: str) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.replies = list(replies)
        self.seen: list[dict[str, Any]] = []  # path, key and body of each request
        self.key = "right"
        self.refusals: list[tuple[int, str]] = []  # answered first
        self.wait = 0.0  # s before an answer
        self.breaks = False  # whether the line breaks in the middle of a stream
        self.counts = True  # whether it says how many tokens it counted
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(*replies: str) -> Iterator[ChatServer]:
    """A server that answers in a thread until the block is left."""
    server = ChatServer(*replies)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Request(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers.get("api-key") or self.headers.get("Authorization", "").removeprefix("Bearer ")
        with self.server.lock:
            self.server.seen.append({"path": self.path, "key": key, **body})
            refusal = self.server.refusals.pop(0) if self.server.refusals else None
            if key != self.server.key:
                refusal = (401, "Access denied: wrong subscription key.")
            if refusal is None:
                text = self.server.replies.pop(0) if len(self.server.replies) > 1 else self.server.replies[0]
        if refusal:
            return self._send(refusal[0], {"error": {"code": str(refusal[0]), "message": refusal[1]}})
        time.sleep(self.server.wait)
        said = sum(len(m["content"].split()) for m in body["messages"])
        usage = {"prompt_tokens": said, "completion_tokens": len(text.split())}
        usage["total_tokens"] = sum(usage.values())
        head = {"id": "c", "created": 1, "model": "served"}
        if body.get("stream"):
            return self._stream(text, head, usage if body.get("stream_options", {}).get("include_usage") else None)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        counted = {"usage": usage} if self.server.counts else {}
        self._send(200, {**head, "object": "chat.completion", "choices": [choice], **counted})

    def _stream(self, text: str, head: dict[str, Any], usage: dict[str, int] | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        words = text.split(" ")
        for n, word in enumerate(words):
            piece = {"role": "assistant", "content": word + (" " if n + 1 < len(words) else "")}
            self._event({**head, "choices": [{"index": 0, "delta": piece, "finish_reason": None}]})
            if self.server.breaks and n == 1:
                self.connection.close()
                return
        self._event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if usage and self.server.counts:
            self._event({**head, "choices": [], "usage": usage})
        self._write(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: dict[str, Any]) -> None:
        self._write(f"data: {json.dumps({'object': 'chat.completion.chunk', **data})}\n\n".encode())

    def _write(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _send(self, status: int, reply: dict[str, Any]) -> None:
        content = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Nothing on stderr."""
