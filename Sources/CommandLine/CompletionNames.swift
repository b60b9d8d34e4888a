import Engine
import Flags
import Linux

/// Names that exist only at run time, for completion; failures mean no candidates: a shell must not print them.
enum CompletionNames {
    static func candidates(_ source: CompletionSource, _ prefix: String) -> [Candidate] {
        switch source {
        case .containers: return containers { _ in true }
        case .runningContainers: return containers { $0.isAlive }
        case .stoppedContainers: return containers { !$0.isAlive }
        case .images: return images()
        case .volumes: return (engine.flatMap { try? $0.volumeNames() } ?? []).map { Candidate($0) }
        case .networks:
            return (engine.flatMap { try? $0.networks() } ?? []).map { Candidate($0.name, $0.driver) }
        case .environment:
            return currentEnvironment().compactMap { entry in
                entry.firstIndex(of: "=").map { Candidate(String(entry[..<$0])) }
            }
        default: return []
        }
    }

    private static var engine: Engine? {
        (try? Roots.locate(store: nil, run: nil)).map { Engine(roots: $0) }
    }

    private static func containers(where isWanted: (ContainerView) -> Bool) -> [Candidate] {
        let views = engine.flatMap { try? $0.containers() } ?? []
        return views.filter(isWanted).map { Candidate($0.name, "\($0.definition.image), \($0.observation.status.text)") }
    }

    private static func images() -> [Candidate] {
        let images = engine.flatMap { try? $0.images() } ?? []
        return images.flatMap { image in image.names.map { Candidate(Engine.familiarReference($0)) } }
            .sorted { $0.word < $1.word }
    }
}
