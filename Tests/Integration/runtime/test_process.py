"""What the process is: ids, directory, environment, limits, capabilities, scheduling."""

import os
import pathlib

import pytest

from host import fields, status_fields
from spec import CAPABILITIES, DEFAULT_CAPABILITIES, capability_mask


def test_user_and_groups(ct):
    ct.process["user"] = {"uid": 1000, "gid": 100, "additionalGids": [7, 8, 9]}
    got = fields(ct.text("id"))
    assert (got["uid"], got["euid"], got["gid"], got["egid"]) == ("1000", "1000", "100", "100")
    assert {"7", "8", "9"} <= set(got["groups"].split(",")) <= {"7", "8", "9", "100"}


def test_no_groups_of_the_caller(make_root):
    """Supplementary groups of whoever calls the runtime do not come along."""
    ct = make_root()
    ct.args("id")
    ct.save()
    result = ct.call("run", "--bundle", ct.dir, ct.id, user=0, group=0, extra_groups=[4, 24, 27]).check()
    assert set(fields(result.out)["groups"].split(",")) <= {"", "0"}


@pytest.mark.parametrize("value", [-1, 4294967296, "1000", 1.5])
def test_ids_that_are_no_ids_are_refused(root_ct, value):
    root_ct.process["user"]["uid"] = value
    root_ct.create().refused()
    root_ct.assert_clean()


def test_an_unmapped_user_is_refused(user_ct):
    user_ct.process["user"]["uid"] = 70000
    user_ct.create("true").refused()
    user_ct.assert_clean()


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000, 0o027])
def test_umask(root_ct, mask):
    root_ct.process["user"]["umask"] = mask
    assert root_ct.text("umask") == f"{mask:04o}"


def test_umask_is_0022_when_not_given(ct):
    assert ct.text("umask") == "0022"


def test_cwd(ct):
    (ct.rootfs / "srv/app").mkdir(parents=True)
    ct.process["cwd"] = "/srv/app"
    assert ct.text("cwd") == "/srv/app"


def test_cwd_is_made_when_missing(ct):
    ct.process["cwd"] = "/made/for/us"
    assert ct.text("cwd") == "/made/for/us"


def test_a_relative_cwd_is_refused(ct):
    ct.process["cwd"] = "tmp"
    ct.create("true").refused("cwd|absolute")
    ct.assert_clean()


def test_cwd_that_only_the_user_may_enter(root_ct):
    """The directory is entered with the ids and capabilities of the process, also when root could not."""
    home = root_ct.rootfs / "home"
    home.mkdir(mode=0o700)
    os.chown(home, 1000, 1000)
    root_ct.process["user"] = {"uid": 1000, "gid": 1000}
    root_ct.process["cwd"] = "/home"
    root_ct.process["capabilities"] = {}
    assert root_ct.text("cwd") == "/home"


def test_cwd_that_only_root_may_enter(root_ct):
    """`docker run -u 1000 -w /root` works with runc and crun: the directory is entered before the ids change, or after, whichever can."""
    (root_ct.rootfs / "closed").mkdir(mode=0o700)
    root_ct.process["user"] = {"uid": 1000, "gid": 1000}
    root_ct.process["cwd"] = "/closed"
    root_ct.process["capabilities"] = {}
    assert root_ct.text("cwd") == "/closed"


def test_cwd_that_is_a_file(ct):
    (ct.rootfs / "file").write_text("")
    ct.process["cwd"] = "/file"
    ct.run("true").refused("not a directory")
    ct.assert_clean()


def test_environment_is_exactly_the_given_one(ct):
    ct.process["env"] += ["A=1", "EMPTY=", "SPACES=a b  c", "EQUALS=a=b=c", "UTF=\u00e9\u4e16", "HOME=/here"]
    got = ct.text("env", env={"SECRET_OF_CALLER": "x"}).splitlines()
    assert sorted(got) == sorted(ct.process["env"])


def test_home_comes_from_passwd(ct):
    (ct.rootfs / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")
    ct.process["user"] = {"uid": 1000, "gid": 1000}
    assert "HOME=/home/app" in ct.text("env").splitlines()


def test_home_is_the_root_without_passwd(ct):
    assert "HOME=/" in ct.text("env").splitlines()


def test_home_is_not_overwritten(ct):
    (ct.rootfs / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    ct.process["env"].append("HOME=/given")
    got = ct.text("env").splitlines()
    assert [entry for entry in got if entry.startswith("HOME=")] == ["HOME=/given"]


def test_hostname_and_domainname(ct):
    ct.spec["hostname"] = "pick.example"
    ct.spec["domainname"] = "domain.example"
    assert ct.look("hostname", "domainname") == ["pick.example", "domain.example"]


def test_hostname(ct):
    ct.spec["hostname"] = "a-name"
    assert ct.text("hostname") == "a-name"
    assert os.uname().nodename != "a-name"


def test_hostname_needs_its_own_namespace(root_ct):
    """It would be the host's name that changes."""
    before = os.uname().nodename
    root_ct.drop_namespace("uts")
    root_ct.create("true").refused("uts|hostname")
    assert os.uname().nodename == before
    root_ct.assert_clean()


# Limits


def test_rlimits(ct):
    ct.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 1000},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 1 << 22},
        {"type": "RLIMIT_NPROC", "soft": 500, "hard": 600},
        {"type": "RLIMIT_AS", "soft": 1 << 34, "hard": 1 << 35},
        {"type": "RLIMIT_CPU", "soft": 60, "hard": 120},
        {"type": "RLIMIT_FSIZE", "soft": 1 << 30, "hard": 1 << 31},
        {"type": "RLIMIT_MEMLOCK", "soft": 4096, "hard": 8192},
        {"type": "RLIMIT_SIGPENDING", "soft": 10, "hard": 20},
        {"type": "RLIMIT_MSGQUEUE", "soft": 1000, "hard": 2000},
        {"type": "RLIMIT_LOCKS", "soft": 3, "hard": 4},
        {"type": "RLIMIT_DATA", "soft": 1 << 33, "hard": 1 << 34},
        {"type": "RLIMIT_RSS", "soft": 1 << 33, "hard": 1 << 34},
        {"type": "RLIMIT_RTTIME", "soft": 5, "hard": 6},
    ]
    got = {line.split()[0]: tuple(map(int, line.split()[1:])) for line in ct.text("rlimits").splitlines()}
    for limit in ct.process["rlimits"]:
        assert got[limit["type"]] == (limit["soft"], limit["hard"])


def test_rlimits_of_an_ordinary_process(ct):
    """They hold for a process without capabilities too: set before the ids change."""
    ct.process["user"] = {"uid": 1000, "gid": 1000}
    ct.process["capabilities"] = {}
    ct.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]
    assert "RLIMIT_NOFILE 64 64" in ct.text("rlimits").splitlines()


@pytest.mark.parametrize("name", ["RLIMIT_NOSUCH", "", "NOFILE"])
def test_unknown_rlimits_are_refused(ct, name):
    ct.process["rlimits"] = [{"type": name, "soft": 1, "hard": 1}]
    ct.run("true").refused("rlimit")
    ct.assert_clean()


def test_duplicate_rlimits_are_refused(ct):
    ct.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}, {"type": "RLIMIT_NOFILE", "soft": 65, "hard": 65}]
    ct.run("true").refused("rlimit|RLIMIT_NOFILE")
    ct.assert_clean()


def test_an_rlimit_whose_soft_is_above_hard(ct):
    ct.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 10}]
    ct.run("true").refused("rlimit|RLIMIT_NOFILE|invalid")
    ct.assert_clean()


# Privileges


def masks(text):
    got = status_fields(text)
    return {name: int(got["Cap" + name], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}


def test_capabilities_of_root(ct):
    wanted = capability_mask(DEFAULT_CAPABILITIES)
    assert masks(ct.text("caps")) == {"Inh": 0, "Prm": wanted, "Eff": wanted, "Bnd": wanted, "Amb": 0}


def test_no_capabilities(ct):
    ct.process["capabilities"] = {}
    assert masks(ct.text("caps")) == {"Inh": 0, "Prm": 0, "Eff": 0, "Bnd": 0, "Amb": 0}


def test_no_capabilities_field_at_all(ct):
    del ct.process["capabilities"]
    assert masks(ct.text("caps"))["Eff"] == 0


def test_the_five_sets_of_an_ordinary_user(ct):
    """execve computes them: ambient ones stay, others go; the bounding set limits what programs may bring."""
    ct.process["user"] = {"uid": 1000, "gid": 1000}
    ct.process["capabilities"] = {
        "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_SYSLOG", "CAP_NET_BIND_SERVICE"],
        "permitted": ["CAP_KILL", "CAP_CHOWN", "CAP_NET_BIND_SERVICE"],
        "effective": ["CAP_KILL", "CAP_CHOWN", "CAP_NET_BIND_SERVICE"],
        "inheritable": ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
        "ambient": ["CAP_NET_BIND_SERVICE"],
    }
    ambient = capability_mask(["CAP_NET_BIND_SERVICE"])
    assert masks(ct.text("caps")) == {
        "Inh": capability_mask(["CAP_KILL", "CAP_NET_BIND_SERVICE"]), "Prm": ambient, "Eff": ambient, "Amb": ambient,
        "Bnd": capability_mask(ct.process["capabilities"]["bounding"]),
    }  # fmt: skip


def test_an_ordinary_user_without_ambient_capabilities_has_none(ct):
    ct.process["user"] = {"uid": 1000, "gid": 1000}
    got = masks(ct.text("caps"))
    assert (got["Prm"], got["Eff"], got["Amb"]) == (0, 0, 0)
    assert got["Bnd"] == capability_mask(DEFAULT_CAPABILITIES)


def test_all_capabilities_of_the_host(root_ct):
    """What the host itself lacks is left out with a warning, not an error."""
    names = ["CAP_" + name for name in CAPABILITIES]
    root_ct.process["capabilities"] = {kind: names for kind in ("bounding", "effective", "permitted")}
    host = int(status_fields(pathlib.Path("/proc/self/status").read_text())["CapBnd"], 16)
    assert masks(root_ct.text("caps"))["Eff"] == host & capability_mask(names)


def test_all_capabilities_in_a_user_namespace(user_ct):
    names = ["CAP_" + name for name in CAPABILITIES]
    user_ct.process["capabilities"] = {kind: names for kind in ("bounding", "effective", "permitted")}
    host = int(status_fields(pathlib.Path("/proc/self/status").read_text())["CapBnd"], 16)
    got = masks(user_ct.text("caps"))
    assert got["Eff"] in (host & capability_mask(names), capability_mask(names))


def test_an_unknown_capability_is_a_warning(ct):
    ct.process["capabilities"]["bounding"].append("CAP_NO_SUCH")
    result = ct.run("true")
    if result.ok:
        assert "CAP_NO_SUCH" in result.err
    else:
        result.refused("CAP_NO_SUCH")


def test_ambient_beyond_permitted_is_not_gained(ct):
    ct.process["user"] = {"uid": 1000, "gid": 1000}
    ct.process["capabilities"] = {
        "bounding": ["CAP_SYS_ADMIN", "CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"],
        "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL", "CAP_SYS_ADMIN"],
    }  # fmt: skip
    result = ct.run("caps")
    if result.ok:
        assert masks(result.out)["Amb"] & capability_mask(["CAP_SYS_ADMIN"]) == 0


@pytest.mark.parametrize("value", [True, False])
def test_no_new_privileges(ct, value):
    ct.process["noNewPrivileges"] = value
    assert status_fields(ct.text("caps"))["NoNewPrivs"] == str(int(value))


def test_no_new_privileges_is_off_by_default(ct):
    del ct.process["noNewPrivileges"]
    assert status_fields(ct.text("caps"))["NoNewPrivs"] == "0"


def test_an_apparmor_profile_the_host_does_not_have(ct):
    """S37: asked for and missing means no start."""
    if os.path.exists("/sys/kernel/security/apparmor/profiles"):
        pytest.skip("this host has AppArmor")
    ct.process["apparmorProfile"] = "berth-no-such-profile"
    ct.run("true").refused("apparmor")
    ct.assert_clean()


def test_a_selinux_label_the_host_cannot_set(ct):
    """S37: asked for and missing means no start."""
    if os.path.isdir("/sys/fs/selinux/initial_contexts"):
        pytest.skip("this host has SELinux")
    ct.process["selinuxLabel"] = "system_u:system_r:container_t:s0:c1,c2"
    ct.run("true").refused("selinux")
    ct.assert_clean()


# Scheduling and the rest


@pytest.mark.parametrize("value", [0, 100, 1000])
def test_oom_score_adj(ct, value):
    ct.process["oomScoreAdj"] = value
    assert ct.text("oom_score_adj") == str(value)


def test_oom_score_adj_is_left_alone(ct):
    assert ct.text("oom_score_adj") == pathlib.Path("/proc/self/oom_score_adj").read_text().strip()


@pytest.mark.parametrize("value", [1001, -1001])
def test_an_oom_score_adj_out_of_range(ct, value):
    ct.process["oomScoreAdj"] = value
    ct.run("true").refused("oom")
    ct.assert_clean()


@pytest.mark.parametrize("domain, wanted", [("LINUX", "00000000"), ("LINUX32", "00000008")])
def test_personality(ct, domain, wanted):
    ct.linux["personality"] = {"domain": domain}
    assert ct.text("personality") == wanted


def test_an_unknown_personality(ct):
    ct.linux["personality"] = {"domain": "LINUX64000"}
    ct.run("true").refused("personality|LINUX64000")
    ct.assert_clean()


def test_scheduler(ct):
    ct.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
    got = fields(ct.text("scheduler"))
    assert (got["policy"], got["nice"]) == ("3", "5")


def test_an_unknown_scheduler(ct):
    ct.process["scheduler"] = {"policy": "SCHED_NOSUCH"}
    ct.run("true").refused("sched")
    ct.assert_clean()


@pytest.mark.parametrize("name, wanted", [("IOPRIO_CLASS_BE", "2"), ("IOPRIO_CLASS_IDLE", "3")])
def test_io_priority(ct, name, wanted):
    ct.process["ioPriority"] = {"class": name, "priority": 6 if wanted == "2" else 0}
    got = fields(ct.text("scheduler"))
    assert got["ioclass"] == wanted
    assert got["iolevel"] == ("6" if wanted == "2" else "0")


def test_an_unknown_io_priority(ct):
    ct.process["ioPriority"] = {"class": "IOPRIO_CLASS_NOSUCH", "priority": 1}
    ct.run("true").refused("ioprio|io priority|class")
    ct.assert_clean()


def test_memory_policy(ct):
    ct.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}
    got = fields(ct.text("memory-policy"))
    assert got == {"mode": "8002", "nodes": "1"}


def test_an_unknown_memory_policy(ct):
    ct.linux["memoryPolicy"] = {"mode": "MPOL_NOSUCH"}
    ct.run("true").refused("memory *policy|MPOL")
    ct.assert_clean()


def test_the_process_leads_its_session(ct):
    got = fields(ct.text("process"))
    assert (got["pid"], got["ppid"], got["sid"]) == ("1", "0", "1")
    assert got["pdeathsig"] == "0"


def test_signals_are_at_their_defaults(ct):
    """Nothing that the runtime blocks or ignores for itself is inherited."""
    got = status_fields(ct.text("status SigBlk SigIgn SigCgt"))
    assert int(got["SigBlk"], 16) == 0
    assert int(got["SigIgn"], 16) == 0


def test_signals_ignored_by_the_caller(ct):
    """A shell's `nohup` ignores SIGHUP: what the caller ignores may come through, what the runtime ignores may not."""
    got = status_fields(ct.text("status SigIgn", restore_signals=False))
    assert int(got["SigIgn"], 16) & ~(1 << 12 | 1 << 24) == 0  # Python's own: PIPE and XFSZ


@pytest.mark.parametrize("rdt", [{}, {"closID": "/"}, {"enableMonitoring": True}, {"schemata": ["L3:0=f"]}, {"memBwSchema": "MB:0=50"}], ids=str)
def test_resource_director_is_refused(ct, rdt):
    """No part of it is supported, so asking for any is an error: no resctrl file is ever touched."""
    ct.linux["intelRdt"] = rdt
    ct.create("true").refused("rdt|resctrl")
    ct.assert_clean()
