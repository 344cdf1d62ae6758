"""The page in a real browser in; what a person sees, hears and can press out. Skipped where there is no browser."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from test_answer import HITS, Scripted
from test_serve import Running, Slow, running
from tiny_lm import response

from copilot.reading.glossary import Term

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROME = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")  # else its own
HOSTILE = "<img src=x onerror=alert(1)> <script>alert(2)</script> [x](javascript:alert(3)) **bold** `a<b>`"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as engines:
        try:
            made = engines.chromium.launch(executable_path=CHROME, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield made
        made.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    made = context.new_page()
    made.set_default_timeout(20_000)
    wrong: list[str] = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    made.on("dialog", lambda dialog: wrong.append("a script ran"))
    yield made
    context.close()
    assert not [text for text in wrong if "401" not in text]


def open_page(page: Any, at: Running) -> None:
    page.goto(f"http://127.0.0.1:{at.port}/")


def ask(page: Any, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def test_sections_arrive_one_by_one_and_sources_hold_the_passage(page: Any) -> None:
    slow = Slow(response(1))
    with running(slow) as at:
        open_page(page, at)
        ask(page, "How do I delete a contact?")
        slow.go.release(2)
        article = page.locator("article")
        article.locator("h3", has_text="Summary").wait_for()
        assert article.get_attribute("aria-busy") == "true" and article.locator("h3").count() == 1
        assert page.get_by_role("button", name="Stop").is_visible()
        assert page.get_by_role("button", name="Ask").is_disabled()
        slow.go.release(99)
        page.get_by_role("status").filter(has_text="Answered in").wait_for()
        headings = article.locator("h3").all_inner_texts()
        assert headings[0] == "Summary" and headings[4:] == ["Sources"] and len(headings) == 5
        source = article.locator("details").first
        assert "a.md › Guide › Contacts" in source.inner_text() and not source.locator("blockquote").first.is_visible()
        source.locator("summary").click()
        assert source.locator("blockquote").all_inner_texts() == [h.chunk.text for h in (HITS[0], HITS[2])]
        assert article.locator("code").first.inner_text() == "field_1" and "`" not in article.inner_text()
        assert "Check: " in article.inner_text()  # the passages do not hold `field_1`
        ask(page, "And its limit?")
        page.get_by_text("Asked as: How do I delete a contact? And its limit?").wait_for()
        page.get_by_role("button", name="New conversation").click()
        assert page.locator("article").count() == 0


def test_a_term_is_explained_where_it_is_used(page: Any) -> None:
    slow = Slow(response(1))
    with running(slow, glossary=[Term("Contact", f"a `person`; {HOSTILE}")]) as at:
        open_page(page, at)
        ask(page, "How?")
        slow.go.release(4)  # the first section, and the heading after it
        note = page.get_by_role("note")
        note.wait_for()
        assert page.locator("article").get_attribute("aria-busy") == "true", "it stands there while the rest comes"
        assert note.inner_text().startswith("Contact: a person; <img src=x onerror=alert(1)> <script>")
        slow.go.release(99)
        page.get_by_role("status").filter(has_text="Answered in").wait_for()
        order = page.locator("article").locator("h3, [role=note]").all_inner_texts()
        assert order[0] == "Summary" and order[1] == note.inner_text() and "Terms" not in order and len(order) == 6
        assert page.locator("article").locator("img, script").count() == 0


def test_stop_ends_the_model_and_the_next_question_is_answered(page: Any) -> None:
    slow = Slow(response(1))
    with running(slow) as at:
        open_page(page, at)
        ask(page, "How?")
        slow.go.release(2)
        page.locator("h3", has_text="Summary").wait_for()
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("status").filter(has_text="Stopped.").wait_for()
        slow.go.release(99)
        ask(page, "Why?")
        page.get_by_role("status").filter(has_text="Answered in").wait_for()


def test_nothing_that_is_written_becomes_active(page: Any) -> None:
    with running(Scripted(response(1).replace("The ", f"{HOSTILE} The "))) as at:
        open_page(page, at)
        ask(page, HOSTILE)
        page.get_by_role("status").filter(has_text="Answered in").wait_for()
        article = page.locator("article")
        assert "<img src=x onerror=alert(1)>" in article.locator("h2").inner_text()
        assert "<script>alert(2)</script> [x](javascript:alert(3)) bold a<b>" in article.inner_text()
        assert article.locator("img, script").count() == 0 and article.locator("a[href^=javascript]").count() == 0


def test_a_token_is_asked_for_where_one_is_needed(page: Any) -> None:
    with running(Scripted(response(1)), token="s3cret") as at:
        open_page(page, at)
        assert not page.get_by_label("Token of this server").is_visible()
        ask(page, "How?")
        page.get_by_text("No answer: a token is needed").wait_for()
        page.get_by_label("Token of this server").fill("s3cret")
        assert page.get_by_label("Your question").input_value() == "How?"  # nothing typed is lost
        page.get_by_role("button", name="Ask").click()
        page.get_by_role("status").filter(has_text="Answered in").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_in_both_schemes_and_on_a_phone(browser: Any, scheme: str) -> None:
    """Contrast of at least 4.5 (WCAG 2.2, 1.4.3), and nothing wider than a screen of 320 pixels (1.4.10)."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": 320, "height": 640})
    page = context.new_page()
    with running(Scripted(response(1) + "\n" + "x" * 200)) as at:
        open_page(page, at)
        ask(page, "How?")
        page.get_by_role("status").filter(has_text="Answered in").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        colours = page.evaluate("""() => {
          const style = getComputedStyle(document.documentElement);
          return Object.fromEntries(["paper", "ink", "soft", "deep", "shade", "bad"].map(
            (name) => [name, style.getPropertyValue("--" + name).trim()]));
        }""")
    context.close()
    pairs = [(name, "paper") for name in ("ink", "soft", "deep", "bad")] + [("ink", "shade")]
    for front, back in pairs:
        assert contrast(colours[front], colours[back]) >= 4.5, (front, back)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two #rrggbb (WCAG 2.2)."""

    def light(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
