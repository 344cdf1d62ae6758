"""Requests over HTTP in, answers out: `/v1/chat/completions`, `/ask`, `/health`, and a page to ask on at `/`."""

import asyncio
import hmac
import json
import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from copilot.errors import CopilotError, TooLongError, first_line
from copilot.serving.completions import Ask, Completion, completion, ending, piece
from copilot.serving.desk import Busy, Desk, Job
from copilot.types import Answer

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

BODY = 1 << 18  # bytes of a request, at most
PAGE = {"": "text/html", "page.js": "text/javascript", "page.css": "text/css"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)


class Refusal(Exception):
    """A request that gets no answer."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


class Api:
    """What each address does."""

    def __init__(self, desk: Desk, model: str, token: str, hosts: frozenset[str]) -> None:
        """`token` is asked of every question, "" of none; `hosts` are the names it may be asked under, none: any."""
        self.desk, self.model, self.token, self.hosts = desk, model, token, hosts

    def app(self) -> "Starlette":
        """The ASGI application."""
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.routing import Route

        routes = [
            *(Route(f"/{name}", self.page) for name in PAGE),
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/ask", self.ask, methods=["POST"]),
            Route("/v1/chat/completions", self.complete, methods=["POST"]),
        ]
        handlers = {Refusal: _refused, CopilotError: _failed, HTTPException: _missed, Exception: self._broken}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def page(self, request: "Request") -> "Response":
        """The page to ask on, and the two files it needs."""
        from starlette.responses import Response

        name = request.url.path.strip("/")
        text = files("copilot.serving").joinpath("page", name or "page.html").read_bytes()
        return Response(text, media_type=PAGE[name], headers=HEADERS)

    async def health(self, request: "Request") -> "Response":
        """That it runs, and whether a token is needed."""
        return _json({"status": "ok", "model": self.model, "token": bool(self.token)})

    async def models(self, request: "Request") -> "Response":
        """The one model, for clients that want to choose."""
        one = {"id": self.model, "object": "model", "created": 0, "owned_by": "copilot"}
        return _json({"object": "list", "data": [one]})

    async def ask(self, request: "Request") -> "Response":
        """One question, with those before it where there are any; the object of `ask --json`."""
        body = await self._body(request, Ask)
        return _json((await self._answer(request, self._take(body.questions()))).to_json())

    async def complete(self, request: "Request") -> "Response":
        """A conversation as OpenAI's clients send it; `copilot` beside the text is the object of `ask --json`."""
        from starlette.responses import StreamingResponse

        body = await self._body(request, Completion)
        try:
            job = self._take(body.questions())
        except ValueError as error:
            raise Refusal(400, str(error)) from None
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": self.model}
        if not body.stream:
            return _json(completion(await self._answer(request, job), head))
        parts = job.parts()
        first = await _while_connected(request, anext(parts))  # its errors still have a status
        with_usage = bool(body.stream_options and body.stream_options.include_usage)
        return StreamingResponse(_events(first, parts, head, with_usage), media_type="text/event-stream")

    async def _broken(self, request: "Request", error: Exception) -> "Response":
        self.desk.say(f"error: {type(error).__name__}: {first_line(error)}")  # a fault of ours, which must be seen
        return _json(_error("the server failed", 500), 500)

    async def _answer(self, request: "Request", job: Job) -> Answer:
        async def last() -> Answer:
            async for part in job.parts():
                if isinstance(part, Answer):
                    return part
            raise AssertionError("a job ends with its answer")

        return await _while_connected(request, last())

    def _take(self, questions: list[str]) -> Job:
        try:
            return self.desk.take(questions)
        except Busy as busy:
            after = {"Retry-After": str(max(math.ceil(busy.seconds), 1))}
            raise Refusal(503, "too many questions are waiting; ask again later", after) from None

    async def _body(self, request: "Request", kind: type[B]) -> B:
        """The body of a request that may be answered. Raises Refusal."""
        name = re.sub(r":\d+$", "", request.headers.get("host", "")).lower()
        if self.hosts and name not in self.hosts:  # a page elsewhere whose name points here
            raise Refusal(403, f"this server is asked as {' or '.join(sorted(self.hosts))}")
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if self.token and not hmac.compare_digest(given, self.token.encode()):
            raise Refusal(401, "a token is needed: Authorization: Bearer ...", {"WWW-Authenticate": "Bearer"})
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "the body must be application/json")  # which no form of a page elsewhere can send
        read = b""
        async for part in request.stream():
            read += part
            if len(read) > BODY:
                raise Refusal(413, f"a request may have {BODY} bytes")
        try:
            return kind.model_validate_json(read)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(str(at) for at in wrong["loc"])
            raise Refusal(400, f"{place}: {wrong['msg']}" if place else wrong["msg"]) from None


async def _events(
    first: str | Answer, parts: AsyncIterator[str | Answer], head: dict[str, Any], with_usage: bool
) -> AsyncIterator[str]:
    """The lines of a stream of server-sent events."""

    async def every() -> AsyncIterator[str | Answer]:
        yield first
        async for part in parts:
            yield part

    try:
        async for part in every():
            chunks = ending(part, head, with_usage) if isinstance(part, Answer) else [piece(part, head)]
            for chunk in chunks:
                yield f"data: {json.dumps(chunk)}\n\n"
        yield "data: [DONE]\n\n"
    except CopilotError as error:
        yield f"data: {json.dumps(_error(error.message, 500))}\n\n"
    finally:
        await parts.aclose()  # type: ignore[attr-defined]


async def _while_connected(request: "Request", made: Awaitable[T]) -> T:
    """What is awaited, unless the client goes away first: then it is cancelled, and with it the model's work."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    work, leaving = asyncio.ensure_future(made), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Refusal(499, "the client has left")
        return work.result()
    finally:
        work.cancel()
        leaving.cancel()
        await asyncio.gather(work, leaving, return_exceptions=True)


def _json(made: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> "Response":
    from starlette.responses import Response

    return Response(json.dumps(made), status, dict(headers or {}), "application/json")


def _error(message: str, status: int) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "code": status}}


async def _refused(request: "Request", refusal: Exception) -> "Response":
    assert isinstance(refusal, Refusal)
    return _json(_error(refusal.message, refusal.status), refusal.status, refusal.headers)


async def _failed(request: "Request", error: Exception) -> "Response":
    assert isinstance(error, CopilotError)
    status = 400 if isinstance(error, TooLongError) else 500
    return _json(_error(error.message, status), status)


async def _missed(request: "Request", error: Exception) -> "Response":
    """No such address, or another method: as Starlette says it, in the shape of the other errors."""
    status, headers = getattr(error, "status_code", 404), getattr(error, "headers", None)
    return _json(_error(getattr(error, "detail", "Not Found"), status), status, headers)
