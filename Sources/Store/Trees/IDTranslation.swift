import Linux

/// Ids as a container knows them, and as this process sees them on its files. Without ranges they are the same.
public struct IDTranslation: Sendable, Hashable {
    /// `inside` is the container's.
    public var users: [IDMapping]
    public var groups: [IDMapping]

    public static let none = IDTranslation(users: [], groups: [])

    public init(users: [IDMapping], groups: [IDMapping]) {
        self.users = users
        self.groups = groups
    }

    public var isNone: Bool { users.isEmpty && groups.isEmpty }

    /// What the kernel shows for an id that has no number here.
    public static let unmapped: UInt32 = 65534

    public func userInside(_ id: UInt32) -> UInt32 { IDTranslation.inside(id, users) }
    public func groupInside(_ id: UInt32) -> UInt32 { IDTranslation.inside(id, groups) }
    /// Nil when the container has no such user.
    public func userOutside(_ id: UInt32) -> UInt32? { IDTranslation.outside(id, users) }
    public func groupOutside(_ id: UInt32) -> UInt32? { IDTranslation.outside(id, groups) }

    private static func inside(_ id: UInt32, _ ranges: [IDMapping]) -> UInt32 {
        if ranges.isEmpty { return id }
        for range in ranges where id >= range.outside && id - range.outside < range.count { return range.inside &+ (id - range.outside) }
        return unmapped
    }

    private static func outside(_ id: UInt32, _ ranges: [IDMapping]) -> UInt32? {
        if ranges.isEmpty { return id }
        for range in ranges where id >= range.inside && id - range.inside < range.count { return range.outside &+ (id - range.inside) }
        return nil
    }
}

/// File capabilities (`security.capability`), which hold an id in their third version.
///
/// Kernel: linux/capability.h, `struct vfs_ns_cap_data`; user_namespaces(7), "File capabilities".
extension IDTranslation {
    static let capabilityName = Array("security.capability".utf8)
    private static let (version2, version3): (UInt8, UInt8) = (2, 3)

    /// As they stand in an archive: those of the container's own root are of the second version.
    func capabilityInside(_ value: [UInt8]) -> [UInt8] {
        guard let root = users.first(where: { $0.inside == 0 })?.outside, value.count == 24, value[3] == IDTranslation.version3,
            (0..<4).allSatisfy({ value[20 + $0] == UInt8(truncatingIfNeeded: root >> (8 * UInt32($0))) })
        else { return value }
        var result = Array(value.prefix(20))
        result[3] = IDTranslation.version2
        return result
    }

    /// As they have to be on a file for programs of the container to get them.
    func capabilityOutside(_ value: [UInt8]) -> [UInt8] {
        guard let root = users.first(where: { $0.inside == 0 })?.outside, value.count == 20, value[3] == IDTranslation.version2
        else { return value }
        var result = value
        result[3] = IDTranslation.version3
        for shift in 0..<4 { result.append(UInt8(truncatingIfNeeded: root >> (8 * UInt32(shift)))) }
        return result
    }
}
