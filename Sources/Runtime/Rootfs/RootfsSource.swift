import Linux

/// Where the container's root file system comes from.
public enum RootfsSource: Sendable {
    /// The directory that `root.path` of config.json names.
    case directory
    /// An overlay that exists only in the container's own mount namespace: nothing stays mounted on the host, whatever
    /// is killed.
    case overlay(OverlayRootfs)
}
