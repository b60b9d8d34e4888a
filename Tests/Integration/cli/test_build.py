"""`berth build`: what a Dockerfile becomes, as root and as an ordinary user."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from host import wait_for

BASE = "FROM test\n"


@pytest.fixture
def berth(fresh, test_archive):
    """A store of its own for each test: what is known of steps decides what is done."""
    fresh.ok("load", "-i", test_archive, timeout=60)
    return fresh


@pytest.fixture
def context(place, who):
    """A function: writes files and a Dockerfile, gives the directory. Owned by who builds."""

    def make(dockerfile, files=None, name="context"):
        root = place / name
        root.mkdir(exist_ok=True)
        for path, content in ({"Dockerfile": dockerfile} | (files or {})).items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                file.write_bytes(content)
            else:
                file.write_text(content)
        for path in [root, *root.rglob("*")]:
            os.chown(path, who.uid, who.gid, follow_symlinks=False)
        return root

    return make


def build(berth, directory, *flags, **keywords):
    """Without a network, which an ordinary user has not everywhere."""
    return berth.call("build", "--network", "none", *flags, directory, timeout=60, **keywords)


def image(berth, directory, *flags):
    return build(berth, directory, "-q", *flags).check().text


def show(berth, identity, script):
    return berth.run(identity, "sh", "-c", script).check().out


def config(berth, identity):
    return json.loads(berth.ok("image", "inspect", identity).out)[0]["Config"]


# What a Dockerfile becomes

CONFIG = """
ARG WHO=world
ENV A=1 B="two $WHO" C=${A}x
LABEL one=1 "two words"="a b"
USER 1000:100
WORKDIR /a
WORKDIR b
EXPOSE 80 53/udp
VOLUME /v
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --retries=2 CMD test -e /up
SHELL ["/bin/sh", "-ec"]
ENTRYPOINT echo $A
CMD ["x", "y"]
ONBUILD RUN true
"""


def test_config(berth, context):
    found = config(berth, image(berth, context(BASE + CONFIG), "--label", "more=x", "--build-arg", "WHO=you"))
    assert {"A=1", "B=two you"} <= set(found["Env"]) and not any(entry.startswith("WHO") for entry in found["Env"])
    assert "C=x" in found["Env"], "an instruction does not see what it sets itself"
    assert {"one": "1", "two words": "a b", "more": "x"}.items() <= found["Labels"].items()
    assert (found["User"], found["WorkingDir"], found["StopSignal"]) == ("1000:100", "/a/b", "SIGINT")
    assert {"80/tcp", "53/udp"} <= set(found["ExposedPorts"]) and "/v" in found["Volumes"]
    assert found["Healthcheck"]["Test"] == ["CMD-SHELL", "test -e /up"] and found["Healthcheck"]["Interval"] == 5_000_000_000
    assert found["Entrypoint"] == ["/bin/sh", "-ec", "echo $A"] and found["Cmd"] == ["x", "y"]
    assert found["OnBuild"] == ["RUN true"]


RUN = """
ENV NAME=berth
ARG LATE
RUN echo "$NAME $LATE" > /out && id -u >> /out
RUN ["sh", "-c", "echo exec >> /out"]
RUN <<EOF
echo one >> /out
echo two >> /out
EOF
RUN <<EOF
#!/bin/sh
echo script >> /out
EOF
USER 1000:1000
RUN id -u > /tmp/who
WORKDIR /made/here
RUN pwd > /tmp/where; touch /etc/new 2>/tmp/why || echo denied > /tmp/denied
"""


def test_run(berth, context):
    identity = image(berth, context(BASE + "RUN mkdir -p -m 1777 /tmp\n" + RUN), "--build-arg", "LATE=arg")
    out = show(berth, identity, "cat /out /tmp/who /tmp/where /tmp/denied")
    assert out == "berth arg\n0\nexec\none\ntwo\nscript\n1000\n/made/here\ndenied\n"
    assert berth.ok("ps", "-aq").lines == [], "no container of a step is left"


COPY = """
COPY a /one
COPY a /in/
COPY *.txt /globbed/
COPY dir /whole
COPY dir/ a /both/
COPY --exclude=*.log dir /some
COPY --parents dir/sub/y /kept/
COPY --chown=1000:100 --chmod=640 a /owned
COPY --chmod=u=rwX,go=rX dir /modes
WORKDIR /w
COPY a ./
COPY <<ONE <<"RAW" /docs/
hello $HOME
ONE
hello $HOME
RAW
"""


def test_copy(berth, context):
    files = {"a": "a", "b.txt": "b", "c.txt": "c", "dir/x": "x", "dir/sub/y": "y", "dir/skip.log": "log"}
    identity = image(berth, context(BASE + COPY, files))
    assert show(berth, identity, "cat /one /in/a /globbed/b.txt /globbed/c.txt /whole/sub/y /both/x /both/a /kept/dir/sub/y /w/a") == "aabcyxaya"
    assert show(berth, identity, "ls /whole").split() == ["skip.log", "sub", "x"] and show(berth, identity, "ls /some").split() == ["sub", "x"]
    assert show(berth, identity, "stat -c '%u:%g %a' /owned /one /modes /modes/x").split("\n")[:2] == ["1000:100 640", "0:0 644"]
    assert show(berth, identity, "cat /docs/ONE /docs/RAW") == "hello \nhello $HOME\n"


THERE = """
RUN mkdir -m 1777 /real && ln -s real /link && echo old > /real/f && mkdir /real/d && ln -s / /real/up
COPY f /link/
COPY f /real/up/here
COPY d /real/d
"""


def test_copy_into_what_is_there(berth, context):
    """Links on the way lead on inside the image; a directory keeps its mode; a file is replaced."""
    identity = image(berth, context(BASE + THERE, {"f": "new\n", "d/g": "g\n"}))
    assert show(berth, identity, "cat /real/f /here /real/d/g; stat -c %a /real; readlink /link") == "new\nnew\ng\n1777\nreal\n"


STAGES = """
ARG TAG=none
FROM $TAG AS one
RUN echo one > /f
FROM one AS unused
RUN exit 7
FROM scratch AS files
COPY --from=one /f /f
FROM one AS last
COPY --from=files / /from-scratch/
COPY --from=0 /f /numbered
COPY --from=test /bin/busybox /from-image
RUN cat /f > /g
"""


def test_stages(berth, context):
    directory = context(STAGES)
    identity = image(berth, directory, "--build-arg", "TAG=test")
    assert show(berth, identity, "cat /from-scratch/f /numbered /g; test -x /from-image && echo there") == "one\none\none\nthere\n"
    files = image(berth, directory, "--target", "files", "--build-arg", "TAG=test")
    assert len(json.loads(berth.ok("image", "inspect", files).out)[0]["RootFS"]["Layers"]) == 1
    build(berth, directory, "--target", "unused", "--build-arg", "TAG=test").fails(1, "did not complete successfully: exit code: 7")
    build(berth, directory, "--target", "nosuch").fails(1, "nosuch")


def test_onbuild(berth, context):
    image(berth, context(BASE + "ONBUILD COPY f /f\nONBUILD RUN cat /f > /g\n"), "-t", "base")
    identity = image(berth, context("FROM base\nRUN cat /g > /h\n", {"f": "f\n"}, "second"))
    assert show(berth, identity, "cat /f /g /h") == "f\n" * 3
    assert not config(berth, identity).get("OnBuild")


def test_ignored_files(berth, context):
    files = {".dockerignore": "*.log\n!keep.log\ndir/**/no\n", "a": "", "x.log": "", "keep.log": "", "dir/yes": "", "dir/deep/no": "", "dir/deep/ok": ""}
    out = show(berth, image(berth, context(BASE + "COPY . /all\n", files)), "cd /all; find . -type f | sort").splitlines()
    assert out == ["./.dockerignore", "./Dockerfile", "./a", "./dir/deep/ok", "./dir/yes", "./keep.log"]
    build(berth, context(BASE + "COPY x.log /\n", files)).fails(1, '"x.log": not found')


ADD = "ADD plain.tar /p\nADD zipped.tar.gz /z/\nADD zst.tar.zst /s/\nADD --unpack=false plain.tar /kept\nCOPY plain.tar /copied\n"


def test_add_unpacks_archives(berth, context, place):
    (place / "tree/sub").mkdir(parents=True)
    (place / "tree/sub/f").write_text("packed\n")
    archives = {}
    for name, flags in (("plain.tar", []), ("zipped.tar.gz", ["-z"]), ("zst.tar.zst", ["--zstd"])):
        command = ["tar", "-c", *flags, "-f", "-", "-C", str(place / "tree"), "sub"]
        archives[name] = subprocess.run(command, check=True, capture_output=True).stdout
    out = show(berth, image(berth, context(BASE + ADD, archives)), "cat /p/sub/f /z/sub/f /s/sub/f; cmp /kept /copied && echo same")
    assert out == "packed\n" * 3 + "same\n"


MOUNTS = """
RUN --mount=type=cache,target=/cache echo x >> /cache/n; wc -l < /cache/n > /count
RUN --mount=type=bind,target=/ctx cat /ctx/f > /bound; touch /ctx/no 2>/dev/null || echo ro > /ro
RUN --mount=type=bind,rw,target=/ctx echo y > /ctx/f; cat /ctx/f > /written
RUN --mount=type=bind,from=test,source=/bin,target=/other ls /other/busybox > /listed
RUN --mount=type=tmpfs,target=/t echo z > /t/z
RUN --mount=type=secret,id=s cat /run/secrets/s > /seen; stat -c %a /run/secrets/s > /mode
RUN --mount=type=secret,id=s,env=S echo "$S" | tr a-z A-Z > /env
RUN --mount=type=secret,id=none ls /run/secrets 2>/dev/null > /none; true
"""


def test_mounts_of_run(berth, context, place):
    (place / "secret").write_text("hidden")
    os.chown(place / "secret", berth.who.uid, berth.who.gid)
    directory = context(BASE + MOUNTS, {"f": "f\n"})
    secret = ("--secret", f"id=s,src={place}/secret")
    identity = image(berth, directory, *secret)
    assert show(berth, identity, "cat /count /bound /ro /written /listed; cat /seen; echo; cat /mode /env").split() == [
        "1", "f", "ro", "y", "/other/busybox", "hidden", "400", "HIDDEN"]
    assert (directory / "f").read_text() == "f\n", "what is written to a bind mount goes nowhere"
    # The cache mount stays; the step is only done again when asked for.
    again = image(berth, directory, "--no-cache", *secret)
    assert show(berth, again, "cat /count") == "2\n"
    build(berth, context(BASE + "RUN --mount=type=secret,id=gone,required true\n")).fails(1, "secret gone: not found")


# The cache


def titles(result):
    """What was done and what was not: {title: cached}, without the images that stages begin with."""
    numbers = dict(re.findall(r"^#(\d+) (\[.*)$", result.err, re.M))
    return {title: f"#{number} CACHED" in result.err for number, title in numbers.items() if "] FROM " not in title}


def test_nothing_is_done_twice(berth, context):
    directory = context(BASE + "RUN date +%N > /now\nCOPY f /f\nRUN cat /f\nENV A=b\n", {"f": "1"})
    first = build(berth, directory, "-t", "one").check()
    assert list(titles(first).values()) == [False] * 3
    assert list(titles(build(berth, directory, "-t", "two").check()).values()) == [True] * 3
    ids = {berth.ok("image", "inspect", name, "--format", "{{.Id}}").text for name in ("one", "two")}
    assert len(ids) == 1, "known steps give the image that was built before"
    os.utime(directory / "f", (1, 1))
    assert list(titles(build(berth, directory).check()).values()) == [True] * 3, "times change nothing"
    (directory / "f").write_text("2")
    assert list(titles(build(berth, directory).check()).values()) == [True, False, False]
    assert list(titles(build(berth, directory, "--no-cache").check()).values()) == [False] * 3


def test_what_a_key_holds(berth, context):
    directory = context(BASE + "ARG V\nARG W\nRUN echo $V > /v\n")

    def cached(*flags):
        return list(titles(build(berth, directory, *flags).check()).values()) == [True]

    assert not cached("--build-arg", "V=1")
    assert cached("--build-arg", "V=1")
    assert not cached("--build-arg", "V=2")
    assert not cached("--build-arg", "V=1", "--build-arg", "W=1"), "the step could have read it"
    assert cached("--build-arg", "V=1", "--build-arg", "http_proxy=http://x"), "proxies are nobody's business but the step's"


def test_reproducible(berth, context):
    directory = context(BASE + "RUN echo a > /a\nCOPY f /f\n", {"f": "f"})
    first, second = (image(berth, directory, "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000") for _ in range(2))
    assert first == second
    assert json.loads(berth.ok("image", "inspect", first).out)[0]["Created"].startswith("2023-11-14T22:13:20")


def cache(berth):
    return json.loads(berth.ok("system", "df", "-v", "--format", "{{json .}}").out)["BuildCache"]


def test_prune_and_usage(berth, context):
    directory = context(BASE + "RUN head -c 300000 /dev/urandom > /big\nRUN true\n")
    identity = image(berth, directory)
    assert sorted((row["Description"].split()[1], row["Shared"]) for row in cache(berth)) == [("head", "true"), ("true", "false")]
    berth.ok("rmi", identity)
    assert {row["Shared"] for row in cache(berth)} == {"false"}
    line = next(line for line in berth.ok("system", "df").lines if line.startswith("Build Cache"))
    assert re.search(r"Build Cache\s+2\s+0\s+6\d\d\.?\d*kB", line), line
    assert image(berth, directory) == identity, "what is known is still used, and the image is there again"
    berth.ok("rmi", identity)
    out = berth.ok("builder", "prune", "-f").out
    assert "Deleted build cache objects:" in out and re.search(r"Total reclaimed space: 6\d\d\.?\d*kB", out), out
    assert cache(berth) == []
    berth.ok("system", "check")


def test_a_ceiling_for_the_cache(berth, context, place):
    (place / "berth").mkdir()
    (place / "berth/berth.conf").write_text('[build]\ncache_max = "1MB"\n')
    env = {"XDG_CONFIG_HOME": str(place)}
    for number in range(6):
        directory = context(BASE + f"RUN head -c 200000 /dev/urandom > /big{number}\n", name=f"c{number}")
        berth.ok("rmi", build(berth, directory, "-q", env=env).check().text)
        build(berth, context(BASE + "RUN true\n", name="small"), "-q", env=env).check()
    assert 1 <= len([row for row in cache(berth) if "big" in row["Description"]]) <= 2


# Faults and refusals


def test_messages(berth, context):
    result = build(berth, context(BASE + "RUM true\n")).fails(1, r"unknown instruction: RUM \(did you mean RUN\?\)")
    assert ">>> RUM true" in result.err
    result = build(berth, context(BASE + "RUN echo before; exit 3\n"))
    result.fails(1, 'process "/bin/sh -c echo before; exit 3" did not complete successfully: exit code: 3')
    assert "before" in result.err and "Dockerfile:2" in result.err
    build(berth, context(BASE + "COPY nosuch /\n")).fails(1, '"nosuch": not found')
    build(berth, context(BASE + "COPY a b /x\n", {"a": "", "b": ""})).fails(1, "must be a directory and end with a /")
    build(berth, context(BASE + "COPY ../../etc/passwd /x\n")).fails(1, "not found")
    build(berth, context("FROM nosuch.invalid/x\n")).fails(1, "nosuch.invalid")
    build(berth, "/nonexistent").fails(1, "no such file or directory")
    berth.call("build", "--squash", ".").fails(125, "not supported yet: --squash")
    berth.call("build", "https://example.com/x.git").fails(125, "not supported yet")
    build(berth, context(BASE + "ADD https://example.com/x /\n")).fails(1, "not supported yet: ADD of https://example.com/x")
    assert len(berth.ok("images", "-q").lines) == 1, "nothing is left of what failed"


def test_s67_files_of_the_build_itself_are_of_the_context(berth, context, canary):
    """A Dockerfile or ignore file that is a link is not read elsewhere."""
    (canary / "secret").chmod(0o644)
    directory = context("")
    (directory / "Dockerfile").unlink()
    (directory / "Dockerfile").symlink_to(canary / "secret")
    result = build(berth, directory).fails(1, "failed to read dockerfile")
    assert "canary" not in result.err.replace(str(directory), "")
    (directory / "Dockerfile").unlink()
    (directory / "Dockerfile").write_text(BASE + "COPY . /all\n")
    (directory / ".dockerignore").symlink_to(canary / "secret")
    build(berth, directory).check()


def test_s68_secrets_stay_nowhere(berth, context, place, who):
    """Neither in a layer, a blob, the config, the cache nor a log; nor in what processes are called with."""
    value = os.urandom(16).hex()
    (place / "secret").write_text(value)
    os.chown(place / "secret", who.uid, who.gid)
    directory = context(BASE + "RUN --mount=type=secret,id=s --mount=type=secret,id=s,env=S wc -c < /run/secrets/s > /n; sleep 1; test -n \"$S\"\n")
    process = berth.popen("build", "--network", "none", "-t", "x", "--secret", f"id=s,src={place}/secret", directory,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    seen = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    out = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 0, out
    assert show(berth, "x", "cat /n") == "32\n"
    assert value not in out and value not in seen
    assert value not in berth.ok("image", "inspect", "x").out + berth.ok("history", "--no-trunc", "x").out
    found = subprocess.run(["grep", "-rl", value, berth.root, berth.run_root], capture_output=True, text=True, check=False).stdout
    assert found == ""


def test_s14_s23_s25_what_a_step_has(berth, context):
    """No descriptor, capability or variable that nobody gave it."""
    directory = context(BASE + "RUN ls /proc/self/fd > /fds; grep Cap /proc/self/status > /caps; env > /env\n")
    build(berth, directory, "-t", "x", env={"SECRETX": "1"}).check()
    # The directory that is listed has one too.
    assert show(berth, "x", "cat /fds").split() == ["0", "1", "2", "3"]
    caps = dict(line.split() for line in show(berth, "x", "cat /caps").splitlines())
    assert int(caps["CapInh:"], 16) == int(caps["CapAmb:"], 16) == 0 and int(caps["CapBnd:"], 16) == 0x00000000A80425FB & int(caps["CapBnd:"], 16)
    assert "SECRETX" not in show(berth, "x", "cat /env")


def test_s79_what_a_step_writes_does_not_steer_the_terminal(berth, context):
    result = build(berth, context(BASE + "RUN printf 'a\\033[2Jb\\n'\n")).check()
    assert "\x1b" not in result.err and "[2Jb" in result.err


def test_a_link_of_the_context_leads_nowhere_else(berth, context, canary):
    directory = context(BASE + "COPY link /stolen\n")
    (directory / "link").symlink_to(canary / "secret")
    build(berth, directory).fails(1, "not found")
    (directory / "dir").symlink_to(canary)
    (directory / "Dockerfile").write_text(BASE + "COPY dir/secret /stolen\n")
    build(berth, directory).fails(1, "not found")


def test_a_step_cannot_write_outside(berth, context, canary):
    """A link that an image has where a copy goes leads inside the image."""
    links = f"RUN mkdir -p {canary} && ln -s {canary} /trap && ln -s ../../../../../..{canary} /climb\n"
    identity = image(berth, context(BASE + links + "COPY f /trap/f\nCOPY f /climb/g\n", {"f": "evil"}))
    assert not (canary / "f").exists() and not (canary / "g").exists()
    assert show(berth, identity, f"cat {canary}/f {canary}/g") == "evilevil"


def asleep():
    return "sleep 98771" in subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.xdist_group("build-killed")
def test_a_build_that_is_killed_leaves_nothing(berth, context, number):
    directory = context(BASE + "RUN touch /x; sleep 98771\n")
    process = berth.popen("build", "--network", "none", directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for(asleep, "the step")
    assert berth.ok("ps", "-aq").lines == [], "a step is no container"
    os.killpg(process.pid, number)
    process.wait(timeout=10)
    wait_for(lambda: not asleep(), "the step's end")
    wait_for(lambda: not berth.processes(), "the supervisor's end")
    build(berth, context(BASE + "RUN true\n", name="next")).check()
    assert [entry for entry in os.listdir(berth.root / "staging") if entry != ".lock"] == []
    wait_for(lambda: os.listdir(berth.root / "containers") == [], "the last step's supervisor to take its directory away")
    berth.ok("system", "check")


def test_two_builds_at_once(berth, context):
    """They share what they can, and neither is in the other's way."""
    running = []
    for number in range(4):
        directory = context(BASE + f"RUN echo shared > /s\nRUN echo {number % 2} > /n; sleep 0.2\n", name=f"c{number}")
        running.append(berth.popen("build", "--network", "none", "-q", directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    ids = []
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        ids.append(out.decode().strip())
    for number, identity in enumerate(ids):
        assert show(berth, identity, "cat /s /n") == f"shared\n{number % 2}\n"
    berth.ok("system", "check")


def test_events_tell_of_no_step(berth, context):
    since = str(int(time.time()))
    build(berth, context(BASE + "RUN true\n")).check()
    assert berth.ok("events", "--since", since, "--until", str(int(time.time()) + 1), "--filter", "type=container").out == ""


def test_names(berth, context, place, who):
    os.chown(place, who.uid, who.gid)
    directory = context(BASE + "RUN true\n")
    build(berth, directory, "-t", "one", "-t", "registry.example/two:x", "--iidfile", place / "id").check()
    names = {":".join(line.split()[:2]) for line in berth.ok("images").lines[1:]}
    assert {"one:latest", "registry.example/two:x"} <= names
    assert (place / "id").read_text() == berth.ok("image", "inspect", "one", "--format", "{{.Id}}").text
    build(berth, directory, "-t", "UPPER").fails(125, "invalid reference format")


def test_files_from_elsewhere(berth, context, place):
    directory = context("", {"f": "f\n"})
    (directory / "Dockerfile").unlink()
    build(berth, directory).fails(1, "failed to read dockerfile")
    assert build(berth, directory, "-q", "-f", "-", stdin=BASE + "COPY f /f\n").check().text.startswith("sha256:")
    (directory / "Containerfile").write_text(BASE + "COPY f /f\n")
    assert show(berth, image(berth, directory), "cat /f") == "f\n"
    other = pathlib.Path(place / "Other")
    other.write_text(BASE + "RUN echo other > /o\n")
    os.chmod(other, 0o644)
    assert show(berth, image(berth, directory, "-f", other), "cat /o") == "other\n"
