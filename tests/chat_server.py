"""Requests over the chat completions protocol in, what the test tells it to say out, whole or streamed."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from json_server import JsonServer, Request, refusal, running


class ChatServer(JsonServer):
    """Says `replies` one after the other, the last one for ever; a word is a token."""

    def __init__(self, *replies: str) -> None:
        super().__init__()
        self.replies = list(replies)
        self.seen: list[dict[str, Any]] = []  # path, key and body of each request
        self.key = "right"
        self.refusals: list[tuple[int, str]] = []  # answered first
        self.wait = 0.0  # s before an answer
        self.reason = "stop"  # why a text ended
        self.breaks = False  # whether the line breaks in the middle of a stream
        self.counts = True  # whether it says how many tokens it counted
        self.lock = threading.Lock()

    def say(self, body: dict[str, Any]) -> str | tuple[int, str]:
        """What is said to a request: a text, or a status and the reason of a refusal."""
        if self.refusals:
            return self.refusals.pop(0)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def answer(self, request: Request, body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        with self.lock:
            self.seen.append({"path": request.path, "key": request.key, **body})
            wrong = request.key != self.key
            said = (401, "Access denied: wrong subscription key.") if wrong else self.say(body)
        if not isinstance(said, str):
            return refusal(*said)
        time.sleep(self.wait)
        usage = {
            "prompt_tokens": sum(len(m["content"].split()) for m in body["messages"]),
            "completion_tokens": len(said.split()),
        }
        usage["total_tokens"] = sum(usage.values())
        counted = {"usage": usage} if self.counts else {}
        head = {"id": "c", "created": 1, "model": "served"}
        if body.get("stream"):
            wanted = body.get("stream_options", {}).get("include_usage")
            return _stream(request, said, head, counted if wanted else {}, self)
        choice = {"index": 0, "finish_reason": self.reason, "message": {"role": "assistant", "content": said}}
        return 200, {**head, "object": "chat.completion", "choices": [choice], **counted}


@contextmanager
def serving(*replies: str) -> Iterator[ChatServer]:
    """A server that answers in a thread until the block is left."""
    with running(ChatServer(*replies)) as server:
        yield server


def _stream(request: Request, text: str, head: dict[str, Any], counted: dict[str, Any], of: ChatServer) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "text/event-stream")
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    words = text.split(" ")
    for n, word in enumerate(words):
        piece = {"role": "assistant", "content": word + (" " if n + 1 < len(words) else "")}
        _event(request, {**head, "choices": [{"index": 0, "delta": piece, "finish_reason": None}]})
        if of.breaks and n == 1:
            request.connection.close()
            return
    _event(request, {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": of.reason}]})
    if counted:
        _event(request, {**head, "choices": [], **counted})
    _write(request, b"data: [DONE]\n\n")
    request.wfile.write(b"0\r\n\r\n")


def _event(request: Request, data: dict[str, Any]) -> None:
    _write(request, f"data: {json.dumps({'object': 'chat.completion.chunk', **data})}\n\n".encode())


def _write(request: Request, data: bytes) -> None:
    request.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    request.wfile.flush()
