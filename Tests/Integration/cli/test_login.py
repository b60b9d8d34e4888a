"""berth login and logout: what is asked, what is kept where, and what is said."""

import base64
import json
import os
import pty
import select
import stat
import time

import pytest

from fault_registry import FaultRegistry
from registry_home import client as home  # noqa: F401


@pytest.fixture
def registry():
    with FaultRegistry() as it:
        it.basic("me", "secret")
        yield it


def kept(file):
    return json.loads(file.read_text())


def entry(user="me", password="secret"):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def login(home, registry, *words, **keywords):
    keywords.setdefault("stdin", "secret\n")
    return home.run("login", registry.host, "-u", "me", "--password-stdin", *words, **keywords)


def test_login_and_out(home, registry):
    result = login(home, registry).exits(0)
    assert result.text == "Login Succeeded"
    assert "WARNING! Your credentials are stored unencrypted in" in result.err and str(home.docker_config) in result.err
    assert kept(home.docker_config) == {"auths": {registry.host: entry()}}
    assert stat.S_IMODE(home.docker_config.stat().st_mode) == 0o600
    assert home.run("login", registry.host, "--get-login").exits(0).text == "me"
    result = home.run("logout", registry.host).exits(0)
    assert result.text == f"Removing login credentials for {registry.host}"
    assert kept(home.docker_config) == {"auths": {}}
    assert "Not logged in to" in home.run("logout", registry.host).exits(0).out
    home.run("login", registry.host, "--get-login").fails(1, f"not logged in to {registry.host}")


def test_wrong_password_is_not_kept(home, registry):
    login(home, registry, stdin="wrong").fails(1, "berth login", registry.host)
    assert not home.docker_config.exists()


def test_password_flag(home, registry):
    result = home.run("login", registry.host, "--username=me", "--password=secret").exits(0)
    assert "WARNING! Using --password via the CLI is insecure. Use --password-stdin." in result.err
    assert home.run("login", registry.host, "-u", "me", "-p", "-", stdin="secret").exits(0).text == "Login Succeeded"


@pytest.mark.parametrize("words, said", [
    (["--password-stdin"], "requires --username"), (["--password-stdin", "-u", "x", "-p", "y"], "mutually exclusive"),
    (["-u", "x"], "non TTY"), ([], "non TTY"), (["-u", "", "-p", "y"], "username is empty"), (["-u", "x", "--password-stdin"], "password is empty"),
    (["--authfile", "/x", "--compat-auth-file", "/y", "-u", "x", "-p", "y"], "mutually exclusive"), (["--secret", "x"], "secret"),
])  # fmt: skip
def test_what_cannot_be(home, registry, words, said):
    home.run("login", registry.host, *words, stdin="").fails(1 if said != "secret" else 125, said)


def test_existing_credentials(home, registry):
    login(home, registry).exits(0)
    result = home.run("login", registry.host).exits(0)
    assert "Authenticating with existing credentials..." in result.err and result.text == "Login Succeeded"
    registry.basic("me", "changed")
    home.run("login", registry.host).fails(1, "berth login")


def test_what_is_in_the_file_stays(home, registry):
    text = '{"auths": {"other.example": {"auth": "eDp5"}}, "HttpHeaders": {"X": "y"}, "psFormat": "{{.ID}}", "n": 1.50}'
    home.write(".docker/config.json", text)
    login(home, registry).exits(0)
    assert kept(home.docker_config) == json.loads(text) | {"auths": {"other.example": {"auth": "eDp5"}, registry.host: entry()}}


def test_file_behind_a_link(home, registry):
    target = home.write("real.json", "{}")
    home.docker_config.symlink_to(target)
    login(home, registry).exits(0)
    assert home.docker_config.is_symlink() and registry.host in kept(target)["auths"]


def test_docker_config_variable(home, registry):
    login(home, registry, env={"DOCKER_CONFIG": str(home.home / "elsewhere")}).exits(0)
    assert registry.host in kept(home.home / "elsewhere/config.json")["auths"] and not home.docker_config.exists()


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_auth_file(home, registry, how):
    file = home.home / "auth.json"
    words, env = (["--authfile", str(file)], None) if how == "flag" else ([], {"REGISTRY_AUTH_FILE": str(file)})
    login(home, registry, *words, env=env).exits(0)
    assert kept(file) == {"auths": {registry.host: entry()}} and not home.docker_config.exists()
    assert home.run("login", registry.host, "--get-login", *words, env=env).text == "me"
    home.run("logout", registry.host, *words, env=env).exits(0)
    assert kept(file) == {"auths": {}}


def test_name_below_a_registry(home, registry):
    file = home.home / "auth.json"
    home.run("login", f"{registry.host}/team", "-u", "me", "--password-stdin", "--authfile", file, stdin="secret").exits(0)
    assert list(kept(file)["auths"]) == [f"{registry.host}/team"]
    home.run("login", f"https://{registry.host}/v2/", "-u", "me", "--password-stdin", stdin="secret").exits(0)
    assert list(kept(home.docker_config)["auths"]) == [registry.host]


def test_compat_auth_file(home, registry):
    file = home.home / "compat.json"
    login(home, registry, "--compat-auth-file", str(file)).exits(0)
    assert kept(file) == {"auths": {registry.host: entry()}}
    home.run("logout", registry.host, "--compat-auth-file", str(file)).exits(0)
    assert kept(file) == {"auths": {}}


STORE = """
file="$HOME/kept-$1"
case $1 in
store) printf '%s' "$question" > "$HOME/kept" ;;
get) if [ -e "$HOME/kept" ]; then cat "$HOME/kept"; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) [ -e "$HOME/kept" ] && rm "$HOME/kept" || { echo "credentials not found in native keychain"; exit 1; } ;;
list) echo "{}" ;;
esac
"""


@pytest.mark.parametrize("config", [lambda host: {"credsStore": "test"}, lambda host: {"credHelpers": {host: "test"}}])
def test_helper(home, registry, config):
    home.write(".docker/config.json", config(registry.host))
    home.helper("test", STORE)
    result = login(home, registry).exits(0)
    assert "WARNING" not in result.err
    assert json.loads((home.home / "kept").read_text()) == {"ServerURL": registry.host, "Username": "me", "Secret": "secret"}
    assert kept(home.docker_config)["auths"] == {registry.host: {}}
    assert home.run("login", registry.host, "--get-login").text == "me"
    home.run("logout", registry.host).exits(0)
    assert not (home.home / "kept").exists() and kept(home.docker_config)["auths"] == {}


def test_helper_that_cannot_store(home, registry):
    home.write(".docker/config.json", {"credsStore": "test"})
    home.helper("test", "echo 'no keychain'; exit 1")
    login(home, registry).fails(1, "docker-credential-test", "no keychain")
    home.write(".docker/config.json", {"credsStore": "missing"})
    login(home, registry).fails(1, "docker-credential-missing", "PATH")
    assert "secret" not in home.docker_config.read_text()


def test_logout_all(home, registry):
    login(home, registry).exits(0)
    home.run("logout", "--all").exits(0)
    assert kept(home.docker_config)["auths"] == {}
    home.run("logout", "--all", "x").fails(1, "no registry")


def test_logout_says_what_is_left(home, registry):
    home.write(".config/containers/auth.json", {"auths": {registry.host: entry()}})
    result = home.run("logout", registry.host).exits(0)
    assert "Another file still has credentials" in result.err


def test_token_registry(home, registry):
    registry.bearer({"me": "secret"}, anonymous=False)
    login(home, registry).exits(0)
    assert kept(home.docker_config)["auths"][registry.host] == entry()
    login(home, registry, stdin="wrong").fails(1, "wrong")


def test_identity_token_takes_the_place_of_the_password(home, registry):
    registry.bearer({"me": "secret"}, anonymous=False)
    registry.offers_identity = True
    login(home, registry).exits(0)
    found = kept(home.docker_config)["auths"][registry.host]
    assert base64.b64decode(found["auth"]) == b"me:" and registry.refresh[found["identitytoken"]] == "me"
    registry.requests.clear()
    assert home.run("login", registry.host).exits(0).text == "Login Succeeded"
    assert registry.count("POST", "/token") >= 1


def test_nobody_is_there(home):
    home.run("login", "127.0.0.1:1", "-u", "me", "-p", "x").fails(1, "connection refused")
    home.run("login", "no host", "-u", "me", "-p", "x").fails(1, "no registry")


def test_tls(home, registry):
    login(home, registry, "--tls-verify").fails(1, "HTTP response to an HTTPS request")
    login(home, registry, "--tls-verify=false").exits(0)


def converse(home, registry, answers, end="Succeeded|Error"):
    """Types answers at a terminal; returns what was shown and the exit status."""
    import re

    controller, terminal = pty.openpty()
    process = home.berth.popen("login", registry.host, env=home.environment(), stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown, answers = b"", list(answers)
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        if not select.select([controller], [], [], 0.5)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            shown += os.read(controller, 4096)
        except OSError:
            break
        if answers and re.search(answers[0][0], shown):
            os.write(controller, answers.pop(0)[1])
    os.close(controller)
    return shown.decode(), process.wait(10)


def test_terminal(home, registry):
    shown, status = converse(home, registry, [(b"Username: ", b"mx\x7fe\r"), (b"Password: ", b"secret\r")])
    assert status == 0 and "Login Succeeded" in shown and "secret" not in shown
    assert kept(home.docker_config)["auths"][registry.host] == entry()


def test_terminal_interrupted(home, registry):
    shown, status = converse(home, registry, [(b"Username: ", b"me\r"), (b"Password: ", b"sec\x03")])
    assert status == 130 and not home.docker_config.exists()


# Search


def test_search(home, registry):
    registry.searches = [
        {"name": "alpine", "description": "A minimal\nimage " + "x" * 60, "star_count": 11, "is_official": True, "is_automated": False},
        {"name": "other/alpine", "description": "", "star_count": 0, "is_official": False, "is_automated": False},
    ]
    lines = home.run("search", f"{registry.host}/al pine&").exits(0).lines
    assert registry.requests[-1].query == {"q": ["al pine&"], "n": ["25"]}
    assert lines[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert lines[1].startswith("alpine") and "A minimal image xxx" in lines[1] and "\u2026" in lines[1] and lines[1].split()[-2:] == ["11", "[OK]"]
    found = home.run("search", "--filter", "stars=1", "--no-trunc", "--format", "{{.Name}} {{.IsOfficial}} {{.Description}}", f"{registry.host}/alpine")
    assert found.text == "alpine true A minimal image " + "x" * 60
    home.run("search", "--limit", "101", "x").fails(1, "outside the range")
    home.run("search", "--filter", "x=y", "x").fails(1, "invalid filter 'x'")
