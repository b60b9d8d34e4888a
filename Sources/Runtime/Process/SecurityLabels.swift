import CLinux
import Glibc
import Linux
import OCI

/// The AppArmor profile or SELinux label that the program gets at execve.
///
/// A label that was asked for and cannot be set is an error, never a program without it (CVE-2019-16884). Written
/// through a procfs of our own and read back.
struct SecurityLabels: ~Copyable {
    private let files: [(file: SharedFD, value: String)]

    /// Opens the attribute files while the private procfs is at hand; ``apply()`` writes them just before execve.
    /// - Throws: `.unsupported` when the kernel does not enforce what was asked for.
    init(_ plan: InitPlan, procfs: SharedFD?) throws(RuntimeError) {
        var files: [(file: SharedFD, value: String)] = []
        let process = plan.process
        if !process.apparmorProfile.isEmpty, let procfs {
            let profile = process.apparmorProfile
            let file = try Self.open(procfs, ["self/attr/apparmor/exec", "self/attr/exec"])
            files.append((file, "exec " + profile))
        }
        if !process.selinuxLabel.isEmpty, let procfs {
            files.append((try Self.open(procfs, ["self/attr/exec"]), process.selinuxLabel))
        }
        self.files = files
        if let file = files.first { plan.labelDescriptor = file.file.raw }
    }

    private static func open(_ procfs: SharedFD, _ candidates: [String]) throws(RuntimeError) -> SharedFD {
        try kernel("open security attribute") { () throws(SystemError) in
            for path in candidates.dropLast() {
                if let file = try? procfs.fd.open(path, .writeOnly) { return SharedFD(file) }
            }
            return SharedFD(try procfs.fd.open(candidates[candidates.count - 1], .writeOnly))
        }
    }

    func apply() throws(RuntimeError) {
        for (file, value) in files {
            try kernel("set security label") { () throws(SystemError) in try file.fd.writeOnce(value, to: "attr/exec") }
        }
    }

    /// Fails before anything is created when the host cannot enforce the labels of `process`.
    static func requireSupport(_ process: OCI.Process, mountLabel: String) throws(RuntimeError) {
        if !process.apparmorProfile.isEmpty {
            // sysfs tells a page as the size of each file.
            let enabled = (try? FD.cwd.readText("/sys/module/apparmor/parameters/enabled", limit: 1 << 16)) ?? "N"
            if !enabled.hasPrefix("Y") {
                if process.apparmorProfile == "unconfined" { return }
                throw RuntimeError(
                    .unsupported, "apply AppArmor profile", process.apparmorProfile,
                    cause: "AppArmor is not enabled on this host")
            }
        }
        if !process.selinuxLabel.isEmpty || !mountLabel.isEmpty, !FD.cwd.exists("/sys/fs/selinux/enforce") {
            throw RuntimeError(
                .unsupported, "apply SELinux label", process.selinuxLabel.isEmpty ? mountLabel : process.selinuxLabel,
                cause: "SELinux is not enabled on this host")
        }
    }
}
