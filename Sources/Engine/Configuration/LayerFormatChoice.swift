import Linux
import Store

/// What `[store] layer_format` may say.
public enum LayerFormatChoice: String, Sendable, CaseIterable {
    case directory
    case erofs
    /// `erofs` where it works, otherwise `directory`.
    case auto

    static var known: String { allCases.map(\.rawValue).joined(separator: ", ") }

    /// Goes before the configuration: for tests, and to try the other format once.
    static let variable = "BERTH_LAYER_FORMAT"

    /// What the environment or the configuration says.
    static func read() throws(EngineError) -> LayerFormatChoice {
        guard let value = environmentVariable(variable), !value.isEmpty else { return try Configuration.load().layerFormat }
        guard let choice = LayerFormatChoice(rawValue: value) else {
            throw .invalid("\(variable): unknown format \"\(value)\"; known: \(known)")
        }
        return choice
    }

    /// - Throws: `.unsupported` with a whole sentence where `erofs` was asked for and cannot be had.
    static func choose(for store: Store) throws(StoreError) -> LayerFormat {
        let choice: LayerFormatChoice
        do throws(EngineError) { choice = try read() } catch {
            throw StoreError(.invalid, "", cause: error.description)
        }
        if choice == .directory { return .directory }
        guard let obstacle = try store.erofsObstacle() else { return .erofs }
        if choice == .auto { return .directory }
        throw StoreError(
            .unsupported, "",
            cause: "layers cannot be kept as erofs: \(obstacle); set layer_format in /etc/berth/berth.conf to \"auto\" or \"directory\"")
    }
}
