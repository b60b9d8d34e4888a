import Control
import Glibc
import Linux

/// Who has a port, as procfs shows it.
package enum PortHolder {
    /// `nginx, process 1234`; nil when it cannot be seen: another user's process, or a socket that is bound and does not listen.
    package static func find(_ key: PortBindings.Key) -> String? {
        var inodes: Set<String> = []
        let tables = key.transport == .tcp ? ["tcp", "tcp6"] : key.transport == .udp ? ["udp", "udp6"] : []
        for table in tables {
            // Of the thread's namespace; `self` would be the first thread's.
            guard let text = try? FD.cwd.readText("/proc/thread-self/net/\(table)", limit: 64 << 20) else { continue }
            for line in text.utf8.split(separator: UInt8(ascii: "\n")).dropFirst() {
                let fields = line.split(separator: UInt8(ascii: " "))
                guard fields.count > 9, let local = address(Substring(fields[1])), local.port == key.port,
                    // Of connections only who listens is meant (TCP_LISTEN).
                    key.transport != .tcp || fields[3].elementsEqual("0A".utf8), conflict(local.address, key.address)
                else { continue }
                inodes.insert("socket:[\(Substring(fields[9]))]")
            }
        }
        return inodes.isEmpty ? nil : process(with: inodes)
    }

    /// `0100007F:1F90`: words in the machine's order.
    private static func address(_ text: Substring) -> (address: IPAddress, port: UInt16)? {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1], radix: 16), parts[0].utf8.count % 8 == 0 else { return nil }
        var bytes: [UInt8] = []
        var rest = parts[0]
        while !rest.isEmpty {
            guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
            withUnsafeBytes(of: word) { bytes += $0 }
            rest = rest.dropFirst(8)
        }
        return IPAddress(bytes: bytes).map { ($0, port) }
    }

    private static func conflict(_ one: IPAddress, _ other: IPAddress) -> Bool {
        // `::` usually takes IPv4 as well.
        if one.isUnspecified { return one.isIPv6 || !other.isIPv6 }
        return one == other || (other.isUnspecified && one.isIPv6 == other.isIPv6)
    }

    private static func process(with inodes: Set<String>) -> String? {
        guard let procfs = try? FD.cwd.open("/proc", [.readOnly, .directory]), let entries = try? directoryEntries(procfs.fd) else {
            return nil
        }
        for (pid, _) in entries where pid.utf8.allSatisfy({ (48...57).contains($0) }) {
            guard let files = try? procfs.fd.open("\(pid)/fd", [.readOnly, .directory]), let names = try? directoryEntries(files.fd) else {
                continue
            }
            for (name, _) in names {
                guard let target = try? files.fd.readLink(name), inodes.contains(target) else { continue }
                let command = (try? procfs.fd.readText("\(pid)/comm"))?.prefix { $0 != "\n" } ?? "?"
                return "\(command), process \(pid)"
            }
        }
        return nil
    }
}
