/// A host device for the container (`--device`): `HOST[:CONTAINER][:PERMISSIONS]`.
public struct DeviceRequest: Hashable, Sendable {
    public var hostPath: String
    public var containerPath: String
    /// Some of `rwm`.
    public var permissions: String

    public init(hostPath: String, containerPath: String, permissions: String) {
        self.hostPath = hostPath
        self.containerPath = containerPath
        self.permissions = permissions
    }

    public init(option text: String) throws(EngineError) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let failure = EngineError.invalid("invalid device specification: \(text)")
        guard (1...3).contains(parts.count), let host = parts.first else { throw failure }
        if !host.hasPrefix("/") {
            throw .invalid("'\(host)' is not an absolute path")
        }
        var container = host
        var permissions = "rwm"
        if parts.count == 2, DeviceRequest.arePermissions(parts[1]) {
            permissions = parts[1]
        } else if parts.count >= 2 {
            container = parts[1]
        }
        if parts.count == 3 {
            guard DeviceRequest.arePermissions(parts[2]) else { throw .invalid("bad mode specified: \(parts[2])") }
            permissions = parts[2]
        }
        guard container.hasPrefix("/") else { throw .invalid("'\(container)' is not an absolute path") }
        let target = cleanContainerPath(container)
        guard target != "/", target != "/proc", !target.hasPrefix("/proc/"), target != "/sys",
            !target.hasPrefix("/sys/")
        else {
            throw failure
        }
        self.init(hostPath: cleanHostPath(host), containerPath: target, permissions: permissions)
    }

    private static func arePermissions(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 3 && Set(text).count == text.count && text.allSatisfy { "rwm".contains($0) }
    }
}
