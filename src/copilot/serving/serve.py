"""A configuration and an address in; a server that answers there until Ctrl-C."""

import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from copilot.answering.answer import Answerer
from copilot.config import Config
from copilot.errors import CopilotError, Exit
from copilot.opened import open_answerer
from copilot.runs import MANIFEST
from copilot.serving.api import Api
from copilot.serving.conversation import reply
from copilot.serving.desk import Desk
from copilot.terminal import Terminal
from copilot.work import Work

if TYPE_CHECKING:
    import uvicorn

HERE = ("127.0.0.1", "localhost", "::1")
NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})  # what a browser calls them


def run_serve(config: Config, flags: str, terminal: Terminal, host: str, port: int, token: str, most: int) -> None:
    """Answer at `host`:`port` (0: any free one) until a signal ends it, `most` questions waiting.

    Raises CopilotError where an extra is missing, the address cannot be taken, or others could ask without a token.
    """
    if not (find_spec("starlette") and find_spec("uvicorn")):
        raise CopilotError("copilot serve needs starlette and uvicorn", "pip install 'tech-clarity-copilot[serve]'")
    if host not in HERE and not token:
        message = f"at {host} anybody who reaches this machine could ask, and read the documents"
        raise CopilotError(message, "set COPILOT_TOKEN to a secret that clients send, or leave --host out", Exit.USAGE)
    with listening(host, port) as bound:
        now = Current(config, flags, terminal)
        desk = Desk(lambda asked, on_text: reply(now.answerer(), asked, on_text), most, terminal.say, terminal.detail)
        api = Api(desk, config.run.name, token, NAMES if not token else frozenset())
        name = f"[{host}]" if ":" in host else host
        terminal.say(f"answering at http://{name}:{bound.getsockname()[1]}/ (Ctrl-C ends it)")
        try:
            server_of(api).run(sockets=[bound])
        finally:
            desk.close()


class Current:
    """What answers, opened again when `copilot index`, `train` or `export` has made what it was opened from anew."""

    def __init__(self, config: Config, flags: str, terminal: Terminal) -> None:
        """Opens it. Raises CopilotError as `open_answerer` does."""
        self.open: Callable[[], Answerer] = lambda: open_answerer(
            config, flags, say=terminal.say, detail=terminal.detail
        )
        work, self.say = Work(config), terminal.say
        self.manifests = [work.artefact(stage) / MANIFEST for stage in ("index", "train", "export")]
        self.seen: list[tuple[int, int] | None] = [None] * len(self.manifests)
        self.seen, self.opened = self._stamps(), self.open()

    def answerer(self) -> Answerer:
        """The one of now. Raises CopilotError where what was made anew does not fit; the next question tries again."""
        if (now := self._stamps()) != self.seen:
            self.say("the index or the model was made anew: opening it")
            self.opened = self.open()
            self.seen = now
        return self.opened

    def _stamps(self) -> list[tuple[int, int] | None]:
        """What tells each manifest from its next; one that is being swapped, or is gone, counts as it was."""
        return [_stamp(path) or seen for path, seen in zip(self.manifests, self.seen, strict=True)]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def server_of(api: Api) -> "uvicorn.Server":
    """A server that logs nothing and gives answers that are being written a second when it is told to end."""
    import uvicorn

    quiet = {"log_config": None, "log_level": "critical", "access_log": False, "server_header": False}
    plain = {"http": "h11", "ws": "none", "loop": "asyncio", "lifespan": "off"}
    return uvicorn.Server(uvicorn.Config(api.app(), timeout_graceful_shutdown=1, **quiet, **plain))


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound. Raises CopilotError where it cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        message = f"cannot answer at {host}, port {port}: {error.strerror or error}"
        raise CopilotError(message, "name another one: --port 8001") from None
