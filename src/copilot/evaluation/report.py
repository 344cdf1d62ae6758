"""Summaries and scores of answers in; tables, sentences and the content of evaluation.json out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from copilot.evaluation.metrics import Figure, Score, Summary, summary
from copilot.plain import inert
from copilot.types import Answer, Question

if TYPE_CHECKING:
    from rich.table import Table

Change = Literal["better", "worse", "same"]

COLUMNS = ("base", "tuned", "served", "extractive")  # of an evaluation; a remote model has no tuned
LABELS = {  # short, so that the table keeps one line a row on 80 columns
    "structure": "four sections",
    "identifier_precision": "names in context",
    "identifier_recall": "names expected",
    "endpoint": "right endpoint",
    "recall_at_k": "recall@k",
    "reciprocal_rank": "reciprocal rank",
    "abstention_right": "abstains rightly",
    "abstention_precision": "  precision",
    "abstention_recall": "  recall",
    "abstention_f1": "  F1",
    "repeats": "repeats itself",
    "no_findings": "no findings",
    "filled": "filled by rule",  # of the sections of a served answer; the others have no such figure
    "grade": "reading grade",
    "original_structure": "orig. structure",
    "original_groundedness": "orig. grounded",
    "original_relevance": "orig. relevance",
    "original_reference_overlap": "orig. overlap",
    "original_brevity": "orig. brevity",
}
LOWER_IS_BETTER = {"repeats", "filled", "grade"}
_JUDGED = (
    "structure",
    "identifier_precision",
    "identifier_recall",
    "endpoint",
    "abstention_right",
    "repeats",
    "no_findings",
)


def table(columns: Mapping[str, Summary], without: Sequence[str] = ()) -> "Table":
    """Figure | one column each | change, where there are two; a cell is the mean, its 95 % interval and n.

    Short enough for 80 columns. A change is said in words. The original's KPIs come last and get a number alone, since
    more is not better there. Figures of `without` are left out.
    """
    from rich.table import Table

    names = " and ".join(columns)
    grid = Table(title=f"{names[0].upper()}{names[1:]} on the held-out questions: mean, 95 % interval, n")
    grid.add_column("Figure", no_wrap=True)
    for name in (*columns, *(["change"] if len(columns) == 2 else [])):
        grid.add_column(name, justify="right", no_wrap=True)
    shown = [name for name in LABELS if name not in without and any(name in part for part in columns.values())]
    for i, name in enumerate(shown):
        last = i + 1 == len(shown) or (shown[i + 1].startswith("original_") and not name.startswith("original_"))
        figures = [part.get(name) for part in columns.values()]
        change = [_change_cell(name, *figures)] if len(figures) == 2 else []
        grid.add_row(LABELS[name], *map(_cell, figures), *change, end_section=last)
    return grid


def verdict(before: Summary, after: Summary, lead: str = "After tuning") -> str:
    """One sentence that names what got better and what worse, with means to two decimals."""
    parts: dict[Change, list[str]] = {"worse": [], "better": [], "same": []}
    for name in _JUDGED:
        a, b = before.get(name), after.get(name)
        if a is None or b is None:
            continue
        change = _change(name, a, b)
        apart = "" if a["high"] < b["low"] or b["high"] < a["low"] else ", intervals overlap"
        numbers = f" ({a['mean']:.2f} to {b['mean']:.2f}{apart})"
        parts[change].append(f"“{LABELS[name]}”" + ("" if change == "same" else numbers))
    if not any(parts.values()):
        return f"{lead}: no figure in common."
    said = [f"{change}: {', '.join(parts[change])}" for change in parts if parts[change]]
    return f"{lead} " + "; ".join(said) + "."


def results(summaries: Mapping[str, Summary]) -> Iterator["Table | str"]:
    """What `copilot pipeline` prints of an evaluation: tables, and a sentence under each."""
    extractive = summaries.get("extractive", {})
    if "served" not in summaries:
        yield table({"extractive": extractive})
        return
    served, what = summaries["served"], "model"
    if "tuned" in summaries:
        base, tuned, what = summaries["base"], summaries["tuned"], "tuned model"
        yield table({"base": base, "tuned": tuned})
        yield verdict(base, tuned)
        yield as_served(served)
    else:
        yield table({"free": summaries["base"], "served": served})
    if extractive:
        yield table({"extractive": extractive, "served": served}, without=("recall_at_k", "reciprocal_rank", "filled"))
        yield verdict(extractive, served, f"Against plain extraction, the {what} as served is")


def as_served(served: Summary) -> str:
    """One sentence with what a reader meets: the tuned model held to its shape and to the names of its passages."""
    shown = [f"{LABELS[name]} {served[name]['mean']:.2f}" for name in (*_JUDGED, "filled") if name in served]
    return f"As served (held to what answer.enforce says): {', '.join(shown)}."


def beside(first: Summary, second: Summary) -> str:
    """The figures of two ways of answering the same questions, each as `label first → second`."""
    both = [name for name in _JUDGED if name in first and name in second]
    return ", ".join(f"{LABELS[name]} {first[name]['mean']:.2f} → {second[name]['mean']:.2f}" for name in both)


def to_dict(questions: Sequence[Question], scored: Mapping[str, Sequence[tuple[Answer, Score]]]) -> dict[str, Any]:
    """The content of evaluation.json, ready for `json.dump`; changes are tuned minus base, intervals of 95 %.

    `base` and `tuned` wrote freely, `served` is the tuned model held to what `answer.enforce` says, `extractive` the
    baseline without a model; a remote model has no `tuned`. All answer from the same passages, in the order of the
    questions. Raises ValueError when they do not belong together.
    """
    rows = []
    for question, *parts in zip(questions, *scored.values(), strict=True):
        if {score.id for _, score in parts} != {question.id}:
            raise ValueError(f"scores of {', '.join(score.id for _, score in parts)} beside question {question.id}")
        row = {"id": question.id, "question": question.question, "answerable": question.answerable}
        rows.append({**row, **{name: _entry(*pair) for name, pair in zip(scored, parts, strict=True)}})
    summaries = {name: summary([score for _, score in part]) for name, part in scored.items()}
    before, after = summaries.get("base", {}), summaries.get("tuned", {})
    changes = {name: after[name]["mean"] - before[name]["mean"] for name in before if name in after}
    return {"summary": {**summaries, **({"change": changes} if before else {})}, "questions": rows}


def _entry(answer: Answer, score: Score) -> dict[str, Any]:
    """The scores of one answer, without what stands beside it already, and its text."""
    scores = {name: value for name, value in asdict(score).items() if name not in ("id", "answerable")}
    return {**scores, "answer": answer.text}


def _change(name: str, base: Figure, tuned: Figure) -> Change:
    """What tuning did, as far as two decimals show it."""
    difference = round(tuned["mean"], 2) - round(base["mean"], 2)
    if abs(difference) < 0.005:
        return "same"
    return "better" if (difference > 0) != (name in LOWER_IS_BETTER) else "worse"


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "none"
    low, high = (f"{figure[end]:.2f}".removeprefix("0") for end in ("low", "high"))
    return f"{figure['mean']:.2f} {low}–{high} n {figure['n']}"


def _change_cell(name: str, base: Figure | None, tuned: Figure | None) -> str:
    if base is None or tuned is None:
        return "–"
    change = _change(name, base, tuned)
    number = f"{round(tuned['mean'], 2) - round(base['mean'], 2):+.2f}"
    if name.startswith("original_"):
        return number
    colour = {"better": "green", "worse": "bold red", "same": "dim"}[change]
    return f"[{colour}]{change if change == 'same' else f'{number} {change}'}[/]"


def demo_markdown(answer: Answer) -> str:
    """A question, its answer and its sources as markdown in which nothing is active."""
    places = [source.label + ("" if source.cited else " (not cited)") for source in answer.sources]
    listed = "\n".join(f"{n}. {place}" for n, place in enumerate(places, 1))
    return inert(f"## {answer.question}\n\n{answer.marked}\n\nSources:\n\n{listed}")
