"""A home directory with files about registries, and the registry client run in it.

Fixtures for tests of the client, to be imported: `registry` and `other` hold an image team/app of one layer, the module's BLOB;
`client` is a home directory.
"""

import json
import os
import secrets
import shutil

import pytest
from fault_registry import FaultRegistry

QUICK = ("delay=0.05", "longest=0.3", "budget=10")


class RegistryHome:
    """`berth` as one user whose files about registries are all below one directory."""

    def __init__(self, berth, base):
        self.berth = berth
        self.home = base / f"home-{secrets.token_hex(4)}"
        self.home.mkdir(mode=0o755)
        (self.home / ".config/containers").mkdir(parents=True)
        (self.home / ".docker").mkdir()
        (self.home / "bin").mkdir()
        self.hand_over()

    def hand_over(self):
        for directory, _, files in os.walk(self.home):
            for name in [".", *files]:
                os.chown(os.path.join(directory, name), self.berth.who.uid, self.berth.who.gid)

    def close(self):
        shutil.rmtree(self.home)

    def environment(self, more=None):
        empty = "CONTAINERS_REGISTRIES_CONF REGISTRY_AUTH_FILE DOCKER_CONFIG XDG_CONFIG_HOME SSL_CERT_FILE HTTP_PROXY HTTPS_PROXY NO_PROXY"
        nothing = {name: "" for word in empty.split() for name in (word, word.lower())}
        path = f"{self.home}/bin:{os.environ.get('PATH', '/usr/bin:/bin')}"
        return nothing | {"XDG_RUNTIME_DIR": f"{self.home}/run", "HOME": str(self.home), "PATH": path} | (more or {})

    def run(self, *words, env=None, timeout=30, **keywords):
        """Any command of berth."""
        return self.berth.call(*words, env=self.environment(env), timeout=timeout, **keywords)

    def __call__(self, *words, quick=True, **keywords):
        """The client by itself."""
        return self.run("__registry", *words[:1], *(QUICK if quick else ()), *words[1:], **keywords)

    def ok(self, *words, **keywords):
        return self(*words, **keywords).exits(0)

    # Files

    @property
    def docker_config(self):
        return self.home / ".docker/config.json"

    def write(self, path, text, mode=0o644):
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if isinstance(text, str) else json.dumps(text))
        file.chmod(mode)
        self.hand_over()
        return file

    def conf(self, text):
        return self.write(".config/containers/registries.conf", text)

    def auth(self, auths, **more):
        return self.write(".docker/config.json", {"auths": auths} | more)

    def helper(self, name, script):
        """A credential helper; `script` is the body of a shell script, with the verb in $1 and the question in $question."""
        return self.write(f"bin/docker-credential-{name}", f"#!/bin/sh\nquestion=$(cat)\n{script}\n", 0o755)


def _serving(request):
    with FaultRegistry() as made:
        made.add_image("team/app", "latest", [request.module.BLOB])
        yield made


@pytest.fixture
def registry(request):
    yield from _serving(request)


@pytest.fixture
def other(request):
    yield from _serving(request)


@pytest.fixture
def client(user_berth, suite):
    made = RegistryHome(user_berth, suite.base)
    yield made
    made.close()
