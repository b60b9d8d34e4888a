import Dockerfile
import Engine
import Glibc
import Linux
import Store

/// A tree that COPY and ADD take files from: the context, a stage, an image.
struct FileSource {
    /// O_PATH, of its root directory; nil: there is nothing in it.
    let root: SharedFD?
    /// What does not belong to it.
    let ignored: PathMatcher

    /// Something that a source of COPY names.
    struct Match {
        /// O_PATH; a link was followed.
        var node: SharedFD
        var isDirectory: Bool
        /// Relative to the tree's root, clean; empty: the root.
        var path: String
        /// The name it gets: its last component, or with `--parents` what follows the pivot.
        var name: String
    }

    /// What one source names, sorted.
    ///
    /// - Throws: BuildKit's sentence where there is nothing.
    func matches(_ source: CopySource, _ engine: Engine, _ text: String) throws(BuildFailure) -> [Match] {
        guard let root else { throw missing(text) }
        let start = source.root == "/" ? "" : String(source.root.dropFirst())
        if !source.hasWildcard, !source.keepsParents {
            let pattern = source.pattern.text
            let path = [start, pattern == "." ? "" : pattern].filter { !$0.isEmpty }.joined(separator: "/")
            guard let match = try open(path, in: root, engine), !ignored.matches(path) || match.isDirectory && ignored.hasExceptions else {
                throw missing(text)
            }
            return [match]
        }
        guard let directory = try open(start, in: root, engine), directory.isDirectory else { throw missing(text) }
        var found: [Match] = []
        for path in try list(directory.node, source, start) {
            guard var match = try open(path, in: root, engine) else { continue }
            if source.keepsParents { match.name = start.isEmpty ? path : String(path.dropFirst(start.utf8.count + 1)) }
            found.append(match)
        }
        if found.isEmpty, !source.hasWildcard { throw missing(text) }
        return found
    }

    private func missing(_ text: String) -> BuildFailure {
        BuildFailure("failed to calculate checksum: \"\(text)\": not found")
    }

    private func open(_ path: String, in root: SharedFD, _ engine: Engine) throws(BuildFailure) -> Match? {
        do throws(EngineError) {
            guard let node = try engine.open("/" + path, in: root) else { return nil }
            let info = try node.status()
            return Match(
                node: node, isDirectory: info.st_mode & S_IFMT == S_IFDIR, path: path,
                name: path.split(separator: "/").last.map(String.init) ?? "")
        } catch { throw BuildFailure(error) }
    }

    /// Paths below a directory that a pattern matches and that are not ignored, relative to the tree's root.
    private func list(_ top: SharedFD, _ source: CopySource, _ start: String) throws(BuildFailure) -> [String] {
        var found: [String] = []
        var pending: [(SharedFD, String)] = [(top, "")]
        do throws(SystemError) {
            while let (directory, path) = pending.popLast() {
                let readable = SharedFD(try directory.fd.open(".", [.readOnly, .directory]))
                for entry in try directoryEntries(readable.fd) {
                    let below = path.isEmpty ? entry.name : path + "/" + entry.name
                    let whole = start.isEmpty ? below : start + "/" + below
                    if source.matches(below) {
                        if !ignored.matches(whole) { found.append(whole) }
                        continue
                    }
                    guard source.mayMatch(below: below),
                        let next = try? readable.fd.open(entry.name, [.path, .directory, .noFollow])
                    else { continue }
                    pending.append((SharedFD(next), below))
                }
            }
        } catch { throw BuildFailure("read \(start.isEmpty ? "context" : start): \(error.cause)") }
        return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Tells a match and all below it to a sink, but for what is ignored or excluded.
    ///
    /// - Parameters:
    ///   - path: its path in the archive; empty for the content of a directory.
    ///   - excluded: `--exclude`.
    func read(_ match: Match, as path: String, excluding excluded: PathMatcher, to sink: any TreeSink) throws(StoreError) {
        let reader = TreeReader()
        let (ignored, prefix) = (ignored, path.utf8.count + (path.isEmpty ? 0 : 1))
        let origin = match.path
        if !ignored.isEmpty || !excluded.isEmpty {
            reader.admit = { told, isDirectory in
                if told.count <= prefix, path.isEmpty ? told.isEmpty : true { return .taken }
                let below = String(decoding: told[prefix...], as: UTF8.self)
                let whole = origin.isEmpty ? below : origin + "/" + below
                for (matcher, name) in [(ignored, whole), (excluded, below)] where matcher.matches(name) {
                    return isDirectory && matcher.hasExceptions ? .passed : .left
                }
                return .taken
            }
        }
        try reader.read(match.node, as: Array(path.utf8), to: sink)
    }
}

extension SharedFD {
    func status() throws(EngineError) -> stat {
        do throws(SystemError) { return try fd.status() } catch { throw EngineError("stat", "file", error) }
    }
}
