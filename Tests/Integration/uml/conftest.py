"""Runs a selection of the suite in the machine of machine.py, beside the other tests, and gives each of its tests a result here.

The first worker that has such a test starts the machine when collection ends; whoever comes to such a test waits for its line.
In the machine runs pytest with `guest/report.py`, which writes a line of JSON for each test as soon as it has ended.
"""

import getpass
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import machine  # noqa: E402
from host import build_init, ordinary_user, wait_for  # noqa: E402
from selection import IN_THE_MACHINE, MODULES  # noqa: E402

collect_ignore = [] if IN_THE_MACHINE else ["guest"]
PROGRAMS = {"BERTH": ".build/debug/berth", "BERTH_RUNTIME": ".build/debug/berth-runtime"}


class Run:
    """One boot of the machine, as a worker sees it."""

    def __init__(self, directory):
        self.directory, self.process = pathlib.Path(directory), None
        self.lines, self.read = {}, 0

    def start(self):
        """Without waiting: the machine runs beside the other tests."""
        build_init()
        if os.geteuid() == 0:
            ordinary_user(os.environ.get("BERTH_TEST_USER", "berth-test"))
        environment = {"BERTH_IN_THE_MACHINE": "1", "PYTHONPATH": "/mnt/repository/Tests/Integration/uml/guest"}
        # The machine has our users and cannot make one: its root file system is read-only.
        environment["BERTH_TEST_USER"] = os.environ.get("BERTH_TEST_USER", "berth-test") if os.geteuid() == 0 else getpass.getuser()
        for name, default in PROGRAMS.items():
            path = pathlib.Path(os.environ.get(name, machine.REPOSITORY / default)).resolve()
            with_own_root = path.is_relative_to(machine.REPOSITORY)
            environment[name] = str(pathlib.Path("/mnt/repository", path.relative_to(machine.REPOSITORY)) if with_own_root else path)
        modules = [f"Tests/Integration/{module}" for module in MODULES]
        command = [
            "env", *(f"{name}={value}" for name, value in environment.items()), "/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:xdist", "-p", "report",
            "-o", "faulthandler_timeout=120", "-c", "Tests/Integration/pytest.ini", *modules,
        ]  # fmt: skip
        with open(self.directory / "starter", "wb") as log:
            words = [sys.executable, machine.__file__, self.directory / "machine", *command]
            (self.directory / "machine").mkdir()
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        (self.directory / "pid").write_text(str(self.process.pid))

    def ended(self):
        """Whether the machine is gone; a worker that did not start it looks at its pid, which the one that did may not have waited for."""
        if self.process is not None:
            return self.process.poll() is not None
        pid = self.directory / "pid"
        if not pid.exists():
            return False
        try:
            return pathlib.Path(f"/proc/{pid.read_text()}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    def of(self, name):
        """The lines of a test, or None while there is none that says it is complete."""
        results = self.directory / "machine/results"
        if results.exists():
            with open(results) as file:
                file.seek(self.read)
                for line in iter(file.readline, ""):
                    if not line.endswith("\n"):
                        break
                    self.read += len(line.encode())
                    entry = json.loads(line)
                    self.lines.setdefault(entry["test"], []).append(entry)
        lines = self.lines.get(name, [])
        return lines if any(line["last"] for line in lines) else None

    def why(self):
        """What the machine and its starter said last."""
        texts = []
        for path in (self.directory / "starter", self.directory / "machine/console"):
            if path.exists():
                texts.append("\n".join(path.read_text(errors="replace").splitlines()[-25:]).strip())
        return "\n".join(text for text in texts if text)

    def stop(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            self.process.wait()


def is_worker(config):
    return hasattr(config, "workerinput")


def run_directory(config):
    """One for all workers of a session, among its other temporary directories."""
    base = config._tmp_path_factory.getbasetemp()
    return (base.parent if is_worker(config) else base) / "machine"


def pytest_collection_finish(session):
    """Starts the machine as early as possible when there are tests for it; one of the workers wins."""
    if IN_THE_MACHINE or session.config.option.collectonly or not any(item.path.parent == pathlib.Path(__file__).parent for item in session.items):
        return
    session.config.berth_machine = run = Run(run_directory(session.config))
    try:
        run.directory.mkdir(mode=0o700)
    except FileExistsError:
        return
    run.start()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Behind all others: by then most results are there."""
    here = pathlib.Path(__file__).parent
    items.sort(key=lambda item: item.path.parent == here)
    for item in items:
        if item.path.parent == here:
            item.add_marker(pytest.mark.xdist_group("machine"))  # one worker waits for the machine, not all


def pytest_sessionfinish(session):
    run = getattr(session.config, "berth_machine", None)
    # A worker is told to finish when there is no test left for it, and another may still wait for the machine: that ends with the
    # worker's process, when all are done.
    if run is not None and run.process is not None and not is_worker(session.config):
        run.stop()


@pytest.fixture(scope="session")
def machine_run(request):
    return request.config.berth_machine


@pytest.fixture
def outcome(machine_run):
    """Waits for the result of a test in the machine: a list of its cases."""

    def get(name):
        found = wait_for(lambda: machine_run.of(name) or (machine_run.ended() and "ended"), f"{name} in the machine", machine.DEADLINE + 330)
        if found == "ended":
            found = machine_run.of(name)
        if found is None:
            text = machine_run.why()
            if text.startswith("machine: "):
                pytest.skip(text.splitlines()[0])
            pytest.fail(f"{name} has no result; the machine said:\n{text}", pytrace=False)
        return found

    return get
