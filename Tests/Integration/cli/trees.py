"""File trees as data: everything that a layer carries about a file, so that two of them can be compared.

Run as a program, it prints the tree of a directory, or of directories put together by overlay (topmost first), as JSON. It mounts in
a mount namespace of its own, which ends with it.
"""

import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile

# What the kernel or the host adds, and overlay's own marks.
PRIVATE = ("security.selinux", "trusted.overlay.", "user.overlay.")


def attributes(path):
    """Extended attributes of a path (of a link itself) or of a descriptor, without those that the host or overlay adds."""
    follow = isinstance(path, int)
    try:
        names = os.listxattr(path, follow_symlinks=follow)
    except OSError:
        return {}
    return {name: os.getxattr(path, name, follow_symlinks=follow).hex() for name in sorted(names) if not name.startswith(PRIVATE)}


def content_digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def tree(root, times=True):
    """{name: what it is}; names of one file are told by `same`, the first of them in order."""
    root = os.fsencode(root)
    found, first = {}, {}
    for directory, names, files in os.walk(root):
        names.sort()
        for name in [b".", *names, *files] if directory == root else [*names, *files]:
            path = os.path.join(directory, name)
            st = os.lstat(path)
            shown = os.path.normpath(os.path.relpath(path, root)).decode(errors="surrogateescape")
            kind = stat.S_IFMT(st.st_mode)
            item = {"mode": oct(st.st_mode), "uid": st.st_uid, "gid": st.st_gid}
            if times:
                item["mtime"] = st.st_mtime_ns
            if kind == stat.S_IFREG:
                item |= {"size": st.st_size, "content": content_digest(path)}
            if kind == stat.S_IFLNK:
                item["target"] = os.fsdecode(os.readlink(path))
            if kind in (stat.S_IFCHR, stat.S_IFBLK):
                item["device"] = [os.major(st.st_rdev), os.minor(st.st_rdev)]
            if kind != stat.S_IFDIR and st.st_nlink > 1:
                item["links"] = st.st_nlink
                first.setdefault(st.st_ino, []).append(shown)
            found[shown] = item | ({"xattrs": attributes(path)} if attributes(path) else {})
    for names in first.values():
        for name in names:
            found[name]["same"] = min(names)
    return found


def allocated(path):
    """Bytes on disk, to see whether holes stayed holes."""
    return os.stat(path).st_blocks * 512


def merged(*directories):
    """The tree that overlay makes of layers, topmost first."""
    command = ["unshare", "-m", "--propagation", "private", sys.executable, __file__, *map(str, directories)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main(directories):
    if len(directories) == 1:
        json.dump(tree(directories[0]), sys.stdout)
        return
    with tempfile.TemporaryDirectory() as target:
        subprocess.run(["mount", "-t", "overlay", "-o", "ro,lowerdir=" + ":".join(directories), "overlay", target], check=True)
        try:
            json.dump(tree(target), sys.stdout)
        finally:
            subprocess.run(["umount", target], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
