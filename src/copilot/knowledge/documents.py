"""Files in, Documents out: text with headings and pages from .md, .txt, .pdf and .docx."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from copilot.config import Documents
from copilot.errors import ConfigError, CopilotError
from copilot.knowledge.headings import front_matter, markdown_headings, text_headings
from copilot.knowledge.pdf import read_pdf
from copilot.knowledge.word import read_docx
from copilot.plain import clean
from copilot.types import Document, Heading

_UNSEEN = re.compile(r"<!--.*?-->|<[^<>]*>|\[?!\[[^\[\]]*\]\([^()]*\)(?:\]\([^()]*\))?", re.S)  # tags and badges


def find_files(config: Documents) -> list[tuple[str, Path]]:
    """(document path, file) of every file, sorted. Raises CopilotError when a path is missing or nothing matches."""
    found: dict[str, Path] = {}
    seen: set[Path] = set()  # a file that two paths reach is read once
    for given in config.paths:
        root = Path(given)
        if not root.exists():
            raise ConfigError(f"no file or folder at {root}", "mend `documents.paths` in the YAML")
        folder = root if root.is_dir() else root.parent
        for file in sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]:
            name = file.relative_to(folder).as_posix()
            if re.search("[\ud800-\udfff]", name):
                raise CopilotError(f"{folder}: the name {name!a} is not UTF-8", "rename that file")
            wanted = _matches(name, config.include) and not _matches(name, config.exclude)
            if (root.is_dir() and not wanted) or file.resolve() in seen:
                continue
            seen.add(file.resolve())
            above = folder.resolve()
            while name in found:  # two folders hold a file of this name: tell them apart by the folder's own name
                name, above = f"{above.name}/{name}", above.parent
            found[name] = file
    if not found:
        raise ConfigError(
            f"no documents in {', '.join(config.paths)}",
            "put .md, .txt, .pdf or .docx files there, or mend `documents.include`",
        )
    return sorted(found.items())


def linked_folders(config: Documents) -> list[Path]:
    """Links to folders within those of `documents.paths`, sorted, whose files are read by no other way.

    They are not followed: a link may lead to where it stands.
    """
    roots = [Path(given) for given in config.paths if Path(given).is_dir()]
    read = [root.resolve() for root in roots]
    found = []
    for root in roots:
        for link in (p for p in root.rglob("*") if p.is_symlink() and p.is_dir()):
            name, target = link.relative_to(root).as_posix(), link.resolve()
            wanted = _matches(f"{name}/x", ["**"]) and not _matches(f"{name}/x", config.exclude)
            found += [link] * (wanted and not any(target.is_relative_to(other) for other in read))
    return sorted(found)


def _matches(name: str, globs: list[str]) -> bool:
    """Whether a glob fits the whole name; hidden files and Word's lock files (~$) are never documents."""
    if any(part.startswith((".", "~$")) for part in name.split("/")):
        return False
    return any(_regex(glob).fullmatch(name) for glob in globs)


def _regex(glob: str) -> re.Pattern[str]:
    """`**/` any folders or none, `**` anything, `*` and `?` within one name; capitals make no difference."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob.removeprefix("./"))
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(words.get(part) or re.escape(part) for part in parts), re.I | re.S)


def load_documents(config: Documents, step: Callable[..., None] = lambda n, note="": None) -> list[Document]:
    """Every document of the knowledge base; `step` is told of each, by name before it is read.

    Raises CopilotError with a line for each file that cannot be read.
    """
    found: list[Document] = []
    wrong: list[CopilotError] = []
    for name, file in find_files(config):
        step(0, name)
        try:
            found.append(load_document(name, file))
        except CopilotError as error:
            wrong.append(error)
        step(1)
    if wrong:
        leave = "mend these files, or name them in `documents.exclude`"
        raise CopilotError("\n".join(error.message for error in wrong), wrong[0].hint if len(wrong) == 1 else leave)
    return found


def load_document(name: str, file: Path) -> Document:
    """One file as text; `name` is its path as it will be cited."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CopilotError(f"{file}: cannot be read: {error.strerror}", "check its permissions") from None
    suffix = file.suffix.lower()
    pages: tuple[int, ...] = ()
    title = named = ""
    match suffix:
        case ".pdf":
            text, pages, headings, title = read_pdf(data, file)
        case ".docx":
            text = clean(read_docx(data, file))
            headings = markdown_headings(text)
        case ".md" | ".markdown":
            text = _decode(data, file)
            headings = markdown_headings(text)
            skip, named = front_matter(text)
            text = re.sub(r"[^\n]", " ", text[:skip]) + text[skip:]  # no passage; lines keep their numbers
        case ".txt" | "":
            text = _decode(data, file)
            headings = text_headings(text)
        case _:
            text, headings = clean(_read_other(file)), ()
    if not any(character.isalnum() for character in text):
        hint = "run OCR on it first" if suffix == ".pdf" else "remove it"
        raise CopilotError(f"{file}: no text in it", f"{hint}, or name it in `documents.exclude`")
    if not title:
        title = _title(text, headings) or named or re.sub("[-_]", " ", file.stem)
    return Document(name, str(file.resolve()), title, text, hashlib.sha256(data).hexdigest(), headings, pages)


def _title(text: str, headings: Sequence[Heading]) -> str:
    """The first heading, if it is the document's, not that of one of its parts such as "Method: tasks.get"; else ""."""
    if not headings or headings[0].level != 1:
        return ""
    first, *others = (heading for heading in headings if heading.level == 1)
    begins = not re.search(r"\w", _UNSEEN.sub("", text[: first.start]))
    kind = re.match(r"(\w+)(?::| \d)", first.title)
    among = kind and any(re.match(rf"{kind[1]}(?::| \d)", other.title) for other in others)
    return "" if among or not (begins or not others) else first.title


def _decode(data: bytes, file: Path) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CopilotError(f"{file}:{line}: not UTF-8 text", "save the file as UTF-8") from None
    return clean(text.replace("\r\n", "\n"))


def _read_other(file: Path) -> str:
    """Further formats through langchain-community's loaders (the `loaders` extra)."""
    try:
        from langchain_community.document_loaders import UnstructuredFileLoader

        return "\n\n".join(part.page_content for part in UnstructuredFileLoader(str(file)).load())
    except ImportError:
        raise CopilotError(
            f"{file}: {file.suffix} files need the `loaders` extra",
            "pip install 'tech-clarity-copilot[loaders]' unstructured, or name the file in `documents.exclude`",
        ) from None
    except Exception as error:  # each loader has its own
        raise CopilotError(f"{file}: cannot be read: {error}", "name it in `documents.exclude`") from None
