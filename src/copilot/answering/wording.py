"""What an entry says in; items and sentences of an answer, none said twice, out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from copilot.answering.asked import SHAPED, Asked, stems
from copilot.answering.identifiers import is_pair, nameable, supported
from copilot.answering.ranking import Found, rival
from copilot.prompt.grammar import VERBS
from copilot.reading.entry import Entry
from copilot.reading.rows import name_of
from copilot.types import Hit

_WARNING = (
    r"don't|do not|avoid|careful|beware|refused|rejected|errors?|cannot|only|must|not|never|no longer|fails?|otherwise|"
    r"at most|up to|limit\w*|except|unless|lost|ignored|[45]\d\d"
)
WARNS = re.compile(rf"\b(?:{_WARNING})\b", re.I)
ALARM = re.compile(rf"\b(?:{_WARNING}|before|deprecated)\b", re.I)  # what the baseline takes for a warning besides
LEANS = re.compile(
    r"(?:It|Its|They|Their|After (?:that|this)|Afterwards|The rest|These|Those|That|Such|Otherwise|Then|Both|He|She|"
    r"(?:If|When|Once|Until|While|Unless|After|Before|Without) (?:so|not|it|they|these|those|them)|"
    r"In that case|However|Therefore|So|Thus|In this case|"
    r"Also|For example|For instance|As such|Instead|But|And|Or|This (?:is|was|can|will|may|might|has|lets|allows|makes|"
    r"means|must|should|would|could|does|also|gives|helps|happens|applies|works|includes|requires|causes|only|way|"
    r"behaviou?r|case|approach|example|error|one|information|list|value|in turn))\b",
    re.I,
)
_HEADED = re.compile(
    r"(?:It|They|These|Both|This (?:is(?! why)|lets|allows|makes|means|gives|helps|works|happens|occurs))\b"
)
_ARTICLE = re.compile(r"^\W*(?:(?:an?|the)\b)?\W*", re.I)
ROOM = 200  # characters of names
SHORT = 50  # characters of a name, fewer than
LONG = 6  # words of a sentence that must not stand twice
_FINE = re.compile(r"`?[1-3]\d\d\b")
_NEEDED = re.compile(r"^Required[.:]|(?<= )Required\.$")
_REQUIRED = re.compile(r"\b(?:required|needed|mandatory|must|have to)\b", re.I)
_FAILING = re.compile(r"\b(?:errors?|codes?|status(?:es)?)\b", re.I)
_BEGUN = re.compile(r": |(?<=\w)[.] | [–—] ")  # what parts a name from what is said of it
_DOES = re.compile(r"(?:This \w+ )?[A-Z]?[a-z]+s\b|`")
_COUNTED = re.compile(  # the number of a chapter
    r"^(?:\d{1,2}(?:\.\d+)*[.)]? +|(?:topic|chapter|section|part|module|unit|lesson) \d+ ?[:.)–—-] *)(?=[^\W\d])", re.I
)
_ASIDE = re.compile(
    r"There (?:is|are)\b|\{|(?:Answers|Returns) `\d{3}`|The (?:answer|body|repl(?:y|ies)|response|result)s? ?\b|Type\b|"
    r"(?:An?|Each|Every) [\w ]+ (?:can|may) (?:have|hold|make)\b|`[^`/ ]*` (?:is|are|holds|has|lists)\b|No\b"
)
_PLAINLY = re.compile(r"https?|html?|json|xml|ya?ml|csv|true|false|null|none", re.I)  # ticked, and no field's name
_TICKED = re.compile(r"`([^`]+)`")
_BEGINS = re.compile(
    r"(?:The )?(?:(?:field|parameter|option|header|flag|value) )?`([^`/ ]+)` (?!and |or )[a-z]+ .*\w \w"
)
_TITLED = re.compile(r"[A-Z][a-z]+(?:-[A-Z][a-z]+)+")  # may be a header, or words: "Retrieval-Augmented Generation"
_WIRELESS = re.compile(r"[A-Z][a-z](?:-[A-Z][a-z]+)+")  # "Wi-Fi"
_PRODUCT = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)+")
_CODE = re.compile(r"^[ \t]*```.*?(?:^[ \t]*```|\Z)", re.S | re.M)
_PIECE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Said:
    """What the answer has said already, and the names that its entry lets it put into backticks."""

    names: tuple[str, ...]
    marked: bool  # the document itself has names in backticks
    before: set[str] = field(default_factory=set)

    @classmethod
    def over(cls, context: str) -> "Said":
        """Nothing so far, over the passages of an entry."""
        titles = " ".join(line.partition(" › ")[0] for line in context.splitlines() if " › " in line)
        found = [name for name in nameable(context) if not _WIRELESS.fullmatch(name)]
        names = (name for name in found if not (_PRODUCT.fullmatch(name) and name in titles))
        return cls(tuple(names), "`" in context)

    def new(self, sentences: Iterable[str], most: int) -> list[str]:
        """The first `most` that were not said yet, names in backticks; they count as said from now on."""
        found: list[str] = []
        for text in sentences:
            if len(found) == most:
                break
            parts = {part: _key(part) for part in _PIECE.split(text)}
            left = [part for part, key in parts.items() if key not in self.before or len(key.split()) < LONG]
            if _key(text) not in self.before and any(key not in self.before for key in parts.values()):
                self.before.update((_key(text), *parts.values()))
                found.append(self.ticked(" ".join(left)))
        return found

    def ticked(self, text: str) -> str:
        """`text` with its names in backticks, where the document has not put them there."""
        found = (n for n in sorted(self.names, key=len, reverse=True) if SHAPED.match(n))
        shaped = [re.escape(n) + r"(?! [A-Z])" * bool(_TITLED.fullmatch(n)) for n in found]
        if self.marked or not shaped:
            return text
        name = re.compile(rf"(?<![\w/.{{@-])(?:{'|'.join(shaped)})(?![\w/}}(-]|\.\w)")
        spans = text.split("`")
        return "`".join(part if i % 2 else name.sub(r"`\g<0>`", part) for i, part in enumerate(spans))

    def named(self, prose: Sequence[str], fields: Sequence[str], most: int, fit: Mapping[str, float]) -> list[str]:
        """Sentences that begin with a name that none of `fields` tells of; without fields, others that name one too.

        Each name once, `most` with the fields; the others are those that say most of what is asked, four at most.
        """
        taken = {name for text in fields for name in _TICKED.findall(text.partition(": ")[0])}
        begun = {text: match[1] for text in prose if (match := _BEGINS.match(self.ticked(text)))}
        single = [text for text in prose if text not in begun and len(_PIECE.split(text)) == 1]
        others = {text: name for text in single if (name := self.naming(text)) and not _PLAINLY.fullmatch(name)}
        likely = sorted(others, key=lambda text: -fit[text])[:4] if not fields else []
        found: list[str] = []
        for text in [text for text in prose if text in begun or text in likely]:
            name = begun.get(text) or others[text]
            if name not in taken and name in self.names and not is_pair(name) and len(fields) + len(found) < most:
                said = self.new([text], 1)
                listing = len(_TICKED.findall(self.ticked(text))) > 2  # is about none of them
                found += [one if text in begun or listing else f"`{name}`: {one}" for one in said]
                taken |= {name} if said else set()
        return found

    def naming(self, text: str) -> str:
        """The first name, but no verb, path, status or value, that stands in backticks in `text`; "" without one."""
        ticked = (name for name in _TICKED.findall(self.ticked(text)) if not re.search(r"^[\d.]|[\s=/]", name))
        return next((name for name in ticked if name in self.names and not re.fullmatch(VERBS, name)), "")


def can_stand(text: str, longest: int) -> bool:
    """Whether it can stand in a line of an answer of so many characters, whatever the document holds."""
    closed = text.count("`") % 2 == 0
    return text.isprintable() and len(text) <= longest and closed and not text.startswith(("#", "|", "```", "~~~"))


def _key(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def row(pair: tuple[str, str]) -> str:
    """A row of a table as an item; a name gets backticks, a word such as a plan's name none."""
    name = (
        pair[0]
        if "`" in pair[0] or not re.fullmatch(r"(?![A-Z][a-z]+$)\S*[A-Za-z]\S*|\d{3}", pair[0])
        else f"`{pair[0]}`"
    )
    return f"{name}: {pair[1]}"


def shortened(text: str, longest: int, asked: Asked | None = None) -> str:
    """Its first sentences, whole, in so many characters; as it is where the first alone has more.

    With `asked` the first one and those that say most of that, in order.
    """
    pieces = _PIECE.split(text)
    likely = sorted(range(1, len(pieces)), key=lambda n: (-asked.likeness(pieces[n]) if asked else 0, n))
    kept = [0]
    for n in likely:
        if len(" ".join(pieces[at] for at in [*kept, n])) <= longest:
            kept.append(n)
        elif asked is None:
            break
    return " ".join(pieces[at] for at in sorted(kept))


def described(heading: str, first: str, more: Sequence[str]) -> str:
    """The summary: the heading where the entry does not begin by saying what it is, then what is said.

    What answers without a beginning, `more` alone, stands for itself.
    """
    heading = uncounted(heading)
    told = [text if text.endswith((".", "!", "?")) else f"{text}." for text in ([first] * bool(first)) + [*more]]
    if is_pair(heading):
        return " ".join(told if first else [f"This is about `{heading}`.", *told])
    if more and not first:
        return " ".join(told)
    if told and (name := name_of(heading)) and name not in " ".join(told):
        return f"`{name}`: {' '.join(told)}"
    if told and _key(_ARTICLE.sub("", first)).startswith(f"{_key(_ARTICLE.sub('', heading))} "):
        return " ".join(told)
    alarm = ALARM.search(_PIECE.split(first)[0]) and not _DOES.match(first)
    aside = _ASIDE.match(first) or _HEADED.match(first) or alarm
    named = heading if heading.endswith((".", "!", "?")) else f"{heading}."
    return " ".join([named, *told] if (aside and not first.startswith(f"“{heading}”")) or not first else told)


def uncounted(heading: str) -> str:
    """A heading without its number: "Topic 6: Plans" is "Plans"."""
    return _COUNTED.sub("", heading)


def leaning(entry: Entry) -> list[str]:
    """The sentences of its prose, each with those after it that cannot be understood alone.

    A first one that cannot is left out, if "It" is not what the heading names.
    """
    found: list[str] = []
    for n, sentence in enumerate(entry.sentences):
        if found and LEANS.match(sentence):
            found[-1] += " " + sentence
        elif not LEANS.match(sentence) or (n == 0 and entry.opens and _HEADED.match(sentence)):
            found.append(sentence)
    return found


def listed(rows: Sequence[str], fit: Mapping[str, float], most: int) -> list[str]:
    """The rows; where there are more than fit, those that are asked for first, then those that have to be given."""
    if len(rows) <= most:
        return list(rows)
    return sorted(rows, key=lambda text: -fit[text] - 0.1 * bool(_NEEDED.search(text.partition(": ")[2])))


def overview(found: Found, rows: Mapping[tuple[str, str], str], best: str, asked: Asked) -> str:
    """What an entry of rows alone tells of; "" where the `best` of them says something of the question itself."""
    known = set(stems(found.hits[0].chunk.header))
    names = [text.partition(": ")[0] for text in rows.values()]
    known |= set.intersection(*(set(stems(text)) for text in rows.values())) if rows else set()  # titles of columns
    if len(names) < 3 or any(word in asked.weight and word not in known for word in stems(best)):
        return ""
    told = named(names, ROOM) if asked.lists else named(names[:5], ROOM, 4)
    return f"“{uncounted(found.heading)}” tells of {told}." if len(told) < ROOM else ""


def named(names: Sequence[str], room: int, most: int = 99) -> str:
    """The names in one line of so many characters: "a, b and c", or "a, b and others"."""
    kept = [name for n, name in enumerate(names) if n < most and len(", ".join(names[: n + 1])) <= room]
    kept += ["others"] * (len(kept) < len(names))
    return " and ".join(filter(None, (", ".join(kept[:-1]), kept[-1])))


def listing(entry: Entry, rows: Mapping[tuple[str, str], str], asked: Asked) -> str:
    """The names of all that the entry lists, for who asks for them: of its rows, its items or its steps; "" without."""
    if not asked.lists or asked.compares:
        return ""
    needed = [text for text in rows.values() if _NEEDED.search(text.partition(": ")[2])]
    if needed and _REQUIRED.search(asked.question):
        return f"Required: {named([text.partition(': ')[0] for text in needed], ROOM)}."
    fields, codes = ([rows[pair] for pair in pairs if pair in rows] for pairs in (entry.fields, entry.codes))
    kinds = [codes, fields] if _FAILING.search(asked.question) else [fields, codes]
    for texts in (*kinds, entry.items, [] if "step" in asked.weight else entry.steps):
        names = list(dict.fromkeys(_BEGUN.split(text, maxsplit=1)[0].rstrip(".") for text in texts))
        if len(names) > 2 and max(map(len, names)) < SHORT:
            return f"Listed below: {named(names, ROOM)}."
    return ""


def pointed(points: Sequence[str]) -> list[str]:
    """Items below the lines that lead over to them; such a line without an item is left out."""
    followed = [
        text for text, after in zip(points, [*points[1:], ":"], strict=False) if text[-1] != ":" or after[-1] != ":"
    ]
    return [text if text.endswith(":") else f"- {text}" for text in followed]


def warned(sentences: Sequence[str], codes: Sequence[str], fit: Mapping[str, float], most: int) -> list[str]:
    """The warnings and errors that have most to do with the question, warnings before errors; no status of success."""
    errors = [text for text in codes if fit[text] >= 2 or not _FINE.match(text)]
    pool = [*sentences, *errors]
    kept = sorted(pool, key=lambda text: -fit[text] - 0.5 * (text in sentences))[:most]
    return [text for text in pool if text in kept]


def calling(entry: Entry, asked: Asked, context: str, others: str) -> list[str]:
    """How the entry's endpoint or function is used; nothing where it names none.

    `context` is the entry's own passages. Where `others`, all passages, write another verb before the same path, the
    verb is told apart from it.
    """
    known = [call for call in entry.calls if supported(call, context)]
    known = known or [path for call in entry.calls if supported(path := call.partition(" ")[2], context)]
    if not known:
        return []
    first = max(known, key=asked.likeness)
    verb, _, path = first.partition(" ")
    calls = [call for call in known if call.partition(" ")[2] == path] if is_pair(first) else [first]
    if all(supported(call, others) for call in calls):
        how = [f"{'Call' if '/' in first else 'Use'} {' or '.join(f'`{call}`' for call in calls[:3])}."]
    else:
        how = [f"Call `{path}` with `{verb}`."]
    placed = re.findall(r"[{<](\w+)[}>]", path)
    given = [name.strip("`") for name, text in entry.fields if _NEEDED.search(text)]
    samples = _CODE.findall(context)
    if samples and is_pair(first) and not supported(path, _CODE.sub("", context)):  # a sample shows what it takes
        given = [name for name in given if supported(name, "\n".join(samples))]
    given = [f"`{name}`" for name in given if name not in placed and verb != "GET" and "`" not in name][:5]
    return how + ([f"Give {' and '.join(filter(None, (', '.join(given[:-1]), given[-1])))}."] if given else [])


def beside(asked: Asked, found: Found, hits: Sequence[Hit], others: str) -> str:
    """What is said of the entry that fits nearly as well as `found`; "" without one.

    Where two things are compared, its name, its first sentence and its call; else its name and a call of its own, for a
    reader who meant that. `others` is all passages.
    """
    other = rival(asked, found, hits)
    if other is None:
        return ""
    call = calling(other.entry, asked, other.context, others)[:1]
    if not asked.compares:
        new = call and call[0] not in calling(found.entry, asked, found.context, others)
        name = f"Or is it “{other.heading}”? " if not is_pair(other.heading) else "Or: "
        return f"{name}{call[0]}" if new else ""
    name = "Beside it" if is_pair(other.heading) else f"Beside it, “{other.heading}”"
    first = [Said.over(other.context).ticked(text) for text in leaning(other.entry)[:1]]
    told = [*first, *call]
    return f"{name}: {' '.join(told)}" if told else ""
