import Control
import Linux

/// `--log-driver` and `--log-opt`.
public struct LogRequest: Hashable, Sendable {
    /// As asked. `local`, `k8s-file` and `cri` mean the same file here; `none` means no file, `passthrough` and `passthrough-tty` the
    /// streams of who starts it.
    public var driver = "cri"
    /// Bytes of one file; 0 for no limit.
    public var maximumSize: Int64 = 20 << 20
    public var maximumFiles: Int64 = 5
    public var options: [String: String] = [:]

    public init() {}

    /// Whether the container's streams are those of who starts it.
    public var passesThrough: Bool { driver == "passthrough" || driver == "passthrough-tty" }

    private static let files: Set<String> = ["max-size", "max-file", "compress"]
    private static let chosen: Set<String> = ["labels", "env", "tag"]
    private static let caches: Set<String> = ["cache-disabled", "cache-max-size", "cache-max-file"]
    private static let general: Set<String> = ["mode", "max-buffer-size"]
    /// Real, and not here.
    private static let refused: Set<String> = [
        "labels-regex", "env-regex", "path", "syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify",
        "cache-compress",
    ]

    private static func options(of driver: String) -> Set<String> {
        switch driver {
        case "local": files.union(general)
        case "syslog": chosen.union(caches).union(general).union(["syslog-address", "syslog-facility", "syslog-format"])
        case "journald": chosen.union(caches).union(general)
        default: files.union(chosen).union(general)
        }
    }

    /// - Throws: Docker's sentences.
    public init(driver: String, options: [String]) throws(EngineError) {
        switch driver {
        case "": break
        case "cri", "json-file", "local", "k8s-file", "none", "syslog", "journald", "passthrough", "passthrough-tty": self.driver = driver
        case "gelf", "fluentd", "awslogs", "splunk", "gcplogs", "logentries", "etwlogs":
            throw .notSupported("--log-driver \(driver): use cri, json-file, local, syslog, journald, passthrough or none")
        default: throw .invalid("logger: no log driver named '\(driver)' is registered")
        }
        for option in options {
            guard let (key, value) = option.splitOnce("="), !key.isEmpty else {
                throw .invalid("invalid logging opt format: \(option): use KEY=VALUE")
            }
            if self.driver == "none" || passesThrough { throw .invalid("invalid logging opts for driver \(driver)") }
            try apply(String(key), String(value))
            self.options[String(key)] = String(value)
        }
        if self.options["max-buffer-size"] != nil, self.options["mode"] != "non-blocking" {
            throw .invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        }
    }

    private mutating func apply(_ key: String, _ value: String) throws(EngineError) {
        if LogRequest.refused.contains(key) { throw .notSupported("--log-opt \(key)") }
        guard LogRequest.options(of: driver).contains(key) else {
            throw .invalid("unknown log opt '\(key)' for \(driver) log driver")
        }
        switch key {
        case "max-size", "cache-max-size":
            maximumSize = value == "-1" ? 0 : try ByteSize.parse(value)
            if maximumSize < 1, value != "-1" { throw .invalid("invalid value for \(key): \(value)") }
        case "max-file", "cache-max-file":
            guard let count = Numbers.integer(value), count >= 1, count <= 100_000 else {
                throw .invalid("\(key) cannot be less than 1")
            }
            maximumFiles = count
        case "compress":
            // Docker's default for `local` is to compress; asking for no compression is what happens here.
            if Numbers.bool(value) != false { throw .notSupported("--log-opt compress=true") }
        case "mode":
            guard value == "blocking" || value == "non-blocking" else { throw .invalid("logger: logging mode not supported: \(value)") }
        case "max-buffer-size":
            guard let size = try? ByteSize.parse(value), size > 0 else {
                throw .invalid("error parsing option max-buffer-size: invalid size: '\(value)'")
            }
        case "cache-disabled":
            if Numbers.bool(value) == nil { throw .invalid("invalid value for cache-disabled: \(value)") }
        case "tag": _ = try LogTag.parse(value)
        case "syslog-address": _ = try LogRequest.address(value)
        case "syslog-facility": _ = try LogRequest.facility(value)
        case "syslog-format": _ = try LogRequest.format(value)
        default: break
        }
    }
}

// MARK: syslog

extension LogRequest {
    private static let facilities = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    ]

    /// A name or a number.
    static func facility(_ text: String) throws(EngineError) -> UInt8 {
        if text.isEmpty { return 3 }
        if let index = facilities.firstIndex(of: text) { return UInt8(index) }
        if text.hasPrefix("local"), let number = UInt8(text.dropFirst(5)), number < 8 { return 16 + number }
        if let number = UInt8(text), number < 24 { return number }
        throw .invalid("invalid syslog facility")
    }

    static func format(_ text: String) throws(EngineError) -> SyslogOptions.Format {
        if text.isEmpty { return .unix }
        guard let format = SyslogOptions.Format(rawValue: text), format != .unix else { throw .invalid("Invalid syslog format") }
        return format
    }

    /// `udp://1.2.3.4:514`, `tcp://…`, `unix:///path`, `unixgram:///path`.
    static func address(_ text: String) throws(EngineError) -> (transport: SyslogOptions.Transport, address: String) {
        if text.isEmpty { return (.local, "") }
        guard let (scheme, tail) = text.splitOnce(":"), !scheme.isEmpty, tail.hasPrefix("//") else {
            throw .invalid("syslog-address should be in form proto://address, got \(text)")
        }
        let rest = String(tail.dropFirst(2))
        switch scheme {
        case "unix", "unixgram":
            guard rest.hasPrefix("/"), !rest.utf8.contains(0) else {
                throw .invalid("syslog-address: the path of a socket is absolute, got \(text)")
            }
            return (scheme == "unix" ? .unix : .unixgram, rest)
        case "udp", "tcp":
            let named = rest.hasPrefix("localhost") ? "127.0.0.1" + rest.dropFirst(9) : rest
            guard let endpoint = InternetEndpoint(named, defaultPort: 514) else {
                throw .invalid("syslog-address: give the receiver by its IP address and port, as \(scheme)://192.0.2.1:514, got \(text)")
            }
            return (scheme == "udp" ? .udp : .tcp, endpoint.description)
        case "tcp+tls": throw .notSupported("--log-opt syslog-address=\(text)")
        default: throw .invalid("syslog-address: unsupported scheme \"\(scheme)\"; use unix, unixgram, udp or tcp")
        }
    }
}

/// The tag of a container's lines: text with `{{.Name}}` and the like in it.
enum LogTag {
    enum Part: Equatable {
        case text(String)
        case field(String)
    }

    private static let fields = ["Command", "DaemonName", "FullID", "ID", "ImageFullID", "ImageID", "ImageName", "Name"]

    /// - Throws: `.invalid` for anything in braces that is no field of a container.
    static func parse(_ text: String) throws(EngineError) -> [Part] {
        // Each piece but the first begins with what was in braces.
        var pieces = [""]
        for character in text {
            if character == "{", pieces[pieces.count - 1].hasSuffix("{") {
                pieces[pieces.count - 1].removeLast()
                pieces.append("")
            } else {
                pieces[pieces.count - 1].append(character)
            }
        }
        var parts = [Part.text(pieces[0])]
        for piece in pieces.dropFirst() {
            guard let (head, tail) = piece.splitOnce("}"), tail.hasPrefix("}") else {
                throw .invalid("invalid log tag \"\(text)\": a {{ has no }}")
            }
            let name = head.filter { $0 != " " }
            guard name.hasPrefix("."), fields.contains(String(name.dropFirst())) else {
                throw .invalid("invalid log tag \"\(text)\": use " + fields.map { "{{.\($0)}}" }.joined(separator: ", "))
            }
            parts += [.field(String(name.dropFirst())), .text(String(tail.dropFirst()))]
        }
        return parts
    }

    static func render(_ text: String, _ definition: ContainerDefinition) -> String {
        guard let parts = try? parse(text) else { return text }
        return parts.map { part -> String in
            switch part {
            case .text(let text): text
            case .field(let name): value(name, definition)
            }
        }.joined()
    }

    private static func value(_ name: String, _ definition: ContainerDefinition) -> String {
        let digest = definition.imageID.hasPrefix("sha256:") ? String(definition.imageID.dropFirst(7)) : definition.imageID
        return switch name {
        case "ID": definition.shortID
        case "FullID": definition.id
        case "Name": definition.name
        case "ImageID": String(digest.prefix(12))
        case "ImageFullID": definition.imageID
        case "ImageName": definition.image
        case "Command": definition.arguments.joined(separator: " ")
        default: "berth"
        }
    }
}

extension ContainerDefinition {
    /// What `--log-opt labels`, `env` and `tag` tell with each line.
    public var logAttributes: [String: String] {
        var result: [String: String] = [:]
        for name in (log.options["labels"] ?? "").split(separator: ",") {
            if let value = labels[String(name)] { result[String(name)] = value }
        }
        for name in (log.options["env"] ?? "").split(separator: ",") {
            // The last one counts.
            if let entry = environment.last(where: { $0.hasPrefix(name + "=") }) {
                result[String(name)] = String(entry.dropFirst(name.count + 1))
            }
        }
        if let tag = log.options["tag"], !tag.isEmpty { result["tag"] = LogTag.render(tag, self) }
        return result
    }

    /// Whether `logs` has something to read.
    public var hasReadableLog: Bool { logConfiguration.hasFile }

    /// What a supervisor has to know of it.
    var logConfiguration: LogConfiguration {
        var result = LogConfiguration(
            driver: LogConfiguration.Driver(log.driver) ?? .file, maximumSize: UInt64(max(0, log.maximumSize)),
            maximumFiles: UInt32(clamping: log.maximumFiles))
        result.attributes = logAttributes
        guard result.isForwarded else { return result }
        let tag = log.options["tag"] ?? ""
        result.tag = LogTag.render(tag.isEmpty ? "{{.ID}}" : tag, self)
        result.keepsCopy = Numbers.bool(log.options["cache-disabled"] ?? "false") == false
        if let size = try? ByteSize.parse(log.options["max-buffer-size"] ?? "") { result.bufferSize = UInt64(max(1, size)) }
        if let (transport, address) = try? LogRequest.address(log.options["syslog-address"] ?? "") {
            (result.syslog.transport, result.syslog.address) = (transport, address)
        }
        result.syslog.facility = (try? LogRequest.facility(log.options["syslog-facility"] ?? "")) ?? 3
        result.syslog.format = (try? LogRequest.format(log.options["syslog-format"] ?? "")) ?? .unix
        return result
    }
}
