import Archive
import CLinux
import Glibc
import Linux
import OCI

@testable import Store

enum TarProperties {
    /// Most bytes of payload that are looked at; entries may claim any number.
    private static let limit = 1 << 20

    struct Listed: Equatable {
        var path: [UInt8]
        var link: [UInt8]
        var kind: TarEntry.Kind
        var size: Int64
        var data: [UInt8]
    }

    static func check(_ bytes: [UInt8]) throws(FuzzFailure) {
        try differential(bytes)
        // The sum of a header protects it from being looked at: with right sums more is.
        try differential(repaired(bytes))
    }

    private static func differential(_ bytes: [UInt8]) throws(FuzzFailure) {
        let (whole, end) = try list(bytes, step: .max)
        let (pieces, otherEnd) = try list(bytes, step: 100)
        guard whole == pieces, end == otherEnd else { throw FuzzFailure(description: "read in pieces, the archive is another one") }
        guard end else { return }
        let sink = MemorySink()
        let writer = TarWriter(sink)
        do throws(ArchiveError) {
            for entry in whole where entry.kind == .file && Int64(entry.data.count) == entry.size {
                try writer.append(TarEntry(kind: .file, path: entry.path, mode: 0o644, size: entry.size), contents: entry.data)
            }
            try writer.finish()
        } catch { throw FuzzFailure(description: "what was read cannot be written: \(error)") }
        let (again, isWhole) = try list(sink.bytes, step: .max)
        let files = whole.filter { $0.kind == .file && Int64($0.data.count) == $0.size }
        guard isWhole, again.map(\.path) == files.map(\.path), again.map(\.data) == files.map(\.data) else {
            throw FuzzFailure(description: "what was written is read as something else")
        }
    }

    /// The entries up to the end or the first error, and whether it was the end.
    private static func list(_ bytes: [UInt8], step: Int) throws(FuzzFailure) -> ([Listed], Bool) {
        let reader = TarReader(BufferedLender(MemoryReader(bytes, step: step), size: 4096))
        var listed: [Listed] = []
        var total = 0
        while true {
            guard let next = entry(of: reader) else { return (listed, false) }
            guard let entry = next else { return (listed, true) }
            guard !entry.path.isEmpty, !entry.path.contains(0), !entry.linkPath.contains(0), entry.size >= 0,
                entry.kind == .file || entry.size == 0
            else { throw FuzzFailure(description: "an entry that cannot be: \(entry)") }
            var data: [UInt8] = []
            var last: Int64 = 0
            while true {
                guard let segment = segment(of: reader) else { return (listed, false) }
                guard let (offset, piece) = segment else { break }
                guard offset >= last, Int64(piece.count) <= entry.size - offset else {
                    throw FuzzFailure(description: "a piece outside of its entry")
                }
                last = offset + Int64(piece.count)
                total += piece.count
                if !entry.isSparse, data.count < limit { data += piece }
            }
            guard total <= bytes.count, reader.position <= Int64(bytes.count) else {
                throw FuzzFailure(description: "more payload than the archive has bytes")
            }
            listed.append(Listed(path: entry.path, link: entry.linkPath, kind: entry.kind, size: entry.size, data: data))
        }
    }

    /// Nil after an error, `.some(nil)` at the end: `try?` makes one of the two.
    private static func entry(of reader: TarReader) -> TarEntry?? {
        do throws(ArchiveError) { return .some(try reader.next()) } catch { return nil }
    }

    private static func segment(of reader: TarReader) -> (offset: Int64, bytes: UnsafeRawBufferPointer)?? {
        do throws(ArchiveError) { return .some(try reader.readSegment()) } catch { return nil }
    }

    /// The archive with the right sum in each block that looks like a header.
    static func repaired(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        var start = 0
        while start + 512 <= bytes.count {
            defer { start += 512 }
            guard start == 0 || bytes[(start + 257)..<(start + 262)].elementsEqual("ustar".utf8) else { continue }
            for place in (start + 148)..<(start + 156) { bytes[place] = 0x20 }
            var sum = bytes[start..<(start + 512)].reduce(0) { $0 + Int($1) }
            for place in stride(from: start + 153, through: start + 148, by: -1) {
                bytes[place] = UInt8(0x30 + sum % 8)
                sum /= 8
            }
            bytes[start + 154] = 0
        }
        return bytes
    }
}

enum CompressionProperties {
    static func check(_ bytes: [UInt8]) throws(FuzzFailure) {
        let whole = decompressed(bytes, step: .max)
        let pieces = decompressed(bytes, step: 7)
        // Where an error is noticed depends on the pieces; what a whole stream holds does not.
        guard whole.isWhole == pieces.isWhole, !whole.isWhole || whole.bytes == pieces.bytes else {
            throw FuzzFailure(description: "read in pieces, the stream is another one")
        }
    }

    private static func decompressed(_ bytes: [UInt8], step: Int) -> (bytes: [UInt8], isWhole: Bool) {
        let limit = 256 << 10
        var out: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        do throws(ArchiveError) {
            let (prefix, source) = try PrefixedReader.peek(MemoryReader(bytes, step: step), Compression.magicLength)
            guard let decoder = try Compression.detect(prefix).decoder(BufferedLender(source, size: 4096)) else { return ([], true) }
            while out.count < limit {
                var count = 0
                var failed: ArchiveError?
                buffer.withUnsafeMutableBytes { room in
                    do throws(ArchiveError) { count = try decoder.read(into: room) } catch { failed = error }
                }
                if let failed { throw failed }
                if count == 0 { return (out, true) }
                out += buffer[..<count]
            }
            // A bomb: what follows is not looked at, and the two reads may have stopped at different places.
            return ([], true)
        } catch { return (out, false) }
    }
}

/// A store that archives are read beside, made once.
final class FuzzPlace {
    private let name = "berth-fuzz-" + hexadecimal(randomBytes(6))
    private let staging: Staging

    init() throws {
        try FD.cwd.makeDirectory("/tmp/" + name, mode: 0o700)
        staging = try Store(path: "/tmp/" + name, isInUserNamespace: geteuid() != 0).makeStaging()
    }

    func remove() {
        if let tmp = try? FD.cwd.open("/tmp", [.directory]) { try? removeTree(tmp.fd, name) }
    }

    /// What `load` does with an archive before it unpacks a layer.
    func plan(_ bytes: [UInt8]) throws(FuzzFailure) {
        let input = staging.freshName("input")
        do {
            let file = try staging.makeFile(input)
            defer { try? staging.directory.fd.removeFile(input) }
            try file.fd.writeAll(bytes)
            // From its begin: where a descriptor stands is where the archive begins.
            guard cl_lseek(file.raw, 0, SEEK_SET) == 0 else { throw FuzzFailure(description: "lseek: \(errno)") }
            let archive: ImageArchive
            do throws(StoreError) {
                archive = try ImageArchive(file, name: "input", staging: staging, cancellation: nil)
            } catch { return }
            let host = Platform.host(system: "linux", machine: "x86_64")
            for image in (try? ImagePlanner(archive: archive, platform: nil, host: host).plan()) ?? [] {
                guard image.layers.count == image.config.rootfs.diffIDs.count else {
                    throw FuzzFailure(description: "an image with other layers than its config says")
                }
            }
        } catch let error as FuzzFailure { throw error } catch { throw FuzzFailure(description: "\(error)") }
    }

    /// The input as manifest.json, and as index.json and the manifest it may name, of an archive that has a config and a layer.
    func plan(documents bytes: [UInt8]) throws(FuzzFailure) {
        let text = #"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:\#(SHA256.hex([]))"]}}"#
        let config = Array(text.utf8)
        let digest = SHA256.hex(bytes)
        let index =
            #"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:\#(digest)","size":\#(bytes.count)}]}"#
        let layout = ("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
        let common = [
            ("config.json", config), ("layer.tar", []), ("blobs/sha256/\(SHA256.hex(config))", config),
            ("blobs/sha256/\(SHA256.hex([]))", []),
        ]
        try plan(archive(common + [("manifest.json", bytes)]))
        try plan(archive(common + [layout, ("index.json", bytes)]))
        try plan(archive(common + [layout, ("index.json", Array(index.utf8)), ("blobs/sha256/\(digest)", bytes)]))
    }

    private func archive(_ files: [(String, [UInt8])]) throws(FuzzFailure) -> [UInt8] {
        let sink = MemorySink()
        let writer = TarWriter(sink)
        do throws(ArchiveError) {
            for (name, data) in files {
                try writer.append(TarEntry(kind: .file, path: Array(name.utf8), mode: 0o644, size: Int64(data.count)), contents: data)
            }
            try writer.finish()
        } catch { throw FuzzFailure(description: "\(error)") }
        return sink.bytes
    }
}
