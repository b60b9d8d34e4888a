import CLinux
import Glibc
import Linux
import OCI

/// `linux.netDevices`: moves interfaces of the host into the container, under their new names, with their addresses.
///
/// Spec: runtime-spec 1.3 config-linux.md "Network Devices".
enum NetworkDevices {
    private struct Link {
        let name: String
        let newName: String
        let index: UInt32
        /// Bodies of RTM_NEWADDR requests without the interface index.
        let addresses: [(header: [UInt8], attributes: [(type: UInt16, value: [UInt8])])]
        /// `eth%d`: the kernel takes the first number that is free.
        var isTemplate: Bool { newName.utf8.contains(UInt8(ascii: "%")) }
    }

    /// Runs in the creator. The container's namespaces exist; nothing runs in them yet.
    ///
    /// An interface loses its addresses when it changes its namespace, so they are read first and set again inside, by
    /// a child that enters the container's network namespace.
    static func move(_ devices: [String: LinuxNetDevice], into pid: Int32, userNamespace: Bool) throws(RuntimeError) {
        if devices.isEmpty { return }
        try kernel("move network devices") { () throws(SystemError) in
            var netlink = try NetlinkSocket()
            var links: [Link] = []
            // All are found before the first is moved.
            for (name, device) in devices.sorted(by: { $0.key < $1.key }) {
                links.append(try describe(&netlink, name, device.name.isEmpty ? name : device.name))
            }
            for link in links {
                var body = header(index: link.index, up: false)
                body.attribute(19 /* IFLA_NET_NS_PID */, UInt32(bitPattern: pid))
                body.attribute(3 /* IFLA_IFNAME */, link.newName)
                // The kernel fills a template in; by its index we know the interface again.
                if link.isTemplate { body.attribute(49 /* IFLA_NEW_IFINDEX */, link.index) }
                _ = try netlink.request(16 /* RTM_NEWLINK */, flags: 0, body.bytes, "move network device", link.name)
            }
            try configure(links, pid, userNamespace: userNamespace)
        }
    }

    private static func header(index: UInt32, up: Bool) -> NetlinkBytes {
        var body = NetlinkBytes()  // struct ifinfomsg
        body.append(UInt32(0))
        body.append(index)
        body.append(UInt32(up ? 1 : 0))
        body.append(UInt32(up ? 1 : 0))
        return body
    }

    private static func describe(
        _ netlink: inout NetlinkSocket, _ name: String, _ newName: String
    ) throws(SystemError) -> Link {
        for text in [name, newName] where text.utf8.count > 15 || text.utf8.contains(UInt8(ascii: "/")) {
            throw SystemError(.invalid, "name network device", text)
        }
        var query = header(index: 0, up: false)
        query.attribute(3, name)
        let found = try netlink.request(18 /* RTM_GETLINK */, flags: 0, query.bytes, "find network device", name)
        guard let link = found.first else { throw SystemError(.noDevice, "find network device", name) }
        let index = NetlinkBytes.read(link, 4, UInt32.self)
        var all = NetlinkBytes()  // struct ifaddrmsg: family, prefix length, flags, scope, index
        all.append(UInt32(0))
        all.append(UInt32(0))
        let addresses = try netlink.request(22 /* RTM_GETADDR */, flags: 0x300 /* NLM_F_DUMP */, all.bytes, "list addresses of", name)
        let own = addresses.filter { NetlinkBytes.read($0, 4, UInt32.self) == index && $0.count >= 8 && $0[3] != 253 }
        return Link(
            name: name, newName: newName, index: index,
            addresses: own.map { address in
                // Local, address, broadcast, label and flags; the cache information is the kernel's to make anew.
                (Array(address[0..<4]), NetlinkBytes.attributes(address, after: 8).filter { [1, 2, 4].contains($0.type) })
            })
    }

    private static func configure(_ links: [Link], _ pid: Int32, userNamespace: Bool) throws(SystemError) {
        let target = try openProcess(pid)
        let pipe = try makePipe().take()
        let reader = OwnedFD(owning: pipe.first)
        let child = try check(cl_clone3(0, UInt64(SIGCHLD), nil, -1), "clone")
        if child == 0 {
            var code: Int32 = 0
            do throws(SystemError) {
                try check(cl_setns(target.raw, 0x4000_0000 | (userNamespace ? 0x1000_0000 : 0)), "enter network namespace")
                try raise(links)
            } catch {
                code = error.errno.rawValue
            }
            _ = withUnsafeBytes(of: &code) { cl_write(pipe.second, $0.baseAddress, 4) }
            _exit(0)
        }
        _ = cl_close(pipe.second)
        let answer = try reader.fd.readAll(limit: 16)
        _ = try waitForProcess(child)
        let code = NetlinkBytes.read(answer, 0, Int32.self)
        if answer.count != 4 || code != 0 {
            throw SystemError(Errno(rawValue: code == 0 ? EIO : code), "configure network device", links.first?.newName)
        }
    }

    private static func raise(_ links: [Link]) throws(SystemError) {
        var netlink = try NetlinkSocket()
        for link in links {
            var query = header(index: link.isTemplate ? link.index : 0, up: false)
            if !link.isTemplate { query.attribute(3, link.newName) }
            let found = try netlink.request(18, flags: 0, query.bytes, "find network device", link.newName)
            let index = found.first.map { NetlinkBytes.read($0, 4, UInt32.self) } ?? 0
            for address in link.addresses {
                var body = NetlinkBytes()
                body.bytes = address.header
                body.append(index)
                for attribute in address.attributes { body.attribute(attribute.type, attribute.value) }
                _ = try netlink.request(
                    20 /* RTM_NEWADDR */, flags: 0x600 /* CREATE | EXCL */, body.bytes, "add address to", link.newName)
            }
            _ = try netlink.request(16, flags: 0, header(index: index, up: true).bytes, "raise network device", link.newName)
        }
    }
}
