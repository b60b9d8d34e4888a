"""Layers that are kept as a tar and an erofs index, mounted the way the engine does it, without a place in any namespace."""

import contextlib
import ctypes
import os
import pathlib

import pytest

FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432
_libc = ctypes.CDLL(None, use_errno=True)


def _call(number, *args):
    result = _libc.syscall(number, *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def mount(index):
    """A descriptor of a detached mount; closing it unmounts."""
    context = _call(FSOPEN, b"erofs", 1)
    try:
        _call(FSCONFIG, context, 1, b"source", os.fsencode(index), 0)
        _call(FSCONFIG, context, 1, b"device", os.fsencode(pathlib.Path(index).with_suffix(".tar")), 0)
        _call(FSCONFIG, context, 6, None, None, 0)
        return _call(FSMOUNT, context, 1, 1)
    finally:
        os.close(context)


@contextlib.contextmanager
def directory(layer):
    """The path of a layer's files, whichever format it has."""
    if not str(layer).endswith(".erofs"):
        yield layer
        return
    descriptor = mount(layer)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def require():
    """Skips a test where the kernel cannot do it."""
    if "\terofs\n" not in pathlib.Path("/proc/filesystems").read_text():
        pytest.skip("this kernel has no erofs")
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if release < (6, 15):
        pytest.skip("overlay stands on detached mounts since Linux 6.15")
