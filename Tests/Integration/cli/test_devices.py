"""CDI devices and --gpus: specifications over device nodes, files and programs that every host has."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from host import wait_for

HEAD = 'cdiVersion: "{version}"\nkind: {kind}\n'


class Specifications:
    """Directories of CDI specifications of one test."""

    def __init__(self, berth, place):
        self.berth, self.place = berth, place
        self.directories = [place / "cdi"]
        self.directories[0].mkdir(mode=0o755)

    @property
    def flags(self):
        return [word for directory in self.directories for word in ("--cdi-spec-dir", directory)]

    def write(self, text, name="test.yaml", kind="vendor.com/device", version="1.0.0", directory=None):
        path = (directory or self.directories[0]) / name
        path.write_text(HEAD.format(version=version, kind=kind) + text)
        path.chmod(0o644)
        return path

    def json(self, devices, edits=None, name="test.json", kind="vendor.com/device", version="1.0.0"):
        path = self.directories[0] / name
        document = {"cdiVersion": version, "kind": kind, "devices": devices} | ({"containerEdits": edits} if edits else {})
        path.write_text(json.dumps(document))
        path.chmod(0o644)
        return path

    def add(self, name):
        directory = self.place / name
        directory.mkdir(mode=0o755)
        self.directories.append(directory)
        return directory

    def program(self, text, name="hook"):
        path = self.place / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def sh(self, *arguments):
        *flags, script = arguments
        return self.berth.call(*self.flags, "run", "--rm", "--network", "none", *flags, "test", "sh", "-c", script)

    def run(self, *arguments):
        return self.berth.call(*self.flags, "run", "--rm", "--network", "none", *arguments)


@pytest.fixture
def cdi(berth, place):
    return Specifications(berth, place)


@pytest.fixture
def root_cdi(root_berth, place):
    if place.stat().st_uid:
        pytest.skip("as root")
    return Specifications(root_berth, place)


@pytest.fixture
def user_cdi(user_berth, place):
    if not place.stat().st_uid:
        pytest.skip("as an ordinary user")
    return Specifications(user_berth, place)


SIMPLE = "devices: [{name: one, containerEdits: {env: [ONE=1]}}, {name: two, containerEdits: {env: [TWO=2]}}]\n"


# What a specification gives


def test_everything_a_device_brings(cdi):
    (cdi.place / "library").write_text("code\n")
    cdi.write(
        f"""
devices:
- name: "0"
  containerEdits:
    env: [INDEX=0, HOME=/elsewhere]
    deviceNodes:
    - {{path: /dev/vendor/zero, hostPath: /dev/zero, permissions: r}}
    - {{path: /dev/full}}
    mounts:
    - {{hostPath: {cdi.place}/library, containerPath: /usr/lib/vendor.so, options: [ro, nosuid, nodev, rbind, rprivate]}}
    - {{hostPath: tmpfs, containerPath: /run/vendor, type: tmpfs, options: [size=64k, mode=750]}}
    additionalGids: [0, 7, 44]
containerEdits:
  env: [VENDOR=yes]
"""
    )
    out = cdi.sh(
        "--device", "vendor.com/device=0",
        "echo $VENDOR $INDEX $HOME; id -G; cat /usr/lib/vendor.so; head -c 4 /dev/vendor/zero | wc -c; stat -c '%F %t,%T' /dev/vendor/zero /dev/full;"
        "stat -c '%a' /run/vendor; touch /usr/lib/vendor.so",
    )  # fmt: skip
    assert out.lines[:7] == [
        "yes 0 /elsewhere", out.lines[1], "code", "4", "character special file 1,5", "character special file 1,7", "750",
    ], out  # fmt: skip
    assert {"7", "44"} <= set(out.lines[1].split())
    assert "Read-only" in out.err


def test_json_says_the_same(cdi):
    cdi.json([{"name": "x", "containerEdits": {"env": ["A=\U0001f40b"], "deviceNodes": [{"path": "/dev/mine", "hostPath": "/dev/null"}]}}])
    out = cdi.sh("--device", "vendor.com/device=x", "echo $A; stat -c %t,%T /dev/mine").check()
    assert out.lines == ["\U0001f40b", "1,3"]


def test_each_hook_is_run_at_its_point(cdi):
    log = cdi.place / "log"
    log.touch()
    log.chmod(0o666)
    cdi.place.chmod(0o777)
    hook = cdi.program(f'cat > /dev/null; echo "$1 $MARK" >> {log}\n')
    points = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    edits = "\n".join(
        f"    - {{hookName: {point}, path: {hook}, args: [hook, {point}], env: [MARK=m, PATH=/usr/bin:/bin], timeout: 9}}" for point in points
    )
    # That one is run in the container, where the program has to be.
    edits += "\n    - {hookName: startContainer, path: /bin/busybox, args: [sh, -c, 'echo in > /tmp/started']}"
    cdi.write(f"devices:\n- name: hooked\n  containerEdits:\n    hooks:\n{edits}\n")
    out = cdi.sh("--device", "vendor.com/device=hooked", "cat /tmp/started").check()
    assert out.text == "in"
    wait_for(lambda: "poststop" in log.read_text(), "the last hook")
    assert log.read_text().splitlines() == [f"{point} m" for point in points]


def test_a_failing_hook_keeps_the_container_from_starting(cdi):
    hook = cdi.program("echo the card is on fire >&2; exit 3\n")
    cdi.write(f"devices: [{{name: a, containerEdits: {{hooks: [{{hookName: createRuntime, path: {hook}}}]}}}}]\n")
    cdi.run("--device", "vendor.com/device=a", "test", "true").fails(125, "the card is on fire")


def test_a_device_may_be_used_as_its_permissions_say(root_cdi):
    root_cdi.write(
        "devices:\n- {name: r, containerEdits: {deviceNodes: [{path: /dev/mine, hostPath: /dev/loop0, permissions: r}]}}\n"
        "- {name: none, containerEdits: {deviceNodes: [{path: /dev/mine, hostPath: /dev/loop0, permissions: none}]}}\n"
    )
    script = "exec 3</dev/mine && echo read; exec 4>/dev/mine && echo written"
    assert root_cdi.sh("--device", "vendor.com/device=r", script).out == "read\n"
    assert root_cdi.sh("--device", "vendor.com/device=none", script).out == ""


def test_nodes_by_numbers_alone(root_cdi):
    root_cdi.write(
        "devices:\n- {name: a, containerEdits: {deviceNodes: [{path: /dev/nothere, type: c, major: 1, minor: 5, fileMode: 0640, uid: 7, gid: 8}]}}\n"
    )
    out = root_cdi.sh("--device", "vendor.com/device=a", "stat -c '%t,%T %a %u:%g' /dev/nothere").check()
    assert out.text == "1,5 640 7:8"


def test_a_node_is_the_containers_users(root_cdi):
    root_cdi.write("devices: [{name: a, containerEdits: {deviceNodes: [{path: /dev/mine, hostPath: /dev/null}]}}]\n")
    assert root_cdi.sh("-u", "12:34", "--device", "vendor.com/device=a", "stat -c %u:%g /dev/mine").check().text == "12:34"


def test_in_a_user_namespace_of_its_own(root_cdi):
    root_cdi.write("devices: [{name: a, containerEdits: {deviceNodes: [{path: /dev/mine, hostPath: /dev/null}]}}]\n")
    out = root_cdi.sh("--userns", "auto", "--device", "vendor.com/device=a", "stat -c %t,%T /dev/mine; echo x > /dev/mine && echo written").check()
    assert out.lines == ["1,3", "written"]


def test_a_network_interface_goes_in(alone, place, who):
    if not who.is_root:
        pytest.skip("as root")
    cdi = Specifications(alone, place)
    cdi.write("devices: [{name: a, containerEdits: {netDevices: [{hostInterfaceName: card0, name: inside0}]}}]\n", version="1.1.0")
    alone.call(*cdi.flags, "run", "--rm", "--network", "none", "--device", "vendor.com/device=a", "test", "true").fails(
        125, "the network interface card0 is missing, which .*/cdi/test.yaml names"
    )
    subprocess.run(["nsenter", "-n", "-t", str(alone.host.pid), "ip", "link", "add", "card0", "type", "veth", "peer", "name", "card1"], check=True)
    out = alone.ok(*cdi.flags, "run", "--rm", "--network", "none", "--device", "vendor.com/device=a", "test", "ls", "/sys/class/net")
    assert "inside0" in out.text.split()
    alone.call(*cdi.flags, "run", "--rm", "--network", "host", "--device", "vendor.com/device=a", "test", "true").fails(125, "network of its own")


def test_a_user_gives_no_interface_away(user_cdi):
    user_cdi.write("devices: [{name: a, containerEdits: {netDevices: [{hostInterfaceName: lo, name: x}]}}]\n", version="1.1.0")
    user_cdi.run("--device", "vendor.com/device=a", "test", "true").fails(125, "gives the network interface \"lo\" away, which only root can")


def test_resctrl_is_refused(cdi):
    cdi.write("devices: [{name: a, containerEdits: {intelRdt: {closID: x}}}]\n")
    cdi.run("--device", "vendor.com/device=a", "test", "true").fails(125, "test.yaml asks for intelRdt .resctrl., which berth-runtime does not set")


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_by_another_runtime(root_cdi, runtime):
    if not shutil.which(runtime) or root_cdi.run("--runtime", runtime, "test", "true").code:
        pytest.skip(f"{runtime} does not work on this host")
    log = root_cdi.place / "log"
    hook = root_cdi.program(f"cat > /dev/null; echo hooked >> {log}\n")
    (root_cdi.place / "library").write_text("code\n")
    root_cdi.write(
        "devices:\n- name: a\n  containerEdits:\n    env: [A=b]\n    deviceNodes: [{path: /dev/mine, hostPath: /dev/null}]\n"
        f"    mounts: [{{hostPath: {root_cdi.place}/library, containerPath: /lib.so, options: [ro, rbind, rprivate]}}]\n"
        f"    hooks: [{{hookName: createRuntime, path: {hook}}}]\n"
    )
    out = root_cdi.sh("--runtime", runtime, "--device", "vendor.com/device=a", "echo $A; stat -c %t,%T /dev/mine; cat /lib.so").check()
    assert out.lines == ["b", "1,3", "code"]
    assert log.read_text() == "hooked\n"


def test_beside_other_devices_and_privileges(root_cdi):
    root_cdi.write("devices: [{name: a, containerEdits: {deviceNodes: [{path: /dev/zero, hostPath: /dev/null}, {path: /dev/full}]}}]\n")
    flags = ["--privileged", "--device", "/dev/null:/dev/other", "--device", "vendor.com/device=a"]
    # What the specification puts at a place is there, whatever the container would have had.
    assert root_cdi.sh(*flags, "stat -c %t,%T /dev/zero /dev/full /dev/other").check().lines == ["1,3", "1,7", "1,3"]


# Names and files


def test_all_is_a_device_or_every_device(cdi):
    cdi.write(SIMPLE)
    assert cdi.sh("--device", "vendor.com/device=all", "echo $ONE$TWO").check().text == "12"
    cdi.write("devices: [{name: all, containerEdits: {env: [ALL=x]}}]\n", name="all.yaml")
    assert cdi.sh("--device", "vendor.com/device=all", "echo $ONE$TWO$ALL").check().text == "x"


def test_an_unknown_device(cdi):
    cdi.write(SIMPLE)
    second = cdi.add("second")
    result = cdi.run("--name", "never", "--device", "vendor.com/device=three", "test", "true").fails(125)
    assert result.err == (
        f"Error: unresolvable CDI devices vendor.com/device=three: looked in {cdi.directories[0]}, {second}; known of vendor.com/device: one, two\n"
    )
    cdi.run("--device", "vendor.com/other=one", "test", "true").fails(125, "no device of vendor.com/other is known$")
    cdi.berth.call(*cdi.flags, "create", "--device", "vendor.com/device=three", "test").fails(125, "unresolvable CDI devices")
    assert cdi.berth.names("-a") == []


@pytest.mark.parametrize(
    "name",
    ["vendor.com/device", "vendor.com/=x", "/device=x", "vendor.com/device=", "vendor.com/../device=x", "vendor.com/device=../x",
     "vendor.com/device=x\n", "vendor.com/device=x;y", "-vendor/device=x", "vendor.com/device=x=y", "ünd/device=x"],
)  # fmt: skip
def test_what_is_no_name_is_a_path(cdi, name):
    cdi.write(SIMPLE)
    cdi.run("--device", name, "test", "true").fails(125, "absolute path|gathering device information|invalid device")


def test_later_directories_go_first(cdi):
    cdi.write(SIMPLE)
    second = cdi.add("second")
    cdi.write("devices: [{name: one, containerEdits: {env: [ONE=other]}}]\n", directory=second)
    assert cdi.sh("--device", "vendor.com/device=one", "--device", "vendor.com/device=two", "echo $ONE$TWO").check().text == "other2"


def test_two_files_of_one_directory(cdi):
    first = cdi.write(SIMPLE)
    second = cdi.write("devices: [{name: one, containerEdits: {env: [ONE=other]}}]\n", name="z.json.yaml")
    cdi.run("--device", "vendor.com/device=one", "test", "true").fails(125, f"described by several files of one directory: {first}, {second}")
    assert cdi.sh("--device", "vendor.com/device=two", "echo $TWO").check().text == "2"


@pytest.mark.parametrize(
    "text, reason",
    [
        ("devices: [", "line 4, column 1: .*node content"), ("devices: []\n", "line 1, column 1: it has no devices"),
        ("devices:\n- name: a\n  containerEdits: {envs: [A=b]}\n", 'line 5, column 20: containerEdits has no field "envs"'),
        ("devices:\n- {name: a/b, containerEdits: {env: [A=b]}}\n", "line 4, column 3: invalid device name"),
        ("devices:\n- {name: a, containerEdits: {env: [AB]}}\n", "not NAME=value"),
        ("devices:\n- {name: a, containerEdits: {deviceNodes: [{path: /dev/null, type: x}]}}\n", "no type of a device"),
        ("devices:\n- {name: a, containerEdits: {mounts: [{hostPath: relative, containerPath: /x}]}}\n", "not an absolute path"),
        ("devices:\n- {name: a, containerEdits: {hooks: [{hookName: onStart, path: /x}]}}\n", '"onStart" is no hook; known: prestart'),
        ("devices:\n- {name: a, containerEdits: {netDevices: [{hostInterfaceName: lo, name: x}]}}\n", "too old for netDevices: it must be at least 1.1.0"),
        ("devices:\n- {name: a}\n", "has no containerEdits"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_does_not_spoil_the_rest(cdi, text, reason):
    bad = cdi.write(text)
    cdi.write(SIMPLE, name="good.yaml", kind="good.com/device")
    assert cdi.sh("--device", "good.com/device=one", "echo $ONE").check().text == "1"
    cdi.run("--device", "vendor.com/device=a", "test", "true").fails(125, f"not read: {bad}: .*{reason}")


@pytest.mark.parametrize("version, reason", [("2.0.0", 'cdiVersion "2.0.0" is unknown; the newest known is 1.1.0'), ("0.3.0", "too old for hostPath")])
def test_versions_are_checked(cdi, version, reason):
    cdi.write("devices: [{name: a, containerEdits: {deviceNodes: [{path: /dev/x, hostPath: /dev/null}]}}]\n", version=version)
    cdi.run("--device", "vendor.com/device=a", "test", "true").fails(125, reason)


def test_stale_specifications_are_named_with_what_is_missing(cdi):
    path = cdi.write(
        """
devices:
- {name: node, containerEdits: {deviceNodes: [{path: /dev/gone}]}}
- {name: other, containerEdits: {deviceNodes: [{path: /dev/null, hostPath: /dev/gone1, type: c, major: 1, minor: 3}]}}
- {name: mount, containerEdits: {mounts: [{hostPath: /usr/lib/libgone.so.535, containerPath: /usr/lib/lib.so, options: [ro, bind]}]}}
- {name: hook, containerEdits: {hooks: [{hookName: createContainer, path: /usr/bin/gone-hook}]}}
- {name: moved, containerEdits: {deviceNodes: [{path: /dev/null, hostPath: /dev/null, type: c, major: 1, minor: 9}]}}
- {name: file, containerEdits: {deviceNodes: [{path: /dev/x, hostPath: /etc/passwd}]}}
"""
    )
    for name, missing in {"node": "/dev/gone", "other": "/dev/gone1", "mount": "/usr/lib/libgone.so.535", "hook": "/usr/bin/gone-hook"}.items():
        result = cdi.run("--device", f"vendor.com/device={name}", "test", "true").fails(125)
        assert result.err == (
            f"Error: CDI device vendor.com/device={name}: {missing} is missing, which {path} names; if the specification is out of date, "
            "have the program that made it make it again\n"
        )
    cdi.run("--device", "vendor.com/device=moved", "test", "true").fails(125, f"/dev/null is c 1:3, and {path} says that it is c 1:9")
    cdi.run("--device", "vendor.com/device=file", "test", "true").fails(125, f"/etc/passwd is no device, and {path} says that it is a device")


# When it is looked at


def test_each_start_looks_again(cdi):
    path = cdi.write(SIMPLE)
    berth = cdi.berth
    berth.ok(*cdi.flags, "create", "--name", "late", "--network", "none", "--device", "vendor.com/device=one", "test", "sh", "-c", "echo got $ONE")
    cdi.write(SIMPLE.replace("ONE=1", "ONE=new"))
    assert berth.ok(*cdi.flags, "start", "-a", "late").text == "got new"
    path.unlink()
    berth.call(*cdi.flags, "start", "-a", "late").fails(1, "unresolvable CDI devices vendor.com/device=one")
    assert berth.status("late") == "exited"
    cdi.write(SIMPLE)
    assert berth.ok(*cdi.flags, "start", "-a", "late").text == "got 1"


def test_what_a_device_brought_stays_through_updates(cdi):
    cdi.write(SIMPLE)
    berth = cdi.berth
    script = "echo $ONE $MORE; exec sleep 1000"
    berth.ok(
        *cdi.flags, "run", "-d", "--name", "it", "--network", "none", "--restart", "always", "--device", "vendor.com/device=one", "test", "sh", "-c", script
    )
    berth.wait_log("it", "^1$")
    berth.ok("update", "--env", "MORE=2", "it")
    os.kill(berth.pid("it"), 9)
    # Its supervisor starts it again, without anybody who reads specifications.
    berth.wait_log("it", "^1 2$")


def test_the_configuration_says_where(cdi):
    cdi.write(SIMPLE)
    home = cdi.place / "config"
    (home / "berth").mkdir(parents=True)
    (home / "berth/berth.conf").write_text(f'[devices]\ncdi_spec_dirs = "/nowhere:{cdi.directories[0]}"\n')
    out = cdi.berth.run("--device", "vendor.com/device=two", "test", "sh", "-c", "echo $TWO", env={"XDG_CONFIG_HOME": str(home)}).check()
    assert out.text == "2"
    (home / "berth/berth.conf").write_text('[devices]\ncdi_spec_dirs = "here"\n')
    cdi.berth.run("--device", "vendor.com/device=two", "test", "true", env={"XDG_CONFIG_HOME": str(home)}).fails(125, "cdi_spec_dirs: write absolute paths")


def test_a_relative_directory(cdi):
    cdi.write(SIMPLE)
    out = cdi.berth.call("--cdi-spec-dir", "cdi", "run", "--rm", "--network", "none", "--device=vendor.com/device=one", "test", "env", cwd=cdi.place).check()
    assert "ONE=1" in out.lines


# What is shown


def test_info_lists_what_can_be_asked_for(cdi):
    cdi.write(SIMPLE)
    bad = cdi.write("devices: [", name="bad.yaml")
    info = json.loads(cdi.berth.ok(*cdi.flags, "info", "-f", "{{json .}}").out)
    assert info["CDISpecDirs"] == [str(cdi.directories[0])]
    assert info["DiscoveredDevices"] == [{"Source": "cdi", "ID": "vendor.com/device=one"}, {"Source": "cdi", "ID": "vendor.com/device=two"}]
    assert len(info["Warnings"]) == 1 and str(bad) in info["Warnings"][0]
    assert "cdi: vendor.com/device=one" in cdi.berth.ok(*cdi.flags, "info").out
    assert json.loads(cdi.berth.ok("info", "-f", "{{json .CDISpecDirs}}").out) == ["/etc/cdi", "/var/run/cdi"]


def test_inspect_shows_what_was_asked_for(cdi):
    cdi.write(SIMPLE, kind="nvidia.com/gpu")
    flags = ["--gpus", "all", "--gpus", '"device=one,two",capabilities=utility', "--device", "nvidia.com/gpu=one", "--device", "/dev/null:/dev/x"]
    cdi.berth.ok(*cdi.flags, "create", "--name", "it", *flags, "test")
    config = cdi.berth.inspect("it", "HostConfig")
    assert config["DeviceRequests"] == [
        {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}},
        {"Driver": "", "Count": 0, "DeviceIDs": ["one", "two"], "Capabilities": [["utility", "gpu"]], "Options": {}},
        {"Driver": "cdi", "Count": 0, "DeviceIDs": ["nvidia.com/gpu=one"], "Capabilities": None, "Options": None},
    ]
    assert [device["PathInContainer"] for device in config["Devices"]] == ["/dev/x"]


# --gpus

GPUS = """
devices:
- {name: "0", containerEdits: {env: [G0=a]}}
- {name: "1", containerEdits: {env: [G1=b]}}
- {name: GPU-7f3a, containerEdits: {env: [ID=u]}}
- {name: all, containerEdits: {env: [ALL=x]}}
"""


@pytest.mark.parametrize(
    "value, shown",
    [("all", "---x"), ("1", "a---"), ("2", "ab--"), ("device=1", "-b--"), ("device=GPU-7f3a", "--u-"), ('"device=0,GPU-7f3a"', "a-u-"),
     ("count=2", "ab--"), ("count=all", "---x"), ("driver=nvidia", "a---"), ("driver=nvidia,count=all,capabilities=compute", "---x"),
     ('"capabilities=compute,utility"', "a---"), ("driver=cdi,device=nvidia.com/gpu=1", "-b--"), ("device=nvidia.com/gpu=0", "a---"), ("0", "----"),
     ("driver=amd", "amd")],
)  # fmt: skip
def test_gpus(cdi, value, shown):
    cdi.write(GPUS, kind="nvidia.com/gpu")
    cdi.write("devices: [{name: '0', containerEdits: {env: [AMD=amd]}}]\n", kind="amd.com/gpu", name="amd.yaml")
    out = cdi.sh("--gpus", value, "echo ${AMD-${G0--}${G1--}${ID--}${ALL--}}").check()
    assert out.text == shown


def test_gpus_of_amd_alone(cdi):
    cdi.write("devices: [{name: '0', containerEdits: {env: [A=0]}}, {name: '1', containerEdits: {env: [B=1]}}]\n", kind="amd.com/gpu")
    assert cdi.sh("--gpus", "all", "echo $A$B").check().text == "01"
    cdi.run("--gpus", "3", "test", "true").fails(125, "unresolvable CDI devices amd.com/gpu=2: .*known of amd.com/gpu: 0, 1$")


@pytest.mark.parametrize(
    "value, pattern",
    [("x", r'invalid count \(x\): value must be either "all" or an integer'), ("all,all", "gpu request key 'all' can be specified only once"),
     ("size=1", "unexpected key 'size' in 'size=1'"), ("device=0,count=1", "cannot set both Count and DeviceIDs"), ("device=0,1", "cannot set both"),
     ("capabilities=flying", r'could not select device driver "" with capabilities: \[\[flying gpu\]\]$'),
     ("driver=none", r'could not select device driver "none" with capabilities: \[\[gpu\]\]$'), ("99999999999", "no more than 4096"),
     ("driver=cdi", "unexpected count in CDI device request"), ("driver=cdi,device=x", "invalid CDI device name"),
     ("device=../x", 'invalid CDI device name "nvidia.com/gpu=../x"')],
)  # fmt: skip
def test_refusals_of_gpus(cdi, value, pattern):
    cdi.write(GPUS, kind="nvidia.com/gpu")
    cdi.run("--gpus", value, "test", "true").fails(125, pattern)


def test_no_gpu_here(cdi):
    result = cdi.run("--gpus", "all", "test", "true").fails(125, r'could not select device driver "" with capabilities: \[\[gpu\]\]: no CDI spec')
    assert str(cdi.directories[0]) in result.err and "nvidia-ctk cdi generate" in result.err


def test_a_pipe_is_no_specification(cdi):
    """Nobody who opens it waits for somebody to write."""
    os.mkfifo(cdi.directories[0] / "pipe.yaml", 0o644)
    (cdi.directories[0] / "directory.json").mkdir()
    (cdi.directories[0] / "notes.txt").write_text("x")
    pathlib.Path(cdi.directories[0] / "link.yaml").symlink_to("/nonexistent")
    (cdi.directories[0] / "large.yaml").write_text("#" * (5 << 20))
    cdi.write(SIMPLE)
    assert cdi.sh("--device", "vendor.com/device=one", "echo $ONE").check().text == "1"
    cdi.run("--device", "vendor.com/device=x", "test", "true").fails(125, "large.yaml: it is larger than 4 MiB; .*pipe.yaml: it is no file")
