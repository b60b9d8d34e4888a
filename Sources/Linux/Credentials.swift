import CLinux
import Glibc

/// A contiguous id mapping of a user namespace, one line of `/proc/PID/uid_map`.
public struct IDMapping: Hashable, Sendable {
    public var inside: UInt32
    public var outside: UInt32
    public var count: UInt32

    public init(inside: UInt32, outside: UInt32, count: UInt32) {
        self.inside = inside
        self.outside = outside
        self.count = count
    }
}

/// Whether the caller holds a capability in its user namespace (effective set). The C function is `capget(2)`.
public func hasCapability(_ number: Int) -> Bool {
    var effective: UInt64 = 0
    var permitted: UInt64 = 0
    var inheritable: UInt64 = 0
    guard cl_capget(&effective, &permitted, &inheritable) == 0 else { return false }
    return effective & (1 << UInt64(number)) != 0
}

/// Parses `/proc/PID/uid_map` or `gid_map`.
public func readIDMap(_ path: String) -> [IDMapping] {
    guard let text = try? FD.cwd.readText(path) else { return [] }
    return text.split(separator: "\n").compactMap { line in
        let fields = line.split(separator: " ", omittingEmptySubsequences: true)
        guard fields.count == 3, let i = UInt32(fields[0]), let o = UInt32(fields[1]), let c = UInt32(fields[2]) else {
            return nil
        }
        return IDMapping(inside: i, outside: o, count: c)
    }
}

/// Whether this process lives in a user namespace other than the initial one.
public func isInUserNamespace() -> Bool {
    readIDMap("/proc/self/uid_map") != [IDMapping(inside: 0, outside: 0, count: UInt32.max)]
}

/// The caller's user id as the parent of its user namespace knows it: an ordinary user's own where the caller is root of a
/// namespace that this user made.
public func userIDOutside() -> UInt32 {
    let own = geteuid()
    return readIDMap("/proc/self/uid_map").first { own >= $0.inside && own - $0.inside < $0.count }
        .map { $0.outside &+ (own - $0.inside) } ?? own
}

/// The same mappings with outer ids as seen from within a user namespace.
///
/// - Parameter namespace: that namespace's own map.
/// - Returns: nil when an id is not in the namespace.
public func translate(_ mappings: [IDMapping], into namespace: [IDMapping]) -> [IDMapping]? {
    var result: [IDMapping] = []
    for mapping in mappings {
        var (inside, outside, left) = (UInt64(mapping.inside), UInt64(mapping.outside), UInt64(mapping.count))
        while left > 0 {
            guard
                let extent = namespace.first(where: { outside >= UInt64($0.outside) && outside - UInt64($0.outside) < UInt64($0.count) })
            else { return nil }
            let offset = outside - UInt64(extent.outside)
            let count = min(left, UInt64(extent.count) - offset)
            result.append(
                IDMapping(
                    inside: UInt32(truncatingIfNeeded: inside), outside: UInt32(truncatingIfNeeded: UInt64(extent.inside) + offset),
                    count: UInt32(truncatingIfNeeded: count)))
            (inside, outside, left) = (inside + count, outside + count, left - count)
        }
    }
    return result
}

/// Which ids of a namespace an id map describes.
public enum IDKind: Sendable {
    case user, group
    var file: String { self == .user ? "uid_map" : "gid_map" }
    var tool: String { self == .user ? "newuidmap" : "newgidmap" }
    var subordinateFile: String { self == .user ? "/etc/subuid" : "/etc/subgid" }
}

/// The ranges that `/etc/subuid` or `/etc/subgid` grants a user, by name or number, in file order.
/// - Parameter file: read instead of the system's.
public func subordinateRanges(
    _ kind: IDKind, userName: String?, uid: UInt32, file: String? = nil
) -> [(start: UInt32, count: UInt32)] {
    guard let text = try? FD.cwd.readText(file ?? kind.subordinateFile) else { return [] }
    var result: [(start: UInt32, count: UInt32)] = []
    for line in text.split(separator: "\n") {
        let fields = line.split(separator: ":", omittingEmptySubsequences: false)
        guard fields.count == 3, let start = UInt32(fields[1]), let count = UInt32(fields[2]), count > 0 else { continue }
        if fields[0] == userName.map({ Substring($0) }) || UInt32(fields[0]) == uid { result.append((start, count)) }
    }
    return result
}

/// The login name of a uid by `/etc/passwd`, read as a file: the C library would load name services.
public func userName(of uid: UInt32) -> String? {
    guard let text = try? FD.cwd.readText("/etc/passwd", limit: 10 << 20) else { return nil }
    for line in text.split(separator: "\n") {
        let fields = line.split(separator: ":", omittingEmptySubsequences: false)
        if fields.count >= 3, UInt32(fields[2]) == uid { return String(fields[0]) }
    }
    return nil
}

/// Writes the id maps of a process in a new user namespace, by itself where the kernel allows it, else by
/// newuidmap(1) and newgidmap(1) of the shadow package.
///
/// The process must be stopped before anything that needs the ids. `setgroups` is denied only where the kernel demands
/// it (a single-id map written without privilege, user_namespaces(7)).
/// - Throws: `.notPermitted` when the helper refuses: the ranges are not granted in `/etc/subuid` and `/etc/subgid`.
public func writeIDMaps(_ pid: Int32, users: [IDMapping], groups: [IDMapping]) throws(SystemError) {
    let privileged = hasCapability(7 /* CAP_SETUID */) && hasCapability(6 /* CAP_SETGID */)
    try writeIDMap(pid, .user, users, direct: privileged || isOwnID(users, geteuid()))
    if !privileged, isOwnID(groups, getegid()) {
        let deny = try FD.cwd.open("/proc/\(pid)/setgroups", .writeOnly)
        try deny.fd.writeOnce("deny", to: "setgroups")
    }
    try writeIDMap(pid, .group, groups, direct: privileged || isOwnID(groups, getegid()))
}

/// One id, the caller's own: the only map an unprivileged process may write.
private func isOwnID(_ map: [IDMapping], _ own: UInt32) -> Bool {
    map.count == 1 && map[0].outside == own && map[0].count == 1
}

private func writeIDMap(_ pid: Int32, _ kind: IDKind, _ map: [IDMapping], direct: Bool) throws(SystemError) {
    if map.isEmpty { return }
    if direct {
        var text = ""
        for m in map { text += "\(m.inside) \(m.outside) \(m.count)\n" }
        let file = try FD.cwd.open("/proc/\(pid)/\(kind.file)", .writeOnly)
        try file.fd.writeOnce(text, to: kind.file)
        return
    }
    var arguments = [kind.tool, "\(pid)"]
    for m in map { arguments += ["\(m.inside)", "\(m.outside)", "\(m.count)"] }
    let path = findProgram(kind.tool) ?? "/usr/bin/\(kind.tool)"
    let process: SpawnedProcess
    do throws(SystemError) {
        process = try spawn(SpawnRequest(path, arguments, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]))
    } catch {
        throw SystemError(error.errno, "run (install it with: apt-get install uidmap)", path)
    }
    let status = try process.wait()
    if status != .exited(0) {
        throw SystemError(.notPermitted, "map ids of \(kind.subordinateFile) with", kind.tool)
    }
}

/// Finds a program in PATH and in the system directories that an ordinary user's PATH often lacks.
public func findProgram(_ name: String, path: String? = nil) -> String? {
    if name.utf8.contains(UInt8(ascii: "/")) { return cl_faccessat(AT_FDCWD, name, X_OK, 0) == 0 ? name : nil }
    let search = (path ?? environmentVariable("PATH") ?? "") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    for directory in search.split(separator: ":", omittingEmptySubsequences: true) {
        let candidate = "\(directory)/\(name)"
        var info = stat()
        if cl_faccessat(AT_FDCWD, candidate, X_OK, 0) == 0, cl_fstatat(AT_FDCWD, candidate, &info, 0) == 0,
            info.st_mode & S_IFMT == S_IFREG
        {
            return candidate
        }
    }
    return nil
}
