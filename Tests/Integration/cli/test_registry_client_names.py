"""Which host is asked for a name: registries.conf, mirrors, short names, proxies."""

import base64
import http.server
import socket
import threading

import pytest

from fault_registry import digest_of
from registry_home import client, registry  # noqa: F401
from registry_home import other as mirror  # noqa: F401

BLOB = bytes(range(256)) * 64


def answered_by(client, name):
    return client.ok("manifest", name).text.split()[3]


def mirrored(registry, *mirrors, more="", mirror_more=""):
    text = f'[[registry]]\nlocation = "{registry.host}"\n{more}\n'
    return text + "".join(f'[[registry.mirror]]\nlocation = "{it.host}"\n{mirror_more}\n' for it in mirrors)


# Mirrors


def test_mirror_first(registry, mirror, client):
    client.conf(mirrored(registry, mirror))
    assert answered_by(client, f"{registry.host}/team/app") == mirror.host
    assert registry.count() == 0


@pytest.mark.parametrize("fault", [{"status": 404}, {"status": 403}, {"status": 500}, {"drop": True}, {"raw": b"no"}, {"status": 200, "body": b"{}"}])
def test_mirror_that_fails(registry, mirror, client, fault):
    client.conf(mirrored(registry, mirror))
    mirror.fault("GET", "/manifests/", **fault)
    result = client.ok("manifest", f"{registry.host}/team/app")
    assert result.text.split()[3] == registry.host and "mirror" in result.err
    assert mirror.count("GET", "/manifests/") <= 4


def test_mirror_that_is_gone(registry, mirror, client):
    client.conf(mirrored(registry, mirror))
    mirror.close()
    assert answered_by(client, f"{registry.host}/team/app") == registry.host


def test_mirror_with_other_content(registry, mirror, client):
    client.conf(mirrored(registry, mirror))
    digest = digest_of(registry.manifests["team/app"]["latest"][0])
    mirror.fault("GET", "/manifests/", corrupt=3, amend={"Docker-Content-Digest": None})
    assert answered_by(client, f"{registry.host}/team/app@{digest}") == registry.host
    mirror.fault("GET", "/blobs/", corrupt=3)
    assert client.ok("small", f"{registry.host}/team/app", digest_of(BLOB), str(len(BLOB))).bytes == BLOB


def test_mirror_breaks_in_the_middle(registry, mirror, client):
    """The registry goes on where the mirror ended."""
    client.conf(mirrored(registry, mirror))
    mirror.fault("GET", "/blobs/", times=1, cut=5000)
    mirror.fault("GET", "/blobs/", status=500)
    assert client.ok("blob", f"{registry.host}/team/app", digest_of(BLOB), str(len(BLOB))).bytes == BLOB
    assert registry.seen("GET", "/blobs/")[0].header("range") == "bytes=5000-"


@pytest.mark.parametrize("more, mirror_more", [("mirror-by-digest-only = true", ""), ("", 'pull-from-mirror = "digest-only"')])
def test_mirror_by_digest_only(registry, mirror, client, more, mirror_more):
    client.conf(mirrored(registry, mirror, more=more, mirror_more=mirror_more))
    digest = digest_of(registry.manifests["team/app"]["latest"][0])
    assert answered_by(client, f"{registry.host}/team/app") == registry.host
    assert answered_by(client, f"{registry.host}/team/app@{digest}") == mirror.host


def test_mirror_by_tag_only(registry, mirror, client):
    client.conf(mirrored(registry, mirror, mirror_more='pull-from-mirror = "tag-only"'))
    digest = digest_of(registry.manifests["team/app"]["latest"][0])
    assert answered_by(client, f"{registry.host}/team/app") == mirror.host
    assert answered_by(client, f"{registry.host}/team/app@{digest}") == registry.host


def test_pushes_go_past_mirrors(registry, mirror, client):
    client.conf(mirrored(registry, mirror))
    file = client.write("blob", "text")
    client.ok("upload", f"{registry.host}/team/app", str(file))
    assert digest_of(b"text") in registry.blobs and mirror.count() == 0


# Rewriting


def test_location(registry, client):
    client.conf(f'[[registry]]\nprefix = "example.invalid/a"\nlocation = "{registry.host}/team"\ninsecure = true\n')
    assert answered_by(client, "example.invalid/a/app") == registry.host
    client("manifest", "example.invalid/ab/app", "connect=2").fails(1, "example.invalid")


def test_wildcard(registry, client):
    client.conf(f'[[registry]]\nprefix = "*.example.invalid"\nlocation = "{registry.host}"\ninsecure = true\n')
    assert answered_by(client, "any.where.example.invalid/team/app") == registry.host


def test_longest_prefix(registry, mirror, client):
    client.conf(
        f'[[registry]]\nprefix = "example.invalid"\nlocation = "{mirror.host}"\n[[registry]]\nprefix = "example.invalid/team/app"\n'
        f'location = "{registry.host}/team/app"\n'
    )
    assert answered_by(client, "example.invalid/team/app:latest") == registry.host


def test_docker_hub_has_a_mirror(mirror, client):
    mirror.add_image("library/alpine", "latest", [BLOB])
    client.conf(f'[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "{mirror.host}"\n')
    assert answered_by(client, "alpine") == mirror.host


def test_blocked(registry, client):
    client.conf(f'[[registry]]\nlocation = "{registry.host}"\nblocked = true\n')
    client("manifest", f"{registry.host}/team/app").fails(1, "blocked in .*registries.conf", r"\[blocked\]")
    client.run("login", registry.host, "-u", "me", "-p", "x").fails(1, "blocked")
    assert registry.count() == 0


@pytest.mark.parametrize("text, pattern", [
    ("[[registry]]\nlocation = 5\n", "not a string"), ("[[registry]\n", "line 1"), ('[[registry]]\nlocation = "http://x"\n', "without http"),
    ("[[registry]]\ninsecure = true\n", "neither prefix nor location"), ('unqualified-search-registries = "x"\n', "no array"),
    ('[[registry]]\nlocation = "x"\nlocation = "y"\n', "twice"),
])  # fmt: skip
def test_broken_configuration(client, text, pattern):
    client.conf(text)
    client("candidates", "alpine").fails(1, "registries.conf", pattern, r"\[configuration\]")


def test_drop_in_files_and_named_file(registry, client):
    client.conf('[[registry]]\nlocation = "a.invalid"\nblocked = true\n')
    client.write(".config/containers/registries.conf.d/10.conf", '[[registry]]\nlocation = "a.invalid"\n')
    client.write(".config/containers/registries.conf.d/20.conf", 'unqualified-search-registries = ["b.invalid"]\n')
    client.write(".config/containers/registries.conf.d/30.txt", "broken")
    assert client.ok("candidates", "app").lines == ["b.invalid/app:latest"]
    other = client.write("named.conf", 'unqualified-search-registries = ["c.invalid"]\n')
    (client.home / ".config/containers/registries.conf.d/20.conf").unlink()
    assert client.ok("candidates", "app", env={"CONTAINERS_REGISTRIES_CONF": str(other)}).lines == ["c.invalid/app:latest"]
    client("candidates", "app", env={"CONTAINERS_REGISTRIES_CONF": "/nowhere"}).fails(1, "/nowhere")


# Short names


@pytest.mark.parametrize("name, wanted", [
    ("alpine", ["docker.io/library/alpine:latest"]), ("user/img:v1", ["docker.io/user/img:v1"]), ("localhost/x", ["localhost/x:latest"]),
    ("quay.io/x", ["quay.io/x:latest"]), ("alpine@" + digest_of(b""), ["docker.io/library/alpine@" + digest_of(b"")]),
])  # fmt: skip
def test_short_names_without_configuration(client, name, wanted):
    assert client.ok("candidates", name).lines == wanted


def test_short_names(client):
    client.conf('unqualified-search-registries = ["a.invalid", "docker.io", "b.invalid:5000/sub"]\n[aliases]\n"short" = "c.invalid/long/name"\n')
    assert client.ok("candidates", "app:v1").lines == ["a.invalid/app:v1", "docker.io/library/app:v1", "b.invalid:5000/sub/app:v1"]
    assert client.ok("candidates", "short:v1").lines == ["c.invalid/long/name:v1"]
    assert client.ok("candidates", "x.invalid/short").lines == ["x.invalid/short:latest"]
    client("candidates", "NO").fails(1, "lower-case")


# Proxies


class Proxy(http.server.BaseHTTPRequestHandler):
    """CONNECT and nothing else."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization")))
        with socket.create_connection(self.server.target) as out:
            self.send_response(200)
            self.end_headers()
            threading.Thread(target=self.copy, args=(out, self.connection), daemon=True).start()
            self.copy(self.connection, out)
        self.close_connection = True

    @staticmethod
    def copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture
def proxy(registry):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.asked, server.target = [], ("127.0.0.1", registry.port)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_proxy(registry, proxy, client, variable):
    client.conf('[[registry]]\nlocation = "registry.invalid:81"\ninsecure = true\n')
    where = f"http://me:s%40cret@127.0.0.1:{proxy.server_port}"
    client.ok("manifest", "registry.invalid:81/team/app", env={variable: where})
    assert ("registry.invalid:81", "Basic " + base64.b64encode(b"me:s@cret").decode()) in proxy.asked


def test_no_proxy(registry, proxy, client):
    env = {"HTTP_PROXY": f"http://127.0.0.1:{proxy.server_port}", "HTTPS_PROXY": f"127.0.0.1:{proxy.server_port}"}
    client.ok("manifest", f"{registry.host}/team/app", env=env)
    client.conf('[[registry]]\nlocation = "registry.invalid:81"\ninsecure = true\n')
    client("manifest", "registry.invalid:81/team/app", env=env | {"NO_PROXY": ".invalid"}).fails(1, "no such host")
    assert not proxy.asked


def test_proxy_of_an_unknown_kind(registry, client):
    client("manifest", f"{registry.host}/team/app", env={"HTTPS_PROXY": "https://me:secret@x"}).fails(1, "HTTPS_PROXY", "not supported")
    result = client("manifest", f"{registry.host}/team/app", env={"HTTPS_PROXY": "http://me:secret@:::"}).fails(1, "HTTPS_PROXY")
    assert "secret" not in result.err
