import Archive
import Linux
import OCI
import Store

/// A manifest list under construction as something to be copied: its index is made here, its images come from where they are.
final class ManifestListSource: ImageSource {
    let location: ImageLocation
    private let index: Index
    private var members: [Digest: any ImageSource] = [:]
    private var owners: [Digest: any ImageSource] = [:]

    /// - Parameter open: opens a location of an entry.
    init(
        _ list: ManifestList, _ location: ImageLocation, _ format: ManifestFormat?,
        open: (ImageLocation) throws(EngineError) -> any ImageSource
    ) throws(EngineError) {
        self.location = location
        index = list.document(format)
        for entry in list.entries {
            members[entry.descriptor.digest] = try open(try ImageLocation.parse(entry.source))
        }
    }

    func topManifest() throws(EngineError) -> FoundManifest {
        try FoundManifest(raw: index.raw, mediaType: index.mediaType)
    }

    func manifest(_ descriptor: Descriptor) throws(EngineError) -> [UInt8] {
        guard let source = members[descriptor.digest] ?? owners[descriptor.digest] else {
            throw .damaged(descriptor.digest.description, "it is no part of the list")
        }
        let found =
            members[descriptor.digest] == nil
            ? try FoundManifest(raw: source.manifest(descriptor), mediaType: descriptor.mediaType) : try source.topManifest()
        guard found.digest == descriptor.digest else {
            throw EngineError(
                .conflict, sentence: "\(source.location) is \(found.digest) now, and \(descriptor.digest) in the list: add it again")
        }
        let document = try documented(descriptor.digest.description) { () throws(OCIError) in
            try ManifestDocument.decode(found.raw, expected: descriptor.mediaType)
        }
        switch document {
        case .manifest(let manifest):
            for blob in [manifest.config] + manifest.layers where owners[blob.digest] == nil { owners[blob.digest] = source }
        case .index(let index): for member in index.manifests { owners[member.digest] = source }
        }
        return found.raw
    }

    private func owner(_ blob: Descriptor) throws(EngineError) -> any ImageSource {
        guard let source = owners[blob.digest] else { throw .damaged(blob.digest.description, "it is no part of the list") }
        return source
    }

    func origin(_ blob: Descriptor) -> ImageLocation { owners[blob.digest]?.location ?? location }
    func check(_ blob: Descriptor) throws(EngineError) { try owner(blob).check(blob) }
    func read(_ blob: Descriptor, into sink: any ByteSink) throws(EngineError) { try owner(blob).read(blob, into: sink) }
    func stream(_ blob: Descriptor, from offset: Int64) throws(EngineError) -> any RemoteStream {
        try owner(blob).stream(blob, from: offset)
    }
    func file(_ blob: Descriptor) throws(EngineError) -> SharedFD? { try owner(blob).file(blob) }
}
