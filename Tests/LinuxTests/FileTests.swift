import CLinux
import Glibc
import Testing

@testable import Linux

struct FileTests {
    @Test func aFileIsReplacedWhole() throws {
        let scratch = try Scratch()
        try scratch.fd.replaceFile("f", with: bytes("old"), mode: 0o640, durable: false)
        let before = try scratch.fd.open("f", .readOnly)
        try scratch.fd.replaceFile("f", with: bytes("newer"), durable: true)
        #expect(try scratch.text("f") == "newer")
        #expect(try before.fd.readAll() == bytes("old"), "who had it open reads the old bytes")
        #expect(try directoryEntries(scratch.fd).map(\.name) == ["f"], "no staging file is left")
        #expect(try scratch.fd.status(of: "f").st_mode & 0o777 == 0o600)
    }

    @Test func aFailedReplacementLeavesNothing() throws {
        let scratch = try Scratch()
        try scratch.fd.makeDirectory("d")
        try scratch.fd.writeFile("d/inside", bytes("x"))
        #expect(failure { try scratch.fd.replaceFile("d", with: bytes("y"), durable: true) } != nil)
        #expect(try scratch.names() == ["d"])
        #expect(failure { try scratch.fd.replaceFile("missing/f", with: [], durable: false) }?.errno == .noEntry)
    }

    /// A link planted where the staging file would go must not be written through.
    @Test func theStagingFileIsNotFollowed() throws {
        let scratch = try Scratch()
        try scratch.fd.writeFile("victim", bytes("canary"))
        try scratch.fd.makeSymbolicLink(to: "victim", at: "f.\(getpid()).new")
        _ = failure { try scratch.fd.replaceFile("f", with: bytes("evil"), durable: false) }
        #expect(try scratch.text("victim") == "canary")
    }

    @Test func readingIsBounded() throws {
        let scratch = try Scratch()
        try scratch.fd.writeFile("f", [UInt8](repeating: 1, count: 10_000))
        #expect(try scratch.fd.readFile("f", limit: 10_000).count == 10_000)
        #expect(failure { _ = try scratch.fd.readFile("f", limit: 9_999) }?.errno == .tooBig)
        #expect(failure { _ = try FD.cwd.readFile("/dev/zero", limit: 100_000) }?.errno == .tooBig)
        #expect(try !FD.cwd.readFile("/proc/self/status").isEmpty, "a file whose size is 0 and content is not")
    }

    @Test func directoriesAreListedCompletely() throws {
        let scratch = try Scratch()
        // More than one buffer of getdents64 (32 KiB) holds.
        let names = (0..<1500).map { "a-name-of-some-length-\($0)" }
        for name in names { try scratch.fd.writeFile(name, []) }
        try scratch.fd.makeDirectory("directory")
        try scratch.fd.makeSymbolicLink(to: "x", at: "link")
        let entries = try directoryEntries(scratch.fd)
        #expect(Set(entries.map(\.name)) == Set(names + ["directory", "link"]))
        #expect(entries.count == names.count + 2)
        #expect(entries.first { $0.name == "directory" }?.type == 4)
        #expect(entries.first { $0.name == "link" }?.type == 10)
        let file = try scratch.fd.open(names[0], .readOnly)
        #expect(failure { _ = try directoryEntries(file.fd) }?.errno == .notDirectory)
    }

    @Test func missingParentsAreMade() throws {
        let scratch = try Scratch()
        try FD.cwd.makeDirectories(scratch.path + "/a/b/c", mode: 0o700)
        try FD.cwd.makeDirectories(scratch.path + "/a/b/c", mode: 0o755)
        #expect(try scratch.fd.status(of: "a/b/c").st_mode & 0o777 == 0o700, "what exists is left as it is")
        try scratch.fd.writeFile("file", [])
        #expect(failure { try FD.cwd.makeDirectories(scratch.path + "/file/x") }?.errno == .notDirectory)
    }

    @Test func writeOnceNamesWhatItWrote() throws {
        let closed = try makePipe()
        let ends = closed.take()
        close(OwnedFD(owning: ends.second))
        let reader = OwnedFD(owning: ends.first)
        let error = failure { try reader.fd.writeOnce("42", to: "pids.max") }
        #expect(error?.description == "write \"42\" to \"pids.max\": bad file descriptor")
    }

    @Test func errorsReadAsSentences() {
        #expect(SystemError(.noEntry, "open", "/x").description == "open \"/x\": no such file or directory")
        #expect(SystemError(.io, "sync").description == "sync: input/output error")
        #expect(Errno(rawValue: 99_999).description.contains("99999"))
    }

    @Test func descriptorsCloseAtBirthOfAProgram() throws {
        let file = try FD.cwd.open("/dev/null", .readOnly)
        #expect(fcntl(file.raw, F_GETFD) & FD_CLOEXEC != 0)
        let copy = try file.fd.duplicate(atLeast: 50)
        #expect(copy.raw >= 50)
        #expect(fcntl(copy.raw, F_GETFD) & FD_CLOEXEC != 0)
        let pipe = try makePipe()
        #expect(fcntl(pipe.first.raw, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(pipe.second.raw, F_GETFD) & FD_CLOEXEC != 0)
    }
}

/// `openat2` with RESOLVE_IN_ROOT: nothing an image contains leads out of it.
struct InRootTests {
    /// A tree with a secret beside it, and every kind of link that points at the secret.
    private func hostileTree() throws -> Scratch {
        let scratch = try Scratch()
        try scratch.fd.writeFile("secret", bytes("canary"))
        try scratch.fd.makeDirectory("root")
        try scratch.fd.makeDirectory("root/etc")
        try scratch.fd.writeFile("root/etc/passwd", bytes("inside"))
        for (name, target) in [
            ("up", "../secret"), ("far", "../../../../../../etc/passwd"), ("absolute", "/etc/passwd"),
            ("outside", "\(scratch.path)/secret"), ("loop", "loop"), ("self", "/proc/self/root"),
            ("magic", "/proc/self/fd/\(scratch.fd.rawValue)/secret"),
        ] { try scratch.fd.makeSymbolicLink(to: target, at: "root/\(name)") }
        return scratch
    }

    @Test(arguments: ["far", "absolute", "/etc/passwd", "etc/passwd", "../etc/passwd", "../../../etc/passwd", "/../../etc/./passwd"])
    func linksAndDotsStayInside(path: String) throws {
        let scratch = try hostileTree()
        let root = try scratch.fd.open("root", [.path, .directory])
        let file = try root.fd.open(inRoot: path, .readOnly)
        #expect(try file.fd.readAll() == bytes("inside"))
    }

    @Test(arguments: ["up", "../secret", "../../secret", "outside", "magic"])
    func theSecretIsNotReached(path: String) throws {
        let scratch = try hostileTree()
        let root = try scratch.fd.open("root", [.path, .directory])
        #expect(failure { _ = try root.fd.open(inRoot: path, .readOnly) } != nil)
    }

    @Test func loopsEnd() throws {
        let scratch = try hostileTree()
        let root = try scratch.fd.open("root", [.path, .directory])
        #expect(failure { _ = try root.fd.open(inRoot: "loop", .readOnly) }?.errno == .loop)
    }

    @Test func magicLinksAreRefused() throws {
        let root = try FD.cwd.open("/", [.path, .directory])
        #expect(failure { _ = try root.fd.open(inRoot: "proc/self/exe", .readOnly) }?.errno == .loop)
        #expect(failure { _ = try root.fd.open(inRoot: "proc/self/root/etc", .readOnly) }?.errno == .loop)
    }

    @Test func strictResolutionRefusesWhatItIsTold() throws {
        let scratch = try hostileTree()
        let root = try scratch.fd.open("root", [.readOnly, .directory])
        #expect(failure { _ = try root.fd.open("../secret", .readOnly, resolve: .beneath) }?.errno == .crossDevice)
        #expect(failure { _ = try root.fd.open("absolute", .readOnly, resolve: .noSymlinks) }?.errno == .loop)
        let file = try root.fd.open("etc/passwd", .readOnly, resolve: [.beneath, .noSymlinks])
        #expect(try file.fd.readAll() == bytes("inside"))
    }
}
