"""Layers that attack whoever unpacks them, row by row of the list of attacks: id, what is tried, the tar, what has to happen.

A maker gets the canary: the path of a tree outside of every store that the attack is after. What has to happen is one of

  Refused(pattern)  the command fails with these words and nothing of the image is there
  Becomes(tree)     it is loaded and the layer has exactly these names: kinds (d, l, p, c, b), or the bytes of files
  Agrees()          refused, or the layer has what GNU tar and Python's tarfile both list: never a third reading
"""

import dataclasses
import io
import struct
import tarfile

from images import Layer, pad, raw_header


@dataclasses.dataclass
class Refused:
    pattern: str = ""


@dataclasses.dataclass
class Becomes:
    tree: dict
    more: object = None


class Agrees:
    pass


UP = "../" * 24
END = b"\0" * 1024


def raw(*blocks):
    return b"".join(blocks) + END


def file(name, data=b"x", **more):
    data = data.encode() if isinstance(data, str) else data
    return raw_header(name, size=len(data), **more) + pad(data)


def pax(records, type=b"x", length=None):
    """A PAX header; `records` are pairs, or bytes as they are."""
    if not isinstance(records, bytes):
        lines = b""
        for key, value in records:
            rest = b" %s=%s\n" % (key.encode(), value if isinstance(value, bytes) else value.encode())
            size = len(rest) + 1
            while len(str(size)) + len(rest) != size:
                size = len(str(size)) + len(rest)
            lines += str(size).encode() + rest
        records = lines
    return raw_header("PaxHeaders/x", size=len(records) if length is None else length, type=type) + pad(records)


def gnu_long(name, type=b"L"):
    name = name.encode() + b"\0"
    return raw_header("././@LongLink", size=len(name), type=type) + pad(name)


def with_xattr(name, value=b"y", kind="file"):
    """One entry with one attribute, whatever its bytes are."""
    record = pax([("SCHILY.xattr." + name, value)])
    entry = file("f") if kind == "file" else raw_header("d/", type=b"5", mode=0o755)
    return raw(record, entry)


NO_XATTRS = lambda found: all(not names for names in found["xattrs"].values())  # noqa: E731

ROWS = [
    # S41: names
    ("S41", "parent", lambda can: raw(file("../x")), Refused(r"\.\.")),
    ("S41", "parent in the middle", lambda can: raw(file("a/../../x")), Refused(r"\.\.")),
    ("S41", "parent behind a dot", lambda can: raw(file("./..//x")), Refused(r"\.\.")),
    ("S41", "parent at the end", lambda can: raw(raw_header("a/..", type=b"5")), Refused(r"\.\.")),
    ("S41", "only the parent", lambda can: raw(raw_header("..", type=b"5")), Refused(r"\.\.")),
    ("S41", "up to the canary", lambda can: raw(file(f"{UP}{can}/secret")), Refused(r"\.\.")),
    ("S41", "parent in the prefix field", lambda can: raw(file("x", prefix=b"..")), Refused(r"\.\.")),
    ("S41", "parent in a PAX path", lambda can: raw(pax([("path", UP + can + "/secret")]), file("harmless")), Refused(r"\.\.")),
    ("S41", "parent in a GNU long name", lambda can: raw(gnu_long(UP + can + "/secret"), file("harmless")), Refused(r"\.\.")),
    ("S41", "absolute", lambda can: raw(file("/abs")), Becomes({"abs": b"x"})),
    ("S41", "absolute many slashes", lambda can: raw(file("///abs//in")), Becomes({"abs": "d", "abs/in": b"x"})),
    ("S41", "dots that are none", lambda can: raw(file("./.../..x/x..")), Becomes({"...": "d", ".../..x": "d", ".../..x/x..": b"x"})),
    ("S41", "NUL in the name field", lambda can: raw(file(b"a\0b")), Becomes({"a": b"x"})),
    ("S41", "NUL in a PAX path", lambda can: raw(pax([("path", b"a\0b")]), file("c")), Refused()),
    ("S41", "empty", lambda can: raw(file("")), Refused("without a name")),
    ("S41", "the root as a file", lambda can: raw(file(".")), Refused("root")),
    ("S41", "the root as a link", lambda can: raw(raw_header(".", type=b"2", link=can)), Refused("root")),
    ("S41", "the root itself", lambda can: raw(raw_header("./", type=b"5", mode=0o700), file("a")), Becomes({"a": b"x"})),
    ("S41", "5000 characters", lambda can: raw(pax([("path", "x" * 5000)]), file("c")), Refused("longer than 255 bytes")),
    ("S41", "long path", lambda can: raw(pax([("path", "/".join(["x" * 200] * 25))]), file("c")), Refused("longer than 4095 bytes")),
    ("S41", "256 characters", lambda can: raw(pax([("path", "x" * 256)]), file("c")), Refused("longer than 255 bytes")),
    ("S41", "invalid UTF-8", lambda can: raw(file(b"\xff\xfe\x80")), Becomes({"\udcff\udcfe\udc80": b"x"})),
    ("S41", "control characters", lambda can: raw(file(b"\x1b[2J\n")), Becomes({"\x1b[2J\n": b"x"})),
    ("S41", "a whiteout of nothing", lambda can: raw(file("a/.wh.")), Refused("whiteout")),
    ("S41", "a whiteout of the directory", lambda can: raw(file("a/.wh..")), Refused("whiteout")),
    ("S41", "a whiteout of the parent", lambda can: raw(file("a/.wh...")), Refused("whiteout")),
    ("S41", "below a whiteout", lambda can: raw(file("a/.wh.b/c")), Refused("whiteout")),
    ("S41", "below aufs' own names", lambda can: raw(file(".wh..wh.plnk/1.2"), file("a")), Becomes({"a": b"x"})),
    # S42: writing through links
    ("S42", "file through a link", lambda can: Layer().symlink("d", can).file("d/new", "x").bytes, Refused("directory of the path is none")),
    ("S42", "file over a file through a link", lambda can: Layer().symlink("d", can).file("d/secret", "x").bytes, Refused("directory of the path")),
    ("S42", "through a relative link", lambda can: Layer().symlink("d", UP + can).file("d/secret", "x").bytes, Refused("directory of the path")),
    ("S42", "a chain of links", lambda can: Layer().symlink("a", can).symlink("b", "a").symlink("c", "b/.").file("c/secret").bytes, Refused("directory of the path")),
    ("S42", "a loop", lambda can: Layer().symlink("a", "b").symlink("b", "a").file("a/x").bytes, Refused()),
    ("S42", "a loop of one", lambda can: Layer().symlink("a", "a").file("a/x").bytes, Refused()),
    ("S42", "a directory through a link", lambda can: Layer().symlink("d", can).dir("d/sub", mode=0o777).bytes, Refused("directory of the path")),
    ("S42", "a directory in place of a link", lambda can: Layer().symlink("d", can).dir("d").file("d/secret", "x").bytes, Becomes({"d": "d", "d/secret": b"x"})),
    ("S42", "a file in place of a link", lambda can: Layer().symlink("f", can + "/secret").file("f", "x").bytes, Becomes({"f": b"x"})),
    ("S42", "a fifo in place of a link", lambda can: Layer().symlink("f", can + "/secret").add("f", tarfile.FIFOTYPE).bytes, Becomes({"f": "p"})),
    ("S42", "a link in place of a directory", lambda can: Layer().dir("d", mode=0o777, uid=1, gid=1).symlink("d", can).bytes, Becomes({"d": "l"})),
    ("S42", "a link in place of a full directory", lambda can: Layer().dir("d").dir("d/sub", mode=0o777).file("d/sub/file").symlink("d", can).bytes, Becomes({"d": "l"})),
    ("S42", "a link above a directory", lambda can: Layer().dir("p").dir("p/sub", mode=0o777).dir("p/sub/more").symlink("p", can).bytes, Becomes({"p": "l"})),
    ("S42", "a whiteout through a link", lambda can: Layer().symlink("d", can).whiteout("d/secret").bytes, Refused("directory of the path")),
    ("S42", "opaque through a link", lambda can: Layer().symlink("d", can).opaque("d").bytes, Refused("directory of the path")),
    ("S42", "a link inside the layer", lambda can: Layer().dir("usr").dir("usr/lib").symlink("lib", "usr/lib").file("lib/x", "x").bytes,
     Becomes({"lib": "l", "usr": "d", "usr/lib": "d", "usr/lib/x": b"x"})),
    ("S42", "an absolute link inside the layer", lambda can: Layer().dir("real").symlink("d", "/real").file("d/x", "x").bytes,
     Becomes({"d": "l", "real": "d", "real/x": b"x"})),
    ("S42", "above the root, inside the layer", lambda can: Layer().dir("real").symlink("d", UP + "real").file("d/x", "x").bytes,
     Becomes({"d": "l", "real": "d", "real/x": b"x"})),
    ("S42", "proc's magic links", lambda can: Layer().symlink("d", "/proc/self/root").file(f"d{can}/secret", "x").bytes, Refused()),
    # S43: hard links
    ("S43", "to the canary", lambda can: Layer().hardlink("h", can + "/secret").bytes, Refused("hard link|directory|no such file")),
    ("S43", "up to the canary", lambda can: Layer().hardlink("h", UP + can + "/secret").bytes, Refused(r"\.\.")),
    ("S43", "to a link to the canary", lambda can: Layer().symlink("s", can + "/secret").hardlink("h", "s").bytes, Becomes({"h": "l", "s": "l"})),
    ("S43", "through a link", lambda can: Layer().symlink("d", can).hardlink("h", "d/secret").bytes, Refused()),
    ("S43", "to a later entry", lambda can: Layer().hardlink("h", "f").file("f").bytes, Refused("not in the layer")),
    ("S43", "to a directory", lambda can: Layer().dir("d").hardlink("h", "d").bytes, Refused("hard link to a directory")),
    ("S43", "to the root", lambda can: Layer().hardlink("h", "/").bytes, Refused("hard link")),
    ("S43", "to itself", lambda can: Layer().file("f", "x").hardlink("f", "f").bytes, Becomes({"f": b"x"})),
    ("S43", "to nothing", lambda can: raw(raw_header("h", type=b"1")), Refused("without a target")),
    ("S43", "to a whiteout", lambda can: Layer().whiteout("f").hardlink("h", "f").bytes, Refused("not in the layer")),
    ("S43", "written through a link's link", lambda can: Layer().symlink("s", can + "/secret").hardlink("h", "s").file("h", "x").bytes, Becomes({"h": b"x", "s": "l"})),
    ("S43", "made below a link", lambda can: Layer().file("f").symlink("d", can).hardlink("d/h", "f").bytes, Refused()),
    # S45: owner and mode outside
    ("S45", "a link's mode", lambda can: Layer().add("s", tarfile.SYMTYPE, link=can + "/secret", mode=0o4777, uid=1000, gid=1000).bytes, Becomes({"s": "l"})),
    ("S45", "a hard link's mode", lambda can: Layer().symlink("s", can + "/secret").add("h", tarfile.LNKTYPE, link="s", mode=0o4777, uid=1000).bytes, Becomes({"h": "l", "s": "l"})),
    ("S45", "attributes of a link", lambda can: raw(pax([("SCHILY.xattr.user.x", "y")]), raw_header("s", type=b"2", link=can + "/secret")), Becomes({"s": "l"})),
    # S47: attributes and devices with a meaning
    *[
        ("S47", name, lambda can, name=name, kind=kind: with_xattr(name, b"/etc", kind), Becomes({"d": "d"} if kind == "dir" else {"f": b"x"}, NO_XATTRS))
        for name, kind in [
            ("trusted.overlay.redirect", "dir"), ("trusted.overlay.opaque", "dir"), ("trusted.overlay.metacopy", "file"),
            ("trusted.overlay.origin", "file"), ("trusted.overlay.whiteout", "file"), ("trusted.overlay.whiteouts", "dir"),
            ("trusted.overlay.overlay.opaque", "dir"), ("user.overlay.redirect", "dir"), ("user.overlay.opaque", "dir"),
            ("user.overlay.metacopy", "file"), ("user.overlay.whiteout", "file"), ("user.fuseoverlayfs.opaque", "dir"),
            ("user.fuseoverlayfs.override_stat", "file"), ("security.selinux", "file"), ("security.ima", "file"), ("security.evm", "file"),
        ]
    ],
    ("S47", "a capability is kept", lambda can: with_xattr("security.capability", struct.pack("<5I", 0x02000001, 0x400, 0, 0, 0)),
     Becomes({"f": b"x"}, lambda found: list(found["xattrs"]["f"]) == ["security.capability"])),
    ("S47", "a capability that is none", lambda can: with_xattr("security.capability", b"nonsense"), Refused("invalid argument")),
    ("S47", "character device 0:0", lambda can: Layer().add("gone", tarfile.CHRTYPE, major=0, minor=0).file("f", "x").bytes, Becomes({"f": b"x"})),
    ("S47", "a link to character device 0:0", lambda can: Layer().add("gone", tarfile.CHRTYPE).hardlink("h", "gone").bytes, Refused("not in the layer")),
    # S48: two readings of one archive (CVE-2025-62518)
    ("S48", "PAX size over an empty header", lambda can: raw(pax([("size", "1024")]), raw_header("outer", size=0), file("inner")), Agrees()),
    ("S48", "empty PAX size over a header's", lambda can: raw(pax([("size", "0")]), raw_header("outer", size=1024), file("inner")), Agrees()),
    ("S48", "PAX size of a directory", lambda can: raw(pax([("size", "1024")]), raw_header("d/", type=b"5"), file("inner")), Agrees()),
    ("S48", "size of a directory", lambda can: raw(raw_header("d/", type=b"5", size=1024), file("inner")), Agrees()),
    ("S48", "size of a link", lambda can: raw(raw_header("l", type=b"2", link=b"x", size=1024), file("inner")), Agrees()),
    ("S48", "size of a hard link", lambda can: raw(file("f"), raw_header("l", type=b"1", link=b"f", size=1024), file("inner")), Agrees()),
    ("S48", "GNU name then PAX path", lambda can: raw(gnu_long("gnu"), pax([("path", "pax")]), file("header")), Agrees()),
    ("S48", "PAX path then GNU name", lambda can: raw(pax([("path", "pax")]), gnu_long("gnu"), file("header")), Agrees()),
    ("S48", "two GNU names", lambda can: raw(gnu_long("one"), gnu_long("two"), file("header")), Agrees()),
    ("S48", "two PAX headers", lambda can: raw(pax([("path", "one")]), pax([("path", "two")]), file("header")), Agrees()),
    ("S48", "one key twice", lambda can: raw(pax([("path", "one"), ("path", "two")]), file("header")), Agrees()),
    ("S48", "global size", lambda can: raw(pax([("size", "1024")], b"g"), raw_header("outer", size=0), file("inner")), Agrees()),
    ("S48", "global path", lambda can: raw(pax([("path", "global")], b"g"), file("header"), file("second")), Agrees()),
    ("S48", "global between", lambda can: raw(pax([("path", "one")]), pax([("mtime", "1")], b"g"), file("header")), Agrees()),
    ("S48", "negative base-256 size", lambda can: raw(raw_header("f", size_field=b"\xff" * 12), file("inner")), Refused()),
    ("S48", "huge base-256 size", lambda can: raw(raw_header("f", size_field=b"\x80" + b"\x7f" * 11), file("inner")), Refused()),
    ("S48", "size without digits", lambda can: raw(raw_header("f", size_field=b"\0" * 12), file("inner")), Agrees()),
    ("S48", "size of other characters", lambda can: raw(raw_header("f", size_field=b"12x\0\0\0\0\0\0\0\0\0"), file("inner")), Refused()),
    ("S48", "bad checksum", lambda can: raw(file("one"), file("f", checksum=1)), Refused("checksum")),
    ("S48", "PAX size that is none", lambda can: raw(pax([("size", "-1")]), file("f")), Refused()),
    ("S48", "PAX size of 2^64", lambda can: raw(pax([("size", str(2**64))]), file("f")), Refused()),
    ("S48", "PAX size in hexadecimal", lambda can: raw(pax([("size", "0x400")]), file("f")), Refused()),
    ("S48", "PAX record without a length", lambda can: raw(pax(b"path=x\n"), file("f")), Refused()),
    ("S48", "PAX record too long", lambda can: raw(pax(b"900 path=x\n"), file("f")), Refused()),
    ("S48", "PAX record too short", lambda can: raw(pax(b"6 path=xyz\n"), file("f")), Refused()),
    ("S48", "PAX record of length 0", lambda can: raw(pax(b"0 path=x\n"), file("f")), Refused()),
    ("S48", "PAX record of a huge length", lambda can: raw(pax(b"99999999999999999999 path=x\n"), file("f")), Refused()),
    ("S48", "PAX record without =", lambda can: raw(pax(b"7 path\n"), file("f")), Refused()),
    ("S48", "PAX record without a newline", lambda can: raw(pax(b"8 path=x"), file("f")), Refused()),
    ("S48", "PAX header of 2 MiB", lambda can: raw(pax([("comment", "x" * (2 << 20))]), file("f")), Refused("larger than")),
    ("S48", "PAX header that says 2^33 bytes", lambda can: raw(pax([("path", "x")], length=(1 << 33) - 1), file("f")), Refused("larger than")),
    ("S48", "PAX header at the end", lambda can: raw(file("f"), pax([("path", "x")])), Refused()),
    ("S48", "a file named like a directory", lambda can: raw(file("d/")), Refused()),
    ("S48", "entries behind the end", lambda can: raw(file("f")) + raw(file("hidden")), Agrees()),
    ("S48", "one empty block", lambda can: file("f") + b"\0" * 512 + file("g") + END, Agrees()),
    ("S48", "unknown type", lambda can: raw(file("f", type=b"Z")), Refused("unknown entry type")),
    ("S48", "cut in the header", lambda can: file("f") + raw_header("g")[:100], Refused()),
    ("S48", "cut in the payload", lambda can: raw_header("f", size=100_000) + b"x" * 512, Refused("short|truncated|early|cut")),
    ("S48", "noise behind the end", lambda can: raw(file("f")) + b"\xa5" * 100_000, Becomes({"f": b"x"})),
    # S51: inodes, depth, attributes
    ("S51", "40,000 directories deep", lambda can: raw(pax([("path", "d/" * 40_000)]), raw_header("x/", type=b"5")), Refused("longer than 4095 bytes")),
    ("S51", "2,000 directories deep", lambda can: raw(pax([("path", "d/" * 2000 + "f")]), file("x")),
     Becomes(None, lambda found: "d/" * 2000 + "f" in found["names"])),
    ("S51", "an attribute of 100,000 bytes", lambda can: with_xattr("user.large", b"x" * 100_000), Refused()),
    ("S51", "20,000 attributes", lambda can: raw(pax([(f"SCHILY.xattr.user.{n}", "x") for n in range(20_000)]), file("f")), Refused()),
    ("S51", "names that a mac folds", lambda can: raw(file("\u00e9"), file("e\u0301"), file("E"), file("e")),
     Becomes({"\u00e9": b"x", "e\u0301": b"x", "E": b"x", "e": b"x"})),
    # S52: one name, many kinds
    ("S52", "file, directory, link, file", lambda can: Layer().file("n", "1").dir("n").file("n/in").symlink("n", can).file("n", "4").bytes, Becomes({"n": b"4"})),
    ("S52", "file then directory", lambda can: Layer().file("n", "1").dir("n").file("n/in", "x").bytes, Becomes({"n": "d", "n/in": b"x"})),
    ("S52", "directory then file", lambda can: Layer().dir("n").dir("n/sub").file("n/sub/in").file("n", "x").bytes, Becomes({"n": b"x"})),
    ("S52", "two files", lambda can: Layer().file("n", "first").file("n", "2").bytes, Becomes({"n": b"2"})),
    ("S52", "two directories", lambda can: Layer().dir("n", mode=0o700).file("n/in", "x").dir("n", mode=0o711).bytes,
     Becomes({"n": "d", "n/in": b"x"}, lambda found: found["modes"]["n"] == 0o711)),
    ("S52", "a file as a parent", lambda can: Layer().file("n", "x").file("n/in", "y").bytes, Refused("directory of the path is none")),
    ("S52", "a fifo as a parent", lambda can: Layer().add("n", tarfile.FIFOTYPE).file("n/in", "y").bytes, Refused("directory of the path is none")),
    ("S52", "a fifo then a file", lambda can: Layer().add("n", tarfile.FIFOTYPE).file("n", "x").bytes, Becomes({"n": b"x"})),
    ("S52", "a link to itself then a file below", lambda can: Layer().symlink("n", ".").file("n/n/f", "x").bytes, Becomes({"n": "l", "f": b"x"})),
    ("S52", "whiteout and file of one name", lambda can: Layer().whiteout("n").file("n", "x").bytes, Becomes({"n": b"x"})),
    ("S52", "file and whiteout of one name", lambda can: Layer().file("n", "x").whiteout("n").bytes, Becomes({"n": b"x"})),
]  # fmt: skip


def listed_by_tarfile(data):
    """The names Python lists, or None when it refuses."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            return sorted(item.name.strip("/") for item in archive)
    except (tarfile.TarError, ValueError, OverflowError, EOFError):
        return None
