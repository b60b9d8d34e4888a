import Engine

/// `--sort` of `ps`, podman's: the smallest, or the oldest, first.
enum ContainerOrder: String, CaseIterable {
    case command, created, id, image, names, runningfor, size, status

    /// What flags accept.
    static let words = allCases.map(\.rawValue)

    /// Equal ones stay in the order they had.
    func sorted(_ views: [ContainerView], _ engine: Engine) -> [ContainerView] {
        switch self {
        case .created: Self.sort(views) { $0.definition.createdAt }
        // The youngest run is the shortest.
        case .runningfor: Self.sort(views) { -$0.observation.startedAt }
        case .size: Self.sort(views) { engine.writtenSize($0.id) }
        case .command: Self.sort(views) { $0.definition.arguments.joined(separator: " ") }
        case .id: Self.sort(views) { $0.id }
        case .image: Self.sort(views) { $0.definition.image }
        case .names: Self.sort(views) { $0.name }
        case .status: Self.sort(views) { $0.observation.status.text }
        }
    }

    private static func sort<K: Comparable>(_ views: [ContainerView], _ key: (ContainerView) -> K) -> [ContainerView] {
        // Each key once: a size is a walk through a tree.
        let keyed = views.enumerated().map { (key: key($0.element), offset: $0.offset, view: $0.element) }
        return keyed.sorted { $0.key == $1.key ? $0.offset < $1.offset : $0.key < $1.key }.map(\.view)
    }
}
