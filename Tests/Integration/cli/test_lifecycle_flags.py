"""The command line: Docker's spellings, its refusals, and help for every command."""

import pathlib
import re

import pytest

ROWS = [line.split("\t") for line in (pathlib.Path(__file__).parent / "flags.tsv").read_text().splitlines() if not line.startswith("#")]
COMMANDS = sorted({row[0] for row in ROWS})


def helped(berth, *words):
    return berth.ok(*words, "--help").out


# Spellings


def test_spellings_of_flags(root_berth):
    berth = root_berth
    script = "echo $A-$B-$C; pwd"
    for words in (
        ["-eA=1", "-e", "B=2", "--env=C=3", "-w/tmp"], ["-e=A=1", "--env", "B=2", "-eC=3", "--workdir=/tmp"],
        ["-ieA=1", "-eB=2", "-eC=3", "-w", "/tmp"],
    ):  # fmt: skip
        result = berth.run(*words, "test", "sh", "-c", script).check()
        assert result.lines == ["1-2-3", "/tmp"] or words[0].startswith("-e="), words
    assert berth.ok("run", "--rm=true", "--net", "none", "test", "echo", "x").text == "x"
    berth.ok("run", "--rm=false", "--network=none", "--name", "kept", "test", "true")
    assert berth.status("kept") == "exited"
    assert berth.ok("ps", "-aqf", "name=kept").text
    assert berth.ok("rm", "kept", "-f").text == "kept"  # a flag after the operand


def test_values_that_are_empty(root_berth):
    root_berth.call("run", "--rm", "--network", "none", "--env=", "test", "true").fails(125, "invalid environment variable")
    root_berth.run("--name=", "test", "true").check()
    root_berth.run("--user=", "--workdir=", "--hostname=", "test", "true").check()


def test_dashes_end_the_flags(berth):
    berth.up("--name", "it")
    assert berth.ok("stop", "-t", "0", "--", "it").text == "it"
    berth.call("stop", "--", "-t").fails(1, "no such container: -t")
    assert berth.ok("run", "--rm", "--network", "none", "--", "test", "echo", "--", "x").text == "-- x"


def test_the_last_of_several_wins(berth):
    assert berth.run("-w", "/etc", "-w", "/tmp", "test", "pwd").check().text == "/tmp"
    assert berth.run("--rm=false", "--rm", "test", "echo", "x").check().text == "x"


@pytest.mark.parametrize(
    "words, pattern",
    [
        (["ps", "--nosuch"], "^unknown flag: --nosuch\n\nUsage:  berth ps \\[OPTIONS\\]\n\nRun 'berth ps --help' for more information\n$"),
        (["ps", "-Z"], "^unknown shorthand flag: 'Z' in -Z\n"), (["ps", "-aZ"], "^unknown shorthand flag: 'Z' in -Z"),
        (["stop", "-t"], "^flag needs an argument: 't' in -t"), (["stop", "--time"], "^flag needs an argument: --time"),
        (["stop", "-t", "x", "c"], 'invalid argument "x" for "-t, --timeout" flag'), (["rm", "--force=perhaps", "c"], 'invalid argument "perhaps"'),
        (["run", "--rm=x", "test"], "invalid argument"), (["run", "--memory", "1q", "test"], 'invalid argument "1q" for "-m, --memory" flag'),
        (["run", "--cpus", "x", "test"], "invalid argument"), (["run", "--umask", "077", "test"], "not supported yet: --umask"),
        (["run", "--tz", "x", "--storage-opt", "size=1", "test"], "not supported yet: --tz, --storage-opt"),
        (["--host", "x", "ps"], "not supported yet: --host"), (["logs", "--color", "x"], "not supported yet: --color"),
    ],
)  # fmt: skip
def test_refusals_of_flags(root_berth, words, pattern):
    root_berth.call(*words).fails(125, pattern)


@pytest.mark.parametrize(
    "words, code, pattern",
    [
        (["nosuch"], 1, "^berth: unknown command: berth nosuch\n\nRun 'berth --help' for more information"),
        (["container", "nosuch"], 1, "unknown command: berth container nosuch"), (["pss"], 1, "did you mean.*\n *berth ps"),
        (["start"], 1, "^berth: 'berth start' requires at least 1 argument\n\nUsage:  berth start"), (["rename", "x"], 1, "requires 2 arguments"),
        (["ps", "x"], 1, "accepts no arguments"), (["kube", "x"], 125, "^berth: not supported yet: berth kube\n"),
        (["container", "runlabel", "x"], 125, "not supported yet: berth container runlabel"), (["system", "migrate"], 125, "not supported yet: berth system"),
        (["volume", "reload"], 125, "not supported yet"), (["bake"], 1, "unknown command"), (["clone"], 1, "unknown command"),
        (["farm", "a", "b"], 125, "not supported yet"), (["pod", "x"], 125, "not supported yet"), (["compose", "up"], 125, "not supported yet"),
        (["system", "reset"], 125, "not supported yet"), (["volume", "mount"], 125, "not supported yet"), (["help", "nosuch"], 1, "unknown help topic"),
    ],
)  # fmt: skip
def test_refusals_of_commands(root_berth, words, code, pattern):
    root_berth.call(*words).fails(code, pattern)


# Help


@pytest.mark.parametrize("command", [*COMMANDS, "container", "image", "system"])
def test_help(root_berth, command):
    words = command.split()
    out = helped(root_berth, *words)
    lines = out.splitlines()
    assert lines[0].startswith(f"Usage:  berth {command}")
    assert lines[1] == "" and lines[2] and not lines[2].endswith(".")
    assert all(len(line) <= 80 for line in lines), [line for line in lines if len(line) > 80]
    assert out == root_berth.ok("help", *words).out
    assert re.search("^(Options|Commands|Aliases|Examples):$", out, re.M) or command in ("rename", "wait", "pause", "unpause", "tag"), out


def test_help_of_the_program(root_berth):
    out = helped(root_berth)
    order = [out.index(title) for title in ("Common Commands:", "Management Commands:", "\nCommands:", "Global Options:", "Run 'berth COMMAND --help'")]
    assert order == sorted(order)
    for command in ("run", "exec", "ps", "container", "image", "system", "wait"):
        assert re.search(f"^  {command} +[A-Z]", out, re.M), command
    bare = root_berth.call()
    assert bare.code in (0, 1) and (bare.out + bare.err).startswith("Usage:  berth")


def test_aliases_are_the_same_command(root_berth):
    pairs = [("ps", "container ls"), ("rm", "container rm"), ("images", "image ls"), ("rmi", "image rm"), ("info", "system info")]
    for command in "attach create exec kill logs pause rename restart run start stop top unpause wait".split():
        pairs.append((command, f"container {command}"))
    for command in "import load save tag".split():
        pairs.append((command, f"image {command}"))
    for short, long in pairs:
        one, two = helped(root_berth, *short.split()), helped(root_berth, *long.split())
        assert one.partition("\n")[2] == two.partition("\n")[2], (short, long)
    for alias, command in {"container list": "container ls", "container ps": "container ls", "container remove": "container rm", "image list": "image ls"}.items():
        assert helped(root_berth, *alias.split()) == helped(root_berth, *command.split()), alias


# Every flag of Docker and podman


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_taken_or_refused_by_name(root_berth, command):
    out = helped(root_berth, *command.split())
    shown = set(re.findall(r"^ +(?:-., )?--([a-z0-9-]+)", out, re.M))
    for _, flag, letter, kind, engine in (row for row in ROWS if row[0] == command):
        word = f"--{flag}" if kind == "bool" else f"--{flag}=1"
        result = root_berth.call(*command.split(), word, "--help")
        assert "unknown flag" not in result.err, f"{engine}'s {command} --{flag}"
        if flag in shown and letter != "-" and engine == "docker":
            assert re.search(f"^ +-{re.escape(letter)}, --{re.escape(flag)}", out, re.M), f"{command} -{letter}, --{flag}"
        if flag not in shown:
            refused = root_berth.call(*command.split(), word, *["x"] * 3)
            assert refused.code == 125 or flag in ("time", "net", "help"), f"{command} --{flag}: {refused}"
            assert "not supported yet" in refused.err or flag in ("time", "net", "help"), f"{command} --{flag}: {refused.err}"
