import Archive
import Linux
import OCI

/// A layer's blob that is elsewhere.
final class RemoteLayer: @unchecked Sendable {
    // SAFETY: `reader` and `isCancelled` are only touched under the monitor's lock; the rest never changes.
    let blob: Descriptor
    let source: any BlobSource
    private let index: Int
    private let observer: (any FetchObserver)?
    private let monitor = Monitor()
    private var reader: PartialReader?
    private var isCancelled = false

    init(_ blob: Descriptor, _ source: any BlobSource, index: Int, observer: (any FetchObserver)?) {
        self.blob = blob
        self.source = source
        self.index = index
        self.observer = observer
    }

    func report(_ event: FetchEvent) { observer?.layer(index, event) }

    func begin(_ reader: PartialReader) {
        let cancelled = monitor.locked {
            self.reader = reader
            return isCancelled
        }
        if cancelled { reader.cancel() }
    }

    func end() { monitor.locked { reader = nil } }

    /// Ends a read that waits for the network.
    func cancel() {
        let known = monitor.locked {
            isCancelled = true
            return reader
        }
        known?.cancel()
    }
}

extension Store {
    /// Brings an image from elsewhere in: its layers are fetched, verified and unpacked in one stream each, several at once.
    /// When it returns, the image survives power loss.
    ///
    /// Whatever ends it early, what was fetched so far is kept in `partial` for the next call.
    /// - Throws: as ``load(path:options:)``, and whatever the source throws.
    public func fetch(_ image: RemoteImage, from source: any BlobSource, options: FetchOptions) throws(StoreError) -> LoadedImage {
        var plan = LoadOptions(cancellation: options.cancellation)
        plan.limits = options.limits
        plan.parallel = options.parallel
        let id = image.manifest.config.digest
        let loaded = try ingest(plan) { (_, _) throws(StoreError) in
            let layers = zip(image.manifest.layers, image.config.rootfs.diffIDs).enumerated().map { index, pair in
                PlannedLayer(
                    content: .remote(RemoteLayer(pair.0, source, index: index, observer: options.observer)),
                    descriptor: pair.0, diffID: pair.1)
            }
            var planned = PlannedImage(config: image.config, id: id, manifest: image.manifest, layers: layers, names: image.names)
            planned.digests = image.digests
            if let index = image.index { planned.documents.append(index) }
            return [planned]
        }
        PartialBlob.forget(self, image.manifest.layers.map(\.digest))
        guard let result = loaded.first else { throw StoreError(.corrupt, "fetch image", id.description, cause: "nothing came") }
        return result
    }
}

/// Adds the layers of one image by several threads, lowest first; each is placed after the one below it.
final class LayerCrew: @unchecked Sendable {
    // SAFETY: everything that changes is only touched under the monitor's lock.
    private let monitor = Monitor()
    private let ingest: Ingest
    private let layers: [PlannedLayer]
    private let parents: [Digest?]
    private let cancellation: Cancellation?
    private var next = 0
    private var done: [Ingest.Layer?]
    private var failure: StoreError?

    init(_ layers: [PlannedLayer], _ ingest: Ingest, _ cancellation: Cancellation?) {
        self.layers = layers
        self.ingest = ingest
        self.cancellation = cancellation
        done = Array(repeating: nil, count: layers.count)
        var parents: [Digest?] = [nil]
        for layer in layers.dropLast() {
            parents.append(Store.chainID(parent: parents[parents.count - 1], diffID: layer.diffID))
        }
        self.parents = parents
    }

    /// - Throws: the first failure; all threads have ended then.
    func run(threads: Int) throws(StoreError) -> [Ingest.Layer] {
        var workers: [Worker] = []
        defer { for worker in workers { worker.join() } }
        for _ in 0..<min(threads, layers.count) {
            do throws(ArchiveError) { workers.append(try Worker { self.work() }) } catch {
                fail(StoreError(error))
            }
        }
        watch()
        for worker in workers { worker.join() }
        if let failure { throw failure }
        return done.compactMap { $0 }
    }

    /// Until all is done: hands on a wish to stop to threads that wait for the network.
    private func watch() {
        monitor.lock()
        while failure == nil, done.contains(where: { $0 == nil }), cancellation?.isCancelled != true {
            monitor.wait(milliseconds: 100)
        }
        let isWhole = !done.contains { $0 == nil }
        monitor.unlock()
        if isWhole { return }
        fail(StoreError(.cancelled, "fetch image", cause: "interrupted"))
    }

    private func work() {
        while let index = monitor.locked({ takeNext() }) {
            do throws(StoreError) {
                let layer = try ingest.add(layers[index], on: parents[index]) { () throws(StoreError) in
                    try awaitLayer(index - 1)
                }
                // Even where nothing had to be placed: the ones above count on all below.
                try awaitLayer(index - 1)
                monitor.locked {
                    done[index] = layer
                    monitor.wakeAll()
                }
            } catch {
                fail(error)
            }
        }
    }

    private func takeNext() -> Int? {
        guard failure == nil, next < layers.count else { return nil }
        next += 1
        return next - 1
    }

    private func awaitLayer(_ index: Int) throws(StoreError) {
        guard index >= 0 else { return }
        monitor.lock()
        defer { monitor.unlock() }
        while done[index] == nil, failure == nil { monitor.wait() }
        if let failure { throw failure }
    }

    private func fail(_ error: StoreError) {
        monitor.locked {
            if failure == nil { failure = error }
            monitor.wakeAll()
        }
        for layer in layers {
            if case .remote(let remote) = layer.content { remote.cancel() }
        }
    }
}
