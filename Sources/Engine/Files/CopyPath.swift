import Glibc
import Linux

/// The arguments of `cp`, read as Docker's client reads them (Go's `path/filepath`).
public enum CopyPath {
    /// Splits `CONTAINER:PATH`.
    ///
    /// A local path with a colon is written as `./a:b` or by its absolute path.
    /// - Returns: nil as the container of a local path.
    public static func split(_ argument: String) -> (container: String?, path: String) {
        if argument.hasPrefix("/") || argument.hasPrefix(".") { return (nil, argument) }
        guard let colon = argument.firstIndex(of: ":") else { return (nil, argument) }
        return (String(argument[..<colon]), String(argument[argument.index(after: colon)...]))
    }

    /// The shortest path of the same meaning, without looking at the file system.
    static func clean(_ path: String) -> String {
        let isRooted = path.hasPrefix("/")
        var parts: [Substring] = []
        for part in path.split(separator: "/", omittingEmptySubsequences: true) where part != "." {
            if part != ".." {
                parts.append(part)
            } else if let last = parts.last, last != ".." {
                parts.removeLast()
            } else if !isRooted {
                parts.append(part)
            }
        }
        let joined = parts.joined(separator: "/")
        return isRooted ? "/" + joined : joined.isEmpty ? "." : joined
    }

    /// The last component; `/` of the root, `.` of nothing.
    static func base(_ path: String) -> String {
        if path.isEmpty { return "." }
        return path.split(separator: "/", omittingEmptySubsequences: true).last.map(String.init) ?? "/"
    }

    /// All but the last component.
    static func directory(_ path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return clean(String(path[...slash]))
    }

    /// Whether a path says that it is a directory's: it ends in `/` or `/.`.
    static func assertsDirectory(_ path: String) -> Bool { path.hasSuffix("/") || base(path) == "." }

    /// The absolute path, cleaned, with the `/` or `/.` at its end, which decide what is copied.
    ///
    /// - Parameter directory: where a relative path begins.
    static func absolute(_ path: String, in directory: String) -> String {
        var result = clean(path.hasPrefix("/") ? path : directory + "/" + path)
        if base(path) == ".", base(result) != "." { result += result.hasSuffix("/") ? "." : "/." }
        if path.hasSuffix("/"), !result.hasSuffix("/") { result += "/" }
        return result
    }

    /// The directory an entry is in, and its name there; `.` is kept as a name.
    static func splitEntry(_ path: String) -> (directory: String, name: String) {
        var cleaned = clean(path)
        if base(path) == "." {
            // The directory itself, by its name in itself.
            return (cleaned, ".")
        }
        if cleaned.isEmpty { cleaned = "." }
        return (directory(cleaned), base(cleaned))
    }
}

/// Where paths are resolved: in a container's root, or on the host.
struct PathScope {
    /// Nil: the host's.
    let root: SharedFD?

    func open(_ path: String, _ flags: OpenFlags) throws(SystemError) -> SharedFD {
        if let root { return SharedFD(try root.fd.open(inRoot: path, flags)) }
        return SharedFD(try FD.cwd.open(path, flags))
    }
}

/// What is copied.
struct CopySource {
    /// O_PATH.
    var node: SharedFD
    var isDirectory: Bool
    /// Its name in an archive; `.`: only the content of a directory is meant.
    var name: String

    /// - Parameters:
    ///   - path: as ``CopyPath/absolute(_:in:)`` gives it.
    ///   - follow: where a link leads instead of the link. A final slash does the same.
    init(_ path: String, in scope: PathScope, follow: Bool) throws(SystemError) {
        var flags: OpenFlags = .path
        if CopyPath.assertsDirectory(path) { flags.insert(.directory) } else if !follow { flags.insert(.noFollow) }
        node = try scope.open(path, flags)
        isDirectory = try node.fd.isDirectory()
        let base = CopyPath.base(path)
        name = base == "/" ? "." : base
    }
}

/// Where it goes.
struct CopyTarget {
    /// O_PATH.
    var directory: SharedFD
    var directoryPath: String
    /// The name it gets there; nil: its own.
    var name: String?

    enum Refusal: Error {
        /// Docker's `cannot copy directory`: to a place where a file is.
        case directoryToFile
        /// Docker's `no such directory`: the path says that it is one.
        case noSuchDirectory
        case device
        /// The directory it would be made in is not there, or is none.
        case noParent(String, SystemError)
        case system(SystemError)
    }

    /// - Parameters:
    ///   - path: as ``CopyPath/absolute(_:in:)`` gives it.
    ///   - source: nil for an archive, which goes into a directory only.
    init(_ path: String, in scope: PathScope, isDirectory: Bool?) throws(Refusal) {
        let (place, found) = try CopyTarget.follow(path, scope)
        if let found {
            let info: stat
            do throws(SystemError) { info = try found.fd.status() } catch { throw .system(error) }
            if info.isDirectory {
                (directory, directoryPath) = (found, place)
                return
            }
            if info.isDevice { throw .device }
            if isDirectory != false { throw .directoryToFile }
        } else if isDirectory == false, CopyPath.assertsDirectory(place) {
            throw .noSuchDirectory
        }
        let split = CopyPath.splitEntry(place)
        do throws(SystemError) { directory = try scope.open(split.directory, [.path, .directory]) } catch {
            throw .noParent(split.directory, error)
        }
        (directoryPath, name) = (split.directory, split.name)
    }

    /// Follows a final link, also one that leads to nothing: then that is what is made.
    private static func follow(_ path: String, _ scope: PathScope) throws(Refusal) -> (String, SharedFD?) {
        var place = path
        do throws(SystemError) {
            for _ in 0..<40 {
                let node = try scope.open(place, [.path, .noFollow])
                guard try node.fd.isSymbolicLink() else { return (place, node) }
                let link = try node.fd.readLink("")
                place = CopyPath.clean(link.hasPrefix("/") ? link : CopyPath.directory(place) + "/" + link)
            }
            throw SystemError(.loop, "open", path)
        } catch {
            if error.errno == .noEntry || error.errno == .notDirectory { return (place, nil) }
            throw .system(error)
        }
    }
}
