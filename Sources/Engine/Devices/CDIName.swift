/// The name of a device of the Container Device Interface: `vendor.com/class=name`.
///
/// Spec: CDI 1.1 "Kind", "CDI Devices". The rules here are those of the spec's own library, where the two differ.
public struct CDIName: Hashable, Sendable, Comparable, CustomStringConvertible {
    public var vendor: String
    public var `class`: String
    public var device: String

    public init(vendor: String, class: String, device: String) {
        self.vendor = vendor
        self.`class` = `class`
        self.device = device
    }

    /// - Returns: nil for what is no such name, a path for example.
    public init?(_ text: String) {
        guard text.utf8.first != UInt8(ascii: "/"), let (kind, device) = text.splitOnce("="), let (vendor, name) = kind.splitOnce("/")
        else { return nil }
        self.init(vendor: String(vendor), class: String(name), device: String(device))
        guard Self.isPart(self.vendor), Self.isPart(self.`class`), Self.isDevice(self.device) else { return nil }
    }

    /// `vendor.com/class`
    public var kind: String { vendor + "/" + `class` }
    public var description: String { kind + "=" + device }

    public static func < (one: CDIName, other: CDIName) -> Bool { one.description < other.description }

    /// A vendor or a class: a letter, then letters, digits, `_`, `-` and `.`, no sign at the end.
    ///
    /// The lengths are the spec's.
    static func isPart(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first), text.utf8.count <= 253 else { return false }
        return isBody(text, and: "_-.")
    }

    /// A device's name may begin with a digit, and have colons in it (`0:1`).
    static func isDevice(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first) || isDigit(first), text.utf8.count <= 253 else { return false }
        return isBody(text, and: "_-.:")
    }

    private static func isBody(_ text: String, and signs: String) -> Bool {
        guard let last = text.utf8.last, isLetter(last) || isDigit(last) else { return false }
        return text.utf8.allSatisfy { isLetter($0) || isDigit($0) || signs.utf8.contains($0) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
}
