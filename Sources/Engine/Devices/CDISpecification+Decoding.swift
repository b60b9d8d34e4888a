import JSON
import YAML

extension CDISpecification {
    /// Reads a specification, JSON or YAML by the file's name.
    ///
    /// Strict, as the spec wants it: what is not known is refused, and so is what a version has that is newer than the file's.
    ///
    /// - Throws: with line and column where the file is YAML.
    init(_ bytes: [UInt8], path: String) throws(YAMLError) {
        self = try CDISpecification(path.hasSuffix(".json") ? Self.json(bytes) : YAMLNode.parse(bytes), path: path)
        try validate()
    }

    private static func json(_ bytes: [UInt8]) throws(YAMLError) -> YAMLNode {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue.parse(bytes, limits: JSONLimits(size: YAMLLimits.standard.size, allowsNUL: false))
        } catch {
            throw YAMLError(.syntax, cause: error.reason)
        }
        return YAMLNode(json: value)
    }

    private init(_ node: YAMLNode, path: String) throws(YAMLError) {
        var reader = try CDIReader(node, "a CDI specification")
        let number = try reader.text("cdiVersion")
        guard let version = CDIVersion(number) else {
            throw node.failure(
                number.isEmpty
                    ? "it has no cdiVersion" : "cdiVersion \"\(number)\" is unknown; the newest known is \(CDIVersion.newest)")
        }
        let kind = try reader.text("kind")
        let parts = kind.splitOnce("/") ?? ("", kind[...])
        self.init(path: path, version: version, vendor: String(parts.head), class: String(parts.tail), devices: [], edits: CDIEdits())
        guard CDIName.isPart(vendor), CDIName.isPart(`class`) else {
            throw node.failure("kind \"\(kind)\" is not vendor.com/class")
        }
        hasAnnotations = try reader.annotations()
        if let node = try reader.node("containerEdits") { edits = try CDIEdits(node) }
        for element in try reader.list("devices") {
            var reader = try CDIReader(element, "a device")
            var device = Device(name: try reader.text("name"), edits: CDIEdits())
            guard CDIName.isDevice(device.name) else { throw element.failure("invalid device name \"\(device.name)\"") }
            device.hasAnnotations = try reader.annotations()
            if let node = try reader.node("containerEdits") { device.edits = try CDIEdits(node) }
            try reader.finish()
            if device.edits.isEmpty { throw element.failure("device \"\(device.name)\" has no containerEdits") }
            if devices.contains(where: { $0.name == device.name }) {
                throw element.failure("device \"\(device.name)\" is there twice")
            }
            devices.append(device)
        }
        try reader.finish()
        if devices.isEmpty { throw node.failure("it has no devices") }
    }

    private func validate() throws(YAMLError) {
        let required = CDIVersion.required(by: self)
        if version < required.version {
            throw YAMLError(
                .invalidValue, cause: "cdiVersion \(version) is too old for \(required.reason): it must be at least \(required.version)")
        }
    }
}

extension YAMLNode {
    /// JSON as what the readers of YAML take. It has no places.
    init(json: JSONValue) {
        switch json {
        case .null: self.init(.null)
        case .bool(let value): self.init(.bool(value), text: "\(value)")
        case .int(let value): self.init(.int(value), text: "\(value)")
        case .uint(let value): self.init(.uint(value), text: "\(value)")
        case .double(let value): self.init(.double(value), text: "\(value)")
        case .string(let value): self.init(.string(value), text: value)
        case .array(let elements): self.init(.sequence(elements.map { YAMLNode(json: $0) }))
        case .object(let members): self.init(.mapping(members.map { Member(key: $0.key, value: YAMLNode(json: $0.value)) }))
        }
    }
}

/// Takes the members of one mapping by name, and refuses what nobody took.
///
/// Names count without their case, as Go's encoding/json has it: the spec's text itself writes `additionalGIDs` and `additionalGids`.
/// A member that is null is as one that is not there.
private struct CDIReader {
    let node: YAMLNode
    let what: String
    private var members: [String: YAMLNode] = [:]

    init(_ node: YAMLNode, _ what: String) throws(YAMLError) {
        guard let mapping = node.mapping else { throw node.failure("\(what) is a mapping, not \(node.kind)") }
        self.node = node
        self.what = what
        for member in mapping {
            guard members.updateValue(member.value, forKey: member.key.lowercased()) == nil else {
                throw YAMLError(.duplicateKey, cause: "duplicate key \"\(member.key)\"", line: member.line, column: member.column)
            }
        }
    }

    mutating func node(_ name: String) throws(YAMLError) -> YAMLNode? {
        guard let value = members.removeValue(forKey: name.lowercased()), !value.isNull else { return nil }
        return value
    }

    mutating func text(_ name: String) throws(YAMLError) -> String {
        guard let value = try node(name) else { return "" }
        return try Self.text(value, name)
    }

    private static func text(_ value: YAMLNode, _ name: String) throws(YAMLError) -> String {
        guard let text = value.scalarText else { throw value.failure("\(name) is a text, not \(value.kind)") }
        return text
    }

    mutating func required(_ name: String) throws(YAMLError) -> String {
        let text = try text(name)
        if text.isEmpty { throw node.failure("\(what) has no \(name)") }
        return text
    }

    /// A path that begins with a slash.
    mutating func path(_ name: String) throws(YAMLError) -> String {
        let text = try required(name)
        guard text.hasPrefix("/") else { throw node.failure("\(name) \"\(text)\" is not an absolute path") }
        return text
    }

    mutating func list(_ name: String) throws(YAMLError) -> [YAMLNode] {
        guard let value = try node(name) else { return [] }
        guard let elements = value.sequence else { throw value.failure("\(name) is a list, not \(value.kind)") }
        return elements
    }

    mutating func texts(_ name: String) throws(YAMLError) -> [String] {
        var result: [String] = []
        for element in try list(name) { result.append(try Self.text(element, name)) }
        return result
    }

    /// `NAME=value`
    mutating func environment(_ name: String) throws(YAMLError) -> [String] {
        let result = try texts(name)
        for text in result where (text.splitOnce("=")?.head ?? "").isEmpty {
            throw node.failure("\(name) has \"\(text)\", which is not NAME=value")
        }
        return result
    }

    mutating func integer<T: FixedWidthInteger>(_ name: String, as type: T.Type = T.self) throws(YAMLError) -> T? {
        guard let value = try node(name) else { return nil }
        guard let number = value.int, let result = T(exactly: number) else {
            throw value.failure("\(name) is not a whole number between \(T.min) and \(T.max)")
        }
        return result
    }

    mutating func flag(_ name: String) throws(YAMLError) -> Bool {
        guard let value = try node(name) else { return false }
        guard let flag = value.bool else { throw value.failure("\(name) is true or false, not \(value.kind)") }
        return flag
    }

    /// They are for those who write and list specifications.
    mutating func annotations() throws(YAMLError) -> Bool {
        guard let value = try node("annotations") else { return false }
        guard let members = value.mapping else { throw value.failure("annotations are a mapping, not \(value.kind)") }
        for member in members { _ = try Self.text(member.value, "an annotation") }
        return !members.isEmpty
    }

    func finish() throws(YAMLError) {
        guard let mapping = node.mapping else { return }
        for member in mapping where members[member.key.lowercased()] != nil {
            throw YAMLError(.invalidValue, cause: "\(what) has no field \"\(member.key)\"", line: member.line, column: member.column)
        }
    }
}

extension CDIEdits {
    fileprivate init(_ node: YAMLNode) throws(YAMLError) {
        var reader = try CDIReader(node, "containerEdits")
        environment = try reader.environment("env")
        for element in try reader.list("deviceNodes") { deviceNodes.append(try DeviceNode(element)) }
        for element in try reader.list("netDevices") { netDevices.append(try NetDevice(element)) }
        for element in try reader.list("mounts") { mounts.append(try Mount(element)) }
        for element in try reader.list("hooks") { hooks.append(try Hook(element)) }
        if let element = try reader.node("intelRdt") { intelRdt = try IntelRdt(element) }
        for element in try reader.list("additionalGids") {
            guard let number = element.int, let gid = UInt32(exactly: number) else {
                throw element.failure("additionalGids has what is no group ID")
            }
            additionalGIDs.append(gid)
        }
        try reader.finish()
        for (index, device) in netDevices.enumerated() {
            let isTaken = netDevices[..<index].contains { $0.hostName == device.hostName || $0.name == device.name }
            if isTaken { throw node.failure("netDevices has \"\(device.hostName)\" or \"\(device.name)\" twice") }
        }
    }
}

extension CDIEdits.DeviceNode {
    fileprivate init(_ node: YAMLNode) throws(YAMLError) {
        var reader = try CDIReader(node, "a device node")
        self.init(path: try reader.path("path"))
        hostPath = try reader.text("hostPath")
        if !hostPath.isEmpty, !hostPath.hasPrefix("/") { throw node.failure("hostPath \"\(hostPath)\" is not an absolute path") }
        type = try reader.text("type")
        guard ["", "b", "c", "u", "p"].contains(type) else { throw node.failure("\"\(type)\" is no type of a device: use b, c, u or p") }
        major = try reader.integer("major") ?? 0
        minor = try reader.integer("minor") ?? 0
        // The kernel has 12 bits for one and 20 for the other.
        guard (0..<1 << 12).contains(major), (0..<1 << 20).contains(minor) else {
            throw node.failure("\(major):\(minor) are no numbers of a device")
        }
        fileMode = try reader.integer("fileMode")
        permissions = try reader.text("permissions")
        guard permissions == "none" || permissions.allSatisfy({ "rwm".contains($0) }) else {
            throw node.failure("invalid permissions \"\(permissions)\": use some of rwm, or none")
        }
        uid = try reader.integer("uid")
        gid = try reader.integer("gid")
        try reader.finish()
    }
}

extension CDIEdits.NetDevice {
    fileprivate init(_ node: YAMLNode) throws(YAMLError) {
        var reader = try CDIReader(node, "a network device")
        self.init(hostName: try reader.required("hostInterfaceName"), name: try reader.required("name"))
        try reader.finish()
    }
}

extension CDIEdits.Mount {
    fileprivate init(_ node: YAMLNode) throws(YAMLError) {
        var reader = try CDIReader(node, "a mount")
        self.init(hostPath: try reader.required("hostPath"), containerPath: try reader.path("containerPath"))
        options = try reader.texts("options")
        type = try reader.text("type")
        try reader.finish()
        if isBind, !hostPath.hasPrefix("/") { throw node.failure("hostPath \"\(hostPath)\" is not an absolute path") }
    }

    /// Without a type and without a word of it in the options too: there is nothing else that it could be.
    var isBind: Bool { options.contains { $0 == "bind" || $0 == "rbind" } || ["", "bind", "none"].contains(type) }
}

extension CDIEdits.Hook {
    fileprivate init(_ node: YAMLNode) throws(YAMLError) {
        var reader = try CDIReader(node, "a hook")
        let name = try reader.required("hookName")
        guard let point = Point(rawValue: name) else {
            throw node.failure("\"\(name)\" is no hook; known: " + Point.allCases.map(\.rawValue).joined(separator: ", "))
        }
        self.init(point: point, path: try reader.path("path"))
        arguments = try reader.texts("args")
        environment = try reader.environment("env")
        timeout = try reader.integer("timeout")
        if let timeout, timeout <= 0 { throw node.failure("the timeout of a hook is greater than zero") }
        try reader.finish()
    }
}

extension CDIEdits.IntelRdt {
    fileprivate init(_ node: YAMLNode) throws(YAMLError) {
        var reader = try CDIReader(node, "intelRdt")
        closID = try reader.text("closID")
        l3CacheSchema = try reader.text("l3CacheSchema")
        memBwSchema = try reader.text("memBwSchema")
        schemata = try reader.texts("schemata")
        enableMonitoring = try reader.flag("enableMonitoring")
        try reader.finish()
        let isName =
            closID == "/" || closID.utf8.count < 4096 && closID != "." && closID != ".." && !closID.contains { $0 == "/" || $0 == "\n" }
        if !isName { throw node.failure("invalid closID \"\(closID)\"") }
    }
}
