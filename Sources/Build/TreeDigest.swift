import Archive
import Dockerfile
import Glibc
import Linux
import Store

/// The digest of files: names, kinds, modes, owners, content. Times are no part of it: to touch a file changes nothing.
final class TreeDigest: TreeSink {
    private var hash = SHA256()
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)

    func add(_ entry: TarEntry, content: FD?) throws(StoreError) {
        var head = "\(entry.kind) \(entry.mode) \(entry.uid) \(entry.gid) \(entry.size) \(entry.major) \(entry.minor)"
        head += " \(entry.path.count) \(entry.linkPath.count) \(entry.xattrs.count)\n"
        hash.update(Array(head.utf8))
        hash.update(entry.path)
        hash.update(entry.linkPath)
        for attribute in entry.xattrs.sorted(by: { $0.name.lexicographicallyPrecedes($1.name) }) {
            hash.update(Array("\(attribute.name.count) \(attribute.value.count)\n".utf8))
            hash.update(attribute.name)
            hash.update(attribute.value)
        }
        guard let content else { return }
        do throws(SystemError) {
            var left = entry.size
            while left > 0 {
                let count = try buffer.readOnce(content, most: Int(min(left, Int64(buffer.count))))
                if count == 0 { break }
                // SAFETY: `count` bytes of the buffer were just read.
                buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
                left -= Int64(count)
            }
        } catch { throw StoreError(.system, "read", printable(entry.path), cause: error.cause) }
    }

    /// Hexadecimal. Nothing may be added afterwards.
    func finish() -> String { hash.finishHex() }
}

extension [UInt8] {
    fileprivate mutating func readOnce(_ file: FD, most: Int) throws(SystemError) -> Int {
        var result = Result<Int, SystemError>.success(0)
        withUnsafeMutableBytes { bytes in
            result = Result { () throws(SystemError) in try file.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<most])) }
        }
        return try result.get()
    }
}

/// Numbers as the image has them.
struct FileOwner {
    var uid: UInt32
    var gid: UInt32
}

/// Gives what is copied its owner and mode.
final class CopySink: TreeSink {
    private let next: any TreeSink
    private let owner: FileOwner
    private let mode: FileModeChange?
    private let skipped: [UInt8]?

    /// - Parameter skips: a directory that is there already and stays as it is.
    init(_ next: any TreeSink, owner: FileOwner, mode: FileModeChange?, skips: String?) {
        (self.next, self.owner, self.mode) = (next, owner, mode)
        skipped = skips.map { Array($0.utf8) + [UInt8(ascii: "/")] }
    }

    func writes(below directory: FileNumber) -> Bool { next.writes(below: directory) }

    func add(_ entry: TarEntry, content: FD?) throws(StoreError) {
        if entry.path == skipped { return }
        var entry = entry
        (entry.uid, entry.gid) = (owner.uid, owner.gid)
        if let mode, entry.kind != .symbolicLink {
            entry.mode = UInt32(mode.applied(to: UInt16(truncatingIfNeeded: entry.mode), isDirectory: entry.kind == .directory))
        }
        try next.add(entry, content: content)
    }
}
