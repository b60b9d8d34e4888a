import JSON

/// Devices that somebody else than this engine knows how to give: Docker's `DeviceRequest`. `--device vendor.com/class=name` and
/// `--gpus` are such requests.
///
/// What is kept is what was asked for; which CDI devices that are is found at each start.
public struct DriverDeviceRequest: Hashable, Sendable {
    /// `cdi` for names of CDI devices; `nvidia`, `amd`; empty: whoever has the capabilities.
    public var driver = ""
    /// -1: all.
    public var count: Int64 = 0
    public var deviceIDs: [String] = []
    /// Any of these lists, of which all.
    public var capabilities: [[String]] = []
    public var options: [String: String] = [:]

    public init() {}

    /// Devices by their CDI names.
    public static func cdi(_ names: [CDIName]) -> DriverDeviceRequest {
        var request = DriverDeviceRequest()
        request.driver = "cdi"
        request.deviceIDs = names.map(\.description)
        return request
    }

    /// `--gpus`: `all`, a number, or fields as `device=0`, `"device=0,1"`, `driver=`, `count=`, `capabilities=`, `options=`.
    ///
    /// - Throws: Docker's sentences.
    public init(gpus text: String) throws(EngineError) {
        var seen: Set<String> = []
        for field in try CommaSeparated.fields(text) {
            let parts = field.splitOnce("=")
            let key = String(parts?.head ?? field[...])
            guard seen.insert(key).inserted else { throw .invalid("gpu request key '\(key)' can be specified only once") }
            guard let value = parts.map({ String($0.tail) }) else {
                seen.insert("count")
                count = try Self.count(key)
                continue
            }
            switch key {
            case "driver": driver = value
            case "count": count = try Self.count(value)
            case "device": deviceIDs = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            case "capabilities":
                capabilities = [value.split(separator: ",", omittingEmptySubsequences: false).map(String.init) + ["gpu"]]
            case "options":
                for option in try CommaSeparated.fields(value) {
                    let pair = option.splitOnce("=")
                    options[String(pair?.head ?? option[...])] = String(pair?.tail ?? "")
                }
            default: throw .invalid("unexpected key '\(key)' in '\(field)'")
            }
        }
        if !seen.contains("count"), deviceIDs.isEmpty { count = 1 }
        if capabilities.isEmpty { capabilities = [["gpu"]] }
    }

    private static func count(_ text: String) throws(EngineError) -> Int64 {
        if text == "all" { return -1 }
        if let number = Int64(text) { return number }
        throw .invalid("invalid count (\(text)): value must be either \"all\" or an integer: invalid syntax")
    }
}

// MARK: As CDI devices

extension DriverDeviceRequest {
    /// More than any machine has; a count is a list of so many names.
    private static let mostDevices: Int64 = 4096

    /// The CDI devices that are meant, as dockerd and podman find them: an ID is the name of a device of the vendor's kind `gpu`, the
    /// number N means the devices 0 to N-1.
    ///
    /// - Throws: Docker's sentence where nobody has such devices.
    func names(in registry: CDIRegistry) throws(EngineError) -> [CDIName] {
        if driver == "cdi" {
            if count != 0 { throw .invalid("unexpected count in CDI device request") }
            if !options.isEmpty { throw .invalid("unexpected options in CDI device request") }
            var names: [CDIName] = []
            for id in deviceIDs { names.append(try Self.name(id)) }
            return names
        }
        let kind = try kind(in: registry)
        if count != 0, !deviceIDs.isEmpty { throw .invalid("cannot set both Count and DeviceIDs on device request") }
        if count > Self.mostDevices { throw .invalid("invalid count (\(count)): there are no more than \(Self.mostDevices) devices") }
        let ids = !deviceIDs.isEmpty ? deviceIDs : count < 0 ? ["all"] : (0..<count).map { "\($0)" }
        var names: [CDIName] = []
        for id in ids { names.append(try Self.name(id.contains("=") ? id : "\(kind)=\(id)")) }
        return names
    }

    private static func name(_ text: String) throws(EngineError) -> CDIName {
        guard let name = CDIName(text) else { throw .invalid("invalid CDI device name \"\(text)\": use vendor.com/class=name") }
        return name
    }

    /// By driver, with what it calls itself: the vendor's kind of GPUs and the capabilities that one may ask for. Of several the first.
    private static let vendors: [(drivers: [String], kind: String, capabilities: Set<String>)] = [
        (
            ["nvidia", "nvidia.cdi"], "nvidia.com/gpu",
            ["gpu", "nvidia", "compute", "compat32", "graphics", "utility", "video", "display"]
        ),
        (["amd"], "amd.com/gpu", ["gpu", "amd"]),
    ]

    private func kind(in registry: CDIRegistry) throws(EngineError) -> String {
        var lacking: [String] = []
        for vendor in Self.vendors {
            // Who names a driver gets it, whatever the capabilities: Docker's rule.
            let isMeant =
                driver.isEmpty ? capabilities.contains { vendor.capabilities.isSuperset(of: $0) } : vendor.drivers.contains(driver)
            if !isMeant { continue }
            if registry.has(kind: vendor.kind) { return vendor.kind }
            lacking.append(vendor.kind)
        }
        let lists = capabilities.map { "[" + $0.joined(separator: " ") + "]" }.joined(separator: " ")
        var text = "could not select device driver \"\(driver)\" with capabilities: [\(lists)]"
        if !lacking.isEmpty {
            text += ": no CDI specification of \(lacking.joined(separator: " or ")) in \(registry.directories.joined(separator: ", "))"
            if lacking.contains("nvidia.com/gpu") { text += "; for NVIDIA type: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml" }
            if !registry.failures.isEmpty { text += "; not read: " + registry.failures.joined(separator: "; ") }
        }
        throw EngineError(.invalid, sentence: text)
    }
}

// MARK: As it is kept, and as Docker shows it

extension DriverDeviceRequest {
    /// Docker's layout: of `inspect`, and of the definition in the database.
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("Driver", driver)
            w.field("Count", count)
            if deviceIDs.isEmpty { w.nullField("DeviceIDs") } else { w.field("DeviceIDs", deviceIDs) }
            if capabilities.isEmpty {
                w.nullField("Capabilities")
            } else {
                w.array("Capabilities", capabilities) { w, list in w.value(list) }
            }
            if driver == "cdi" { w.nullField("Options") } else { w.field("Options", options) }
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "Driver": driver = try parser.string()
            case "Count": count = try parser.int()
            case "DeviceIDs": deviceIDs = try parser.strings()
            case "Capabilities":
                capabilities = try parser.array { (parser: inout JSONParser) throws(JSONError) in try parser.strings() }
            case "Options": options = try parser.stringDictionary()
            default: try parser.skip()
            }
        }
    }
}
