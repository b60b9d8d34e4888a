/// What CRIU is asked for: `criu_opts` of its images/rpc.proto, as far as containers need it.
struct CriuOptions {
    /// A descriptor of this process, which CRIU opens by `/proc`.
    var images: Int32 = -1
    /// For the log and the statistics; -1: in the images' directory.
    var work: Int32 = -1
    /// Of a dump: the first process.
    var pid: Int32 = 0
    var logFile = ""
    /// Of a restore: the mount point that becomes the root.
    var root = ""
    /// Relative to the images' directory: an earlier dump, whose memory is not written again.
    var parent = ""
    var tracksMemory = false
    var leavesRunning = false
    var externalUnixSockets = false
    var establishedConnections = false
    var closesConnections = false
    var skipsInFlight = false
    var isShellJob = false
    var fileLocks = false
    var remapsLinks = false
    var deduplicates = false
    var lazyPages = false
    var statusDescriptor: Int32 = -1
    /// CLONE_NEW* bits of namespaces that are restored empty.
    var emptyNamespaces: UInt32 = 0
    var freezer = ""
    var cgroupMode = CgroupMode.ignore
    var networkLock: NetworkLock?
    var labelProfile = ""
    var labelMountContext = ""
    var pageServer: (address: String, port: Int32)?
    /// `mnt[…]:…`, `net[…]:…`
    var external: [String] = []
    /// Descriptors that CRIU has, for what is restored by them.
    var inherited: [(key: String, descriptor: Int32)] = []
    /// Files may have other permissions than they had.
    var allowsOtherModes = false
    /// The restored process becomes a child of CRIU's parent.
    var restoresSibling = false

    /// `criu_cg_mode`.
    enum CgroupMode: Int32 {
        case ignore = 0
        case none = 1
        case properties = 2
        case soft = 3
        case full = 4
        case strict = 5
    }

    /// `criu_network_lock_method`: how packets are kept from connections that are being written down.
    enum NetworkLock: Int32 {
        case iptables = 1
        case nftables = 2
        case skip = 3
    }

    var encoded: [UInt8] {
        var w = ProtobufWriter()
        w.field(1, images)
        if pid > 0 { w.field(2, pid) }
        w.field(3, leavesRunning)
        w.field(4, externalUnixSockets)
        w.field(5, establishedConnections)
        w.field(7, isShellJob)
        w.field(8, fileLocks)
        w.field(9, Int32(4))  // log_level: all that CRIU has to say
        w.field(10, logFile)
        if let pageServer {
            var server = ProtobufWriter()
            server.field(1, pageServer.address)
            server.field(2, pageServer.port)
            w.field(11, server.bytes)
        }
        w.field(12, true)  // notify_scripts
        w.field(13, root)
        w.field(14, parent)
        w.field(15, tracksMemory)
        w.field(16, deduplicates)
        if work >= 0 { w.field(17, work) }
        w.field(18, remapsLinks)
        w.field(26, restoresSibling)
        for (key, descriptor) in inherited {
            var entry = ProtobufWriter()
            entry.field(1, key)
            entry.field(2, descriptor)
            w.field(27, entry.bytes)
        }
        // Mounts that are slaves of the host's, or were shared with it.
        w.field(29, true)
        w.field(30, true)
        w.field(34, cgroupMode.rawValue)
        // ghost_limit: files that are open and have no name any more are part of the images up to this size.
        w.field(35, UInt64(256 << 20))
        for text in external { w.field(37, text) }
        if emptyNamespaces != 0 { w.field(38, UInt64(emptyNamespaces)) }
        w.field(44, freezer)
        w.field(46, skipsInFlight)
        w.field(48, lazyPages)
        if statusDescriptor >= 0 { w.field(49, statusDescriptor) }
        w.field(50, true)  // orphan_pts_master
        w.field(52, closesConnections)
        w.field(53, labelProfile)
        w.field(63, labelMountContext)
        if let networkLock { w.field(64, networkLock.rawValue) }
        w.field(66, allowsOtherModes)
        return w.bytes
    }
}

/// A message to CRIU: `criu_req`.
struct CriuRequest {
    enum Kind: UInt64 {
        case dump = 1
        case restore = 2
        case preDump = 4
        case notify = 6
    }

    var kind: Kind
    var options: CriuOptions?
    /// The answer to a notification.
    var succeeded: Bool?

    var encoded: [UInt8] {
        var w = ProtobufWriter()
        w.field(1, kind.rawValue)
        if let options { w.field(2, options.encoded) }
        // Not left out where it is false: without the field CRIU takes it for a failure of the protocol.
        if let succeeded { w.field(3, UInt64(succeeded ? 1 : 0)) }
        return w.bytes
    }
}

/// A message of CRIU's: `criu_resp`.
struct CriuResponse {
    var kind: UInt64 = 0
    var succeeded = false
    /// What is being done, of a notification; empty of a result.
    var script = ""
    /// Of the restored first process.
    var pid: Int32 = 0
    /// `cr_errno` and `cr_errmsg`: what kept CRIU from it, where it knows.
    var errorNumber: Int32 = 0
    var errorText = ""

    /// - Returns: nil for what is no such message.
    init?(_ bytes: [UInt8]) {
        var reader = ProtobufReader(bytes)
        var (hasKind, hasSuccess) = (false, false)
        while let (number, value) = reader.next() {
            switch (number, value) {
            case (1, .number(let value)): (kind, hasKind) = (value, true)
            case (2, .number(let value)): (succeeded, hasSuccess) = (value != 0, true)
            case (4, .bytes(let inner)): readRestored(inner)
            case (5, .bytes(let inner)): readNotification(inner)
            case (7, .number(let value)): errorNumber = Int32(truncatingIfNeeded: value)
            case (9, .bytes(let text)): errorText = String(decoding: text, as: UTF8.self)
            default: continue
            }
        }
        if reader.isCorrupt || !hasKind || !hasSuccess { return nil }
    }

    private mutating func readRestored(_ bytes: [UInt8]) {
        var reader = ProtobufReader(bytes)
        while let (number, value) = reader.next() {
            if case (1, .number(let value)) = (number, value) { pid = Int32(truncatingIfNeeded: value) }
        }
    }

    private mutating func readNotification(_ bytes: [UInt8]) {
        var reader = ProtobufReader(bytes)
        while let (number, value) = reader.next() {
            switch (number, value) {
            case (1, .bytes(let text)): script = String(decoding: text, as: UTF8.self)
            case (2, .number(let value)): pid = Int32(truncatingIfNeeded: value)
            default: continue
            }
        }
    }
}
