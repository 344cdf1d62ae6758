"""Run folders: written in one step or not at all, held by one writer, and known by what made them."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from copilot.errors import CopilotError, StaleError
from copilot.runs import fingerprint, locked, read_manifest, sha256_file, swapped_folder, write_json, write_text


def make(folder: Path, text: str) -> None:
    with swapped_folder(folder, {"made": text}) as fresh:
        (fresh / "sub").mkdir()
        (fresh / "sub/a.txt").write_text(text)


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_fingerprints() -> None:
    assert fingerprint({"a": 1, "b": [2, "é"]}) == fingerprint({"b": [2, "é"], "a": 1})
    assert len({fingerprint("a", "b"), fingerprint("ab"), fingerprint(["a", "b"]), fingerprint("b", "a")}) == 4
    assert len(fingerprint()) == 64


def test_sha256_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")  # the example of FIPS 180-2
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(CopilotError, match="gone: cannot be read: No such file"):
        sha256_file(tmp_path / "gone")


def test_files_are_written_in_one_step(tmp_path: Path) -> None:
    write_json(tmp_path / "deep/a.json", {"é": 1})
    assert (tmp_path / "deep/a.json").read_text(encoding="utf-8") == '{\n  "é": 1\n}\n'
    write_text(tmp_path / "deep/a.json", "new")
    assert (tmp_path / "deep/a.json").read_text() == "new" and left(tmp_path / "deep") == ["a.json"]
    assert (tmp_path / "deep/a.json").stat().st_mode & 0o777 == 0o644


def test_a_file_in_the_place_of_a_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for action in (
        lambda: write_text(tmp_path / "file/a.txt", "x"),
        lambda: make(tmp_path / "file/run/index", "x"),
        lambda: locked(tmp_path / "file/run", "index", print).__enter__(),
    ):
        with pytest.raises(CopilotError, match=r"cannot write .*file"):
            action()


def test_swapped_folder_replaces_the_whole(tmp_path: Path) -> None:
    target = tmp_path / "run/index"
    make(target, "one")
    assert read_manifest(target) == {"made": "one", "files": {"sub/a.txt": 3}}
    (target / "stray.txt").write_text("old")
    make(target, "second")
    assert read_manifest(target) == {"made": "second", "files": {"sub/a.txt": 6}}
    assert left(target) == ["manifest.json", "sub"] and left(tmp_path / "run") == ["index"]


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "run/index"
    target.mkdir(parents=True)
    make(target, "one")  # an empty one is taken
    (target / "manifest.json").unlink()
    with pytest.raises(CopilotError, match="holds files that are not ours"):
        make(target, "second")
    assert (target / "sub/a.txt").read_text() == "one" and left(tmp_path / "run") == ["index"]


def test_the_manifest_is_written_last(tmp_path: Path) -> None:
    with swapped_folder(tmp_path / "index", {}) as fresh:
        (fresh / "a").write_text("x")
        assert not (fresh / "manifest.json").exists() and not (tmp_path / "index").exists()
    files = [tmp_path / "index" / name for name in ("a", "manifest.json")]
    assert files[0].stat().st_mtime_ns <= files[1].stat().st_mtime_ns


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_the_old_folder_whole(tmp_path: Path, number: int) -> None:
    target = tmp_path / "index"
    make(target, "old")
    with pytest.raises(CopilotError, match="no room left on the disk") as caught, swapped_folder(target, {}) as fresh:
        (fresh / "a.txt").write_text("half")
        raise OSError(number, os.strerror(number))
    assert "unchanged" in caught.value.message and "free some space" in caught.value.hint
    assert (target / "sub/a.txt").read_text() == "old" and read_manifest(target) is not None
    assert left(tmp_path) == ["index"]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from copilot.runs import swapped_folder
with swapped_folder(Path({str(tmp_path / "index")!r}), {{}}) as fresh:
    (fresh / "half").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    make(tmp_path / "index", "old")
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [name for name in left(tmp_path) if name.startswith(".index.new-")]
    assert read_manifest(tmp_path / "index") == {"made": "old", "files": {"sub/a.txt": 3}}
    make(tmp_path / "index", "new")
    assert left(tmp_path) == ["index"]


def test_death_between_the_two_renames_is_healed(tmp_path: Path) -> None:
    make(tmp_path / "index", "old")
    (tmp_path / "index").rename(tmp_path / ".index.old")
    manifest = read_manifest(tmp_path / "index")
    assert manifest is not None and manifest["made"] == "old" and left(tmp_path) == ["index"]


def test_damage_is_refused_with_the_remedy(tmp_path: Path) -> None:
    target = tmp_path / "index"
    assert read_manifest(target) is None
    make(target, "words")
    (target / "sub/a.txt").write_text("wor")
    with pytest.raises(StaleError, match=r"a\.txt is missing or damaged") as caught:
        read_manifest(target)
    assert caught.value.hint == f"remove {target} and make it again"
    (target / "sub/a.txt").unlink()
    with pytest.raises(StaleError, match="missing or damaged"):
        read_manifest(target)
    for text in ("{", "[]", "{}", '{"files": 3}', "null", "3"):
        (target / "manifest.json").write_text(text)
        with pytest.raises(StaleError, match="not a manifest"):
            read_manifest(target)


def test_the_second_writer_waits_and_says_for_whom(tmp_path: Path) -> None:
    """Two processes: the first holds the folder until this test lets it go."""
    script = f"""
import sys
from pathlib import Path
from copilot.runs import locked
with locked(Path({str(tmp_path)!r}), "index", print):
    print("held", flush=True)
    sys.stdin.readline()
    (Path({str(tmp_path)!r}) / "order").write_text("first")
"""
    first = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdin and first.stdout
    try:
        assert first.stdout.readline() == "held\n"
        said: list[str] = []
        order: list[str] = []

        def second() -> None:
            with locked(tmp_path, "train", said.append):
                order.append((tmp_path / "order").read_text())

        thread = threading.Thread(target=second)
        thread.start()
        until = time.monotonic() + 10
        while not said and time.monotonic() < until:
            time.sleep(0.02)
        assert len(said) == 1 and said[0].startswith(f"waiting: {tmp_path} is in use by `copilot index` (process ")
        assert f"(process {first.pid} on " in said[0] and ", since 20" in said[0]
        assert thread.is_alive() and not order
        first.stdin.write("\n")
        first.stdin.flush()
        thread.join(10)
        assert order == ["first"]
    finally:
        first.stdin.close()
        first.wait(10)
        first.stdout.close()
    assert not (tmp_path / ".lock-owner.json").exists()


def test_a_killed_holder_does_not_block(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from copilot.runs import locked
with locked(Path({str(tmp_path)!r}), "index", print):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    assert json.loads((tmp_path / ".lock-owner.json").read_text())["command"] == "index"
    said: list[str] = []
    with locked(tmp_path, "train", said.append):
        assert json.loads((tmp_path / ".lock-owner.json").read_text())["command"] == "train"
    assert said == []


def test_a_reader_never_meets_a_half_swapped_folder(tmp_path: Path) -> None:
    """Readers look on while a writer swaps thirty times; each sees some whole folder."""
    target = tmp_path / "index"
    make(target, "0")
    wrong: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                read_manifest(target)
            except StaleError as error:
                wrong.append(error.message)
            except OSError as error:
                wrong.append(repr(error))
            stop.wait(0.001)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(30):
        make(target, "x" * (n % 2 + 1))
    stop.set()
    for reader in readers:
        reader.join()
    assert read_manifest(target) is not None
    assert left(tmp_path) == ["index"]
    assert wrong == []
