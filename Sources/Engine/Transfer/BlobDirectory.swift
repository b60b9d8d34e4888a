import Archive
import Linux
import OCI

/// A directory in which blobs are files named by their digests.
struct BlobDirectory {
    let directory: SharedFD

    /// Writes a blob; a second thread with the same blob never comes.
    func put(_ name: String, _ content: BlobContent) throws(EngineError) {
        let file = try during("write", name) { () throws(SystemError) in
            SharedFD(try directory.fd.open(name, [.writeOnly, .create, .exclusive, .noFollow], mode: 0o644))
        }
        let sink = FileSink(file.fd, name: name)
        try content.write(sink)
        try archived { () throws(ArchiveError) in try sink.finish() }
    }

    func put(_ name: String, _ bytes: [UInt8]) throws(EngineError) {
        try during("write", name) { () throws(SystemError) in
            let file = try directory.fd.open(name, [.writeOnly, .create, .truncate, .noFollow], mode: 0o644)
            try file.fd.writeAll(bytes)
        }
    }
}
