"""docs/getting-started.md: everything a newcomer is told to type is typed, and what comes is what the page shows."""

import re

import pytest
from host import REPOSITORY, wait_for
from tour import Tour
from user_networks import needs_pasta

PAGE = (REPOSITORY / "docs/getting-started.md").read_text()

# What is another each time: ids, digests, spans and sizes. The page has such a value, and any other is as good.
VARYING = [
    (r"\bsha256:[0-9a-f]{64}\b", "DIGEST"), (r"\b[0-9a-f]{64}\b", "ID"), (r"\b[0-9a-f]{12}\b", "ID"),
    (r"Less than a second|\b\d+ (?:second|minute|hour|day|week|month|year)s?\b|About an? (?:minute|hour)", "SPAN"),
    (r"\b\d+(?:\.\d+)?[kMG]?B\b", "SIZE"), (r" +", " "),
]  # fmt: skip


def normal(text):
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return [line.rstrip() for line in text.splitlines()]


def steps(page):
    """(command, what it shows) of all `console` blocks, in order."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", page, re.M | re.S):
        for step in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, shown = step.partition("\n")
            found.append((command, shown))
    return found


def agrees(shown, seen):
    """A line of three dots stands for any lines."""
    shown, seen = normal(shown), normal(seen)
    if "..." in shown:
        place = shown.index("...")
        after = shown[place + 1 :]
        return seen[:place] == shown[:place] and (not after or seen[-len(after) :] == after) and len(seen) >= len(shown) - 1
    return shown == seen


@pytest.fixture
def newcomer(suite, who, berth_programs):
    made = Tour(suite, who, berth_programs)
    made.serve()
    yield made
    made.close()


@needs_pasta
def test_getting_started(newcomer):
    """The page from its beginning to its end, on a machine that has nothing yet."""
    told = steps(PAGE)
    assert len(told) > 25
    for command, shown in told:
        done = newcomer.sh(command)
        assert done.code == 0, f"$ {command}\nexit {done.code}\n{done.out}{done.err}"
        # A command that looks at what another has just begun may come too early.
        if not agrees(shown, done.out) and command.split()[1] in ("logs", "exec"):
            wait_for(lambda: agrees(shown, newcomer.sh(command).out), f"$ {command}\n{shown}")
            continue
        assert agrees(shown, done.out), f"$ {command}\n--- the page\n{shown}--- here\n{done.out}{done.err}"
    assert newcomer.sh("berth ps -aq; berth images -q; berth volume ls -q; berth network ls -q --filter type=custom").out == ""


def test_steps_and_their_comparison():
    """The test of the test: what varies may, anything else may not."""
    page = "```console\n$ a\nx\ny\n$ b\n```\ntext\n```sh\n$ no\n```\n```console\n$ c\nz\n```\n"
    assert steps(page) == [("a", "x\ny\n"), ("b", ""), ("c", "z\n")]
    assert agrees("up 2 seconds  " + "a" * 12, "up About a minute " + "0" * 12)
    assert agrees("a\n...\nb\n", "a\nx\ny\nb\n") and agrees("a\n...\n", "a\n") and not agrees("a\n...\nb\n", "a\nx\n")
    assert not agrees("a\n", "a\nb\n") and not agrees("web\n", "wob\n")
