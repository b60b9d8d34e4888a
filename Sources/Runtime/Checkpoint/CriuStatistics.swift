import JSON
import Linux

/// CRIU's own figures of a dump or restore, which it keeps as an image (images/stats.proto), told as JSON under podman's names.
enum CriuStatistics {
    static let file = "statistics.json"

    /// Where figures of one kind stand, and what they are called.
    struct Kind {
        let image: String
        let field: UInt64
        let names: [(UInt64, String)]
    }

    static let dump = Kind(
        image: "stats-dump", field: 1,
        names: [
            (1, "freezing_time"), (2, "frozen_time"), (3, "memdump_time"), (4, "memwrite_time"), (5, "pages_scanned"),
            (7, "pages_written"),
        ])
    static let restore = Kind(
        image: "stats-restore", field: 2, names: [(3, "forking_time"), (4, "restore_time"), (5, "pages_restored")])

    /// Writes them beside the image. Without an image, or one that cannot be read, there are none: it is nobody's failure.
    static func tell(in directory: FD, _ kind: Kind) {
        // Two words that name the format, the length of the message, the message.
        guard let bytes = try? directory.readFile(kind.image, limit: 64 << 10), bytes.count > 12 else { return }
        var reader = ProtobufReader(Array(bytes[12...]))
        var figures: [UInt64: UInt64] = [:]
        while let (number, value) = reader.next() {
            guard number == kind.field, case .bytes(let inner) = value else { continue }
            var fields = ProtobufReader(inner)
            while let (number, value) = fields.next() { if case .number(let figure) = value { figures[number] = figure } }
        }
        let document = JSONWriter.document { writer in
            writer.object { w in
                for (number, name) in kind.names {
                    w.key(name)
                    w.value(figures[number] ?? 0)
                }
            }
        }
        try? directory.writeFile(file, document)
    }
}
