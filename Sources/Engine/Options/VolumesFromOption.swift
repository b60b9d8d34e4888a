/// Docker's `--volumes-from`: `CONTAINER[:MODES]`.
struct VolumesFromOption {
    let container: String
    var readOnly = false
    var label = MountDefinition.Label.none

    /// - Throws: Docker's sentences. Propagation and `nocopy` are no modes here: those come with the mounts.
    init(_ text: String) throws(EngineError) {
        let pair = text.splitOnce(":")
        container = pair.map { String($0.head) } ?? text
        if container.isEmpty { throw .invalid("malformed volumes-from specification: \(text)") }
        guard let modes = pair.map({ String($0.tail) }) else { return }
        var seen: Set<String> = []
        for mode in modes.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            let group = mode == "ro" || mode == "rw" ? "access" : "label"
            guard ["ro", "rw", "z", "Z"].contains(mode), seen.insert(group).inserted else { throw .invalid("invalid mode: \(modes)") }
            switch mode {
            case "ro": readOnly = true
            case "z": label = .shared
            case "Z": label = .private
            default: break
            }
        }
    }

    /// A mount of the other container as it becomes one of this.
    func inherit(_ mount: MountDefinition) -> MountDefinition {
        var copy = Self.inheriting(mount)
        if readOnly { copy.readOnly = true }
        if label != .none { copy.label = label }
        return copy
    }

    static func inheriting(_ mount: MountDefinition) -> MountDefinition {
        var copy = mount
        copy.isInherited = true
        // The volume is the other one's, and has its content.
        copy.isAnonymous = false
        copy.noCopy = true
        copy.changeOwner = false
        return copy
    }
}
