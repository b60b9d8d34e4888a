"""`berth-runtime checkpoint` and `restore`: runc's command line, with the real CRIU where it works."""

import json
import os
import re
import shutil
import sys

import pytest

from host import ConsoleSocket, REPOSITORY, wait_for

sys.path.insert(0, str(REPOSITORY / "Tests/Integration/cli"))
import checkpoints  # noqa: E402

COUNT = ("/bin/sh", "-c", "i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done")


@pytest.fixture
def criu(root_ct):
    if root_ct.runtime.kind != "berth":
        pytest.skip("about what berth-runtime gives to CRIU")
    return checkpoints.require()


@pytest.fixture
def counting(root_ct, criu):
    """A container whose shell counts, with its output in a file of the host."""
    (root_ct.rootfs / "bin").mkdir()
    for name in ("sh", "sleep", "cat"):
        shutil.copy(shutil.which("busybox"), root_ct.rootfs / "bin" / name)
    root_ct.process["args"] = list(COUNT)
    root_ct.save()
    run(root_ct, criu, "run", "--detach", "--bundle", root_ct.dir)
    root_ct.wait_log("^tick 3$")
    return root_ct


def run(ct, criu, command, *flags):
    result = ct.call_detached(command, *flags, ct.id, options=["--criu", criu])
    assert result.code == 0, result.err
    return result


def ticks(ct):
    return [int(number) for number in re.findall(r"^tick (\d+)$", ct.log, re.M)]


def goes_on(ct, before):
    wait_for(lambda: len(ticks(ct)) > len(before) + 2, "it to go on")
    seen = ticks(ct)
    assert seen == list(range(len(seen)))


def test_checkpoint_and_restore(counting, criu):
    ct = counting
    run(ct, criu, "checkpoint", "--image-path", ct.dir / "images", "--work-path", ct.dir / "work")
    ct.call("state", ct.id).refused("does not exist")
    ct.assert_clean()
    assert (ct.dir / "work/dump.log").exists() and not (ct.dir / "images/dump.log").exists()
    assert json.loads((ct.dir / "images/descriptors.json").read_text())[0] == "/dev/null"
    before = ticks(ct)
    run(ct, criu, "restore", "--detach", "--bundle", ct.dir, "--image-path", ct.dir / "images", "--pid-file", ct.dir / "pid")
    goes_on(ct, before)
    assert ct.status == "running" and int((ct.dir / "pid").read_text()) == ct.pid
    assert ct.exec("/bin/cat /proc/self/cgroup").check().out


def test_leave_running_and_another_id(counting, criu):
    ct = counting
    pid = ct.pid
    run(ct, criu, "checkpoint", "--leave-running", "--image-path", ct.dir / "images")
    assert ct.status == "running" and ct.pid == pid
    goes_on(ct, ticks(ct))
    ct.kill()
    ct.wait_status("stopped")
    ct.delete()
    run(ct, criu, "restore", "--detach", "--bundle", ct.dir, "--image-path", ct.dir / "images")
    assert ct.status == "running"


def test_restore_in_the_foreground(counting, criu):
    """The exit status is the container's, and nothing is left."""
    ct = counting
    run(ct, criu, "checkpoint", "--image-path", ct.dir / "images")
    with open(ct.dir / "out", "ab") as out:
        process = ct.popen("restore", "--bundle", ct.dir, "--image-path", ct.dir / "images", ct.id, options=["--criu", criu], stdout=out)
        before = ticks(ct)
        goes_on(ct, before)
        ct.kill("KILL")
        assert process.wait(20) == 137
    ct.assert_clean()


def test_a_terminal(counting, criu):
    ct = counting
    run(ct, criu, "checkpoint", "--image-path", ct.dir / "images")
    ct.process["terminal"] = True
    ct.process["args"] = ["/bin/sh", "-c", "while read l; do echo got $l; done"]
    ct.save()
    first, second = (ConsoleSocket(ct.dir / name, ct.who) for name in ("first.sock", "second.sock"))
    run(ct, criu, "run", "--detach", "--bundle", ct.dir, "--console-socket", first.path)
    terminal, _ = first.receive()
    run(ct, criu, "checkpoint", "--image-path", ct.dir / "second")
    terminal.close()
    run(ct, criu, "restore", "--detach", "--bundle", ct.dir, "--image-path", ct.dir / "second", "--console-socket", second.path)
    terminal, text = second.receive()
    assert text == "/dev/ptmx"
    terminal.write("x\n")
    terminal.read_until("got x")
    terminal.close()
    for console in (first, second):
        console.close()


@pytest.mark.parametrize("words, why", [
    (["restore", "--bundle", "{dir}", "--image-path", "/nonexistent", "--detach"], "open checkpoint"),
    (["restore", "--bundle", "{dir}", "--image-path", "{dir}", "--detach"], "it is none that berth-runtime made"),
    (["checkpoint", "--manage-cgroups-mode", "x", "--image-path", "{dir}/images"], "soft, full, strict or ignore|does not exist"),
    (["checkpoint", "--page-server", "x", "--image-path", "{dir}/images"], "ADDRESS:PORT|does not exist"),
    (["checkpoint", "--empty-ns", "pid", "--image-path", "{dir}/images"], "only network can be restored empty"),
])  # fmt: skip
def test_refusals(root_ct, words, why, tmp_path):
    if root_ct.runtime.kind != "berth":
        pytest.skip("in berth-runtime's words")
    fake = checkpoints.Fake(tmp_path)
    fake.does("fails")
    if words[0] == "checkpoint":
        root_ct.up()
    else:
        root_ct.save()
    log = root_ct.file("log")
    words = [word.format(dir=root_ct.dir) for word in words]
    root_ct.call(*words, root_ct.id, options=["--criu", str(fake.path), "--log", str(log), "--log-format", "json"]).refused(why)
    assert re.search(why, json.loads(log.read_text())["msg"])
    assert not fake.began
    if words[0] == "checkpoint":
        assert root_ct.status == "running"


def test_an_ordinary_user(ct):
    if ct.who.is_root or ct.runtime.kind != "berth":
        pytest.skip("about ordinary users")
    ct.up()
    ct.call("checkpoint", "--image-path", ct.dir / "images", ct.id, options=["--criu", "/bin/true"]).refused("checkpoints need the machine's root")
    assert ct.status == "running"
