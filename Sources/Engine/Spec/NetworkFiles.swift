import Linux
import Networks

/// The files every container gets from the engine: /etc/hostname, /etc/hosts, /etc/resolv.conf.
///
/// They live in the container's directory and are bound over the image's, so that nothing is ever written through a
/// link of the image (CVE-2024-9341 class): the runtime resolves the targets inside the rootfs. A mount of the user at the
/// same place goes before them.
struct NetworkFiles {
    static let targets = ["hostname": "/etc/hostname", "hosts": "/etc/hosts", "resolv.conf": "/etc/resolv.conf"]
    /// Where the supervisor answers.
    static let resolverAddress = "127.0.0.11"

    let definition: ContainerDefinition
    /// Nil without connections.
    let network: NetworkPlanner?

    /// Writes them; not durable, `start` makes them again when they are missing.
    ///
    /// - Parameter directory: the container's directory, open.
    func write(in directory: FD) throws(SystemError) {
        let name = definition.uts == .host ? NetworkFiles.hostName() : definition.hostname
        try directory.writeFile("hostname", Array((name + "\n").utf8), mode: 0o644)
        try directory.writeFile("hosts", Array(hosts(name).utf8), mode: 0o644)
        try directory.writeFile("resolv.conf", Array(resolver().utf8), mode: 0o644)
    }

    /// What changes with the connections of a container that runs: written into the files that are bound there.
    func rewrite(in directory: FD) throws(SystemError) {
        for (name, text) in [
            ("hosts", hosts(definition.uts == .host ? NetworkFiles.hostName() : definition.hostname)), ("resolv.conf", resolver()),
        ] {
            let file = try directory.open(name, [.writeOnly, .truncate, .noFollow])
            try file.fd.writeAll(text)
        }
    }

    func hosts(_ name: String) -> String {
        if definition.network == .host, let text = try? FD.cwd.readText("/etc/hosts") {
            return (text.isEmpty || text.hasSuffix("\n") ? text : text + "\n") + extraHosts(gateways: ["127.0.0.1"])
        }
        var text = """
            127.0.0.1\tlocalhost
            ::1\tlocalhost ip6-localhost ip6-loopback
            fe00::\tip6-localnet
            ff00::\tip6-mcastprefix
            ff02::1\tip6-allnodes
            ff02::2\tip6-allrouters

            """
        text += extraHosts(gateways: network?.gateways.map(\.description) ?? [])
        for link in network?.links ?? [] { for address in link.addresses { text += "\(address)\t\(link.name)\n" } }
        let full = definition.domainname.isEmpty ? "" : "\(name).\(definition.domainname) "
        let addresses = (network?.endpoints ?? []).flatMap { [$0.record.ipv4, $0.record.ipv6].compactMap { $0?.description } }
        // With only loopback the container's own name resolves to it, so that programs which look themselves up work.
        for address in addresses.isEmpty ? ["127.0.0.1"] : addresses { text += "\(address)\t\(full)\(name)\n" }
        return text
    }

    private func extraHosts(gateways: [String]) -> String {
        var text = ""
        for entry in definition.extraHosts {
            guard let (name, address) = entry.splitOnce(":") else { continue }
            for address in address == ExtraHostOption.gateway ? gateways : [String(address)] { text += "\(address)\t\(name)\n" }
        }
        return text
    }

    func resolver() -> String {
        let isAsked = !definition.dns.isEmpty || !definition.dnsSearch.isEmpty || !definition.dnsOptions.isEmpty
        let isConnected = !(network?.endpoints.isEmpty ?? true)
        if !isConnected, !isAsked {
            return definition.network == .host ? (try? FD.cwd.readText("/etc/resolv.conf", limit: 1 << 20)) ?? "" : ""
        }
        let host = network?.resolver ?? HostResolver.read()
        let isOutside = definition.network == .host || isConnected
        var servers = definition.dns.isEmpty && definition.network == .host ? host.servers : definition.dns
        var search = definition.dnsSearch.isEmpty && isOutside ? host.search : definition.dnsSearch
        var options = definition.dnsOptions.isEmpty && isOutside ? host.options : definition.dnsOptions
        if let network, isConnected, !network.isResolved {
            if servers.isEmpty { servers = network.reachableServers }
        } else if isConnected {
            servers = [NetworkFiles.resolverAddress]
            // Names of containers have no dot, and are asked for before any domain is put behind them.
            if !options.contains(where: { $0.hasPrefix("ndots:") }) { options.append("ndots:0") }
        }
        if search.contains(".") { search = [] }
        var text = servers.map { "nameserver \($0)\n" }.joined()
        if !search.isEmpty { text += "search \(search.joined(separator: " "))\n" }
        if !options.isEmpty { text += "options \(options.joined(separator: " "))\n" }
        return text
    }

    static func hostName() -> String {
        let text = (try? FD.cwd.readText("/proc/sys/kernel/hostname", limit: 256)) ?? ""
        return String(text.prefix { $0 != "\n" })
    }
}
