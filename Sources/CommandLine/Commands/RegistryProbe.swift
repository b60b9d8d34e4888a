import Archive
import Glibc
import Linux
import OCI
import Registry

/// `berth __registry VERB …`: the registry client by itself, for the tests of it. No person types this.
///
/// `NAME=VALUE` words set options: `head=1` (seconds and counts of the limits), `tls=false`, `creds=user:password`, `certs=DIR`.
enum RegistryProbe {
    static func run(_ arguments: [String]) -> Int32 {
        var words: [String] = []
        // Joined at the end.
        var workers: [Worker] = []
        defer { withExtendedLifetime(workers) {} }
        var options = RegistryOptions()
        options.notice = { Session.writeError("note: " + $0 + "\n") }
        for word in arguments {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count < 2 || !set(parts[0], parts[1], &options, &workers) { words.append(word) }
        }
        var environment: [String: String] = [:]
        for entry in currentEnvironment() {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if parts.count == 2 { environment[parts[0]] = parts[1] }
        }
        do throws(RegistryError) {
            let configuration = try RegistryConfiguration.load(environment: environment, home: environment["HOME"] ?? "/")
            let client = RegistryClient(configuration, options)
            defer { client.shutdown() }
            try perform(words, client)
            return 0
        } catch {
            Session.writeError("Error: \(error.cause)\n[\(error.code.rawValue)]\n")
            return 1
        }
    }

    private static func set(_ name: String, _ value: String, _ options: inout RegistryOptions, _ workers: inout [Worker]) -> Bool {
        let number = Double(value) ?? 0
        switch name {
        case "connect": options.limits.connect = number
        case "head": options.limits.head = number
        case "progress": options.limits.progress = number
        case "rate": options.limits.minimumRate = number
        case "attempts": options.limits.attempts = Int(number)
        case "delay": options.limits.firstDelay = number
        case "longest": options.limits.longestDelay = number
        case "budget": options.limits.delayBudget = number
        case "tls": options.tlsVerify = value == "true"
        case "creds": options.credentials = Credentials(value)
        case "certs": options.certificateDirectory = value
        case "cancel":
            let cancellation = Cancellation()
            options.cancellation = cancellation
            let worker = try? Worker {
                usleep(UInt32(number * 1e6))
                cancellation.cancel()
            }
            if let worker { workers.append(worker) }
        default: return false
        }
        return true
    }

    private static func reference(_ text: String, _ client: RegistryClient) throws(RegistryError) -> Reference {
        guard let first = try client.candidates(text).first else { throw RegistryError(.configuration, "no candidate") }
        return first
    }

    private static func descriptor(_ digest: String, _ size: String) throws(RegistryError) -> Descriptor {
        guard let digest = Digest(digest), let size = Int64(size) else { throw RegistryError(.configuration, "digest size") }
        return Descriptor(mediaType: .ociLayerGzip, digest: digest, size: size)
    }

    private static func perform(_ words: [String], _ client: RegistryClient) throws(RegistryError) {
        guard words.count >= 2 else { throw RegistryError(.configuration, "VERB REF") }
        let rest = Array(words.dropFirst(2))
        if words[0] == "candidates" {
            for candidate in try client.candidates(words[1]) { say(candidate.description) }
            return
        }
        let reference = try reference(words[1], client)
        let repository = try client.repository(reference)
        switch words[0] {
        case "head":
            let found = try repository.head(reference.target)
            say(found.map { "\($0.mediaType) \($0.digest) \($0.size)" } ?? "none")
        case "manifest":
            let found = try repository.manifest(reference.target)
            say("\(found.mediaType) \(found.digest) \(found.bytes.count) \(found.host)")
        case "blob":
            try blob(repository, try descriptor(rest[0], rest[1]), rest.count > 2 ? Int64(rest[2]) ?? 0 : 0)
        case "small":
            let bytes = try repository.smallBlob(try descriptor(rest[0], rest[1]), limit: 4 << 20)
            try? FD.standardOutput.writeAll(bytes)
        case "has": say("\(try repository.hasBlob(try descriptor(rest[0], "0").digest))")
        case "mount": say("\(try repository.mount(try descriptor(rest[0], "0").digest, from: rest[1]))")
        case "upload": try upload(repository, rest[0])
        case "put":
            let bytes = (try? FD.cwd.readFile(rest[0])) ?? []
            say("\(try repository.put(bytes, MediaType(rest[1]), as: reference.target))")
        case "delete": try repository.delete(reference.target)
        case "crowd": try crowd(repository, rest)
        case "tags": say(try repository.tags().joined(separator: "\n"))
        case "referrers":
            for found in try repository.referrers(try descriptor(rest[0], "0").digest, artifactType: rest.dropFirst().first) {
                say("\(found.digest) \(found.artifactType)")
            }
        default: throw RegistryError(.configuration, "no such verb")
        }
    }

    private static func say(_ text: String) { try? FD.standardOutput.writeAll(text + "\n") }

    private static func blob(_ repository: Repository, _ descriptor: Descriptor, _ offset: Int64) throws(RegistryError) {
        let stream = try repository.blob(descriptor, from: offset)
        var buffer = [UInt8](repeating: 0, count: pipelineBufferSize)
        while true {
            let count: Int
            do throws(ArchiveError) {
                count = try buffer.withUnsafeMutableBytes { bytes in
                    Result { () throws(ArchiveError) in try stream.read(into: bytes) }
                }.get()
            } catch {
                throw stream.failure ?? RegistryError(.network, "no failure told: \(error)")
            }
            if count == 0 { return }
            try? FD.standardOutput.writeAll(Array(buffer[..<count]))
        }
    }

    /// `crowd REF THREADS ROUNDS DIGEST SIZE …`: as many threads with one client, each asking for tags and all blobs in turn.
    private static func crowd(_ repository: Repository, _ rest: [String]) throws(RegistryError) {
        guard rest.count >= 4, let threads = Int(rest[0]), let rounds = Int(rest[1]) else {
            throw RegistryError(.configuration, "THREADS ROUNDS DIGEST SIZE")
        }
        var blobs: [Descriptor] = []
        for index in stride(from: 2, to: rest.count - 1, by: 2) { blobs.append(try descriptor(rest[index], rest[index + 1])) }
        let (wanted, counts) = (blobs, Counts())
        var workers: [Worker] = []
        for number in 0..<threads {
            let worker = try? Worker {
                counts.waitForAll(threads)
                for round in 0..<rounds {
                    do throws(RegistryError) {
                        let blob = wanted[(number + round) % wanted.count]
                        counts.note(tags: try repository.tags().count, isRight: try sum(repository, blob) == blob.digest.hex)
                    } catch { counts.note("\(error.cause) [\(error.code.rawValue)]") }
                }
            }
            if let worker { workers.append(worker) }
        }
        for worker in workers { worker.join() }
        say(counts.text)
    }

    private static func sum(_ repository: Repository, _ blob: Descriptor) throws(RegistryError) -> String {
        let stream = try repository.blob(blob)
        let lender = BufferedLender(stream)
        var hash = SHA256()
        do throws(ArchiveError) {
            while true {
                let piece = try lender.lend()
                if piece.isEmpty { return hash.finishHex() }
                hash.update(piece)
            }
        } catch { throw stream.failure ?? RegistryError(.network, "no failure told: \(error)") }
    }

    private final class Counts: @unchecked Sendable {
        // SAFETY: everything is only touched under the monitor's lock.
        private let monitor = Archive.Monitor()
        private var ready = 0
        private var (tags, right, wrong) = (0, 0, 0)
        private var failures: [String] = []

        /// All begin at once.
        func waitForAll(_ threads: Int) {
            monitor.lock()
            ready += 1
            monitor.wakeAll()
            while ready < threads { monitor.wait() }
            monitor.unlock()
        }

        func note(tags count: Int, isRight: Bool) {
            monitor.locked {
                tags += count
                if isRight { right += 1 } else { wrong += 1 }
            }
        }

        func note(_ failure: String) { monitor.locked { failures.append(failure) } }

        var text: String {
            monitor.locked { (["tags \(tags) right \(right) wrong \(wrong)"] + failures).joined(separator: "\n") }
        }
    }

    private static func upload(_ repository: Repository, _ path: String) throws(RegistryError) {
        guard let file = try? FD.cwd.open(path, .readOnly), let bytes = try? file.fd.readAll(limit: 1 << 30) else {
            throw RegistryError(.configuration, "read \(path)")
        }
        var hash = SHA256()
        hash.update(bytes)
        guard let digest = Digest(bytes: hash.finish()) else { return }
        let descriptor = Descriptor(mediaType: .ociLayerGzip, digest: digest, size: Int64(bytes.count))
        try repository.upload(descriptor, from: file.fd, progress: { Session.writeError("sent \($0)\n") })
        say(digest.description)
    }
}
