"""Conversations of many clients in, one answer at a time out: one model, a bounded queue before it."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from copilot.errors import CopilotError, first_line
from copilot.types import Answer

Reply = Callable[[Sequence[str], Callable[[str], None]], Answer]


class Busy(Exception):
    """The queue is full; `seconds` is a guess at when it is not."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class _Left(Exception):
    """Nobody waits for this answer any more."""


class Job:
    """A conversation whose last question waits for its answer; made in the event loop that reads it."""

    def __init__(self, questions: Sequence[str]) -> None:
        self.questions = questions
        self.left = threading.Event()  # whoever asked has gone
        self.loop = asyncio.get_running_loop()
        self.made: asyncio.Queue[str | Answer | CopilotError] = asyncio.Queue()

    def give(self, part: str | Answer | CopilotError) -> None:
        """Hand a part over, from the thread of the model."""
        if self.left.is_set():
            raise _Left
        if part == "":  # it goes on, and there is nothing to read yet
            return
        try:
            self.loop.call_soon_threadsafe(self.made.put_nowait, part)
        except RuntimeError:  # the loop was closed meanwhile
            raise _Left from None

    async def parts(self) -> AsyncIterator[str | Answer]:
        """The pieces of the text, then the Answer. Who stops reading stops the model. Raises its CopilotError."""
        try:
            while True:
                part = await self.made.get()
                if isinstance(part, CopilotError):
                    raise part
                yield part
                if isinstance(part, Answer):
                    return
        finally:
            self.left.set()


class Desk:
    """A thread that answers the jobs in the order they came."""

    def __init__(self, reply: Reply, most: int, say: Callable[[str], None], detail: Callable[[str], None]) -> None:
        """`most` jobs wait beside the one that is answered. No word of a question is said to `say` or `detail`."""
        self.reply, self.most, self.say, self.detail = reply, most, say, detail
        self.changed = threading.Condition()
        self.jobs: deque[Job] = deque()
        self.now: Job | None = None
        self.usual = 1.0  # s, of the last answer
        self.closed = False
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def take(self, questions: Sequence[str]) -> Job:
        """A place in the queue. Raises Busy when there is none."""
        with self.changed:
            ahead = sum(not job.left.is_set() for job in (*self.jobs, self.now) if job)
            if ahead > self.most:
                raise Busy(ahead * self.usual)
            job = Job(questions)
            self.jobs.append(job)
            self.changed.notify()
        return job

    def close(self) -> None:
        """Stop the answer that is being written, and take no other."""
        with self.changed:
            self.closed = True
            for job in (*self.jobs, self.now):
                if job:
                    job.left.set()
            self.changed.notify()
        self.thread.join()

    def _next(self) -> Job | None:
        with self.changed:
            self.now = None
            self.changed.wait_for(lambda: self.jobs or self.closed)
            self.now = None if self.closed else self.jobs.popleft()
            return self.now

    def _work(self) -> None:
        while job := self._next():
            began = time.monotonic()
            try:
                if not job.left.is_set():
                    answer = self.reply(job.questions, job.give)
                    self.usual, spent = time.monotonic() - began, answer.usage
                    read = f"{spent.prompt_tokens} tokens read ({spent.prompt_tokens_reused} were known)"
                    self.detail(f"answered in {self.usual:.1f} s: {read}, {spent.completion_tokens} written")
                    job.give(answer)
            except _Left:
                self.detail(f"left after {time.monotonic() - began:.1f} s")
            except Exception as error:  # one answer failed; the next question must still be answered
                self._failed(job, error)

    def _failed(self, job: Job, error: Exception) -> None:
        kind = "" if isinstance(error, CopilotError) else f"{type(error).__name__}: "
        self.say(f"error: {kind}{first_line(error)}")
        told = CopilotError("the answer failed; the server's output says why") if kind else error
        assert isinstance(told, CopilotError)
        try:
            job.give(told)
        except _Left:
            self.detail("whoever asked had left")
