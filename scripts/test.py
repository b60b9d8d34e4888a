#!/usr/bin/python3
"""Runs the tests and says one line at the end: N passed, N failed, N skipped.

usage: scripts/test.py [--full] [unit] [integration] [-- arguments for pytest, files to run instead of all among them]

BERTH_TEST_USER  the ordinary user of the rootless half (default berth-test; made when it is missing)
JOBS             parallel builds and tests (default: processors)
BUILD_FLAGS      more words for swift build and swift test
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".build/test-results"
JOBS = os.environ.get("JOBS", str(os.cpu_count() or 1))
SWIFT = os.environ.get("SWIFT", "swift")
BUILD_FLAGS = os.environ.get("BUILD_FLAGS", "").split()
# A hang is a failure too, and one that should be told.
DEADLINE = {"build": 40 * 60, "unit": 15 * 60, "integration": 25 * 60, "full": 120 * 60}


class Counts:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def say(text):
    print(f"\n== {text}", flush=True)


def run(command, deadline, environment=None):
    """The exit code of a command; the whole process group ends when the deadline passes."""
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(environment or {})}, start_new_session=True)
    try:
        return process.wait(timeout=deadline)
    except subprocess.TimeoutExpired:
        print(f"\ndeadline of {deadline} s passed: {' '.join(map(str, command))}", flush=True)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return 124
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        raise


# What failed, told once more at the end: the lines above it may be thousands, and a log is often cut at its head.
FAILURES = []


def told(case):
    """A failed test's name and the first lines of why."""
    reasons = [element.get("message") or element.text or "" for element in [*case.iter("failure"), *case.iter("error")]]
    lines = [line for reason in reasons for line in reason.strip().splitlines()[:6]]
    return "\n    ".join([f"FAILED {case.get('classname')} {case.get('name')}", *lines])


def count(report, code):
    """What a JUnit report says, made worse by the exit code where it says nothing."""
    counts = Counts()
    try:
        tree = xml.etree.ElementTree.parse(report)
    except (OSError, xml.etree.ElementTree.ParseError):
        return Counts(failed=1 if code else 0)
    for case in tree.iter("testcase"):
        failed = case.find("failure") is not None or case.find("error") is not None
        if failed:
            FAILURES.append(told(case))
        skipped = not failed and case.find("skipped") is not None
        counts += Counts(not failed and not skipped, failed, skipped)
    if code and not counts.failed:
        counts.failed = 1
    return counts


def unit():
    """Swift Testing: no root, no network."""
    say("build")
    if run([SWIFT, "build", "--build-tests", "-j", JOBS, *BUILD_FLAGS], DEADLINE["build"]):
        return Counts(failed=1)
    say("unit tests")
    report = RESULTS / "unit.xml"
    for old in RESULTS.glob("unit*.xml"):
        old.unlink()
    # One at a time: tests fork, and a child holds copies of the locks and pipes of every other test until its execve.
    command = [SWIFT, "test", "--skip-build", "--disable-xctest", "--no-parallel", "--xunit-output", report, *BUILD_FLAGS]
    code = run(command, DEADLINE["unit"])
    # SwiftPM puts the library's name into the file's.
    reports = sorted(RESULTS.glob("unit*.xml"))
    return count(reports[-1], code) if reports else Counts(failed=1)


def privileges():
    """Root runs both halves of the suite; whoever is not root and may become it does."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n", "--preserve-env=BERTH,BERTH_RUNTIME,BERTH_TEST_USER,BERTH_TEST_FULL,PYTHONDONTWRITEBYTECODE"]
    print("no root here: the half of the suite that runs as root is skipped", flush=True)
    return []


def pytest(name, arguments, environment, deadline):
    """The tests side by side, then those that measure times (marked quiet) one after the other."""
    counts = Counts()
    where = [] if any((ROOT / word.partition("::")[0]).exists() for word in arguments) else ["Tests/Integration"]
    # One worker more than processors: most tests wait for processes and sockets a good part of their time.
    for suffix, words in {"": ["-m", "not quiet", "-n", str(int(JOBS) + 1), "--dist", "loadgroup"], "-quiet": ["-m", "quiet"]}.items():
        report = RESULTS / f"{name}{suffix}.xml"
        report.unlink(missing_ok=True)
        command = [
            *privileges(), "/usr/bin/python3", "-m", "pytest", *where, "-q", *words,
            "-o", "faulthandler_timeout=300", "--tb=short", f"--junitxml={report}", *arguments,
        ]  # fmt: skip
        code = run(command, deadline, environment)
        # 5: arguments left none of this kind.
        counts += count(report, 0 if code == 5 else code)
    return counts


def integration(full, arguments):
    """pytest on the real kernel: as root and as an ordinary user."""
    say("build")
    if run([SWIFT, "build", "-j", JOBS, *BUILD_FLAGS], DEADLINE["build"]):
        return Counts(failed=1)
    (ROOT / ".build/test-init").mkdir(exist_ok=True)
    before = residue()
    say("integration tests")
    environment = {"BERTH_TEST_FULL": "1"} if full else {}
    counts = pytest("integration", arguments, environment, DEADLINE["full" if full else "integration"])
    if full and shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin"):
        say("integration tests of the runtime, with Debian's runc: a test of the tests")
        runc = {"BERTH_RUNTIME": shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin")}
        counts += pytest("runc", ["Tests/Integration/runtime", *arguments], runc, DEADLINE["full"])
    left = settle(before)
    if left:
        say("left behind (this counts as one failure)")
        print("\n".join(sorted(left)))
        FAILURES.append("\n    ".join(["FAILED left behind by the tests:", *sorted(left)]))
        counts.failed += 1
    return counts


def residue():
    """What a test may leave on a host: mounts, cgroups, processes, links and rules that carry our names, and any named network namespace."""
    found = set()
    ours = re.compile(r"/(bt[0-9a-f]{10}|bts-[0-9a-f]+|berth[^/]*)(/|$)")
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        target = line.split()[4]
        if ours.search(target) and not target.startswith(str(ROOT)):
            found.add(f"mount {target}")
    for hierarchy in pathlib.Path("/sys/fs/cgroup").glob("*") if os.path.ismount("/sys/fs/cgroup") else []:
        for directory, children, _ in os.walk(hierarchy):
            found.update(f"cgroup {directory}/{child}" for child in children if ours.search(f"/{child}"))
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            program = os.readlink(process / "exe")
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        # A container's own processes keep their parent's name out of sight; their supervisors and inits do not.
        if pathlib.Path(program).name.split(" ")[0] in ("berth", "berth-runtime") or "/bts-" in program:
            found.add(f"process {process.name} ({program}, parent {parent})")
    found.update(f"network namespace {path}" for path in pathlib.Path("/run/netns").glob("*"))
    # Of the machine itself: tests that connect containers do so in network namespaces of their own.
    found.update(f"link {path.name}" for path in pathlib.Path("/sys/class/net").iterdir() if re.match(r"br-|ve\d*x|ifb-", path.name))
    if os.geteuid() == 0 and shutil.which("nft"):
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
        found.update(f"nft {line}" for line in tables.splitlines() if "berth" in line)
    return found


def settle(before):
    """What is left after the tests; the kernel and the last supervisor get two seconds to finish."""
    for _ in range(20):
        left = residue() - before
        # The parents of containers' cgroups stay, as every engine's do; only here nobody needs them any more.
        for path in [entry.partition(" ")[2] for entry in left if re.fullmatch(r"cgroup /sys/fs/cgroup/[^/]+/berth(-test)?", entry)]:
            try:
                os.rmdir(path)
                left.discard(f"cgroup {path}")
            except OSError:
                pass
        if not left:
            break
        time.sleep(0.1)
    return left


def main():
    words = sys.argv[1:]
    extra = words[words.index("--") + 1 :] if "--" in words else []
    words = words[: words.index("--")] if "--" in words else words
    full = "--full" in words
    phases = [word for word in words if not word.startswith("-")] or ["unit", "integration"]
    RESULTS.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    total = Counts()
    for phase in phases:
        if phase == "unit":
            counts = unit()
        elif phase == "integration":
            counts = integration(full, extra)
        else:
            sys.exit(f'test.py: no phase "{phase}"')
        print(f"{phase}: {counts}", flush=True)
        total += counts
    if FAILURES:
        say("failed")
        print("\n".join(FAILURES))
    minutes, seconds = divmod(int(time.monotonic() - start), 60)
    print(f"\nin {minutes} min {seconds} s", flush=True)
    print(total, flush=True)
    sys.exit(1 if total.failed or not total.passed else 0)


if __name__ == "__main__":
    main()
