import Archive
import Linux
import OCI

/// One copy of an image from a source to a destination.
///
/// In this order: signature policy, manifests (all of them, before anything is written), blobs, manifests of members, the
/// index, the name. A failure at any point leaves the destination's name as it was.
final class ImageCopier {
    private let source: any ImageSource
    private let destination: any ImageDestination
    private let options: CopyOptions
    /// Requested by the person.
    private let cancellation: Cancellation
    /// Requested by the first failure.
    private let stop = Cancellation()
    private let monitor = Monitor()
    private var copied: Int64 = 0
    private var skipped = 0

    init(_ source: any ImageSource, _ destination: any ImageDestination, _ options: CopyOptions) {
        self.source = source
        self.destination = destination
        self.options = options
        cancellation = options.cancellation
    }

    func run(signatures: SignatureSource?) throws(EngineError) -> CopyResult {
        let top = try source.topManifest()
        let plan = try CopyPlan.make(top, source, destination, options, signatures)
        try destination.begin()
        do throws(EngineError) {
            try stopIfAsked()
            let rewritten = try plan.rewritten(source, destination, options)
            try copyBlobs(rewritten.blobs)
            try stopIfAsked()
            for (number, document) in rewritten.documents.enumerated() {
                let isTop = number == rewritten.documents.count - 1
                if isTop { options.progress("Writing manifest to image destination") }
                try destination.put(manifest: document, isTop: isTop)
            }
            try stopIfAsked()
            try destination.commit()
            guard let last = rewritten.documents.last else { throw EngineError(.system, "copy image", cause: "no manifest") }
            return CopyResult(
                digest: last.digest, mediaType: last.mediaType ?? .ociManifest, copied: copied, skipped: skipped)
        } catch {
            destination.abandon()
            throw error
        }
    }

    private func stopIfAsked() throws(EngineError) {
        if cancellation.isCancelled { throw .interruptedCopy }
    }

    private func copyBlobs(_ blobs: [PlannedBlob]) throws(EngineError) {
        // Large ones first: the last thread to end has little left to do then.
        let ordered = blobs.sorted { $0.descriptor.size > $1.descriptor.size }
        try ParallelWork.run(ordered, threads: options.parallel, stop) { (blob) throws(EngineError) in
            try self.copy(blob)
        }
    }

    private func copy(_ blob: PlannedBlob) throws(EngineError) {
        try stopIfAsked()
        let what = "Copying \(blob.isConfig ? "config" : "blob") \(blob.descriptor.digest)"
        if try destination.has(blob.descriptor, from: source.origin(blob.descriptor)) {
            tell(what + " skipped: already exists") { skipped += 1 }
            return
        }
        let stops = [stop, cancellation]
        let file = if let rewritten = blob.rewritten { rewritten.file } else { try source.file(blob.descriptor) }
        let content = BlobContent(
            write: { (sink) throws(EngineError) in
                let verifying = VerifyingSink(sink, blob.descriptor, stops: stops)
                if let range = blob.rewritten {
                    try range.write(into: verifying)
                } else {
                    try self.source.read(blob.descriptor, into: verifying)
                }
                try verifying.verify()
            },
            open: { (offset) throws(EngineError) in
                if let range = blob.rewritten { return FileStream(range, from: offset) }
                return try self.source.stream(blob.descriptor, from: offset)
            }, file: file)
        try destination.put(blob.descriptor, content)
        tell(what) { copied += blob.descriptor.size }
    }

    private func tell(_ line: String, _ count: () -> Void) {
        monitor.lock()
        defer { monitor.unlock() }
        count()
        options.progress(line)
    }
}

extension EngineError {
    /// A copy that was stopped before its end.
    static var interruptedCopy: EngineError {
        EngineError(.cancelled, sentence: "interrupted: nothing was written under the name")
    }
}
