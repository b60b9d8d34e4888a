"""musts.tsv names tests that exist."""

import pathlib
import re

HERE = pathlib.Path(__file__).parent


def test_the_covering_tests_exist():
    missing = []
    for line in (HERE / "musts.tsv").read_text().splitlines():
        if line.startswith("#"):
            continue
        file, section, level, text, covered = line.split("\t")
        named = re.findall(r"(test_\w+\.py)::(test_\w+)", covered)
        assert named or covered.startswith(("n/a: ", "not covered: ")), line
        for module, name in named:
            if f"def {name}(" not in (HERE / "runtime" / module).read_text():
                missing.append(f"{module}::{name}")
    assert missing == []


def test_every_known_deviation_names_a_test():
    for line in (HERE / "peers.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            peer, how, pattern, why = line.split("\t")
            assert how in ("fails", "flaky", "skip") and why
            module, _, name = pattern.partition("::")
            name = re.match(r"\w+", name)[0]
            assert f"def {name}" in (HERE / "runtime" / module).read_text(), line
