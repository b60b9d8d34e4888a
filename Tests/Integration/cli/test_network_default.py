"""What a container is connected to when nobody says, as root and as an ordinary user, each on a host of its own."""

import os
import shutil

import pytest
from host import wait_for
from net_host import NetBerth, require_root
from user_networks import OUTSIDE, World, wait_gone

# The suite's own setting is "none"; these containers are what a person gets.
ADDRESSES = "ls /sys/class/net; cat /proc/net/route"


@pytest.fixture
def engine(suite, who, berth_programs, test_archive, place):
    """berth on a host of its own, with a configuration that says nothing, and `settle` to make it say something."""
    require_root()
    if not who.is_root and not shutil.which("pasta"):
        pytest.skip("needs pasta (apt install passt)")
    made = DefaultRoot(suite, who, berth_programs, place) if who.is_root else DefaultUser(suite, who, berth_programs, place)
    try:
        made.ok("load", "-i", test_archive, timeout=60)
        yield made
        made.clear()
        made.gone()
    finally:
        made.close()


class DefaultRoot(NetBerth):
    def __init__(self, suite, who, programs, place):
        super().__init__(suite, who, programs)
        self.settings = place / "berth/berth.conf"
        self.settings.parent.mkdir()

    def settle(self, network):
        self.settings.write_text(f'[network]\ndefault = "{network}"\n')

    def popen(self, *args, env=None, **keywords):
        return super().popen(*args, env={"XDG_CONFIG_HOME": str(self.settings.parent.parent)} | (env or {}), **keywords)

    def gone(self):
        """Waits until nothing is left that networks need."""


class DefaultUser(DefaultRoot):
    """On a host with a way out and a /dev/net/tun."""

    def __init__(self, *words):
        super().__init__(*words)
        self.host.close()
        self.world = World()
        self.host = self.world.host

    def entering(self):
        return self.world.host.wrap("net", "mount")

    def gone(self):
        wait_gone(self)

    def close(self):
        super().close()
        self.world.close()


def interfaces(engine, *flags):
    return set(engine.ok("run", "--rm", *flags, "test", "ls", "/sys/class/net", timeout=20).lines)


def test_the_default_network_is_bridge(engine):
    container = engine.ok("run", "-d", "--name", "one", "-p", "8080:80", "test", "sleep", "1000", timeout=20).text
    seen = engine.inspect("one")
    assert seen["HostConfig"]["NetworkMode"] == "bridge"
    assert list(seen["NetworkSettings"]["Networks"]) == ["bridge"]
    assert engine.ok("port", "one").lines == ["80/tcp -> 0.0.0.0:8080"]
    routes = engine.ok("run", "--rm", "test", "sh", "-c", ADDRESSES, timeout=20).out
    assert "eth0" in routes
    assert "\t00000000\t" in routes, "no default route"
    # Names are answered on the default network too, where Docker has none.
    address = seen["NetworkSettings"]["IPAddress"]
    assert address in engine.ok("run", "--rm", "test", "sh", "-c", "nslookup one", timeout=20).out
    assert engine.ok("ps", "-q", "--no-trunc", "--filter", "network=bridge").lines == [container]


def test_a_setting_says_what_the_default_is(engine):
    assert interfaces(engine) == {"lo", "eth0"}
    engine.settle("none")
    assert interfaces(engine) == {"lo"}
    assert interfaces(engine, "--network", "bridge") == {"lo", "eth0"}
    engine.ok("network", "create", "team")
    engine.settle("team")
    # "default" is Docker's word for it.
    for flags in ((), ("--network", "default")):
        engine.ok("create", "--name", "one", *flags, "test", "true")
        assert list(engine.inspect("one")["NetworkSettings"]["Networks"]) == ["team"]
        assert engine.inspect("one")["HostConfig"]["NetworkMode"] == "team"
        engine.ok("rm", "one")
    engine.ok("network", "rm", "team")
    engine.call("run", "--rm", "test", "true").fails(125, "network team not found")
    engine.settle("container:one")
    engine.call("run", "--rm", "test", "true").fails(
        125, r'berth.conf:2: default: "container:one" is no network\'s name; write bridge, none, host or the name of a network')
    # Whoever says a network does not need the setting.
    assert interfaces(engine, "--network", "none") == {"lo"}


def test_ports_of_a_container_without_a_network_are_refused_or_told(engine):
    """As in Docker: a port published by a container that has no network of its own is not there."""
    engine.settle("none")
    outcome = engine.call("run", "-d", "-p", "8080:80", "test", "sleep", "1000", timeout=20)
    assert outcome.code == 0
    assert engine.ok("port", outcome.text).lines == []


def test_what_missing_pasta_means_for_the_default(suite, who, berth_programs, test_archive, place):
    require_root()
    if who.is_root or not shutil.which("pasta"):
        pytest.skip("only ordinary users need pasta")
    engine = DefaultUser(suite, who, berth_programs, place)
    try:
        engine.ok("load", "-i", test_archive, timeout=60)
        engine.world.host.sh(f"mount --bind /dev/null {os.path.realpath(shutil.which('pasta'))}", "mount")
        engine.call("run", "--rm", "test", "true").fails(125, r"need pasta.*apt install passt.*--network host or none")
        engine.ok("run", "--rm", "--network", "none", "test", "true")
        wait_for(lambda: not engine.directories(), "nothing to be left of the container")
    finally:
        engine.close()


def test_the_outside_is_reached_without_a_word(engine):
    if engine.who.is_root:
        pytest.skip("the host of root's tests has no outside; test_network_connect.py has")
    server = engine.world.serve("outside", "tcp", OUTSIDE, 7000)
    assert server.poll() is None
    engine.ok("run", "-d", "--name", "one", "test", "sleep", "1000", timeout=20)
    assert engine.world.ask(engine.pid("one"), "tcp", OUTSIDE, 7000)[2] == "hello"
