"""berth by the names docker and podman: the lines, fields, columns and exit statuses that scripts read, beside the real programs' own."""

import copy
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from berth import Berth


class Named(Berth):
    """The same store, by a link of another name."""

    @property
    def program(self):
        return self.link


def named(berth, name, place):
    made = copy.copy(berth)
    made.__class__ = Named
    made.link = place / name
    made.link.symlink_to(berth.programs / "berth")
    return made


@pytest.fixture
def docker(berth, place):
    return named(berth, "docker", place)


@pytest.fixture
def podman(berth, place):
    return named(berth, "podman", place)


class RealPodman:
    """Debian's podman with a store of its own."""

    def __init__(self, base, archive):
        self.base = base
        base.mkdir()
        self.ok("load", "-i", archive)
        self.ok("create", "--name", "peer", "--network", "none", "-l", "a=b", "-v", "/data", "localhost/test", "sleep", "9")

    def call(self, *words):
        flags = ["--root", self.base / "root", "--runroot", self.base / "run", "--tmpdir", self.base / "tmp", "--events-backend", "none"]
        flags += ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]
        return subprocess.run(["podman", *map(str, [*flags, *words])], capture_output=True, text=True, cwd="/")

    def ok(self, *words):
        done = self.call(*words)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def json(self, *words):
        return json.loads(self.ok(*words))


@pytest.fixture(scope="module")
def real(test_archive):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not shutil.which("podman"):
        pytest.skip("podman is not installed (scripts/setup peers)")
    # Short: podman takes no longer run root.
    made = RealPodman(pathlib.Path(f"/tmp/berth-named-{os.getpid()}"), test_archive)
    yield made
    made.call("rm", "-a", "-f", "-v")
    made.call("rmi", "-a", "-f")
    subprocess.run(["umount", "-l", made.base / "root/vfs", made.base / "root"], capture_output=True)
    shutil.rmtree(made.base, ignore_errors=True)


# docker


def test_docker_tells_a_version_that_scripts_can_read(docker):
    """By this pattern scripts and build tools find the number; what answers stands where docker has the commit."""
    assert re.fullmatch(r"Docker version (\d+)\.\d+\.\d+, build berth-\S+\n", docker.ok("--version").out)
    number = re.match(r"Docker version ([^,]+),", docker.ok("-v").out)[1]
    assert docker.ok("version", "--format", "{{.Client.Version}} {{.Server.Version}}").text == f"{number} {number}"
    assert docker.ok("info", "--format", "{{.ServerVersion}}").text == number
    document = json.loads(docker.ok("version", "--format", "json").out)
    assert {"Version", "ApiVersion", "GitCommit", "GoVersion", "Os", "Arch", "BuildTime", "Context"} <= set(document["Client"])
    assert {"Platform", "Components", "Version", "ApiVersion", "MinAPIVersion", "KernelVersion"} <= set(document["Server"])
    assert docker.ok("version", "--format", "{{.Server.APIVersion}}").text == document["Server"]["ApiVersion"]
    lines = docker.ok("version").lines
    assert f" Version:           {number}" in lines and f"  Version:           {number}" in lines


def test_docker_fails_as_the_daemon_does(docker):
    docker.call("rm", "nosuch").fails(1, r"^Error response from daemon: No such container: nosuch\n$")
    docker.call("inspect", "nosuch").fails(1, r"^Error: No such object: nosuch\n$")
    docker.call("image", "inspect", "nosuch").fails(1, r"^Error response from daemon: No such image: nosuch")
    docker.call("volume", "rm", "nosuch").fails(1, r"^Error response from daemon: get nosuch: no such volume\n$")
    docker.call("network", "rm", "nosuch").fails(1, r"^Error response from daemon: network nosuch not found\n$")
    docker.call("run", "--pull", "never", "nosuch").fails(125, r"^docker: Error response from daemon: No such image: nosuch:latest\n\nRun 'docker run --help'")
    docker.ok("create", "--name", "one", "test")
    docker.call("create", "--name", "one", "test").fails(125, r'^Error response from daemon: Conflict\. The container name "/one" is already in use')


def test_docker_refuses_as_its_client_does(docker):
    docker.call("frob").fails(1, r"^docker: unknown command: docker frob\n\nRun 'docker --help' for more information\n$")
    docker.call("rm").fails(1, r"^docker: 'docker rm' requires at least 1 argument\n\nUsage:  docker rm")
    docker.call("run", "--frob").fails(125, r"^unknown flag: --frob\n\nUsage:  docker run")
    assert docker.ok("run", "--help").out.startswith("Usage:  docker run [OPTIONS] IMAGE")


@pytest.mark.parametrize("words", [("frob",), ("rm",), ("image", "frob"), ("run", "--frob"), ("ps", "x")])
def test_docker_refuses_in_the_words_of_the_real_one(docker, words):
    if not shutil.which("docker"):
        pytest.skip("docker is not installed (scripts/setup peers)")
    number = re.search(r" (\d+)\.", subprocess.run(["docker", "--version"], capture_output=True, text=True).stdout)[1]
    if int(number) < 28:
        pytest.skip(f"docker {number} has other words than 28")
    real = subprocess.run(["docker", *words], capture_output=True, text=True)
    ours = docker.call(*words)
    assert ours.code == real.returncode
    assert ours.err.splitlines()[0] == real.stderr.splitlines()[0]


# podman


def test_podman_tells_its_version(podman):
    number = re.fullmatch(r"podman version (\d+\.\d+\.\d+)\n", podman.ok("--version").out)[1]
    assert podman.ok("version", "--format", "{{.Client.Version}}").text == number
    assert f"Version:      {number}" in podman.ok("version").lines
    assert podman.ok("info", "--format", "{{.Version.Version}}").text == number


def test_podman_lists_with_full_names_and_oldest_first(podman):
    podman.up("--name", "first")
    podman.ok("create", "--name", "second", "--network", "none", "test", "sh", "-c", "echo a text that is long")
    lines = podman.ok("ps", "-a").lines
    assert re.fullmatch(r"CONTAINER ID  IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES", lines[0])
    assert [line.split()[-1] for line in lines[1:]] == ["first", "second"]
    assert lines[1].split()[1] == "docker.io/library/test:latest"
    assert '"' not in lines[2] and "sh -c echo a text..." in lines[2], "as podman cuts, without quotes"
    rows = json.loads(podman.ok("ps", "-a", "--format", "json").out)
    assert [(row["Names"], row["State"], row["Exited"]) for row in rows] == [(["first"], "running", False), (["second"], "created", False)]
    assert rows[0]["Pid"] == podman.pid("first") and rows[0]["Command"] == ["sleep", "1000"]
    assert podman.ok("ps", "--format", "{{.Names}} {{.Image}} {{.Pid}}").text == f"first docker.io/library/test:latest {rows[0]['Pid']}"
    assert podman.ok("ps", "-a", "--format", "{{.ID}}").lines == podman.ok("ps", "-aq").lines


def test_podman_images_have_full_names(podman):
    lines = podman.ok("images", "test").lines
    assert re.fullmatch(r"REPOSITORY +TAG +IMAGE ID +CREATED +SIZE", lines[0])
    assert re.match(r"docker\.io/library/test +latest +[0-9a-f]{12}  \d+ years ago +[\d.]+ [kM]B", lines[1])
    row = json.loads(podman.ok("images", "--format", "json", "test").out)[0]
    assert re.fullmatch("[0-9a-f]{64}", row["Id"]) and row["Names"] == ["docker.io/library/test:latest"]
    assert podman.ok("images", "--format", "{{.Repository}}:{{.Tag}}", "test").lines == row["Names"]
    assert podman.ok("tag", "test", "other").out == ""
    assert podman.ok("rmi", "other").lines == ["Untagged: docker.io/library/other:latest"]


STATUSES = [
    (("rm", "nosuch"), 1), (("rmi", "nosuch"), 1), (("volume", "rm", "nosuch"), 1), (("network", "rm", "nosuch"), 1), (("rm", "runs"), 2),
    (("volume", "rm", "called-as-used"), 2), (("exec", "rests", "true"), 255), (("stop", "nosuch"), 125), (("pause", "rests"), 125),
    (("inspect", "nosuch"), 125), (("image", "inspect", "nosuch"), 125), (("tag", "nosuch", "x"), 125), (("container", "exists", "nosuch"), 1),
    (("frob",), 125), (("rm",), 125), (("run", "--frob"), 125), (("wait", "nosuch"), 125), (("logs", "nosuch"), 125), (("start", "nosuch"), 125),
    (("create", "--name", "rests", "test"), 125), (("rm", "-f", "nosuch"), 0),
]  # fmt: skip


def test_podman_exit_statuses(podman):
    podman.up("--name", "runs", "-v", "called-as-used:/v")
    podman.ok("create", "--name", "rests", "--network", "none", "test")
    for words, status in STATUSES:
        done = podman.call(*words)
        assert done.code == status, (words, done.code, done.err)
        if status and words[0] != "container":
            assert done.err.startswith("Error: "), (words, done.err)
    podman.ok("rm", "-f", "runs")
    podman.ok("volume", "rm", "called-as-used")
    podman.call("rm", "nosuch").fails(1, '^Error: no container with name or ID "nosuch" found: no such container\n$')
    podman.call("run", "--frob").fails(125, r"^Error: unknown flag: --frob\nSee 'podman run --help'\n$")
    podman.call("frob").fails(125, r"^Error: unrecognized command `podman frob`\nTry 'podman --help' for more information\n$")


@pytest.mark.parametrize("words", [words for words, _ in STATUSES if "runs" not in words and "rests" not in words and "used" not in words])
def test_podman_exit_statuses_are_those_of_the_real_one(podman, real, words):
    theirs = real.call(*words)
    ours = podman.call(*words)
    assert ours.code == theirs.returncode, (ours.err, theirs.stderr)


def test_podman_prints_what_scripts_go_on_with(podman):
    """Names and ids alone, where docker's client has text around them."""
    assert podman.ok("network", "create", "called-as-made").text == "called-as-made"
    assert podman.ok("network", "prune", "-f").lines == ["called-as-made"]
    made = podman.ok("create", "--name", "rests", "--network", "none", "test").text
    assert podman.ok("container", "prune", "-f").lines == [made]
    assert podman.ok("volume", "create", "--label", "mine", "called-as-kept").text == "called-as-kept"
    assert podman.ok("volume", "prune", "-af", "--filter", "label=mine").lines == ["called-as-kept"]


def paths(value, prefix=""):
    """Names of fields, those within fields too; what people name (labels, options) is left out."""
    found = set()
    if isinstance(value, dict) and not prefix.endswith(("Labels.", "Options.", "Annotations.", "Namespaces.", "Data.", "Ports.", "Volumes.")):
        for key, inner in value.items():
            found |= {prefix + key} | paths(inner, prefix + key + ".")
    elif isinstance(value, list):
        for inner in value[:1]:
            found |= paths(inner, prefix)
    return found


# Fields of podman's documents that are not given: docs/called-as.md says why.
LEFT_OUT = {
    ("inspect", "peer"): {
        "StaticDir", "OCIConfigPath", "ConmonPidFile", "PidFile", "EffectiveCaps", "BoundingCaps", "HostConfig.CgroupManager",
        "HostConfig.CgroupMode", "HostConfig.Cgroups", "HostConfig.CgroupConf", "HostConfig.DiskQuota", "HostConfig.LogConfig.Path",
        "HostConfig.LogConfig.Size", "HostConfig.LogConfig.Tag", "HostConfig.Ulimits.Name",
        "HostConfig.Ulimits.Soft", "HostConfig.Ulimits.Hard",
    },
    ("info", "--format", "json"): {
        "host.buildahVersion", "host.cgroupControllers", "host.conmon", "host.cpuUtilization", "host.idMappings", "host.memFree",
        "host.slirp4netns", "host.swapFree", "host.swapTotal", "host.uptime", "host.distribution.codename", "host.security.capabilities",
        "store.graphRootAllocated", "store.graphRootUsed",
    },
}  # fmt: skip


@pytest.mark.parametrize("words", [
    ("ps", "-a", "--format", "json"), ("images", "--format", "json"), ("inspect", "peer"), ("image", "inspect", "TEST"),
    ("volume", "ls", "--format", "json"), ("network", "inspect", "NETWORK"), ("info", "--format", "json"), ("version", "--format", "json"),
    ("history", "--format", "json", "TEST"),
])  # fmt: skip
def test_podman_documents_have_the_fields_of_the_real_one(podman, real, words):
    podman.ok("create", "--name", "peer", "--network", "none", "-l", "a=b", "-v", "/data", "test", "sleep", "9")
    ours = json.loads(podman.ok(*(word.replace("TEST", "test").replace("NETWORK", "bridge") for word in words)).out)
    theirs = real.json(*(word.replace("TEST", "localhost/test").replace("NETWORK", "podman") for word in words))
    left_out = LEFT_OUT.get(words, set())
    missing = {path for path in paths(theirs) - paths(ours) if not any(path == some or path.startswith(some + ".") for some in left_out)}
    assert missing == set()
    assert left_out & paths(ours) == set(), "given by now: take it from the list"


@pytest.mark.parametrize("words", [("ps", "-a"), ("ps", "-as"), ("images",), ("images", "--digests"), ("volume", "ls"), ("network", "ls"), ("history", "TEST")])
def test_podman_columns_are_those_of_the_real_one(podman, real, words):
    ours = podman.ok(*(word.replace("TEST", "test") for word in words)).lines[0]
    theirs = real.ok(*(word.replace("TEST", "localhost/test") for word in words)).splitlines()[0]
    assert re.split(r"  +", ours) == re.split(r"  +", theirs.rstrip())


def test_other_names_are_berth(berth, place):
    other = named(berth, "podman-remote", place)
    assert other.ok("--version").out.startswith("berth version ")


def test_a_rootless_second_self_keeps_the_name(podman):
    """What an ordinary user's command does in the user namespace answers in the same form."""
    podman.ok("create", "--name", "one", "--network", "none", "test")
    assert re.fullmatch("[0-9a-f]{64}", podman.ok("commit", "one", "two:1").text)
    podman.call("rmi", "nosuch").fails(1, "^Error: nosuch: image not known\n$")
    podman.ok("rmi", "two:1")


# What a person reads


def test_exec_tells_its_failures_as_berth_does(berth):
    """`berth exec` becomes berth-runtime, and nobody has to know."""
    berth.up("--name", "web")
    assert berth.call("exec", "web", "nosuch").fails(127).err == 'Error: exec "nosuch": executable file not found in $PATH\n'


def test_a_file_that_is_not_there_is_named_once(berth):
    assert berth.call("import", "/nosuch").fails(1).err == 'Error: open "/nosuch": no such file or directory\n'


def test_a_registry_without_an_address(berth):
    """No names of types in what people read."""
    error = berth.call("registry", "serve", "--listen", "nosuch.invalid:5000").fails(1).err
    assert error == 'Error: listen on "nosuch.invalid:5000": no such host; --listen takes an address or a name of this machine\n'
