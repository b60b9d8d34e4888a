import Linux

/// What one container is called in one network, and its addresses there.
///
/// As a file: lines of a word and a value, `name` and `address` any number of times. Words that a later version adds are
/// skipped by this one.
///
///     network front
///     name web
///     name 4f0c2a9b8d7e
///     address 172.18.0.2
public struct NameEntry: Sendable, Hashable {
    /// The network's name.
    public var network: String
    /// The first is the one that an address leads back to.
    public var names: [String]
    public var addresses: [IPAddress]

    public init(network: String, names: [String], addresses: [IPAddress]) {
        self.network = network
        self.names = names
        self.addresses = addresses
    }

    static let sizeLimit = 64 << 10

    /// Names that would not be one line are left out.
    public func encoded() -> [UInt8] {
        var out: [UInt8] = []
        func line(_ word: StaticString, _ value: String) {
            guard !value.isEmpty, value.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else { return }
            word.withUTF8Buffer { out += $0 }
            out += value.utf8
            out.append(10)
        }
        line("network ", network)
        for name in names { line("name ", name) }
        for address in addresses { line("address ", address.description) }
        return out
    }

    public static func parse(_ bytes: [UInt8]) -> NameEntry {
        var entry = NameEntry(network: "", names: [], addresses: [])
        scan(bytes, count: bytes.count) { word, value in
            switch word {
            case .network: entry.network = String(decoding: value, as: UTF8.self)
            case .name: entry.names.append(String(decoding: value, as: UTF8.self))
            case .address: if let address = IPAddress(String(decoding: value, as: UTF8.self)) { entry.addresses.append(address) }
            }
        }
        return entry
    }

    enum Word {
        case network, name, address
    }

    /// Visits the lines without a text for each; last lines without an end are none.
    static func scan(_ bytes: [UInt8], count: Int, _ visit: (Word, ArraySlice<UInt8>) -> Void) {
        let end = min(max(count, 0), bytes.count)
        var start = 0
        while let newline = bytes[start..<end].firstIndex(of: 10) {
            let line = bytes[start..<newline]
            start = newline + 1
            if line.starts(with: nameWord) {
                visit(.name, line.dropFirst(nameWord.count))
            } else if line.starts(with: addressWord) {
                visit(.address, line.dropFirst(addressWord.count))
            } else if line.starts(with: networkWord) {
                visit(.network, line.dropFirst(networkWord.count))
            }
        }
    }

    private static let nameWord = Array("name ".utf8)
    private static let addressWord = Array("address ".utf8)
    private static let networkWord = Array("network ".utf8)
}
