"""Tables of every kind, docstrings, commented settings and `--help` are read as rows; what looks like them is not."""

import random

import pytest

from copilot.reading.cells import continued, from_html
from copilot.reading.comments import explained
from copilot.reading.entries import read_entry
from copilot.reading.entry import Entry
from copilot.reading.grids import gridded

Pairs = tuple[tuple[str, str], ...]


def read(text: str, title: str = "Use it") -> Entry:
    return read_entry(text, True, f"Widget › {title}", ended=True)


GRID = """It is a widget.

+------------+------------------+----------+
| Parameter  | Description      | Required |
+============+==================+==========+
| ``size``   | How big it is.   | yes      |
+------------+------------------+----------+
| ``tint``   | The shade, as    | no       |
|            | a hex code.      |          |
+------------+------------------+----------+

It comes in a box.
"""
SPANS = """+-----------+-----------+
| Plan      | Limits    |
|           +-----+-----+
|           | Min | Max |
+===========+=====+=====+
| Free      | 1   | 5   |
+-----------+-----+-----+
| Team      | any number|
+-----------+-----+-----+
| Network settings      |
+-----------+-----+-----+
| Big       | 3   | 9   |
|           +-----+-----+
|           | 4   | 8   |
+-----------+-----+-----+
"""
SIMPLE = """=====  ========  ==================
Name   Type      Description
=====  ========  ==================
size   integer   How big it is,
                 in cm.
tint   string    The shade of it all, and of more.
=====  ========  ==================

It comes in a box.
"""
ADOC = """.Settings
[cols="1,2,1", options="header"]
|===
|Name
|Description
|Default

|`size`
|How big it is.
|5

|`tint`
|The shade
of it all.
|`red`
|===

It comes in a box.
"""
ADOC_LINES = """|===
|Name |Description

|`size` |How big it is.
|`tint` |The shade of
it all, or `a\\|b`.
|===
"""
ADOC_SPANS = """[%header,cols="3*"]
|===
|Plan |Min |Max
.2+|Free |1 |2
|3 |4
|Team 2+|any number
3+|Network settings
|Big a|5 |6
|===
"""
HTML = """<table>
<tr><th rowspan="2">Plan</th><th colspan="2">Limit</th></tr><tr><th>Min</th><th>Max</th></tr>
<tr><td rowspan=2>Free</td><td>1</td><td>2</td></tr>
<tr><td>3</td><td>4</td></tr>
<tr><td>Team</td><td colspan="2">any number</td></tr>
</table>
"""


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (GRID, (("`size`", "How big it is. Required."), ("`tint`", "The shade, as a hex code."))),
        (
            SPANS,
            (
                ("Free", "Limits Min: 1; Limits Max: 5"),
                ("Team", "Limits Min: any number; Limits Max: any number"),
                ("Big", "Limits Min: 3; Limits Max: 9. Limits Min: 4; Limits Max: 8."),
            ),
        ),
        (
            "+------+-------------+\n| size | How big.    |\n+------+-------------+\n| tint | The `a | b` |\n"
            "+------+-------------+\n",
            (("size", "How big."), ("tint", "The `a | b`")),
        ),
        (
            "+------+--------+\n| Key  | Text   |\n+------+--------+\n| size | How    |\n| tint | Which  |\n"
            "+------+--------+\n",
            (("size", "How"), ("tint", "Which")),
        ),
        ("| Name | Text |\n|------+------|\n| a | One of it. |\n| b | Two. |\n", (("a", "One of it."), ("b", "Two."))),
        (SIMPLE, (("size", "How big it is, in cm."), ("tint", "The shade of it all, and of more."))),
        ("====  ========\nsize  How big.\ntint  Which.\n====  ========\n", (("size", "How big."), ("tint", "Which."))),
        (
            ADOC,
            (("`size`", "How big it is. The default is 5."), ("`tint`", "The shade of it all. The default is `red`.")),
        ),
        (ADOC_LINES, (("`size`", "How big it is."), ("`tint`", "The shade of it all, or `a|b`."))),
        (
            ADOC_SPANS,
            (
                ("Free", "Min: 1; Max: 2. Min: 3; Max: 4."),
                ("Team", "Min: any number; Max: any number"),
                ("Big", "Min: 5; Max: 6"),
            ),
        ),
        ("|===\n|size|How big.\n|tint|The shade.\n|===\n", (("size", "How big."), ("tint", "The shade."))),
        (
            HTML,
            (
                ("Free", "Limit Min: 1; Limit Max: 2. Limit Min: 3; Limit Max: 4."),
                ("Team", "Limit Min: any number; Limit Max: any number"),
            ),
        ),
    ],
)
def test_tables_of_every_kind_are_rows(text: str, fields: Pairs) -> None:
    assert read(text).fields == fields


def test_what_stands_around_a_table_stays() -> None:
    for text in (GRID, SIMPLE, ADOC):
        assert read(text).sentences[-1] == "It comes in a box."
    assert read('[cols="1"]\n|===\n|Apples are good.\n|Pears are too.\n|===\n').sentences == (
        "Apples are good.",
        "Pears are too.",
    )


@pytest.mark.parametrize("text", [GRID, SPANS, SIMPLE, ADOC, ADOC_LINES])
def test_a_piece_of_a_table_says_nothing_that_the_whole_does_not(text: str) -> None:
    """Wherever a passage begins or ends, a row is whole, or its text a part of the row's; no mark is told."""
    whole = dict(read(text).fields)
    lines = text.splitlines(keepends=True)
    for first in range(len(lines)):
        for last in range(first + 1, len(lines) + 1):
            piece = "".join(lines[first:last]).strip()
            if "===" not in piece and piece.count("\n|") < 3:
                continue  # a few lines may be anything
            entry = read_entry(piece, False, "Widget › Use it")
            for name, said in entry.fields:
                assert not said.startswith("|") and "---" not in said and "===" not in said
                known = " ".join([*whole, *whole.values()])
                assert all(word.strip(".;:,") in known for word in said.split()), (lines[first:last], name, said)
                if name in whole and text in (GRID, ADOC, ADOC_LINES, SIMPLE):
                    assert whole[name].startswith(said.removesuffix(".")), (lines[first:last], name, said)
            for said in entry.sentences:
                assert "|" not in said or "`a|b`" in said, (lines[first:last], said)


def test_where_two_pieces_of_a_table_meet_no_cell_moves() -> None:
    head = ADOC[: ADOC.index("|`tint`")] + "|`cut`\n|It is\n\n"
    joined = read(f"{head}|no\n\n|`tint`\n|The shade.\n|`red`\n\n|`x`\n|How x.\n|2\n|===\n").fields
    assert joined == (
        ("`size`", "How big it is. The default is 5."),
        ("`tint`", "The shade. The default is `red`."),
        ("`x`", "How x. The default is 2."),
    )
    grid = GRID[: GRID.index("|            |")] + "\n|            | cut.             |          |\n" + "+---+---+---+\n"
    assert ("`size`", "How big it is. Required.") in read(grid).fields


def table(head: str, *rows: str) -> str:
    return "\n".join([f"| {head} |", "|" + "---|" * (head.count("|") + 1), *(f"| {row} |" for row in rows), ""])


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            table("Name | Description | Default", "size | How big it is | 5", " | in all. | ", "tint | A shade. | red"),
            (("size", "How big it is in all. The default is 5."), ("tint", "A shade. The default is red.")),
        ),
        (
            table("Role | Action | Allowed", "Viewer | Read | Yes", " | Delete | No", "Owner | Read | Yes"),
            (
                ("Viewer", "Action: Read. Allowed: Yes. Action: Delete. Allowed: No."),
                ("Owner", "Action: Read. Allowed: Yes."),
            ),
        ),
        (table("Day | Food", "Mon | Soup", " | Bread", "Tue | Rice"), (("Mon", "Soup; Bread"), ("Tue", "Rice"))),
    ],
)
def test_a_row_without_a_name_goes_on_with_the_one_above(text: str, fields: Pairs) -> None:
    assert read(text).fields == fields


def test_a_step_in_a_table_keeps_its_second_row() -> None:
    text = table("Step | Action", "1 | Open it.", " | Wait a minute.", "2 | Close it.")
    assert read(text).steps == ("Open it. Wait a minute.", "Close it.")


NUMPY = """Load a widget.

Parameters
----------
path : str
    Where it lies.
x, y : int, default 3
    Where to put it.

    Both count from 1.
*args
    More of it.

Returns
-------
Widget
    The widget that was loaded.

Raises
------
LostError
    If it is not there.

Notes
-----
It is slow.
"""
GOOGLE = """Load a widget.

Args:
    path (str): Where it lies.
    retries (int, optional): How often
        to try. Defaults to 3.

Returns:
    Widget: The widget that was loaded,
        or none.

Raises:
    LostError: If it is not there.

It is slow.
"""


def test_docstrings_are_fields_and_errors() -> None:
    entry = read(NUMPY)
    assert entry.fields == (
        ("`path`", "Where it lies."),
        ("`x`, `y`", "Where to put it. Both count from 1. The default is 3."),
        ("`args`", "More of it."),
    )
    assert entry.codes == (("`LostError`", "If it is not there."),)
    assert entry.sentences == ("Load a widget.", "Returns: The widget that was loaded.", "It is slow.")
    entry = read(GOOGLE)
    assert entry.fields == (("`path`", "Where it lies."), ("`retries`", "How often to try. The default is 3."))
    assert entry.codes == (("`LostError`", "If it is not there."),)
    assert entry.sentences == ("Load a widget.", "Returns: The widget that was loaded, or none.", "It is slow.")


def test_a_section_of_a_docstring_may_be_the_heading() -> None:
    for under in ("----------\n", ""):
        text = f"\n{under}path : str\n    Where it lies.\n"
        assert read(text, "Parameters").fields == (("`path`", "Where it lies."),)
    assert read("\n------\nLostError\n    If it is lost.\n", "Raises").codes == (("`LostError`", "If it is lost."),)
    indented = "    Parameters\n    ----------\n    path : str\n        Where it lies.\n\n    Returns\n    -------\n"
    assert read(f"{indented}    ok : bool\n        Whether it is.\n    why : str\n        Why not.\n").fields == (
        ("`path`", "Where it lies."),
        ("`ok`", "Whether it is."),
        ("`why`", "Why not."),
    )


YAML = """Set it in `widget.yaml`:

```yaml
# Seconds to wait for an answer. Default: 30
timeout: 5
server:
  # Address to listen on
  host: 0.0.0.0
  port: 8080      # the port
retries: 3  # how often to try again
tags:
  - a
text: |
  # no comment
  at all
```
"""
INI = """```ini
[server]
; Port to listen on
port = 80
# Seconds to wait before it gives up
#timeout = 30

# Access data
user = a
group = b
level = info ; how much is written
```
"""
HELP = """```console
$ ship --help
Usage: ship [OPTIONS] COMMAND

Options:
  -o, --output FILE   where to write
  -v  --verbose       say more, and
                      much more
      --mode {a|b}    how it ships  [default: a; required]
  --a-long-name VALUE
                      what is shipped

Commands:
  build   Build it all.
```
"""


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            YAML,
            (
                ("`timeout`", "Seconds to wait for an answer. The default is 30."),
                ("`host` of `server`", "Address to listen on. Example: `host: 0.0.0.0`."),
                ("`port` of `server`", "the port. Example: `port: 8080`."),
                ("`retries`", "how often to try again. Example: `retries: 3`."),
            ),
        ),
        (
            INI,
            (
                ("`port` of `server`", "Port to listen on. Example: `port = 80`."),
                ("`timeout` of `server`", "Seconds to wait before it gives up. Example: `timeout = 30`."),
                ("`level` of `server`", "how much is written. Example: `level = info`."),
            ),
        ),
        (
            "```\n# Where the data lies\nDATA_URL=postgres://x\n# How much is logged: debug or info\nLOG_LEVEL=info\n",
            (
                ("`DATA_URL`", "Where the data lies. Example: `DATA_URL=postgres://x`."),
                ("`LOG_LEVEL`", "How much is logged: debug or info. Example: `LOG_LEVEL=info`."),
            ),
        ),
        (
            HELP,
            (
                ("`-o, --output FILE`", "where to write"),
                ("`-v, --verbose`", "say more, and much more"),
                ("`--mode {a|b}`", "how it ships. The default is a. Required."),
                ("`--a-long-name VALUE`", "what is shipped"),
                ("`build`", "Build it all."),
            ),
        ),
    ],
)
def test_what_a_fence_says_of_itself_is_told(text: str, fields: Pairs) -> None:
    assert read(text).fields == fields


ALIKE = {
    "boxes": "+--------+      +--------+\n| Client | ---> | Server |\n+--------+      +--------+\n",
    "one box": "+--------+\n| Client |\n+--------+\n",
    "a packet": "+-+-+-+-+-+-+\n|Ver|  IHL  |\n+-+-+-+-+-+-+\n|  Identity |\n+-+-+-+-+-+-+\n",
    "a tree": "|-- src\n|   |-- main.py\n|   `-- util.py\n`-- README.md\n",
    "a line block": "| The rose is red,\n| the violet is blue,\n| and sugar is sweet.\n",
    "a tight line block": "|The rose is red,\n|the violet is blue,\n|and sugar is sweet.\n",
    "norms": "|x| < 1\n|y| < 2\n|z| < 3\n",
    "no outer pipes": "Port | Way\n--- | ---\n443 | Out.\n",
    "no last pipe, no spaces": "|Port|Way\n|----|---\n|443|Out.\n|80|In.\n",
    "titles underlined": "Name  State\n====  =====\nweb   up\ndb    down\n",
    "titles underlined, and a sum": "Name  State\n====  =====\nweb   up\n====  =====\nall   1\n",
    "no last pipe": "| Port | Way\n|------|----\n| 443 | Out.\n| 80 | In.\n",
    "a rule": "It is one.\n\n=====\n\nIt is two.\n",
    "a title": "Widget\n======\n\nIt is one.\n",
    "dashes": "It is one.\n\n-----\n\nIt is two.\n",
    "plus items": "+ One.\n+ Two.\n",
    "a branch graph": "* | a1b2c3 Mend it\n| * d4e5f6 Break it\n|/\n* 778899 Begin\n",
    "names with types in prose": "The fields are:\n\nname : string\nsize : integer\n\nBoth are kept.\n",
    "a list of parameters": "Parameters:\n\n- `size`: How big.\n- `tint`: The shade.\n",
    "a heading of parameters": "Parameters\n----------\n\n- `size`: How big.\n",
    "parameters in prose": "Parameters\n----------\n\nAll of them are kept.\n",
    "sending back": "Returns:\n    Things may be sent back within 30 days.\n",
    "sending back, underlined": "Returns\n-------\nYou can send it back. Keep the box.\n",
    "a name in prose": "Args: see the page on arguments.\n\nRaises: a question.\n",
    "arguments told in a paragraph": "Arguments:\n    All that follows the name is given on.\n",
    "files": "```\n-rw-r--r--  1 root  root  120 Jan  1 a.txt\n-rw-r--r--  1 root  root  130 Jan  1 b.txt\n```\n",
    "a diff": "```diff\n--- a/x.py\n+++ b/x.py\n-old  one\n+new  one\n```\n",
    "a long command": "```bash\ndocker run \\\n  -p 80:80  \\\n  -v /a:/b  \\\n  widget\n```\n",
    "JSON": '```json\n{\n  "size": 5,\n  "tint": "red"\n}\n```\n',
    "JSON with comments": '```jsonc\n{\n  "size": 5, // how big\n  "tint": "red" // the shade\n}\n```\n',
    "JSON with other comments": '```\n{\n  "size": 5,  # how big it is\n  "tint": "red"  # the shade of it\n}\n```\n',
    "Python": "```python\nsize = 5  # how big it is\ntint = 'red'  # the shade of it\n```\n",
    "a program": "```\nsize = measure(x)  # how big it is\ntint = paint(size)  # the shade of it\nshow(tint)\n```\n",
    "a script": "```bash\n# Stop the old one\nwidget stop\n# Start the new one\nwidget start\n```\n",
    "settings without comments": "```yaml\nsize: 5\ntint: red\n```\n",
    "settings with one comment": "```yaml\nsize: 5  # how big it is\ntint: red\n```\n",
    "settings with titles": "```ini\n# Database settings\nhost = a\nuser = b\n# Mail server\nport = 5\nfrom = c\n```\n",
    "settings that were": "```yaml\n# size: 5\ntint: red\n# depth: 3\nname: x\n```\n",
    "a how-to": "1. Write this:\n\n```yaml\nsize: 5  # how big it is\ntint: red  # the shade\n```\n\n2. Start it.\n",
    "a step": "- Write this:\n\n  ```yaml\n  size: 5  # how big it is\n  tint: red  # the shade of it\n  ```\n",
    "steps with a title": "Step 1: Write it.\n\n```ini\na = 5  ; how big\nb = 6  ; how wide\n```\n\nStep 2: Start.\n",
    "help in a how-to": "1. Ask:\n\n```\n  --all   show all of it\n  --one   show one of it\n```\n\n2. Read it.\n",
    "a log": "```\n2026-01-01 10:00:01 INFO  started  # 1\n2026-01-01 10:00:02 WARN  slow\n```\n",
    "what is printed": "```console\n$ kubectl get pods\nNAME   READY   STATUS\nweb    1/1     Running\n```\n",
    "a server's file": "```conf\nserver {\n  listen 80;  # the port\n  root /srv;  # where the files lie\n}\n```\n",
    "a table of times": "```\n# m h dom mon dow  what is run\n0 5 * * *  widget clean  # every morning\n```\n",
    "a recipe for make": "```make\nall: build  # all of it is made\n\tcc a.c\nclean:  # all of it goes\n\trm a\n```\n",
    "a request": "```http\nPOST /things HTTP/1.1\nContent-Type: application/json\nAccept: text/plain\n```\n",
    "an unclosed program": "```\nfor (i = 0; i < 3; i++) {\n  x = i;  # not this\n",
    "a talk": "```\nUser: hello  # said by the user\nBot: hi there\nUser: bye\n```\n",
    "folders": "```text\nfolder/\n  a.txt    # the first file\n  b.txt    # the second file\n```\n",
    "a tree with remarks": "```\nsrc/\n├── a.py    # reads all files\n└── b.py    # writes all files\n```\n",
    "a file for Docker": "```dockerfile\n# The base of it\nFROM python\n# Copy it all\nCOPY . /app\n```\n",
    "blocks of Terraform": '```hcl\nresource "x" {\n  a = 5  # how big it is\n  b = 6  # how wide it is\n}\n```\n',
    "a sequence": "Client        Server\n  |             |\n  |---- GET --->|\n  |<--- 200 ----|\n",
    "a game": "+-----+-----+-----+\n|  X  |  O  |  X  |\n+-----+-----+-----+\n",
    "a timetable": table("Time | Mon | Tue", "9:00 | Maths | Art", "10:00 | | Music"),
    "signs": table(" | Function", "✅ | Undo", " | Redo"),
    "a sum": table("Item | Price", "Lamp | 5", " | **Total** | 5", " | Total"),
    "keys": table("Key | Column | Text", "PK | ID | Its number.", " | NET | Without tax."),
    "marks": table("New | Function", "x | Undo", " | Redo"),
    "groups": table("Group | Setting | Text", "Net | port | The port.", " | host | The host."),
    "a table without titles": "| a | The one. |\n| | The two. |\n",
    "a pipe": "Run `cat a.txt | grep b`, and read | as a pipe.\n\n|x| is never below 0.\n",
    "tabs": '=== "Linux"\n\n    Run it.\n\n=== "Windows"\n\n    Click it.\n',
    "an example block": "====\nThis is an example.\n====\n",
    "an HTML page": "<p>It is a widget.</p>\n<ul><li>One.</li></ul>\n",
}


@pytest.mark.parametrize("kind", ALIKE)
def test_what_looks_alike_is_read_as_before(kind: str) -> None:
    text = ALIKE[kind]
    assert "\n".join(continued(from_html(explained(gridded(text), "Use it")).split("\n"))) == text


def test_code_stays_code() -> None:
    for text in (GRID, SIMPLE, ADOC, HTML, NUMPY, GOOGLE):
        fenced = f"```text\n{text}```\n"
        assert explained(gridded(fenced)) == fenced
        assert not read(fenced).fields


MARKS = """+---+---+
+===+===+
| a | b |
|   | c |
|---+---|
|===
|a
|b |c
2+|x
.3+|y
[cols="1,1"]
====  ====
a     b
      c
```
```yaml
a: 1  # what it is
# Said of it.
[b]
  -x, --long A   said
<table>
<tr><td rowspan=3>a</td><td colspan=9>b</td></tr>
</table>
Parameters
----------
x : int
    Said.
Args:
    x (int): Said.
Returns:
Raises

|||
| | |
1. Do it.
Word.""".splitlines()


def test_any_mixture_of_their_marks_is_read() -> None:
    chance = random.Random(0)
    for _ in range(400):
        text = "\n".join(chance.choices(chance.sample(MARKS, 9), k=40))
        header = chance.choice(["A › B", "A › Parameters", "A › Returns", "A › Raises"])
        entry = read_entry(text, chance.random() < 0.5, header, chance.random() < 0.5)
        for said in (*entry.sentences, *entry.steps, *entry.notes, *entry.points):
            assert said.strip() and "\n" not in said, text
