/// What the files of a cgroup held before they were written, so that a change that is refused half-way can be taken back.
final class CgroupJournal {
    private var entries: [(directory: CgroupDirectory, file: String, before: String)] = []

    /// Called after a write that succeeded.
    ///
    /// - Parameters:
    ///   - value: what was written.
    ///   - content: what the file held.
    func note(_ directory: CgroupDirectory, _ file: String, _ value: String, _ content: [UInt8]) {
        entries.append((directory, file, Self.before(value, content, file)))
    }

    /// Writes everything as it was, the latest first: where the kernel checks pairs of files it took them in the other order. What the
    /// kernel does not take back is left.
    func undo() {
        let noted = entries
        entries = []
        for (directory, file, before) in noted.reversed() { _ = directory.attempt(file, before) }
    }

    /// What takes a write back.
    ///
    /// Keyed files take one line for each write and have none for a device without a limit (cgroup-v2.rst "Nested keyed"). An empty
    /// cpuset of cgroup v2 is the parent's: it is written as an empty line.
    static func before(_ value: String, _ content: [UInt8], _ file: String) -> String {
        let lines = content.split(separator: 10).map { text($0) }
        let words = value.split(separator: " ")
        guard let device = words.first, device.utf8.contains(UInt8(ascii: ":")), words.count > 1 else { return lines.first ?? "\n" }
        if let line = lines.first(where: { $0.hasPrefix(device + " ") }) { return line }
        if file.hasPrefix("blkio.") { return device + " 0" }
        if file == "io.max" {
            return device + words.dropFirst().map { " " + $0.prefix { $0 != "=" } + "=max" }.joined()
        }
        return device + " default"
    }
}
