"""A line to a host far away: packets take their time between two network namespaces."""

import contextlib
import subprocess

from user_networks import Namespace

NEAR, FAR = "203.0.113.1", "203.0.113.2"

# `PID PID SECONDS`: a device d0 in the network namespace of each process; what comes by one leaves by the other that much later.
LINE = """
import collections, ctypes, fcntl, os, selectors, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def device(pid):
    here, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if libc.setns(there, 0): raise OSError(ctypes.get_errno(), "setns")
    fd = os.open(sys.argv[4], os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", b"d0", 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
    libc.setns(here, 0)
    return fd
ends = [device(sys.argv[1]), device(sys.argv[2])]
delay = float(sys.argv[3])
waiting = {end: collections.deque() for end in ends}
other = dict(zip(ends, reversed(ends)))
selector = selectors.DefaultSelector()
for end in ends: selector.register(end, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    now, wait = time.monotonic(), None
    for end, packets in waiting.items():
        while packets and packets[0][0] <= now:
            try: os.write(end, packets.popleft()[1])
            except OSError: pass
        if packets: wait = min(wait or 1, packets[0][0] - now)
    for key, _ in selector.select(wait):
        for _ in range(200):
            try: packet = os.read(key.fd, 2000)
            except BlockingIOError: break
            if len(waiting[other[key.fd]]) < 3000: waiting[other[key.fd]].append((time.monotonic() + delay, packet))
"""


@contextlib.contextmanager
def far_host(world, round_trip):
    """A namespace beyond the world's outside; `round_trip` in seconds. It has the address FAR."""
    far = Namespace("--net")
    line = subprocess.Popen(
        ["python3", "-c", LINE, str(world.outside.pid), str(far.pid), str(round_trip / 2), str(world.directory / "tun")],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert line.stdout.readline() == "ready\n"
        world.outside.sh(f"ip address add {NEAR}/24 dev d0; ip link set d0 up; echo 1 > /proc/sys/net/ipv4/ip_forward")
        far.sh(f"ip link set lo up; ip address add {FAR}/24 dev d0; ip link set d0 up; ip route add default via {NEAR}")
        yield far
    finally:
        line.kill()
        line.communicate()
        far.close()
