"""A question and its hits in; what is asked out: its words by their weight, its names, and of what kind it is."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from copilot.answering.identifiers import in_text, nameable, supported
from copilot.knowledge.asking import is_name, plain, subject
from copilot.knowledge.lexical import COMMON
from copilot.types import Hit

Judge = Callable[[str, Sequence[str]], Iterable[float]]  # question, texts → log odds that each answers it
SHAPED = re.compile(r"(?!(?:[A-Z][a-z]+|[a-z]+|[A-Z]+|\d+)$)\S+(?: /\S+)?$")  # a name that no plain word looks like
_WORD = re.compile(r"\b[A-Z]{2}[a-z]{2,}\b|[A-Z]{2,}(?=s\b)|[A-Za-z][a-z]+|[A-Z]+(?![a-z])|\d+")  # OAuth, APIs
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|s|e|ly)$|(?<=\w{4})ations?$")  # "installation", not "location"
_DOUBLED = re.compile(r"([^aeiou\d])\1$")  # cancell, of cancelling
_COMPARES = re.compile(
    r"\bwhich (?:one )?of (?:the|these|those) two\b|\bwhat differs\b|\bdiff(?:erences?)? between\b|\bversus\b|\bvs\b|"
    r"\bcompared? (?:to|with)\b|^\W*(?:please )?compare\b|\bdiffers? from\b|\bdifferent from\b|\bthe same as\b|"
    r"\bshould (?:i|we|you|one) (?:use|take|choose|pick) [^,.]+ or (?!not\b)|"
    r"^[^,.:]+ or [^,.:]+: |\bwhat(?:['’]?s| is) the diff\b",
    re.I,
)
_DIRECT = re.compile(  # what one sentence answers, or one of several rows: "Which plan ...?"
    r"(?:^|^(?!\W*(?:how|what|which)\b).*?[,.:;] )\W*(?:(?:and|but|so|then|ok|hi|hello)\W+)*(?:can|could|do|does|did|"
    r"is|are|was|were|will|would|should|must|may|has|have|"
    r"how (?:many|much|long|often|big|large|fast|far|old|soon|late|heavy|high|wide|tall|deep)|"
    r"what happens|what if|why|when|where|who|whom|until when|at what|(?:at |for )?which (?:day|time|size|age))\b|"
    r"^\W*(?:which|what) (?!.*\bare\b)(?!(?:can|could|do|did|will|would|should|must|may|have|if|about|to|for|an?|the|"
    r"i|we|you|it|kind|sort|type|other|all|endpoint|call|method|request|url|path|http|api)\b)[a-z-]*[^s\W](?= \w)|"
    r" [-–—] (?:do|does|can|is|are|will|must|may|how (?:long|much|many)|when|why)\b|\b(?:is|are) there (?:an?|any)\b|"
    r"\b(?:limits?|defaults?|max(?:imum)?|min(?:imum)?|costs?|price|quotas?|allowed)\b",
    re.I,
)
_HOW = re.compile(
    r"\bhow (?:do|does|can|could|should|would|to|is|are)\b|"
    r"\bwhat (?:now|next|to do|(?:do|can|should|must) (?:i|we) do)\b",
    re.I,
)
_SEVERAL = re.compile(  # what asks for all that there is, or for no one thing
    r"^\W*(?:what|which) (?:\w+ ){0,4}are\b|\b(?:list|all|overview|what is|kinds?|types?|explain|describe|tell me)\b|"
    r"\bwhat (?:fields|parameters|options|settings)\b",
    re.I,
)
_LISTS = re.compile(  # what asks for the names of all
    r"^\W*(?:please |can you |could you )?(?:list|name|enumerate)\b|^\W*(?:what|which) (?:are|kinds?|types?|sorts?)\b|"
    r"^\W*(?:what|which) (?:\w+ )?(?!happens|does|is|was|has)[a-z-]+[^s\W]s(?<!basis)(?<!status) "
    r"(?:are|do|does|can|exist|should|must|may|have|has|will|of|for|in|there)\b|"
    r"\b(?:list|names?) (?:of|all)\b|^\W*(?:\w+ ){0,2}all (?:the )?[a-z-]+ ?[a-z-]+s\b",
    re.I,
)
_SECOND = re.compile(  # two questions in one
    r"(.{12,}?)(?:,? and |[.?!] )"
    r"((?:how|what|which|when|where|who|why|can|could|do|does|is|are|will|must|should|may)\b.{8,})$",
    re.I | re.S,
)
_PAIR = re.compile(
    r"^(.+?) (?:or|and) (.+?)\W+what(?:['’]?s| is) the diff(?:erence)?[?.! ]*$|"
    r"\bbetween (.+?) and (.+?)[?.! ]*$|^\W*(?:please )?compare (.+?) (?:and|with|to) (.+?)[?.! ]*$|"
    r"^\W*how (?:is|are|does|do) (.+?) (?:different|differ) from (.+?)[?.! ]*$|"
    r"\bshould (?:i|we|you|one) (?:use|take|choose|pick) (.+?) or (?!not\b)(.+?)[?.! ]*$|"
    r"^\W*(?:(?:what|which) (?:is|are) (?:the )?(?:better|differences?),? )?"
    r"(.+?) (?:vs\.?|versus) (.+?)[?.! ]*$",
    re.I,
)
_COMPARING = ("differenc", "between", "differ", "compar")
_SHORT = re.compile(r"(\w[^()]{3,}) \(([A-Z][\w-]{1,7})\)")  # "Retrieval-augmented generation (RAG)"
_QUOTED = re.compile(r"[\"“'`]([\w.-]+)[\"”'`]|\b([1-5]\d\d)\b")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question asks for."""

    weight: dict[str, float]  # its content words' stems; a word counts more, the fewer hits hold it
    names: tuple[str, ...]  # identifiers, what it quotes, and numbers
    compares: bool  # two things
    alone: str = ""  # the name, in its own shape or plain, where it asks for nothing else
    pair: tuple[str, ...] = ()  # the words of the two that are compared, between blanks
    direct: bool = False  # whether one sentence may answer it: "Can I ...?", "How many ...?"
    row: str = ""  # what stands first in the row that answers it, by the reranker
    how: bool = False  # whether it asks how something is done
    several: bool = False  # whether it asks for all that there is
    lists: bool = False  # whether it asks for the names of that
    question: str = ""  # without the words of asking
    judge: Callable[[Sequence[str]], Iterable[float]] | None = None  # log odds that each text answers it
    second: "Asked | None" = None  # what is asked besides, of the same thing: "..., and how big may it be?"

    def likeness(self, text: str) -> float:
        """How much of what is asked `text` says, for its length; at least 2 for each name."""
        own = stems(text)
        shared = sum(self.weight.get(word, 0.0) for word in own)
        return shared / math.sqrt(4 + len(own)) + 2 * sum(supported(name, text) for name in self.names)

    def is_for(self, name: str) -> bool:
        """Whether it asks for nothing but `name`: "What is a manifest?"."""
        if is_name(self.alone):
            parts = {part.strip("`").lower() for part in re.split(r"[\s,|]+", name)}
            same = joined(self.alone) == joined(name) and not self.alone.startswith("-")
            return same or self.alone.lower() in parts
        short = _SHORT.fullmatch(name)
        wanted = (self.weight.keys(), set(stems(self.alone)))
        return any(own and own in wanted for own in map(set, map(stems, (name, *(short.groups() if short else ())))))


def read_question(question: str, hits: Sequence[Hit], judge: Judge | None = None) -> Asked:
    """What is asked, its words weighed by log(1 + n / hits that hold it) (Sparck Jones 1972); no words of asking."""
    lists = bool(_LISTS.search(question))
    question = plain(question)
    df = Counter(word for hit in hits for word in stems(hit.chunk.passage))
    quoted = [match[1] or match[2] for match in _QUOTED.finditer(question)]
    names = [name for name in (*nameable(question), *in_text(question)) if SHAPED.match(name)]
    compares = bool(_COMPARES.search(question))
    words = [word for word in stems(question) if not (compares and word in _COMPARING)]
    weight = {word: math.log(1 + len(hits) / (df[word] or 0.5)) for word in words}
    alone = subject(question, COMMON)
    names += alone if all(map(is_name, alone)) else ()
    two = _PAIR.search(question)
    pair = tuple(phrase(one) for one in two.groups() if one) if two else ()
    row = next((hit.row for hit in hits if hit.row), "")
    asked = Asked(weight, tuple(dict.fromkeys([*names, *quoted])), compares, " ".join(alone), pair, row=row)
    apart = None if compares else _SECOND.match(question)
    one, *others = [
        replace(
            asked,
            direct=bool(_DIRECT.search(text)),
            how=bool(_HOW.search(text)),
            several=bool(_SEVERAL.search(text)),
            lists=lists or bool(_LISTS.search(text)),
            question=text,
            judge=partial(judge, text if stems(text) else question) if judge else None,  # "..., and what can I do?"
        )
        for text in (apart.groups() if apart else (question,))
    ]
    return replace(one, direct=bool(_DIRECT.search(question)), second=others[0] if others else None)


def joined(name: str) -> str:
    """A name, whatever parts its words."""
    return re.sub(r"[\W_]", "", name).lower()


def phrase(name: str) -> str:
    """Its words in order between blanks, without endings, doubled letters before these, and articles."""
    words = [word.lower() for word in _WORD.findall(name)]
    kept = [_DOUBLED.sub(r"\1", _ENDING.sub("", word)) for word in words if word not in ("a", "an", "the")]
    return f" {' '.join(kept)} "


def stems(text: str) -> list[str]:
    """The content words of `text` without their endings, each once; the parts of a name are words of their own.

    Not those of `knowledge.lexical`, with which the entry of the training questions is right a little less often.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    return list(dict.fromkeys(_ENDING.sub("", word) for word in words if word not in COMMON))
