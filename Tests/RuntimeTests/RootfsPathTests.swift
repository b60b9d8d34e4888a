import CLinux
import Glibc
import Linux
import Testing

@testable import Runtime

struct PathTextTests {
    @Test(arguments: [
        ("/a/b", "/a/", "b"), ("/a", "/", "a"), ("a", "/", "a"), ("/a/b/", "/a/", "b"), ("/a//b///", "/a//", "b"), ("/", "/", ""),
        ("", "/", ""), ("//", "/", ""), ("/a/..", "/a/", ".."),
    ])
    func theLastComponentIsSplitOff(path: String, parent: String, name: String) {
        let split = splitLast(path)
        #expect(split.parent == parent)
        #expect(split.name == name)
    }

    @Test(arguments: [
        ("/a/./b/../c", "/a/c"), ("/..", "/"), ("/../../x", "/x"), ("a//b/", "/a/b"), ("", "/"), ("/a/b/../../..", "/"), ("/...", "/..."),
        ("/a/.../b", "/a/.../b"),
    ])
    func pathsAreCleaned(path: String, clean: String) {
        #expect(cleanPath(path) == clean)
        #expect(cleanPath(clean) == clean)
    }
}

/// Mount targets in trees that an attacker made (attacks S01 to S12): nothing outside the root is made or changed.
struct RootfsPathTests {
    /// `root/` is the container's; `canary/` lies beside it and must stay as it is.
    private func tree(_ links: [(String, String)]) throws -> Scratch {
        let scratch = try Scratch()
        try scratch.fd.makeDirectory("canary")
        try scratch.fd.writeFile("canary/file", Array("untouched".utf8))
        try scratch.fd.makeDirectory("root")
        try scratch.fd.makeDirectory("root/run")
        for (name, target) in links { try scratch.fd.makeSymbolicLink(to: target, at: "root/\(name)") }
        return scratch
    }

    private func make(_ path: String, _ kind: RootfsPath.Kind, in scratch: Scratch) throws {
        let root = try scratch.fd.open("root", [.path, .directory])
        let target = try RootfsPath(root: root.fd).makeTarget(path, kind)
        let isDirectory = try target.fd.status().st_mode & S_IFMT == S_IFDIR
        #expect(isDirectory == (kind == .directory))
    }

    @Test func targetsAndTheirParentsAreMade() throws {
        let scratch = try tree([])
        try make("/a/b/c", .directory, in: scratch)
        try make("/etc/hosts", .file, in: scratch)
        try make("relative/x", .directory, in: scratch)
        try make("/a/b/c", .directory, in: scratch)
        #expect(scratch.fd.exists("root/a/b/c"))
        #expect(try scratch.fd.status(of: "root/etc/hosts").st_mode & S_IFMT == S_IFREG)
        #expect(scratch.fd.exists("root/relative/x"))
    }

    @Test func anExistingFileKeepsItsContent() throws {
        let scratch = try tree([])
        try scratch.fd.writeFile("root/run/x", Array("kept".utf8))
        try make("/run/x", .file, in: scratch)
        #expect(try scratch.fd.readText("root/run/x") == "kept")
    }

    /// `/var/run -> /run` is what every distribution ships: links are followed, inside.
    @Test func linksOfTheImageAreFollowedInside() throws {
        let scratch = try tree([("absolute", "/run"), ("relative", "run"), ("dangling", "/made/later"), ("chain", "dangling")])
        try make("/absolute/a.sock", .file, in: scratch)
        try make("/relative/b", .directory, in: scratch)
        #expect(scratch.fd.exists("root/run/a.sock"))
        #expect(scratch.fd.exists("root/run/b"))
        try make("/chain", .directory, in: scratch)
        #expect(scratch.fd.exists("root/made/later"))
    }

    @Test(arguments: [
        "../canary", "/../canary", "../../canary/x", "/../../../../canary", "up/x", "up", "absolute/x", "absolute", "deep/y/x", "hop/x",
        "parent/canary/new", "file-link", "self/x",
    ])
    func nothingOutsideIsTouched(path: String) throws {
        for kind in [RootfsPath.Kind.directory, .file] {
            let scratch = try tree([])
            let links = [
                ("up", "../canary"), ("absolute", "\(scratch.path)/canary"), ("deep", "../../../../../../../../\(scratch.path)/canary"),
                ("hop", "up"), ("parent", ".."), ("file-link", "../canary/file"), ("self", "/proc/self/cwd"),
            ]
            for (name, target) in links { try scratch.fd.makeSymbolicLink(to: target, at: "root/\(name)") }
            let before = try scratch.snapshot("canary")
            let entries = try scratch.names()
            _ = refusal { try make(path, kind, in: scratch) }
            #expect(try scratch.snapshot("canary") == before, "\(path)")
            #expect(try scratch.names() == entries, "\(path) made something beside the root")
        }
    }

    @Test func loopsOfLinksEndWithAnError() throws {
        let scratch = try tree([("loop", "loop"), ("a", "b/x"), ("b", "a/x")])
        for path in ["/loop", "/loop/x", "/a", "/a/y"] {
            #expect(refusal { try make(path, .directory, in: scratch) }?.contains("symbolic links") == true, "\(path)")
        }
    }

    @Test func veryDeepPathsEndWithAnError() throws {
        let scratch = try tree([])
        let path = String(repeating: "/d", count: 5000)
        #expect(refusal { try make(path, .directory, in: scratch) } != nil)
    }

    @Test(arguments: ["/run/file/x", "/run/file"])
    func aFileInTheWayIsAnError(path: String) throws {
        let scratch = try tree([])
        try scratch.fd.writeFile("root/run/file", Array("x".utf8))
        if path == "/run/file/x" { #expect(refusal { try make(path, .directory, in: scratch) } != nil) }
        #expect(try scratch.fd.readText("root/run/file") == "x")
    }

    /// S01: the source of a mask is `/dev/null` of the image, which may be anything. Opening does not follow it out.
    @Test func openingDoesNotLeaveTheRoot() throws {
        let scratch = try tree([("null", "../canary/file"), ("proc", "/proc/self/root")])
        let root = try scratch.fd.open("root", [.path, .directory])
        let paths = RootfsPath(root: root.fd)
        for path in ["/null", "/proc/etc/passwd", "../canary/file", "/run/../../canary/file"] {
            #expect(refusal { _ = try paths.open(path) } != nil, "\(path)")
        }
    }

    @Test func aTargetThatIsAFifoDoesNotBlock() throws {
        let scratch = try tree([])
        try #require(mkfifo("\(scratch.path)/root/run/fifo", 0o600) == 0)
        let root = try scratch.fd.open("root", [.path, .directory])
        let target = try RootfsPath(root: root.fd).makeTarget("/run/fifo", .file)
        #expect(try target.fd.status().st_mode & S_IFMT == S_IFIFO)
    }

    /// S06, S07: a racer swaps a directory of the path with a link to the canary while targets are made below it.
    @Test func aRacingSwapDoesNotLeadOut() throws {
        let scratch = try tree([])
        try scratch.fd.makeDirectory("root/flip")
        try scratch.fd.makeSymbolicLink(to: "../canary", at: "root/flop")
        let before = try scratch.snapshot("canary")
        let pipe = try makePipe()
        // RENAME_EXCHANGE from another process, until its input ends.
        let script =
            "import ctypes,os,sys,select\nl=ctypes.CDLL(None)\nos.chdir(sys.argv[1])\n"
            + "while not select.select([0],[],[],0)[0]: l.renameat2(-100,b'flip',-100,b'flop',2)"
        guard let python = findProgram("python3") else { return }
        let racer = try spawn(
            SpawnRequest(python, [python, "-c", script, "\(scratch.path)/root"], descriptors: [(pipe.first.fd, 0), (FD(2), 2)]))
        let root = try scratch.fd.open("root", [.path, .directory])
        let end = monotonicNanoseconds() + 1_000_000_000
        var round = 0
        while monotonicNanoseconds() < end {
            round += 1
            _ = try? RootfsPath(root: root.fd).makeTarget("/flip/made-\(round)", round % 2 == 0 ? .file : .directory)
        }
        close(OwnedFD(owning: pipe.take().second))
        _ = try racer.wait()
        #expect(round > 100)
        #expect(try scratch.snapshot("canary") == before)
    }
}
