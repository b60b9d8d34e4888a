"""The rows about networks: bridge, traffic, usertraffic, names, ports, netmemory. Part of `Bench` in run.py.

Each engine has a host of its own (network_hosts.py), so that none is in another's firewall rules or ports.
"""

import contextlib
import json
import os
import pathlib
import socket
import statistics
import subprocess
import time

import engines
import harness
import network_hosts as hosts
from engines import IMAGE
from harness import NotMeasured, Sample, interleaved, number, output, say

# Two measurements of the same differ by so much.
AS_FAST = 0.95
KINDS = {
    "berth": hosts.Berth, "podman": hosts.Podman, "docker": hosts.Docker, "docker --userland-proxy=false": hosts.DockerWithoutProxy,
    "berth of a user": hosts.UserBerth, "podman of a user": hosts.UserPodman,
}  # fmt: skip
NAMES = ("berth", "podman", "docker")


class NetworkRows:
    # What the rows share.

    connected = world = account = None

    def on_hosts(self, *names):
        """{name: engine, or NotMeasured}, each started on its host when it is first asked for."""
        if not self.world:
            self.connected, self.world = {}, hosts.World()
            self.covered = [hosts.Covered(directory) for directory in ("/run/containers", "/run/netns")]
        for name in names:
            if name not in self.connected:
                say(f"  starting {name} on a host of its own")
                self.connected[name] = self.start_on_host(KINDS[name])
        return {name: self.connected[name] for name in names}

    def start_on_host(self, kind):
        engine = kind.__new__(kind)
        try:
            if issubclass(kind, hosts.OfUser):
                engine.account = self.user()
            engine.host = self.world.host()
            with engine.host:
                engine.__init__(self.base)
                engine.import_image(self.tar)
                self.versions.setdefault(kind.name.partition("-")[0], engine.version())
            return engine
        except (NotMeasured, OSError, subprocess.SubprocessError) as why:
            return NotMeasured(str(why))

    def user(self):
        self.account = self.account or hosts.Account(self.outside)
        return self.account

    def close_networks(self):
        if not self.world:
            return
        for engine in self.connected.values():
            if not isinstance(engine, NotMeasured):
                with engine.host:
                    engine.close()
        if self.account:
            hosts.kill(self.account.processes)
            self.account.forget()
        self.world.close()
        for directory in self.covered:
            directory.close()

    def told_version(self, program, *words):
        self.versions[program] = f"{program}: " + (output([engines.find(program), *words], check=False).splitlines() or ["?"])[0]

    @contextlib.contextmanager
    def pairs(self, *names):
        """Two containers in a network for each engine: {name: Pair or NotMeasured}."""
        found = {}
        try:
            for name, engine in self.on_hosts(*names).items():
                try:
                    found[name] = engine if isinstance(engine, NotMeasured) else hosts.Pair(engine, IMAGE)
                except (NotMeasured, OSError) as why:
                    found[name] = NotMeasured(str(why))
            yield found
        finally:
            for name, pair in found.items():
                if not isinstance(pair, NotMeasured):
                    pair.close()
                elif not isinstance(self.connected[name], NotMeasured):
                    with self.connected[name].host:
                        self.connected[name].remove_all()

    # The rows.

    def bridge(self):
        table = self.table(
            "bridge", "`run --rm IMAGE true` in the default network", "ms, median (min–max)",
            "At least 20 times as fast as podman and docker; aim: at most 3 ms more than without a network")
        found, commands, place = {}, {}, {}
        for name, engine in self.on_hosts(*NAMES).items():
            if isinstance(engine, NotMeasured):
                found[name] = engine
                continue
            for network in ("bridge", "none") if name == "berth" else ("",):
                who = f"berth --network {network}" if network else name
                flags = ["--network", network] if network else []
                commands[who] = engine.call("run", *engine.more_run, "--rm", *flags, IMAGE, "true")
                place[who] = engine.host
        with hosts.preserved():
            found.update(interleaved(commands, self.rounds(30), before=lambda who: place[who].enter()))
        with_bridge, without = (found.get(f"berth --network {network}", found.get("berth")) for network in ("bridge", "none"))
        table.add("berth --network bridge", with_bridge)
        table.add("berth --network none", without)
        table.add("podman (netavark)", found["podman"], at_least=20)
        table.add("docker", found["docker"], at_least=20)
        if isinstance(with_bridge, Sample) and isinstance(without, Sample):
            more = with_bridge.median - without.median
            table.note = f"The bridge costs {more:.1f} ms (aim: at most 3 ms): {'met' if more <= 3 else '**short**'}."
        return [table]

    def traffic(self):
        """Bytes between two containers, and to a published port by three ways."""
        ways = {
            "container": ("container to container on one bridge", lambda pair: (pair.client, pair.server.address())),
            "port": ("the host to a published port, by its own address", lambda pair: (pair.engine.host, pair.engine.host.own_address)),
            "loopback": ("the host to a published port, by 127.0.0.1", lambda pair: (pair.engine.host, "127.0.0.1")),
            "outside": ("another machine to a published port", lambda pair: (self.world.outside, pair.engine.host.own_address)),
        }
        tables = []
        self.told_version("iperf3", "--version")
        with self.pairs(*NAMES) as pairs:
            for key, (title, ends) in ways.items():
                table = self.table(f"traffic-{key}", f"iperf3, {title}", "Gbit/s, median (min–max)",
                                   "Not slower than docker; 5 % are noise", larger_is_better=True)  # fmt: skip
                runs = {}
                for name, pair in pairs.items():
                    runs[name] = pair if isinstance(pair, NotMeasured) else Way(pair.server, *ends(pair))
                found = self.rates(runs)
                for name in NAMES:
                    table.add(name, found[name], at_least=AS_FAST if name == "docker" else None)
                tables.append(table)
        return tables

    def rates(self, runs):
        """{name: Way} in turn: {name: Sample of Gbit/s or NotMeasured}."""
        found = {name: [] if isinstance(way, Way) else way for name, way in runs.items()}
        for _ in range(2 if self.quick else 5):
            for name, way in runs.items():
                if isinstance(found[name], NotMeasured):
                    continue
                try:
                    found[name].append(way.rate(1 if self.quick else 3))
                except NotMeasured as why:
                    found[name] = why
        return {name: values if isinstance(values, NotMeasured) else Sample(values) for name, values in found.items()}

    def usertraffic(self):
        """An ordinary user's: published ports and the way out, against the programs that do it and podman with them."""
        for program in ("iperf3", "pasta", "slirp4netns"):
            self.told_version(program, "--version")
        with contextlib.ExitStack() as stack:
            places = self.user_places(stack)
            seen = [f"{who}: {self.source_seen(place)}" for who, place in places.items() if not isinstance(place, NotMeasured)]
            ways = {
                "port": ("the host to a user's published port", lambda place: Way(place.inside, place.host, place.host.own_address)),
                "outside": ("another machine to a user's published port",
                            lambda place: Way(place.inside, self.world.outside, place.host.own_address)),
                "out": ("a user's container to a machine behind ten routers",
                        lambda place: Way(self.world.far(), place.inside, self.world.far().address_there)),
                "near": ("a user's container to a machine beside it, no router between",
                         lambda place: Way(self.world.outside, place.inside, place.host.outside_address)),
            }
            tables = []
            for key, (title, build) in ways.items():
                table = self.table(f"user-{key}", f"iperf3, {title}", "Gbit/s, median (min–max)",
                                   "At least as much as each of the others; 5 % are noise", larger_is_better=True)  # fmt: skip
                found = self.rates({who: place if isinstance(place, NotMeasured) else build(place) for who, place in places.items()})
                for who, value in found.items():
                    table.add(who, value, at_least=None if who.startswith("berth") else AS_FAST)
                tables.append(table)
            for table, server, address in ((tables[2], self.world.far(), self.world.far().address_there), (tables[3], self.world.outside, None)):
                table.note = self.distance(server, address)
            tables[1].note = "The client's address as the container sees it. " + "; ".join(seen) + "."
            tables.append(self.round_trips(places))
        return tables

    def distance(self, server, address):
        """How far a machine is from a host, without any of the programs between."""
        host = self.world.hosts[0]
        direct = Way(server, host, address or host.outside_address)
        rate = direct.rate(1)
        return f"From the host itself: {number(rate)} Gbit/s, the shortest round trip {direct.shortest} µs."

    def round_trips(self, places):
        """A byte and the byte that answers it, again and again by one connection."""
        table = self.table(
            "user-answer", "a byte from another machine to a user's published port, and its answer", "µs, median (min–max)",
            "Not slower than podman; 20 % are noise")  # fmt: skip
        found = {who: place if isinstance(place, NotMeasured) else [] for who, place in places.items()}
        for _ in range(3 if self.quick else 7):
            for who, place in places.items():
                if isinstance(found[who], list):
                    try:
                        found[who].append(self.round_trip(place))
                    except (NotMeasured, OSError) as why:
                        found[who] = why if isinstance(why, NotMeasured) else NotMeasured(str(why))
        for who, values in found.items():
            table.add(who, values if isinstance(values, NotMeasured) else Sample(values), at_least=0.8 if who.startswith("podman") else None)
        return table

    def round_trip(self, place, count=200):
        port = hosts.Pair.port
        with place.inside:
            echo = subprocess.Popen(["python3", "-c", ECHO, str(port)], stdin=harness.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            if echo.stdout.readline() != "ready\n":
                raise NotMeasured("the server does not start")
            with self.world.outside, socket.create_connection((place.host.own_address, port), timeout=5) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for _ in range(count // 10):
                    answered(client)
                begin = time.monotonic()
                for _ in range(count):
                    answered(client)
                return (time.monotonic() - begin) / count * 1e6
        finally:
            echo.stdout.close()
            harness.end(echo, 2)

    def user_places(self, stack):
        places = {}
        pairs = stack.enter_context(self.pairs("berth of a user", "podman of a user"))
        for name, pair in pairs.items():
            label = "podman of a user, bridge" if name.startswith("podman") else name
            places[label] = pair if isinstance(pair, NotMeasured) else Place(pair.engine.host, pair.server)
        programs = {
            "podman of a user, slirp4netns (its default)": self.podman_alone, "pasta alone": self.pasta_alone,
            "slirp4netns alone": self.slirp_alone,
        }  # fmt: skip
        for label, start in programs.items():
            try:
                host = self.world.host()
                place = Place(host, start(stack, host))
                if not harness.wait_until(lambda inside=place.inside: has_route(inside), 5):
                    raise NotMeasured("its namespace gets no route")
                places[label] = place
            except (NotMeasured, OSError) as why:
                places[label] = NotMeasured(str(why))
        return places

    def podman_alone(self, stack, host):
        """A container in podman's default network of users, on a host where nothing else has the port."""
        engine = self.on_hosts("podman of a user")["podman of a user"]
        if isinstance(engine, NotMeasured):
            raise engine
        with host:
            output(engine.call("run", *engine.more_run, "-d", "--name", "bench-alone", "-p", f"{hosts.Pair.port}:{hosts.Pair.port}",
                               "--network", "slirp4netns", IMAGE, "sleep", "3600"))  # fmt: skip
            pid = int(output(engine.call("inspect", "--format", "{{.State.Pid}}", "bench-alone")))
        return hosts.Namespace(f"/proc/{pid}/ns/net")

    def spawn(self, stack, host, *words):
        """A program of the user's on a host, until the row ends."""
        command = self.user().home(self.outside / "home")
        with host:
            process = subprocess.Popen([*command, *words], stdin=harness.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        stack.callback(harness.end, process)
        return process

    def pasta_alone(self, stack, host):
        port = str(hosts.Pair.port)
        none = [word for way in ("-u", "-T", "-U") for word in (way, "none")]
        pasta = self.spawn(stack, host, engines.find("pasta"), "-f", "-q", "--config-net", "--no-map-gw", "-t", port, *none, "sleep", "3601")
        return self.namespace_of(pasta, "3601", host)

    def slirp_alone(self, stack, host):
        sleeper = self.spawn(stack, host, "unshare", "-U", "-r", "-n", "sleep", "3602")
        inside = self.namespace_of(sleeper, "3602", host)
        control = self.outside / "home/slirp.sock"
        words = ["--configure", "--mtu=65520", "--api-socket", str(control), str(inside.pid), "tap0"]
        slirp = self.spawn(stack, host, engines.find("slirp4netns"), *words)
        if not harness.wait_until(lambda: slirp.poll() is not None or control.exists(), 5) or slirp.poll() is not None:
            raise NotMeasured(f"slirp4netns does not start: {harness.last_line(slirp.stderr.read() if slirp.poll() is not None else '')}")
        request = {"proto": "tcp", "host_addr": "0.0.0.0", "host_port": hosts.Pair.port, "guest_addr": "10.0.2.100", "guest_port": hosts.Pair.port}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(control))
            connection.sendall(json.dumps({"execute": "add_hostfwd", "arguments": request}).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096).decode()
        if "error" in answer:
            raise NotMeasured(f"slirp4netns: {answer[:100]}")
        return inside

    def namespace_of(self, process, mark, host):
        """Where the user's `sleep` with this argument is, once it is no longer on the host itself."""

        def sleeper():
            for pid in self.account.processes():
                with contextlib.suppress(OSError):
                    if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() == f"sleep\0{mark}\0".encode() and pid not in host.processes():
                        return pid
            return None

        pid = harness.wait_until(lambda: process.poll() is not None or sleeper(), 5)
        if not pid or process.poll() is not None:
            raise NotMeasured(f"it does not start: {harness.last_line(process.stderr.read() if process.poll() is not None else '')}")
        namespace = hosts.Namespace(f"/proc/{pid}/ns/net")
        namespace.pid = pid
        return namespace

    def source_seen(self, place):
        """Connects from outside and tells what the one inside is told of the client's address."""
        port, why = hosts.Pair.port, None
        with place.inside, socket.create_server(("0.0.0.0", port)) as server:
            server.settimeout(3)
            # A first connection may be lost while the neighbours get to know each other.
            for _ in range(3):
                try:
                    with self.world.outside, socket.create_connection((place.host.own_address, port), timeout=3) as client:
                        seen, own = server.accept()[1][0], client.getsockname()[0]
                    return "kept" if seen == own else f"**{seen}** instead"
                except OSError as error:
                    why = error
        return f"not measured ({why})"

    def names(self):
        """Questions about another container's name, asked inside a container."""
        outstanding, seconds = 16, "2" if self.quick else "5"
        table = self.table(
            "names", f"names answered in a container, {outstanding} questions outstanding", "answers per second, median (min–max)",
            "At least twice as many", larger_is_better=True)  # fmt: skip
        asker = self.outside / "ask-names"
        output([engines.find("gcc"), "-O2", "-o", str(asker), str(engines.ROOT / "bench/micro/ask-names.c")])
        found, trouble = {name: [] for name in NAMES}, dict.fromkeys(NAMES, 0)
        with self.pairs(*NAMES) as pairs:
            for _ in range(3 if self.quick else 5):
                for name, pair in pairs.items():
                    if isinstance(pair, NotMeasured) or isinstance(found[name], NotMeasured):
                        found[name] = pair if isinstance(pair, NotMeasured) else found[name]
                        continue
                    try:
                        with pair.client:
                            words = output([str(asker), name_server(pair.client.pid), "bench-server", seconds, str(outstanding)]).split()
                        if words[1] == "0":
                            raise NotMeasured(f"no answers, {words[2]} failures, {words[3]} lost")
                        found[name].append(float(words[0]))
                        trouble[name] += int(words[2]) + int(words[3])
                    except NotMeasured as why:
                        found[name] = why
        for name, label in (("berth", "berth"), ("podman", "podman (aardvark-dns)"), ("docker", "docker")):
            value = found[name] if isinstance(found[name], NotMeasured) else Sample(found[name])
            text = f"{value}, **{trouble[name]} failed or lost**" if trouble[name] else None
            table.add(label, value, text, at_least=None if name == "berth" else 2)
        return [table]

    def ports(self):
        """A range of published ports: until the container has started, and what is resident then."""
        count = 100 if self.quick else 1000
        table = self.table("ports", f"`run -d` with {count:,} published ports", "ms, median (min–max)", "Faster than docker")
        memory = self.table(
            "ports-memory", f"all processes of the engine with {count:,} published ports", "KiB of PSS",
            "Supervisors, shims, proxies and servers; not the container itself")  # fmt: skip
        names = ("berth", "podman", "docker", "docker --userland-proxy=false")
        ready = self.on_hosts(*names)
        found = {name: engine for name, engine in ready.items() if isinstance(engine, NotMeasured)}
        ready = {name: engine for name, engine in ready.items() if name not in found}
        resident, quiet = {}, {}

        def command(engine, *flags):
            network = ["--network", "bridge"] if engine.name.startswith("berth") else []
            return engine.call("run", *engine.more_run, "-d", "--name", "bench-ports", *network, *flags, IMAGE, "sleep", "3600")

        def look(name, into):
            time.sleep(2)  # as for `memory`
            into.setdefault(name, []).append(ready[name].host.proportional_kib())
            ready[name].remove_all()

        with hosts.preserved():
            for name, engine in ready.items():
                engine.host.enter()
                with contextlib.suppress(NotMeasured):
                    output(command(engine))
                look(name, quiet)
            spread = f"20000-{19999 + count}:20000-{19999 + count}"
            commands = {name: command(engine, "-p", spread) for name, engine in ready.items()}
            found.update(interleaved(commands, 1 if self.quick else 2, warm=0, before=lambda name: ready[name].host.enter(),
                                     after=lambda name: look(name, resident)))  # fmt: skip
        for name in names:
            table.add(name, found[name], at_least=1 if name.startswith("docker") else None)
            value = found[name]
            text = None
            if name in resident:
                value, before = statistics.median(resident[name]), statistics.median(quiet[name])
                text = f"{number(value)}, {max(value - before, 0):,.0f} of it for the ports"
            memory.add(name, value, text, at_least=1 if name.startswith("docker") else None)
        return [table, memory]

    def netmemory(self):
        """What a container more costs on a network, all processes of the engine counted."""
        count = 5 if self.quick else 20
        table = self.table(
            "netmemory", f"memory that each of {count} containers adds by being in a network", "KiB of PSS",
            "All processes of the engine, name servers included, with a network of one's own and with `--network none`, in turn")  # fmt: skip
        for name, engine in self.on_hosts(*NAMES).items():
            table.add(name, *((engine,) if isinstance(engine, NotMeasured) else self.added(engine, count)))
        table.note = "Servers written in Go take and give back memory by themselves: with docker a few hundred KiB are noise."
        return [table]

    def added(self, engine, count):
        sums = {"none": [], hosts.NETWORK: []}
        try:
            with engine.host:
                output(engine.call("network", "create", hosts.NETWORK))
                for _ in range(1 if self.quick else 3):
                    for network, values in sums.items():
                        command = engine.call("run", *engine.more_run, "-d", "--network", network, IMAGE, "sleep", "3600")
                        _, failures, text = harness.parallel([command] * count, 2)
                        if failures:
                            raise NotMeasured(f"{failures} of {count} did not start: {text}")
                        time.sleep(2)
                        values.append(engine.host.proportional_kib() / count)
                        engine.remove_all()
        except NotMeasured as why:
            return (why,)
        finally:
            with engine.host:
                engine.remove_all()
                output(engine.call("network", "rm", hosts.NETWORK), check=False)
        without, joined = map(statistics.median, sums.values())
        more = joined - without
        # Less than nothing is noise, and no base for a ratio.
        return more if more > 0 else None, f"{number(more) if more > 0 else 'nothing'} ({number(joined)} against {number(without)})"


ECHO = """
import socket, sys
server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
print("ready", flush=True)
client, _ = server.accept()
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while data := client.recv(100): client.sendall(data)
"""


def answered(client):
    client.sendall(b"x")
    if client.recv(100) != b"x":
        raise NotMeasured("the connection has ended")


class Place:
    """Where a user's container is: the host, and the namespace inside."""

    def __init__(self, host, inside):
        self.host, self.inside = host, inside


class Way:
    """Bytes from a client's namespace to an address that leads to a server's namespace."""

    def __init__(self, server, client, address):
        self.server, self.client, self.address, self.shortest = server, client, address, None

    def rate(self, seconds):
        """Gbit/s that arrive."""
        port, program = str(hosts.Pair.port), engines.find("iperf3")
        with self.server:
            server = subprocess.Popen([program, "-s", "-1", "--forceflush", "-p", port], stdin=harness.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)  # fmt: skip
        try:
            seen = ""
            while "listening" not in seen:
                line = server.stdout.readline()
                if not line:
                    raise NotMeasured(f"iperf3: {harness.last_line(seen)}")
                seen += line
            with self.client:
                done = subprocess.run([program, "-c", self.address, "-p", port, "-t", str(seconds), "-J"], stdin=harness.DEVNULL,
                                      capture_output=True, text=True, timeout=seconds + 20, check=False)  # fmt: skip
            report = json.loads(done.stdout or "{}")
            if "error" in report or "end" not in report:
                raise NotMeasured(report.get("error") or harness.last_line(done.stderr))
            self.shortest = report["end"]["streams"][0]["sender"].get("min_rtt")
            return report["end"]["sum_received"]["bits_per_second"] / 1e9
        except subprocess.TimeoutExpired:
            raise NotMeasured("iperf3 does not end") from None
        finally:
            server.stdout.close()
            harness.end(server, 2)


def has_route(namespace):
    with namespace:
        return output(["ip", "route", "show", "default"], check=False).strip()


def name_server(pid):
    """Who is asked first by this container."""
    text = pathlib.Path(f"/proc/{pid}/root/etc/resolv.conf").read_text()
    found = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver ")]
    if not found:
        raise NotMeasured("its resolv.conf names no server")
    return found[0]
