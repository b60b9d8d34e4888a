import OCI
import Store

/// Names for those who choose: completion and menus.
extension Engine {
    /// Volumes that somebody gave a name.
    public func volumeNames() throws(EngineError) -> [String] {
        guard hasStore else { return [] }
        let store = try self.store()
        let records = try stored { () throws(StoreError) in try store.volumes() }
        return records.filter { !$0.isAnonymous }.map(\.name)
    }

    /// An image's reference as people type it: `busybox:latest` for `docker.io/library/busybox:latest`.
    public static func familiarReference(_ name: String) -> String { (try? Reference.parse(name).familiar) ?? name }
}
