"""Who is let in: tokens, passwords, certificates, and that what is secret goes to nobody else."""

import base64
import ssl

import pytest

from fault_registry import Certificates, FaultRegistry, digest_of
from registry_home import client, other, registry  # noqa: F401

BLOB = bytes(range(256)) * 64


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    for path in [directory, *directory.parents]:
        if path.name.startswith("pytest-"):
            path.chmod(0o755)
    return Certificates(directory)


@pytest.fixture
def trusted(certificates, place):
    """A directory for --cert-dir that the user of the test can read."""
    (place / "ca.crt").write_bytes(certificates.authority.read_bytes())
    return place


def auth(user, password):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def secrets_seen(registry):
    return [r for r in registry.requests if r.header("authorization")]


def image(registry):
    return f"{registry.host}/team/app"


def blob(registry):
    return "blob", image(registry), digest_of(BLOB), str(len(BLOB))


# Passwords and tokens


def test_basic(registry, client):
    registry.basic("me", "pä:ss")
    client("manifest", image(registry)).fails(1, f'run "berth login {registry.host}"', r"\[unauthorized\]")
    client.auth({registry.host: auth("me", "pä:ss")})
    client.ok("manifest", image(registry))
    client("manifest", image(registry), "creds=me:wrong").fails(1, r"\[unauthorized\]")
    client.ok("manifest", image(registry), "creds=me:pä:ss")


def test_wrong_password_is_tried_once(registry, client):
    registry.basic("me", "secret")
    client("manifest", image(registry), "creds=me:wrong").fails(1, r"\[unauthorized\]")
    assert registry.count("GET", "/manifests/") == 2


def test_anonymous_token(registry, client):
    registry.bearer({})
    client.ok("manifest", image(registry))
    assert [r.path for r in registry.requests] == ["/v2/team/app/manifests/latest", "/token", "/v2/team/app/manifests/latest"]
    assert registry.seen("GET", "/token")[0].query["scope"] == ["repository:team/app:pull"]


def test_token_with_password(registry, client):
    registry.bearer({"me": "secret"}, anonymous=False)
    client("manifest", image(registry)).fails(1, r"\[unauthorized\]")
    client.auth({registry.host: auth("me", "secret")})
    client.ok("manifest", image(registry))
    assert registry.seen("GET", "/token")[-1].query["account"] == ["me"]
    client.auth({registry.host: auth("me", "wrong")})
    client("manifest", image(registry)).fails(1, "wrong", "berth login", r"\[unauthorized\]")


def test_one_token_for_everything(registry, client):
    registry.bearer({})
    client.ok("tags", image(registry))
    assert registry.count("GET", "/token") == 1


def test_identity_token(registry, client):
    registry.bearer({"me": "secret"}, anonymous=False)
    registry.refresh["refreshing"] = "me"
    client.auth({registry.host: {"auth": base64.b64encode(b"me:").decode(), "identitytoken": "refreshing"}})
    client.ok("manifest", image(registry))
    asked = registry.seen("POST", "/token")
    assert len(asked) == 1 and b"grant_type=refresh_token" in asked[0].body and asked[0].header("authorization") is None


def test_scope_of_the_challenge_is_added(registry, client):
    digest = registry.add_image("team/app", "old", [b"x"])
    registry.bearer({"me": "secret"})
    client.ok("delete", f"{image(registry)}@{digest}", "creds=me:secret")
    assert digest not in registry.manifests["team/app"]


def test_unknown_kind_of_authentication(registry, client):
    registry.fault("GET", "/manifests/", status=401, headers={"WWW-Authenticate": "Negotiate YIIabc="})
    client("manifest", image(registry)).fails(1, "negotiate", "not supported")


# S58: credentials stay where they belong


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_S58_redirect_to_another_host(registry, other, client, kind):
    getattr(registry, kind)(*(("me", "secret") if kind == "basic" else ({"me": "secret"},)))
    registry.fault("GET", "/blobs/", call=lambda r: {"redirect": other.url + "{target}"} if r.header("authorization") else None)
    assert client.ok(*blob(registry), "creds=me:secret").bytes == BLOB
    assert other.count("GET", "/blobs/") == 1 and not secrets_seen(other)


def test_S58_redirect_and_back(registry, other, client):
    """Only the registry itself is asked with credentials, also on the way back."""
    registry.basic("me", "secret")
    registry.fault("GET", "/blobs/", times=1, call=lambda r: {"redirect": other.url + "/away"} if r.header("authorization") else None)
    other.fault("GET", "/away", redirect=f"{registry.url}/v2/team/app/blobs/{digest_of(BLOB)}")
    assert client.ok(*blob(registry), "creds=me:secret").bytes == BLOB
    assert not secrets_seen(other)


def test_S58_another_host_asks_for_a_password(registry, other, client):
    registry.basic("me", "secret")
    other.basic("me", "secret")
    registry.fault("GET", "/blobs/", call=lambda r: {"redirect": other.url + "{target}"} if r.header("authorization") else None)
    client(*blob(registry), "creds=me:secret").fails(1, r"\[unauthorized\]")
    assert other.count() == 1 and not secrets_seen(other)


def test_S58_upload_at_another_host(registry, other, client, place):
    registry.basic("me", "secret")
    registry.upload_base = other.url
    other.sessions = registry.sessions
    file = place / "blob"
    file.write_bytes(BLOB)
    client.ok("upload", image(registry), str(file), "creds=me:secret")
    assert other.count("PUT", "/blobs/uploads/") == 1 and not secrets_seen(other)
    assert digest_of(BLOB) in other.blobs


def test_S58_https_to_http(registry, client, certificates, trusted):
    with FaultRegistry(tls=certificates) as secure:
        secure.add_image("team/app", "latest", [BLOB])
        secure.basic("me", "secret")
        secure.fault("GET", "/blobs/", call=lambda r: {"redirect": registry.url + "{target}"} if r.header("authorization") else None)
        secure.upload_base = registry.url
        words = ("creds=me:secret", "tls=true", f"certs={trusted}")
        client(*blob(secure), *words).fails(1, "from HTTPS to HTTP")
        file = trusted / "blob"
        file.write_bytes(BLOB)
        client("upload", image(secure), str(file), *words).fails(1, "without TLS")
    assert registry.count() == 0


def test_S58_mirror_gets_no_creds(registry, other, client):
    client.conf(f'[[registry]]\nlocation = "{registry.host}"\n[[registry.mirror]]\nlocation = "{other.host}"\n')
    registry.basic("me", "secret")
    other.basic("me", "secret")
    client.ok("manifest", image(registry), "creds=me:secret")
    assert other.count() > 0 and not secrets_seen(other)


def test_most_specific_credentials(registry, client):
    registry.basic("team", "app")
    wrong = auth("no", "no")
    client.auth({registry.host: wrong, f"{registry.host}/team": auth("team", "app"), f"{registry.host}/te": wrong, f"{registry.host}/team/ap": wrong})
    client.ok("manifest", image(registry))


@pytest.mark.parametrize("key", ["http://{}", "https://{}/v2/", "{}"])
def test_old_spellings_of_keys(registry, client, key):
    registry.basic("me", "secret")
    client.auth({key.format(registry.host): auth("me", "secret")})
    client.ok("manifest", image(registry))


# S59: token services


def test_S59_realm_on_another_host_is_told(registry, other, client):
    other.tokens_of(registry)
    registry.bearer({"me": "secret"}, realm=other.url.replace("127.0.0.1", "localhost") + "/token")
    client.ok("manifest", image(registry), "creds=me:secret")
    result = client("manifest", image(registry), "creds=me:secret")
    assert "gets its tokens from" in result.err


@pytest.mark.parametrize("realm", ["http://127.0.0.1:9/token", "http://localhost/token"])
def test_S59_realm_without_tls(client, certificates, trusted, realm):
    with FaultRegistry(tls=certificates) as secure:
        secure.add_image("team/app", "latest", [BLOB])
        secure.bearer({"me": "secret"}, realm=realm)
        client("manifest", image(secure), "creds=me:secret", "tls=true", f"certs={trusted}").fails(1, "without TLS", "no credentials are sent")


@pytest.mark.parametrize("realm", ["http://me:secret@127.0.0.1/token", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "/token", ""])
def test_S59_realm_that_is_none(registry, client, realm):
    registry.bearer({"me": "secret"}, challenge=f'Bearer realm="{realm}",service="x"')
    client("manifest", image(registry), "creds=me:secret").fails(1, r"\[unauthorized\]")
    assert not [r for r in secrets_seen(registry)]


def test_S59_never_satisfied(registry, client):
    registry.bearer({"me": "secret"}, expires=60)
    where = registry.url + "/token"
    registry.fault("GET", "/manifests/", status=401, headers={"WWW-Authenticate": f'Bearer realm="{where}",service="fault"'})
    client("manifest", image(registry), "creds=me:secret").fails(1, r"\[unauthorized\]")
    assert registry.count("GET", "/manifests/") <= 3 and registry.count("GET", "/token") <= 3


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"token":""}', b'{"token":"a\\r\\nX: y"}', b'{"token":1}', b"[" * 5000, b'{"token":"t","expires_in":99999999999999999999}'])
def test_S59_token_that_is_none(registry, client, body):
    registry.bearer({})
    registry.fault("GET", "/token", status=200, body=body)
    client("manifest", image(registry)).fails(1, "token service")


def test_S59_short_and_long_lives(registry, client):
    registry.bearer({})
    for life in ["0", "-1", "1", "9223372036854775807"]:
        token = next(iter(registry.tokens), None)
        registry.rules.clear()
        registry.fault("GET", "/token", call=lambda r, life=life: grant(registry, life))
        client.ok("manifest", image(registry))
        assert token is None or token in registry.tokens


def grant(registry, life):
    registry.tokens["given"] = ({("team/app", "pull")}, 1e18)
    return {"status": 200, "body": b'{"token":"given","expires_in":%s}' % life.encode()}


# S60: TLS


def test_S60_unknown_authority(client, certificates):
    with FaultRegistry(tls=certificates) as secure:
        secure.add_image("team/app", "latest", [BLOB])
        client("manifest", image(secure), "tls=true", "attempts=3").fails(1, "cannot be verified", "certs.d", r"\[tls\]")
        assert secure.count() == 0
        client.ok("manifest", image(secure), "tls=false")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_S60_own_authority(client, certificates, trusted, name):
    with FaultRegistry(tls=certificates, address="::1" if name == "[::1]" else "127.0.0.1") as secure:
        secure.add_image("team/app", "latest", [BLOB])
        where = f"{name}:{secure.port}/team/app"
        client.ok("manifest", where, "tls=true", f"certs={trusted}")
        directory = f".config/containers/certs.d/{name}:{secure.port}/ca.crt"
        client.write(directory, certificates.authority.read_text())
        client.ok("manifest", where, "tls=true")
        client.ok("manifest", where, "tls=true", env={"SSL_CERT_FILE": str(trusted / "ca.crt")})


@pytest.mark.parametrize("how", [{"names": "DNS:elsewhere.example"}, {"days": -1}])
def test_S60_wrong_certificate(client, tmp_path, place, how):
    made = Certificates(tmp_path, **how)
    (place / "ca.crt").write_bytes(made.authority.read_bytes())
    with FaultRegistry(tls=made) as secure:
        secure.add_image("team/app", "latest", [BLOB])
        client("manifest", image(secure), "tls=true", f"certs={place}").fails(1, r"\[tls\]")
        assert secure.count() == 0


def test_S60_old_tls(client, tmp_path, place):
    made = Certificates(tmp_path, maximum=ssl.TLSVersion.TLSv1_1)
    (place / "ca.crt").write_bytes(made.authority.read_bytes())
    with FaultRegistry(tls=made) as secure:
        client("manifest", image(secure), "tls=true", f"certs={place}", "attempts=2").fails(1, r"\[tls\]|\[network\]")


def test_S60_http_where_https_is_meant(registry, client):
    client("manifest", image(registry), "tls=true").fails(1, "HTTP response to an HTTPS request", "insecure = true", r"\[tls\]")
    assert registry.count() == 0


def test_S60_insecure_by_configuration(registry, client, certificates):
    """A name that is not the machine itself: HTTP only when registries.conf says so."""
    client.conf(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
    client.ok("manifest", image(registry))
    with FaultRegistry(tls=certificates) as secure:
        secure.add_image("team/app", "latest", [BLOB])
        client.conf(f'[[registry]]\nlocation = "{secure.host}"\ninsecure = true\n')
        client.ok("manifest", image(secure))


def test_S60_mirror_with_a_wrong_certificate(registry, client, certificates):
    with FaultRegistry(tls=certificates) as mirror:
        mirror.add_image("team/app", "latest", [BLOB])
        client.conf(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n[[registry.mirror]]\nlocation = "{mirror.host}"\n')
        client.ok("manifest", image(registry))


def test_client_certificate(client, tmp_path, place):
    made = Certificates(tmp_path, client=True)
    with FaultRegistry(tls=made) as secure:
        secure.add_image("team/app", "latest", [BLOB])
        (place / "ca.crt").write_bytes(made.authority.read_bytes())
        client("manifest", image(secure), "tls=true", f"certs={place}", "attempts=2").fails(1, r"\[tls\]|\[network\]")
        for name in ("client.cert", "client.key"):
            (place / name).write_bytes((tmp_path / name).read_bytes())
        client.ok("manifest", image(secure), "tls=true", f"certs={place}")
        (place / "client.key").unlink()
        client("manifest", image(secure), "tls=true", f"certs={place}").fails(1, "has no client.key")


# Credential helpers


def test_helper(registry, client):
    registry.basic("me", "secret")
    client.write(".docker/config.json", {"credsStore": "test"})
    client.helper("test", 'echo "$1 $question" >> "$HOME/log"; echo \'{"ServerURL":"x","Username":"me","Secret":"secret"}\'')
    client.ok("manifest", image(registry))
    assert (client.home / "log").read_text() == f"get {registry.host}\n"


def test_helper_of_one_registry(registry, client):
    registry.basic("me", "secret")
    client.write(".docker/config.json", {"credsStore": "none", "credHelpers": {registry.host: "test"}})
    client.helper("test", 'echo \'{"Username":"me","Secret":"secret"}\'')
    client.ok("manifest", image(registry))


def test_helper_with_a_token(registry, client):
    registry.bearer({"me": "secret"}, anonymous=False)
    registry.refresh["refreshing"] = "me"
    client.write(".docker/config.json", {"credsStore": "test"})
    client.helper("test", 'echo \'{"Username":"<token>","Secret":"refreshing"}\'')
    client.ok("manifest", image(registry))


@pytest.mark.parametrize("script", [
    "echo 'credentials not found in native keychain'; exit 1", "echo broken; exit 1", "echo '{'", "kill -9 $$", "head -c 3000000 /dev/zero",
])  # fmt: skip
def test_helper_that_fails(registry, client, script):
    """What needs no password goes on without."""
    client.write(".docker/config.json", {"credsStore": "test"})
    client.helper("test", script)
    client.ok("manifest", image(registry))


@pytest.mark.parametrize("name", ["missing", "../../bin/sh", ""])
def test_helper_that_is_not_there(registry, client, name):
    client.write(".docker/config.json", {"credsStore": name})
    client.ok("manifest", image(registry))


@pytest.mark.parametrize("text", ["{", "[]", '{"auths":{"x":{"auth":"!"}}}', '{"auths":{"x":{"auth":"bm9jb2xvbg=="}}}', "[" * 10000])
def test_credential_file_that_is_broken(registry, client, text):
    client.write(".docker/config.json", text)
    client("manifest", image(registry)).fails(1, "config.json", r"\[configuration\]")


@pytest.mark.parametrize("text", ["", "{}", '{"auths":null}', '{"auths":{}}', '{"auths":{"x":{}},"psFormat":"x","HttpHeaders":{}}'])
def test_credential_file_without_credentials(registry, client, text):
    client.write(".docker/config.json", text)
    client.ok("manifest", image(registry))
