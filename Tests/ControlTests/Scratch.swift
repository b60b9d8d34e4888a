import Glibc
import Linux

@testable import Control

/// A directory of a test's own, removed with everything in it.
final class Scratch {
    let path: String

    init() throws {
        let base = environmentVariable("TMPDIR") ?? "/tmp"
        path = "\(base)/berth-control-\(hexadecimal(randomBytes(8)))"
        try FD.cwd.makeDirectory(path, mode: 0o700)
    }

    var fd: FD {
        get throws { opened.fd }
    }

    private lazy var opened: SharedFD = {
        guard let directory = try? FD.cwd.open(path, [.readOnly, .directory]) else { return SharedFD(owning: -1) }
        return SharedFD(directory)
    }()

    /// Makes `containers/ID` and returns its path.
    func container(_ id: String) throws -> String {
        let directory = ContainerFiles.directory(store: path, id: id)
        try FD.cwd.makeDirectories(directory, mode: 0o700)
        return directory
    }

    deinit { try? removeTree(.cwd, path) }
}
