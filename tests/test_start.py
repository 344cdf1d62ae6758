"""Ctrl-C in, at moments that are chosen here; an exit code and a sentence out, and never a traceback or a lock."""

import signal
import subprocess
import sys
import time

import pytest

from copilot.start import interrupt

AT = """
import signal, sys
class Pressed:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
signal.signal(signal.SIGINT, {heeds})  # whatever started the tests may ignore it
sys.meta_path.insert(0, Pressed())
from copilot.start import main
main()
"""


@pytest.mark.parametrize(("module", "said"), [("typer", ""), ("yaml", "interrupted\n")])
def test_ctrl_c_while_modules_are_imported_is_exit_130_without_a_traceback(module: str, said: str) -> None:
    program = AT.format(module=module, heeds="signal.default_int_handler")
    command = [sys.executable, "-c", program, "config", "check", "configs/tiny.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", said)


def test_ctrl_c_within_the_import_system_waits_until_that_has_ended() -> None:
    looking = compile("import signal; signal.raise_signal(signal.SIGINT)", "<frozen importlib._bootstrap>", "exec")
    before, went_on = signal.signal(signal.SIGINT, interrupt), False
    try:
        with pytest.raises(KeyboardInterrupt):
            exec(looking)
            went_on = True
            time.sleep(30)
    finally:
        signal.signal(signal.SIGINT, before)
    assert went_on


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    command = [sys.executable, "-c", AT.format(module="typer", heeds="signal.SIG_IGN"), "--version"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
