import Engine
import Flags
import JSON
import Linux
import OCI

/// `podman images`: full names, and documents with podman's fields.
struct PodmanImageList {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    /// - Parameter all: every image; `rows` are those to show.
    func print(_ rows: [ImageRow], among all: [ImageRow]) throws(CommandError) {
        let full = arguments.bool("no-trunc")
        var format = arguments.string("format")
        if format.isEmpty || format == "table" {
            format =
                "table {{.Repository}}\t{{.Tag}}\t" + (arguments.bool("digests") ? "{{.Digest}}\t" : "")
                + "{{.ID}}\t{{.Created}}\t{{.Size}}" + (arguments.bool("history") ? "\t{{.History}}" : "")
        }
        let now = wallClockNanoseconds()
        let used = try engine { () throws(EngineError) in try session.engine.containers() }.map(\.definition.imageID)
        let history = try engine { () throws(EngineError) in try session.engine.nameHistory() }
        // Each image is read for them: only where somebody asks.
        let hasLabels = format == "json" || format.includes(".Labels")
        var allNames: [String: [String]] = [:]
        for row in all where !row.isDangling { allNames[row.id, default: []].append(fullName("\(row.repository):\(row.tag)")) }
        var objects: [PodmanFields] = []
        for row in rows {
            let names = allNames[row.id] ?? []
            let size = ByteSize.decimal(row.size)
            let unit = size.firstIndex { $0.isLetter } ?? size.endIndex
            let ago = HumanTime.ago(row.created, now: now)
            let digits = ImageText.digits(row.id)
            let past = history[row.id].map { $0.map(fullName) } ?? names
            var fields = PodmanFields()
            fields.add("Id", "ID", .string(digits), shown: .string(full ? row.id : row.shortID))
            fields.add("ParentId", nil, "")
            fields.add("RepoTags", nil, .strings(names))
            fields.add("RepoDigests", nil, .strings(Set(names.compactMap { Self.digest(of: $0, row.digest) }).sorted()))
            fields.add("Size", nil, .int(row.size), shown: .string(size[..<unit] + " " + size[unit...]))
            fields.add("SharedSize", nil, .int(0))
            fields.add("VirtualSize", nil, .int(row.size))
            fields.add("Labels", nil, hasLabels ? try labels(row.id) : .null)
            fields.add("Containers", nil, .int(Int64(used.count { $0 == row.id })))
            fields.add("Names", nil, .strings(names))
            fields.add("Digest", nil, .string(row.digest))
            fields.add("History", nil, .strings(past), shown: .string(past.joined(separator: ", ")))
            fields.add("Created", nil, .int(row.created / 1_000_000_000), shown: .string(ago))
            fields.add("CreatedAt", nil, .string(HumanTime.rfc3339(row.created)), shown: .string(HumanTime.local(row.created)))
            fields.addShown("CreatedSince", ago)
            fields.addShown("CreatedTime", HumanTime.local(row.created))
            fields.addShown("Repository", row.repository == "<none>" ? row.repository : Self.repository(row.repository))
            fields.addShown("Tag", row.tag)
            fields.addShown("ReadOnly", "false")
            objects.append(fields)
        }
        try PodmanFields.print(
            objects, format, of: "images.imageReporter", heading: Self.heading, hasHeading: !arguments.bool("noheading"), session)
    }

    private func labels(_ id: String) throws(CommandError) -> JSONValue {
        let bytes = try engine { () throws(EngineError) in try session.engine.inspectImage(id) }
        return (try? JSONValue.parse(bytes))?["Config"]?["Labels"] ?? .null
    }

    private static func repository(_ name: String) -> String { (try? Reference.parse(name))?.name ?? name }

    private static func digest(of name: String, _ digest: String) -> String? {
        guard digest.hasPrefix("sha256:"), let reference = try? Reference.parse(name) else { return nil }
        return "\(reference.name)@\(digest)"
    }

    private static func heading(_ field: String) -> String {
        switch field {
        case "ID": "IMAGE ID"
        case "CreatedSince": "CREATED"
        case "CreatedAt", "CreatedTime": "CREATED AT"
        case "ReadOnly": "R/O"
        default: field.uppercased()
        }
    }
}

/// A reference with its registry, `docker.io/library/busybox:latest`: how podman shows all names.
func fullName(_ name: String) -> String {
    do throws(OCIError) { return try Reference.parse(name).withDefaultTag.description } catch { return name }
}
