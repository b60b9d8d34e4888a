"""cp: into containers, out of them and between them, running or not."""

import hashlib
import io
import os
import pathlib
import signal
import stat
import subprocess
import tarfile

import pytest


@pytest.fixture(params=["running", "stopped"])
def box(request, berth):
    """A container that runs, or one that has ended."""
    if request.param == "running":
        berth.up("--name", "box")
    else:
        berth.ok("run", "--name", "box", "--network", "none", berth.image, "true")
    berth.mode = request.param
    return berth


class Files(dict):
    def __init__(self, tar):
        super().__init__({member.name.rstrip("/"): member for member in tar.getmembers()})
        self.tar = tar

    def read(self, name):
        return self.tar.extractfile(self[name]).read()


def files(berth, name="box"):
    """All files of a container, without what is mounted in it."""
    return Files(tarfile.open(fileobj=io.BytesIO(berth.ok("export", name, timeout=60).bytes)))


def read(berth, path, name="box"):
    """A file of a container, by cp."""
    tar = tarfile.open(fileobj=io.BytesIO(berth.ok("cp", f"{name}:{path}", "-").bytes))
    return tar.extractfile(tar.next()).read().decode()


@pytest.fixture
def source(place, who):
    """file, dir/{a,sub/b,link -> a}, dirlink -> dir"""
    (place / "file").write_text("content\n")
    (place / "dir/sub").mkdir(parents=True)
    (place / "dir/a").write_text("a\n")
    (place / "dir/sub/b").write_text("b\n")
    (place / "dir/link").symlink_to("a")
    (place / "dirlink").symlink_to("dir")
    (place / "filelink").symlink_to("file")
    for path in [place, *place.rglob("*")]:
        os.chown(path, who.uid, who.gid, follow_symlinks=False)
    return place


TREE = {"a", "sub", "sub/b", "link"}


def below(directory):
    return {str(path.relative_to(directory)) for path in pathlib.Path(directory).rglob("*")}


def inside(berth, directory, name="box"):
    """Paths below a directory of a container."""
    out = berth.ok("cp", f"{name}:{directory}/.", "-").bytes
    names = {os.path.normpath(member.name) for member in tarfile.open(fileobj=io.BytesIO(out)).getmembers()}
    return names - {"."}


# Where things go: docker's table


def test_a_file_in_and_out(box, source):
    box.ok("cp", source / "file", "box:/tmp/new")
    assert read(box, "/tmp/new") == "content\n"
    box.ok("cp", "box:/tmp/new", source / "back")
    assert (source / "back").read_text() == "content\n"
    assert (source / "back").stat().st_uid == box.who.uid
    assert not box.call("ps", "-aq", "--filter", "name=box", "--filter", "status=running").lines or box.mode == "running"


@pytest.mark.parametrize("form", ["{}", "{}/"])
def test_a_file_into_a_directory(box, source, form):
    box.ok("cp", source / "file", form.format("box:/tmp"))
    assert read(box, "/tmp/file") == "content\n"
    (source / "into").mkdir()
    os.chown(source / "into", box.who.uid, box.who.gid)
    box.ok("cp", "box:/etc/passwd", form.format(source / "into"))
    assert "root:x:0" in (source / "into/passwd").read_text()


def test_a_file_over_a_file(box, source):
    box.ok("cp", source / "file", "box:/etc/group")
    assert read(box, "/etc/group") == "content\n"
    (source / "old").write_text("older and longer\n")
    box.ok("cp", "box:/etc/group", source / "old")
    assert (source / "old").read_text() == "content\n"


def test_a_directory_to_a_new_name(box, source):
    box.ok("cp", source / "dir", "box:/new")
    assert inside(box, "/new") == TREE
    box.ok("cp", "box:/new", source / "copy")
    assert below(source / "copy") == TREE
    assert os.readlink(source / "copy/link") == "a"


def test_a_directory_into_a_directory(box, source):
    box.ok("cp", source / "dir", "box:/tmp")
    assert inside(box, "/tmp/dir") == TREE
    box.ok("cp", "box:/tmp/dir", source / "dir")
    assert below(source / "dir/dir") == TREE


def test_the_content_of_a_directory(box, source):
    box.ok("cp", f"{source}/dir/.", "box:/tmp")
    assert inside(box, "/tmp") == TREE
    box.ok("cp", "box:/tmp/.", source / "fresh")
    assert below(source / "fresh") == TREE


def test_relative_paths(box, source):
    box.ok("cp", "dir", "box:tmp/x", cwd=source)
    assert inside(box, "/tmp/x") == TREE
    box.ok("cp", ".", "box:/tmp/all", cwd=source / "dir")
    assert inside(box, "/tmp/all") == TREE
    box.ok("cp", "box:tmp/x/a", ".", cwd=source)
    assert (source / "a").read_text() == "a\n"
    (source / "dir/with:colon").write_text("c\n")
    box.ok("cp", "./dir/with:colon", "box:/tmp/colon", cwd=source)
    assert read(box, "/tmp/colon") == "c\n"


def test_links(box, source):
    box.ok("cp", source / "filelink", "box:/tmp/asis")
    box.ok("cp", "-L", source / "filelink", "box:/tmp/followed")
    box.ok("cp", f"{source}/dirlink/", "box:/tmp/slash")
    names = {member.name: member for member in tarfile.open(fileobj=io.BytesIO(box.ok("cp", "box:/tmp", "-").bytes))}
    assert names["tmp/asis"].issym() and names["tmp/asis"].linkname == "file"
    assert names["tmp/followed"].isreg() and names["tmp/slash"].isdir() and names["tmp/slash/sub/b"].isreg()
    box.ok("cp", "box:/tmp/asis", source / "out")
    assert os.readlink(source / "out") == "file"
    box.ok("cp", "-L", "box:/bin/sh", source / "shell")
    assert (source / "shell").is_file() and not (source / "shell").is_symlink() and (source / "shell").stat().st_size > 100_000
    # A link at the destination is followed to what it leads to.
    (source / "target").write_text("old")
    (source / "tolink").symlink_to("target")
    box.ok("cp", "box:/tmp/followed", source / "tolink")
    assert (source / "tolink").is_symlink() and (source / "target").read_text() == "content\n"
    (source / "dangling").symlink_to("made")
    box.ok("cp", "box:/tmp/followed", source / "dangling")
    assert (source / "made").read_text() == "content\n"


@pytest.mark.parametrize(
    "words, pattern",
    [
        (["{}/missing", "box:/"], r"lstat \S+/missing: no such file or directory"),
        (["box:/missing", "{}"], "Could not find the file /missing in container box"),
        (["{}/file", "box:/no/such/place"], "Could not find the file /no/such in container box"),
        (["box:/etc/passwd", "{}/no/x"], r'invalid output path: directory "\S+/no" does not exist'),
        (["box:/etc/passwd", "/dev/null"], r"must be a directory or a regular file: got a device"),
        (["{}/file", "box:/new/"], "no such directory"),
        (["box:/etc/passwd", "{}/new/"], "no such directory"),
        (["{}/dir", "box:/etc/passwd"], "cannot copy directory"),
        (["box:/etc", "{}/file"], "cannot copy directory"),
        (["box:/etc/passwd/", "{}"], "Could not find the file /etc/passwd/ in container box"),
        (["{}/file", "{}/other"], "must specify at least one container source"),
        (["{}/file", "nobody:/"], "no such container: nobody"),
        (["nobody:/x", "{}"], "no such container: nobody"),
        (["", "box:/"], "source can not be empty"),
        (["box:/etc", ""], "destination can not be empty"),
    ],
)
def test_refusals(box, source, words, pattern):
    before = below(source), files(box).keys()
    box.call("cp", *[word.format(source) for word in words]).fails(1, pattern)
    assert (below(source), files(box).keys()) == before


def test_a_directory_does_not_take_a_files_place(box, source):
    box.ok("cp", source / "dir", "box:/tmp/dir")
    (source / "other/a").mkdir(parents=True)
    box.call("cp", f"{source}/other/.", "box:/tmp/dir").fails(1, 'cannot overwrite non-directory "a" with directory')
    (source / "third").mkdir()
    (source / "third/sub").write_text("file now\n")
    box.call("cp", f"{source}/third/.", "box:/tmp/dir").fails(1, 'cannot overwrite directory "sub" with non-directory')
    box.ok("cp", "--overwrite", f"{source}/other/.", "box:/tmp/dir")
    box.ok("cp", "--overwrite", f"{source}/third/.", "box:/tmp/dir")
    assert inside(box, "/tmp/dir") == {"a", "sub", "link"}


# Archives


def test_an_archive_in(box, place):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in (("x/y/deep", b"deep"), ("top", b"top")):
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.gid, info.mode = len(data), 1000, 1000, 0o640
            tar.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("hard")
        info.type, info.linkname = tarfile.LNKTYPE, "top"
        tar.addfile(info)
    box.ok("cp", "-", "box:/tmp", stdin=buffer.getvalue())
    found = files(box)
    assert found["tmp/x/y/deep"].uid == 1000 and found["tmp/x/y/deep"].mode == 0o640 and found["tmp/x"].uid == 0
    assert found.read("tmp/x/y/deep") == b"deep"
    assert found["tmp/top"].islnk() or found["tmp/hard"].islnk()
    box.call("cp", "-", "box:/tmp/top", stdin=buffer.getvalue()).fails(1, 'destination "box:/tmp/top" must be a directory')
    box.call("cp", "-", "box:/nowhere", stdin=buffer.getvalue()).fails(1, 'destination "box:/nowhere" must be a directory|Could not find')
    box.call("cp", "-", "box:/tmp", stdin=b"no archive at all" * 100).fails(1)


def test_an_archive_out(box):
    box.ok("cp", "-", "box:/tmp", stdin=archive_of({"d/f": b"x"}))
    tar = tarfile.open(fileobj=io.BytesIO(box.ok("cp", "box:/tmp/d", "-").bytes))
    assert [member.name for member in tar.getmembers()] == ["d", "d/f"]
    tar = tarfile.open(fileobj=io.BytesIO(box.ok("cp", "box:/tmp/d/.", "-").bytes))
    assert [member.name for member in tar.getmembers()] == [".", "./f"]


def archive_of(contents):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/../out", "x/.."])
def test_an_archive_that_leads_out(box, name):
    before = files(box).keys()
    box.call("cp", "-", "box:/tmp", stdin=archive_of({name: b"x"})).fails(1, r"\.\.")
    assert files(box).keys() == before


# Owners and modes


def test_owners_and_modes_in(berth, source):
    berth.up("--name", "box")
    berth.up("--name", "app", "--user", "app")
    os.chmod(source / "file", 0o4750)
    os.utime(source / "file", (1_000_000_000, 1_000_000_000))
    if berth.who.is_root:
        os.chown(source / "file", 1234, 1235)
        os.chmod(source / "file", 0o4750)
    berth.ok("cp", source / "file", "box:/kept")
    berth.ok("cp", "-a", source / "file", "box:/archived")
    berth.ok("cp", "-a", source / "file", "app:/users")
    numbers = lambda path, name="box": berth.ok("exec", "-u", "0", name, "stat", "-c", "%u %g %a %Y", path).text.split()
    owner = ["1234", "1235"] if berth.who.is_root else ["0", "0"]
    assert numbers("/kept") == [*owner, "4750", "1000000000"]
    assert numbers("/archived") == [*owner, "4750", "1000000000"]
    # As dockerd: with -a the container's own user gets it.
    assert numbers("/users", "app") == ["1000", "1000", "4750", "1000000000"]


def test_owners_out(berth, source):
    berth.up("--name", "box")
    berth.ok("exec", "box", "sh", "-c", "echo x > /tmp/f; chown 1000:1000 /tmp/f; chmod 6751 /tmp/f; touch -d @1000000000 /tmp/f")
    berth.ok("cp", "box:/tmp/f", source / "plain")
    berth.ok("cp", "-a", "box:/tmp/f", source / "archived")
    plain, archived = (source / "plain").stat(), (source / "archived").stat()
    assert (plain.st_uid, plain.st_gid, stat.S_IMODE(plain.st_mode), plain.st_mtime) == (berth.who.uid, berth.who.gid, 0o6751, 1_000_000_000)
    assert archived.st_uid == (1000 if berth.who.is_root else berth.who.uid)


def test_a_containers_own_ids(root_berth, source):
    """--userns=auto: what is 0 here is 0 there, and the other way round."""
    root_berth.up("--name", "box", "--userns", "auto")
    os.chown(source / "file", 1000, 1000)
    for mode in ("running", "stopped"):
        root_berth.ok("cp", source / "file", f"box:/{mode}")
        root_berth.ok("cp", "-a", f"box:/{mode}", source / f"out-{mode}")
        assert (source / f"out-{mode}").stat().st_uid == 1000
        root_berth.ok("cp", "-a", "box:/bin/busybox", source / f"root-{mode}")
        assert (source / f"root-{mode}").stat().st_uid == 0
        if mode == "running":
            root_berth.ok("stop", "-t", "0", "box")
    root_berth.ok("start", "box")
    assert root_berth.ok("exec", "box", "stat", "-c", "%u", "/running", "/stopped").lines == ["1000", "1000"]
    os.chown(source / "file", 100_000, 100_000)
    root_berth.call("cp", source / "file", "box:/far").fails(1, "has no user 100000")


def test_a_users_keep_id(berth, source):
    if berth.who.is_root:
        pytest.skip("for users other than root")
    berth.up("--name", "box", "--userns", "keep-id", "-w", "/tmp")
    berth.ok("cp", source / "file", "box:/tmp/mine")
    assert berth.ok("exec", "box", "stat", "-c", "%u", "/tmp/mine").text == str(berth.who.uid)
    berth.ok("cp", "box:/tmp/mine", source / "back")
    assert (source / "back").stat().st_uid == berth.who.uid


# Special files


def test_special_files(box, source):
    os.mkfifo(source / "fifo")
    (source / "dir/hard").hardlink_to(source / "dir/a")
    box.ok("cp", source / "fifo", "box:/tmp/fifo")
    box.ok("cp", source / "dir", "box:/tmp/d")
    box.ok("cp", "box:/tmp/fifo", source / "out")
    box.ok("cp", "box:/tmp/d", source / "d")
    assert stat.S_ISFIFO((source / "out").lstat().st_mode)
    assert (source / "d/a").stat().st_ino == (source / "d/hard").stat().st_ino


def test_devices(berth, source):
    """As docker: root gets device nodes; a user cannot make any, and is told."""
    device = tarfile.TarInfo("d/null")
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 3
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(device)
    berth.up("--name", "box")
    result = berth.ok("cp", "-", "box:/tmp", stdin=buffer.getvalue())
    if not berth.who.is_root:
        assert "1 device nodes were left out" in result.err
        return
    berth.ok("cp", "box:/tmp/d", source / "nodes")
    assert stat.S_ISCHR((source / "nodes/null").lstat().st_mode)
    assert berth.ok("cp", "box:/tmp/d", "-").bytes.count(b"d/null") == 1


def test_sparse_and_empty_files(box, source):
    with open(source / "sparse", "wb") as file:
        file.truncate(1 << 30)
        file.seek(512 << 20)
        file.write(b"middle")
    (source / "empty").touch()
    box.ok("cp", source / "sparse", "box:/tmp/sparse", timeout=30)
    box.ok("cp", source / "empty", "box:/tmp/empty")
    box.ok("cp", "box:/tmp/sparse", source / "back", timeout=30)
    assert (source / "back").stat().st_size == 1 << 30 and (source / "back").stat().st_blocks * 512 < 1 << 20
    with open(source / "back", "rb") as file:
        file.seek(512 << 20)
        assert file.read(6) == b"middle"
    assert read(box, "/tmp/empty") == ""


def test_bytes_and_names(box, source):
    data = os.urandom(3 << 20)
    odd = os.fsencode(str(source)) + b"/dir/\xff odd\n name"
    with open(odd, "wb") as file:
        file.write(data)
    long = source / ("x" * 200) / ("y" * 200)
    long.mkdir(parents=True)
    (long / "z").write_text("z")
    box.ok("cp", source / "dir", "box:/tmp/dir")
    box.ok("cp", source / ("x" * 200), "box:/tmp/long")
    box.ok("cp", "box:/tmp/dir", source / "back")
    with open(os.fsencode(str(source)) + b"/back/\xff odd\n name", "rb") as file:
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(data).digest()
    assert inside(box, "/tmp/long") == {"y" * 200, "y" * 200 + "/z"}


def test_memory_is_flat(box, source):
    """A hundred megabytes and a few thousand names take no more than a command that does next to nothing."""
    with open(source / "big", "wb") as file:
        for _ in range(24):
            file.write(os.urandom(4 << 20))
    many = source / "many"
    many.mkdir()
    for number in range(3000):
        (many / f"{number}").write_text("x")
    least = peak(box, "version")
    for words in ([source / "big", "box:/tmp/big"], ["box:/tmp/big", source / "big2"], [many, "box:/tmp/many"], ["box:/tmp/many", source / "many2"]):
        assert peak(box, "cp", *words) < least + (16 << 10), words
    assert len(os.listdir(source / "many2")) == 3000
    assert (source / "big2").stat().st_size == 96 << 20


def peak(berth, *words):
    """Most memory that a command had, in KiB."""
    process = berth.popen(*words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.stderr.read()
    return usage.ru_maxrss


# Mounts


def test_volumes_and_binds(berth, source):
    """What is mounted in a container is seen there, running or not, also before its first start."""
    (source / "bound").mkdir()
    (source / "bound/seen").write_text("bound\n")
    (source / "ro").mkdir()
    for path in ("bound", "bound/seen", "ro"):
        os.chown(source / path, berth.who.uid, berth.who.gid)
    flags = ["-v", "vol:/data/vol", "-v", f"{source}/bound:/mnt/bound", "-v", f"{source}/ro:/mnt/ro:ro"]
    berth.ok("create", "--name", "box", "--network", "none", *flags, berth.image, "sleep", "1000")
    for state in ("created", "running", "exited"):
        assert read(berth, "/mnt/bound/seen") == "bound\n"
        berth.ok("cp", source / "file", f"box:/data/vol/{state}")
        berth.ok("cp", source / "file", f"box:/mnt/bound/{state}")
        assert (source / f"bound/{state}").read_text() == "content\n"
        berth.call("cp", source / "file", "box:/mnt/ro/x").fails(1, "mounted volume is marked read-only")
        assert read(berth, f"/data/vol/{state}") == "content\n"
        assert berth.status("box") == state
        if state == "created":
            berth.ok("start", "box")
        elif state == "running":
            assert berth.ok("exec", "box", "ls", "/data/vol").lines == ["created", "running"]
            berth.ok("stop", "-t", "0", "box")
    assert berth.sh("-v", "vol:/v", "ls /v").check().lines == ["created", "exited", "running"]
    assert berth.mounts() == []


@pytest.mark.parametrize("path, made", [("/d", "d"), ("/d/.", "bound"), ("/d/bound", "bound"), ("/d/bound/.", "")])
def test_a_copy_into_what_is_copied(berth, source, path, made):
    """A bind leads back to where the copy goes: it is made once, not again and again in itself."""
    (source / "here").mkdir()
    (source / "here/seen").write_text("seen\n")
    for name in ("here", "here/seen"):
        os.chown(source / name, berth.who.uid, berth.who.gid)
    berth.up("--name", "box", "-v", f"{source}/here:/d/bound")
    result = berth.ok("cp", f"box:{path}", source / "here")
    assert ("not copied into itself" in result.err) == (made != "")
    found = below(source / "here")
    assert "seen" in found and (made == "" or any(name.startswith(made + "/") for name in found))
    assert max(name.count("/") for name in found) <= 2, found
    assert (source / "here/seen").read_text() == "seen\n"


def test_other_mounts_of_a_container_that_does_not_run(berth, source):
    """Volumes that lead elsewhere, images, and what has a layer of its own over it."""
    (source / "elsewhere").mkdir()
    (source / "elsewhere/seen").write_text("elsewhere\n")
    for path in ("elsewhere", "elsewhere/seen"):
        os.chown(source / path, berth.who.uid, berth.who.gid)
    berth.ok("volume", "create", "-o", "type=none", "-o", f"device={source}/elsewhere", "-o", "o=bind", "leads")
    flags = ["-v", "leads:/mnt/leads", "--mount", f"type=image,source={berth.image},target=/mnt/image", "-v", f"{source}/elsewhere:/mnt/over:O"]
    berth.ok("create", "--name", "box", "--network", "none", *flags, berth.image, "true")
    for _ in range(2):
        assert read(berth, "/mnt/leads/seen") == read(berth, "/mnt/over/seen") == "elsewhere\n"
        assert "root:x:0" in read(berth, "/mnt/image/etc/passwd")
        berth.ok("cp", source / "file", "box:/mnt/leads/new")
        assert (source / "elsewhere/new").read_text() == "content\n"
        berth.call("cp", source / "file", "box:/mnt/over/x").fails(1, "mounted volume is marked read-only")
        berth.call("cp", source / "file", "box:/mnt/image/x").fails(1, "mounted volume is marked read-only")
        berth.ok("start", "-a", "box")
    berth.ok("rm", "box")
    berth.ok("volume", "rm", "leads")


def test_a_read_only_container(berth, source):
    berth.up("--name", "box", "--read-only", "-v", "/data", "--tmpfs", "/scratch")
    for state in ("running", "exited"):
        berth.call("cp", source / "file", "box:/x").fails(1, "container rootfs is marked read-only")
        berth.ok("cp", source / "file", "box:/data/x")
        assert read(berth, "/data/x") == "content\n"
        if state == "running":
            berth.ok("cp", source / "file", "box:/scratch/x")
            assert berth.ok("exec", "box", "cat", "/scratch/x").text == "content"
            berth.ok("stop", "-t", "0", "box")


def test_a_file_that_is_mounted_is_written_into(berth, source):
    berth.up("--name", "box")
    berth.ok("cp", source / "file", "box:/etc/hosts")
    assert berth.ok("exec", "box", "cat", "/etc/hosts").text == "content"


def test_paused_and_removed(berth, source):
    berth.up("--name", "box")
    if berth.call("pause", "box").code == 0:
        berth.ok("cp", source / "file", "box:/tmp/f")
        assert read(berth, "/tmp/f") == "content\n"
        berth.ok("unpause", "box")
    berth.ok("rm", "-f", "box")
    berth.call("cp", "box:/tmp/f", source).fails(1, "no such container: box")


def test_without_a_supervisor(berth, source):
    """Whether the container runs on without it, or has ended and nobody saw that."""
    identity = berth.up("--name", "box")
    pid = berth.pid("box")
    os.kill(berth.supervisor(identity), signal.SIGKILL)
    berth.ok("cp", source / "file", "box:/tmp/alive")
    assert read(berth, "/tmp/alive") == "content\n"
    os.kill(pid, signal.SIGKILL)
    berth.wait_status("box", "exited")
    berth.ok("cp", source / "file", "box:/tmp/dead", timeout=5)
    assert read(berth, "/tmp/alive") == read(berth, "/tmp/dead") == "content\n"


def test_between_containers(berth, source):
    berth.up("--name", "one")
    berth.ok("run", "--name", "two", "--network", "none", berth.image, "true")
    berth.ok("exec", "one", "sh", "-c", "mkdir /tmp/d; echo x > /tmp/d/f; chown 1000:1000 /tmp/d/f")
    berth.ok("cp", "one:/tmp/d", "two:/tmp/copy")
    assert files(berth, "two")["tmp/copy/f"].uid == 1000
    berth.ok("cp", "two:/tmp/copy/f", "one:/tmp/back")
    assert berth.ok("exec", "one", "stat", "-c", "%u", "/tmp/back").text == "1000"
    berth.ok("cp", "two:/tmp/copy", "two:/tmp/again")
    assert files(berth, "two").read("tmp/again/f") == b"x\n"


def test_many_at_once(berth, source):
    """Into a container that does not run: one after the other, and a start waits for them."""
    berth.ok("create", "--name", "box", "--network", "none", berth.image, "sleep", "1000")
    running = [berth.popen("cp", source / "dir", f"box:/tmp/{n}", stderr=subprocess.PIPE) for n in range(8)]
    running.append(berth.popen("start", "box", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
    for process in running:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
    assert berth.ok("exec", "box", "ls", "/tmp").lines == [str(n) for n in range(8)]


def test_what_is_said(berth, source):
    berth.up("--name", "box")
    result = berth.ok("cp", source / "file", "box:/tmp/f")
    assert (result.out, result.err) == ("", "")
    text = terminal(berth, "cp", source / "file", "box:/tmp/g")
    assert "Successfully copied 2.048kB to box:/tmp/g" in text or "Successfully copied 2.05kB to box:/tmp/g" in text
    assert terminal(berth, "cp", "-q", source / "file", "box:/tmp/h") == ""
    assert "refusing" in terminal(berth, "cp", "box:/tmp/g", "-")


def terminal(berth, *words):
    """What a command writes on a terminal."""
    import pty

    main, child = pty.openpty()
    process = berth.popen(*words, stdout=child, stderr=child, stdin=child)
    os.close(child)
    text = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
    process.wait(timeout=20)
    os.close(main)
    return text.decode()
