"""A registry in this process that does what it is told, the wrong things above all.

    with FaultRegistry() as registry:                         # plain HTTP on 127.0.0.1
        manifest = registry.add_image("app", "latest", [layer_bytes])        # digest of the manifest
        registry.fault("GET", "/blobs/", cut=1000, times=2)    # the first two blobs end after 1000 bytes
        berth.ok("pull", f"{registry.host}/app")
        assert registry.count("GET", "/blobs/") == 5
        assert not registry.requests[0].header("authorization")

    with FaultRegistry(tls=Certificates(directory)) as registry:   # HTTPS; directory/ca.crt is what a client must trust
        registry.basic("me", "secret")                         # or registry.bearer({"me": "secret"}, expires=60)

What it holds, in memory: `add_blob(data, repository=None)`, `add_manifest(repository, reference, data, media_type)`,
`add_image(repository, tag, layers, config=None, ...)`, `add_index(repository, tag, [(digest, platform), ...])`; what was pushed is in
`blobs` (digest -> bytes), `manifests[repository][tag or digest] = (bytes, media type)`, `links` (repository -> digests it has; a blob linked to none is in all).

What it is asked: `requests`, a list of `Request` (method, target, path, query, headers, body size, scheme, time, status);
`count(method, pattern)`, `seen(method, pattern)`.

Rules, first match wins: `fault(method, pattern, times=None, after=0, **what)`; method and pattern are regular expressions, the
pattern is searched in the request target (path and query). `times`: how often it applies, then the rule is spent; `after`: how many
matching requests are served normally first. `what` is any of:

    status=503, headers={...}, body=b"..."      answer this instead (a `retry_after="5"` puts that header)
    redirect="http://other/..."                 307 there (status= for another code); {target} stands for the request's target
    amend={...}                                 the true answer with these headers changed (None removes one)
    drop=True / reset=True                      close / RST without an answer
    cut=N / rst=N / stall=N                     the true head, N bytes of the body, then close / RST / silence
    slow=(N, seconds)                           the body N bytes at a time; slow_head=(N, seconds): the head
    corrupt=N                                   the true answer with the byte at N flipped
    extra=b"..."                                more body than Content-Length says (length=N: Content-Length says N)
    chunked=True                                Transfer-Encoding: chunked instead of Content-Length
    no_range=True                               Range is ignored (200 and everything)
    delay=seconds                               waits before the answer
    raw=b"..."                                  these bytes, then close: for what is no HTTP
    take=N                                      (uploads) reads N bytes of the request's body, keeps them, then RST
    lose=True                                   (uploads) forgets the session, then answers normally
    call=function(request) -> dict or None      decides at the time (None: this rule does not apply, and is not spent)

Silence ends when the registry is closed or `release()` is called.

Whole-registry switches (attributes): `ranges` (False: no Range on blobs), `announce` (False: no Docker-Content-Digest),
`head` (False: 405), `chunk_minimum` (OCI-Chunk-Min-Length on upload sessions), `mounts` (False: 202 to every mount), `referrers_api`
(False: 404), `page` (most tags per page), `upload_base` ("http://other:1": host of the Location of upload sessions), `delete`
(False: 405), `searches` (answers of /v1/search).

Authorization: `basic(user, password)`; `bearer(users, expires=60, realm=None, service="fault", anonymous=True)`. The token service is
`/token` of this registry, or of another one: `other.tokens_of(registry)`, then `registry.bearer(..., realm=other.url + "/token")`.
`registry.refresh["token"] = user` makes identity tokens; `registry.expire()` makes all tokens invalid at once.
Every token carries its scopes: a request that they do not cover is 401 insufficient_scope.
"""

import base64
import dataclasses
import hashlib
import http.server
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Certificates:
    """A certificate authority of its own and a server certificate that it signed, made with openssl(1).

    `names`: subject alternative names; `days`: how long the server's certificate is good (-1: expired); `client`: also makes
    client.cert and client.key and asks clients for them; `maximum`: newest TLS version that the server speaks. The directory then has
    what a client wants to find in certs.d and nothing else; the rest is below made/.
    """

    def __init__(self, directory, names="IP:127.0.0.1,IP:::1,DNS:localhost", days=30, client=False, maximum=None):
        self.directory = pathlib.Path(directory)
        self.made = self.directory / "made"
        self.made.mkdir(parents=True, exist_ok=True)
        self.client, self.maximum = client, maximum
        self._openssl("req", "-x509", "-nodes", *self._key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=fault authority")
        self._sign("server", f"subjectAltName={names}", days)
        if client:
            self._sign("client", "extendedKeyUsage=clientAuth", 30)
            shutil.copyfile(self.made / "client.crt", self.directory / "client.cert")
            shutil.copyfile(self.made / "client.key", self.directory / "client.key")
        shutil.copyfile(self.made / "ca.crt", self.authority)

    _key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")

    @property
    def authority(self):
        return self.directory / "ca.crt"

    def _openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.made, check=True, capture_output=True, timeout=30)

    def _sign(self, name, extension, days):
        (self.made / f"{name}.ext").write_text(extension + "\n")
        self._openssl("req", "-nodes", *self._key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN=fault {name}")
        self._openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.crt",
            "-days", str(days), "-extfile", f"{name}.ext",
        )  # fmt: skip

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.made / "server.crt", self.made / "server.key")
        if self.maximum is not None:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = self.maximum
        if self.client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.authority)
        return context


@dataclasses.dataclass
class Request:
    method: str
    target: str
    headers: list
    scheme: str
    time: float
    client: tuple = ()
    size: int = 0
    status: int = 0
    body: bytes = b""

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        return urllib.parse.parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    def header(self, name, default=None):
        return next((value for key, value in self.headers if key.lower() == name.lower()), default)


@dataclasses.dataclass
class Rule:
    method: str
    pattern: str
    what: dict
    times: int = None
    after: int = 0

    def take(self, request):
        if not re.fullmatch(self.method, request.method) or not re.search(self.pattern, request.target):
            return None
        if self.after > 0:
            self.after -= 1
            return None
        if self.times is not None and self.times <= 0:
            return None
        what = self.what["call"](request) if "call" in self.what else self.what
        if what is not None and self.times is not None:
            self.times -= 1
        return what


class Reply(Exception):
    """The answer to a request; raised where it is known."""

    def __init__(self, status, body=b"", headers=None, type="application/json"):
        super().__init__(status)
        self.status, self.body = status, body
        self.headers = {"Content-Type": type} | (headers or {})


def error(status, code, message="", headers=None):
    return Reply(status, json.dumps({"errors": [{"code": code, "message": message or code.lower().replace("_", " ")}]}).encode(), headers)


class Gone(Exception):
    """The connection was ended by a rule."""


class FaultRegistry:
    def __init__(self, tls=None, address="127.0.0.1", port=0):
        self.tls, self.address = tls, address
        self.blobs, self.manifests, self.links, self.sessions = {}, {}, {}, {}
        self.requests, self.rules = [], []
        self.lock = threading.RLock()
        self.silence = threading.Event()
        self.ranges = self.announce = self.head = self.mounts = self.referrers_api = self.delete = True
        self.chunk_minimum = self.page = self.upload_base = None
        self.searches = []
        self._check, self.tokens, self.refresh, self.granting = None, {}, {}, self
        self.users, self.expires, self.anonymous = {}, 60, True
        self.offers_identity = False
        context = tls.context() if tls else None
        registry = self

        class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

            def finish_request(self, connection, client):
                if context:
                    connection.settimeout(10)
                    try:
                        connection = context.wrap_socket(connection, server_side=True)
                    except (OSError, ssl.SSLError):
                        return
                    connection.settimeout(None)
                registry._connections.add(connection)
                try:
                    Handler(connection, client, self, registry)
                except (OSError, ValueError):
                    pass
                finally:
                    registry._connections.discard(connection)

            def handle_error(self, connection, client):
                pass

        self._connections = set()
        self.server = Server((address, port), None)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    scheme = property(lambda self: "https" if self.tls else "http")
    host = property(lambda self: f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}")
    url = property(lambda self: f"{self.scheme}://{self.host}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.release()
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.thread.join(5)

    def release(self):
        """Ends every silence."""
        self.silence.set()

    # What it holds

    def add_blob(self, data, repository=None):
        name = digest_of(data)
        with self.lock:
            self.blobs[name] = data
            if repository is not None:
                self.links.setdefault(repository, set()).add(name)
        return name

    def add_manifest(self, repository, reference, data, media_type=MANIFEST):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        name = digest_of(data)
        with self.lock:
            images = self.manifests.setdefault(repository, {})
            images[name] = (data, media_type)
            if reference:
                images[reference] = (data, media_type)
        return name

    def descriptor(self, data, media_type, **more):
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)} | more

    def add_image(self, repository, tag, layers, config=None, layer_type=LAYER, media_type=MANIFEST, config_type=CONFIG, subject=None, diff_ids=None, **more):
        """An image of these layers, as bytes; the config is made when not given, with `diff_ids` (default: of the bytes themselves)."""
        if config is None:
            diff_ids = diff_ids if diff_ids is not None else [digest_of(layer) for layer in layers]
            config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        config = config if isinstance(config, bytes) else json.dumps(config).encode()
        manifest = {"schemaVersion": 2, "mediaType": media_type, "config": self.descriptor(config, config_type)}
        manifest["layers"] = [self.descriptor(layer, layer_type) for layer in layers]
        if subject:
            manifest["subject"] = subject
        for data in (config, *layers):
            self.add_blob(data, repository)
        return self.add_manifest(repository, tag, manifest | more, media_type)

    def add_index(self, repository, tag, members, media_type=INDEX):
        """An index; members are (digest of a manifest here, platform dictionary or None)."""
        manifests = []
        for name, platform in members:
            data, kind = self.manifests[repository][name]
            manifests.append(self.descriptor(data, kind) | ({"platform": platform} if platform else {}))
        return self.add_manifest(repository, tag, {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}, media_type)

    # Rules and records

    def fault(self, method="GET|HEAD", pattern="", times=None, after=0, **what):
        rule = Rule(method, pattern, what, times, after)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self):
        with self.lock:
            self.rules.clear()
            self.requests.clear()

    def seen(self, method=".*", pattern=""):
        with self.lock:
            return [r for r in self.requests if re.fullmatch(method, r.method) and re.search(pattern, r.target)]

    def count(self, method=".*", pattern=""):
        return len(self.seen(method, pattern))

    def _rule(self, request):
        with self.lock:
            for rule in self.rules:
                what = rule.take(request)
                if what is not None:
                    return what
        return {}

    # Authorization

    def basic(self, user, password):
        wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

        def check(request, scope):
            if request.header("authorization") != wanted:
                raise error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="fault registry"'})

        self._check = check

    def bearer(self, users, expires=60, realm=None, service="fault", anonymous=True, challenge=None):
        """Tokens; `anonymous`: without credentials they allow to pull; `challenge`: the text of WWW-Authenticate instead of the usual."""
        self.users, self.expires, self.anonymous = dict(users), expires, anonymous

        def check(request, scope):
            kind, _, token = (request.header("authorization") or "").partition(" ")
            known = self.tokens.get(token) if kind.lower() == "bearer" else None
            trouble = ""
            if known and time.monotonic() < known[1]:
                if scope is None or scope in known[0]:
                    return
                trouble = ',error="insufficient_scope"'
            elif token:
                trouble = ',error="invalid_token"'
            where = realm or self.url + "/token"
            text = challenge or f'Bearer realm="{where}",service="{service}"' + (f',scope="repository:{scope[0]}:{scope[1]}"' if scope else "") + trouble
            raise error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": text})

        self._check = check

    def tokens_of(self, registry):
        """/token here gives tokens for another registry."""
        self.granting = registry

    def expire(self):
        with self.lock:
            self.tokens.clear()

    def _grant(self, request):
        owner = self.granting
        scopes, user = request.query.get("scope", []), None
        if request.method == "POST":
            form = urllib.parse.parse_qs(request.body.decode())
            scopes = form.get("scope", [])
            if form.get("grant_type") == ["refresh_token"]:
                user = owner.refresh.get(form.get("refresh_token", [""])[0])
            elif owner.users.get(form.get("username", [None])[0]) == form.get("password", [None])[0]:
                user = form["username"][0]
            if user is None:
                raise error(401, "UNAUTHORIZED", "incorrect username or password")
        else:
            kind, _, value = (request.header("authorization") or "").partition(" ")
            if kind.lower() == "basic":
                name, _, password = base64.b64decode(value).decode().partition(":")
                if owner.users.get(name) != password:
                    raise error(401, "UNAUTHORIZED", "incorrect username or password")
                user = name
            elif not owner.anonymous:
                raise error(401, "UNAUTHORIZED", "authentication required")
        allowed = set()
        for scope in " ".join(scopes).split():
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            for action in actions.split(","):
                if kind == "repository" and (user is not None or action == "pull"):
                    allowed |= {(name, "pull"), (name, "push"), (name, "delete")} if action == "*" else {(name, action)}
        token = secrets.token_urlsafe(24)
        owner.tokens[token] = (allowed, time.monotonic() + owner.expires)
        answer = {"token": token, "expires_in": owner.expires}
        if owner.offers_identity and "offline_token" in request.target + request.body.decode():
            answer["refresh_token"] = secrets.token_urlsafe(24)
            owner.refresh[answer["refresh_token"]] = user
        raise Reply(200, json.dumps(answer).encode())

    # Answers

    def answer(self, request, handler):
        """Raises the Reply."""
        path = request.path
        if path == "/token":
            self._grant(request)
        if path == "/v1/search":
            raise Reply(200, json.dumps({"num_results": len(self.searches), "query": request.query.get("q", [""])[0], "results": self.searches}).encode())
        if path in ("/v2", "/v2/"):
            self._allow(request, None)
            raise Reply(200, b"{}", {"Docker-Distribution-Api-Version": "registry/2.0"})
        for pattern, serve in (
            (r"/v2/(.+)/blobs/uploads/([^/]*)", self._uploads), (r"/v2/(.+)/blobs/([^/]+)", self._blob),
            (r"/v2/(.+)/manifests/([^/]+)", self._manifest), (r"/v2/(.+)/tags/(list)", self._tags),
            (r"/v2/(.+)/referrers/([^/]+)", self._referrers),
        ):  # fmt: skip
            found = re.fullmatch(pattern, path)
            if found:
                serve(request, handler, found[1], urllib.parse.unquote(found[2]))
        raise error(404, "NOT_FOUND", "no such path")

    def _allow(self, request, scope):
        if self._check:
            self._check(request, scope)

    def _blob(self, request, handler, repository, name):
        self._allow(request, (repository, "delete" if request.method == "DELETE" else "pull"))
        data = self.blobs.get(name)
        # A blob that was linked to some repository is in no other; one that was linked to none is everywhere.
        if data is None or (repository not in (homes := self._homes(name)) and homes):
            raise error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if request.method == "DELETE":
            self.blobs.pop(name)
            raise Reply(202)
        headers = {"Docker-Content-Digest": name} if self.announce else {}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.header("range") or "")
        if wanted and self.ranges and not handler.what.get("no_range"):
            first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
            if first >= len(data):
                raise error(416, "RANGE_INVALID", "", {"Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            raise Reply(206, data[first : last + 1], headers, "application/octet-stream")
        raise Reply(200, data, headers, "application/octet-stream")

    def _homes(self, name):
        return [repository for repository, names in self.links.items() if name in names]

    def _manifest(self, request, handler, repository, reference):
        action = {"PUT": "push", "DELETE": "delete"}.get(request.method, "pull")
        self._allow(request, (repository, action))
        images = self.manifests.get(repository, {})
        if request.method == "PUT":
            return self._put_manifest(request, repository, reference)
        if request.method == "HEAD" and not self.head:
            raise error(405, "UNSUPPORTED")
        if reference not in images:
            raise error(404, "MANIFEST_UNKNOWN" if images else "NAME_UNKNOWN", "manifest unknown")
        data, media_type = images[reference]
        if request.method == "DELETE":
            if not self.delete:
                raise error(405, "UNSUPPORTED", "the operation is unsupported")
            for name in [key for key, value in images.items() if key == reference or (":" in reference and value[0] == data)]:
                del images[name]
            raise Reply(202)
        headers = {"Docker-Content-Digest": digest_of(data)} if self.announce else {}
        raise Reply(200, data, headers, media_type)

    def _put_manifest(self, request, repository, reference):
        name = digest_of(request.body)
        if ":" in reference and reference != name:
            raise error(400, "DIGEST_INVALID")
        document = json.loads(request.body)
        for part in [document.get("config"), *document.get("layers", [])]:
            if part and part["digest"] not in self.blobs:
                raise error(400, "MANIFEST_BLOB_UNKNOWN", part["digest"])
        self.add_manifest(repository, reference, request.body, request.header("content-type"))
        headers = {"Location": f"/v2/{repository}/manifests/{name}", "Docker-Content-Digest": name}
        if document.get("subject") and self.referrers_api:
            headers["OCI-Subject"] = document["subject"]["digest"]
        raise Reply(201, b"", headers)

    def _tags(self, request, handler, repository, _):
        self._allow(request, (repository, "pull"))
        if repository not in self.manifests:
            raise error(404, "NAME_UNKNOWN", "repository name not known to registry")
        tags = sorted(name for name in self.manifests[repository] if ":" not in name)
        last = request.query.get("last", [""])[0]
        rest = [tag for tag in tags if tag > last]
        size = min(int(request.query.get("n", ["100000"])[0]), self.page or 100000)
        headers = {}
        if len(rest) > size:
            headers["Link"] = f'</v2/{repository}/tags/list?n={size}&last={rest[size - 1]}>; rel="next"'
        raise Reply(200, json.dumps({"name": repository, "tags": rest[:size]}).encode(), headers)

    def _referrers(self, request, handler, repository, name):
        self._allow(request, (repository, "pull"))
        if not self.referrers_api:
            raise error(404, "NOT_FOUND")
        found = []
        for key, (data, media_type) in self.manifests.get(repository, {}).items():
            document = json.loads(data)
            if ":" in key and (document.get("subject") or {}).get("digest") == name:
                kind = document.get("artifactType") or (document.get("config") or {}).get("mediaType", "")
                found.append(self.descriptor(data, media_type) | {"artifactType": kind, "annotations": document.get("annotations", {})})
        raise Reply(200, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": found}).encode(), {}, INDEX)

    # Uploads

    def _location(self, repository, session):
        return f"{self.upload_base or ''}/v2/{repository}/blobs/uploads/{session}?_state={secrets.token_urlsafe(6)}%3D%3D"

    def _session_headers(self, repository, session):
        have = len(self.sessions[session])
        headers = {"Location": self._location(repository, session), "Range": f"0-{max(0, have - 1)}", "Docker-Upload-UUID": session}
        if self.chunk_minimum:
            headers["OCI-Chunk-Min-Length"] = str(self.chunk_minimum)
        return headers

    def _store(self, repository, data, wanted):
        if digest_of(data) != wanted:
            raise error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.add_blob(data, repository)
        raise Reply(201, b"", {"Location": f"/v2/{repository}/blobs/{wanted}", "Docker-Content-Digest": wanted})

    def _uploads(self, request, handler, repository, session):
        self._allow(request, (repository, "push"))
        query = request.query
        if request.method == "POST" and not session:
            mount = query.get("mount", [None])[0]
            source = query.get("from", [None])[0]
            if mount and self.mounts and mount in self.blobs and (source in self._homes(mount) or not self._homes(mount)):
                self._store(repository, self.blobs[mount], mount)
            if "digest" in query:
                self._store(repository, handler.read_body(), query["digest"][0])
            session = secrets.token_hex(8)
            self.sessions[session] = bytearray()
            raise Reply(202, b"", self._session_headers(repository, session))
        if handler.what.get("lose"):
            self.sessions.pop(session, None)
        if session not in self.sessions:
            raise error(404, "BLOB_UPLOAD_UNKNOWN")
        have = self.sessions[session]
        if request.method == "GET":
            raise Reply(204, b"", self._session_headers(repository, session))
        if request.method == "DELETE":
            del self.sessions[session]
            raise Reply(204)
        place = re.fullmatch(r"(?:bytes )?(\d+)-(\d+)(?:/.*)?", request.header("content-range") or "")
        if place and int(place[1]) != len(have):
            raise Reply(416, b"", self._session_headers(repository, session))
        handler.read_body(have)
        if request.method == "PATCH":
            raise Reply(202, b"", self._session_headers(repository, session))
        if request.method == "PUT":
            data = bytes(self.sessions.pop(session))
            self._store(repository, data, query.get("digest", [""])[0])
        raise error(405, "UNSUPPORTED")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, connection, client, server, registry):
        self.registry = registry
        super().__init__(connection, client, server)

    def log_message(self, *_):
        pass

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.serve
        raise AttributeError(name)

    def read_body(self, into=None):
        """Reads the request's body (into a session, as it comes); records it."""
        out = bytearray() if into is None else into
        before = len(out)
        limit = self.what.get("take")
        for piece in self._pieces():
            room = len(piece) if limit is None else limit - (len(out) - before)
            out += piece[:room]
            if limit is not None and len(out) - before >= limit:
                self.request_.size = len(out) - before
                self._end(reset=True)
        self.request_.size = len(out) - before
        self.body_read = True
        return bytes(out) if into is None else None

    def _pieces(self):
        if "chunked" in (self.request_.header("transfer-encoding") or ""):
            while True:
                size = int(self.rfile.readline().split(b";")[0] or b"0", 16)
                if size:
                    yield self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    return
        left = int(self.request_.header("content-length") or 0)
        while left > 0:
            piece = self.rfile.read1(min(left, 1 << 16))
            if not piece:
                self.close_connection = True
                raise Gone
            left -= len(piece)
            yield piece

    def serve(self):
        registry = self.registry
        scheme = "https" if registry.tls else "http"
        self.body_read = False
        self.request_ = request = Request(self.command, self.path, list(self.headers.items()), scheme, time.monotonic(), self.client_address)
        with registry.lock:
            registry.requests.append(request)
        self.what = what = registry._rule(request)
        try:
            self._before(what)
            if request.path == "/token" or "/manifests/" in request.path and request.method == "PUT":
                request.body = self.read_body()
            try:
                if "status" in what or "redirect" in what:
                    self._scripted(what)
                registry.answer(request, self)
            except Reply as reply:
                if not self.body_read and self.request_.method in ("POST", "PUT", "PATCH"):
                    self.read_body()
                self._send(reply, what)
        except (Gone, OSError, ssl.SSLError):
            self.close_connection = True

    def _scripted(self, what):
        headers = dict(what.get("headers", {}))
        if "retry_after" in what:
            headers["Retry-After"] = what["retry_after"]
        if "redirect" in what:
            headers["Location"] = what["redirect"].replace("{target}", self.path)
        raise Reply(what.get("status", 307), what.get("body", b""), headers)

    def _before(self, what):
        if "delay" in what:
            self.registry.silence.wait(what["delay"])
        if what.get("drop") or what.get("reset"):
            self._end(reset=what.get("reset"))
        if "raw" in what:
            self.wfile.write(what["raw"])
            self._end()

    def _end(self, reset=False):
        """Ends the connection now."""
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw = self.connection
            if isinstance(raw, ssl.SSLSocket):
                raw = socket.socket(fileno=raw.detach())
            # The reading file shares the descriptor: closed first, so that the close below is the last.
            self.rfile.close()
            raw.close()
        else:
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.close_connection = True
        raise Gone

    def _send(self, reply, what):
        body = bytearray(reply.body)
        if "corrupt" in what and what["corrupt"] < len(body):
            body[what["corrupt"]] ^= 0xFF
        headers = dict(reply.headers)
        if what.get("chunked"):
            headers["Transfer-Encoding"] = "chunked"
        elif reply.status not in (204, 304):
            headers["Content-Length"] = str(what.get("length", len(body)))
        for name, value in what.get("amend", {}).items():
            headers = {key: old for key, old in headers.items() if key.lower() != name.lower()}
            if value is not None:
                headers[name] = value
        self.request_.status = reply.status
        head = f"HTTP/1.1 {reply.status} {http.server.BaseHTTPRequestHandler.responses.get(reply.status, ('Other',))[0]}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        if "slow_head" in what:
            self._trickle(head.encode(), what["slow_head"])
        else:
            self.wfile.write(head.encode())
        if self.command == "HEAD" or reply.status in (204, 304):
            return
        self._send_body(bytes(body) + what.get("extra", b""), what)

    def _send_body(self, body, what):
        for name in ("cut", "rst", "stall"):
            if name in what:
                self.wfile.write(body[: what[name]])
                self.wfile.flush()
                if name == "stall":
                    self.registry.silence.wait()
                elif name == "rst":
                    time.sleep(0.05)  # an RST throws away what the other side has not read
                self._end(reset=name == "rst")
        if "slow" in what:
            self._trickle(body, what["slow"])
        elif what.get("chunked"):
            for start in range(0, len(body), 1 << 14):
                piece = body[start : start + (1 << 14)]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(body)
        if what.get("extra") or "length" in what:
            self._end()

    def _trickle(self, data, pace):
        size, seconds = pace
        for start in range(0, len(data), size):
            self.wfile.write(data[start : start + size])
            self.wfile.flush()
            if self.registry.silence.wait(seconds):
                raise Gone


if __name__ == "__main__":
    with FaultRegistry() as it:
        print(it.add_image("library/demo", "latest", [b"not a layer"]), it.url, flush=True)
        threading.Event().wait()
