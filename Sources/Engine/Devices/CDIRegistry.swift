import Glibc
import Linux
import YAML

/// The devices that the CDI specifications of this host describe.
///
/// Directories that come later go before earlier ones. A device that two files of one directory describe is nobody's: whoever wants
/// it is told so.
///
/// Spec: CDI 1.1; its library's rules for directories and conflicts.
struct CDIRegistry {
    /// What has to be changed for a device, and who says so.
    struct Change: Sendable, Hashable {
        var edits: CDIEdits
        /// The specification's file.
        var path: String
        /// The device that was asked for.
        var device: CDIName
    }

    private struct Entry {
        var specification: Int
        var device: Int
        /// Of the directory.
        var priority: Int
    }

    /// Where specifications are when nobody says otherwise.
    static let standardDirectories = ["/etc/cdi", "/var/run/cdi"]

    let directories: [String]
    /// Files that cannot be used, each with the reason, as sentences.
    private(set) var failures: [String] = []
    private var specifications: [CDISpecification] = []
    private var entries: [CDIName: Entry] = [:]
    private var conflicts: [CDIName: [String]] = [:]

    /// Reads what is there. What cannot be used is told by ``failures``, and does not keep the rest from being used.
    init(directories: [String]) {
        self.directories = directories
        for (priority, directory) in directories.enumerated() { scan(directory, priority) }
        for name in conflicts.keys { entries[name] = nil }
    }

    /// Of specifications that were read already, in the order of their files.
    ///
    /// - Parameter files: with the priority of their directories.
    init(_ files: [(priority: Int, specification: CDISpecification)]) {
        directories = []
        for file in files { add(file.specification, file.priority) }
        for name in conflicts.keys { entries[name] = nil }
    }

    private mutating func scan(_ path: String, _ priority: Int) {
        var names: [String] = []
        do throws(SystemError) {
            let directory = try FD.cwd.open(path, [.readOnly, .directory])
            names = try directoryEntries(directory.fd).map(\.name).filter { $0.hasSuffix(".json") || $0.hasSuffix(".yaml") }.sorted()
        } catch {
            if error.errno != .noEntry, error.errno != .notDirectory { failures.append("\(path): \(error.errno.description)") }
            return
        }
        for name in names {
            let file = path + "/" + name
            do throws(YAMLError) {
                guard let bytes = try Self.read(file) else { continue }
                add(try CDISpecification(bytes, path: file), priority)
            } catch {
                failures.append("\(file): \(error.reason)")
            }
        }
    }

    /// - Returns: nil for a directory, and for a file that has gone meanwhile.
    private static func read(_ path: String) throws(YAMLError) -> [UInt8]? {
        do throws(SystemError) {
            // Nothing that waits for somebody: a pipe is no specification.
            let file = try FD.cwd.open(path, [.readOnly, .nonBlocking])
            let kind = try file.fd.status().st_mode & S_IFMT
            if kind == S_IFDIR { return nil }
            guard kind == S_IFREG else { throw SystemError(.invalid, "read", path) }
            return try file.fd.readAll(limit: YAMLLimits.standard.size)
        } catch {
            if error.errno == .noEntry { return nil }
            let cause =
                switch error.errno {
                case .invalid: "it is no file"
                case .tooBig: "it is larger than \(YAMLLimits.standard.size >> 20) MiB"
                default: error.errno.description
                }
            throw YAMLError(.invalidValue, cause: cause)
        }
    }

    private mutating func add(_ specification: CDISpecification, _ priority: Int) {
        specifications.append(specification)
        for (index, device) in specification.devices.enumerated() {
            let name = specification.name(of: device)
            if let other = entries[name], other.priority == priority {
                conflicts[name, default: [specifications[other.specification].path]].append(specification.path)
                continue
            }
            // Of a higher priority: what was in conflict below it does not matter any more.
            conflicts[name] = nil
            entries[name] = Entry(specification: specifications.count - 1, device: index, priority: priority)
        }
    }

    /// All devices that can be asked for, in order.
    var names: [CDIName] { entries.keys.sorted() }

    /// Whether anything of this kind is described, `nvidia.com/gpu`.
    func has(kind: String) -> Bool { specifications.contains { "\($0.vendor)/\($0.`class`)" == kind } }

    /// What these devices need, in the order they were asked for; of each specification what all its devices need comes first.
    ///
    /// - Throws: `.notFound` for a device that is not described, `.conflict` for one that is described twice.
    func changes(for wanted: [CDIName]) throws(EngineError) -> [Change] {
        var result: [Change] = []
        var usedSpecifications: Set<Int> = []
        var usedDevices: Set<CDIName> = []
        for name in try expanded(wanted) where usedDevices.insert(name).inserted {
            guard let entry = entries[name] else { throw unknown(name) }
            let specification = specifications[entry.specification]
            if usedSpecifications.insert(entry.specification).inserted {
                result.append(Change(edits: specification.edits, path: specification.path, device: name))
            }
            result.append(Change(edits: specification.devices[entry.device].edits, path: specification.path, device: name))
        }
        return result
    }

    /// `all` stands for all devices of the kind where no device of that name is described.
    private func expanded(_ wanted: [CDIName]) throws(EngineError) -> [CDIName] {
        var result: [CDIName] = []
        for name in wanted {
            guard name.device == "all", entries[name] == nil, conflicts[name] == nil else {
                result.append(name)
                continue
            }
            let all = names.filter { $0.kind == name.kind }
            if all.isEmpty { throw unknown(name) }
            result += all
        }
        return result
    }

    private func unknown(_ name: CDIName) -> EngineError {
        if let paths = conflicts[name] {
            return EngineError(
                .conflict, sentence: "CDI device \(name) is described by several files of one directory: " + paths.joined(separator: ", "))
        }
        let known = names.filter { $0.kind == name.kind }.map(\.device)
        var text = "unresolvable CDI devices \(name): looked in \(directories.joined(separator: ", ")); "
        text += known.isEmpty ? "no device of \(name.kind) is known" : "known of \(name.kind): \(Self.list(known))"
        // One of these may be the file that should have had it.
        if !failures.isEmpty { text += "; not read: " + failures.joined(separator: "; ") }
        return EngineError(.notFound, sentence: text)
    }

    private static func list(_ names: [String]) -> String {
        names.count > 20 ? names.prefix(20).joined(separator: ", ") + " and \(names.count - 20) more" : names.joined(separator: ", ")
    }
}
