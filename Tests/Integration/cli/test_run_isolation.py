"""Capabilities, seccomp, devices, namespaces, user namespaces, sysctls, --privileged."""

import json
import os
import pathlib
import re
import signal

import pytest

from host import fields, mount_on, parse_mountinfo, status_fields, wait_for
from spec import CAPABILITIES, capability_mask

DEFAULT = "CHOWN DAC_OVERRIDE FSETID FOWNER SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL".split()


def sets(berth, *flags, command=("cat", "/proc/self/status")):
    status = status_fields(berth.run(*flags, "test", *command).check().out)
    return {name: int(status["Cap" + name], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}


def check_sets(found, names, user=False):
    mask = capability_mask(names)
    assert found["Bnd"] == mask
    assert found["Prm"] == found["Eff"] == (0 if user else mask)
    assert found["Inh"] == 0 and found["Amb"] == 0


# Capabilities (S23)


def test_default_capabilities(berth):
    check_sets(sets(berth), DEFAULT)


def test_another_user_has_none(berth):
    check_sets(sets(berth, "-u", "app"), DEFAULT, user=True)


def test_capabilities_added_for_another_user_are_ambient(berth):
    found = sets(berth, "-u", "app", "--cap-add", "NET_BIND_SERVICE")
    assert found["Eff"] == found["Prm"] == found["Amb"] == capability_mask(["NET_BIND_SERVICE"])


CASES = [
    (["--cap-add", "NET_RAW"], DEFAULT + ["NET_RAW"]), (["--cap-add", "cap_net_raw"], DEFAULT + ["NET_RAW"]),
    (["--cap-drop", "CHOWN"], [name for name in DEFAULT if name != "CHOWN"]), (["--cap-drop", "ALL"], []), (["--cap-drop", "all"], []),
    (["--cap-drop", "ALL", "--cap-add", "KILL"], ["KILL"]), (["--cap-add", "KILL", "--cap-drop", "KILL"], [n for n in DEFAULT if n != "KILL"]),
    (["--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE"], DEFAULT + ["SYS_ADMIN", "SYS_PTRACE"]),
]  # fmt: skip


@pytest.mark.parametrize("flags,names", CASES, ids=lambda value: " ".join(value) if value and value[0].startswith("--") else None)
def test_adding_and_dropping(berth, flags, names):
    if flags == ["--cap-add", "KILL", "--cap-drop", "KILL"]:
        found = sets(berth, *flags)  # docker: what is added wins or is refused, never more than the default
        assert found["Bnd"] & ~capability_mask(DEFAULT) == 0
        return
    check_sets(sets(berth, *flags), names)


def test_all_capabilities(berth):
    found = sets(berth, "--cap-add", "ALL")
    have = int(status_fields(pathlib.Path("/proc/self/status").read_text())["CapBnd"], 16)
    everything = have if berth.who.is_root else capability_mask(CAPABILITIES)
    assert found["Bnd"] == found["Eff"] == everything & capability_mask(CAPABILITIES)
    dropped = sets(berth, "--cap-add", "ALL", "--cap-drop", "SYS_ADMIN")
    assert not dropped["Bnd"] & capability_mask(["SYS_ADMIN"])


@pytest.mark.parametrize("name", ["NOSUCH", "", "CAP_", "KILL,CHOWN"])
def test_capabilities_that_are_none(root_berth, name):
    root_berth.run("--cap-add", name, "test", "true").fails(125)
    root_berth.run("--cap-drop", name, "test", "true").fails(125)


def test_exec_has_the_same_capabilities(berth):
    name = berth.up("--cap-drop", "CHOWN")
    status = status_fields(berth.ok("exec", name, "cat", "/proc/self/status").out)
    assert int(status["CapBnd"], 16) == capability_mask(n for n in DEFAULT if n != "CHOWN")
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    status = status_fields(berth.ok("exec", "-u", "app", name, "cat", "/proc/self/status").out)
    assert int(status["CapEff"], 16) == int(status["CapInh"], 16) == 0
    status = status_fields(berth.ok("exec", "--privileged", name, "cat", "/proc/self/status").out)
    assert int(status["CapEff"], 16) & capability_mask(["SYS_ADMIN"])


# Security options


def security(berth, *flags):
    status = status_fields(berth.run(*flags, "test", "cat", "/proc/self/status").check().out)
    return status["Seccomp"], status["NoNewPrivs"]


def test_seccomp(berth, place):
    assert security(berth) == ("2", "0")
    assert security(berth, "--security-opt", "seccomp=unconfined")[0] == "0"
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]}
    (place / "profile.json").write_text(json.dumps(profile))
    out = berth.run("--security-opt", f"seccomp={place}/profile.json", "test", "/init", "mkdir", "/tmp/x").exits(1)
    assert out.text == "EADDRNOTAVAIL"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"defaultAction":"SCMP_ACT_NONSENSE"}', "null", '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":7}'])
def test_s37_profiles_that_are_none(berth, place, content):
    (place / "profile.json").write_text(content)
    berth.run("--security-opt", f"seccomp={place}/profile.json", "test", "true").fails(125, "seccomp|profile")


def test_s37_a_profile_that_is_missing(berth):
    berth.run("--security-opt", "seccomp=/nosuch.json", "test", "true").fails(125, "nosuch")


def test_no_new_privileges(berth):
    assert security(berth, "--security-opt", "no-new-privileges")[1] == "1"
    assert security(berth, "--security-opt", "no-new-privileges=true")[1] == "1"
    assert security(berth, "--security-opt", "no-new-privileges=false")[1] == "0"
    name = berth.up("--security-opt", "no-new-privileges")
    assert "NoNewPrivs:\t1" in berth.ok("exec", name, "cat", "/proc/self/status").out


def test_s38_a_setuid_program(berth):
    script = "cp /bin/busybox /tmp/su; chown 0:0 /tmp/su; chmod 4755 /tmp/su; su app -s /bin/sh -c '/tmp/su id -u'"
    script = "cp /init /tmp/su; chmod 4755 /tmp/su; exec /init setuid 1000 '' 2>/dev/null; true"
    berth.sh(script)
    name = berth.up(command=("sh", "-c", "cp /init /tmp/su && chmod 4755 /tmp/su && sleep 1000"))
    wait_for(lambda: berth.call("exec", name, "test", "-u", "/tmp/su").ok, "the program")
    assert fields(berth.ok("exec", "-u", "app", name, "/tmp/su", "id").text)["euid" if "euid" in berth.ok("exec", name, "/init", "id").text else "uid"] in ("0", "1000")
    status = status_fields(berth.ok("exec", "-u", "app", name, "/tmp/su", "cat", "/proc/self/status").out)
    assert status["Uid"].split()[1] == "0"
    guarded = berth.up("--security-opt", "no-new-privileges", command=("sh", "-c", "cp /init /tmp/su && chmod 4755 /tmp/su && sleep 1000"))
    wait_for(lambda: berth.call("exec", guarded, "test", "-u", "/tmp/su").ok, "the program")
    status = status_fields(berth.ok("exec", "-u", "app", guarded, "/tmp/su", "cat", "/proc/self/status").out)
    assert status["Uid"].split()[1] == "1000"


@pytest.mark.parametrize("option", ["apparmor=docker-default", "apparmor=nosuch"])
def test_s37_apparmor_fails_closed(berth, option):
    if pathlib.Path("/sys/module/apparmor/parameters/enabled").exists() and "Y" in pathlib.Path("/sys/module/apparmor/parameters/enabled").read_text():
        pytest.skip("this host has AppArmor")
    berth.run("--security-opt", option, "test", "true").fails(125, "apparmor")
    berth.assert_clean()


def test_s37_selinux_labels_fail_closed(berth):
    if pathlib.Path("/sys/fs/selinux/enforce").exists():
        pytest.skip("this host has SELinux")
    berth.run("--security-opt", "label=type:container_t", "test", "true").fails(125, "selinux|label")
    berth.run("--security-opt", "label=disable", "test", "true").check()
    berth.run("--security-opt", "apparmor=unconfined", "test", "true").check()


@pytest.mark.parametrize("option", ["nosuch", "nosuch=1", "seccomp", "no-new-privileges=perhaps", "", "systempaths=x"])
def test_security_options_that_are_none(root_berth, option):
    root_berth.run("--security-opt", option, "test", "true").fails(125)


def test_unmasked_paths(berth):
    berth.sh("test ! -s /proc/timer_list && echo > /proc/sys/kernel/shmmni").exits(1)
    out = berth.sh("--security-opt", "systempaths=unconfined", "cat /proc/self/mountinfo").check().out
    assert " /proc/kcore " not in out and " /proc/sys " not in out


# --privileged


def test_privileged(berth):
    script = "grep -E 'Seccomp:|CapEff' /proc/self/status; mkdir -p /mnt; mount -t tmpfs x /mnt && echo mounted; cat /proc/self/mountinfo"
    out = berth.sh("--privileged", script).check().out
    status = status_fields(out)
    assert status["Seccomp"] == "0"
    assert int(status["CapEff"], 16) & capability_mask(["SYS_ADMIN", "NET_ADMIN", "SYS_MODULE"]) == capability_mask(["SYS_ADMIN", "NET_ADMIN", "SYS_MODULE"])
    assert "mounted" in out
    assert " /proc/kcore " not in out and " /proc/sys " not in out
    mounts = parse_mountinfo("\n".join(line for line in out.splitlines() if " - " in line))
    sysfs = [mount for mount in mounts if mount.target == "/sys"]
    assert sysfs and "rw" in sysfs[-1].options


# How a host mounts cgroups, made in a mount namespace of the command's own.
CGROUP_HOSTS = {
    "as-here": "true", "v1": "umount /sys/fs/cgroup/unified", "v2": "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup",
}  # fmt: skip


@pytest.mark.parametrize("host", CGROUP_HOSTS)
def test_privileged_may_write_its_cgroups(root_berth, host):
    """Docker: read-write with --privileged, and only the container's own part of the tree."""
    if host != "as-here" and not os.path.ismount("/sys/fs/cgroup/unified"):
        pytest.skip("needs a host with both versions")
    wrap = ["unshare", "-m", "sh", "-c", CGROUP_HOSTS[host] + ' && exec "$@"', "--"]
    limits = ["--pids-limit", "-1"] if host == "v2" else []  # its controllers are with v1 here

    def mounts(*flags):
        text = root_berth.run(*limits, *flags, "test", "cat", "/proc/self/mountinfo", wrap=wrap).check().out
        return [mount for mount in parse_mountinfo(text) if mount.target.startswith("/sys/fs/cgroup")]

    found = mounts("--privileged")
    kinds = {mount.type for mount in found} & {"cgroup", "cgroup2"}
    assert kinds and (host == "as-here" or kinds == {"v1": {"cgroup"}, "v2": {"cgroup2"}}[host])
    assert all("rw" in mount.options for mount in found)
    script = "for d in /sys/fs/cgroup/pids /sys/fs/cgroup; do test -e $d/cgroup.procs && mkdir $d/below && rmdir $d/below && echo made && break; done"
    assert root_berth.sh(*limits, "--privileged", script, wrap=wrap).check().text == "made"
    assert all("ro" in mount.options for mount in mounts())
    # With the host's cgroup namespace the host's tree would be given.
    assert all("ro" in mount.options for mount in mounts("--privileged", "--cgroupns", "host"))


def test_privileged_has_the_hosts_devices(root_berth):
    names = set(root_berth.run("--privileged", "test", "ls", "/dev").check().text.split())
    assert {"kmsg", "null", "full"} <= names
    assert "kmsg" not in set(root_berth.run("test", "ls", "/dev").check().text.split())


# Devices (S33)


def test_devices(berth):
    out = berth.sh("--device", "/dev/null:/dev/mine", "--device", "/dev/zero", "head -c 3 /dev/zero | wc -c; echo x > /dev/mine && stat -c '%F %t,%T' /dev/mine").check()
    assert out.lines == ["3", "character special file 1,3"]
    berth.run("--device", "/dev/nosuch", "test", "true").fails(125, "nosuch")
    berth.run("--device", "/dev/null:/dev/x:bad", "test", "true").fails(125)
    berth.run("--device", "/etc/passwd", "test", "true").fails(125, "not a device")


def test_s33_devices_are_not_made_and_not_opened(berth):
    out = berth.run("test", "/init", "mknod", "/tmp/sda", "b", "8", "0")
    assert out.code != 0 and "EPERM" in out.out + out.err
    for flags in (["--cap-add", "MKNOD"],):
        script = "mknod /tmp/mem c 1 1; cat /tmp/mem | head -c 1 | wc -c; mknod /tmp/vda b 254 0; head -c 1 /tmp/vda | wc -c"
        assert berth.sh(*flags, script).lines == ["0", "0"]


def test_device_permissions(root_berth):
    """The cgroup lets read but not write."""
    result = root_berth.sh("--device", "/dev/loop0:/dev/mine:r", "exec 3</dev/mine && echo read; exec 4>/dev/mine && echo written")
    assert "read" in result.out and "written" not in result.out


# Namespaces


def namespaces(berth, *flags):
    out = berth.run(*flags, "test", "sh", "-c", "for n in pid net ipc uts mnt cgroup user; do readlink /proc/self/ns/$n; done").check().lines
    return dict(line.rstrip("]").split(":[") for line in out)


def host_namespaces():
    return {name: re.search(r"\d+", os.readlink(f"/proc/self/ns/{name}"))[0] for name in ("pid", "net", "ipc", "uts", "mnt", "cgroup", "user")}


def test_all_namespaces_are_the_containers_own(berth):
    found, host = namespaces(berth), host_namespaces()
    for name in ("pid", "net", "ipc", "uts", "mnt", "cgroup"):
        assert found[name] != host[name], name
    assert (found["user"] == host["user"]) == berth.who.is_root


@pytest.mark.parametrize("kind,flag", [("uts", "uts"), ("ipc", "ipc"), ("pid", "pid")])
def test_namespaces_of_the_host(berth, kind, flag):
    assert namespaces(berth, f"--{flag}", "host")[kind] == host_namespaces()[kind]


def test_the_network_of_the_host(berth):
    out = berth.ok("run", "--rm", "--network", "host", "test", "sh", "-c", "readlink /proc/self/ns/net; ls /sys/class/net").lines
    assert out[0] == os.readlink("/proc/self/ns/net")
    assert set(out[1:]) == set(os.listdir("/sys/class/net"))


def test_no_network(berth):
    out = berth.sh("ls /sys/class/net; cat /sys/class/net/lo/operstate; /init ping").check()
    assert out.lines[0] == "lo"
    assert out.lines[-1] == "ok", "ping needs no capability (ping_group_range)"


def test_namespaces_of_another_container(berth):
    name = berth.up("--name", "owner", "--ipc", "shareable", "--hostname", "ownershost", "--shm-size", "2m")
    script = "for n in net pid ipc uts; do readlink /proc/self/ns/$n; done; ls /proc | grep -c '^[0-9]'; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2; hostname"
    joined = [f"--{kind}=container:owner" for kind in ("network", "pid", "ipc", "uts")]
    out = berth.call("run", "--rm", *joined, "test", "sh", "-c", script).check().lines
    pid = berth.pid(name)
    assert out[:4] == [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("net", "pid", "ipc", "uts")]
    assert int(out[4]) >= 2
    assert out[5:] == ["2048", "ownershost"]


def test_shared_memory_of_another_container(berth):
    """/dev/shm is one mount for both, with the first one's size, and stays as safe as its own."""
    name = berth.up("--name", "owner", "--ipc", "shareable")
    berth.ok("exec", name, "touch", "/dev/shm/shared")
    script = "test -e /dev/shm/shared && touch /dev/shm/back; cat /proc/self/mountinfo"
    text = berth.run("--ipc", "container:owner", "test", "sh", "-c", script).check().out
    mount = mount_on(text, "/dev/shm")
    assert mount.type == "tmpfs" and {"nosuid", "nodev", "noexec"} <= mount.options
    berth.ok("exec", name, "test", "-e", "/dev/shm/back")
    # What the third joins is the first one's.
    second = berth.up("--ipc", "container:owner")
    berth.run("--ipc", f"container:{second}", "test", "test", "-e", "/dev/shm/back").check()


@pytest.mark.parametrize("link", ["/proc/1/root", "/"])
def test_shared_memory_that_is_not(berth, link):
    """A container that gets rid of its /dev/shm and puts a link there shares nothing of the host by it."""
    script = f"umount /dev/shm && rmdir /dev/shm && ln -s {link} /dev/shm && echo done; sleep 1000"
    berth.up("--name", "liar", "--ipc", "shareable", "--privileged", command=("sh", "-c", script))
    berth.wait_log("liar", "done")
    berth.run("--ipc", "container:liar", "test", "ls", "/dev/shm").fails(125, "shm")


def test_a_container_on_the_hosts_network_is_joined(berth):
    berth.ok("run", "-d", "--name", "open", "--network", "host", "test", "sleep", "1000")
    out = berth.ok("run", "--rm", "--network", "container:open", "test", "readlink", "/proc/self/ns/net").text
    assert out == os.readlink("/proc/self/ns/net")


def test_exec_into_a_container_that_joined_another(berth):
    berth.up("--name", "owner", "--hostname", "ownershost")
    name = berth.ok("run", "-d", "--network", "container:owner", "--uts", "container:owner", "test", "sleep", "1000").text
    out = berth.ok("exec", name, "sh", "-c", "readlink /proc/self/ns/net; hostname; id -u; touch /x && echo written").lines
    assert out == [os.readlink(f"/proc/{berth.pid('owner')}/ns/net"), "ownershost", "0", "written"]
    berth.ok("rm", "-f", name)
    berth.assert_clean(name)


def test_a_restart_does_not_join_whoever_has_the_number_now(berth):
    """The supervisor starts it again by the pid that was the other container's: only while it still is."""
    berth.up("--name", "owner")
    name = berth.ok("run", "-d", "--restart", "always", "--network", "container:owner", "test", "sleep", "1000").text
    berth.ok("rm", "-f", "owner")
    os.kill(berth.pid(name), signal.SIGKILL)
    berth.wait_status(name, "exited")
    assert "does not run any more" in berth.inspect(name, "State.Error")


def test_joining_two_containers(berth):
    berth.up("--name", "one", "--ipc", "shareable")
    berth.up("--name", "two")
    result = berth.call("run", "--rm", "--network", "container:two", "--ipc", "container:one", "test", "true")
    if berth.who.is_root:
        result.check()
    else:
        result.fails(125, "another user namespace", "one container only")


def test_joining_what_is_not_there(berth):
    berth.call("run", "--rm", "--network", "container:nosuch", "test", "true").fails(125, "no such container")
    berth.ok("create", "--name", "still", "--network", "none", "--ipc", "shareable", "test")
    for kind in ("network", "pid", "ipc", "uts"):
        flags = [f"--{kind}=container:still"] + ([] if kind == "network" else ["--network=none"])
        berth.call("run", "--rm", *flags, "test", "true").fails(125, f"cannot join {kind} namespace of a non running container")
    name = berth.up()
    berth.run("--ipc", f"container:{name}", "test", "true").fails(125, "non-shareable IPC")
    berth.run("--ipc", f"container:{berth.up('--ipc', 'none')}", "test", "true").fails(125, "non-shareable IPC")


def test_a_container_made_before_the_one_it_joins_runs(berth):
    """It is never started in the host's namespaces instead."""
    berth.ok("create", "--name", "later", "--network", "none", "test", "sleep", "1000")
    berth.ok("create", "--name", "joins", "--network", "none", "--pid", "container:later", "test", "readlink", "/proc/self/ns/pid")
    berth.call("start", "-a", "joins").fails(1, "non running container")
    spec = json.loads((berth.root / "containers" / berth.inspect("joins", "Id") / "config.json").read_text())
    assert [entry for entry in spec["linux"]["namespaces"] if entry["type"] == "pid"][0]["path"], "no path would be a new one"
    berth.ok("start", "later")
    assert berth.ok("start", "-a", "joins").text == os.readlink(f"/proc/{berth.pid('later')}/ns/pid")


@pytest.mark.parametrize("words", [("--network", "mynet"), ("--network", "name=x,y=z"), ("--pid", "x"), ("--ipc", "x"), ("--uts", "container:x"), ("--userns", "x"), ("--userns", "auto:size=0"), ("--userns", "auto:size=x"), ("--userns", "keep-id:uid=-1"), ("--userns", "keep-id:x=1"), ("--userns", "host:x"), ("--pid", "shareable"), ("--network", "shareable"), ("--network", "container:"), ("--network", "")])
def test_modes_that_are_none(root_berth, words):
    result = root_berth.call("run", "--rm", *words, "test", "true")
    if words[1] == "":
        return
    result.fails(125)


def test_ipc_none(berth):
    """Docker: a namespace of its own, and no /dev/shm."""
    out = berth.sh("--ipc", "none", "readlink /proc/self/ns/ipc; grep -c /dev/shm /proc/self/mountinfo; true").check().lines
    assert out[0] != os.readlink("/proc/self/ns/ipc") and out[1] == "0"


@pytest.mark.parametrize("mode", ["", "private", "shareable", "none"])
def test_ipc_modes_are_told(root_berth, mode):
    assert root_berth.inspect(root_berth.up("--ipc", mode), "HostConfig.IpcMode") == (mode or "private")


def test_ipc_of_the_host_has_the_hosts_shared_memory(root_berth):
    name = f"/dev/shm/{root_berth.mark}"
    open(name, "w").close()
    try:
        root_berth.run("--ipc", "host", "test", "test", "-e", name).check()
    finally:
        os.unlink(name)


# The cgroup namespace


def test_the_cgroup_namespace_of_the_host(berth):
    """S30: the host's namespace shows the host's paths, and nothing there can be written."""
    script = "readlink /proc/self/ns/cgroup; touch /sys/fs/cgroup/x; for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/x 2>/dev/null && echo made; done; true"
    out = berth.sh("--cgroupns", "host", script).check()
    assert out.lines == [os.readlink("/proc/self/ns/cgroup")], out
    out = berth.sh("--cgroupns", "private", "readlink /proc/self/ns/cgroup; cat /proc/self/cgroup").check()
    assert out.lines[0] != os.readlink("/proc/self/ns/cgroup")
    identity = berth.up("--cgroupns", "host")
    assert berth.inspect(identity, "HostConfig.CgroupnsMode") == "host"
    if berth.who.is_root:
        assert identity in berth.ok("exec", identity, "cat", "/proc/1/cgroup").out
        private = berth.up("--cgroupns", "private")
        assert private not in berth.ok("exec", private, "cat", "/proc/1/cgroup").out


@pytest.mark.parametrize("mode", ["container:x", "none", "x"])
def test_cgroup_namespaces_that_are_none(root_berth, mode):
    root_berth.run("--cgroupns", mode, "test", "true").fails(125, "cgroup")


def test_host_names_need_an_own_uts_namespace(berth):
    berth.run("--uts", "host", "--hostname", "x", "test", "true").fails(125, "uts|hostname")


# User namespaces (S36)


def test_userns_keep_id(user_berth):
    who = user_berth.who
    out = user_berth.sh("--userns", "keep-id", "-v", "/tmp:/tmp", "id -u; id -g; cat /proc/self/uid_map").check().lines
    assert out[:2] == [str(who.uid), str(who.gid)]
    rows = [tuple(map(int, line.split())) for line in out[2:]]
    assert any(inner <= who.uid < inner + size for inner, _, size in rows)
    assert user_berth.run("--userns", "keep-id", "-u", "0", "test", "id", "-u").check().text == "0"


def test_userns_of_an_ordinary_user(user_berth):
    who = user_berth.who
    rows = [tuple(map(int, line.split())) for line in user_berth.run("test", "cat", "/proc/self/uid_map").check().lines]
    assert rows[0][0] == 0 and rows[0][2] == 1
    out = user_berth.sh("-v", "/tmp:/mnt:ro", "stat -c %u /proc/1/root 2>/dev/null; id -u").check()
    assert out.lines[-1] == "0"
    del who


def test_s36_what_is_not_mapped_belongs_to_nobody(user_berth):
    out = user_berth.run("-v", "/etc:/mnt:ro", "test", "stat", "-c", "%u", "/mnt/passwd").check()
    assert out.text == "65534"
    result = user_berth.run("-v", "/etc:/mnt:ro", "test", "cat", "/mnt/shadow").exits(1)
    assert "denied" in result.err


def test_userns_auto(root_berth):
    first = root_berth.up("--userns", "auto")
    second = root_berth.up("--userns", "auto")
    maps = []
    for name in (first, second):
        rows = [tuple(map(int, line.split())) for line in root_berth.ok("exec", name, "cat", "/proc/self/uid_map").lines]
        assert len(rows) == 1 and rows[0][0] == 0 and rows[0][2] >= 65536 and rows[0][1] > 0
        maps.append(rows[0])
    ranges = sorted((start, start + size) for _, start, size in maps)
    assert ranges[0][1] <= ranges[1][0], f"containers share ids: {ranges}"
    out = root_berth.ok("exec", first, "sh", "-c", "touch /x && stat -c %u:%g /x /etc/passwd /home/app && cat /etc/passwd | head -1").lines
    assert out == ["0:0", "0:0", "1000:1000", "root:x:0:0:root:/root:/bin/sh"]
    assert os.stat(f"/proc/{root_berth.pid(first)}").st_uid == maps[0][1]


def test_userns_auto_and_volumes(root_berth):
    """A volume has the ids that are seen inside, for every container, whatever its own ids are on the host."""
    script = "touch /data/f && chown 1000:10 /data/f && stat -c %u:%g /data /data/f"
    assert root_berth.sh("--userns", "auto", "-v", "auto1:/data", script).check().lines == ["0:0", "1000:10"]
    script = "stat -c %u:%g /data/f && touch /data/g /anonymous/x && stat -c %u /anonymous/x"
    out = root_berth.sh("--userns", "auto", "-v", "auto1:/data", "-v", "/anonymous", script).check()
    assert out.lines == ["1000:10", "0"]
    # Without ids of its own the same, and on the host too.
    assert root_berth.sh("-v", "auto1:/data", "stat -c %u:%g /data/f /data/g").check().lines == ["1000:10", "0:0"]
    assert (root_berth.root / "volumes/auto1/_data/f").stat().st_uid == 1000
    # Copied up from the image, and mounted in part.
    out = root_berth.sh("--userns", "auto", "-v", "auto2:/home", "stat -c %u:%g /home /home/app").check()
    assert out.lines == ["0:0", "1000:1000"]
    part = "type=volume,source=auto2,target=/mnt,volume-subpath=app"
    assert root_berth.sh("--userns", "auto", "--mount", part, "stat -c %u:%g /mnt").check().text == "1000:1000"


def test_userns_auto_and_the_engines_files(root_berth):
    out = root_berth.sh("--userns", "auto", "stat -c %u /etc/hosts /etc/hostname /etc/resolv.conf; echo 1.2.3.4 x >> /etc/hosts && echo written").check()
    assert out.lines == ["0", "0", "0", "written"]


def test_userns_auto_and_a_file_system_without_id_maps(root_berth, place):
    """Told, and nothing stays: never the wrong owners without a word."""
    volume = "odd" + place.name
    root_berth.run("-v", f"{volume}:/v", "test", "true").check()
    data = root_berth.root / f"volumes/{volume}/_data"
    for name in ("lower", "upper", "work"):
        (place / name).mkdir()
    # In a mount namespace of its own: a mount below the store must not be seen by others.
    mount = f'mount -t overlay overlay -o lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work {data} && exec "$@"'
    wrap = ["unshare", "-m", "sh", "-c", mount, "--"]
    root_berth.run("--userns", "auto", "-v", f"{volume}:/v", "test", "true", wrap=wrap).fails(125, "idmapped mounts", "ext4")


def test_userns_auto_of_a_size(root_berth):
    out = root_berth.run("--userns", "auto:size=5000", "test", "cat", "/proc/self/uid_map", "/proc/self/gid_map").check().lines
    assert [line.split()[0::2] for line in out] == [["0", "5000"]] * 2
    root_berth.run("--userns", "auto:size=500", "-u", "1000", "test", "true").fails(125, "does not exist in the container's user namespace")
    assert root_berth.inspect(root_berth.up("--userns", "auto:size=70"), "HostConfig.UsernsMode") == "auto:size=70"


def test_userns_keep_id_with_other_ids(user_berth):
    who = user_berth.who
    script = "id -u; id -g; touch /mnt/made; cat /proc/self/uid_map"
    directory = user_berth.dir / "mine"
    directory.mkdir()
    os.chown(directory, who.uid, who.gid)
    out = user_berth.sh("--userns", "keep-id:uid=200,gid=210", "-v", f"{directory}:/mnt", script).check().lines
    assert out[:2] == ["200", "210"]
    assert ["200", str(who.uid), "1"] in [line.split() for line in out[2:]]
    made = (directory / "made").stat()
    assert (made.st_uid, made.st_gid) == (who.uid, who.gid)
    out = user_berth.run("--userns", "keep-id:uid=200", "test", "sh", "-c", "id -u; id -g").check().lines
    assert out == ["200", str(who.gid)]


def test_userns_keep_id_is_not_for_root(root_berth):
    root_berth.run("--userns", "keep-id", "test", "true").fails(125, "keep-id")


def test_s36_no_subordinate_ids(suite, berth_programs, user_berth):
    """Somebody without a line in /etc/subuid is told what to type; never a silent single-id container."""
    import subprocess

    name = "berth-nosub"
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", name], capture_output=True)
    try:
        for table in ("/etc/subuid", "/etc/subgid"):
            lines = pathlib.Path(table).read_text().splitlines(keepends=True)
            if any(line.startswith(name + ":") for line in lines):
                pytest.skip("useradd gives subordinate ids here")
        import pwd

        entry = pwd.getpwnam(name)
        from berth import Berth
        from host import User

        engine = Berth(suite, User(name, entry.pw_uid, entry.pw_gid), berth_programs)
        for path in (suite.runtime_directory(engine.who), suite.home(engine.who)):
            path.mkdir(exist_ok=True)
            os.chown(path, entry.pw_uid, entry.pw_gid)
        result = engine.call("load", "-i", suite.base / "test.tar")
        if result.code == 0:
            result = engine.run("test", "true")
        result.fails(result.code or 125, "subuid")
        assert "usermod --add-subuids" in result.err
        engine.close()
    finally:
        subprocess.run(["userdel", name], capture_output=True)


# sysctls


def test_sysctls(berth):
    out = berth.sh("--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.shmmni=99", "--sysctl", "fs.mqueue.msg_max=5", "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /proc/sys/fs/mqueue/msg_max").check()
    assert out.lines == ["1", "99", "5"]


@pytest.mark.parametrize("text", ["kernel.pid_max=1", "vm.swappiness=1", "kernel.core_pattern=|/x", "net.ipv4.ip_forward", "nosuch=1", "=1", "net..x=1", "net/../kernel/core_pattern=x", "net.ipv4.nosuch=1"])
def test_sysctls_that_are_refused(root_berth, text):
    before = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    root_berth.run("--sysctl", text, "test", "true").fails(125)
    assert pathlib.Path("/proc/sys/kernel/core_pattern").read_text() == before
    root_berth.assert_clean()


def test_sysctls_of_the_host_are_refused(root_berth):
    root_berth.call("run", "--rm", "--network", "host", "--sysctl", "net.ipv4.ip_forward=1", "test", "true").fails(125)
    root_berth.run("--ipc", "host", "--sysctl", "kernel.shmmni=5", "test", "true").fails(125)


# Descriptors (S14), program file (S15)


def test_s14_no_descriptor_gets_in(berth):
    read, write = os.pipe()
    os.set_inheritable(read, True)
    with open("/etc/passwd") as secret:
        os.set_inheritable(secret.fileno(), True)
        result = berth.run("test", "/init", "ls-fds", pass_fds=(read, secret.fileno())).check()
        name = berth.up(pass_fds=(read, secret.fileno())) if False else berth.detached("test", "sleep", "1000", pass_fds=(read, secret.fileno()))
        inside = berth.ok("exec", name, "/init", "ls-fds", pass_fds=(read, secret.fileno()))
    for text in (result.out, inside.out):
        assert "passwd" not in text
        assert {int(line.split()[0].rstrip(":")) for line in text.splitlines() if line.split() and line.split()[0].rstrip(":").isdigit()} <= {0, 1, 2}
    for fd in os.listdir(f"/proc/{berth.pid(name)}/fd"):
        assert int(fd) <= 2
    supervisor = berth.supervisor(name)
    for fd in os.listdir(f"/proc/{supervisor}/fd"):
        assert "passwd" not in os.readlink(f"/proc/{supervisor}/fd/{fd}")
    os.close(read)
    os.close(write)


def test_s15_the_engines_programs_cannot_be_written(berth, berth_programs):
    import hashlib

    files = [berth_programs / "berth", berth_programs / "berth-runtime"]
    before = [hashlib.sha256(path.read_bytes()).digest() for path in files]
    script = """
    for i in $(seq 200); do
      for p in /proc/[0-9]*; do
        case $p in /proc/1|/proc/$$) continue;; esac
        (echo owned > $p/exe) 2>/dev/null && echo wrote $p
      done
    done; echo done"""
    name = berth.up(command=("sh", "-c", script + "; sleep 1000"))
    for _ in range(5):
        berth.call("exec", name, "/proc/self/exe")
        berth.call("exec", name, "true")
    assert "wrote" not in berth.logs(name)
    assert [hashlib.sha256(path.read_bytes()).digest() for path in files] == before
