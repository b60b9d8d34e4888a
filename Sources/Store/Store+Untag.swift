import Linux
import OCI

extension Store {
    /// Takes names from an image and never the image: it stays, if need be without a name.
    ///
    /// - Parameters:
    ///   - text: a name or id as ``image(matching:)`` takes it.
    ///   - names: what to take away; empty: all names.
    /// - Returns: what is gone, as people type it.
    /// - Throws: `.notFound` for the image, and for a name that is not one of it; nothing is changed then.
    @discardableResult
    public func untag(_ text: String, _ names: [Reference] = []) throws(StoreError) -> [String] {
        try database.transaction(.durable, givesRoom: true) { () throws(StoreError) in
            let record = try image(matching: text)
            var gone: [String] = []
            for name in names {
                let full = name.withDefaultTag.description
                guard record.names.contains(full) else {
                    throw StoreError(.notFound, "untag image", name.familiar, cause: "it is no name of image \(text)")
                }
                if !gone.contains(full) { gone.append(full) }
            }
            if names.isEmpty { gone = record.names }
            try dropNames(gone)
            return gone.map(Store.familiar)
        } committed: { _ in
            writeIndex()
        }
    }
}
