import CLinux
import Glibc
import Linux

/// What a user may write in a cgroup that was given to him, on kernels that do not list it themselves.
private let filesBeforeTheList = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]

extension Cgroup {
    /// Gives the v2 cgroup to a user: he may then make cgroups below it and move his processes there, but not change
    /// its limits. Nothing happens without a v2 cgroup.
    ///
    /// Only the directory and the files that `/sys/kernel/cgroup/delegate` lists change their owner; a listed file that
    /// this cgroup does not have is passed over.
    /// Spec: OCI runtime-spec config-linux.md "Cgroup ownership"; kernel: cgroup-v2.rst "Delegation".
    ///
    /// - Parameters:
    ///   - user: host uid.
    ///   - list: where the kernel lists the files.
    /// - Throws: the kernel's refusal.
    public func give(to user: UInt32, list: String = "/sys/kernel/cgroup/delegate") throws(CgroupError) {
        guard let directory = try unifiedDirectory() else { return }
        var files = filesBeforeTheList
        if let text = try? FD.cwd.readText(list) { files = text.split(separator: "\n").map(String.init) }
        for file in files where !file.isEmpty && !file.utf8.contains(UInt8(ascii: "/")) {
            try Self.own(directory, file, user, missingIsFine: true)
        }
        // The directory last: from then on the user may make entries of his own in it.
        try Self.own(directory, "", user, missingIsFine: false)
    }

    private static func own(
        _ directory: CgroupDirectory, _ file: String, _ user: UInt32, missingIsFine: Bool
    ) throws(CgroupError) {
        let flags = file.isEmpty ? 0x1000 /* AT_EMPTY_PATH */ : 0x100 /* AT_SYMLINK_NOFOLLOW */
        // The group stays: it may write nowhere.
        let result = cl_fchownat(directory.fd.rawValue, file, user, UInt32.max, Int32(flags))
        if result == 0 || (missingIsFine && result == -ENOENT) { return }
        throw CgroupError(Errno(rawValue: -result), "change owner of", file.isEmpty ? "\"\(directory.path)\"" : file)
    }
}
