"""What documents tell people to type, typed: a machine of its own, as root or as an ordinary user, with files, images and a registry."""

import os
import re
import shutil
import subprocess

import images
from berth import Berth, Outcome
from registry_server import PASSWORD, USER, bcrypt, certificate
from terminal import Terminal
from user_networks import World

# Names that examples have for images, and what those run.
IMAGES = {
    "busybox:latest": {"Cmd": ["sh"]}, "alpine:latest": {"Cmd": ["/bin/sh"]},
    # As a server does, it ends when it is asked to.
    "httpd:latest": {"Cmd": ["sh", "-c", "trap 'exit 0' TERM; trap '' HUP; httpd -f -v -h /srv & wait"], "ExposedPorts": {"80/tcp": {}}},
}  # fmt: skip
# Where people's registries.conf leads the registries they know: to the one on this machine, without TLS.
REGISTRIES = """
[[registry]]
location = "localhost:5000"
insecure = true

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "localhost:5000"
insecure = true
"""


class Tour:
    """A person at a shell: `sh` runs a line of a document, `type` one at a terminal."""

    def __init__(self, suite, who, programs):
        self.engine = Berth(suite, who, programs)
        self.world = World()
        self.who = who
        self.home = self.engine.dir / "home"
        self.registry = None
        self._files(suite)

    def _files(self, suite):
        for name in (".config/containers", ".docker", "run", "srv"):
            (self.home / name).mkdir(parents=True)
        (self.home / "run").chmod(0o700)
        (self.home / ".config/containers/registries.conf").write_text(REGISTRIES)
        (self.home / "srv/index.html").write_text("<h1>It works</h1>\n")
        base = images.base_layer(suite.init).dir("etc/nginx").dir("srv").symlink("bin/httpd", "busybox").symlink("bin/wget", "busybox")
        base.symlink("bin/nslookup", "busybox")
        files = {}
        for tag, config in IMAGES.items():
            files[tag] = images.write(self.engine.dir / (tag.partition(":")[0] + ".image"), images.docker_archive([base], [tag], config))
        images.write(self.home / "rootfs.tar", base.bytes)
        self.images = files
        # The same for two platforms.
        layout = images.Layout()
        children = []
        for architecture in ("amd64", "arm64"):
            platform = {"os": "linux", "architecture": architecture}
            child = layout.image([base], tag=None, document=lambda content: content | {"architecture": architecture})
            children.append(child | {"platform": platform})
        layout.manifests = [
            layout.descriptor({"schemaVersion": 2, "mediaType": images.INDEX, "manifests": children}, images.INDEX)
            | {"annotations": {"org.opencontainers.image.ref.name": "1"}}
        ]
        layout.directory(self.engine.dir / "app")
        (self.home / "nginx.conf").write_text("# nothing\n")
        (self.home / "users").write_text(f"{USER}:{bcrypt(PASSWORD)}\n")
        self.give(self.engine.dir)

    def give(self, directory):
        """To the user, whatever root made below it."""
        for parent, names, files in os.walk(directory):
            for name in [".", *names, *files]:
                os.lchown(os.path.join(parent, name), self.who.uid, self.who.gid)

    def load(self, *names):
        for name in names or [tag.partition(":")[0] for tag in IMAGES]:
            self.sh(f"berth load -q -i {self.engine.dir}/{name}.image").check()

    def certificates(self):
        """cert.pem and key.pem."""
        _, cert, key = certificate(self.engine.dir)
        shutil.copy(cert, self.home / "cert.pem")
        shutil.copy(key, self.home / "key.pem")
        self.give(self.home)

    def serve(self, *flags):
        """The registry at localhost:5000, with what the examples expect there where all may push."""
        self.registry = self.popen(f"exec berth registry serve --data {self.engine.dir}/registry {' '.join(flags)}", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert b"listening" in self.registry.stdout.readline()
        if not flags:
            copies = [(f"docker-archive:{path}", "library/" + tag) for tag, path in self.images.items()]
            copies += [(f"oci:{self.engine.dir}/app:1", "team/app:1")]
            copies += [(f"docker-archive:{self.images['busybox:latest']}", "team/app:amd64"), (f"docker-archive:{self.images['alpine:latest']}", "team/app:arm64")]
            for source, name in copies:
                self.sh(f"berth image copy -q --all {source} docker://localhost:5000/{name}").check()

    # Typing

    def environment(self):
        return self.engine.environment() | {
            "HOME": str(self.home), "XDG_RUNTIME_DIR": f"{self.home}/run", "XDG_CONFIG_HOME": f"{self.home}/.config", "TERM": "xterm",
            "PATH": f"{self.engine.programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "PASSWORD": PASSWORD,
        }  # fmt: skip

    def popen(self, line, **keywords):
        keywords.setdefault("stdin", subprocess.DEVNULL)
        # Whoever enters a mount namespace stands at its root.
        keywords["cwd"] = "/"
        command = self.world.command(self.who, "bash", "-c", f"cd {self.home} && {{\n{line}\n}}")
        return subprocess.Popen(command, env=self.environment(), **keywords)

    def sh(self, line, timeout=60, **keywords):
        process = self.popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **keywords)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            self.engine.close()
            raise AssertionError(f"{line}: still running after {timeout} s") from None
        return Outcome(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"), [line], out, err)

    def type(self, line, dialogue):
        """At a terminal: waits for each pattern, then types its answer. Returns the exit status."""
        with Terminal(self, line) as terminal:
            for pattern, answer in dialogue:
                if pattern:
                    terminal.expect(pattern)
                terminal.type(answer)
            return terminal.wait()

    def close(self):
        if self.registry:
            self.registry.terminate()
            self.registry.wait()
            self.registry.stdout.close()
        # On its own machine, where its networks are.
        if (self.engine.root / "berth.db").exists():
            self.sh("berth rm -fav")
        self.engine.close()
        self.world.close()


def reference(text):
    """Examples of the reference: {command: [line, …]}."""
    found = {}
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        command, _, body = section.partition("\n")
        # The first block is the usage; an example has its purpose before it.
        lines = re.findall(r"^[^\n]+:\n\n```\n(.+?)\n```$", body, re.M | re.S)
        if lines:
            found[command] = lines
    return found


