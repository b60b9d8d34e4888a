import CLinux
import Control
import Glibc
import Linux

/// Hands a container's lines to the host's system log or its journal.
///
/// Formats: RFC 3164, RFC 5424; systemd's "Native Journal Protocol". One thread.
final class LogForwarder {
    /// Where journald listens.
    static let journal = "/run/systemd/journal/socket"
    /// Where a system log listens on this host, in this order.
    static let localSockets = ["/dev/log", "/var/run/syslog", "/var/run/log"]

    private let configuration: LogConfiguration
    private let receiver: LogReceiver
    private let hostName: String
    /// What each entry of the journal begins with.
    private var fields: [UInt8] = []

    /// - Parameter makeSocket: for the internet's addresses; sockets of the host's network namespace.
    /// - Throws: Docker's sentence when nobody listens.
    init(
        _ config: SupervisionConfig, _ loop: EventLoop,
        makeSocket: @escaping (SocketKind, _ isIPv6: Bool) throws(SystemError) -> SharedFD
    ) throws(LaunchFailure) {
        configuration = config.log
        hostName = LogForwarder.readHostName()
        let options = config.log.syslog
        let isJournal = config.log.driver == .journald
        let connect: LogReceiver.Connect = { () throws(SystemError) in
            if isJournal { return SharedFD(try connectLocal(LogForwarder.journal, kind: .datagram, waits: false)) }
            return try LogForwarder.connect(options, makeSocket)
        }
        // A local socket of the host's may be either; connections are told apart by what they were asked for.
        let isStream = !isJournal && (options.transport == .tcp || options.transport == .unix)
        receiver = LogReceiver(loop, isStream: isStream, capacity: Int(clamping: config.log.bufferSize), connect)
        if isJournal { fields = LogForwarder.fields(config) }
        receiver.describeLoss = { [unowned self] count in
            encode(.error, Array("berth: \(count) log messages were dropped".utf8)[...], isPartial: false, time: wallClockNanoseconds())
        }
        do throws(SystemError) { try receiver.open() } catch {
            let cause: String
            switch config.log.driver {
            case .journald: cause = "journald is not enabled on this host"
            default: cause = options.transport == .local ? "Unix syslog delivery error" : error.description
            }
            throw LaunchFailure("failed to initialize logging driver: \(cause)")
        }
    }

    func send(_ stream: LogRecord.Stream, _ text: ArraySlice<UInt8>, isPartial: Bool, time: Int64) {
        // Docker: nothing is made of an empty line.
        if text.isEmpty { return }
        receiver.send(encode(stream, text, isPartial: isPartial, time: time))
    }

    func finish() { receiver.finish() }

    private func encode(_ stream: LogRecord.Stream, _ text: ArraySlice<UInt8>, isPartial: Bool, time: Int64) -> [UInt8] {
        configuration.driver == .journald
            ? journalEntry(stream, text, isPartial: isPartial, time: time) : syslogMessage(stream, text, time: time)
    }

    // MARK: syslog

    private static func connect(
        _ options: SyslogOptions, _ makeSocket: (SocketKind, Bool) throws(SystemError) -> SharedFD
    ) throws(SystemError) -> SharedFD {
        switch options.transport {
        case .local:
            for path in localSockets {
                if let made = try? connectLocal(path, kind: .datagram, waits: false) { return SharedFD(made) }
            }
            throw SystemError(.noEntry, "connect", "/dev/log")
        case .unix: return SharedFD(try connectLocal(options.address, kind: .stream, waits: false))
        case .unixgram: return SharedFD(try connectLocal(options.address, kind: .datagram, waits: false))
        case .udp, .tcp:
            guard let endpoint = InternetEndpoint(options.address, defaultPort: 514) else {
                throw SystemError(.invalid, "connect", options.address)
            }
            let made = try makeSocket(options.transport == .tcp ? .stream : .datagram, endpoint.isIPv6)
            do throws(SystemError) { try made.fd.connect(to: endpoint) } catch {
                if error.errno != .inProgress { throw error }
            }
            return made
        }
    }

    /// One line: control characters of the text stay as they are, but an end of line ends the message.
    private func syslogMessage(_ stream: LogRecord.Stream, _ text: ArraySlice<UInt8>, time: Int64) -> [UInt8] {
        // Severity: informational, or error.
        let priority = Int(configuration.syslog.facility) * 8 + (stream == .output ? 6 : 3)
        let (tag, pid) = (configuration.tag, getpid())
        var head: String
        switch configuration.syslog.format {
        case .unix: head = "<\(priority)>\(LogForwarder.stamp(time)) \(tag)[\(pid)]: "
        case .rfc3164: head = "<\(priority)>\(LogForwarder.stamp(time)) \(hostName) \(tag)[\(pid)]: "
        case .rfc5424, .rfc5424micro:
            let digits = configuration.syslog.format == .rfc5424 ? 19 : 26
            let stamp = TimeText.string(time).prefix(digits) + "Z"
            head = "<\(priority)>1 \(stamp) \(hostName) \(tag) \(pid) \(tag) - "
        }
        return Array(head.utf8) + text + [UInt8(ascii: "\n")]
    }

    /// `Jan  2 15:04:05`, in UTC: supervisors read no zone files.
    private static func stamp(_ time: Int64) -> String {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let text = Array(TimeText.string(time).utf8)
        let month = Int(text[5] &- 48) * 10 + Int(text[6] &- 48)
        let name = months.indices.contains(month - 1) ? months[month - 1] : "Jan"
        let day = text[8] == UInt8(ascii: "0") ? [UInt8(ascii: " "), text[9]] : [text[8], text[9]]
        return "\(name) \(String(decoding: day, as: UTF8.self)) \(String(decoding: text[11..<19], as: UTF8.self))"
    }

    private static func readHostName() -> String {
        let text = (try? FD.cwd.readText("/proc/sys/kernel/hostname", limit: 256)) ?? ""
        let name = text.filter { !$0.isWhitespace }
        return name.isEmpty ? "-" : name
    }

    // MARK: Journal

    private func journalEntry(_ stream: LogRecord.Stream, _ text: ArraySlice<UInt8>, isPartial: Bool, time: Int64) -> [UInt8] {
        var bytes = fields
        LogForwarder.add("PRIORITY", Array((stream == .output ? "6" : "3").utf8)[...], to: &bytes)
        LogForwarder.add("SYSLOG_TIMESTAMP", Array(TimeText.string(time).utf8)[...], to: &bytes)
        if isPartial { LogForwarder.add("CONTAINER_PARTIAL_MESSAGE", Array("true".utf8)[...], to: &bytes) }
        LogForwarder.add("MESSAGE", text, to: &bytes)
        return bytes
    }

    /// Docker's fields, and a field for each label or variable that was chosen.
    private static func fields(_ config: SupervisionConfig) -> [UInt8] {
        var pairs = [
            ("CONTAINER_ID", String(config.id.prefix(12))), ("CONTAINER_ID_FULL", config.id), ("CONTAINER_NAME", config.name),
            ("CONTAINER_TAG", config.log.tag), ("IMAGE_NAME", config.image), ("SYSLOG_IDENTIFIER", config.log.tag),
        ]
        for (key, value) in config.log.attributes.sorted(by: { $0.key < $1.key }) where key != "tag" {
            pairs.append((fieldName(key), value))
        }
        var bytes: [UInt8] = []
        for (name, value) in pairs where !name.isEmpty { add(name, Array(value.utf8)[...], to: &bytes) }
        return bytes
    }

    /// A name that the journal takes: capitals, digits and underscores, no underscore first (those are the journal's own).
    private static func fieldName(_ text: String) -> String {
        let mapped = text.utf8.prefix(64).map { (byte: UInt8) -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 32
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
            default: UInt8(ascii: "_")
            }
        }
        let trimmed = mapped.drop { $0 == UInt8(ascii: "_") || $0 < UInt8(ascii: "A") }
        return String(decoding: trimmed, as: UTF8.self)
    }

    /// With the length before it, so that no value can add fields: a text with an end of line would begin another.
    private static func add(_ name: String, _ value: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
        bytes += Array(name.utf8) + [UInt8(ascii: "\n")]
        var length = UInt64(value.count)
        for _ in 0..<8 {
            bytes.append(UInt8(truncatingIfNeeded: length))
            length >>= 8
        }
        bytes += value
        bytes.append(UInt8(ascii: "\n"))
    }
}
