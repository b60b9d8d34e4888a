import JSON

/// When a container that ended is started again; docker's `--restart`.
public struct RestartPolicy: Sendable, Hashable {
    /// Docker's names. An unknown name in a file reads as `.no`: it must not stop `ps`.
    public enum Name: UInt8, Sendable, Hashable {
        case no, always, unlessStopped, onFailure

        public init?(_ text: String) {
            switch text {
            case "no", "": self = .no
            case "always": self = .always
            case "unless-stopped": self = .unlessStopped
            case "on-failure": self = .onFailure
            default: return nil
            }
        }

        public var text: String {
            switch self {
            case .no: "no"
            case .always: "always"
            case .unlessStopped: "unless-stopped"
            case .onFailure: "on-failure"
            }
        }
    }

    public var name: Name
    /// For `.onFailure`: how often it is tried again; 0 is for ever.
    public var maximumRetries: UInt32

    public init(_ name: Name = .no, maximumRetries: UInt32 = 0) {
        self.name = name
        self.maximumRetries = maximumRetries
    }

    public static let never = RestartPolicy(.no)

    /// Reads `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:N`.
    ///
    /// - Throws: `.invalid` for anything else, and for a count on the others.
    public static func parse(_ text: String) throws(ControlError) -> RestartPolicy {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let name = Name(String(first)) else {
            throw ControlError(
                .invalid, "parse restart policy", text, cause: "use no, always, unless-stopped or on-failure[:n]")
        }
        guard parts.count == 2 else { return RestartPolicy(name) }
        guard name == .onFailure else {
            throw ControlError(
                .invalid, "parse restart policy", text, cause: "maximum retry count can only be used with on-failure")
        }
        guard let count = UInt32(parts[1]), count <= UInt32(Int32.max) else {
            throw ControlError(
                .invalid, "parse restart policy", text, cause: "maximum retry count must be a number that is not negative")
        }
        return RestartPolicy(.onFailure, maximumRetries: count)
    }

    /// Whether a container that ended is started when the machine comes up; Docker's rules when its daemon starts.
    ///
    /// Only what ended with an earlier boot, or with the service that stopped it: one that ended by itself meanwhile had its restarts.
    /// - Parameters:
    ///   - seen: the container now.
    ///   - bootID: this boot's.
    public func startsAfterBoot(_ seen: ContainerObservation, bootID: String) -> Bool {
        guard seen.status == .exited, seen.startedAt != 0, seen.shutDown || seen.bootID != bootID else { return false }
        switch name {
        case .no: return false
        case .always: return true
        case .unlessStopped: return !seen.manuallyStopped
        case .onFailure: return seen.exitCode != 0 && !seen.manuallyStopped && (maximumRetries == 0 || seen.restartCount < maximumRetries)
        }
    }

    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("name", name.text)
            w.fieldIfNotZero("maximumRetries", maximumRetries)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "name": name = Name(try parser.string()) ?? .no
            case "maximumRetries": maximumRetries = try parser.int()
            default: try parser.skip()
            }
        }
    }
}
