/// Something in the store that is not as it should be.
public struct StoreProblem: Sendable, Hashable, CustomStringConvertible {
    /// What kind of object it is about; open, so that a caller's `switch` has a default.
    public struct Kind: RawRepresentable, Hashable, Sendable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        public static let database = Kind(rawValue: "database")
        public static let image = Kind(rawValue: "image")
        public static let name = Kind(rawValue: "name")
        public static let blob = Kind(rawValue: "blob")
        public static let layer = Kind(rawValue: "layer")
        public static let container = Kind(rawValue: "container")
        public static let volume = Kind(rawValue: "volume")
        public static let network = Kind(rawValue: "network")
        /// What could not be looked at; nothing is known to be wrong with it.
        public static let unchecked = Kind(rawValue: "unchecked")
        /// `index.json`, by which other tools read the store.
        public static let index = Kind(rawValue: "index")
        /// What a killed command left behind; the next writer clears it away too.
        public static let garbage = Kind(rawValue: "garbage")
    }

    public enum Outcome: Sendable, Hashable {
        /// As it was: no repair was asked for, or only the user can make it.
        case found
        case repaired
        /// Nothing could rebuild it.
        case removed
    }

    public var kind: Kind
    /// Digest, id, name or path below the store's root.
    public var object: String
    public var cause: String
    /// What to type or do; empty when there is nothing left to do.
    public var fix: String
    public var outcome: Outcome

    /// What repairs everything that can be repaired.
    static let repairCommand = "berth system check --repair"
    /// What brings back what only an archive still has.
    static let loadAgain = "berth load -i FILE, with the archive the image came from"

    init(_ kind: Kind, _ object: String, _ cause: String, fix: String = repairCommand, outcome: Outcome = .found) {
        self.kind = kind
        self.object = object
        self.cause = cause
        self.fix = fix
        self.outcome = outcome
    }

    public var description: String {
        let end = outcome == .repaired ? " (repaired)" : outcome == .removed ? " (removed)" : ""
        return "\(kind.rawValue) \"\(object)\": \(cause)\(end)"
    }
}
