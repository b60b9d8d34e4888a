"""Images made by hand: tar layers entry by entry, put into docker archives and OCI layouts.

Nothing here uses a container tool, so that what berth reads is what the test wrote, byte for byte.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
app:x:1000:1000:App:/home/app:/bin/sh
both:x:1005:1000:Both:/home/both:/bin/sh
"""
GROUP = """root:x:0:
daemon:x:1:
app:x:1000:
wheel:x:10:app
audio:x:63:app,both
"""
APPLETS = (
    "sh ash cat echo ls true false sleep id env pwd mkdir rm cp mv ln chmod chown touch dd head tail wc grep sed seq stat mount umount ps "
    "kill hostname dnsdomainname md5sum sha256sum test [ tr cut sort uniq printf stty tty yes find readlink mknod mkfifo date nproc top "
    "su ping ulimit df du nc timeout trap setsid nohup usleep whoami"
).split()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layer:
    """A tar made entry by entry."""

    def __init__(self, format=tarfile.PAX_FORMAT):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=format)
        self._done = None

    def add(self, name, type=tarfile.REGTYPE, data=b"", mode=None, uid=0, gid=0, link="", pax=None, major=0, minor=0, mtime=1700000000):
        info = tarfile.TarInfo(name)
        info.type, info.uid, info.gid, info.linkname, info.mtime = type, uid, gid, link, mtime
        info.devmajor, info.devminor = major, minor
        info.mode = mode if mode is not None else (0o755 if type == tarfile.DIRTYPE else 0o644)
        info.pax_headers = pax or {}
        data = data.encode() if isinstance(data, str) else data
        info.size = len(data) if type == tarfile.REGTYPE else 0
        self.tar.addfile(info, io.BytesIO(data) if info.size else None)
        return self

    def dir(self, name, mode=0o755, **more):
        return self.add(name, tarfile.DIRTYPE, mode=mode, **more)

    def file(self, name, data=b"", mode=0o644, **more):
        return self.add(name, data=data, mode=mode, **more)

    def symlink(self, name, target, **more):
        return self.add(name, tarfile.SYMTYPE, link=target, mode=0o777, **more)

    def hardlink(self, name, target, **more):
        return self.add(name, tarfile.LNKTYPE, link=target, **more)

    def hardlink_pair(self):
        """A file of two names."""
        return self.file("first", "shared").hardlink("second", "first")

    def whiteout(self, name):
        directory, _, base = name.rpartition("/")
        return self.file((directory + "/" if directory else "") + ".wh." + base)

    def opaque(self, directory):
        return self.file(directory.rstrip("/") + "/.wh..wh..opq")

    @property
    def bytes(self):
        if self._done is None:
            self.tar.close()
            self._done = self.buffer.getvalue()
        return self._done


def raw_header(name, size=0, type=b"0", link=b"", mode=0o644, checksum=None, uid=0, prefix=b"", magic=b"ustar\0" + b"00", size_field=None):
    """One 512-byte ustar header; every field may be a lie."""
    name = name.encode() if isinstance(name, str) else name
    link = link.encode() if isinstance(link, str) else link
    header = bytearray(512)
    header[0 : len(name[:100])] = name[:100]
    header[100:108] = b"%07o\0" % mode
    header[108:116] = b"%07o\0" % uid
    header[116:124] = b"%07o\0" % 0
    header[124:136] = size_field if size_field is not None else b"%011o\0" % size
    header[136:148] = b"%011o\0" % 1700000000
    header[148:156] = b" " * 8
    header[156:157] = type
    header[157 : 157 + len(link[:100])] = link[:100]
    header[257:265] = magic
    header[345 : 345 + len(prefix[:155])] = prefix[:155]
    header[148:156] = b"%06o\0 " % (sum(header) if checksum is None else checksum)
    return bytes(header)


def pad(data):
    return data + b"\0" * (-len(data) % 512)


def compressed(data, how):
    if how == "gzip":
        return gzip.compress(data, 1)
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-c", "-1"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def image_config(diff_ids, config=None, **more):
    return {
        "created": "2024-01-02T03:04:05.678901234Z", "architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "test"} for _ in diff_ids],
        **more,
    }  # fmt: skip


def _tar_of(files):
    """A tar of {name: bytes}."""
    out = Layer(tarfile.USTAR_FORMAT)
    for name, data in files.items():
        out.file(name, data)
    return out.bytes


def docker_archive(layers, tags=("test:latest",), config=None, compression=None, change=None, **more):
    """A `docker save` archive as bytes. `change(manifest, config, files)` may spoil it before it is packed."""
    layers = [layer.bytes if isinstance(layer, Layer) else layer for layer in layers]
    document = image_config([digest(layer) for layer in layers], config, **more)
    files = {}
    names = []
    for layer in layers:
        name = digest(layer).partition(":")[2] + "/layer.tar"
        files[name] = compressed(layer, compression)
        names.append(name)
    manifest = [{"Config": None, "RepoTags": list(tags) or None, "Layers": names}]
    if change:
        change(manifest, document, files)
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    if manifest and manifest[0].get("Config") is None:
        manifest[0]["Config"] = digest(raw).partition(":")[2] + ".json"
        files[manifest[0]["Config"]] = raw
    files["manifest.json"] = json.dumps(manifest).encode()
    return _tar_of(files)


class Layout:
    """An OCI image layout, as {name: bytes} until it is written."""

    def __init__(self):
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        self.manifests = []

    def blob(self, data):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        name = digest(data)
        self.files["blobs/sha256/" + name.partition(":")[2]] = data
        return name

    def descriptor(self, data, media_type, **more):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        return {"mediaType": media_type, "digest": self.blob(data), "size": len(data), **more}

    def image(self, layers, tag="test:latest", config=None, compression=None, document=None, manifest=None, descriptor=None, **more):
        """Adds one image; `document`, `manifest` and `descriptor` are functions that may spoil what goes in."""
        layers = [layer.bytes if isinstance(layer, Layer) else layer for layer in layers]
        content = image_config([digest(layer) for layer in layers], config, **more)
        if document:
            content = document(content) or content
        suffix = {"gzip": "+gzip", "zstd": "+zstd"}.get(compression, "")
        body = {
            "schemaVersion": 2, "mediaType": MANIFEST, "config": self.descriptor(content, CONFIG),
            "layers": [self.descriptor(compressed(layer, compression), LAYER + suffix) for layer in layers],
        }  # fmt: skip
        if manifest:
            body = manifest(body) or body
        entry = self.descriptor(body, MANIFEST)
        if tag:
            entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
        if descriptor:
            entry = descriptor(entry) or entry
        self.manifests.append(entry)
        return entry

    def finish(self):
        self.files.setdefault("index.json", json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests}).encode())
        return self.files

    def tar(self):
        return _tar_of(self.finish())

    def directory(self, path):
        path = pathlib.Path(path)
        for name, data in self.finish().items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path


def base_layer(init):
    """busybox with its links, the test init, users, and the usual directories."""
    layer = Layer()
    for name in ("bin", "dev", "etc", "home", "lib", "proc", "root", "sys", "usr", "usr/bin", "var", "var/log", "run", "opt"):
        layer.dir(name)
    layer.dir("tmp", mode=0o1777).dir("home/app", uid=1000, gid=1000)
    layer.file("bin/busybox", pathlib.Path(shutil.which("busybox")).read_bytes(), mode=0o755)
    for name in APPLETS:
        layer.symlink("bin/" + name, "busybox")
    layer.file("init", pathlib.Path(init).read_bytes(), mode=0o755)
    layer.file("etc/passwd", PASSWD).file("etc/group", GROUP)
    return layer


def write(path, data):
    pathlib.Path(path).write_bytes(data)
    os.chmod(path, 0o644)
    return path
