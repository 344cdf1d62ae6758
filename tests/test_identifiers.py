"""What an answer names, and whether a context holds it."""

import pytest

from copilot.answering.identifiers import in_text, mentions, quotable, supported


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Set `graceHours` and `tokenId`, then `graceHours` again.", ("graceHours", "tokenId")),
        ("`GET /v2/lists`", ("GET /v2/lists", "GET", "/v2/lists")),
        ("Send POST `/v2/lists/{listId}`.", ("POST /v2/lists/{listId}", "POST", "/v2/lists/{listId}")),
        ("See /v2/contacts/{id}. And https://api.a.example/v2/lists?size=5", ("/v2/contacts/{id}", "/v2/lists")),
        ("```bash\ncurl -X PUT https://a.example/v2/x/\n```", ("PUT /v2/x", "PUT", "/v2/x")),
        ("`DELETE  /v2/x`", ("DELETE /v2/x", "DELETE", "/v2/x")),
        ("GET /_ping, then PUT /-/reload", ("GET /_ping", "GET", "/_ping", "PUT /-/reload", "PUT", "/-/reload")),
    ],
)
def test_spans_and_paths(text: str, names: tuple[str, ...]) -> None:
    assert in_text(text) == names


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("It gives `404`.", ("404",)),
        ("status 401, 403 or 409", ("401", "403", "409")),
        ("a 500 error, HTTP 429, status code: 422", ("500", "429", "422")),
        ("then 404 Not Found comes back", ("404",)),
        ("up to 500 characters, 200 contacts, in 404 rows", ()),
        ("code: 200 characters at most", ()),
        ("status 999, error 4041, error 404.5", ()),
    ],
)
def test_status_codes_only_where_a_status_is_meant(text: str, codes: tuple[str, ...]) -> None:
    assert in_text(text) == codes


@pytest.mark.parametrize("text", ["", "### Key parameters / fields", "and/or, a/-/b, 01/02/2024, </p>", "Call us now."])
def test_plain_text_names_nothing(text: str) -> None:
    assert in_text(text) == ()


@pytest.mark.parametrize(
    ("identifier", "context"),
    [
        ("graceHours", "| `graceHours` | integer |"),
        ("GET /v2/lists", "`GET`  `/v2/lists` returns all lists."),
        ("/v2/lists", "curl https://api.a.example:8080/v2/lists?size=5"),
        ("POST /v2/lists", "Send a POST request. The path is /v2/lists."),
        ("con_71d0", '{"contactId": "con_71d0"}'),
        ("=A1+B1", "Write =A1+B1 there."),
        ("#,##0.00", "Pattern `#,##0.00`."),
        ("200", "from 1-200"),
        ("code", "look at error.code"),
        ("a  b", "`a\nb`"),
    ],
)
def test_supported(identifier: str, context: str) -> None:
    assert supported(identifier, context)


@pytest.mark.parametrize(
    ("identifier", "context"),
    [
        ("grace", "graceHours"),
        ("Retry", "Retry-After"),
        ("gracehours", "graceHours"),
        ("con_", "con_71d0"),
        ("40", "404"),
        ("4", "2.4"),
        ("/v2/lists", "GET /v2/lists/{listId}"),
        ("/v2/list", "GET /v2/lists"),
        ("/contacts", "GET /v2/contacts"),
        ("DELETE /v2/lists", "`GET /v2/lists` lists. `DELETE /v2/tags` deletes."),
        ("PUT /v2/lists", "/v2/lists"),
        ("`", "`a`"),
        ("/", "and so on"),
    ],
)
def test_not_supported(identifier: str, context: str) -> None:
    assert not supported(identifier, context)


def test_signs_alone_stand_in_backticks_only_where_the_passage_has_them_so() -> None:
    table = "Run `a | b` --- then -> wait.\n| Sign | Meaning |\n|---|:--|\n| size_of | -- |\n| _ | ... |\n"
    names = quotable(table)
    assert {"a | b", "Sign", "size_of", "wait"} <= set(names)
    assert [name for name in names if not any(letter.isalnum() for letter in name)] == []
    shown = quotable(table + "The signs `*` and `/` end it, and `|` parts it.")
    assert [name for name in shown if not any(letter.isalnum() for letter in name)] == ["*", "/", "|"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("retention_days", "Set `retention_days`."),
        ("retention_days", "Retention days | 30"),
        ("retention_day", "retention_days"),
        ("batchUpdate", "POST /v4/x:batchUpdate"),
        ("PS014", "- `ps014 no date found`"),
        ("E-NET1", "E NET 1"),
        ("404", "`404` Not found"),
        ("OAuth2", "OAuth 2.0"),
        ("404", "4xx: a mistake of the caller"),
        ("--in-place", "the option in_place"),
        ("--to", "Use `--to`."),
        ("GET /v2/contacts/123", "`GET /v2/contacts/{contactId}`"),
        ("/contacts", "https://a.example/v2/contacts"),
        ("DELETE /v3/webhooks", "`GET /v3/webhooks` and `DELETE /v3/webhooks/{webhookId}`"),
        ("DELETE /v3/labels", "| DELETE | `/v3/labels` |"),
        ("X-Fox-Signature", "the header `x-fox-signature`"),
    ],
)
def test_a_text_that_mentions_a_name(name: str, text: str) -> None:
    assert mentions(text, name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("E-NET2", "`E-NET1` and E-NET21"),
        ("PS01", "PS014"),
        ("404.3", "404, 3 times"),
        ("404", "4045 rows"),
        ("retention_hours", "`retention_days`, hours"),
        ("--by-place", "sorted by place"),
        ("--to", "Go to --to-folder."),
        ("DELETE /v3/labels", "`GET /v3/labels`"),
        ("GET /v3/invoices", "`GET /v3/labels`"),
    ],
)
def test_a_text_that_does_not_mention_a_name(name: str, text: str) -> None:
    assert not mentions(text, name)
