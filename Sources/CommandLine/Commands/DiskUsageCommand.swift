import Engine
import Flags
import JSON
import Linux

/// `berth system df`
struct DiskUsageCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let format = arguments.string("format")
        let template = format.isEmpty || format == "table" ? nil : try Template(format)
        // What containers wrote belongs to ids of their own.
        if let status = try session.delegated() { return status }
        let report = try engine { () throws(EngineError) in try session.engine.usage() }
        if arguments.bool("verbose") {
            try printVerbose(report, template)
        } else {
            try printSummary(report, template)
        }
        return 0
    }

    // MARK: Summary

    private func printSummary(_ report: UsageReport, _ template: Template?) throws(CommandError) {
        let plain = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
        let items = report.summaries.map { summary -> ObjectList.Item in
            (
                ObjectList.object([
                    ("Active", "\(summary.active)"), ("Reclaimable", Self.reclaimable(summary)),
                    ("Size", ByteSize.decimalOnDisk(summary.size)), ("TotalCount", "\(summary.total)"),
                    ("Type", summary.type),
                ]), [:]
            )
        }
        let list = ObjectList(type: "*formatter.diskUsageContext") { $0 == "TotalCount" ? "TOTAL" : $0.uppercased() }
        if let template { return try list.print(items, template, session) }
        try list.print(items, try Template(plain), session)
    }

    private static func reclaimable(_ summary: UsageReport.Summary) -> String {
        let text = ByteSize.decimalOnDisk(summary.reclaimable)
        return summary.size > 0 ? text + " (\(summary.reclaimable * 100 / summary.size)%)" : text
    }

    // MARK: Everything

    private func printVerbose(_ report: UsageReport, _ template: Template?) throws(CommandError) {
        let now = wallClockNanoseconds()
        let full = template != nil && template?.isTable == false
        let images = report.images.map {
            ImagesCommand.object($0.row, digest: $0.row.digest, full: full, now: now, usage: $0)
        }
        let containers = report.containers.map { container($0, full: full, now: now) }
        let volumes = report.volumes.map(volume)
        let cache = report.cache.map { BuildCacheList.object($0, full: full, now: now) }
        if let template {
            let object = JSONValue.object([
                .init(key: "Images", value: .array(images)), .init(key: "Containers", value: .array(containers)),
                .init(key: "Volumes", value: .array(volumes)), .init(key: "BuildCache", value: .array(cache)),
            ])
            session.print(try template.render(object, of: "*formatter.diskUsageContext"))
            return
        }
        session.print("Images space usage:\n")
        try section(
            images, ["Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"],
            ImagesCommand.heading)
        session.print("\nContainers space usage:\n")
        try section(
            containers, ["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"],
            ListCommand.heading)
        session.print("\nLocal Volumes space usage:\n")
        try section(volumes, ["Name", "Links", "Size"]) { $0 == "Name" ? "VOLUME NAME" : $0.uppercased() }
        let cacheSize = report.summaries.first { $0.type == "Build Cache" }?.size ?? 0
        session.print("\nBuild cache usage: \(ByteSize.decimalOnDisk(cacheSize))\n")
        try section(cache, BuildCacheList.fields, BuildCacheList.heading)
        let other = report.summaries.last?.size ?? 0
        session.print("\nOther space usage: \(ByteSize.decimalOnDisk(other)) (database, downloads under way or given up)")
        session.print("Total: \(ByteSize.decimalOnDisk(report.total)) at \(session.engine.roots.store)")
    }

    private func section(
        _ objects: [JSONValue], _ fields: [String], _ title: @escaping (String) -> String
    ) throws(CommandError) {
        let template = try Template("table " + fields.map { "{{.\($0)}}" }.joined(separator: "\t"))
        try ObjectList(type: "*formatter.diskUsageContext", title: title).print(objects.map { ($0, [:]) }, template, session)
    }

    private func container(_ usage: UsageReport.Container, full: Bool, now: Int64) -> JSONValue {
        let object = ContainerRow(usage.view, now: now, full: full).object(
            session, size: false, ports: "", networks: usage.view.definition.networkMode)
        guard case .object(let members) = object else { return object }
        return .object(
            members.map { $0.key == "Size" ? .init(key: "Size", value: .string(ByteSize.decimal(usage.size))) : $0 })
    }

    private func volume(_ usage: UsageReport.Volume) -> JSONValue {
        let labels = usage.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
        return ObjectList.object([
            ("Availability", "N/A"), ("Driver", "local"), ("Group", "N/A"), ("Labels", labels), ("Links", "\(usage.links)"),
            ("Mountpoint", session.engine.roots.store + "/volumes/" + usage.name + "/_data"), ("Name", usage.name),
            ("Scope", "local"), ("Size", ByteSize.decimal(usage.size)), ("Status", "N/A"),
        ])
    }
}
