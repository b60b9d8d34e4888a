"""`history`: docker's table from the config's own words."""

import json
import re

import images
import pytest
from images import Layer, docker_archive

STEPS = [
    {"created": "2024-01-02T03:04:05Z", "created_by": "/bin/sh -c #(nop) ADD file:" + "0" * 60 + " in / "},
    {"created": "2024-01-02T03:04:06.5Z", "created_by": "CMD\t[\"sh\"]", "empty_layer": True, "comment": "buildkit.dockerfile.v0"},
    {"created": "1980-01-01T00:00:00Z", "created_by": "COPY x / # buildkit"},
]


@pytest.fixture
def made(fresh, place):
    layers = [Layer().file("a", "1" * 50_000), Layer().file("b", "2")]
    data = docker_archive(layers, ["made:1", "made:2"], history=STEPS)
    fresh.ok("load", "-i", images.write(place / "archive", data))
    return fresh


def rows(text):
    return [re.split(r"\s{2,}", line.rstrip()) for line in text.splitlines()]


def test_table(made):
    lines = rows(made.ok("history", "made:1").out)
    short = made.inspect("made:1", "Id")[7:19]
    assert lines[0] == ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]
    assert lines[1][:3] == [short, "N/A", "COPY x / # buildkit"] and lines[1][3].endswith("kB")
    assert lines[2][0] == "<missing>" and lines[2][1].endswith("ago") and lines[2][2:] == ["CMD [\"sh\"]", "0B", "buildkit.dockerfile.v0"]
    assert lines[3][2] == ("/bin/sh -c #(nop) ADD file:" + "0" * 60)[:44] + "…"
    assert made.ok("image", "history", short).out == made.ok("history", "made:2").out


def test_flags(made):
    full = rows(made.ok("history", "--no-trunc", "--human=false", "made:1").out)
    assert full[0][1] == "CREATED AT" and full[1][0] == made.inspect("made:1", "Id") and full[1][1] == "1980-01-01T00:00:00Z"
    assert int(full[1][3]) < int(full[3][3]) and full[3][2].endswith("0 in /")
    assert made.ok("history", "-q", "made:1").lines == [full[1][0][7:19], "<missing>", "<missing>"]
    assert made.ok("history", "--format", "{{.ID}}: {{.Size}}", "made:1").lines[1] == "<missing>: 0B"
    document = json.loads(made.ok("history", "--format", "json", "made:1").lines[2])
    assert set(document) == {"Comment", "CreatedAt", "CreatedBy", "CreatedSince", "ID", "Size"}
    assert made.ok("history", "--format", "table {{.ID}}\t{{.CreatedBy}}", "made:1").lines[0].split("  ")[0] == "IMAGE"
    made.call("history", "--format", "{{.Nope}}", "made:1").fails(1, "Nope")
    made.call("history", "--platform", "linux/s390x", "made:1").fails(1, "does not match")
    made.call("history", "nope").fails(1, "no such image: nope")
    made.call("history").fails(1, "requires 1 argument")


def test_images_that_say_nothing(fresh, place):
    """No history, or one that does not fit: the layers are there all the same, and no size is another step's."""
    for number, history in enumerate(([], STEPS[1:2])):
        data = docker_archive([Layer().file("a", "1"), Layer().file("b", str(number))], ["made:1"], history=history)
        fresh.ok("load", "-i", images.write(place / "archive", data))
        lines = fresh.ok("history", "--format", "{{.ID}}|{{.CreatedBy}}|{{.Size}}", "made:1").lines
        cells = [line.split("|") for line in lines]
        assert cells[0][0] == fresh.inspect("made:1", "Id")[7:19] and {cell[0] for cell in cells[1:]} == {"<missing>"}
        sizes = [cell[2] for cell in cells]
        assert sizes == (["0B"] if history else []) + ["10.2kB", "10.2kB"]


def test_hostile_words(fresh, place):
    data = docker_archive([Layer().file("a")], ["made:1"], history=[{"created_by": "x\u001b]0;owned\u0007\ny"}])
    fresh.ok("load", "-i", images.write(place / "archive", data))
    for format in ([], ["--format", "{{.CreatedBy}}"]):
        assert "\x1b" not in fresh.ok("history", "--no-trunc", *format, "made:1").out
