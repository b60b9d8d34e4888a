import CLinux
import Glibc
import Linux

/// The files of one log: `container.log` being written, `container.log.1` before it, and so on.
///
/// They move under a reader: a rotation renames from the oldest down, so one name at a time is missing in between, and
/// only upwards. A missing name alone is therefore no end; a search upwards meets each file.
final class LogFiles {
    let directory: OwnedFD
    /// No log has more; a hostile or wrong directory must not be searched for ever.
    static let maximum = 10_000

    private let newest: String

    /// - Parameter name: of the newest; those before it have a number after it.
    init(directory path: String, name: String = ContainerFiles.log) throws(SystemError) {
        directory = try FD.cwd.open(path, [.readOnly, .directory])
        newest = name
    }

    static func name(_ index: Int, of newest: String = ContainerFiles.log) -> String { index == 0 ? newest : "\(newest).\(index)" }
    private func name(_ index: Int) -> String { LogFiles.name(index, of: newest) }

    /// A file by its age, 0 being the newest; nil when there is none.
    func open(_ index: Int) throws(SystemError) -> LogFile? {
        do throws(SystemError) {
            return try LogFile(try directory.fd.open(name(index), [.readOnly, .noFollow, .nonBlocking]))
        } catch {
            if error.errno == .noEntry { return nil }
            throw error
        }
    }

    /// The age that a file has now; nil when it was rotated out.
    func index(of identity: LogFile.Identity, from start: Int) -> Int? {
        var index = start
        var missing = 0
        while index < LogFiles.maximum, missing < 2 {
            if let info = try? directory.fd.status(of: name(index)) {
                if LogFile.Identity(info) == identity { return index }
                missing = 0
            } else {
                missing += 1
            }
            index += 1
        }
        return nil
    }

    /// The oldest age there is; nil without any file.
    func oldest() -> Int? {
        var index = 0
        var found: Int?
        while index < LogFiles.maximum, index - (found ?? -1) < 3 {
            if directory.fd.exists(name(index)) { found = index }
            index += 1
        }
        return found
    }

    /// Opens the file that was begun after `identity` ended.
    ///
    /// Names move while we look: the answer counts only if the old file still has the age it had before the open.
    /// - Returns: nil when `identity` is the newest.
    func next(after identity: LogFile.Identity) throws(SystemError) -> LogFile? {
        for attempt in 0..<100 {
            guard let age = index(of: identity, from: 0) else {
                // Rotated out under a slow reader: what is lost is lost, go on with the oldest there is.
                guard let oldest = oldest() else { return nil }
                if let file = try open(oldest) { return file }
                continue
            }
            if age == 0 { return nil }
            // A name that stays missing was left so by a kill in the middle of a rotation.
            var younger = try open(age - 1)
            if younger == nil, attempt > 50, age > 1 { younger = try open(age - 2) }
            guard let file = younger else { continue }
            if file.identity != identity, index(of: identity, from: age) == age { return file }
        }
        return nil
    }
}

/// One open log file.
final class LogFile {
    struct Identity: Hashable {
        let device: UInt64
        let inode: UInt64
        init(_ info: stat) {
            device = UInt64(info.st_dev)
            inode = UInt64(info.st_ino)
        }
    }

    let file: OwnedFD
    let identity: Identity
    var offset: Int64 = 0

    init(_ file: consuming OwnedFD) throws(SystemError) {
        let info = try file.fd.status()
        // A FIFO in its place would block the reader for ever.
        guard info.st_mode & S_IFMT == S_IFREG else { throw SystemError(.invalid, "open", ContainerFiles.log) }
        identity = Identity(info)
        self.file = file
    }

    var size: Int64 { ((try? file.fd.status())?.st_size).map(Int64.init) ?? 0 }

    /// Reads at `offset` and moves it.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        let count = try check(cl_pread(file.raw, buffer.baseAddress, buffer.count, offset), "read", ContainerFiles.log)
        offset += Int64(count)
        return count
    }

    /// Where the lines that `scanner` still wants begin; nil when they begin in an older file.
    func offsetOfTail(_ scanner: inout TailScanner) throws(SystemError) -> Int64? {
        let chunk = 64 << 10
        // SAFETY: freed when this function ends; the views of it given to the scanner are not kept.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk + TailScanner.lookahead, alignment: 16)
        defer { buffer.deallocate() }
        var end = size
        scanner.beginFile(size: end)
        while end > 0 {
            let start = max(0, end - Int64(chunk))
            let count = try check(
                cl_pread(file.raw, buffer.baseAddress, Int(end - start) + TailScanner.lookahead, start), "read",
                ContainerFiles.log)
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            if let offset = scanner.scan(bytes, ownLength: min(Int(end - start), count), at: start) { return offset }
            end = start
        }
        return nil
    }
}
