import Engine
import Flags
import JSON
import Linux

/// `berth volume snapshot`, `snapshots`, `clone`, `restore`
struct VolumeSnapshotCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    private var first: String { arguments.positionals.first ?? "" }
    private var second: String? { arguments.positionals.dropFirst().first }
    init(_ session: Session) { self.session = session }

    func snapshot() throws(CommandError) -> Int32 {
        var reference = VolumeReference(first)
        if let second { reference.snapshot = second }
        if let status = try session.delegated() { return status }
        let made = try engine { () throws(EngineError) in
            try session.engine.snapshotVolume(reference.volume, name: reference.snapshot, pausing: arguments.bool("pause"))
        }
        session.print(made.text)
        return 0
    }

    func clone() throws(CommandError) -> Int32 {
        let name = second ?? ""
        if let status = try session.delegated() { return status }
        let made = try engine { () throws(EngineError) in
            try session.engine.cloneVolume(VolumeReference(first), as: name, pausing: arguments.bool("pause"))
        }
        session.print(made.name)
        return 0
    }

    func restore() throws(CommandError) -> Int32 {
        var reference = VolumeReference(first)
        if let second {
            // As the list shows it.
            let named = VolumeReference(second)
            reference.snapshot = named.volume == reference.volume && named.snapshot != nil ? named.snapshot : second
        }
        if let status = try session.delegated() { return status }
        try engine { () throws(EngineError) in try session.engine.restoreVolume(reference) }
        session.print(reference.text)
        return 0
    }

    func list() throws(CommandError) -> Int32 {
        var rows: [(volume: String, name: String, created: Int64)] = []
        var status: Int32 = 0
        var names = arguments.positionals
        if names.isEmpty { names = try engine { () throws(EngineError) in try session.engine.volumes().map(\.name) } }
        status = session.forEach(names) { (name) throws(EngineError) in
            for snapshot in try session.engine.snapshots(of: name) { rows.append((name, snapshot.name, snapshot.created)) }
            return nil
        }
        let format = arguments.string("format")
        if arguments.bool("quiet"), format.isEmpty {
            for row in rows { session.print(row.volume + "@" + row.name) }
            return status
        }
        let now = wallClockNanoseconds()
        if format.isEmpty || format == "table" {
            var table = TextTable(heading: arguments.bool("noheading") ? nil : ["VOLUME", "SNAPSHOT", "CREATED"])
            for row in rows { table.add([row.volume, row.name, HumanTime.ago(row.created, now: now)]) }
            session.printRaw(table.render())
            return status
        }
        let items = rows.map { row -> ObjectList.Item in
            let object = ObjectList.object([
                ("CreatedAt", Timestamp.text(row.created)), ("Name", row.name), ("Reference", row.volume + "@" + row.name),
                ("Volume", row.volume),
            ])
            return (object, [:])
        }
        let list = ObjectList(
            type: "snapshot", title: { $0 == "CreatedAt" ? "CREATED AT" : $0 == "Name" ? "SNAPSHOT" : $0.uppercased() },
            hasHeading: !arguments.bool("noheading"))
        try list.print(items, try Template(format), session)
        return status
    }
}
