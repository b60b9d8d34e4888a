import CLinux
import Glibc
import Linux

/// Keeps a container from writing to this program through `/proc/PID/exe` (CVE-2019-5736).
///
/// The program runs from a read-only clone of the mount it lies on: what a container can reopen by a magic link is then
/// on a read-only file system, whatever its privileges. That costs three system calls and one exec; callers that do it
/// themselves (`berth`) save the exec. Without the privilege for that (rootless) the container can only have the
/// caller's own rights, so a copy in a sealed memfd is needed only where the caller may write the file.
enum HostBinary {
    /// How the second self learns the pid of the first's helper.
    private static let helperVariable = "_BERTH_RUNTIME_HELPER"

    /// Reaps what ``protect()`` started: a caller that is a subreaper shall inherit the container and nothing else.
    static func finish() {
        if let text = environmentVariable(helperVariable), let pid = Int32(text), pid > 0 { reapProtectionHelper(pid) }
    }

    /// Re-executes once where that is needed. Returns when this process is safe, or nothing more can be done.
    static func protect() {
        guard let own = try? FD.cwd.open("/proc/self/exe", [.readOnly]) else { return }
        if isProtected(own.fd) { return }
        let arguments = CommandLine.arguments
        if let safe = try? openProtected(try FD.cwd.readLink("/proc/self/exe")) {
            let environment = currentEnvironment() + (safe.helper > 0 ? ["\(helperVariable)=\(safe.helper)"] : [])
            _ = execute("/proc/self/exe", executable: safe.file.fd, arguments: arguments, environment: environment)
        }
        guard cl_faccessat(AT_FDCWD, "/proc/self/exe", W_OK, 0) == 0 || ownedByCaller(own.fd) else { return }
        if let copy = try? sealedCopy(own.fd) {
            _ = execute("/proc/self/exe", executable: copy.fd, arguments: arguments, environment: currentEnvironment())
        }
    }

    /// On a read-only mount, or a memfd sealed against writing.
    private static func isProtected(_ file: FD) -> Bool {
        let seals = cl_fcntl(file.rawValue, 1034 /* F_GET_SEALS */, 0)
        if seals >= 0 { return seals & 0x8 != 0 }  // F_SEAL_WRITE
        var type: Int64 = 0
        var block: Int64 = 0
        var blocks: Int64 = 0
        var free: Int64 = 0
        var flags: Int64 = 0
        guard cl_fstatfs(file.rawValue, &type, &block, &blocks, &free, &flags) == 0 else { return false }
        return flags & 1 != 0  // ST_RDONLY
    }

    private static func ownedByCaller(_ file: FD) -> Bool {
        guard let info = try? file.status() else { return true }
        return info.st_uid == geteuid() && geteuid() != 0
    }

    private static func sealedCopy(_ file: FD) throws(SystemError) -> OwnedFD {
        let copy = OwnedFD(owning: try check(cl_memfd_create("berth-runtime", 0x3 /* CLOEXEC | ALLOW_SEALING */), "make memfd"))
        try copyBytes(from: file, to: copy.fd)
        try check(cl_fchmod(copy.raw, 0o500), "set mode")
        try check(cl_fcntl(copy.raw, 1033 /* F_ADD_SEALS */, 0xf), "seal memfd")
        // A descriptor open for writing cannot be executed (ETXTBSY); reopen it for reading.
        return try copy.fd.reopen(.readOnly)
    }
}
