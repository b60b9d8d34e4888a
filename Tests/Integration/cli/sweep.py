"""Faults in the Nth system call of a command, by strace's injection: a kill, or an error, and what the command made of it."""

import os
import shutil

import pytest

FULL = bool(os.environ.get("BERTH_TEST_FULL"))

# What changes something that outlives the process.
MUTATING = (
    "rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlinkat,mknodat,write,pwrite64,ftruncate,fsync,"
    "fdatasync,syncfs,fchmod,fchmodat,fchown,fchownat,utimensat,fsetxattr,setxattr,lsetxattr"
)
READING = "openat,openat2,read,pread64,getdents64,newfstatat,fcntl"
MEMORY = "mmap,clone,clone3"

# In the normal run: dense where commands begin, thinner where they only unpack.
SLICE = (1, 2, 4, 8, 15, 27, 48, 80)


def numbers(slice=SLICE):
    return range(1, 100_000) if FULL else slice


def require_strace():
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: scripts/setup test")


def injected(engine, place, calls, fault, number, *args, **keywords):
    """Runs a command with a fault in its Nth such call: (outcome, whether the fault happened)."""
    log = place / "strace"
    log.unlink(missing_ok=True)
    # The tracer runs as the user and writes there.
    wrap = ("strace", "-f", "-qq", "-o", log, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}:when={number}")
    result = engine.call(*args, wrap=wrap, **{"timeout": 120} | keywords)
    text = log.read_text(errors="replace") if log.exists() else ""
    # A kill leaves no mark in the line of the call that it hit.
    return result, "(INJECTED)" in text or "killed by SIGKILL" in text
