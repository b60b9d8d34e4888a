import Linux
import OCI

/// One line of `/proc/PID/mountinfo`.
///
/// C function: `proc_pid_mountinfo(5)`.
struct MountInfo {
    let id: UInt64
    /// `major:minor`, which names the mounted file system.
    let device: String
    let point: String

    /// The mounts of a process, in the order in which they were made.
    static func read(_ process: String) throws(SystemError) -> [MountInfo] {
        let text = try FD.cwd.readText("/proc/\(process)/mountinfo", limit: 64 << 20)
        return text.split(separator: "\n").compactMap { MountInfo($0) }
    }

    init?(_ line: Substring) {
        let fields = line.split(separator: " ", maxSplits: 5)
        guard fields.count > 5, let id = UInt64(fields[0]) else { return nil }
        self.id = id
        device = String(fields[2])
        point = MountInfo.unescaped(fields[4])
    }

    /// Blanks, tabs, line feeds and backslashes are written in octal.
    static func unescaped(_ text: Substring) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let digits = bytes[index...].dropFirst().prefix(3)
            if bytes[index] == UInt8(ascii: "\\"), digits.count == 3, digits.allSatisfy({ $0 >= 48 && $0 < 56 }) {
                result.append(digits.reduce(0) { $0 &* 8 &+ ($1 - 48) })
                index += 4
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// The mounts of a container that CRIU cannot make again, because what is mounted is the host's: binds, masks, cgroups.
///
/// They are named in the images and given to CRIU at the restore, made anew from config.json.
struct ExternalMounts {
    let spec: Spec
    /// Of the container that is, or will be: in which the hierarchies' mounts are.
    let cgroup: [(name: String, path: String)]

    /// What a mount point of the container holds.
    enum Source: Equatable {
        /// An entry of `mounts`, and the path below what that mounts.
        case entry(Int, below: String)
        /// A path of the host.
        case host(String)
    }

    /// Paths of the container, in the order of its mounts.
    ///
    /// - Parameters:
    ///   - container: its mounts; the first is its root.
    ///   - host: ours. A file system that is mounted there too is the host's.
    func find(container: [MountInfo], host: [MountInfo]) -> [String] {
        let devices = Set(host.map(\.device))
        let places = Set(host.map { $0.device + " " + $0.point })
        var result: [String] = []
        for mount in container where mount.point != "/" && !result.contains(mount.point) {
            guard let source = source(of: mount.point) else { continue }
            // An image or a volume with a file system of its own is nowhere on the host, and CRIU knows neither layers nor servers.
            if case .entry(let index, "") = source, !isBind(spec.mounts[index]) {
                result.append(mount.point)
            } else if case .entry(let index, let below) = source, !below.isEmpty {
                // A bind of a host's directory shows what is mounted below it there, and also what was mounted for the container: its
                // rootfs is such a place in a bind of the host's root, and what is in there is told by itself.
                if places.contains(mount.device + " " + cleanPath(spec.mounts[index].source + below)) { result.append(mount.point) }
            } else if devices.contains(mount.device) {
                result.append(mount.point)
            }
        }
        return result
    }

    /// Where the content of a mount point comes from; nil for what the container makes itself: tmpfs, proc, devpts …
    func source(of point: String) -> Source? {
        if spec.linux?.maskedPaths.contains(where: { cleanPath($0) == point }) == true { return .host("/dev/null") }
        var best: (index: Int, target: String)?
        for (index, mount) in spec.mounts.enumerated() {
            let target = cleanPath(mount.destination)
            guard point == target || point.hasPrefix(target == "/" ? "/" : target + "/") else { continue }
            // The last of several at one place is the one that is seen.
            if best.map({ $0.target.utf8.count <= target.utf8.count }) ?? true { best = (index, target) }
        }
        if let device = device(point) { return .host(device) }
        guard let best else { return nil }
        let mount = spec.mounts[best.index]
        let below = String(point.dropFirst(best.target.count))
        if isBind(mount) { return .entry(best.index, below: below) }
        switch mount.type {
        case "cgroup", "cgroup2": return hierarchy(below)
        case "proc", "sysfs", "tmpfs", "devpts", "mqueue", "ramfs", "hugetlbfs": return nil
        default: return below.isEmpty ? .entry(best.index, below: "") : nil
        }
    }

    private func isBind(_ mount: Mount) -> Bool { mount.type == "bind" || mount.options.contains { $0 == "bind" || $0 == "rbind" } }

    private func device(_ point: String) -> String? {
        let isNode = (spec.linux?.devices ?? []).contains { cleanPath($0.path) == point }
        return isNode || DeviceNodes.standard.contains { $0.path == point } ? point : nil
    }

    /// On v2 the container's cgroup is the mount itself; on v1 each hierarchy is a mount in a directory.
    private func hierarchy(_ below: String) -> Source? {
        if below.isEmpty { return cgroup.first { $0.name == "unified" }.map { .host($0.path) } }
        return cgroup.first { "/" + $0.name == below }.map { .host($0.path) }
    }
}
