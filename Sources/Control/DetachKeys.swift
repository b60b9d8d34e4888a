/// The keys that end an attachment and leave the container running; docker's `--detach-keys`.
public struct DetachKeys: Sendable, Hashable {
    public let bytes: [UInt8]

    /// `ctrl-p,ctrl-q`
    public static let standard = DetachKeys(bytes: [0x10, 0x11])

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// Reads docker's notation: keys with commas between them, each one character or `ctrl-` and a letter or one of `@[\]^_`.
    ///
    /// - Throws: `.invalid` naming the key. The empty text is the default, as in docker.
    public static func parse(_ text: String) throws(ControlError) -> DetachKeys {
        if text.isEmpty { return .standard }
        var bytes: [UInt8] = []
        for key in text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            guard let byte = code(key) else {
                throw ControlError(
                    .invalid, "parse detach keys", text,
                    cause: "unknown key \"\(Substring(key))\" (use a character, or ctrl- with a-z or one of @ [ \\ ] ^ _)")
            }
            bytes.append(byte)
        }
        return DetachKeys(bytes: bytes)
    }

    private static func code(_ key: Substring.UTF8View) -> UInt8? {
        if key.count == 1 { return key.first }
        guard key.count == 6, key.starts(with: "ctrl-".utf8), let last = key.last else { return nil }
        switch last {
        case UInt8(ascii: "a")...UInt8(ascii: "z"): return last - UInt8(ascii: "a") + 1
        case UInt8(ascii: "@"): return 0
        case UInt8(ascii: "[")...UInt8(ascii: "_"): return last - UInt8(ascii: "@")
        default: return nil
        }
    }
}

/// Looks for the keys in what is typed, across reads.
public struct DetachKeyMatcher: Sendable {
    private let keys: [UInt8]
    private var matched = 0

    public init(_ keys: DetachKeys) { self.keys = keys.bytes }

    /// Takes typed bytes; those that may begin the sequence are held back until it is clear that they do not.
    ///
    /// - Returns: what is to be passed on, and whether the sequence was completed (what follows it is dropped).
    public mutating func feed(_ input: some Collection<UInt8>) -> (output: [UInt8], detached: Bool) {
        var output: [UInt8] = []
        output.reserveCapacity(input.count)
        for byte in input {
            while true {
                if keys[matched] == byte {
                    matched += 1
                    if matched == keys.count {
                        matched = 0
                        return (output, true)
                    }
                    break
                }
                if matched == 0 {
                    output.append(byte)
                    break
                }
                // The held bytes did not complete it. Let the first ones go, until what is left is again a beginning.
                let held = matched
                matched = longestBeginning(of: held)
                output.append(contentsOf: keys[..<(held - matched)])
            }
        }
        return (output, false)
    }

    /// How much of the end of `keys[..<count]` is a beginning of the keys, shorter than itself.
    private func longestBeginning(of count: Int) -> Int {
        var length = count - 1
        while length > 0 {
            if keys[(count - length)..<count].elementsEqual(keys[..<length]) { return length }
            length -= 1
        }
        return 0
    }
}
