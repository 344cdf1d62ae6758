"""Where the program begins: what Ctrl-C does from the first moment on, then `cli.main`."""

import os
import signal
from types import FrameType


def main() -> None:
    """Run the program: Ctrl-C ends it at once while it is still being imported, with a KeyboardInterrupt later."""
    heeds = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not with nohup, or `&` in a script
    if heeds:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))  # nothing has begun that must be ended well
    from copilot.cli import main as run

    if heeds:
        signal.signal(signal.SIGINT, interrupt)
    run()


def interrupt(number: int, frame: FrameType | None) -> None:
    """KeyboardInterrupt, but a moment later where a module is being looked for.

    Raised within the import system it is lost, and a lock can stay taken for which another thread then waits for ever.
    """
    if frame and frame.f_code.co_filename.startswith("<frozen importlib"):
        from threading import Timer

        Timer(0.01, signal.raise_signal, (number,)).start()
    else:
        raise KeyboardInterrupt


if __name__ == "__main__":
    main()
