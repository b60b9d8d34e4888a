"""The engines that are compared, each with a store of its own below one directory, each ended and removed afterwards."""

import os
import pathlib
import shutil
import subprocess

from harness import DEVNULL, NotMeasured, end, output, processes, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent
IMAGE = "localhost/berth-bench:latest"


def find(program):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise NotMeasured(f"{program} is not installed")
    return path


def memory():
    """A directory on tmpfs: /run, but on a machine without an init that may be the disk."""
    types = {line.split()[1]: line.split()[2] for line in pathlib.Path("/proc/mounts").read_text().splitlines()}
    return next((pathlib.Path(path) for path in ("/run", "/dev/shm") if types.get(path) == "tmpfs"), pathlib.Path("/run"))


class Engine:
    """Docker's verbs. `command` is how the engine is called, `more_run` what its `run` needs on this host."""

    name = ""
    command = []
    more_run = []
    # What stays beside a running container: (program, what its command line contains).
    resident = ("", "")
    # What the command is run by: an engine of an ordinary user.
    prefix = ()

    def place(self, base):
        """Its directory on disk, and one on tmpfs for what a reboot may lose: each engine has that in /run by default."""
        self.base = base / self.name
        self.runtime = memory() / base.name / self.name
        self.base.mkdir()
        self.runtime.mkdir(parents=True)
        # Both paths have this in common.
        self.resident = (self.resident[0], f"{base.name}/{self.name}")

    def leave(self):
        shutil.rmtree(self.base, ignore_errors=True)
        shutil.rmtree(self.runtime, ignore_errors=True)
        try:
            self.runtime.parent.rmdir()
        except OSError:
            pass  # the next engine's is still there

    def call(self, *words):
        return [*self.command, *words]

    def run(self, *words):
        return self.call("run", *self.more_run, "--network", "none", *words)

    def close(self):
        """Ends what runs, removes what is stored."""

    def containers(self):
        return output(self.call("ps", "-aq"), check=False).split()

    def remove_all(self):
        left = self.containers()
        for start in range(0, len(left), 50):
            output(self.call("rm", "-f", *left[start : start + 50]), check=False)

    def import_image(self, tar, reference=IMAGE):
        output(self.call("import", str(tar), reference))

    def residents(self):
        return processes(*self.resident)

    def servers(self):
        """Pids of what runs once for all containers."""
        return []

    def version(self):
        return output(self.call("--version")).splitlines()[0]


class Berth(Engine):
    name = "berth"
    resident = ("berth-runtime", "")
    settings = ""

    def __init__(self, base):
        program = pathlib.Path(os.environ.get("BERTH", ROOT / ".build/release/berth"))
        if not program.exists():
            raise NotMeasured(f"{program} is not built")
        self.place(base)
        self.command = [*self.prefix, str(program), "--root", str(self.base / "store"), "--runroot", str(self.runtime)]
        if self.settings:
            (self.base / "berth").mkdir()
            (self.base / "berth/berth.conf").write_text(self.settings)
            self.command = ["env", f"XDG_CONFIG_HOME={self.base}", *self.command]
        output(self.call("ps"))

    def close(self):
        self.remove_all()
        self.leave()


class BerthErofs(Berth):
    """Berth with the second layer format: each layer a tar and an index, mounted as they are."""

    name, label = "berth-erofs", "layers as erofs images"
    settings = '[store]\nlayer_format = "erofs"\n'


class BerthDirectory(Berth):
    name, label = "berth-directory", "layers as directories"
    settings = '[store]\nlayer_format = "directory"\n'


class Podman(Engine):
    name = "podman"
    resident = ("conmon", "")
    # The machine's hard limits may be below podman's defaults (docs: bench/README.md).
    more_run = ["--ulimit", "nproc=1000:1000", "--ulimit", "nofile=1000:1000"]
    storage = "overlay"
    more_options = ()

    def __init__(self, base):
        self.place(base)
        self.command = [
            *self.prefix, find("podman"), "--root", f"{self.base}/root", "--runroot", f"{self.runtime}/run", "--tmpdir", f"{self.runtime}/tmp",
            "--storage-driver", self.storage, "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", find("runc"),
            *self.more_options,
        ]  # fmt: skip
        self.more_run = [*self.more_run, "--log-driver", "k8s-file"]
        output(self.call("info"))

    def close(self):
        output(self.call("rm", "-fa"), check=False)
        subprocess.run(["umount", "-R", f"{self.base}/root/overlay"], capture_output=True, check=False)
        self.leave()


class Docker(Engine):
    name = "docker"
    resident = ("containerd-shim-runc-v2", "")
    more_server = ["--bridge", "none", "--iptables=false", "--ip6tables=false"]

    def __init__(self, base):
        self.place(base)
        socket = f"unix://{self.runtime}/docker.sock"
        self.command = [find("docker"), "-H", socket]
        self.log = open(self.base / "dockerd.log", "w")
        self.server = subprocess.Popen(
            [
                find("dockerd"), "-H", socket, "--data-root", f"{self.base}/data", "--exec-root", f"{self.runtime}/exec",
                "--pidfile", f"{self.runtime}/pid", "--storage-driver", "overlay2", "--log-level", "error", *self.more_server,
            ],
            stdin=DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip
        if not wait_until(lambda: self.server.poll() is not None or self.answers()) or self.server.poll() is not None:
            text = (self.base / "dockerd.log").read_text().strip().splitlines()
            self.close()
            raise NotMeasured(f"dockerd does not start: {text[-1][:200] if text else 'no message'}")

    def servers(self):
        return [self.server.pid, *processes("containerd", self.resident[1])]

    def answers(self):
        return subprocess.run(self.call("version"), stdin=DEVNULL, capture_output=True, check=False).returncode == 0

    def version(self):
        return "docker " + output(self.call("version", "--format", "{{.Server.Version}} (client {{.Client.Version}})")).strip()

    def close(self):
        if self.server.poll() is None:
            self.remove_all()
        end(self.server)
        self.log.close()
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            target = line.split()[4]
            if target.startswith((f"{self.base}/", f"{self.runtime}/")):
                subprocess.run(["umount", "-l", target], capture_output=True, check=False)
        self.leave()
