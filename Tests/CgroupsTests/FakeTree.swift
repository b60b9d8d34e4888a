import Glibc
import Linux
import OCI

@testable import Cgroups

/// A directory of ordinary files that stands in for cgroupfs. Removed at the end.
final class FakeTree {
    let root: String

    init() throws {
        let temporary = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        root = "\(temporary)/berth-cgroups-\(getpid())-\(hexadecimal(randomBytes(6)))"
        try FD.cwd.makeDirectory(root)
    }

    deinit {
        func remove(_ path: String) {
            if let directory = try? FD.cwd.open(path, .directory), let entries = try? directoryEntries(directory.fd) {
                for entry in entries {
                    if entry.type == UInt8(DT_DIR) { remove(path + "/" + entry.name) }
                    try? FD.cwd.removeFile(path + "/" + entry.name)
                }
            }
            try? FD.cwd.removeDirectory(path)
        }
        remove(root)
    }

    func directory(_ path: String) throws { try FD.cwd.makeDirectories(root + "/" + path) }

    func file(_ path: String, _ content: String = "") throws {
        let full = root + "/" + path
        if let slash = full.lastIndex(of: "/") { try FD.cwd.makeDirectories(String(full[..<slash])) }
        try FD.cwd.writeFile(full, Array(content.utf8), mode: 0o644)
    }

    func files(_ directory: String, _ names: [String]) throws {
        for name in names { try file(directory + "/" + name) }
    }

    func text(_ path: String) throws -> String { try FD.cwd.readText(root + "/" + path) }
    func exists(_ path: String) -> Bool { FD.cwd.exists(root + "/" + path) }

    /// A v2 cgroup whose controllers are all enabled, with the given files.
    func unified(_ names: [String], controllers: String = "cpuset cpu io memory hugetlb pids rdma misc") throws -> Cgroup {
        try directory("c")
        try file("c/cgroup.controllers", controllers + "\n")
        try files("c", names)
        return Cgroup(record: CgroupRecord(entries: [.init(hierarchy: "", path: root + "/c")]))
    }

    /// A v1 cgroup in the given hierarchies, each with the given files.
    func legacy(_ hierarchies: [String: [String]]) throws -> Cgroup {
        var record = CgroupRecord()
        for (name, names) in hierarchies.sorted(by: { $0.key < $1.key }) {
            try directory(name + "/c")
            try files(name + "/c", names)
            record.entries.append(.init(hierarchy: name, path: "\(root)/\(name)/c"))
        }
        return Cgroup(record: record)
    }
}

/// Applies limits and returns the writes in their order, as `file=value`.
func writes(_ cgroup: Cgroup, _ resources: LinuxResources) throws -> [String] {
    var log: [String] = []
    cgroup.onWrite = { file, value in log.append("\(file)=\(value)") }
    try cgroup.apply(resources)
    return log
}

/// The error of a closure that must fail with one.
func failure(_ body: () throws -> Void) -> CgroupError? {
    do { try body() } catch let error as CgroupError { return error } catch {}
    return nil
}
