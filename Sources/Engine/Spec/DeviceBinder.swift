import CLinux
import Glibc
import Linux
import OCI

/// Finds the devices of a definition on this host.
enum DeviceBinder {
    /// - Throws: Docker's sentence when a path is no device.
    static func bind(_ requests: [DeviceRequest], privileged: Bool) throws(EngineError) -> [BoundDevice] {
        var result: [BoundDevice] = []
        for request in requests { result += try bind(request) }
        if privileged {
            for device in allDevices() where !result.contains(where: { $0.device.path == device.device.path }) {
                result.append(device)
            }
        }
        return result
    }

    private static func bind(_ request: DeviceRequest) throws(EngineError) -> [BoundDevice] {
        let what = "gather device information while creating container: error gathering device information"
        let info: stat
        do throws(SystemError) {
            info = try FD.cwd.status(of: request.hostPath, follow: true)
        } catch {
            throw EngineError(.notFound, "error " + what, request.hostPath, cause: error.errno.description)
        }
        if let device = node(request.hostPath, request.containerPath, info, request.permissions) { return [device] }
        guard info.st_mode & S_IFMT == S_IFDIR else {
            throw EngineError(.invalid, "error " + what, request.hostPath, cause: "not a device node")
        }
        var result: [BoundDevice] = []
        collect(request.hostPath, request.containerPath, request.permissions, depth: 0, into: &result)
        if result.isEmpty { throw EngineError(.invalid, "error " + what, request.hostPath, cause: "not a device node") }
        return result
    }

    private static func node(_ host: String, _ target: String, _ info: stat, _ permissions: String) -> BoundDevice? {
        let type: String
        switch info.st_mode & S_IFMT {
        case S_IFCHR: type = "c"
        case S_IFBLK: type = "b"
        default: return nil
        }
        let number = UInt64(info.st_rdev)
        let device = LinuxDevice(
            path: target, type: type, major: Int64(cl_major(number)), minor: Int64(cl_minor(number)),
            fileMode: UInt32(info.st_mode) & 0o777, uid: info.st_uid, gid: info.st_gid)
        return BoundDevice(hostPath: host, device: device, permissions: permissions)
    }

    /// Everything below a directory that is a device; links are not followed.
    private static func collect(
        _ host: String, _ target: String, _ permissions: String, depth: Int, into result: inout [BoundDevice]
    ) {
        guard depth < 8, let directory = try? FD.cwd.open(host, [.readOnly, .directory]),
            let entries = try? directoryEntries(directory.fd)
        else { return }
        for (name, _) in entries.sorted(by: { $0.name < $1.name }) {
            guard let info = try? directory.fd.status(of: name) else { continue }
            if info.st_mode & S_IFMT == S_IFDIR {
                // Terminals, shared memory and queues are the container's own.
                if depth == 0, host == "/dev",
                    ["pts", "shm", "mqueue", "fd", "hugepages", ".udev", ".lxc", ".lxd-mounts"].contains(name)
                {
                    continue
                }
                collect("\(host)/\(name)", "\(target)/\(name)", permissions, depth: depth + 1, into: &result)
            } else if let device = node("\(host)/\(name)", "\(target)/\(name)", info, permissions) {
                result.append(device)
            }
        }
    }

    /// For --privileged: the host's devices but those every container has of its own.
    private static func allDevices() -> [BoundDevice] {
        var result: [BoundDevice] = []
        collect("/dev", "/dev", "rwm", depth: 0, into: &result)
        let own: Set<String> = [
            "/dev/console", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
            "/dev/ptmx",
        ]
        return result.filter { !own.contains($0.device.path) }
    }
}
