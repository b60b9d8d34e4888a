import Linux
import OCI

/// Which ids a container's user namespace has.
public struct UserNamespacePlan: Sendable, Hashable {
    public var users: [LinuxIDMapping] = []
    public var groups: [LinuxIDMapping] = []

    /// No user namespace of its own.
    public static let host = UserNamespacePlan(users: [], groups: [])

    public init(users: [LinuxIDMapping], groups: [LinuxIDMapping]) {
        self.users = users
        self.groups = groups
    }

    /// The mapping of a rootless store: container root is the user, 1 and up are the subordinate ids. Layers are
    /// unpacked under it, so every rootless container uses it, but for `keep-id`.
    ///
    /// - Throws: with the command that grants ids when the user has none: never a single id without a word (attack
    ///   row S36).
    public static func rootless(uid: UInt32, gid: UInt32) throws(EngineError) -> UserNamespacePlan {
        let ranges = try SubordinateIDs.read(uid: uid)
        return UserNamespacePlan(users: sequence(uid, ranges.users), groups: sequence(gid, ranges.groups))
    }

    /// `--userns=keep-id`: the user's own ids are the same inside and outside, or the ones that were asked for.
    public static func keepID(
        uid: UInt32, gid: UInt32, insideUID: UInt32? = nil, insideGID: UInt32? = nil
    ) throws(EngineError) -> UserNamespacePlan {
        let ranges = try SubordinateIDs.read(uid: uid)
        return UserNamespacePlan(
            users: keeping(uid, as: insideUID ?? uid, ranges.users),
            groups: keeping(gid, as: insideGID ?? gid, ranges.groups))
    }

    /// How many ranges `--userns=auto` can give out.
    static let slots: Int64 = 16384

    /// `--userns=auto`: up to 65536 ids from the upper half of what the kernel knows, where no distribution puts users.
    static func automatic(slot: Int64?, size: UInt32) -> UserNamespacePlan {
        let start = UInt32(0x4000_0000) + UInt32(clamping: min(max(slot ?? 0, 0), slots - 1)) * 65536
        let mapping = [LinuxIDMapping(containerID: 0, hostID: start, size: size)]
        return UserNamespacePlan(users: mapping, groups: mapping)
    }

    static func sequence(_ own: UInt32, _ ranges: [IDRange]) -> [LinuxIDMapping] {
        var result = [LinuxIDMapping(containerID: 0, hostID: own, size: 1)]
        var next: UInt32 = 1
        for range in ranges {
            let (end, overflow) = next.addingReportingOverflow(range.count)
            if overflow { break }
            result.append(LinuxIDMapping(containerID: next, hostID: range.start, size: range.count))
            next = end
        }
        return result
    }

    /// The subordinate ids fill the ids inside below and above `inside`, which is the user's own outside.
    static func keeping(_ own: UInt32, as inside: UInt32, _ ranges: [IDRange]) -> [LinuxIDMapping] {
        var result: [LinuxIDMapping] = []
        var next: UInt32 = 0
        for range in ranges {
            var start = range.start
            var left = range.count
            while left > 0 {
                if next == inside { next += 1 }
                let (end, overflow) = next.addingReportingOverflow(left)
                if overflow { return result + [LinuxIDMapping(containerID: inside, hostID: own, size: 1)] }
                let size = next < inside && end > inside ? inside - next : left
                result.append(LinuxIDMapping(containerID: next, hostID: start, size: size))
                next += size
                start += size
                left -= size
            }
        }
        result.append(LinuxIDMapping(containerID: inside, hostID: own, size: 1))
        return result.sorted { $0.containerID < $1.containerID }
    }
}

/// A range of subordinate ids.
public struct IDRange: Sendable, Hashable {
    public var start: UInt32
    public var count: UInt32

    public init(start: UInt32, count: UInt32) {
        self.start = start
        self.count = count
    }
}

/// What `/etc/subuid` and `/etc/subgid` give a user.
enum SubordinateIDs {
    static func read(uid: UInt32) throws(EngineError) -> (users: [IDRange], groups: [IDRange]) {
        let name = userName(of: uid)
        let users = subordinateRanges(.user, userName: name, uid: uid).map { IDRange(start: $0.start, count: $0.count) }
        let groups = subordinateRanges(.group, userName: name, uid: uid).map {
            IDRange(start: $0.start, count: $0.count)
        }
        let who = name ?? "\(uid)"
        for (ranges, file) in [(users, "/etc/subuid"), (groups, "/etc/subgid")] {
            if ranges.isEmpty {
                throw EngineError(
                    .permission,
                    sentence: "user \(who) has no ids in \(file); grant some with: "
                        + "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 \(who)")
            }
            try check(ranges, file, who)
        }
        return (users, groups)
    }

    /// Ranges that overlap each other or reach host root would give away what is not the user's.
    static func check(_ ranges: [IDRange], _ file: String, _ who: String) throws(EngineError) {
        let sorted = ranges.sorted { $0.start < $1.start }
        var end: UInt64 = 0
        for range in sorted {
            if range.start == 0 {
                throw EngineError(.permission, sentence: "\(file) gives \(who) id 0 of the host: remove that line")
            }
            if UInt64(range.start) < end {
                throw EngineError(.permission, sentence: "the ranges of \(who) in \(file) overlap: correct that file")
            }
            end = UInt64(range.start) + UInt64(range.count)
            if end > UInt64(UInt32.max) {
                throw EngineError(
                    .permission, sentence: "a range of \(who) in \(file) ends above 4294967295: correct that file")
            }
        }
    }
}
