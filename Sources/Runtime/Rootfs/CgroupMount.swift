import CLinux
import Glibc
import Linux

/// `/sys/fs/cgroup` of the container: its own subtree and nothing above it.
///
/// On v1 and hybrid hosts only the hierarchies this container was put into are shown: binding one it shares with the
/// caller would show the caller's tree.
struct CgroupMount {
    let root: RootfsPath
    let plan: InitPlan

    func attach(_ destination: String, _ options: MountOptions) throws(RuntimeError) {
        try kernel { () throws(SystemError) in
            let target = try root.makeTarget(destination, .directory)
            if plan.cgroupIsUnified {
                try attachUnified(target.fd, options)
            } else {
                try attachHierarchies(target.fd, options)
            }
        }
    }

    private func attachUnified(_ target: FD, _ options: MountOptions) throws(SystemError) {
        let mount: OwnedFD
        do throws(SystemError) {
            let context = try FileSystemContext("cgroup2")
            mount = try context.mount(attributes: options.set.subtracting(.readOnly))
        } catch {
            // Without a cgroup namespace of our own a user namespace may not mount it: show the host's, read-only.
            guard error.errno == .notPermitted || error.errno == .busy else { throw error }
            let host = try FD.cwd.open("/sys/fs/cgroup", [.path, .directory])
            mount = try cloneMount(host.fd, recursive: true)
            try setMountAttributes(mount.fd, set: options.set.union(.readOnly), recursive: true)
        }
        if options.set.contains(.readOnly) { try setMountAttributes(mount.fd, set: .readOnly) }
        try moveMount(mount.fd, to: target)
    }

    private func attachHierarchies(_ target: FD, _ options: MountOptions) throws(SystemError) {
        let context = try FileSystemContext("tmpfs")
        try context.set("mode", "755")
        let base = try context.mount(attributes: options.set.subtracting(.readOnly))
        // Attached before it is filled: only since Linux 6.15 may a detached tree hold further mounts.
        try moveMount(base.fd, to: target)
        for (name, path) in plan.cgroupDirectories {
            let source: OwnedFD
            do throws(SystemError) { source = try FD.cwd.open(path, [.path, .directory]) } catch {
                if error.errno == .noEntry || error.errno == .accessDenied { continue }
                throw error
            }
            try base.fd.makeDirectory(name)
            for part in name.split(separator: ",") where part != name {
                try base.fd.makeSymbolicLink(to: name, at: String(part))
            }
            let copy = try cloneMount(source.fd)
            try setMountAttributes(copy.fd, set: options.set)
            let place = try base.fd.open(name, [.path, .directory, .noFollow])
            try moveMount(copy.fd, to: place.fd)
        }
        if options.set.contains(.readOnly) { try setMountAttributes(base.fd, set: .readOnly) }
    }
}
