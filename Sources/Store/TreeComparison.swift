import Glibc
import Linux

/// Compares two trees: names, types, permissions, owners, links, attributes and content.
///
/// Neither times nor the number of names a file has count: they change nothing that a program reads.
enum TreeComparison {
    private final class Level {
        let actual: SharedFD
        let expected: SharedFD
        /// Ends with a slash, but for the root.
        let path: String
        var names: [[UInt8]]

        init(_ actual: SharedFD, _ expected: SharedFD, _ path: String, _ names: [[UInt8]]) {
            (self.actual, self.expected, self.path, self.names) = (actual, expected, path, names)
        }
    }

    /// - Returns: what differs first, as a sentence; nil when nothing does.
    static func firstDifference(_ actual: SharedFD, _ expected: SharedFD) throws(SystemError) -> String? {
        let root = try (actual.fd.status(), expected.fd.status())
        if let difference = difference(root.0, root.1) { return "its root directory has \(difference)" }
        let (top, cause) = try level(actual, expected, "")
        if let cause { return cause }
        // By a stack of its own, as the depth of a tree may come from an attacker.
        var stack = [top]
        while let current = stack.last {
            guard let name = current.names.popLast() else {
                stack.removeLast()
                continue
            }
            let path = current.path + String(decoding: name.dropLast(), as: UTF8.self)
            let (one, other) = try (current.actual.fd.status(named: name), current.expected.fd.status(named: name))
            if let difference = difference(one, other) { return "\"\(path)\" has \(difference)" }
            switch one.st_mode & S_IFMT {
            case S_IFDIR:
                let flags: OpenFlags = [.readOnly, .directory, .noFollow]
                let actual = SharedFD(try current.actual.fd.open(named: name, flags))
                let expected = SharedFD(try current.expected.fd.open(named: name, flags))
                if actual.fd.attributes != expected.fd.attributes { return "\"\(path)\" has other attributes" }
                let (next, cause) = try level(actual, expected, path + "/")
                if let cause { return cause }
                stack.append(next)
            case S_IFREG:
                let actual = SharedFD(try current.actual.fd.open(named: name, [.readOnly, .noFollow, .nonBlocking]))
                let expected = SharedFD(try current.expected.fd.open(named: name, [.readOnly, .noFollow, .nonBlocking]))
                if try !haveSameContent(actual.fd, expected.fd) { return "\"\(path)\" has other content" }
                if actual.fd.attributes != expected.fd.attributes { return "\"\(path)\" has other attributes" }
            case S_IFLNK:
                if try current.actual.fd.readLink(named: name) != current.expected.fd.readLink(named: name) {
                    return "\"\(path)\" has another target"
                }
            default: break
            }
        }
        return nil
    }

    private static func level(
        _ actual: SharedFD, _ expected: SharedFD, _ path: String
    ) throws(SystemError) -> (Level, String?) {
        let seen = try names(actual)
        let wanted = try names(expected)
        let level = Level(actual, expected, path, wanted)
        if seen == wanted { return (level, nil) }
        let all = (Set(seen), Set(wanted))
        func shown(_ name: [UInt8]) -> String { "\"" + path + String(decoding: name.dropLast(), as: UTF8.self) + "\"" }
        if let missing = wanted.first(where: { !all.0.contains($0) }) { return (level, "\(shown(missing)) is missing") }
        return (level, seen.first { !all.1.contains($0) }.map { "\(shown($0)) was added" })
    }

    private static func names(_ directory: SharedFD) throws(SystemError) -> [[UInt8]] {
        let stream = DirectoryStream(directory)
        var names: [[UInt8]] = []
        while let name = try stream.next() { names.append(name) }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    private static func difference(_ actual: stat, _ expected: stat) -> String? {
        if actual.st_mode & S_IFMT != expected.st_mode & S_IFMT { return "another type" }
        if actual.st_mode != expected.st_mode { return "other permissions" }
        if actual.st_uid != expected.st_uid || actual.st_gid != expected.st_gid { return "another owner" }
        if actual.st_mode & S_IFMT == S_IFREG, actual.st_size != expected.st_size { return "another size" }
        return actual.st_rdev == expected.st_rdev ? nil : "another device number"
    }
}

extension FD {
    /// Without what the host's security modules write by themselves.
    fileprivate var attributes: [String: [UInt8]] {
        extendedAttributes().filter { $0.key != "security.selinux" && $0.key != "security.ima" && $0.key != "security.evm" }
    }
}
