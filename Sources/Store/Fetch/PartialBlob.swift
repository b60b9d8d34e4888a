import Archive
import CLinux
import Glibc
import Linux
import OCI

/// A blob on its way into the store: `partial/<hex>`, written by whoever holds its lock and kept when that ends early, so
/// that the next command goes on from there. Once it is whole and verified it is called `partial/<hex>-<boot>` and linked
/// into `blobs`, until a row names it: an interrupted pull fetches nothing twice. After power loss it is verified again.
final class PartialBlob {
    static let directory = "partial"

    private let store: Store
    let blob: Descriptor
    /// Open for reading and writing; its lock lives as long as it does.
    private let file: SharedFD
    /// Bytes that were here when it was opened.
    let found: Int64

    private init(_ store: Store, _ blob: Descriptor, _ file: SharedFD, found: Int64) {
        self.store = store
        self.blob = blob
        self.file = file
        self.found = found
    }

    private static func path(_ digest: Digest) -> String { directory + "/" + digest.hex }
    static func wholePath(_ digest: Digest) -> String { path(digest) + "-" + bootIdentifier() }

    /// Waits until nobody else fetches the blob and takes it over.
    ///
    /// - Returns: nil when whoever had it has finished it.
    static func open(_ store: Store, _ blob: Descriptor) throws(StoreError) -> PartialBlob? {
        try system { () throws(SystemError) in try store.root.fd.makeDirectories(directory, mode: 0o700) }
        let path = path(blob.digest)
        distrust(store, blob.digest)
        while true {
            if store.root.fd.exists(wholePath(blob.digest)) { return nil }
            let file = try system { () throws(SystemError) in
                let file = SharedFD(try store.root.fd.open(path, [.readWrite, .create, .noFollow], mode: 0o600))
                try file.fd.lock(.exclusive)
                return file
            }
            let information = try system { () throws(SystemError) in try file.fd.status() }
            // Renamed or removed while we waited: look again.
            guard let now = try? store.root.fd.status(of: path), now.st_ino == information.st_ino else { continue }
            var size = Int64(information.st_size)
            if size > blob.size {
                try check(cl_ftruncate(file.raw, 0), path)
                size = 0
            }
            return PartialBlob(store, blob, file, found: size)
        }
    }

    /// What was whole before the power failed is only a beginning now.
    private static func distrust(_ store: Store, _ digest: Digest) {
        let whole = wholePath(digest)
        for name in store.names(in: directory) where name.hasPrefix(digest.hex + "-") && directory + "/" + name != whole {
            try? store.root.fd.rename(directory + "/" + name, to: path(digest))
        }
    }

    private static func check(_ result: Int32, _ path: String) throws(StoreError) {
        _ = try system { () throws(SystemError) in try Linux.check(result, "truncate", path) }
    }

    /// Bytes that were here before, to be read again.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(ArchiveError) -> Int {
        let wanted = Int(min(Int64(buffer.count), found - offset))
        let got = cl_pread(file.raw, buffer.baseAddress, wanted, offset)
        guard got >= 0 else { throw .system("read", "partial blob", result: got) }
        guard got > 0 else { throw ArchiveError(.truncated, "read", "partial blob", cause: "it was truncated meanwhile") }
        return got
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(ArchiveError) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let written = cl_pwrite(file.raw, rest.baseAddress, rest.count, offset + Int64(done))
            guard written >= 0 else { throw .system("write", "partial blob", result: written) }
            done += written
        }
    }

    /// All of it, from its beginning.
    var whole: FileReader { FileReader(file.fd, offset: 0, length: blob.size, name: "partial blob") }

    /// Verified: it may be used by this command and by others.
    func keep() throws(StoreError) {
        try system { () throws(SystemError) in
            try store.root.fd.rename(Self.path(blob.digest), to: Self.wholePath(blob.digest))
        }
        try Self.link(store, blob.digest)
    }

    /// Puts a whole blob where rows look for it.
    static func link(_ store: Store, _ digest: Digest) throws(StoreError) {
        let target = Store.Directory.blobs + "/" + digest.hex
        let result = cl_linkat(store.root.raw, wholePath(digest), store.root.raw, target, 0)
        if result == -EEXIST { return try replace(target, store, digest) }
        _ = try system { () throws(SystemError) in try Linux.check(result, "link", target) }
    }

    /// What is there already may be what power loss made of a blob that no row names, or another command's, which a row may
    /// name by now. What takes its place is verified, and on disk before it does.
    private static func replace(_ target: String, _ store: Store, _ digest: Digest) throws(StoreError) {
        try system { () throws(SystemError) in
            let whole = try store.root.fd.open(wholePath(digest), [.readOnly, .noFollow])
            if let there = try? store.root.fd.status(of: target), there.st_ino == (try whole.fd.status().st_ino) { return }
            try whole.fd.sync()
            let name = path(digest) + "-" + hexadecimal(randomBytes(8))
            try Linux.check(cl_linkat(store.root.raw, wholePath(digest), store.root.raw, name, 0), "link", name)
            try store.root.fd.rename(name, to: target)
        }
    }

    /// Not what its digest says: nothing of it is worth keeping.
    func discard() { try? store.root.fd.removeFile(Self.path(blob.digest)) }

    /// Rows name these blobs now, or nothing ever will.
    static func forget(_ store: Store, _ digests: some Sequence<Digest>) {
        for digest in digests { try? store.root.fd.removeFile(wholePath(digest)) }
    }
}

/// The bytes of a blob: what is here, then the rest from its source, which is written down as it comes.
final class PartialReader: ByteReader {
    private let partial: PartialBlob
    private let source: any BlobSource
    private let progress: (FetchEvent) -> Void
    private var position: Int64 = 0
    private let streams = CancellableStream()

    init(_ partial: PartialBlob, _ source: any BlobSource, progress: @escaping (FetchEvent) -> Void) {
        self.partial = partial
        self.source = source
        self.progress = progress
    }

    /// Why reading failed, if it did for a reason of the source's.
    var failure: StoreError? { streams.failure }

    /// Ends a read that waits for the source, from another thread.
    func cancel() { streams.cancel() }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        if buffer.isEmpty || position == partial.blob.size { return 0 }
        if position < partial.found {
            let got = try partial.read(into: buffer, at: position)
            return advance(got)
        }
        let stream = try streams.open { () throws(StoreError) in try source.open(partial.blob, from: position) }
        let got = try stream.read(into: buffer)
        guard got > 0 else { throw ArchiveError(.truncated, "fetch", partial.blob.digest.description, cause: "it ends early") }
        guard position + Int64(got) <= partial.blob.size else {
            throw ArchiveError(.tooLarge, "fetch", partial.blob.digest.description, cause: "it is larger than its descriptor says")
        }
        try partial.write(UnsafeRawBufferPointer(rebasing: buffer[0..<got]), at: position)
        return advance(got)
    }

    private func advance(_ count: Int) -> Int {
        position += Int64(count)
        progress(position == partial.blob.size ? .downloaded : .received(position))
        return count
    }
}

/// A stream that is opened by the thread that reads and cancelled by another.
private final class CancellableStream: @unchecked Sendable {
    // SAFETY: both fields are only touched under the monitor's lock.
    private let monitor = Monitor()
    private var stream: (any RemoteStream)?
    private var isCancelled = false
    private var openFailure: StoreError?

    var failure: StoreError? {
        monitor.lock()
        defer { monitor.unlock() }
        return openFailure ?? stream?.failure
    }

    func open(_ body: () throws(StoreError) -> any RemoteStream) throws(ArchiveError) -> any RemoteStream {
        monitor.lock()
        let known = stream
        let cancelled = isCancelled
        monitor.unlock()
        if cancelled { throw ArchiveError(.cancelled, "fetch", cause: "interrupted") }
        if let known { return known }
        let opened: any RemoteStream
        do throws(StoreError) { opened = try body() } catch {
            monitor.lock()
            defer { monitor.unlock() }
            openFailure = error
            throw ArchiveError(.corrupt, error.operation, error.object, cause: error.cause)
        }
        monitor.lock()
        defer { monitor.unlock() }
        stream = opened
        if isCancelled { opened.cancel() }
        return opened
    }

    func cancel() {
        monitor.lock()
        isCancelled = true
        let known = stream
        monitor.unlock()
        known?.cancel()
    }
}
