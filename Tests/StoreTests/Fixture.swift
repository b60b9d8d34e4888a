import Archive
import Glibc
import Linux

@testable import Store

/// A store in a directory of its own.
final class Fixture {
    let base: String
    let store: Store

    init() throws {
        base = "/tmp/berth-store-" + hexadecimal(randomBytes(6))
        try FD.cwd.makeDirectory(base, mode: 0o700)
        store = try Store(path: base + "/store", isInUserNamespace: geteuid() != 0)
    }

    /// Not in deinit: the object may go before the last use of its directory.
    func remove() {
        let name = String(base.dropFirst("/tmp/".count))
        if let tmp = try? FD.cwd.open("/tmp", [.directory]) { try? removeTree(tmp.fd, name) }
    }

    /// A second connection, as another command would have.
    func again() throws -> Store { try Store(path: base + "/store", isInUserNamespace: geteuid() != 0) }
}

func identifier(_ number: Int) -> String {
    let digits = String(number, radix: 16)
    // The "f" keeps 0x1 and 0x10 apart.
    return digits + "f" + String(repeating: "0", count: 63 - digits.utf8.count)
}

func record(_ number: Int, name: String? = nil, image: String? = nil) -> ContainerRecord {
    ContainerRecord(
        id: identifier(number), name: name ?? "c\(number)", created: Int64(number), imageID: image,
        definition: Array("{\"n\":\(number)}".utf8))
}

/// The error a body throws, nil when it throws none.
func failure(_ body: () throws(StoreError) -> Void) -> StoreError? {
    do throws(StoreError) {
        try body()
        return nil
    } catch { return error }
}
