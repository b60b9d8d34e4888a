import JSON
import Linux
import Runtime

extension ContainerRecord {
    /// The document of `state` and the rows of `list --format json`: runtime-spec's fields, and the further ones that
    /// callers of runc read.
    func writeDescription(to writer: inout JSONWriter, in directory: StateDirectory) {
        let state = state(in: directory)
        writer.object { w in
            w.field("ociVersion", state.ociVersion)
            w.field("id", state.id)
            w.field("pid", state.pid)
            w.field("status", state.status)
            w.field("bundle", state.bundle)
            w.field("rootfs", rootfs)
            w.field("created", created)
            w.fieldIfNotEmpty("annotations", state.annotations)
            w.field("owner", Linux.userName(of: owner) ?? "\(owner)")
        }
    }
}
