"""Evidence in; what is refused by it, when it is trusted at all, and the refusal that a reader gets, out."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_answer import HITS, answerer
from test_index import Console, make_project
from tiny_lm import hit, response

from copilot.abstention import LEAST, PLAIN, SAYS, evidence, labelled, open_doubt, open_floor
from copilot.answering.abstained import abstained
from copilot.answering.asked import Judge
from copilot.answering.check import check
from copilot.answering.floor import FEWEST, WRONGLY, Floor, learn
from copilot.answering.identifiers import in_text
from copilot.answering.refusal import refusal, shaped
from copilot.config import SECTIONS, AnswerPart
from copilot.config_file import load_config
from copilot.errors import CopilotError
from copilot.opened import open_retriever
from copilot.pipeline import run_index
from copilot.prompt.sections import parse
from copilot.reading.glossary import Term
from copilot.types import Abstention, Chunk, Hit
from copilot.work import Work


def drawn(n: int, low: float, high: float, seed: int) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in np.random.default_rng(seed).uniform(low, high, size=(n, 2))]


def learnt(bad: Sequence[tuple[float, float]], n: int = 200) -> Floor:
    good = drawn(n, 0.3, 0.9, 1)
    return learn([*good, *bad], [True] * n + [False] * len(bad))


def test_what_is_far_away_is_refused_and_hardly_any_question_wrongly() -> None:
    floor = learnt(drawn(40, 0.0, 0.5, 2))
    assert floor.trusted and floor.refused_answerable <= WRONGLY and floor.refused_unanswerable > 0.5
    assert floor.auc is not None and floor.auc_low is not None and 0.8 < floor.auc_low < floor.auc < 1
    refused = floor.judge((0.1, 0.1))
    assert refused is not None and refused.by == "evidence"
    assert refused.score is not None and refused.score < floor.threshold == refused.threshold
    assert "a cosine of 0.10" in refused.reason and "10% of the question's words" in refused.reason
    assert "of 200 questions with an answer 0.5% are as far away" in refused.reason
    assert floor.judge((0.6, 0.6)) is None
    assert floor.judge((0.1, 0.9)) is not None and floor.judge((0.9, 0.1)) is not None, "one evidence is enough"
    assert floor.describe().startswith("what is far from the documents is refused: ")


def test_new_answerable_questions_are_refused_about_as_often_as_promised() -> None:
    floor = learnt(drawn(40, 0.0, 0.5, 2), n=1000)
    fresh = [floor.judge(e) for e in drawn(2000, 0.3, 0.9, 3)]
    assert sum(f is not None for f in fresh) / len(fresh) < 1.5 * WRONGLY


def test_a_score_is_a_share_of_the_answerable_questions() -> None:
    floor = learn([(0.1, 0.9), (0.2, 0.8), (0.3, 0.7)], [True] * 3)
    assert floor.score((0.0, 1.0)) == 1 / 4 and floor.score((0.2, 1.0)) == 3 / 4 and floor.score((1, 1)) == 1
    assert learn([], []).score((0.0, 0.0)) == 1 and not learn([], []).trusted


def test_nothing_is_refused_by_what_is_no_better_than_chance() -> None:
    floor = learnt(drawn(40, 0.3, 0.9, 5))
    assert not floor.trusted and floor.judge((-1.0, 0.0)) is None
    assert "no better than chance (AUC 0." in floor.describe()


def test_nothing_is_refused_by_what_was_learnt_from_too_little() -> None:
    few = learnt(drawn(FEWEST[1] - 1, 0.0, 0.1, 2))
    assert few.auc == 1 and not few.trusted and few.judge((0.0, 0.0)) is None
    assert few.describe().endswith("200 questions with an answer, 9 without; at least 30 and 10 are needed")
    assert learnt(drawn(FEWEST[1], 0.0, 0.1, 2)).trusted
    assert not learnt(drawn(40, 0.0, 0.1, 2), n=FEWEST[0] - 1).trusted
    assert not learnt([]).trusted


Q = "What of the weather and 404?"
LOUD = [
    hit("x", "a.md", "Guide › Contacts › `POST /v2/contacts`"),
    hit("x", "b.pdf", "", 3),
    hit("x", "c.md", "GET /x"),
    hit("x", "d.md", "Fourth"),
]


def test_the_refusal_has_the_sections_and_the_topics() -> None:
    text = refusal(Q, LOUD, ["weather", "404"], SECTIONS)
    sections = parse(text, SECTIONS)
    assert sections is not None and abstained(text) and in_text(text) == () and "`" not in text
    assert sections[0].text == "The documents do not clearly answer this. They never mention “weather”, “404”."
    assert sections[1].text.splitlines() == [
        "The nearest topics in the documents:",
        "- Contacts (Guide)",
        "- Guide",
        "- Fourth (Guide)",
    ]
    assert "Ask again" in sections[3].text and "ask the people who keep the documents" in sections[3].text
    assert check(text, sections, LOUD, "What of the weather and 404?", AnswerPart()) == ()
    assert "never mention" not in refusal(Q, LOUD, [], SECTIONS)
    none = parse(refusal(Q, [], [], SECTIONS), SECTIONS)
    assert none is not None and "nearest" not in none[1].text


def test_a_refusal_quotes_what_the_nearest_passages_say() -> None:
    leave = "Leave for special days is paid. A birth in the family gives ten days. The form is `leave_form`.\n"
    long = f"{'It goes on and on ' * 12}with no end.\n"
    hits = [hit(leave, "a.md", "Leave"), hit(long, "b.md", "Long"), hit("```\nmake\n```\n", "c.md", "Code")]

    def nearest(question: str) -> list[str]:
        sections = parse(text := refusal(question, hits, [], SECTIONS), SECTIONS)
        assert sections is not None and check(text, sections, hits, question, AnswerPart()) == ()
        return sections[1].text.splitlines()[1:]

    first = ["- Leave (Guide): “Leave for special days is paid.”", "- Long (Guide)", "- Code (Guide)"]
    assert nearest("What can I get for a new baby?") == first, "nothing too long, and no code"
    assert nearest("Do I get ten days for a birth?")[0] == "- Leave (Guide): “A birth in the family gives ten days.”"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_a_refusal_of_any_number_of_sections(count: int) -> None:
    titles = [f"Part {n}" for n in range(count)]
    text = refusal(Q, LOUD, ["weather"], titles)
    sections = parse(text, titles)
    assert sections is not None and abstained(text)
    assert "Contacts (Guide)" in sections[min(1, max(count - 2, 0))].text and "Ask again" in sections[-1].text


DOUBT = Abstention("evidence", 0.01, 0.02, "far away", ("weather",))


def test_a_doubted_question_never_reaches_the_model() -> None:
    asked, said = answerer(response(1))
    doubting = replace(asked, doubt=lambda question: DOUBT if "weather" in question else None)
    pieces: list[str] = []
    answer = doubting.ask("What is the weather?", pieces.append)
    assert said.prompts == [] and answer.text == "".join(pieces) == refusal(Q, HITS, ["weather"], SECTIONS)
    assert answer.abstained == DOUBT and len(answer.sections) == 4 and answer.hits == tuple(HITS)
    assert answer.usage.prompt_tokens == 0 and answer.usage.completion_tokens > 0
    assert replace(doubting, repair=True).ask("What is the weather?").text == answer.text and said.prompts == []
    told: list[int] = []
    answers = doubting.ask_all(["How?", "What is the weather?", "Why?"], told.append)
    assert len(said.prompts) == 2 == len(said.grammars) and sum(told) == 3
    assert [a.abstained for a in answers] == [None, DOUBT, None]
    assert [a.text for a in answers] == [response(1), answer.text, response(1)]
    assert doubting.ask_all(["weather"])[0].text == answer.text and len(said.prompts) == 2
    assert json.loads(json.dumps(answer.to_json()))["abstained"] == {
        "by": "evidence",
        "score": 0.01,
        "threshold": 0.02,
        "reason": "far away",
        "unknown": ["weather"],
    }


def test_a_question_for_a_term_of_the_glossary_is_never_refused() -> None:
    asked, said = answerer(response(1))
    doubting = replace(asked, doubt=lambda question: DOUBT, glossary=[Term("Dead letters", "What nobody took.")])
    assert doubting.ask("What are dead letters?").abstained is None and len(said.prompts) == 1
    assert doubting.ask("What are dead letters of the post?").abstained == DOUBT


def test_a_refusal_of_the_models_own_is_told_apart() -> None:
    text = response(1).replace(response(1).splitlines()[1], "The documents do not say how.", 1)
    asked, _ = answerer(text)
    pieces: list[str] = []
    answer = asked.ask("How?", pieces.append)
    assert answer.abstained is not None and (answer.abstained.by, answer.abstained.score) == ("model", None)
    assert answer.text == "".join(pieces) == refusal(Q, HITS, (), SECTIONS) == asked.ask_all(["How?"])[0].text
    assert answerer(response(1))[0].ask("How?").abstained is None
    for kept in (replace(asked, config=AnswerPart(enforce="off")), replace(asked, retrieve=None)):
        assert kept.ask("How?").text == text == kept.ask_all(["How?"])[0].text


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_only_the_first_sentence_is_held_back_to_see_whether_it_refuses(size: int) -> None:
    def came(text: str) -> list[str]:
        cut = (text[at : at + size] for at in range(0, len(text), size))
        return list(shaped(Q, cut, HITS, SECTIONS))

    for text in (response(1), "### Summary\nNo end", "Free words.", "", "### Other\nA bell. It rings."):
        assert "".join(came(text)) == text
    text = "### Summary\nOne `a`. The documents do not say the rest.\n\n### More"
    assert "".join(came(text)) == text, "an answer with a gap is none"
    for text in ("### Summary\nThe documents do not say. But `x`.", "### Summary\nThe documents do not say"):
        assert "".join(came(text)) == refusal(Q, HITS, (), SECTIONS)
    assert size > 1 or came(response(1))[11:13] == ["### Summary\n", ""], "a heading waits for no sentence"


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("abstention")
    make_project(folder)
    table = "| Option | Meaning |\n|---|---|\n| `ring_twice` | Rings it again. |\n| `volume` | How loud it is. |\n"
    (folder / "kb" / "options.md").write_text(f"# Options\n\nWhat a bell knows.\n\n{table}", encoding="utf-8")
    parts = [("How do I switch on the {} lamp?", True), ("Which call opens the {} door?", True)]
    parts += [("Who rings the {} bell?", True), ("How is the weather in {}?", False)]
    words = ["red", "old", "big", "small", "new", "first", "last", "green", "blue", "wide", "long", "other"]
    rows = [{"question": text.format(word), "answerable": yes} for text, yes in parts for word in words]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with (folder / "copilot.yaml").open("a", encoding="utf-8") as file:
        file.write("train: {data: train.jsonl}\nanswer: {abstain_rows: [rows.jsonl]}\n")
    run_index(load_config(folder / "copilot.yaml"), Console())
    return folder


def opened(folder: Path, *sets: str) -> Work:
    return Work(load_config(folder / "copilot.yaml", list(sets)))


def test_it_is_learnt_once_and_again_when_rows_or_documents_change(indexed: Path) -> None:
    work, console = opened(indexed), Console()
    retrieve = open_retriever(work.config, "")
    doubt = open_doubt(work, retrieve, console.say)
    assert doubt is not None and len(console.said) == 2
    assert "looking up 48 questions, once for this index" in console.said[0], "before, since it takes a while"
    assert "of 36 questions with an answer" in console.said[1] and "of 12 without" in console.said[1]
    refused = doubt("How do I boil an egg?")
    assert refused is not None and refused.unknown == ("boil", "egg") and doubt("How do I open a door?") is None
    path = work.folder / "abstention.json"
    kept = path.read_text(encoding="utf-8")
    floor = open_floor(work, retrieve, console.say)
    assert len(console.said) == 2 and path.read_text(encoding="utf-8") == kept, "nothing is learnt twice"
    assert floor.judge(retrieve.evidence("How do I boil an egg?")) == replace(refused, unknown=())
    path.write_text(kept[:-9], encoding="utf-8")
    assert open_floor(work, retrieve, console.say) == floor and len(console.said) == 4, "a damaged one is made again"
    before = work.key("abstention"), work.key("evaluate"), work.key("demo"), work.key("train")
    with (indexed / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"question": "Why?", "answerable": false}\n')
    after = work.key("abstention"), work.key("evaluate"), work.key("demo"), work.key("train")
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, False, True]
    assert open_floor(work, retrieve, console.say).unanswerable == 13 and len(console.said) == 6


@pytest.mark.parametrize("sets", [[], ["answer.abstain_rows=[]", "run.name=few"]])
def test_a_name_that_no_passage_holds_is_refused_where_nothing_else_is_asked(indexed: Path, sets: list[str]) -> None:
    run_index(opened(indexed, *sets).config, Console())
    work = opened(indexed, *sets)
    doubt = open_doubt(work, open_retriever(work.config, ""), Console().say)
    assert doubt is not None
    for question in ("What does E-NET2 mean?", "How do I fix error E-NET2?", "the E-NET2 field in simple terms"):
        refused = doubt(question)
        assert refused is not None and (refused.unknown, refused.score) == (("E-NET2",), None)
        assert "They never mention “E-NET2”." in refusal(Q, LOUD, refused.unknown, SECTIONS)
    other = doubt("How do I fix E-NET2 where the red lamp of the printer jams?")
    assert other is None or other.score is not None


def test_a_name_that_the_documents_explain_is_never_refused(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = learn([(2.0, 2.0)] * 40 + [(0.0, 0.0)] * 20, [True] * 40 + [False] * 20)  # refuses whatever it judges
    monkeypatch.setattr("copilot.abstention.open_floor", lambda work, retrieve, say: far)
    work = opened(indexed)
    doubt = open_doubt(work, open_retriever(work.config, ""), Console().say)
    assert doubt is not None and doubt("How do I open a door?") is not None
    for question in ("ring_twice", "What does ring_twice do?", "volume", "Explain the volume setting", "RING_TWICE"):
        assert doubt(question) is None, question
    assert doubt("How do I turn the volume down?") is not None


class Found:
    """What retrieves one passage about a door and a window, of a given fit; it keeps what a judge read of it."""

    def __init__(self, fit: float, odds: dict[str, float] | None) -> None:
        self.fit, self.odds, self.read = fit, odds, list[str]()

    @property
    def judge(self) -> Judge | None:
        return self._odds if self.odds is not None else None

    def evidence(self, question: str) -> tuple[float, ...]:
        return (self.fit,)

    def __call__(self, question: str) -> list[Hit]:
        text = "## Doors\n\nA door is opened by a push. The window is locked at night.\n"
        return [Hit(Chunk("d.md", "Doc", "Doc › Doors", None, 0, len(text), text), self.fit)]

    def _odds(self, question: str, texts: Sequence[str]) -> list[float]:
        self.read += texts
        odds = self.odds or {}
        return [next((odds[word] for word in odds if word in text), -4.0) for text in texts]


def test_what_the_best_sentence_says_is_evidence_too() -> None:
    question, near = "When is the window closed?", 0.5
    assert evidence(question, Found(near, None)) == (near,), "not without a reranker"  # type: ignore[arg-type]
    (answered,) = evidence(question, Found(near, {"window": 3.0}))  # type: ignore[arg-type]
    (other,) = evidence(question, Found(near, {"window": -3.0}))  # type: ignore[arg-type]
    assert answered == pytest.approx(near + 3 * SAYS) and other == pytest.approx(near - 3 * SAYS)
    plain, far = Found(PLAIN, {"window": -3.0}), Found(LEAST - 0.01, {"window": 3.0})
    (sure,), (without,) = evidence(question, plain), evidence(question, far)  # type: ignore[arg-type]
    assert sure > answered and without < other, "what fits so well, or so ill, decides alone"
    assert plain.read == far.read == []


def test_off_refuses_nothing_and_learns_nothing(indexed: Path) -> None:
    for sets in (["answer.abstain=off"], ["answer.abstain=off", "run.name=default"]):
        work, console = opened(indexed, *sets), Console()
        assert open_doubt(work, open_retriever(work.config, ""), console.say) is None and console.said == []


def test_rows_say_it_themselves_or_by_their_response(tmp_path: Path) -> None:
    make_project(tmp_path)
    refusing = "### Summary\nThe documents do not say.\n\n### More\nNothing."
    rows = [
        {"question": "One?", "response": "### Summary\nYes."},
        {"question": "Two?", "response": refusing},
        {"question": "Three?", "response": refusing, "answerable": True},
        {"question": "Four?", "response": "### Summary\nYes.", "retrieved_context": "Its own."},
        {"question": "One?", "answerable": False},
        {"prompt": "Five?", "completion": refusing},
        {"response": "no question"},
        {"question": "Six?", "answerable": True, "source": {"document": "other.md", "heading": "Six"}},
        {"question": "Seven?", "answerable": True, "source": [{"document": "other.md"}, {"document": "doors.md"}]},
        {"question": "Eight?", "answerable": False, "source": "by hand"},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with (tmp_path / "copilot.yaml").open("a", encoding="utf-8") as file:
        file.write("train: {data: rows.jsonl}\n")
    told = {"One?": True, "Two?": False, "Three?": True, "Five?": False, "Seven?": True, "Eight?": False}
    assert labelled(opened(tmp_path)) == told
    assert labelled(opened(tmp_path, "train.data=missing.jsonl")) == {}
    with pytest.raises(CopilotError, match=r"no file at .*missing\.jsonl"):
        labelled(opened(tmp_path, "answer.abstain_rows=[missing.jsonl]"))


def test_the_shipped_off_topic_rows(root: Path) -> None:
    rows = [json.loads(line) for line in (root / "data/sft/off_topic.jsonl").read_text().splitlines()]
    assert len(rows) == 40 == len({row["question"] for row in rows}) and not any(row["answerable"] for row in rows)
