"""`--docker-compat`: the default network without names, as Docker's. docs/networks.md."""

import json
import os
import pathlib
import tempfile

import pytest
from host import wait_for
from net_host import lookup
from test_network_connect import net as root_net  # noqa: F401
from test_network_connect import who  # noqa: F401
from test_network_rate import Pair
from user_networks import needs_pasta


@pytest.fixture(params=["root", pytest.param("user", marks=needs_pasta)])
def pair(request):
    """Both in the default network."""
    if request.param == "root":
        net = request.getfixturevalue("root_net")
        made = Pair(net, "bridge", net.image, net.call)
    else:
        net, world = request.getfixturevalue("user_net"), request.getfixturevalue("world")
        made = Pair(net, "bridge", "test", lambda *args, **keywords: world.call(net, *args, **keywords))
    return made


def servers(pair, name):
    lines = pair.ok("exec", name, "cat", "/etc/resolv.conf").lines
    return [line.split()[1] for line in lines if line.startswith("nameserver")]


def sockets(pair, name):
    """UDP sockets in a container: the resolver's."""
    return pair.place(name).run("cat", "/proc/net/udp").splitlines()[1:]


def test_no_names_in_the_default_network(pair):
    pair.up("one", "--docker-compat", "--dns", "192.0.2.53")
    pair.up("two")
    assert servers(pair, "one") == ["192.0.2.53"] and not sockets(pair, "one")
    # It has none of its own for others either; they have theirs.
    assert lookup(pair.place("two"), "one") != [pair.address("one")]
    assert lookup(pair.place("two"), "two") == [pair.address("two")]
    pair.up("three", "--docker-compat")
    assert servers(pair, "three") and "127.0.0.11" not in servers(pair, "three")
    assert not [server for server in servers(pair, "three") if server.startswith("127.") or server == "::1"]


def test_other_networks_have_names(pair):
    pair.ok("network", "create", "--subnet", "10.88.4.0/24", "front")
    try:
        pair.up("one", "--docker-compat")
        pair.ok("run", "-d", "--name", "two", "--docker-compat", "--network", "front", "--network-alias", "web", pair.image, "sleep", "1000")
        before = servers(pair, "one")
        # The resolver comes with the first network that has names, and goes with the last.
        pair.ok("network", "connect", "--alias", "eins", "front", "one")
        assert servers(pair, "one") == ["127.0.0.11"]
        assert lookup(pair.place("one"), "web") == [pair.address("two", "front")]
        assert lookup(pair.place("two"), "eins") == [pair.address("one", "front")]
        pair.ok("network", "disconnect", "front", "one")
        assert servers(pair, "one") == before
        wait_for(lambda: not sockets(pair, "one"), "the resolver to go")
    finally:
        for name in ("one", "two"):
            pair.call("rm", "-f", name)
        pair.ok("network", "rm", "front")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--ip", "172.17.0.9"], "user specified IP address is supported on user defined networks only"),
        (["--network-alias", "web"], "network-scoped alias is supported only for containers in user defined networks"),
    ],
)  # fmt: skip
def test_refused_in_dockers_words(pair, flags, sentence):
    pair.call("create", "--docker-compat", "--network", "bridge", *flags, pair.image, "true").fails(125, sentence)
    pair.ok("network", "create", "front")
    try:
        pair.ok("create", "--name", "one", "--docker-compat", "--network", "front", pair.image, "true")
        flag = flags[0].replace("network-", "")
        pair.call("network", "connect", flag, flags[1], "bridge", "one").fails(1, sentence)
    finally:
        pair.call("rm", "-f", "one")
        pair.ok("network", "rm", "front")


@pytest.fixture
def settings():
    """A directory that every user may read."""
    with tempfile.TemporaryDirectory(prefix="berth-settings-") as name:
        os.chmod(name, 0o755)
        (pathlib.Path(name) / "berth").mkdir(mode=0o755)
        yield pathlib.Path(name)


def test_by_configuration(pair, settings):
    file = settings / "berth/berth.conf"
    command = ("create", "--name", "one", "--network", "bridge", "--network-alias", "web", pair.image, "true")
    for value in ("true", "false"):
        file.write_text(f"[network]\ndocker_compat = {value}\n")
        result = pair.call(*command, env={"XDG_CONFIG_HOME": str(settings)})
        if value == "true":
            result.fails(125, "network-scoped alias is supported only for containers in user defined networks")
        else:
            result.check()
    file.write_text("[network]\ndocker_compat = 1\n")
    pair.call(*command, env={"XDG_CONFIG_HOME": str(settings)}).fails(125, 'berth.conf:2: docker_compat is true or false, not "1"')
    assert json.loads(pair.ok("inspect", "one").out)[0]["NetworkSettings"]["Networks"]["bridge"]["Aliases"]
