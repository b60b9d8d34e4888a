"""musts.tsv, image_musts.tsv and distribution_musts.tsv name tests that exist."""

import pathlib
import re

import pytest

HERE = pathlib.Path(__file__).parent


def source(module):
    """A module of the suite of the runtime, or of the machine with cgroup v2."""
    return next((HERE / place / module).read_text() for place in ("runtime", "uml/guest") if (HERE / place / module).exists())


def test_the_covering_tests_exist():
    missing = []
    for line in (HERE / "musts.tsv").read_text().splitlines():
        if line.startswith("#"):
            continue
        file, section, level, text, covered = line.split("\t")
        named = re.findall(r"(test_\w+\.py)::(test_\w+)", covered)
        assert named or covered.startswith(("n/a: ", "not covered: ")), line
        for module, name in named:
            if f"def {name}(" not in source(module):
                missing.append(f"{module}::{name}")
    assert missing == []


@pytest.mark.parametrize("spec", ["image", "distribution"])
def test_the_covering_tests_of_the_other_specs_exist(spec):
    """Those of the command's suite by their file, unit tests as Target/Suite::name."""
    missing = []
    for line in (HERE / f"{spec}_musts.tsv").read_text().splitlines():
        if line.startswith("#"):
            continue
        file, section, level, text, covered = line.split("\t")
        named = re.findall(r"(\S+)::(\w+)", covered)
        assert named or covered.startswith(("n/a: ", "not covered: ")), line
        for place, name in named:
            path = HERE / "cli" / place if place.endswith(".py") else HERE.parent / (place + ".swift")
            if not path.exists() or not re.search(rf"(def|func) {name}\(", path.read_text()):
                missing.append(f"{place}::{name}")
    assert missing == []


def test_every_known_deviation_names_a_test():
    for line in (HERE / "peers.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            peer, how, pattern, why = line.split("\t")
            assert how in ("fails", "flaky", "skip") and why
            module, _, name = pattern.partition("::")
            name = re.match(r"\w+", name)[0]
            assert f"def {name}" in source(module), line
