import CLinux
import Control
import Glibc
import Linux

/// A directory of a test's own, removed with everything in it.
final class Scratch: Sendable {
    let path: String
    let directory: SharedFD

    init() throws {
        path = "\(environmentVariable("TMPDIR") ?? "/tmp")/berth-supervision-\(hexadecimal(randomBytes(8)))"
        try FD.cwd.makeDirectory(path, mode: 0o700)
        directory = SharedFD(try FD.cwd.open(path, [.readOnly, .directory]))
    }

    /// The log's records as (stream, tag, text), oldest first.
    func records() throws -> [(stream: UInt8, partial: Bool, text: [UInt8])] {
        var reader = try LogReader(directory: path)
        var result: [(stream: UInt8, partial: Bool, text: [UInt8])] = []
        _ = try reader.readAvailable { record in
            result.append((record.stream.rawValue, record.isPartial, Array(record.text)))
            return true
        }
        return result
    }

    /// What the container wrote to a stream, byte for byte.
    func logged(_ stream: LogRecord.Stream) throws -> [UInt8] {
        try records().filter { $0.stream == stream.rawValue }.flatMap { $0.text + ($0.partial ? [] : [10]) }
    }

    deinit { try? removeTree(.cwd, path) }
}

/// Bytes that repeat late and have newlines at odd places.
func pattern(_ count: Int, newlines: Bool = true) -> [UInt8] {
    var state: UInt64 = 88_172_645_463_325_252
    return (0..<count).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        let byte = UInt8(truncatingIfNeeded: state >> 32)
        return !newlines && byte == 10 ? 11 : byte
    }
}

/// Reads to the end of the file.
func readToEnd(_ fd: FD) -> [UInt8] {
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        let count = buffer.withUnsafeMutableBytes { cl_read(fd.rawValue, $0.baseAddress, $0.count) }
        if count <= 0 { return result }
        result += buffer[..<count]
    }
}
