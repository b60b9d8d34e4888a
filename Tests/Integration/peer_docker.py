"""A dockerd of the test's own: its directories, socket and containerd lie below one directory, and nothing of it stays."""

import os
import pathlib
import shutil
import signal
import subprocess
import time


def program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return found


class PrivateDocker:
    """`docker` of one server. `why_not` says what is missing, or is None."""

    def __init__(self, base, *flags):
        self.base = pathlib.Path(base)
        self.base.mkdir(parents=True)
        self.socket = f"unix://{self.base}/docker.sock"
        self.log = open(self.base / "dockerd.log", "w")
        self.server = subprocess.Popen(
            [
                program("dockerd"), "-H", self.socket, "--data-root", f"{self.base}/data", "--exec-root", f"{self.base}/exec",
                "--pidfile", f"{self.base}/pid", "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false",
                "--storage-driver", "overlay2", "--log-level", "error", *flags,
            ],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip
        end = time.monotonic() + 30
        while self.call("version").returncode:
            if self.server.poll() is not None or time.monotonic() > end:
                text = (self.base / "dockerd.log").read_text()[-500:]
                self.close()
                raise RuntimeError(f"dockerd does not start: {text}")
            time.sleep(0.05)

    @staticmethod
    def why_not():
        if os.geteuid() != 0:
            return "dockerd needs root"
        return next((f"{name} is not installed" for name in ("dockerd", "docker", "containerd", "runc") if not program(name)), None)

    def call(self, *args, **keywords):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.base), "DOCKER_CONFIG": str(self.base / "config")}
        keywords.setdefault("stdin", subprocess.DEVNULL)
        command = [program("docker"), "-H", self.socket, *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False, **keywords)

    def ok(self, *args, **keywords):
        done = self.call(*args, **keywords)
        assert done.returncode == 0, f"docker {' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def processes(self):
        """containerd and its shims: what has this server's directory in its command line."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if str(self.base).encode() in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def mounts(self):
        lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in lines if line.split()[4].startswith(f"{self.base}/")]

    def close(self):
        """Ends the server, politely first, then everything that it started; takes its mounts and files away."""
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            try:
                self.server.wait(20)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
        for _ in range(100):
            left = self.processes()
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not left:
                break
            time.sleep(0.02)
        self.log.close()
        for target in reversed(self.mounts()):
            subprocess.run(["umount", "-l", target], capture_output=True, check=False)
        assert self.mounts() == [] and self.processes() == []
        shutil.rmtree(self.base, ignore_errors=True)
