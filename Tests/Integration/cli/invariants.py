"""What must hold after a fault, whatever it was.

`check_invariants(engine)` asserts: `system check` finds nothing, or repairs it; every listed container and image can be inspected;
every container can be removed; then no process, mount, cgroup, run directory or container directory of the store is left.
"""

import json
import os

from host import wait_for

# Findings about the host, not about the store: no fault of ours changes them.
HOST = {"kernel", "cgroups", "runtime", "subordinate ids", "overlay", "store"}
DEATHS = {4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV"}


def findings(engine, *flags):
    result = engine.call("system", "check", "--format", "json", *flags, timeout=60)
    try:
        rows = json.loads(result.out)
    except ValueError:
        raise AssertionError(f"system check: exit {result.code}, {result.out!r} {result.err!r}") from None
    return [row for row in rows if row["Name"] not in HOST]


def check_store(engine):
    """`system check --repair` leaves nothing to be found."""
    told = []

    def left():
        told.append(findings(engine, "--repair"))
        return [row for row in findings(engine) if not row["OK"]]

    # A directory made just now may be somebody's who has not locked it yet: it counts as garbage after a second.
    wait_for(lambda: not left(), f"the repair of {left()}; it told {told}", 5)


def check_listed(engine):
    """All that is listed can be looked at."""
    containers = []
    for identity in engine.ok("ps", "-aq", "--no-trunc").lines:
        result = engine.call("inspect", identity, timeout=60)
        if result.code and identity not in engine.ok("ps", "-aq", "--no-trunc").lines:
            continue  # a --rm container that ended in between
        assert json.loads(result.check().out)[0]["Id"] == identity
        containers.append(identity)
    images = engine.ok("images", "-q", "--no-trunc").lines
    if images:
        engine.ok("image", "inspect", *images)
    return containers


def no_traps(result):
    """An error is told; it does not end a program by a trap."""
    text = getattr(result, "err", "")
    assert result.code not in [128 + number for number in DEATHS] and result.code >= 0, result
    for word in ("Fatal error", "Illegal instruction", "Segmentation", "stack dump", "index out of range"):
        assert word not in text, text


def check_invariants(engine, removing=True):
    containers = check_listed(engine)
    if containers and removing:
        engine.ok("rm", "-f", "-v", *containers, timeout=60)
    if removing:
        assert engine.ok("ps", "-aq").out == ""
    check_store(engine)
    if removing:
        # What is one second old and nobody's is garbage, which the next repair clears away.
        wait_for(lambda: not residue(engine) or findings(engine, "--repair") and False, f"nothing to be left: {residue(engine)}", 5)


def residue(engine):
    found = engine.leftovers()
    groups = cgroup_children(engine)
    if groups:
        found["cgroups"] = groups
    return found


def cgroup_parent(engine):
    """Flags that put the containers of a store below a cgroup of its own (an ordinary user has none to divide)."""
    return ["--cgroup-parent", "/" + engine.mark] if engine.who.is_root else []


def cgroup_children(engine):
    from host import host_mounts

    found = []
    for mount in host_mounts():
        if mount.type in ("cgroup", "cgroup2"):
            for directory, names, _ in os.walk(os.path.join(mount.target, engine.mark)):
                found += [os.path.join(directory, name) for name in names]
    return found


def remove_cgroup_parent(engine):
    from host import host_mounts

    for mount in host_mounts():
        if mount.type in ("cgroup", "cgroup2"):
            path = os.path.join(mount.target, engine.mark)
            if os.path.isdir(path):
                for directory, names, _ in os.walk(path, topdown=False):
                    for name in names:
                        os.rmdir(os.path.join(directory, name))
                os.rmdir(path)
