/// One file of the Container Device Interface: the devices of one kind, and what a container needs to use them.
///
/// Spec: CDI 1.1 "JSON Definition".
struct CDISpecification: Sendable, Hashable {
    struct Device: Sendable, Hashable {
        var name: String
        var edits: CDIEdits
        var hasAnnotations = false
    }

    /// Where it was read.
    var path: String
    var version: CDIVersion
    var vendor: String
    var `class`: String
    var devices: [Device]
    /// For every container that has any of the devices.
    var edits: CDIEdits
    var hasAnnotations = false

    func name(of device: Device) -> CDIName { CDIName(vendor: vendor, class: `class`, device: device.name) }
}

/// What is changed in a container's OCI spec.
///
/// Spec: CDI 1.1 "OCI Edits".
struct CDIEdits: Sendable, Hashable {
    struct DeviceNode: Sendable, Hashable {
        /// In the container.
        var path: String
        /// Empty: the same as `path`.
        var hostPath = ""
        /// `b`, `c`, `u`, `p`; empty: the host's.
        var type = ""
        /// 0: the host's, with the minor.
        var major: Int64 = 0
        var minor: Int64 = 0
        var fileMode: UInt32?
        /// Some of `rwm`; empty: all; `none`.
        var permissions = ""
        var uid: UInt32?
        var gid: UInt32?
    }

    struct NetDevice: Sendable, Hashable {
        var hostName: String
        var name: String
    }

    struct Mount: Sendable, Hashable {
        var hostPath: String
        var containerPath: String
        var options: [String] = []
        var type = ""
    }

    struct Hook: Sendable, Hashable {
        enum Point: String, Sendable, Hashable, CaseIterable {
            case prestart, createRuntime, createContainer, startContainer, poststart, poststop
        }

        var point: Point
        var path: String
        var arguments: [String] = []
        var environment: [String] = []
        /// Seconds.
        var timeout: Int?
    }

    /// Settings of resctrl, as the OCI spec has them.
    struct IntelRdt: Sendable, Hashable {
        var closID = ""
        var l3CacheSchema = ""
        var memBwSchema = ""
        var schemata: [String] = []
        var enableMonitoring = false
    }

    /// `NAME=value`
    var environment: [String] = []
    var deviceNodes: [DeviceNode] = []
    var netDevices: [NetDevice] = []
    var mounts: [Mount] = []
    var hooks: [Hook] = []
    var intelRdt: IntelRdt?
    /// 0 is passed over.
    var additionalGIDs: [UInt32] = []

    var isEmpty: Bool { self == CDIEdits() }
}

/// A released version of the CDI spec.
struct CDIVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    private var rank: Int

    private static let released = ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"]
    static var newest: String { released[released.count - 1] }

    /// - Returns: nil for what was never released, or not yet. A `v` may stand before it.
    init?(_ text: String) {
        let bare = text.hasPrefix("v") ? String(text.dropFirst()) : text
        guard let rank = Self.released.firstIndex(of: bare) else { return nil }
        self.rank = rank
    }

    private init(rank: Int) { self.rank = rank }

    var description: String { Self.released[rank] }
    static func < (one: CDIVersion, other: CDIVersion) -> Bool { one.rank < other.rank }

    /// The first version that has all that a specification uses, and what that is. Spec: "Released versions".
    static func required(by specification: CDISpecification) -> (version: CDIVersion, reason: String) {
        let all = [specification.edits] + specification.devices.map(\.edits)
        func has(_ test: (CDIEdits) -> Bool) -> Bool { all.contains(where: test) }
        if has({ !$0.netDevices.isEmpty }) { return (CDIVersion(rank: 9), "netDevices") }
        if has({ $0.intelRdt.map { !$0.schemata.isEmpty || $0.enableMonitoring } ?? false }) {
            return (CDIVersion(rank: 9), "intelRdt.schemata and enableMonitoring")
        }
        if has({ $0.intelRdt != nil }) { return (CDIVersion(rank: 6), "intelRdt") }
        if has({ !$0.additionalGIDs.isEmpty }) { return (CDIVersion(rank: 6), "additionalGids") }
        if specification.hasAnnotations || specification.devices.contains(where: \.hasAnnotations) {
            return (CDIVersion(rank: 5), "annotations")
        }
        if specification.`class`.contains(".") { return (CDIVersion(rank: 5), "a dot in the class") }
        if specification.devices.contains(where: { $0.name.utf8.first.map { $0 < 0x3A } ?? false }) {
            return (CDIVersion(rank: 4), "names that begin with a digit")
        }
        if has({ $0.deviceNodes.contains { !$0.hostPath.isEmpty } }) { return (CDIVersion(rank: 4), "hostPath of a device node") }
        if has({ $0.mounts.contains { !$0.type.isEmpty } }) { return (CDIVersion(rank: 3), "the type of a mount") }
        return (CDIVersion(rank: 0), "")
    }
}
