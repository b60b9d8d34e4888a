"""Volumes as dockerd has them: documents, tables and sentences side by side."""

import json
import os
import pathlib
import re
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from peer_docker import PrivateDocker  # noqa: E402
from test_volume import engine  # noqa: E402, F401


@pytest.fixture(scope="module")
def docker():
    why = PrivateDocker.why_not()
    if why:
        pytest.skip(why)
    # Short: the path of a socket has 107 characters.
    base = pathlib.Path(f"/tmp/berth-volumes-{os.getpid()}")
    server = PrivateDocker(base / "d")
    yield server
    server.close()
    shutil.rmtree(base)


@pytest.fixture
def both(docker, engine, test_archive):  # noqa: F811
    if not engine.who.is_root:
        pytest.skip("dockerd is root's")
    docker.ok("load", "-i", test_archive)

    def call(*words):
        """The same command to both: (exit code, output, error), without what names the programs."""
        mine, theirs = engine.call(*words, timeout=60), docker.call(*words)
        clean = lambda text: re.sub("^(Error response from daemon|Error): ", "", text.strip(), flags=re.M)  # noqa: E731
        return (mine.code, mine.text, clean(mine.err)), (theirs.returncode, theirs.stdout.strip(), clean(theirs.stderr))

    yield call
    for name in docker.ok("ps", "-aq").split():
        docker.call("rm", "-f", "-v", name)
    docker.call("volume", "rm", "-f", *docker.ok("volume", "ls", "-q").split())


def test_documents_and_tables(both):
    for words in (["aa"], ["--label", "x=1", "--label", "y", "bb"], ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m", "cc"]):
        assert both("volume", "create", *words)[0] == both("volume", "create", *words)[1]
    mine, theirs = [json.loads(answer[1]) for answer in both("volume", "inspect", "aa", "bb", "cc")]
    for ours, other in zip(mine, theirs):
        assert list(ours) == list(other)
        assert re.fullmatch(r"[-\d]+T[:\d]+(Z|[+-]\d\d:\d\d)", other["CreatedAt"]) and ours["CreatedAt"][:10] == other["CreatedAt"][:10]
        for key in ("Name", "Driver", "Scope"):
            assert ours[key] == other[key]
        assert (ours["Labels"] or {}) == (other["Labels"] or {}) and (ours["Options"] or {}) == (other["Options"] or {})
        assert ours["Mountpoint"].endswith(f"/volumes/{ours['Name']}/_data") and other["Mountpoint"].endswith(f"/volumes/{ours['Name']}/_data")
    for words in (
        ["volume", "ls"], ["volume", "ls", "-q"], ["volume", "ls", "-f", "label=x"], ["volume", "ls", "-f", "name=a"], ["volume", "ls", "-f", "dangling=false"],
        ["volume", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}} {{.Links}} {{.Size}}"], ["volume", "ls", "--format", "table {{.Name}}\t{{.Driver}}"],
        ["volume", "inspect", "-f", "{{.Name}} {{.Options}}", "cc"],
    ):  # fmt: skip
        mine, theirs = both(*words)
        # Docker lists labels in the order of its map, which is another one each time.
        assert mine[:2] == (theirs[0], theirs[1].replace("y=,x=1", "x=1,y=")), words


@pytest.mark.parametrize(
    "words",
    [
        ["volume", "create", "aa/b"], ["volume", "create", "-o", "x=y", "vv"], ["volume", "create", "-o", "type=nfs", "vv"], ["volume", "create", "-o", "size=1g", "vv"],
        ["volume", "ls", "-f", "nosuch=1"], ["run", "--rm", "--network", "none", "--volumes-from", "it:sideways", "test", "true"],
        ["run", "--rm", "--network", "none", "-v", "/x:/y:sideways", "test", "true"], ["run", "--rm", "--network", "none", "-v", "aa:/y", "-v", "bb:/y", "test", "true"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_sentences(both, words):
    both("create", "--name", "it", "--network", "none", "test", "true")
    mine, theirs = both(*words)
    assert mine[0] == theirs[0]
    words = lambda text: re.sub(r"^docker: |\.?\n?See '.*$|^Run 'docker run.*$", "", re.sub("^docker: Error response from daemon: ", "", text), flags=re.M).strip().rstrip(".")  # noqa: E731
    assert words(mine[2]).lower() == words(theirs[2]).lower()


def test_in_use(both):
    both("create", "--name", "it", "--network", "none", "-v", "data:/d", "test", "true")
    mine, theirs = both("volume", "rm", "data")
    clean = lambda text: re.sub("[0-9a-f]{64}", "ID", text)  # noqa: E731
    assert mine[0] == theirs[0] == 1 and clean(mine[2]) == clean(theirs[2]) == "remove data: volume is in use - [ID]"


def test_what_is_copied_and_who_owns_it(both):
    """Copy-up, precedence of --volumes-from."""
    run = ["run", "--rm", "--network", "none"]
    for words in (
        ["-v", "up1:/home/app", "test", "stat", "-c", "%u:%g %a", "/home/app"], ["-v", "etc:/etc", "test", "ls", "/etc"], ["-v", "no1:/home:nocopy", "test", "ls", "-A", "/home"],
        ["-v", "fresh:/fresh", "test", "stat", "-c", "%u:%g %a", "/fresh"],
    ):  # fmt: skip
        mine, theirs = both(*run, *words)
        hidden = ("hosts", "hostname", "resolv.conf", "mtab")
        assert [line for line in mine[1].split() if line not in hidden] == [line for line in theirs[1].split() if line not in hidden], words
    for name in ("aa", "bb"):
        both(*run, "-v", f"{name}:/v", "test", "sh", "-c", f"echo {name} > /v/f")
        both("create", "--name", name, "--network", "none", "-v", f"{name}:/v", "-v", f"{name}:/only-{name}", "test", "true")
    for flags in (["--volumes-from", "aa", "--volumes-from", "bb"], ["--volumes-from", "bb", "--volumes-from", "aa:ro"], ["--volumes-from", "aa", "-v", "bb:/v"]):
        mine, theirs = both(*run, *flags, "test", "sh", "-c", "cat /v/f; ls -d /only*; touch /v/x 2>/dev/null; echo $?")
        assert mine[:2] == theirs[:2], flags
