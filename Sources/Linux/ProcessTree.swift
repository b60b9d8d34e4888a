import CLinux

/// Processes that belong to one, by session and descent.
public enum ProcessTree {
    private struct Entry {
        let pid: Int32
        let parent: Int32
        let session: Int32
        let isDead: Bool
    }

    /// Pidfds of a process that leads a session, of all of that session, and of their descendants, as far as they live.
    ///
    /// - Parameter candidates: where to look, besides `root`.
    public static func find(root: Int32, among candidates: [Int32]) -> [SharedFD] {
        var known: [Int32: Entry] = [:]
        for pid in candidates + [root] { if let entry = entry(pid) { known[pid] = entry } }
        var chosen: Set<Int32> = [root]
        var grew = true
        while grew {
            grew = false
            for entry in known.values where !chosen.contains(entry.pid) && (entry.session == root || chosen.contains(entry.parent)) {
                chosen.insert(entry.pid)
                grew = true
            }
        }
        var result: [SharedFD] = []
        for pid in chosen {
            guard let seen = known[pid], !seen.isDead, let process = try? openProcess(pid) else { continue }
            // The number was still the same process's after the descriptor was taken.
            guard let now = entry(pid), now.parent == seen.parent, now.session == seen.session, !now.isDead else { continue }
            result.append(SharedFD(process))
        }
        return result
    }

    /// All processes of the pid namespace that procfs shows.
    public static func allProcesses() -> [Int32] {
        guard let directory = try? FD.cwd.open("/proc", [.readOnly, .directory]), let entries = try? directoryEntries(directory.fd) else {
            return []
        }
        return entries.compactMap { Int32($0.name) }
    }

    /// Fields 3, 4 and 6 of `/proc/PID/stat`.
    private static func entry(_ pid: Int32) -> Entry? {
        guard let text = try? FD.cwd.readText("/proc/\(pid)/stat", limit: 8192),
            let close = text.utf8.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = text[text.index(after: close)...].split(separator: " ", maxSplits: 4, omittingEmptySubsequences: true)
        guard fields.count > 3, let parent = Int32(fields[1]), let session = Int32(fields[3]) else { return nil }
        return Entry(pid: pid, parent: parent, session: session, isDead: fields[0] == "Z" || fields[0] == "X")
    }
}
