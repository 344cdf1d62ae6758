"""A question as a person asks it in; the same without the words of asking, and the name it asks for alone, out.

"Explain the append endpoint in simple terms" asks for what "Explain append" asks for, but is farther from the documents
for every encoder. What a reader is shown stays the question as it was asked.
"""

import re

# Words that stand in questions about anything, beside those of `lexical.COMMON`, and what a thing with a name may be
# called: no document has to hold them, and they ask for nothing that the name does not.
ASKING = frozenset(
    re.findall(
        r"\w+",
        "able again already also always answer anybody anyone anything anywhere api appear appears argument ask "
        "asking attribute basically briefly call cannot cant care code codes command couldnt dear define defined "
        "definition describe detail details display doesnt dont easy endpoint endpoints english error errors ever "
        "everybody everyday everyone everything exactly example exit explain explained explanation field fields "
        "five fix flag form function gets getting gives giving got handle happen happened happening happens header "
        "hello help her hey hi his http id idea im information instead isnt ive key kind language layman laymans "
        "meaning message mind name nobody none nontechnical nothing number ok okay old option options overview "
        "parameter parameters perhaps person plain please possible possibly property purpose quickly reader really "
        "receive received regarding resolve response role say says see set sets setting setup short show "
        "shows simple simpler simply solve somebody somehow someone something sometimes somewhere sorry stand "
        "stands status step still stuff summary technical term terms thank thanks thing try trying understand value "
        "variable wanna wat whats wheres whos wont word words work works would wouldnt years yes",
    )
)
# Of these, what is done with a thing: "Fix E-NET1" asks for the name, "handle a return" for more than the noun.
_DONE = frozenset(
    re.findall(r"\w+", "ask call fix handle receive received resolve say says set sets setup show shows solve try")
)
_HOW = frozenset(("again", "old"))  # "an old token" is not any token
_SORT = (
    r"(?:(?:api|request|response|query|path|body|http|config(?:uration)?|command[- ]line) )?"
    r"(?:endpoint|parameter|param|field|setting|option|flag|header|property|attribute|argument|variable)"
)
_NOT = r"(?!(?:which|same|first|last|next|wrong|right|new|old|other|required|optional|each|this|that|missing)\b)"
_LAY = r"(?:non[- ]?technical|not technical|without (?:any )?technical (?:knowledge|background))"
_READER = (
    r"(?:an? |my |the )?(?:(?:complete |absolute )?beginners?|child(?:ren)?|kids?|laym[ae]n|lay ?(?:person|people)|"
    r"dummies|boss|manager|mother|grandmother|grandma|non[- ]?technical \w+"
    rf"|(?:person|people|someone|somebody|anyone) (?:(?:who|that) (?:is|are) )?{_LAY})"
)
_TERMS = (
    r"in (?:(?:very|more|really|just|simpl\w+|plain|easy|everyday|non[- ]?technical|lay(?:man|person)?(?:['’]?s)?|"
    r"your own|other|a few|short),? (?:and )?)+(?:terms|words?|language|english|sentences?|way)"
)
_YOU = r"^\s*(?:can|could|would|will) (?:you|someone|anybody|anyone) (?:briefly |quickly )?"
_SHAPED = r"(?-i:\w+_\w*|[a-z]+[A-Z]\w*|--?[a-z][\w-]*|/[\w/{}:.-]*\w\}?|[a-z]\w+(?:\.[a-z]\w+)+)"
_QUOTE = r"[`\"“”'‘’]?"
_WHAT = r"^(\s*(?:what(?: is| are| does|['’]?s)|explain|describe|how does)) "
_END = r"(?=(?: (?:for|do|does|mean|work|used for|about))?\s*[?.!]*$)"
_WORDING = tuple(
    (re.compile(pattern, re.I), instead)
    for pattern, instead in (
        (rf"[\s,(-]*\b{_TERMS}\)?", ""),
        (rf"\b((?:explain|describe|summari[sz]e)\b.*?),?\s+(?:to|for) {_READER}(?=\s*(?:[?.!,]|$))", r"\1"),
        (r",?\s+(?:like|as if|as though) (?:i am|i['’]m|i was|i were) (?:an? )?\w+(?: years? old)?(?=\s*[?.!]*$)", ""),
        (r",?\s*\b(?:many )?(?:thanks|thank you)(?: (?:a lot|so much|very much|in advance))*[.!]*\s*$", ""),
        (r"^\s*(?:hi|hello|hey|good morning|good day)(?: there| all| team)?\s*[,!.]+\s*", ""),
        (r"[\s,]*\bplease\b(?=\s*[?.!]|\s*$)|\bplease\b,?\s*", ""),
        (rf"{_YOU}(?=explain|describe)", ""),
        (rf"{_YOU}(?:tell|show) (?:me|us),? ?(?:about )?(?=\S)", ""),
        (r"^\s*i (?:would like|want|need) to (?:know|understand|learn),? (?:about )?(?=\S)", ""),
        (r"\b(explain|describe)(?: to)? (?:me|us)\b,? ?(?=\S)", r"\1 "),
        (r"^\s*(?:explain|describe),? (?=(?:what|how|why|when|where|which|who)\b)", ""),
        (r"\bwhat(?: is|['’]?s| are) the (?:purpose|meaning) of (?:the )?", "What is "),
        (r"^\s*what(?: is|['’]?s) meant by ", "What is "),
        (
            r"\bwhat happens (?:when|if) (?:i|we|you) (?:get|see|receive|have) (?:an? |the )?"
            r"(?=(?:(?:error|status|http)[ -]?)+(?:codes? )?\d)",
            "What is ",
        ),
        (r"^\s*(?:list|name|enumerate)(?: me| out)?(?: all)?(?: of)?(?: the)? (.+?)[.?!\s]*$", r"What \1 are there?"),
        (r"^\s*(?:which|what) endpoint (?:do|should|can|must) (?:i|we|you) (?:use|call) (?:to|for) ", "How do I "),
        (rf"\b(?:the )?{_SORT} (?:(?:called|named) )?(?={_QUOTE}{_SHAPED})", ""),
        (rf"\b(?:the )({_QUOTE}{_SHAPED}{_QUOTE}) {_SORT}\b", r"\1"),
        (rf"{_WHAT}the {_NOT}([\w-]+(?: [\w-]+)?) {_SORT}{_END}", r"\1 \2"),
        (rf"{_WHAT}(?:the )?{_SORT} (?!for\b|do\b|does\b|of\b)([\w-]+){_END}", r"\1 \2"),
    )
)
# Everyday words, and those of manuals that may be meant by them.
_EVERYDAY = tuple(
    (re.compile(pattern, re.I), instead)
    for pattern, instead in (
        (r"\bundo\b", ("cancel", "withdraw", "bring back")),
        (r"\bmoney back\b", ("a refund",)),
        (r"\bget rid of\b", ("delete",)),
        (r"\bkick (?:(\w+(?: \w+)?) )?out\b", (r"remove \1",)),
    )
)
_ENDED = re.compile(r"[.?!:…。？！][\W_]*$|^\W*$")
_TOKEN = re.compile(r"[A-Z]+ /\S+|[^\s\"“”'‘’`,;!?()]+")
_NAME = re.compile(
    r"--?[a-zA-Z][\w-]*"  # --flag
    r"|/\S*\w\S*|[A-Z]+ /\S+"  # a path, a verb with its path
    r"|[a-zA-Z]\w*_\w*|_\w+"  # snake_case
    r"|[a-z]+[A-Z]\w*|[A-Z][a-z0-9]+[A-Z]\w*"  # camelCase
    r"|[a-z]\w+(?:\.[a-z]\w+)+"  # dot.case
    r"|(?:X|[A-Z][a-z]{2,})(?:-[A-Z][a-z]+)+"  # Header-Case
    r"|(?=[\w-]*\d)[A-Z]{2,}[\w-]*|[A-Z](?:-[A-Z0-9]+)+"  # a code: PS014, E-NET1
    r"|[A-Z]{6,}|\d{3}(?:\.\d+)?"  # a status
)


def plain(question: str) -> str:
    """`question` without the words of asking, such as "in simple terms"; as it is where nothing else is left."""
    found = question
    for pattern, instead in _WORDING:
        found = pattern.sub(instead, found)
    found = " ".join(found.split()).strip(" ,")
    return found if found != question and re.search(r"\w{2}", found) else question


def wordings(question: str) -> tuple[str, ...]:
    """What is looked up for a question: itself, without the words of asking, and in words of manuals; each once.

    All with a mark at the end: what is asked without one scores less, by an encoder that was taught with one.
    """
    asked = plain(question)
    meant = [(pattern, word) for pattern, words in _EVERYDAY if pattern.search(asked) for word in words]
    others = [" ".join(pattern.sub(word, asked).split()) for pattern, word in meant]
    return tuple(dict.fromkeys(map(ended, (question, asked, *others))))


def ended(question: str) -> str:
    """`question` with a mark at its end."""
    return question if _ENDED.search(question) else f"{question.rstrip()}?"


def subject(question: str, common: frozenset[str]) -> tuple[str, ...]:
    """The words that are left without those of asking, those of `common` and what a named thing is called.

    `X-Key` and `GET /x` are one word; in "What does the error E-NET1 mean?" only `E-NET1` is left.
    """
    found = dict.fromkeys(word.rstrip(".:") for word in _TOKEN.findall(plain(question)))
    words = [word for word in found if len(word) > 1 and word.lower() not in common]
    things = tuple(word for word in words if word.lower() not in ASKING - _HOW)
    return things if all(map(is_name, things)) else tuple(w for w in words if w.lower() not in ASKING - _DONE - _HOW)


def is_name(word: str) -> bool:
    """Whether `word` has the shape of a name or a code, which no plain word of a language has."""
    return _NAME.fullmatch(word) is not None
