import Engine
import JSON

/// Documents of `podman inspect`, made of Docker's: the same where both have the same, and podman's fields beside them.
enum PodmanInspection {
    /// - Parameter image: its image's document as Docker has it; nil where that is gone.
    static func container(_ document: JSONValue, image: JSONValue?) -> JSONValue {
        let id = document["Image"]?.string ?? ""
        let name = document["Config"]?["Image"]?.string ?? ""
        let full = ImageText.isID(name) ? ImageText.digits(name) : fullName(name)
        let state = (document["State"] ?? .null).with([
            ("OciVersion", "1.2.1"), ("CheckpointedAt", never), ("RestoredAt", never),
            ("Health", document["State"]?["Health"] ?? health),
        ])
        let config = (document["Config"] ?? .null).with([
            ("Image", .string(full)), ("Annotations", .null), ("CreateCommand", .null), ("Umask", "0022"), ("Timeout", .int(0)),
            ("Passwd", .bool(true)), ("sdNotifyMode", "container"),
            ("HealthcheckOnFailureAction", document["Config"]?["HealthcheckOnFailureAction"] ?? "none"),
        ])
        let host = document["HostConfig"] ?? .null
        let mounts = objects(document["Mounts"]).map { $0.with([("Options", .array([]))]) }
        let driver = (document["GraphDriver"] ?? .null).with([("Name", "overlay")])
        return document.with([
            ("State", state), ("Image", .string(ImageText.digits(id))), ("ImageDigest", image?["Descriptor"]?["digest"] ?? ""),
            ("ImageName", .string(full)), ("Rootfs", ""), ("Pod", ""),
            ("Name", .string(withoutSlash(document["Name"]?.string ?? ""))), ("Driver", "overlay"), ("OCIRuntime", "berth-runtime"),
            ("GraphDriver", driver), ("Dependencies", .array([])), ("Namespace", ""), ("IsInfra", .bool(false)),
            ("IsService", .bool(false)), ("Mounts", .array(mounts)),
            ("HostConfig", host.with([("Tmpfs", host["Tmpfs"] ?? .object([])), ("KernelMemory", .int(0))])),
            ("ExecIDs", list(document["ExecIDs"])), ("Config", config),
        ])
    }

    /// - Parameters:
    ///   - history: newest first.
    ///   - names: every name that it ever had.
    static func image(_ document: JSONValue, _ history: [HistoryRow], names: [String]) -> JSONValue {
        let tags = texts(document["RepoTags"]).map(fullName)
        let digests = texts(document["RepoDigests"]).map(fullDigest)
        let config = document["Config"] ?? .null
        let steps = history.reversed().map { row in
            JSONValue.object([
                .init(key: "created", value: .string(HumanTime.rfc3339(row.created))),
                .init(key: "created_by", value: .string(row.createdBy)),
            ])
        }
        return document.with([
            ("Id", .string(ImageText.digits(document["Id"]?.string ?? ""))), ("Digest", document["Descriptor"]?["digest"] ?? ""),
            ("RepoTags", .strings(tags)), ("RepoDigests", .strings(digests)), ("Version", ""),
            ("VirtualSize", document["Size"] ?? .int(0)), ("Labels", config["Labels"] ?? .null), ("Annotations", .object([])),
            ("ManifestType", document["Descriptor"]?["mediaType"] ?? ""), ("User", config["User"] ?? ""), ("History", .array(steps)),
            ("NamesHistory", .strings(names.map(fullName))),
            ("GraphDriver", (document["GraphDriver"] ?? .null).with([("Name", "overlay")])),
        ])
    }

    /// The document of `podman history`.
    static func history(_ rows: [HistoryRow]) -> JSONValue {
        .array(
            rows.map { row in
                let created: JSONValue = .string(HumanTime.rfc3339(row.created))
                var step = JSONValue.object([]).with([
                    ("id", .string(ImageText.digits(row.id))), ("created", created), ("CreatedBy", .string(row.createdBy)),
                    ("size", .int(row.size)), ("Created", created),
                ])
                if !row.comment.isEmpty { step = step.with([("comment", .string(row.comment))]) }
                return row.names.isEmpty ? step : step.with([("tags", .strings(row.names.map(fullName)))])
            })
    }

    static func volume(_ document: JSONValue) -> JSONValue {
        let isAnonymous = document["Labels"]?["com.docker.volume.anonymous"] != nil
        return document.with([
            ("MountCount", .int(0)), ("NeedsCopyUp", .bool(false)), ("NeedsChown", .bool(false)), ("Anonymous", .bool(isAnonymous)),
        ])
    }

    private static let never: JSONValue = "0001-01-01T00:00:00Z"

    /// Podman's containers without a health check have one that says nothing.
    private static let health: JSONValue = .object([
        .init(key: "Status", value: ""), .init(key: "FailingStreak", value: .int(0)), .init(key: "Log", value: .null),
    ])

    private static func withoutSlash(_ name: String) -> String { name.hasPrefix("/") ? String(name.dropFirst()) : name }

    private static func list(_ value: JSONValue?) -> JSONValue { value.map { $0.isNull ? .array([]) : $0 } ?? .array([]) }

    private static func objects(_ value: JSONValue?) -> [JSONValue] {
        if case .array(let elements)? = value { elements } else { [] }
    }

    private static func texts(_ value: JSONValue?) -> [String] {
        guard case .array(let elements)? = value else { return [] }
        return elements.compactMap(\.string)
    }

    /// `busybox@sha256:…` with its registry.
    private static func fullDigest(_ text: String) -> String {
        guard let mark = text.firstIndex(of: "@") else { return text }
        let name = fullName(String(text[..<mark]))
        let tag = name.lastIndex(of: ":") ?? name.endIndex
        return String(name[..<tag] + text[mark...])
    }
}
