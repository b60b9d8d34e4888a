"""A berth command at a terminal: its own session, a pseudo terminal, and what a person would type and see."""

import fcntl
import os
import re
import select
import struct
import termios
import time

from host import DEADLINE, quietly


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Terminal:
    """`berth ARGS` as the foreground of a new terminal."""

    def __init__(self, berth, *args, size=(24, 80), **keywords):
        self.master, self.slave = os.openpty()
        set_size(self.slave, *size)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = berth.popen(
            *args, stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **keywords)  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self.slave):
            quietly(lambda: os.close(fd))

    def type(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def resize(self, rows, columns):
        """As a window does: the kernel tells the foreground by SIGWINCH."""
        set_size(self.master, rows, columns)

    def read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], max(0, seconds))
        if not ready:
            return False
        try:
            self.seen += os.read(self.master, 65536)
        except OSError:
            return False
        return True

    def expect(self, pattern, deadline=DEADLINE):
        """Waits until the screen has shown the pattern; what comes after it is kept for the next call."""
        end = time.monotonic() + deadline
        while True:
            found = re.search(pattern.encode(), self.seen)
            if found:
                self.seen = self.seen[found.end() :]
                return found
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                raise AssertionError(f"no /{pattern}/ on the terminal: {self.seen!r} (exit {self.process.poll()})")

    def wait(self, deadline=DEADLINE):
        """The exit code; reads on meanwhile, as a terminal does."""
        end = time.monotonic() + deadline
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise AssertionError(f"the command still runs; the terminal shows {self.seen!r}")
            self.read(0.02)
        while self.read(0):
            pass
        return self.process.returncode

    @property
    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def assert_restored(self):
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not as it was"
