import Dockerfile
import Glibc
import Linux

/// The directory that COPY takes files from. It is read where it is, and only what a step names.
public struct BuildContext: Sendable {
    /// O_PATH.
    public let root: SharedFD
    /// Absolute: bind mounts of RUN name it.
    public let path: String
    public let ignored: PathMatcher

    public init(root: SharedFD, path: String, ignored: PathMatcher) {
        (self.root, self.path, self.ignored) = (root, path, ignored)
    }
}
