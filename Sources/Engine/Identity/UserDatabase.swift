/// `/etc/passwd` and `/etc/group` of an image, parsed without trust.
struct UserDatabase {
    struct User {
        var name: String
        var uid: UInt32
        var gid: UInt32
        var home: String
        var shell: String
    }

    struct Group {
        var name: String
        var gid: UInt32
        var members: [String]
    }

    var users: [User] = []
    var groups: [Group] = []

    init() {}

    /// Lines that do not parse are skipped, as the C library does.
    init(passwd: [UInt8]?, group: [UInt8]?) {
        if let passwd {
            UserDatabase.eachLine(passwd, fields: 7) { fields in
                guard fields.count >= 4, !fields[0].isEmpty, let uid = Numbers.unsigned(fields[2]),
                    let gid = Numbers.unsigned(fields[3])
                else { return }
                users.append(
                    User(
                        name: fields[0], uid: uid, gid: gid, home: fields.count > 5 ? fields[5] : "",
                        shell: fields.count > 6 ? fields[6] : ""))
            }
        }
        if let group {
            UserDatabase.eachLine(group, fields: 4) { fields in
                guard fields.count >= 3, !fields[0].isEmpty, let gid = Numbers.unsigned(fields[2]) else { return }
                let members = fields.count > 3 ? fields[3].split(separator: ",").map(String.init) : []
                groups.append(Group(name: fields[0], gid: gid, members: members))
            }
        }
    }

    /// A line over 64 KiB is no line of these files; it is passed over without being copied.
    private static func eachLine(_ bytes: [UInt8], fields count: Int, _ body: ([String]) -> Void) {
        var start = bytes.startIndex
        while start < bytes.endIndex {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.endIndex
            let line = bytes[start..<end]
            start = end < bytes.endIndex ? end + 1 : end
            if line.isEmpty || line.count > 65536 || line.first == UInt8(ascii: "#") { continue }
            body(
                line.split(separator: UInt8(ascii: ":"), maxSplits: count - 1, omittingEmptySubsequences: false).map {
                    String(decoding: $0, as: UTF8.self)
                })
        }
    }
}

/// Who a container's process is.
public struct ResolvedUser: Hashable, Sendable {
    public var uid: UInt32
    public var gid: UInt32
    /// Without duplicates; the primary group is the first (CVE-2022-2989).
    public var additionalGroups: [UInt32]
    /// Name in the image's passwd, or empty.
    public var name: String
    /// Home directory in the image's passwd, `/` when unknown.
    public var home: String
}

extension UserDatabase {
    /// Reads `USER[:GROUP]`, each a name or a number, as Docker's `-u` and an image's `User` have it.
    ///
    /// Numbers are plain decimals below 2^32 - 1. What is neither a name in the image nor such a number is an error:
    /// never user 0 by accident (CVE-2026-30892).
    func resolve(_ text: String) throws(EngineError) -> ResolvedUser {
        let pair = text.splitOnce(":")
        let userText = pair.map { String($0.head) } ?? text
        let groupText = pair.map { String($0.tail) }
        if let groupText, groupText.isEmpty {
            throw .invalid("invalid user \"\(text)\": the group after \":\" is empty")
        }
        if userText.isEmpty, groupText != nil {
            throw .invalid("invalid user \"\(text)\": the user before \":\" is empty")
        }
        var result = try user(userText.isEmpty ? "0" : userText)
        if let groupText {
            result.gid = try gid(of: groupText)
            result.additionalGroups = [result.gid]
        }
        return result
    }

    private func user(_ text: String) throws(EngineError) -> ResolvedUser {
        let number = UserDatabase.identifier(text)
        // A name comes first: "1000" may be one. Then the first entry with that number.
        let entry = users.first { $0.name == text } ?? number.flatMap { uid in users.first { $0.uid == uid } }
        guard let entry else {
            guard let number else {
                throw .invalid("unable to find user \(text): no matching entries in passwd file")
            }
            return ResolvedUser(uid: number, gid: 0, additionalGroups: [0], name: "", home: "/")
        }
        guard UserDatabase.isUsable(entry.uid), UserDatabase.isUsable(entry.gid) else {
            throw .invalid("user \(text) has an id that no process may have")
        }
        var groups = [entry.gid]
        for group in self.groups where group.members.contains(entry.name) && !groups.contains(group.gid) {
            if UserDatabase.isUsable(group.gid) { groups.append(group.gid) }
        }
        let home = entry.home.hasPrefix("/") && !entry.home.utf8.contains(0) ? entry.home : "/"
        return ResolvedUser(uid: entry.uid, gid: entry.gid, additionalGroups: groups, name: entry.name, home: home)
    }

    /// A group by name or number, for the part after `:` and for `--group-add`.
    func gid(of text: String) throws(EngineError) -> UInt32 {
        if let group = groups.first(where: { $0.name == text }), UserDatabase.isUsable(group.gid) { return group.gid }
        guard let number = UserDatabase.identifier(text) else {
            throw .invalid("unable to find group \(text): no matching entries in group file")
        }
        return number
    }

    private static func identifier(_ text: String) -> UInt32? {
        guard let number = Numbers.unsigned(text), isUsable(number) else { return nil }
        return number
    }

    /// 2^32 - 1 means "unchanged" to setuid(2); Docker allows ids up to 2^31 - 1.
    private static func isUsable(_ id: UInt32) -> Bool { id <= 0x7FFF_FFFF }
}
