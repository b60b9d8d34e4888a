import Glibc

/// A kernel's version, as far as profiles compare it: `6.12`.
public struct KernelVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var major: UInt32
    public var minor: UInt32

    public init(_ major: UInt32, _ minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    /// Parses the start of a release: `6.12.3-rc1+deb13` is 6.12. Nil when it does not start with two numbers.
    public init?(release: some StringProtocol) {
        let parts = release.utf8.split(separator: UInt8(ascii: "."), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, let major = Self.leadingNumber(parts[0], whole: true),
            let minor = Self.leadingNumber(parts[1], whole: false)
        else { return nil }
        self.init(major, minor)
    }

    private static func leadingNumber(_ bytes: some Collection<UInt8>, whole: Bool) -> UInt32? {
        let digits = bytes.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard !digits.isEmpty, digits.count <= 6, !whole || digits.count == bytes.count else { return nil }
        return digits.reduce(0) { $0 * 10 + UInt32($1 - UInt8(ascii: "0")) }
    }

    /// The running kernel's; 0.0, which allows least, when it does not say.
    ///
    /// The C function is uname(2).
    public static let running: KernelVersion = {
        var names = utsname()
        guard uname(&names) == 0 else { return KernelVersion(0, 0) }
        // SAFETY: uname(2) filled the array and ended it with a zero; the bytes are copied before `names` goes.
        let release = withUnsafeBytes(of: &names.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return KernelVersion(release: release) ?? KernelVersion(0, 0)
    }()

    public static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }

    public var description: String { major.description + "." + minor.description }
}
