"""CRIU for tests: the real one where it works, and one that only speaks its protocol and fails as it is told."""

import functools
import os
import pathlib
import shutil
import subprocess

import pytest


@functools.cache
def working_criu():
    """Path of a CRIU that works here; or why there is none, as the second value."""
    path = shutil.which(os.environ.get("BERTH_CRIU") or "criu", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not path:
        return None, "criu is not installed (BERTH_CRIU or PATH)"
    try:
        done = subprocess.run([path, "check"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"{path} check: {error}"
    if done.returncode:
        return None, f"{path} check: {(done.stderr or done.stdout).strip().splitlines()[-1:]}"
    return path, ""


def require():
    if os.geteuid() != 0:
        pytest.skip("checkpoints need root")
    path, reason = working_criu()
    if not path:
        pytest.skip(reason)
    return path


class Using:
    """berth with a CRIU of the test's choice, for a while."""

    def __init__(self, berth, path, **more):
        self.berth, self.more = berth, {"BERTH_CRIU": str(path)} | {name: str(value) for name, value in more.items()}

    def __enter__(self):
        usual = type(self.berth).environment.__get__(self.berth)
        self.berth.environment = lambda: usual() | self.more
        return self.berth

    def __exit__(self, *_):
        del self.berth.environment


# A program in the place of CRIU. What it does is in a file beside it, as its own environment is the runtime's.
FAKE = r'''#!/usr/bin/python3
import os, pathlib, signal, socket, sys, time
here = pathlib.Path(__file__).parent
way = (here / "way").read_text().strip()
if sys.argv[1] == "--version":
    print("Version: 0.99"); sys.exit(0)
if sys.argv[1] == "check":
    if way == "old":
        print("Error (criu/fake.c:1): vdso: Unexpected rt vDSO area bounds", file=sys.stderr); sys.exit(1)
    print("Looks good."); sys.exit(0)
assert sys.argv[1:3] == ["swrk", "3"], sys.argv
(here / "pid").write_text(str(os.getpid()))
sock = socket.socket(fileno=3)
request = sock.recv(65536)
def fields(data):
    found, i = {}, 0
    def number():
        nonlocal i
        value = shift = 0
        while True:
            byte = data[i]; i += 1
            value |= (byte & 127) << shift; shift += 7
            if byte < 128: return value
    while i < len(data):
        key = number()
        if key & 7 == 0: value = number()
        else:
            size = number(); value = data[i:i + size]; i += size
        found.setdefault(key >> 3, []).append(value)
    return found
req = fields(request)
opts = fields(req[2][0])
kind = req[1][0]
peer = os.getppid()
work = pathlib.Path(f"/proc/{peer}/fd/{opts.get(17, opts[1])[0]}")
images = pathlib.Path(f"/proc/{peer}/fd/{opts[1][0]}")
log = opts[10][0].decode()
def say(text): (work / log).open("a").write(text + "\n")
def result(ok): sock.send(bytes([8, kind, 16, 1 if ok else 0]))
def notify(script):
    body = bytes([10, len(script)]) + script.encode()
    sock.send(bytes([8, 6, 16, 1, 42, len(body)]) + body)
    return sock.recv(65536)
(here / "began").touch()
if way == "fails" or way == "old":
    say("(00.1) Error (criu/util.c:1): rlimit: no matter"); say("(00.2) Error (criu/fake.c:7): the moon is full"); say("(00.3) Error (criu/x.c:1): Dumping FAILED.")
    result(False); sys.exit(1)
if way == "silent": sys.exit(3)
if way == "killed": os.kill(os.getpid(), signal.SIGKILL)
if way == "garbage": sock.send(b"\xff" * 900); time.sleep(1000)
if way == "truncated": sock.send(bytes([8, 6, 16, 1, 42, 200, 10])); time.sleep(1000)
if way == "hangs":
    signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)
if way == "dumps":
    for name in ("inventory.img", "pages-1.img"): (images / name).write_text("x")
    answer = notify("post-dump")
    ok = bool(answer) and fields(answer)[3] == [1]
    (here / "answer").write_text(str(ok))
    result(ok); sys.exit(0 if ok else 1)
'''


class Fake:
    """CRIU that fails, or seems to write down."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.path = self.directory / "criu"
        self.path.write_text(FAKE)
        self.path.chmod(0o755)

    def does(self, way):
        for name in ("began", "pid", "answer"):
            (self.directory / name).unlink(missing_ok=True)
        (self.directory / "way").write_text(way)

    @property
    def began(self):
        return (self.directory / "began").exists()

    @property
    def answer(self):
        path = self.directory / "answer"
        return path.read_text() if path.exists() else None
