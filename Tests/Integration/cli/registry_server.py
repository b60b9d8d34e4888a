"""`berth registry serve` of the test's own: a free port, a directory of its own, ended by its pid."""

import base64
import contextlib
import http.client
import os
import pathlib
import secrets
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading

from host import REPOSITORY

# bcrypt of "secret" with the smallest cost; `htpasswd -B` writes $2y$.
USER, PASSWORD = "alice", "secret"


def bcrypt(password):
    """A bcrypt hash by the system's own crypt(3): nothing to install."""
    import ctypes

    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    salt = b"$2y$04$" + base64.b64encode(secrets.token_bytes(18))[:22].replace(b"+", b".").replace(b"=", b".")
    salt = salt[:-1] + b"."
    return library.crypt(password.encode(), salt).decode()


def certificate(directory):
    """An own CA and a certificate for localhost and 127.0.0.1: (ca, certificate, key)."""
    directory = pathlib.Path(directory)
    paths = {name: directory / name for name in ("ca.crt", "ca.key", "server.crt", "server.key", "server.csr", "extensions")}
    run = lambda *words: subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)  # noqa: E731
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", paths["ca.key"], "-out",
        paths["ca.crt"], "-days", "2", "-subj", "/CN=test ca")  # fmt: skip
    run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", paths["server.key"], "-out",
        paths["server.csr"], "-subj", "/CN=localhost")  # fmt: skip
    paths["extensions"].write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    run("x509", "-req", "-in", paths["server.csr"], "-CA", paths["ca.crt"], "-CAkey", paths["ca.key"], "-CAcreateserial", "-out",
        paths["server.crt"], "-days", "2", "-extfile", paths["extensions"])  # fmt: skip
    return paths["ca.crt"], paths["server.crt"], paths["server.key"]


class RegistryServer:
    """A running server.

    `.address` is host:port, `.url` has the scheme, `.data` is its directory, `.ca` the certificate to trust with `tls=True`;
    with `htpasswd=True` alice's password is "secret".
    """

    def __init__(self, data=None, program=None, *flags, tls=False, htpasswd=False, user=None, listen="127.0.0.1:0"):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="berth-registry-"))
        self.base.chmod(0o755)
        self.data = pathlib.Path(data) if data else self.base / "data"
        self.program = str(program or os.environ.get("BERTH", REPOSITORY / ".build/debug/berth"))
        self.flags, self.user, self.listen = [str(flag) for flag in flags], user, listen
        self.ca = self.process = None
        self.output = []
        if tls:
            self.ca, crt, key = certificate(self.base)
            self.flags += ["--tls-cert", str(crt), "--tls-key", str(key)]
        if htpasswd:
            (self.base / "users").write_text(f"{USER}:{bcrypt(PASSWORD)}\n")
            self.flags += ["--htpasswd", str(self.base / "users")]
        if user:
            os.chown(self.base, user.uid, user.gid)

    def start(self):
        keywords = {"user": self.user.uid, "group": self.user.gid, "extra_groups": []} if self.user else {}
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.base), "BERTH_ROOT": str(self.base / "root")}
        self.log = open(self.base / "log", "ab")
        self.process = subprocess.Popen(
            [self.program, "registry", "serve", "--listen", self.listen, "--data", str(self.data), *self.flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, env=environment, cwd="/", **keywords,
        )  # fmt: skip
        line = self.process.stdout.readline().decode()
        if "listening on" not in line:
            self.process.wait(5)
            self.process = None
            text = self.text()
            shutil.rmtree(self.base, ignore_errors=True)
            raise RuntimeError(f"the registry does not start: {line!r} {text}")
        self.url = line.split()[-1]
        self.address = self.url.partition("://")[2]
        self.host, _, port = self.address.rpartition(":")
        self.port = int(port)
        return self

    def text(self):
        return (self.base / "log").read_text(errors="replace")

    def stop(self, number=signal.SIGTERM, timeout=10):
        """Ends the server; returns its exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(timeout)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.log.close()
            self.process = None
        return status

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        try:
            if self.process is not None:
                status = self.stop()
                assert status in (0, -9), f"the registry ended with {status}: {self.text()[-2000:]}"
        finally:
            shutil.rmtree(self.base, ignore_errors=True)

    # Requests

    def connection(self, timeout=30):
        if self.ca:
            context = ssl.create_default_context(cafile=str(self.ca))
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=context)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def call(self, method, path, body=None, headers=None, auth=None, connection=None):
        """One request; the answer has `.status`, `.headers`, `.data`."""
        link = connection or self.connection()
        headers = dict(headers or {})
        if auth:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        try:
            link.request(method, path, body=body, headers=headers)
            answer = link.getresponse()
            answer.data = answer.read()
            return answer
        finally:
            if connection is None:
                link.close()

    def memory(self):
        """Resident bytes now and at most: (VmRSS, VmHWM)."""
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        values = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if line.startswith("Vm")}
        return values["VmRSS"], values["VmHWM"]


@contextlib.contextmanager
def many(count, body):
    """Runs `body(number)` in as many threads; their failures are raised at the end."""
    failures = []

    def work(number):
        try:
            body(number)
        except BaseException as failure:  # noqa: BLE001
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
