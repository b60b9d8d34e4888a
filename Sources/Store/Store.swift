import Linux

/// Images, layers, containers and volumes of one state directory.
///
/// Everything below the root is reached by directory descriptors. Names are unique and objects appear in one transaction or
/// one rename, so any command may be killed at any instant: the next one finds the old state or the new, and clears away
/// what was left. For one thread at a time; open one store per thread.
public final class Store {
    /// The root as it was given; only for messages and for SQLite.
    public let path: String
    let root: SharedFD
    public let database: Database
    private let userNamespace: Bool?

    /// Directories below the root.
    enum Directory {
        static let blobs = "blobs/sha256"
        static let layers = "layers"
        static let containers = "containers"
        static let volumes = "volumes"
        static let staging = "staging"
        static let trash = "trash"
        static let all = ["blobs", blobs, layers, containers, volumes, staging, trash]
    }

    /// Opens a store, making it where there is none.
    ///
    /// - Parameters:
    ///   - path: the root directory, absolute. Made with mode 0700.
    ///   - isInUserNamespace: decides between `trusted.` and `user.` overlay attributes and about device nodes; nil asks the
    ///     kernel when it is first needed.
    /// - Throws: `.system`, `.newerSchema`, `.corrupt`.
    public init(path: String, isInUserNamespace: Bool? = nil) throws(StoreError) {
        self.path = path
        userNamespace = isInUserNamespace
        let root = try Store.openRoot(path)
        self.root = root
        if !root.fd.exists(Database.fileName) {
            try system { () throws(SystemError) in
                for directory in Directory.all { try root.fd.makeDirectories(directory, mode: 0o700) }
            }
        }
        database = try Database(directory: root.fd, path: path)
    }

    private static func openRoot(_ path: String) throws(StoreError) -> SharedFD {
        do throws(SystemError) {
            return SharedFD(try FD.cwd.open(path, [.directory]))
        } catch {
            guard error.errno == .noEntry else { throw StoreError(error) }
        }
        return try system { () throws(SystemError) in
            try FD.cwd.makeDirectories(path, mode: 0o700)
            return SharedFD(try FD.cwd.open(path, [.directory]))
        }
    }

    /// How layers are kept that come in from now on. Asked when the first of a command has to be made, by one thread.
    public var chooseLayerFormat: () throws(StoreError) -> LayerFormat = { () throws(StoreError) in .directory }

    public lazy var isInUserNamespace: Bool = userNamespace ?? Linux.isInUserNamespace()

    /// Opens one of the store's own directories.
    func directory(_ name: String) throws(StoreError) -> OwnedFD {
        try system { () throws(SystemError) in
            try root.fd.open(name, [.directory], resolve: [.beneath, .noSymlinks])
        }
    }
}
