import OCI
import Store

/// One line of `history`: a step of an image's making.
public struct HistoryRow: Sendable {
    /// The image's id for its last step, `<missing>` for the ones before: they are no images here.
    public var id: String
    /// Nanoseconds since 1970; 0 when the config does not say.
    public var created: Int64
    public var createdBy: String
    /// Bytes of the layer that the step made; 0 when it made none.
    public var size: Int64
    public var comment: String
    /// Names of the image, on its last step.
    public var names: [String]
}

extension Engine {
    /// How an image was made, the last step first.
    ///
    /// Layers that the config's history does not tell of come below all it tells.
    /// - Parameter platform: what the image has to be for; empty takes it as it is.
    public func history(_ text: String, platform: String = "") throws(EngineError) -> [HistoryRow] {
        if !platform.isEmpty { try requirePlatform(of: text, [platform]) }
        let details = try imageDetails(text)
        let steps = details.config.history
        // A history that does not fit gives no sizes: they might be another step's.
        let layers = details.config.historyLayers
        var rows: [HistoryRow] = []
        for (index, step) in steps.enumerated() {
            var size: Int64 = 0
            if let layer = layers?[index], layer < details.layers.count { size = details.layers[layer].size }
            rows.append(
                HistoryRow(
                    id: "<missing>", created: step.created.flatMap(Timestamp.parse) ?? 0, createdBy: step.createdBy,
                    size: size, comment: step.comment, names: []))
        }
        if layers == nil {
            let untold = details.layers.map { layer in
                HistoryRow(id: "<missing>", created: 0, createdBy: "", size: layer.size, comment: "", names: [])
            }
            rows = untold + rows
        }
        rows.reverse()
        if !rows.isEmpty {
            rows[0].id = details.record.id
            rows[0].names = details.record.names.map(Engine.familiarName)
        }
        return rows
    }
}
