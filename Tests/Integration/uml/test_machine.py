"""Each test that ran in the machine, as a test of this session."""

import pytest

from selection import selected


@pytest.mark.parametrize("name", selected())
def test_in_the_machine(name, outcome):
    cases = outcome(name)
    failed = [case for case in cases if case["outcome"] == "failed"]
    if failed:
        pytest.fail("\n".join(f"{case['case']}\n{case['text']}" for case in failed), pytrace=False)
    if all(case["outcome"] == "skipped" for case in cases):
        pytest.skip("; ".join(sorted({case["text"] for case in cases})))
