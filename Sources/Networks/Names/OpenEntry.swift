import Linux

/// A container's file that is kept open, and what it says.
///
/// A file never changes once it has its name: another takes its place. So while it is in the directory and somebody holds its
/// lock, what was read from it once is what it says.
final class OpenEntry {
    /// Longer files are read anew for each question.
    static let sizeLimit = 4096

    let id: ContainerID
    let version: UInt64
    let file: SharedFD
    let content: [UInt8]
    /// In small letters.
    private(set) var names: [[UInt8]] = []
    private(set) var network: [UInt8] = []
    private(set) var addresses: [[UInt8]] = []
    /// The round in which it was found to be alive; 0: none that is shared.
    var round: UInt64 = 0
    /// When it was asked for.
    var used: UInt64 = 0

    init(_ entry: NameIndex.Entry, _ file: SharedFD, _ content: [UInt8]) {
        id = entry.id
        version = entry.version
        self.file = file
        self.content = content
        NameEntry.scan(content, count: content.count) { word, value in
            switch word {
            case .name: names.append(value.map(DNSName.fold))
            case .network: network = value.map(DNSName.fold)
            case .address: if let address = IPAddress(String(decoding: value, as: UTF8.self)) { addresses.append(address.bytes) }
            }
        }
    }

    /// Whether the container lives and this is still its file.
    var isLive: Bool {
        // A removed file's lock may be held for a moment yet, by a child of its supervisor.
        guard let info = try? file.fd.status(), info.st_nlink > 0 else { return false }
        return (try? file.fd.isLocked(against: .shared)) == true
    }

    /// - Parameters:
    ///   - name: in small letters.
    ///   - network: nil: of any.
    func has(_ name: ArraySlice<UInt8>, network: ArraySlice<UInt8>?) -> Bool {
        if let network, network != self.network[...] { return false }
        for own in names where own.count == name.count && own[...] == name { return true }
        return false
    }
}
