import CLinux
import Glibc
import JSON
import Linux

/// What a container may do with one block device: `--device-read-bps`, `--blkio-weight-device` and their like.
public struct DeviceLimit: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        case weight, readBytes, writeBytes, readOperations, writeOperations
    }

    public var kind: Kind
    /// Of the host.
    public var path: String
    /// Bytes or operations per second; a weight of 10 to 1000. 0: none.
    public var value: UInt64

    public init(_ kind: Kind, path: String, value: UInt64) {
        self.kind = kind
        self.path = path
        self.value = value
    }

    /// `/dev/sda:1mb`.
    ///
    /// - Throws: `.invalid` in Docker's words.
    public init(_ kind: Kind, option text: String) throws(EngineError) {
        guard let (path, number) = text.splitOnce(":"), !path.isEmpty else { throw .invalid("bad format: \(text)") }
        guard path.hasPrefix("/dev/") else { throw .invalid("bad format for device path: \(text)") }
        let digits = String(number)
        var value: Int64?
        switch kind {
        case .weight:
            value = Numbers.integer(digits)
            guard let weight = value, weight == 0 || (10...1000).contains(weight) else {
                throw .invalid("invalid weight for device: \(text)")
            }
        case .readBytes, .writeBytes:
            value = try? ByteSize.parse(digits)
            guard value != nil else {
                throw .invalid(
                    "invalid rate for device: \(text). The correct format is <device-path>:<number>[<unit>]. Number must be a positive "
                        + "integer. Unit is optional and can be kb, mb, or gb")
            }
        case .readOperations, .writeOperations:
            value = Numbers.integer(digits)
            guard let rate = value, rate >= 0 else {
                throw .invalid(
                    "invalid rate for device: \(text). The correct format is <device-path>:<number>. Number must be a positive integer")
            }
        }
        self.init(kind, path: String(path), value: UInt64(max(0, value ?? 0)))
    }

    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("kind", kind.rawValue)
            w.field("path", path)
            w.field("value", value)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init(.readBytes, path: "", value: 0)
        var isKnown = false
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "kind":
                guard let kind = Kind(rawValue: try parser.string()) else { continue }
                self.kind = kind
                isKnown = true
            case "path": path = try parser.string()
            case "value": value = try parser.int()
            default: try parser.skip()
            }
        }
        // A newer version's: none here.
        if !isKnown { value = 0 }
    }
}

/// How the kernel calls a device.
public struct DeviceNumber: Hashable, Sendable {
    public var major: Int64
    public var minor: Int64

    /// The block devices of limits, by path.
    ///
    /// - Throws: `.notFound` or `.invalid` naming a path that is none.
    static func find(_ limits: [DeviceLimit]) throws(EngineError) -> [String: DeviceNumber] {
        var result: [String: DeviceNumber] = [:]
        for limit in limits where result[limit.path] == nil {
            let info = try during("limit device", limit.path) { () throws(SystemError) in
                try FD.cwd.status(of: limit.path, follow: true)
            }
            guard info.st_mode & S_IFMT == S_IFBLK else {
                throw EngineError(.invalid, "limit device", limit.path, cause: "it is no block device")
            }
            let number = UInt64(info.st_rdev)
            result[limit.path] = DeviceNumber(major: Int64(cl_major(number)), minor: Int64(cl_minor(number)))
        }
        return result
    }
}

/// `--device-cgroup-rule`: `c 42:* rwm`.
public enum DeviceRuleOption {
    /// - Throws: `.invalid` in Docker's words.
    public static func check(_ text: String) throws(EngineError) -> String {
        _ = try parse(text)
        return text
    }

    /// Nil numbers: all of them.
    static func parse(_ text: String) throws(EngineError) -> (type: String, major: Int64?, minor: Int64?, access: String) {
        let failure = EngineError.invalid("invalid device cgroup format '\(text)'")
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, ["a", "b", "c"].contains(String(words[0])), let (major, minor) = words[1].splitOnce(":"),
            (1...3).contains(words[2].utf8.count), Set(words[2]).count == words[2].count, words[2].allSatisfy({ "rwm".contains($0) })
        else { throw failure }
        func number(_ text: Substring) throws(EngineError) -> Int64? {
            if text == "*" { return nil }
            guard let value = Numbers.unsigned(text) else { throw failure }
            return Int64(value)
        }
        return (String(words[0]), try number(major), try number(minor), String(words[2]))
    }
}
