import CLinux
import Glibc
import Linux

extension Cgroup {
    /// Makes sure that the v2 directory offers the controllers, enabling them in the ancestors where needed.
    ///
    /// The common case is one file read. Ancestors are changed top-down: a cgroup can only pass on what it was given.
    /// - Parameter required: missing ones are an error that names them; others of `wanted` are taken if possible.
    func enableControllers(wanted: Controllers, required: Controllers) throws(CgroupError) {
        if wanted.isEmpty { return }
        guard let directory = try unifiedDirectory() else {
            if required.isEmpty { return }
            throw CgroupError(
                .controllerMissing, "limit", required.listed, "no cgroup with that controller could be used")
        }
        var offered = try Cgroup.offered(directory)
        var reason: CgroupError?
        if !wanted.isSubset(of: offered) {
            reason = try Cgroup.enable(wanted.subtracting(offered), above: directory.path)
            offered = try Cgroup.offered(directory)
        }
        unifiedControllers = offered
        let missing = required.subtracting(offered)
        if missing.isEmpty { return }
        if let reason { throw reason }
        throw CgroupError(
            .controllerMissing, "limit", missing.listed,
            "the controller is not in cgroup.controllers of this host's cgroup v2")
    }

    /// Gives every user's systemd all controllers; takes effect at the next login.
    static let delegationFix =
        "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo install -D /dev/stdin "
        + "/etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, then log in again"

    private static func offered(_ directory: CgroupDirectory) throws(CgroupError) -> Controllers {
        Controllers(unifiedList: try directory.readIfPresent("cgroup.controllers") ?? [])
    }

    /// Writes the controllers into `cgroup.subtree_control` of the ancestors that lack them.
    /// - Returns: the first refusal, worth telling only if a required controller is missing in the end.
    private static func enable(_ controllers: Controllers, above path: String) throws(CgroupError) -> CgroupError? {
        // Upwards until an ancestor already passes everything on, or we leave the tree.
        var lacking: [CgroupDirectory] = []
        var path = path
        while let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash != path.startIndex {
            path = String(path[..<slash])
            guard let ancestor = try? CgroupDirectory(path: path),
                let enabled = try ancestor.readIfPresent("cgroup.subtree_control")
            else { break }
            if controllers.isSubset(of: Controllers(unifiedList: enabled)) { break }
            lacking.append(ancestor)
        }
        var refusal: CgroupError?
        for ancestor in lacking.reversed() {
            let possible = controllers.intersection(try offered(ancestor))
            if possible.isEmpty { continue }
            let names = possible.unifiedNames.map { "+" + $0 }
            let value = names.joined(separator: " ")
            let errno = ancestor.attempt("cgroup.subtree_control", value)
            if errno.rawValue == 0 { continue }
            if refusal == nil { refusal = explain(errno, value, ancestor.path) }
            // All or nothing is the kernel's rule for one write: one that cannot be had must not cost the others.
            if names.count > 1 { for name in names { _ = ancestor.attempt("cgroup.subtree_control", name) } }
        }
        return refusal
    }

    private static func explain(_ errno: Errno, _ value: String, _ path: String) -> CgroupError {
        let operation = "write \"\(value)\" to"
        let object = "\(path)/cgroup.subtree_control"
        switch errno {
        case .busy:
            return CgroupError(
                .busy, operation, object,
                "\(errno.description): processes live directly in this cgroup, and cgroup v2 gives controllers only "
                    + "to cgroups without processes of their own", errno: errno,
                fix: "sudo sh -c 'mkdir -p \(path)/init; while read p; do echo $p > \(path)/init/cgroup.procs; done "
                    + "< \(path)/cgroup.procs'")
        case .notSupported:
            return CgroupError(
                .busy, operation, object,
                "\(errno.description): the cgroup is threaded, and takes only controllers of threads", errno: errno)
        case .accessDenied, .notPermitted, .readOnly:
            return CgroupError(
                .notDelegated, operation, object, errno.description, errno: errno,
                fix: FD.cwd.exists("/run/systemd/system")
                    ? delegationFix : "echo \"\(value)\" | sudo tee \(path)/cgroup.subtree_control")
        default:
            return CgroupError(errno, operation, object)
        }
    }
}
