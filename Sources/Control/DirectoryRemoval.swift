import CLinux
import Glibc
import Linux

/// Removes everything below a directory, and never anything outside it.
///
/// Symbolic links are removed, not followed; other file systems are not entered: a mount point stays, and is reported.
/// Directories without permission are made accessible first (a container may have written them so).
/// - Parameter directory: open for reading (not O_PATH).
/// - Throws: the first error; what could be removed has been.
public func removeContents(of directory: FD) throws(SystemError) {
    var failure: SystemError?
    removeContents(of: directory, device: try directory.status().st_dev, depth: 0, &failure)
    if let failure { throw failure }
}

/// Removes a directory with everything in it. A missing one is no error.
public func removeTree(_ parent: FD, _ name: String) throws(SystemError) {
    let opened: OwnedFD
    do throws(SystemError) {
        opened = try parent.open(name, [.readOnly, .directory, .noFollow])
    } catch {
        if error.errno == .noEntry { return }
        throw error
    }
    try removeContents(of: opened.fd)
    try parent.removeDirectory(name)
}

private func removeContents(of directory: FD, device: dev_t, depth: Int, _ failure: inout SystemError?) {
    let entries: [(name: String, type: UInt8)]
    do throws(SystemError) {
        entries = try directoryEntries(directory)
    } catch {
        failure = failure ?? error
        return
    }
    for entry in entries {
        var result = entry.type == 4 /* DT_DIR */ ? -EISDIR : cl_unlinkat(directory.rawValue, entry.name, 0)
        if result == -EISDIR || result == -EPERM {
            removeSubdirectory(entry.name, of: directory, device: device, depth: depth, &failure)
            result = cl_unlinkat(directory.rawValue, entry.name, 0x200 /* AT_REMOVEDIR */)
        }
        if result < 0, result != -ENOENT {
            failure = failure ?? SystemError(Errno(rawValue: -result), "remove", entry.name)
        }
    }
}

private func removeSubdirectory(
    _ name: String, of directory: FD, device: dev_t, depth: Int, _ failure: inout SystemError?
) {
    do throws(SystemError) {
        // Each level holds a descriptor, and whoever wants to exhaust them makes deep trees.
        if depth >= 128 {
            try liftDeepDirectories(name, of: directory)
            return
        }
        let flags: OpenFlags = [.readOnly, .directory, .noFollow]
        let child: OwnedFD
        do throws(SystemError) {
            child = try directory.open(name, flags, resolve: [.noCrossDevice, .noSymlinks, .beneath])
        } catch {
            guard error.errno == .accessDenied else { throw error }
            try check(cl_fchmodat(directory.rawValue, name, 0o700, 0), "make accessible", name)
            child = try directory.open(name, flags, resolve: [.noCrossDevice, .noSymlinks, .beneath])
        }
        // Adding and removing names needs write permission too; root does not care.
        if geteuid() != 0 { _ = cl_fchmod(child.raw, 0o700) }
        guard try child.fd.status().st_dev == device else { throw SystemError(.crossDevice, "remove", name) }
        removeContents(of: child.fd, device: device, depth: depth + 1, &failure)
    } catch {
        failure = failure ?? error
    }
}

/// Removes a directory whose content is too deep to hold a descriptor for each level: subdirectories are moved up here.
private func liftDeepDirectories(_ name: String, of directory: FD) throws(SystemError) {
    var pending = [name]
    var count = 0
    while let next = pending.popLast() {
        let child = try directory.open(next, [.readOnly, .directory], resolve: [.noCrossDevice, .noSymlinks, .beneath])
        for entry in try directoryEntries(child.fd) where cl_unlinkat(child.raw, entry.name, 0) != 0 {
            count += 1
            let target = ".deep.\(getpid()).\(count)"
            try child.fd.rename(entry.name, to: target, in: directory)
            pending.append(target)
        }
        try directory.removeDirectory(next)
    }
}
