import JSON
import Store

/// What was asked of one connection: kept beside its addresses.
struct EndpointDefinition: Hashable {
    /// The network's name when the connection was made; networks are not renamed.
    var network = ""
    var aliases: [String] = []
    var links: [String] = []
    var driverOptions: [String: String] = [:]
    var gatewayPriority = 0
    /// Addresses that were asked for; the others may change when the network is made anew.
    var ipv4 = ""
    var ipv6 = ""
    /// Further ones, that the database does not lease.
    var linkLocal: [String] = []

    init() {}

    init(_ attachment: NetworkAttachment, network: String) {
        self.network = network
        aliases = attachment.aliases
        links = attachment.links
        driverOptions = attachment.driverOptions
        gatewayPriority = attachment.gatewayPriority
        ipv4 = attachment.ipv4?.description ?? ""
        ipv6 = attachment.ipv6?.description ?? ""
        linkLocal = attachment.linkLocal.map(\.description)
    }

    func encode() -> [UInt8] {
        JSONWriter.document { writer in
            writer.object { w in
                w.field("network", network)
                w.fieldIfNotEmpty("aliases", aliases)
                w.fieldIfNotEmpty("links", links)
                w.fieldIfNotEmpty("driverOptions", driverOptions)
                w.fieldIfNotZero("gatewayPriority", gatewayPriority)
                w.fieldIfNotEmpty("ipv4", ipv4)
                w.fieldIfNotEmpty("ipv6", ipv6)
                w.fieldIfNotEmpty("linkLocal", linkLocal)
            }
        }
    }

    init(decoding bytes: [UInt8]) throws(EngineError) {
        do throws(JSONError) {
            self = try JSONParser.parse(bytes) { (parser: inout JSONParser) throws(JSONError) in
                try EndpointDefinition(json: &parser)
            }
        } catch {
            throw EngineError(.system, "read connection of container", cause: error.description)
        }
    }

    private init(json parser: inout JSONParser) throws(JSONError) {
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "network": network = try parser.string()
            case "aliases": aliases = try parser.strings()
            case "links": links = try parser.strings()
            case "driverOptions": driverOptions = try parser.stringDictionary()
            case "gatewayPriority": gatewayPriority = try parser.int()
            case "ipv4": ipv4 = try parser.string()
            case "ipv6": ipv6 = try parser.string()
            case "linkLocal": linkLocal = try parser.strings()
            default: try parser.skip()  // of a newer version
            }
        }
    }
}

extension EndpointDefinition {
    /// What the device is called inside of the container.
    ///
    /// - Parameter prefix: before its number, where nobody named it.
    func interface(_ record: EndpointRecord, prefix: String) -> String {
        driverOptions[NetworkAttachment.interfaceOption] ?? prefix + "\(record.position)"
    }
}

extension Engine {
    /// - Throws: Docker's sentences for what its default network cannot do, where a container is to be as Docker's are.
    func refuseAsDocker(
        _ container: ContainerDefinition, _ attachment: NetworkAttachment, _ network: NetworkDefinition
    ) throws(EngineError) {
        guard container.isDockerCompatible, network.name == PredefinedNetwork.bridge.rawValue else { return }
        if attachment.ipv4 != nil || attachment.ipv6 != nil {
            throw .invalid("user specified IP address is supported on user defined networks only")
        }
        if !attachment.aliases.isEmpty {
            throw .invalid("network-scoped alias is supported only for containers in user defined networks")
        }
    }
}
