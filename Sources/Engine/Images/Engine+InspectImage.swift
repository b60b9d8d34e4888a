import JSON
import Linux
import OCI
import Store

extension Engine {
    /// An image in the layout of Docker's `image inspect`.
    public func inspectImage(_ text: String) throws(EngineError) -> [UInt8] {
        let details = try imageDetails(text)
        let opened = try store()
        let layers = try stored { () throws(StoreError) in try opened.layerDirectories(image: details.record.id) }
        return JSONWriter.document { writer in
            writer.object { w in
                w.field("Id", details.record.id)
                w.field("RepoTags", details.record.names.map(Engine.familiarName))
                w.field("RepoDigests", Engine.repositoryDigests(details.record))
                w.field("Parent", "")
                w.field("Comment", details.config.history.last?.comment ?? "")
                w.field("Created", details.config.created ?? Timestamp.text(details.record.created))
                w.field("DockerVersion", "")
                w.field("Author", details.config.author)
                w.key("Config")
                details.config.config.write(to: &w)
                w.field("Architecture", details.config.platform.architecture)
                w.fieldIfNotEmpty("Variant", details.config.platform.variant)
                w.field("Os", details.config.platform.os)
                w.field("Size", details.record.size)
                w.object("GraphDriver") { w in
                    w.object("Data") { w in
                        w.fieldIfNotEmpty("LowerDir", layers.dropFirst().joined(separator: ":"))
                        w.fieldIfNotEmpty("UpperDir", layers.first ?? "")
                    }
                    w.field("Name", "overlay2")
                }
                w.object("RootFS") { w in
                    w.field("Type", "layers")
                    w.field("Layers", details.layers.map(\.diffID))
                }
                w.object("Metadata") { w in w.field("LastTagTime", Timestamp.text(details.record.added)) }
                w.object("Descriptor") { w in
                    w.field("mediaType", details.manifest.mediaType.rawValue)
                    w.field("digest", details.record.manifestDigest)
                    w.field("size", details.manifest.raw.count)
                }
            }
        }
    }

    static func familiarName(_ name: String) -> String {
        do throws(OCIError) { return try Reference.parse(name).familiar } catch { return name }
    }

    /// What registries call the image; for repositories that no registry was asked about, by the manifest's own digest.
    private static func repositoryDigests(_ record: ImageRecord) -> [String] {
        let known = record.digests.map { familiarName($0.reference) }
        var result = known
        for name in record.names {
            guard let repository = (try? Reference.parse(name))?.familiarName else { continue }
            if known.contains(where: { $0.hasPrefix(repository + "@") }) { continue }
            let text = repository + "@" + record.manifestDigest
            if !result.contains(text) { result.append(text) }
        }
        return result
    }
}
