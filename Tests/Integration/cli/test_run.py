"""`berth run`: exit codes, streams, identity of the container, what --rm leaves."""

import hashlib
import os
import re
import shutil
import signal
import subprocess

import pytest

from berth import stat_field
from host import wait_for


# Exit codes


@pytest.mark.parametrize("code", [0, 1, 42, 125, 126, 127, 255])
def test_the_containers_exit_code(berth, code):
    berth.run("test", "sh", "-c", f"exit {code}").exits(code)


def test_a_missing_program_is_127(berth):
    berth.run("test", "/nosuch").fails(127, r'exec.*"/nosuch".*no such file')
    berth.run("test", "nosuch").fails(127, r"nosuch.*not found|nosuch.*no such file")
    berth.assert_clean()


@pytest.mark.parametrize("program", ["/etc/passwd", "/etc", "/tmp"])
def test_a_program_that_cannot_be_executed_is_126(berth, program):
    berth.run("test", program).fails(126, r"permission denied|is a directory")
    berth.assert_clean()


def test_a_script_without_its_interpreter(berth, place):
    (place / "script").write_text("#!/nosuch\n")
    (place / "script").chmod(0o755)
    result = berth.run("-v", f"{place}:/mnt", "test", "/mnt/script")
    assert result.code in (126, 127), result
    assert "script" in result.err


def test_our_own_failures_are_125(berth):
    berth.run("nosuchimage", "true").fails(125, "unable to find image 'nosuchimage:latest' locally")
    berth.run("--nosuchflag", "test").fails(125, "unknown flag: --nosuchflag")
    berth.run("-v", "relative/path:/x", "test").fails(125)
    berth.run("--memory", "plenty", "test").fails(125, "plenty")
    berth.run("-u", "nobodyknows", "test").fails(125, "unable to find user nobodyknows")
    berth.run("UPPER", "true").fails(125, "lowercase|invalid reference")
    berth.assert_clean()


def test_a_signal_that_comes_before_the_init_program_is_up(berth):
    """The kernel would throw it away for process 1; it is blocked from before the program is executed."""
    for _ in range(5):
        identity = berth.up("--init")
        berth.ok("kill", "-s", "HUP", identity)
        assert berth.ok("wait", identity).text == "129"


@pytest.mark.parametrize("name", ["HUP", "USR1", "PIPE", "ALRM", "TERM"])
def test_death_by_signal_is_128_and_the_number(berth, name):
    number = getattr(signal, "SIG" + name)
    identity = berth.up("--name", "dies", "--init")
    berth.ok("kill", "-s", name, identity)
    assert berth.ok("wait", identity).text == str(128 + number)
    assert berth.inspect(identity, "State.ExitCode") == 128 + number


def test_the_shells_way_to_die_of_a_signal(berth):
    berth.sh("--init", "kill -9 $$").exits(137)
    berth.sh("--init", "kill -TERM $$").exits(143)
    berth.sh("--init", "kill -SEGV $$").exits(139)


FLAGS_OF_LATER = [
    ("--tz", "local"),
    ("--umask", "077"), ("--storage-opt", "size=1G"),
]  # fmt: skip


@pytest.mark.parametrize("words", FLAGS_OF_LATER, ids=lambda words: words[0])
def test_flags_of_later_issues_are_told(root_berth, words):
    result = root_berth.run(*words, "test", "true").fails(125, "not supported yet: --[a-z-]+")
    assert result.out == ""


def test_run_without_an_image(root_berth):
    root_berth.call("run").fails(1, "requires at least 1 argument", "run --help")


def test_help_goes_to_stdout(root_berth):
    result = root_berth.ok("run", "--help")
    assert result.out.startswith("Usage:  berth run [OPTIONS] IMAGE [COMMAND] [ARG...]") and result.err == ""


def test_an_unknown_command(root_berth):
    root_berth.call("nosuch").fails(1, "nosuch")


# Streams


def test_output_and_error_are_separate(berth):
    result = berth.sh("echo out; echo err >&2").check()
    assert (result.out, result.err) == ("out\n", "err\n")


def test_a_megabyte_in_and_out(berth):
    data = os.urandom(1 << 20)
    result = berth.run("-i", "test", "cat", stdin=data).check()
    assert hashlib.sha256(result.bytes).digest() == hashlib.sha256(data).digest()


def test_a_megabyte_of_both_streams(berth):
    script = "head -c 1048576 /dev/zero & head -c 1048576 /dev/zero >&2; wait"
    result = berth.sh(script).check()
    assert result.bytes == b"\0" * (1 << 20) and result.error_bytes == b"\0" * (1 << 20)


def test_input_ends_and_output_goes_on(berth):
    result = berth.run("-i", "test", "sh", "-c", "cat; echo; echo after", stdin="before").check()
    assert result.out == "before\nafter\n"


def test_input_is_not_given_without_interactive(berth):
    assert berth.run("test", "cat", stdin="unseen").check().out == ""


def test_input_to_a_program_that_does_not_read(berth):
    result = berth.run("-i", "test", "echo", "done", stdin=b"x" * (1 << 20)).check()
    assert result.out == "done\n"


def test_output_comes_while_it_runs(berth):
    process = berth.popen("run", "--rm", "-i", "--network", "none", "test", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for line in (b"one\n", b"two\n", b"three\n"):
        process.stdin.write(line)
        process.stdin.flush()
        assert process.stdout.readline() == line
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


def test_the_reader_goes_away(berth):
    process = berth.popen("run", "--rm", "--network", "none", "test", "yes", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(4096)
    process.stdout.close()
    process.wait(10)
    process.stderr.close()
    berth.clear()
    berth.assert_clean()


def test_signals_are_passed_on(berth):
    script = "trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM; echo ready; while :; do sleep 0.02; done"
    process = berth.popen("run", "--rm", "--network", "none", "test", "sh", "-c", script, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    for _ in range(3):  # each answer must still be heard: a session that stops listening after the first is broken
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == b"usr1\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == b"term\n"
    assert process.wait(10) == 9
    process.stdout.close()


def test_streams_after_a_signal(berth):
    script = "trap '' USR1 WINCH; echo ready; cat"
    process = berth.popen(
        "run", "--rm", "-i", "--network", "none", "test", "sh", "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGUSR1)
    process.stdin.write(b"after\n")
    process.stdin.flush()
    assert wait_for(lambda: process.stdout.readline(), "the line after the signal", 5) == b"after\n"
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


def test_without_sig_proxy_the_command_ends_alone(berth):
    process = berth.popen(
        "run", "--sig-proxy=false", "--name", "alone", "--network", "none", "test", "sh", "-c", "echo ready; sleep 1000", stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) != 0
    process.stdout.close()
    assert berth.status("alone") == "running"


# Detached


def test_detached_prints_the_id(berth):
    result = berth.ok("run", "-d", "--network", "none", "test", "sleep", "1000")
    assert re.fullmatch(r"[0-9a-f]{64}\n", result.out) and result.err == ""
    assert berth.status(result.text) == "running"


def test_detached_keeps_none_of_the_callers_descriptors(berth):
    """A shell's `x=$(berth run -d … 2>&1)` must not wait for the container."""
    identity = berth.up()
    supervisor = berth.supervisor(identity)
    for fd in os.listdir(f"/proc/{supervisor}/fd"):
        if int(fd) <= 2:
            assert os.readlink(f"/proc/{supervisor}/fd/{fd}") == "/dev/null"


def test_detached_cannot_start(berth):
    berth.call("run", "-d", "--network", "none", "--name", "never", "test", "/nosuch").fails(127, "/nosuch")
    # docker keeps the container that could not be started
    assert berth.inspect("never", "State.Status") == "created"
    assert berth.inspect("never", "State.ExitCode") == 127
    assert "/nosuch" in berth.inspect("never", "State.Error")
    assert "Created" in berth.ok("ps", "-a", "--filter", "name=never").out
    assert berth.ok("wait", "never").text == "127", "there is nothing to wait for"
    berth.ok("rm", "never")
    berth.call("run", "-d", "--network", "none", "--name", "never", "test", "/etc/passwd").fails(126, "permission denied")
    assert berth.inspect("never", "State.Status") == "created" and berth.inspect("never", "State.ExitCode") == 126


def test_a_container_that_ran_and_cannot_start_again(berth):
    """It has exited: a start that failed does not make it new."""
    berth.call("run", "--name", "once", "--network", "none", "test", "sh", "-c", "rm /bin/sh").check()
    berth.call("start", "once").fails(1, "sh")
    assert berth.inspect("once", "State.Status") == "exited"
    assert berth.inspect("once", "State.ExitCode") == 127
    assert not berth.inspect("once", "State.StartedAt").startswith("0001")


def test_detached_and_rm(berth):
    identity = berth.detached("--rm", "test", "sh", "-c", "exit 3")
    wait_for(lambda: identity not in berth.ok("ps", "-aq", "--no-trunc").out, "the container to be gone")
    berth.assert_clean(identity)


def test_the_supervisor_leaves_the_session(berth):
    identity = berth.up()
    supervisor = berth.supervisor(identity)
    assert os.getsid(supervisor) == supervisor
    assert os.readlink(f"/proc/{supervisor}/cwd") == "/"


# What --rm leaves


def test_rm_leaves_nothing(berth):
    cidfile = f"/tmp/{berth.mark}.cid"
    volumes = berth.root / "volumes"
    before, kept = berth.ok("ps", "-aq").out, set(os.listdir(volumes)) if volumes.exists() else set()
    berth.run("--cidfile", cidfile, "-v", "/anonymous", "test", "sh", "-c", "touch /x /anonymous/y; exit 5").exits(5)
    identity = open(cidfile).read()
    os.unlink(cidfile)
    assert re.fullmatch("[0-9a-f]{64}", identity)
    berth.assert_clean(identity)
    assert berth.ok("ps", "-aq").out == before
    assert not volumes.exists() or set(os.listdir(volumes)) == kept


def test_rm_keeps_named_volumes(berth):
    berth.run("-v", "kept:/v", "test", "touch", "/v/file").check()
    assert berth.run("-v", "kept:/v", "test", "ls", "/v").check().text == "file"


def test_rm_after_a_failed_start(berth):
    for program in ("/nosuch", "/etc/passwd"):
        assert berth.run("--name", "failed", "test", program).code in (126, 127)
        assert "failed" not in berth.names("-a")
    berth.assert_clean()


# Names and labels


def test_a_name_in_use(berth):
    identity = berth.up("--name", "taken")
    message = (
        f'Conflict. The container name "/taken" is already in use by container "{identity}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    result = berth.run("--name", "taken", "test", "true").fails(125)
    assert message in result.err
    assert berth.call("create", "--name", "taken", "test").exits(125)


@pytest.mark.parametrize("name", ["a", "-x", "../x", "a/b", "x y", "", "/", "ümlaut", "x\n", ".x", "x" * 300])
def test_names_that_are_none(root_berth, name):
    if name == "":
        root_berth.run("--name", name, "test", "true").check()  # docker takes this as no name
        return
    root_berth.run("--name", name, "test", "true").fails(125, "invalid container name|name")


def test_a_slash_before_the_name(berth):
    berth.up("--name", "/slashed")
    assert berth.inspect("slashed", "Name") == "/slashed"


def test_names_are_made_up(berth):
    identity = berth.up()
    assert re.fullmatch(r"/[a-z]+_[a-z]+\d*", berth.inspect(identity, "Name"))


def test_labels(berth, place):
    (place / "labels").write_text("# a comment\nfrom=file\nplain\n\nb=2\n")
    identity = berth.up("-l", "a=1", "--label", "b=x=y", "--label-file", place / "labels", "-l", "empty")
    labels = berth.inspect(identity, "Config.Labels")
    assert labels == {"a": "1", "b": "x=y", "from": "file", "plain": "", "empty": ""}


def test_annotations(berth):
    identity = berth.up("--annotation", "org.example.a=b")
    assert berth.inspect(identity, "HostConfig.Annotations")["org.example.a"] == "b"
    import json

    spec = json.loads((berth.root / "containers" / identity / "config.json").read_text())
    assert spec["annotations"]["org.example.a"] == "b"


def test_the_cid_file_must_not_exist(berth, place):
    path = place / "cid"
    identity = berth.detached("--cidfile", path, "test", "true")
    assert path.read_text() == identity
    berth.run("--cidfile", path, "test", "true").fails(125, "container ID file found")


# Environment


def test_environment(berth, place):
    (place / "env").write_text("# comment\nFILE=from file\nPASSED\nNOT_SET_ANYWHERE\nEMPTY=\n")
    words = ["-e", "A=1", "-eB=2=3", "--env=C=x y", "-e", "HOST_VALUE", "-e", "UNSET_ON_HOST", "--env-file", place / "env", "-e", "A=last"]
    out = berth.run(*words, "test", "env", env={"HOST_VALUE": "h", "PASSED": "p"}).check().lines
    assert set(out) >= {"A=last", "B=2=3", "C=x y", "HOST_VALUE=h", "FILE=from file", "PASSED=p", "EMPTY="}
    assert not [line for line in out if line.startswith(("UNSET_ON_HOST", "NOT_SET_ANYWHERE", "A=1"))]


def test_the_hosts_environment_stays_outside(berth):
    """S25"""
    script = "env; cat /proc/1/environ"
    result = berth.sh(script, env={"SECRETX": "canary", "HTTP_PROXY": "http://user:canary@proxy", "LD_PRELOAD_X": "canary"}).check()
    assert "canary" not in result.out and "BERTH" not in result.out and "XDG" not in result.out
    names = {line.partition("=")[0] for line in berth.run("test", "/init", "env").check().lines}
    assert names == {"PATH", "HOSTNAME", "HOME", "container"}


def test_home_follows_the_user(berth):
    assert "HOME=/root" in berth.run("test", "env").check().lines
    assert "HOME=/home/app" in berth.run("-u", "app", "test", "env").check().lines
    assert "HOME=/elsewhere" in berth.run("-u", "app", "-e", "HOME=/elsewhere", "test", "env").check().lines
    assert "HOME=/" in berth.run("-u", "4242", "test", "env").check().lines


@pytest.mark.parametrize("word", ["=x", "", "=", "A\nB=1"])
def test_environment_that_is_none(root_berth, word):
    result = root_berth.run("-e", word, "test", "env")
    assert result.code == 125 or word == "A\nB=1"


# Directory, entry point, command


def test_the_working_directory(berth):
    assert berth.run("-w", "/tmp", "test", "pwd").check().text == "/tmp"
    # docker makes it when it is missing
    assert berth.run("-w", "/made/for/it", "test", "pwd").check().text == "/made/for/it"
    berth.run("-w", "relative", "test", "pwd").fails(125, "absolute")
    assert berth.run("-w", "/tmp/../../..", "test", "pwd").check().text == "/"  # S10


def test_a_working_directory_that_is_a_file(berth):
    result = berth.run("-w", "/etc/passwd", "test", "pwd")
    assert result.code in (125, 126, 127) and result.err


def test_the_entry_point(berth):
    assert berth.run("--entrypoint", "echo", "test", "a b", "c").check().text == "a b c"
    # the image's command goes with its entry point
    assert berth.run("--entrypoint", "/bin/echo", "test").check().text == ""


def test_arguments_come_as_they_are(berth):
    words = ["", "a b", "*", "$HOME", "--flag", "-x", "ünïcode", "\\", "'\"", "new\nline"]
    out = berth.run("test", "sh", "-c", 'for a in "$@"; do printf "[%s]" "$a"; done', "sh", *words).check()
    assert out.out == "".join(f"[{word}]" for word in words)


def test_flags_after_the_image_are_the_commands(berth):
    assert berth.run("test", "echo", "--rm", "-e", "x").check().text == "--rm -e x"
    assert berth.run("--", "test", "echo", "x").check().text == "x"


def test_dockers_spellings(berth):
    result = berth.ok("container", "run", "--rm=true", "--net=none", "-eA=1", "-it=false", "-w/tmp", "test", "sh", "-c", "echo $A; pwd")
    assert result.lines == ["1", "/tmp"]


# Host and domain name, files of the engine


def test_host_and_domain_name(berth):
    script = "hostname; cat /proc/sys/kernel/domainname /etc/hostname; grep -c 'host.dom host' /etc/hosts"
    result = berth.sh("--hostname", "host", "--domainname", "dom", script).check()
    assert result.lines == ["host", "dom", "host", "1"]


def test_the_host_name_is_the_short_id(berth):
    identity = berth.up()
    assert berth.ok("exec", identity, "hostname").text == identity[:12]
    assert berth.ok("exec", identity, "cat", "/etc/hostname").text == identity[:12]


@pytest.mark.parametrize("name", ["a b", "x" * 70])
def test_host_names_that_are_none(root_berth, name):
    root_berth.run("--hostname", name, "test", "true").fails(125)


def test_engine_files_can_be_written(berth):
    berth.sh("echo 1.2.3.4 x >> /etc/hosts && echo nameserver 1.1.1.1 > /etc/resolv.conf && grep -q 1.2.3.4 /etc/hosts").check()


def test_writes_survive_a_restart(berth):
    berth.call("run", "--name", "twice", "--network", "none", "test", "sh", "-c", "echo x >> /state; echo y >> /etc/hosts; wc -l < /state").check()
    result = berth.ok("start", "-a", "twice")
    assert result.text == "2"


# --init


def test_init_is_process_1_and_reaps(berth):
    script = "(sleep 0.05 &) ; sh -c 'sleep 0.01 & exec true' ; sleep 0.3; grep -l Z /proc/[0-9]*/stat 2>/dev/null; cat /proc/1/comm; echo pid=$$"
    result = berth.sh("--init", script).check()
    zombies = [line for line in result.lines if line.startswith("/proc")]
    for path in zombies:
        pytest.fail(f"zombie: {path}")
    assert not re.search(r"^pid=1$", result.out, re.M)


def test_init_forwards_signals_and_the_code(berth):
    berth.up("--name", "forward", "--init", command=("sh", "-c", "trap 'exit 7' USR1; echo ready; while :; do sleep 0.02; done"))
    berth.wait_log("forward", "ready")
    berth.ok("kill", "-s", "USR1", "forward")
    assert berth.ok("wait", "forward").text == "7"


def test_init_and_a_missing_program(berth):
    berth.run("--init", "test", "/nosuch").fails(127, "nosuch")
    berth.run("--init", "test", "/etc/passwd").fails(126)


# Platform and pull


def test_another_platform(berth):
    berth.run("--platform", "linux/arm64", "test", "true").fails(125, "platform")
    berth.run("--platform", "linux/amd64", "test", "true").check()
    berth.run("--platform", "nonsense/os/x/y", "test", "true").fails(125)


def test_pull_policies(berth):
    berth.run("--pull", "never", "test", "true").check()
    berth.run("--pull", "missing", "test", "true").check()
    berth.run("--pull", "never", "nosuch", "true").fails(125, "no such image|unable to find image")
    berth.run("--pull", "sometimes", "test", "true").fails(125, "sometimes|pull")


def test_quiet(berth):
    result = berth.run("-q", "test", "echo", "x").check()
    assert (result.out, result.err) == ("x\n", "")


class Other:
    """Another OCI runtime of this host, with what wraps commands that call it."""

    def __init__(self, berth, name):
        self.path = shutil.which(name)
        self.wrap = ()
        if self.path is None:
            pytest.skip(f"no {name} here")
        if name == "crun" and os.path.ismount("/sys/fs/cgroup/unified"):
            # crun refuses hosts that mount cgroup v1 and v2: in a mount namespace of root the v2 tree can go away.
            if not berth.who.is_root:
                pytest.skip("crun does not know this host's cgroups")
            self.wrap = ["unshare", "-m", "sh", "-c", 'umount /sys/fs/cgroup/unified && exec "$@"', "--"]


@pytest.fixture(params=["runc", "crun"])
def other(berth, request):
    return Other(berth, request.param)


def test_an_external_runtime(berth, other):
    """The supervisor runs it by its OCI command line; an ordinary user's in a user namespace that the supervisor holds."""
    name = os.path.basename(other.path)
    result = berth.run("--runtime", name, "-i", "test", "sh", "-c", "cat; echo err >&2; id -u; exit 4", stdin="through it ", wrap=other.wrap)
    result.exits(4)
    assert (result.out, result.err) == ("through it 0\n", "err\n")
    limits = ["--memory", "64m"] if berth.who.is_root else []
    identity = berth.up("--runtime", other.path, *limits, wrap=other.wrap)
    assert berth.ok("exec", identity, "sh", "-c", "echo inside; id -u; cat /proc/1/comm").lines == ["inside", "0", "sleep"]
    assert berth.call("exec", identity, "sh", "-c", "exit 9").code == 9
    script = "id -u; id -g; pwd; echo $A; echo $HOME"
    out = berth.ok("exec", "-u", "app:audio", "-w", "/tmp", "-e", "A=b", identity, "sh", "-c", script).lines
    assert out == ["1000", "63", "/tmp", "b", "/home/app"]
    assert "sleep" in berth.ok("top", identity).out
    # Ending everything in it ends nothing else: without a cgroup of its own runc would take its caller's.
    bystander = berth.popen("run", "--rm", "-i", "--network", "none", "test", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    berth.ok("stop", "-t", "0", identity)
    berth.ok("start", identity, wrap=other.wrap)
    assert berth.ok("exec", identity, "echo", "again").text == "again"
    assert bystander.communicate(b"here", timeout=10)[0] == b"here"
    berth.ok("rm", "-f", identity)
    berth.assert_clean(identity)


def test_an_external_runtime_leaves_nothing(berth, other):
    before = {place: set(os.listdir(place)) for place in ("/run/runc", "/run/crun") if os.path.isdir(place)}
    berth.run("--runtime", other.path, "-v", "kept:/v", "test", "sh", "-c", "touch /x /v/y; exit 3", wrap=other.wrap).exits(3)
    assert berth.run("--runtime", other.path, "test", "/nosuch", wrap=other.wrap).code == 127
    assert berth.run("--runtime", other.path, "test", "/etc/passwd", wrap=other.wrap).code in (126, 127)
    berth.assert_clean()
    assert {place: set(os.listdir(place)) for place in before} == before, "its state belongs into our run directory"


def test_an_external_runtime_whose_supervisor_was_killed(berth, other):
    identity = berth.up("--runtime", other.path, wrap=other.wrap)
    pid = berth.pid(identity)
    os.kill(berth.supervisor(identity), signal.SIGKILL)
    berth.ok("rm", "-f", identity)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}") or stat_field(pid, 0) == "Z", "the container's end")
    berth.assert_clean(identity)


def test_an_external_runtime_whose_supervisor_does_not_answer(berth, other):
    """It is killed by who removes the container, and what it would have taken down with it."""
    identity = berth.up("--runtime", other.path, wrap=other.wrap)
    supervisor = berth.supervisor(identity)
    (berth.run_root / "containers" / identity / "control.sock").unlink()
    os.kill(supervisor, signal.SIGSTOP)
    berth.ok("rm", "-f", identity)
    berth.assert_clean(identity)


def test_what_an_external_runtime_is_not_asked_for(berth):
    """It would pass over these without a word."""
    name = shutil.which("runc") or pytest.skip("no runc here")
    berth.run("-v", "sub:/v", "test", "mkdir", "/v/a").check()
    part = "type=volume,source=sub,target=/mnt,volume-subpath=a"
    berth.run("--runtime", name, "--mount", part, "test", "true").fails(125, "not supported yet: volume-subpath")
    if not berth.who.is_root:
        berth.run("--runtime", name, "--pid", "host", "test", "true").fails(125, "not supported yet: --pid host")
    if berth.who.is_root:
        berth.run("--runtime", name, "--userns", "auto", "test", "true").fails(125, "not supported yet: --userns auto")


def test_a_runtime_that_is_missing(berth):
    for name in ("nosuchruntime", "/nosuch/runtime"):
        berth.run("--runtime", name, "test", "true").fails(125, f"unknown or invalid runtime name: {name}")
    berth.assert_clean()
    assert berth.names("-a") == []
