import Testing

/// Where unsafe code may stand, and that it says why it is safe.
struct UnsafeCodeTests {
    /// Floors that speak to the kernel: their whole purpose is to give unsafe calls a safe face.
    private let kernelFloors: Set<String> = ["CLinux", "Linux"]

    /// Files elsewhere that keep pointers or claim sendability by hand, each with its reason. Keep it short: a new line
    /// here is a design decision.
    private let exceptions: [String: String] = [
        "Archive/Files.swift": "xattr and copy buffers",
        "Archive/Gzip.swift": "zlib's stream structure",
        "Archive/LayerStream.swift": "buffers handed between threads",
        "Archive/PaxRecords.swift": "a view into the header block",
        "Archive/Ring.swift": "one ring of memory between reader and writer threads",
        "Archive/SHA256.swift": "libcrypto's context",
        "Archive/SHA512.swift": "libcrypto's context",
        "Archive/Streams.swift": "buffers of the pipeline",
        "Archive/TarHeader.swift": "a 512-byte block read in place",
        "Archive/TarReader.swift": "blocks read in place",
        "Archive/TarWriter.swift": "blocks written in place",
        "Archive/Worker.swift": "pthread entry points",
        "Archive/Zstd.swift": "zstd's buffers",
        "CommandLine/Commands/RegistryProbe.swift": "state of several threads, under a lock",
        "CommandLine/Session.swift": "one object that is meant to live until exit",
        "Control/JSONLogLine.swift": "log lines decoded in place",
        "Control/LineBuffer.swift": "log lines without a copy each",
        "Control/LogFiles.swift": "log bytes read in place",
        "Control/LogRecord.swift": "log lines parsed in place",
        "Control/OutputPump.swift": "one buffer between container and client",
        "Control/TailScanner.swift": "log bytes searched in place",
        "Control/TimeText.swift": "time stamps written and read in place",
        "Engine/Policy/PublicKey.swift": "libcrypto's keys",
        "Engine/Transfer/ArchiveDestinations.swift": "blobs written from the stream's buffer",
        "Engine/Transfer/RegistrySource.swift": "blobs read only to be verified",
        "Engine/Transfer/SpoolFile.swift": "the reader's buffer, handed on",
        "Engine/Transfer/StoreDestination.swift": "state of several threads, under a lock",
        "Engine/Transfer/VerifyingSink.swift": "blobs hashed in the stream's buffer",
        "JSON/JSONKey.swift": "keys compared in the document without a String each",
        "JSON/JSONParser.swift": "the document's bytes, borrowed for the parse",
        "JSON/JSONParser+Numbers.swift": "the document's bytes, borrowed for the parse",
        "JSON/JSONParser+Strings.swift": "the document's bytes, borrowed for the parse",
        "JSON/JSONWriter.swift": "string bytes without a copy",
        "RegistryServer/Storage/Connections.swift": "database connections that move between threads",
        "Registry/BlobStream.swift": "the reader's buffer, filled in place",
        "Registry/Transport/Exchange.swift": "the reader's buffer, filled in place",
        "Registry/Transport/Monitor.swift": "a mutex and its condition",
        "CommandLine/Output/TransferProgress.swift": "state of several threads, under a lock",
        "Engine/Images/Engine+Push.swift": "state of several threads, under a lock",
        "Engine/Images/RegistryBlobs.swift": "the reader's buffer, handed on",
        "Store/Erofs/TarCopy.swift": "a layer's tar written and hashed from the stream's buffer",
        "Store/Fetch/PartialBlob.swift": "blobs written from the stream's buffer",
        "Store/Fetch/Store+Fetch.swift": "state of several threads, under a lock",
        "Build/TreeDigest.swift": "file content hashed from a buffer of its own",
        "Store/Builds/BuildSession.swift": "state of several threads, under a lock",
        "Store/Builds/Ingest+Upper.swift": "a layer's tar hashed from the writer's buffer",
        "Store/Ingest.swift": "state of several threads, under a lock",
        "Store/Database.swift": "SQLite's handles",
        "Store/Database+Faults.swift": "SQLite's handles",
        "Store/ImageOutput.swift": "blobs written from the stream's buffer",
        "Store/LayerPath.swift": "names as C strings without a copy",
        "Store/LayerUnpacker.swift": "file content written from the stream's buffer",
        "Store/LayerUnpacker+Metadata.swift": "attribute names and values handed to the kernel",
        "Store/Statement.swift": "SQLite's handles and column bytes",
        "Store/TreeRemoval.swift": "directory entries read in place",
        "YAML/YAMLEvents.swift": "libyaml's parser and events",
        "YAML/YAMLComposer.swift": "the document's bytes, borrowed for the parse",
        "Supervision/Log/LineAssembler.swift": "output taken apart where it was read",
        "Supervision/LogWriter.swift": "a log line framed in place",
        "Supervision/MappedBuffer.swift": "pages given back to the kernel when idle",
        "Supervision/OutputStream.swift": "a log line framed in place",
        "Supervision/SuperviseMain.swift": "the C signature of an entry point",
    ]

    /// Pointers with a name, and promises to the compiler. A `withUnsafe…` closure that hands a borrowed buffer to a
    /// system call is not among them: its lifetime is the closure's.
    private static let words = [
        "UnsafePointer", "UnsafeMutablePointer", "UnsafeRawPointer", "UnsafeMutableRawPointer", "UnsafeBufferPointer",
        "UnsafeMutableBufferPointer", "UnsafeRawBufferPointer", "UnsafeMutableRawBufferPointer", "OpaquePointer",
        "Unmanaged", "@unchecked", "nonisolated(unsafe)", "unsafeBitCast", "unsafeDowncast", "unsafelyUnwrapped",
    ]

    @Test func unsafeCodeStandsWhereItIsListed() throws {
        for file in try SourceTree.swiftFiles() where !kernelFloors.contains(file.target) {
            guard let number = file.code.firstIndex(where: isUnsafe), exceptions[file.path] == nil else { continue }
            Issue.record("\(file.path):\(number + 1) has unsafe code and is not in the list: \(file.lines[number])")
        }
    }

    @Test func unsafeCodeSaysWhyItIsSafe() throws {
        for file in try SourceTree.swiftFiles() where exceptions[file.path] != nil && file.code.contains(where: isUnsafe) {
            #expect(file.lines.contains { $0.contains("SAFETY:") }, "\(file.path) has no SAFETY: line")
        }
    }

    @Test func promisesToTheCompilerAreExplainedWhereTheyAreMade() throws {
        for file in try SourceTree.swiftFiles() {
            for (number, line) in file.code.enumerated() {
                guard line.contains("@unchecked") || line.contains("nonisolated(unsafe)") else { continue }
                let around = file.lines[max(0, number - 4)...min(number + 2, file.lines.count - 1)]
                #expect(around.contains { $0.contains("SAFETY:") }, "\(file.path):\(number + 1) has no SAFETY: line beside it")
            }
        }
    }

    private func isUnsafe(_ line: String) -> Bool {
        Self.words.contains { word in
            guard contains(line, word) else { return false }
            // `withUnsafePointer(to:)` has one of the words in it and is none.
            let bare = line.split(separator: "withUnsafe", omittingEmptySubsequences: false)
            guard bare.count > 1 else { return true }
            return bare[0].contains(word) || bare.dropFirst().contains { $0.drop { $0.isLetter }.contains(word) }
        }
    }
}
