"""A plugin for pytest in the machine: one line of JSON for each case, as soon as it has ended."""

import collections
import json

RESULTS = "/mnt/out/results"
left = collections.Counter()


def name_of(nodeid):
    path, _, case = nodeid.partition("::")
    return f"{path.removeprefix('Tests/Integration/')}::{case.partition('[')[0]}"


def pytest_collection_finish(session):
    left.update(name_of(item.nodeid) for item in session.items)


def pytest_runtest_logreport(report):
    """The worst phase of a case is its result; the line is written after the last phase."""
    record = cases.setdefault(report.nodeid, {"outcome": "passed", "text": ""})
    if report.failed:
        record["outcome"] = "failed"
        record["text"] += f"{report.when}: {report.longreprtext}\n" + "".join(f"{title}\n{text}\n" for title, text in report.sections)
    elif report.skipped and record["outcome"] == "passed":
        record["outcome"] = "skipped"
        record["text"] = f"xfail: {report.wasxfail}" if hasattr(report, "wasxfail") else str(report.longrepr[2])
    if report.when == "teardown":
        name = name_of(report.nodeid)
        left[name] -= 1
        line = {"test": name, "case": report.nodeid, "last": left[name] == 0, **cases.pop(report.nodeid)}
        with open(RESULTS, "a") as file:
            file.write(json.dumps(line) + "\n")


cases = {}
