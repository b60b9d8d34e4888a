import CLinux
import Glibc
import JSON
import Linux
import OCI

/// A file that pins names of images to digests, so that a command brings the same image every time.
///
/// One line `REFERENCE DIGEST` for each image, `#` begins a comment; or, for a file that begins with `{` or is new and called
/// `*.json`, `{"images": {"REFERENCE": "DIGEST"}}`. References are written in full: `docker.io/library/alpine:3.20`.
/// Off unless it is asked for by `--lock`.
public final class LockFile {
    public let path: String
    /// Nothing is added: what is not in the file is refused (`--locked`).
    public let isFrozen: Bool
    private var digests: [String: Digest]
    private var added: [String: Digest] = [:]

    /// - Parameter path: a missing file has no pins.
    /// - Throws: `.invalid` for a file that cannot be understood: a pin that is not seen would be no pin.
    public init(path: String, isFrozen: Bool = false) throws(EngineError) {
        self.path = path
        self.isFrozen = isFrozen
        digests = try LockFile.read(path) ?? [:]
    }

    /// What a reference stands for; nil when the file does not say and may be told (``pin(_:_:)``).
    ///
    /// - Throws: `.blocked` when the file is frozen and does not say; when the reference has another digest than the pin.
    public func digest(of reference: Reference) throws(EngineError) -> Digest? {
        // A digest pins itself; the pin of a tag says nothing of it.
        if reference.tag == nil, let own = reference.digest { return own }
        if let pinned = digests[LockFile.key(reference)] {
            if let own = reference.digest, own != pinned { throw mismatch(reference, pinned, own) }
            return pinned
        }
        if let own = reference.digest { return own }
        guard !isFrozen else {
            throw EngineError(
                .blocked,
                sentence: "\(reference.withDefaultTag) is not in the lock file \(path), and --locked adds nothing: leave --locked away once"
            )
        }
        return nil
    }

    /// Remembers what a reference turned out to be. Written by ``commit()``.
    ///
    /// - Parameter digest: of the manifest or index that the tag named at the registry.
    /// - Throws: `.blocked` when the file says something else.
    public func pin(_ reference: Reference, _ digest: Digest) throws(EngineError) {
        if let pinned = try self.digest(of: reference) {
            if pinned != digest { throw mismatch(reference, pinned, digest) }
            return
        }
        let name = LockFile.key(reference)
        digests[name] = digest
        added[name] = digest
    }

    /// Writes what was pinned; nothing when nothing was.
    ///
    /// What another command added meanwhile stays. The file is replaced as a whole and survives power loss.
    public func commit() throws(EngineError) {
        guard !added.isEmpty else { return }
        let guardFile = try lock()
        defer { withExtendedLifetime(guardFile) {} }
        let current = try LockFile.read(path) ?? [:]
        for (name, digest) in added {
            if let other = current[name], other != digest {
                throw EngineError(
                    .conflict, sentence: "\(name) was pinned to \(other) in \(path) by another command meanwhile: try again")
            }
        }
        let all = current.merging(added) { old, _ in old }
        let old = (try? FD.cwd.readFile(path, limit: 16 << 20)) ?? []
        let isJSON = old.isEmpty ? path.hasSuffix(".json") : LockFile.isJSON(old)
        let bytes = isJSON ? LockFile.json(all) : LockFile.lines(old, adding: added)
        try during("write lock file", path) { () throws(SystemError) in
            try FD.cwd.replaceFile(path, with: bytes, mode: 0o644, durable: true)
        }
        added.removeAll()
    }

    /// Another writer waits. On the directory, for the file itself is replaced. C function: `flock(2)`.
    private func lock() throws(EngineError) -> SharedFD {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        return try during("lock", path) { () throws(SystemError) in
            let file = SharedFD(try FD.cwd.open(directory, [.directory]))
            try Linux.check(cl_flock(file.raw, LOCK_EX), "lock", directory)
            return file
        }
    }

    private func mismatch(_ reference: Reference, _ pinned: Digest, _ found: Digest) -> EngineError {
        EngineError(
            .blocked,
            sentence: "\(reference.withDefaultTag) is pinned to \(pinned) in \(path), not to \(found): change the line there to accept it")
    }

    /// Names without a digest: the digest is what is pinned.
    private static func key(_ reference: Reference) -> String {
        reference.name + ":" + (reference.tag ?? Reference.defaultTag)
    }

    // MARK: The two forms

    private static func isJSON(_ bytes: [UInt8]) -> Bool {
        bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: "{")
    }

    private static func read(_ path: String) throws(EngineError) -> [String: Digest]? {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try FD.cwd.readFile(path, limit: 16 << 20) } catch {
            if error.errno == .noEntry { return nil }
            throw EngineError("read lock file", path, error)
        }
        var result: [String: Digest] = [:]
        func add(_ name: String, _ text: String, _ place: String) throws(EngineError) {
            guard let reference = try? Reference.parse(name), reference.digest == nil, let digest = Digest(text),
                digest.algorithm == .sha256
            else { throw EngineError(.invalid, "read lock file", path, cause: "\(place) is no reference with a digest") }
            let known = result.updateValue(digest, forKey: key(reference))
            guard known == nil || known == digest else {
                throw EngineError(.invalid, "read lock file", path, cause: "\(place) pins \(name) a second time")
            }
        }
        if isJSON(bytes) {
            let value: JSONValue
            do throws(JSONError) { value = try JSONValue.parse(bytes) } catch {
                throw EngineError(.invalid, "read lock file", path, cause: error.description)
            }
            guard let images = value["images"]?.object else {
                throw EngineError(.invalid, "read lock file", path, cause: "it has no \"images\"")
            }
            for image in images { try add(image.key, image.value.string ?? "", "\"\(image.key)\"") }
            return result
        }
        for (number, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let words = line.prefix { $0 != UInt8(ascii: "#") }.split { [0x20, 0x09, 0x0D].contains($0) }
            if words.isEmpty { continue }
            guard words.count == 2 else {
                throw EngineError(.invalid, "read lock file", path, cause: "line \(number + 1) is not REFERENCE DIGEST")
            }
            try add(
                String(decoding: words[0], as: UTF8.self), String(decoding: words[1], as: UTF8.self), "line \(number + 1)")
        }
        return result
    }

    private static func json(_ digests: [String: Digest]) -> [UInt8] {
        JSONWriter.document(indent: "  ") { w in
            w.object { w in
                w.key("images")
                w.value(digests.mapValues(\.description))
            }
        } + [UInt8(ascii: "\n")]
    }

    /// What a person wrote stays as it is; new lines follow.
    private static func lines(_ old: [UInt8], adding added: [String: Digest]) -> [UInt8] {
        var bytes = old
        if let last = bytes.last, last != UInt8(ascii: "\n") { bytes.append(UInt8(ascii: "\n")) }
        for (name, digest) in added.sorted(by: { $0.key < $1.key }) { bytes += Array("\(name) \(digest)\n".utf8) }
        return bytes
    }
}
