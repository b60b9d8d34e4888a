"""Namespaces: new, joined, left out; user namespaces and their mappings; sysctls that belong to them."""

import os
import pathlib
import subprocess

import pytest

from host import fields

KINDS = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"]
NAMES = {"mnt": "mount", "net": "network"}


def namespaces(text):
    return dict(line.split() for line in text.splitlines())


def of_process(pid="self"):
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in KINDS}


def supports(kind):
    return os.path.exists(f"/proc/self/ns/{kind}")


def test_new_namespaces(ct):
    inside = namespaces(ct.text("ns"))
    host = of_process()
    wanted = {"ipc", "mnt", "net", "pid", "uts"} | (set() if ct.who.is_root else {"user"})
    assert {kind for kind in KINDS if inside[kind] != host[kind]} == wanted


def test_all_namespaces(ct):
    if not supports("time"):
        pytest.skip("this kernel has no time namespaces")
    for kind in ("cgroup", "time"):
        ct.namespace(kind)
    if ct.who.is_root:
        ct.user_namespace()
    inside = namespaces(ct.text("ns"))
    host = of_process()
    assert [kind for kind in KINDS if inside[kind] == host[kind]] == []


@pytest.mark.parametrize("kind", ["ipc", "net", "pid", "uts"])
def test_a_namespace_left_out_is_the_hosts(root_ct, kind):
    root_ct.drop_namespace(NAMES.get(kind, kind))
    if kind == "uts":
        del root_ct.spec["hostname"]
    if kind == "ipc":
        root_ct.drop_mount("/dev/mqueue")
    assert namespaces(root_ct.text("ns"))[kind] == of_process()[kind]


def test_host_namespaces_rootless(user_ct):
    for kind in ("ipc", "network", "pid", "uts"):
        user_ct.drop_namespace(kind)
    del user_ct.spec["hostname"]
    user_ct.drop_mount("/dev/mqueue")
    user_ct.drop_mount("/sys")
    user_ct.mount("/sys", "none", "/sys", ["rbind", "nosuid", "noexec", "nodev", "ro"])
    user_ct.drop_mount("/proc")
    user_ct.mount("/proc", "none", "/proc", ["rbind", "nosuid", "noexec", "nodev"])
    user_ct.linux["maskedPaths"] = user_ct.linux["readonlyPaths"] = []
    inside, host = namespaces(user_ct.text("ns")), of_process()
    assert [kind for kind in ("ipc", "net", "pid", "uts") if inside[kind] != host[kind]] == []


@pytest.mark.parametrize("kind", ["ipc", "net", "uts", "cgroup", "pid"])
def test_a_namespace_joined_by_path(make_root, kind):
    first, second = make_root(), make_root()
    first.namespace("cgroup")
    first.up()
    second.namespace("cgroup")
    second.namespace(NAMES.get(kind, kind), f"/proc/{first.pid}/ns/{kind}")
    if kind == "uts":
        del second.spec["hostname"]
    inside, host = of_process(first.pid), of_process()
    got = namespaces(second.text("ns"))
    assert got[kind] == inside[kind] != host[kind]
    assert got["mnt"] not in (inside["mnt"], host["mnt"])


def test_a_joined_pid_namespace_has_its_own_init(make_root):
    first, second = make_root(), make_root()
    first.up()
    second.namespace("pid", f"/proc/{first.pid}/ns/pid")
    assert int(fields(second.text("process"))["pid"]) > 1
    assert first.status == "running"


def test_several_namespaces_joined(make):
    """A pod: the second container shares the first one's network, ipc and names (and its user namespace, which owns them)."""
    first, second = make(), make()
    first.up()
    for kind in ("ipc", "net", "uts"):
        second.namespace(NAMES.get(kind, kind), f"/proc/{first.pid}/ns/{kind}")
    if not first.who.is_root:
        second.namespace("user", f"/proc/{first.pid}/ns/user")
        second.linux.pop("uidMappings")
        second.linux.pop("gidMappings")
    del second.spec["hostname"]
    got, inside = namespaces(second.text("ns")), of_process(first.pid)
    assert [got[kind] for kind in ("ipc", "net", "uts", "user")] == [inside[kind] for kind in ("ipc", "net", "uts", "user")]


def test_a_joined_network_namespace_outlives_the_container(root_ct):
    """What the container did not make is not taken away with it."""
    holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        holder.stdin.write(b"up\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == b"up\n"
        path = f"/proc/{holder.pid}/ns/net"
        wanted = os.readlink(path)
        root_ct.namespace("network", path)
        assert namespaces(root_ct.text("ns"))["net"] == wanted
        assert os.readlink(path) == wanted
    finally:
        holder.stdin.close()
        holder.wait(10)
        holder.stdout.close()


def test_a_namespace_of_the_wrong_type_is_refused(root_ct):
    root_ct.namespace("network", "/proc/self/ns/uts")
    root_ct.create("true").refused()
    root_ct.assert_clean()


@pytest.mark.parametrize("path", ["/proc/self/ns/nosuch", "/etc/passwd", "/tmp", "relative/path"])
def test_a_path_that_is_no_namespace_is_refused(ct, path):
    ct.namespace("network", path)
    ct.create("true").refused()
    ct.assert_clean()


def test_duplicate_namespaces_are_refused(ct):
    ct.linux["namespaces"].append({"type": "uts"})
    ct.create("true").refused("namespace|uts")
    ct.assert_clean()


@pytest.mark.parametrize("kind", ["nosuch", "", "PID"])
def test_unknown_namespaces_are_refused(ct, kind):
    ct.linux["namespaces"].append({"type": kind})
    ct.create("true").refused("namespace")
    ct.assert_clean()


def test_time_offsets(ct):
    if not supports("time"):
        pytest.skip("this kernel has no time namespaces")
    ct.namespace("time")
    ct.linux["timeOffsets"] = {"monotonic": {"secs": 1000000, "nanosecs": 5}, "boottime": {"secs": 2000000}}
    offsets, clock = ct.look("time-offsets", "clock")
    rows = {line.split()[0]: line.split()[1:] for line in offsets.splitlines()}
    assert rows["monotonic"] == ["1000000", "5"] and rows["boottime"] == ["2000000", "0"]
    assert int(fields(clock)["monotonic"]) >= 1000000 and int(fields(clock)["boottime"]) >= 2000000


def test_time_offsets_need_the_namespace(ct):
    ct.linux["timeOffsets"] = {"monotonic": {"secs": 1}}
    ct.create("true").refused("time")
    ct.assert_clean()


# User namespaces


def test_a_user_namespace_made_by_root(root_ct):
    root_ct.user_namespace(base=300000, size=1000)
    identity, uid_map, gid_map, groups = root_ct.look(
        "id", "cat /proc/self/uid_map", "cat /proc/self/gid_map", "cat /proc/self/setgroups"
    )
    assert fields(identity)["uid"] == "0"
    assert uid_map.split() == gid_map.split() == ["0", "300000", "1000"]
    assert groups == "allow"


def test_several_mappings(root_ct):
    root_ct.user_namespace()
    root_ct.linux["uidMappings"] = [
        {"containerID": 0, "hostID": 200000, "size": 10},
        {"containerID": 100, "hostID": 300000, "size": 10},
        {"containerID": 1000, "hostID": 400000, "size": 1},
    ]
    got = [line.split() for line in root_ct.text("cat /proc/self/uid_map").splitlines()]
    assert got == [["0", "200000", "10"], ["100", "300000", "10"], ["1000", "400000", "1"]]


def test_the_process_is_unprivileged_on_the_host(root_ct):
    root_ct.user_namespace(base=300000)
    root_ct.up()
    status = pathlib.Path(f"/proc/{root_ct.pid}/status").read_text()
    assert "Uid:\t300000\t300000\t300000\t300000" in status


def test_the_full_mapping_of_an_ordinary_user(user_ct):
    got = [line.split() for line in user_ct.text("cat /proc/self/uid_map").splitlines()]
    assert got == [["0", str(user_ct.who.uid), "1"], ["1", str(user_ct.who.subuid[0]), str(min(user_ct.who.subuid[1], 65535))]]


def test_the_single_mapping_of_an_ordinary_user(user_ct):
    """No newuidmap needed; setgroups is denied, so no other group is possible."""
    for kind in ("uidMappings", "gidMappings"):
        user_ct.linux[kind] = user_ct.linux[kind][:1]
    mount = user_ct.mount_at("/dev/pts")
    mount["options"].remove("gid=5")
    identity, uid_map, groups = user_ct.look("id", "cat /proc/self/uid_map", "cat /proc/self/setgroups")
    assert fields(identity)["uid"] == "0"
    assert uid_map.split() == ["0", str(user_ct.who.uid), "1"]
    assert groups == "deny"


def test_a_mapping_the_user_does_not_own_is_refused(user_ct):
    """S36: never a smaller mapping in silence."""
    user_ct.linux["uidMappings"][1]["hostID"] = 1
    user_ct.create("true").refused()
    user_ct.assert_clean()


def test_the_hosts_root_is_not_given_away(user_ct):
    """S36."""
    user_ct.linux["uidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
    user_ct.create("true").refused()
    user_ct.assert_clean()


def test_overlapping_mappings_are_refused(ct):
    """S36."""
    if ct.who.is_root:
        ct.user_namespace()
    ct.linux["uidMappings"].append(dict(ct.linux["uidMappings"][0], containerID=0))
    ct.create("true").refused()
    ct.assert_clean()


def test_a_user_namespace_without_mappings_is_refused(ct):
    ct.namespace("user")
    ct.linux.pop("uidMappings", None)
    ct.linux.pop("gidMappings", None)
    ct.create("true").refused("mapping")
    ct.assert_clean()


def test_mappings_without_a_user_namespace_are_refused(root_ct):
    root_ct.linux["uidMappings"] = root_ct.linux["gidMappings"] = [{"containerID": 0, "hostID": 300000, "size": 10}]
    root_ct.create("true").refused("user")
    root_ct.assert_clean()


def test_files_of_unmapped_owners_are_nobodys(root_ct):
    root_ct.user_namespace(base=300000, size=1000)
    (root_ct.rootfs / "foreign").write_text("x")
    os.chown(root_ct.rootfs / "foreign", 5, 5)
    kind, mode, uid, gid, *_ = root_ct.text("stat /foreign").split()
    assert (uid, gid) == ("65534", "65534")


def test_other_ids_in_a_user_namespace(ct):
    if ct.who.is_root:
        ct.user_namespace()
    ct.process["user"] = {"uid": 1234, "gid": 55, "additionalGids": [66]}
    got = fields(ct.text("id"))
    assert (got["uid"], got["gid"]) == ("1234", "55") and "66" in got["groups"]


# Sysctls


def test_sysctls(ct):
    ct.linux["sysctl"] = {
        "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 0", "kernel.shm_rmid_forced": "1",
        "kernel.msgmax": "4096", "fs.mqueue.msg_max": "9",
    }  # fmt: skip
    if not ct.who.is_root:
        # Those of the ipc namespace can be written by its owner since Linux 6.x; the net ones always could.
        for name in ("kernel.shm_rmid_forced", "kernel.msgmax", "fs.mqueue.msg_max"):
            ct.linux["sysctl"].pop(name)
    got = ct.text("sysctl " + " ".join(ct.linux["sysctl"])).splitlines()
    assert [line.replace("\t", " ") for line in got] == list(ct.linux["sysctl"].values())


def test_sysctls_with_slashes(root_ct):
    root_ct.linux["sysctl"] = {"net/ipv4/ip_forward": "1"}
    before = pathlib.Path("/proc/sys/net/ipv4/ip_forward").read_text()
    assert root_ct.text("sysctl net.ipv4.ip_forward") == "1"
    assert pathlib.Path("/proc/sys/net/ipv4/ip_forward").read_text() == before


@pytest.mark.parametrize("name", ["kernel.hostname_of_nobody", "vm.swappiness", "kernel.core_pattern", "fs.file-max", "kernel.pid_max"])
def test_sysctls_of_the_host_are_refused(root_ct, name):
    path = pathlib.Path("/proc/sys", name.replace(".", "/", 1))
    before = path.read_text() if path.exists() else None
    root_ct.linux["sysctl"] = {name: "1"}
    root_ct.create("true").refused("sysctl")
    assert (path.read_text() if path.exists() else None) == before
    root_ct.assert_clean()


@pytest.mark.parametrize("name, kind", [("net.ipv4.ip_forward", "network"), ("kernel.msgmax", "ipc")])
def test_sysctls_need_their_own_namespace(root_ct, name, kind):
    before = pathlib.Path("/proc/sys", name.replace(".", "/")).read_text()
    root_ct.drop_namespace(kind)
    if kind == "ipc":
        root_ct.drop_mount("/dev/mqueue")
    root_ct.linux["sysctl"] = {name: before.strip()}
    root_ct.create("true").refused("sysctl")
    root_ct.assert_clean()


def test_sysctl_names_do_not_leave_the_directory(root_ct):
    """S03: a name is no path."""
    root_ct.linux["sysctl"] = {"net.ipv4/../../kernel/core_pattern": "|/evil"}
    before = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    root_ct.create("true").refused()
    assert pathlib.Path("/proc/sys/kernel/core_pattern").read_text() == before
    root_ct.assert_clean()


def test_a_sysctl_value_the_kernel_refuses(ct):
    ct.linux["sysctl"] = {"net.ipv4.ip_forward": "words"}
    ct.create("true").refused()
    ct.assert_clean()


# Network devices


def test_network_devices(root_ct):
    """A link moves in, is renamed, keeps its address and is up; it is gone from the host."""
    name = "bt" + root_ct.id[-8:]
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", name + "p"], check=True)
    try:
        subprocess.run(["ip", "address", "add", "198.51.100.7/24", "dev", name], check=True)
        root_ct.linux["netDevices"] = {name: {"name": "inside0"}}
        links, addresses, flags = root_ct.look(
            "ls /sys/class/net", "cat /proc/net/fib_trie", "cat /sys/class/net/inside0/flags"
        )
        assert "inside0" in links.split() and name not in links.split()
        assert "198.51.100.7" in addresses
        assert int(flags, 16) & 1
    finally:
        subprocess.run(["ip", "link", "del", name + "p"], capture_output=True)


@pytest.mark.parametrize("template, wanted", [("in%d", "in0"), ("a%db", "a0b")])
def test_a_network_device_named_by_a_template(root_ct, template, wanted):
    """The kernel makes the name up; two devices of one template get two names."""
    name = "bt" + root_ct.id[-8:]
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", name + "p"], check=True)
    try:
        subprocess.run(["ip", "address", "add", "198.51.100.8/24", "dev", name], check=True)
        root_ct.linux["netDevices"] = {name: {"name": template}, name + "p": {"name": template}}
        links, addresses, flags = root_ct.look("ls /sys/class/net", "cat /proc/net/fib_trie", f"cat /sys/class/net/{wanted}/flags")
        assert set(links.split()) >= {wanted, wanted.replace("0", "1")}
        assert "198.51.100.8" in addresses and int(flags, 16) & 1
    finally:
        subprocess.run(["ip", "link", "del", name], capture_output=True)


def test_a_network_device_that_is_missing(root_ct):
    root_ct.linux["netDevices"] = {"nosuchlink0": {}}
    root_ct.create("true").refused("nosuchlink0")
    root_ct.assert_clean()


def test_a_network_device_whose_name_is_taken(root_ct):
    name = "bt" + root_ct.id[-8:]
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", name + "p"], check=True)
    try:
        root_ct.linux["netDevices"] = {name: {"name": "lo"}}
        root_ct.create("true").refused("lo|exist")
        root_ct.assert_clean()
    finally:
        subprocess.run(["ip", "link", "del", name + "p"], capture_output=True)


def test_the_loopback_is_up(ct):
    """runc and crun bring `lo` up in a network namespace they made."""
    assert int(ct.text("cat /sys/class/net/lo/flags"), 16) & 1
