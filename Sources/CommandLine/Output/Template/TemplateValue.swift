import JSON

/// A value in a template: JSON, and the field it came from, which says what Go's type would be where JSON does not.
struct TemplateValue {
    var json: JSONValue
    var name: String
    /// A key that a map does not have: shown as `<no value>`.
    var isMissing = false

    init(_ json: JSONValue, name: String = "") {
        self.json = json
        self.name = name
    }

    static var missing: TemplateValue {
        var value = TemplateValue(.null)
        value.isMissing = true
        return value
    }

    /// Fields that are maps in Docker's types; all other objects are structures.
    private static let maps: Set<String> = [
        "Attributes", "AuxiliaryAddresses", "Labels", "Annotations", "Sysctls", "Tmpfs", "Config", "Data", "Options", "StorageOpt",
        "DriverOpts",
    ]
    private static let mapsOfObjects: Set<String> = [
        "Containers", "Networks", "Ports", "PortBindings", "Volumes", "ExposedPorts", "Runtimes",
    ]
    private static let pointers: Set<String> = [
        "PidsLimit", "MemorySwappiness", "OomKillDisable", "Health", "Healthcheck", "StopTimeout", "Init", "IPAMConfig",
        "SizeRw", "SizeRootFs", "ImageManifestDescriptor",
    ]
    /// Fields that Docker's types have and its JSON leaves out when they are empty.
    static let optional: Set<String> = pointers.union([
        "ExposedPorts", "Annotations", "MacAddress", "Shell", "OnBuild", "ArgsEscaped", "NetworkDisabled", "Mounts",
        "StorageOpt", "Tmpfs", "Sysctls", "Cgroup", "Driver", "Name", "Descriptor", "AutoRemove",
    ])

    /// - Note: `Config` is a structure in a container and a map in its log configuration.
    var isMap: Bool {
        guard case .object(let members) = json else { return false }
        if name == "Config" { return !members.contains { $0.key == "Env" || $0.key == "Cmd" } }
        return Self.maps.contains(name) || Self.mapsOfObjects.contains(name)
    }

    private var holdsText: Bool { Self.maps.contains(name) }

    /// What indexing or a field finds for a key that is not there.
    var zero: TemplateValue { holdsText ? TemplateValue(.string("")) : .missing }

    /// As Go's templates see truth.
    var isTrue: Bool {
        switch json {
        case .null: false
        case .bool(let on): on
        case .int(let number): number != 0
        case .uint(let number): number != 0
        case .double(let number): number != 0
        case .string(let text): !text.isEmpty
        case .array(let elements): !elements.isEmpty
        case .object(let members): !isMap || !members.isEmpty
        }
    }

    /// What errors call its type.
    var typeName: String {
        switch json {
        case .null: "nil"
        case .bool: "bool"
        case .int, .uint: "int"
        case .double: "float64"
        case .string: "string"
        case .array: "[]interface {}"
        case .object: isMap ? "map[string]interface {}" : "struct"
        }
    }

    /// As Go prints values.
    var text: String {
        if isMissing { return "<no value>" }
        switch json {
        case .null:
            if Self.pointers.contains(name) || name.isEmpty { return "<nil>" }
            return Self.maps.contains(name) || Self.mapsOfObjects.contains(name) ? "map[]" : "[]"
        case .bool(let on): return on ? "true" : "false"
        case .int(let number): return "\(number)"
        case .uint(let number): return "\(number)"
        case .double(let number):
            // Without a fraction Go leaves out the point.
            return number == number.rounded() && abs(number) < 1e15 ? "\(Int64(number))" : "\(number)"
        case .string(let text): return text
        case .array(let elements): return "[" + elements.map { TemplateValue($0, name: "element").text }.joined(separator: " ") + "]"
        case .object(let members):
            if isMap {
                return "map["
                    + members.sorted { $0.key < $1.key }
                    .map { "\($0.key):\(TemplateValue($0.value, name: "element").text)" }.joined(separator: " ") + "]"
            }
            return "{" + members.map { TemplateValue($0.value, name: $0.key).text }.joined(separator: " ") + "}"
        }
    }

    var encoded: String { String(decoding: JSONWriter.document { $0.value(json) }, as: UTF8.self) }
}
