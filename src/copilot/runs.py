"""Run folders: fingerprints, manifests, locks, and folders that are swapped in whole or not at all."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from copilot.errors import CopilotError, StaleError

MANIFEST = "manifest.json"


def fingerprint(*parts: Any) -> str:
    """sha256 (hex, 64 characters) of the parts as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_file(path: Path) -> str:
    """sha256 (hex) of a file's bytes. Raises CopilotError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CopilotError(f"{path}: cannot be read: {error.strerror}", "check the file and its permissions") from None


def write_json(path: Path, data: Any) -> None:
    """Write `data` as JSON in one step: readers see the old file or the new one, never a part."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step. Raises CopilotError when the disk refuses."""
    name = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        if name:
            Path(name).unlink(missing_ok=True)


def disk_error(error: OSError, path: Path) -> CopilotError:
    """An OSError while writing, as a sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return CopilotError(
            f"no room left on the disk for {path}; what stood there before is unchanged",
            "free some space and run the same command again",
        )
    return CopilotError(f"cannot write {path}: {error.strerror or error}", "check the path and its permissions")


@contextlib.contextmanager
def swapped_folder(target: Path, manifest: dict[str, Any]) -> Iterator[Path]:
    """Yield an empty folder beside `target`; when the block ends well, write its manifest and put it in place.

    The manifest gets the size in bytes of every file, so that a folder cut short is never taken as whole. When the
    block fails, the folder goes and `target` stays as it was.
    """
    fresh: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.glob(f".{target.name}.new-*"):
            shutil.rmtree(old, ignore_errors=True)  # left by a killed process; the caller holds the lock
        fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.new-"))
        yield fresh
        os.chmod(fresh, 0o755)
        write_json(fresh / MANIFEST, {**manifest, "files": file_sizes(fresh)})
        _swap(fresh, target)
    except OSError as error:
        raise disk_error(error, target) from error
    finally:
        if fresh:
            shutil.rmtree(fresh, ignore_errors=True)


def file_sizes(folder: Path) -> dict[str, int]:
    """Relative path → bytes of every file below `folder`, by which one that was cut short is known."""
    return {str(p.relative_to(folder)): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file()}


def _swap(fresh: Path, target: Path) -> None:
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).exists():
        raise CopilotError(f"{target}: holds files that are not ours", "move them away, or name another `output_dir`")
    old = target.parent / f".{target.name}.old"
    for last in (False, False, False, True):
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(fresh, target)
            break
        except OSError:
            if last or not target.exists():
                raise
            # a reader came between the two renames and put the old folder back: once more
    shutil.rmtree(old, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a whole folder; None when there is none.

    Raises StaleError when files named by the manifest are missing or have another size. Looks again before it says
    so, because a writer may swap the folder just now.
    """
    for _ in range(1000):
        before = _identity(folder)
        with contextlib.suppress(StaleError, OSError):
            if manifest := _read_manifest(folder):
                return manifest
        if before == _identity(folder):
            break  # it was the same folder all the while: what is wrong with it stays wrong
    return _read_manifest(folder)


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from the one that stood there before."""
    try:
        stat = folder.stat()
        return stat.st_ino, stat.st_ctime_ns
    except OSError:
        return None


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    old = folder.parent / f".{folder.name}.old"
    if not folder.exists() and (old / MANIFEST).is_file():
        time.sleep(0.1)  # a writer that lives needs far less to put the new folder there
    if not folder.exists() and (old / MANIFEST).is_file():
        with contextlib.suppress(OSError):  # the process died between the two renames of a swap, or is about to end it
            os.replace(old, folder)
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = manifest["files"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StaleError(f"{path} is not a manifest of this program", f"remove {folder} and make it again") from None
    for name, size in files:
        file = folder / name
        if not file.is_file() or file.stat().st_size != size:
            raise StaleError(f"{file} is missing or damaged", f"remove {folder} and make it again")
    return manifest


@contextlib.contextmanager
def locked(folder: Path, what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the run folder for one writer; a second one waits and `say`s who holds it."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    owner = folder / ".lock-owner.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except OSError as error:
        if not isinstance(error, Timeout):
            raise disk_error(error, folder) from error
        say(f"waiting: {folder} is in use by {_owner(owner)}")
        lock.acquire()
    try:
        write_json(owner, {"pid": os.getpid(), "host": socket.gethostname(), "command": what, "since": now()})
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _owner(path: Path) -> str:
    for _ in range(20):  # who has just taken the lock needs a moment to say its name
        with contextlib.suppress(OSError, ValueError, KeyError):
            data = json.loads(path.read_text(encoding="utf-8"))
            return f"`copilot {data['command']}` (process {data['pid']} on {data['host']}, since {data['since']})"
        time.sleep(0.02)
    return "another process"


def now() -> str:
    """The time in UTC, ISO 8601, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
