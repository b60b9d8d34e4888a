"""Completion of object names, by the entry the shells call and by bash itself."""

import os
import subprocess

import pytest


def offered(berth, *words):
    """What `__complete` answers: the words, and what the shell is told to do with them."""
    lines = berth.ok("__complete", *words).lines
    assert lines[-1].startswith(":")
    return [line.split("\t")[0] for line in lines[:-1]], lines[-1]


@pytest.fixture
def objects(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    fresh.ok("tag", "test", "registry.example/app:1.2")
    fresh.up("--name", "runs")
    fresh.ok("create", "--name", "rests", "--network", "none", "-v", "data:/v", "-v", "/anonymous", "test")
    return fresh


def test_names_of_containers(objects):
    assert sorted(offered(objects, "rm", "")[0]) == ["rests", "runs"]
    assert offered(objects, "rm", "ru") == (["runs"], ":4")
    assert offered(objects, "container", "rm", "res")[0] == ["rests"]
    assert offered(objects, "stop", "")[0] == ["runs"], "only what runs can be stopped"
    assert offered(objects, "start", "")[0] == ["rests"]
    assert offered(objects, "exec", "-it", "")[0] == ["runs"]
    assert offered(objects, "exec", "-u", "app", "r")[0] == ["runs"]


def test_names_of_images_and_volumes(objects):
    assert offered(objects, "run", "")[0] == ["registry.example/app:1.2", "test:latest"]
    assert offered(objects, "run", "--rm", "-it", "te")[0] == ["test:latest"]
    assert offered(objects, "rmi", "reg")[0] == ["registry.example/app:1.2"]
    assert offered(objects, "run", "-v", "")[0] == ["data"], "no anonymous volumes"


def test_names_of_the_system(root_berth):
    assert "NET_ADMIN" in offered(root_berth, "run", "--cap-add", "")[0]
    assert offered(root_berth, "kill", "-s", "SIGH")[0] == ["SIGHUP"]
    assert offered(root_berth, "run", "--cgroupns", "")[0] == ["host", "private"]
    lines = root_berth.ok("__complete", "run", "-e", "MY_", env={"MY_OWN": "1"}).lines
    assert lines[0] == "MY_OWN"


def test_without_a_store(fresh):
    """Nothing to offer, nothing said, nothing made."""
    result = fresh.ok("__complete", "rm", "")
    assert (result.lines, result.err) == ([":4"], "")
    assert not fresh.root.exists()


def test_bash(objects):
    """As bash calls it: the script that `completion bash` prints, with the line that is typed."""
    script = objects.ok("completion", "bash").out
    for line, wanted in (("berth rm ru", ["runs"]), ("berth run registry.example/app:", ["1.2"]), ("berth sto", ["stop"])):
        program = f"""
        PATH={objects.programs}:$PATH
        {script}
        COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}
        compopt() {{ :; }}
        _berth_complete
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        keywords = {} if os.geteuid() == objects.who.uid else {"user": objects.who.uid, "group": objects.who.gid, "extra_groups": []}
        out = subprocess.run(["bash", "-c", program], capture_output=True, text=True, env=objects.environment() | {"PATH": os.environ["PATH"]}, cwd="/", **keywords)
        assert out.stdout.split() == wanted, (line, out)
