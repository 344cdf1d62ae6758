"""Files in, Documents out: text with headings and pages from .md, .txt, .pdf and .docx."""

import hashlib
import logging
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from copilot.config import Documents
from copilot.errors import CopilotError
from copilot.types import Document, Heading

_ATX = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_UNDERLINE = re.compile(r"^(=|-|~)\1{2,}\s*$")


def find_files(config: Documents) -> list[tuple[str, Path]]:
    """(document path, file) of every file, sorted. Raises CopilotError when a path is missing or nothing matches."""
    found: dict[str, Path] = {}
    for given in config.paths:
        root = Path(given)
        if not root.exists():
            raise CopilotError(f"no file or folder at {root}", "mend `documents.paths` in the YAML")
        folder = root if root.is_dir() else root.parent
        files = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
        for file in files:
            name = file.relative_to(folder).as_posix()
            if root.is_dir() and not (_matches(name, config.include) and not _matches(name, config.exclude)):
                continue
            if name in found and found[name].resolve() != file.resolve():
                name = f"{folder.name}/{name}"
            found[name] = file
    if not found:
        raise CopilotError(
            f"no documents in {', '.join(config.paths)}",
            "put .md, .txt, .pdf or .docx files there, or mend `documents.include`",
        )
    return sorted(found.items())


def _matches(name: str, globs: list[str]) -> bool:
    if any(part.startswith(".") for part in name.split("/")):
        return False
    return any(fnmatch(name, g) or (g.startswith("**/") and fnmatch(name, g[3:])) for g in globs)


def load_documents(config: Documents) -> Iterator[Document]:
    """Every document of the knowledge base. Raises CopilotError for a file that cannot be read or yields no text."""
    for name, file in find_files(config):
        yield load_document(name, file)


def load_document(name: str, file: Path) -> Document:
    """One file as text; `name` is its path as it will be cited."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CopilotError(f"{file}: cannot be read: {error.strerror}", "check its permissions") from None
    suffix = file.suffix.lower()
    pages: tuple[int, ...] = ()
    title = ""
    match suffix:
        case ".pdf":
            text, pages, headings, title = _pdf(file)
        case ".docx":
            text, title = _docx(file)
            headings = markdown_headings(text)
        case ".md" | ".markdown":
            text = _decode(data, file)
            headings = markdown_headings(text)
        case ".txt" | "":
            text = _decode(data, file)
            headings = text_headings(text)
        case _:
            text, headings = _other(file), ()
    if not text.strip():
        hint = "run OCR on it first" if suffix == ".pdf" else "remove it"
        raise CopilotError(f"{file}: no text in it", f"{hint}, or name it in `documents.exclude`")
    if not title:
        title = headings[0].title if headings and headings[0].level == 1 else file.stem.replace("-", " ")
    return Document(name, str(file.resolve()), title, text, hashlib.sha256(data).hexdigest(), headings, pages)


def _decode(data: bytes, file: Path) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CopilotError(f"{file}:{line}: not UTF-8 text", "save the file as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def markdown_headings(text: str) -> tuple[Heading, ...]:
    """ATX headings outside code fences (CommonMark 4.2)."""
    found, start, fenced = [], 0, False
    for line in text.splitlines(keepends=True):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and (match := _ATX.match(line.rstrip("\n"))):
            found.append(Heading(start, len(match[1]), match[2]))
        start += len(line)
    return tuple(found)


def text_headings(text: str) -> tuple[Heading, ...]:
    """Headings of plain text: a line underlined with = (level 1), - or ~ (level 2), or in capitals (level 2)."""
    lines = text.splitlines(keepends=True)
    found, start = [], 0
    for i, line in enumerate(lines):
        title = line.strip()
        below = lines[i + 1] if i + 1 < len(lines) else "\n"
        alone = not below.strip() and (i == 0 or not lines[i - 1].strip())
        if title and len(title) <= 100 and not _UNDERLINE.match(line):
            if _UNDERLINE.match(below):
                found.append(Heading(start, 1 if below[0] == "=" else 2, title))
            elif alone and title.isupper() and len(title.split()) > 1:
                found.append(Heading(start, 2, title))
        start += len(line)
    return tuple(found)


def _pdf(file: Path) -> tuple[str, tuple[int, ...], tuple[Heading, ...], str]:
    """Text with its page starts; headings from the PDF's own outline."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.ERROR)
    try:
        reader = PdfReader(file)
        if reader.is_encrypted and not reader.decrypt(""):
            raise CopilotError(f"{file}: the PDF is encrypted", "save a copy without a password")
        pages = [page.extract_text() + "\n" for page in reader.pages]
        title = str((reader.metadata and reader.metadata.title) or "")
        outline = list(_outline(reader, reader.outline, 1))
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CopilotError(f"{file}: not a readable PDF ({error})", "save it again from its program") from None
    except ImportError:
        raise CopilotError(f"{file}: the PDF is encrypted", "save a copy without a password") from None
    starts, length = [], 0
    for page in pages:
        starts.append(length)
        length += len(page)
    text = "".join(pages)
    headings, last = [], 0
    for level, name, page in outline:
        pattern = r"\s+".join(re.escape(word) for word in name.split())
        match = re.compile(rf"^[ \t]*{pattern}[ \t]*$", re.M).search(text, max(last, starts[page]))
        if match:
            headings.append(Heading(match.start(), level, name))
            last = match.end()
    return text, tuple(starts), tuple(headings), title


def _outline(reader: object, items: object, level: int) -> Iterator[tuple[int, str, int]]:
    """(level, title, 0-based page) of the PDF's bookmarks."""
    for item in items if isinstance(items, list) else []:
        if isinstance(item, list):
            yield from _outline(reader, item, level + 1)
        elif (page := reader.get_destination_page_number(item)) is not None and page >= 0:  # type: ignore[attr-defined]
            yield level, str(item.title), page


def _docx(file: Path) -> tuple[str, str]:
    """A Word file as markdown: headings as #, tables as pipe tables, in reading order."""
    from zipfile import BadZipFile

    from docx import Document as open_docx
    from docx.opc.exceptions import PackageNotFoundError
    from docx.table import Table

    try:
        doc = open_docx(str(file))
    except (BadZipFile, PackageNotFoundError, KeyError, ValueError):
        raise CopilotError(f"{file}: not a Word document (.docx)", "open it in Word and save it as .docx") from None
    blocks = []
    for block in doc.iter_inner_content():
        if isinstance(block, Table):
            blocks.append(_table([[cell.text for cell in row.cells] for row in block.rows]))
            continue
        text, style = block.text.strip(), (block.style.name if block.style else "") or ""
        if not text:
            continue
        if style == "Title":
            text = "# " + text
        elif match := re.fullmatch(r"Heading (\d)", style):
            text = "#" * min(int(match[1]) + 1, 6) + " " + text
        elif style.startswith("List"):
            text = "- " + text
        elif text.startswith("#"):
            text = "\\" + text
        blocks.append(text)
    return re.sub(r"(?m)^(- .*)\n\n(?=- )", r"\1\n", "\n\n".join(blocks)) + "\n", ""


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cell.strip().replace("\n", " ").replace("|", "\\|") for cell in row) + " |" for row in rows]
    if lines:
        lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def _other(file: Path) -> str:
    """Further formats through langchain-community's loaders (the `loaders` extra)."""
    try:
        from langchain_community.document_loaders import UnstructuredFileLoader
    except ImportError:
        raise CopilotError(
            f"{file}: {file.suffix} files need the `loaders` extra",
            "pip install 'tech-clarity-copilot[loaders]', or name the file in `documents.exclude`",
        ) from None
    return "\n\n".join(part.page_content for part in UnstructuredFileLoader(str(file)).load())
