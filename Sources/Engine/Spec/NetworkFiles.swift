import Linux

/// The files every container gets from the engine: /etc/hostname, /etc/hosts, /etc/resolv.conf.
///
/// They live in the container's directory and are bound over the image's, so that nothing is ever written through a
/// link of the image (CVE-2024-9341 class): the runtime resolves the targets inside the rootfs.
struct NetworkFiles {
    static let targets = ["hostname": "/etc/hostname", "hosts": "/etc/hosts", "resolv.conf": "/etc/resolv.conf"]

    /// Writes them; not durable, `start` makes them again when they are missing.
    ///
    /// - Parameter directory: the container's directory, open.
    static func write(_ definition: ContainerDefinition, in directory: FD) throws(SystemError) {
        let name = definition.uts == .host ? hostName() : definition.hostname
        try directory.writeFile("hostname", Array((name + "\n").utf8), mode: 0o644)
        try directory.writeFile("hosts", Array(hosts(definition, name).utf8), mode: 0o644)
        try directory.writeFile("resolv.conf", resolver(definition), mode: 0o644)
    }

    private static func hosts(_ definition: ContainerDefinition, _ name: String) -> String {
        if definition.network == .host, let text = try? FD.cwd.readText("/etc/hosts") { return text }
        var text = """
            127.0.0.1\tlocalhost
            ::1\tlocalhost ip6-localhost ip6-loopback
            fe00::\tip6-localnet
            ff00::\tip6-mcastprefix
            ff02::1\tip6-allnodes
            ff02::2\tip6-allrouters

            """
        // With only loopback the container's own name resolves to it, so that programs which look themselves up work.
        let full = definition.domainname.isEmpty ? "" : "\(name).\(definition.domainname) "
        text += "127.0.0.1\t\(full)\(name)\n"
        return text
    }

    private static func resolver(_ definition: ContainerDefinition) -> [UInt8] {
        guard definition.network == .host, let file = try? FD.cwd.open("/etc/resolv.conf", .readOnly),
            let bytes = try? file.fd.readAll(limit: 1 << 20)
        else { return [] }
        return bytes
    }

    static func hostName() -> String {
        let text = (try? FD.cwd.readText("/proc/sys/kernel/hostname", limit: 256)) ?? ""
        return String(text.prefix { $0 != "\n" })
    }
}
