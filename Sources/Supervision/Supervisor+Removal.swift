import CLinux
import Control
import Glibc
import Linux

/// `--rm`: the container's directory goes with the container.
extension Supervisor {
    /// Removes the directory; what cannot be removed is left with its marker for the next engine command.
    func removeContainer() {
        setPhase(.removing)
        // The marker first, and it goes last: whoever finds it knows that the rest is to be removed.
        try? directory.fd.writeFile(ContainerFiles.removed, [])
        tell("destroy")
        removeForeignFiles()
        guard (try? removeExceptMarker()) != nil else { return }
        try? directory.fd.removeFile(ContainerFiles.removed)
        _ = cl_unlinkat(AT_FDCWD, arguments.store, 0x200)
    }

    private func removeExceptMarker() throws(SystemError) {
        for entry in try directoryEntries(directory.fd) where entry.name != ContainerFiles.removed {
            if entry.type == 4 /* DT_DIR */ {
                try removeTree(directory.fd, entry.name)
            } else {
                try directory.fd.removeFile(entry.name)
            }
        }
    }

    /// Files of subordinate ids can be removed only by who is root over them: a child inside the container's user
    /// namespace, which our descriptor has kept alive.
    private func removeForeignFiles() {
        guard let namespace = launcher.userNamespace, geteuid() != 0 else { return }
        let child = cl_clone3(0, UInt64(SIGCHLD), nil, -1)
        if child == 0 {
            guard cl_setns(namespace.raw, 0x1000_0000 /* CLONE_NEWUSER */) == 0 else { _exit(1) }
            _ = cl_setresgid(0, 0, 0)
            _ = cl_setresuid(0, 0, 0)
            guard let entries = try? directoryEntries(directory.fd) else { _exit(1) }
            for entry in entries where entry.type == 4 /* DT_DIR */ {
                guard let sub = try? directory.fd.open(entry.name, [.readOnly, .directory, .noFollow]) else { continue }
                try? removeContents(of: sub.fd)
            }
            _exit(0)
        }
        if child > 0 { _ = try? waitForProcess(child) }
        _ = cl_lseek(directory.raw, 0, SEEK_SET)
    }
}
