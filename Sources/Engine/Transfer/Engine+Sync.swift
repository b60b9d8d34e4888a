import Glibc
import Linux
import OCI
import Registry

/// Where a synchronisation reads and writes.
public enum SyncTransport: String, Sendable, CaseIterable {
    case registry = "docker"
    case directory = "dir"
    case store = "berth"
    case yaml
}

/// What `image sync` copies where.
public struct SyncRequest {
    public var source: String
    public var from: SyncTransport
    public var destination: String
    public var to: SyncTransport
    public var sourceAccess = TransferAccess()
    public var destinationAccess = TransferAccess()
    public var options = CopyOptions()
    /// Names at the destination keep the source's whole name.
    public var isScoped = false
    /// A failure does not stop the others.
    public var keepsGoing = false
    public var isDryRun = false

    public init(source: String, from: SyncTransport, destination: String, to: SyncTransport) {
        self.source = source
        self.from = from
        self.destination = destination
        self.to = to
    }
}

extension Engine {
    /// Copies every image of a repository, or of a directory of directories.
    ///
    /// - Returns: how many were copied, and what went wrong with the others.
    public func syncImages(_ request: SyncRequest) throws(EngineError) -> (count: Int, failures: [EngineError]) {
        if request.from == .yaml || request.to == .yaml {
            throw EngineError(
                .notSupported, sentence: "sync from a YAML file is not supported: call berth image sync once for each repository")
        }
        guard request.from != .store else {
            throw EngineError(.notSupported, sentence: "sync from the local store is not supported: use berth image copy berth:NAME")
        }
        guard request.from != .directory || request.to != .directory else {
            throw EngineError(
                .invalid,
                sentence:
                    "one side of image sync must be a registry: to copy a directory, type cp -r \(request.source) \(request.destination)"
            )
        }
        let pairs = try syncPairs(request)
        guard !pairs.isEmpty else {
            throw EngineError(.notFound, sentence: "no images to sync found in \"\(request.source)\"")
        }
        var count = 0
        var failures: [EngineError] = []
        for (source, destination) in pairs {
            request.options.progress("Copying image \(source) to \(destination)")
            if request.isDryRun {
                count += 1
                continue
            }
            do throws(EngineError) {
                var copy = CopyRequest(source: source, destination: destination)
                copy.sourceAccess = request.sourceAccess
                copy.destinationAccess = request.destinationAccess
                copy.options = request.options
                _ = try copyImage(copy)
                count += 1
            } catch {
                guard request.keepsGoing else { throw error }
                failures.append(error)
            }
        }
        return (count, failures)
    }

    private func syncPairs(_ request: SyncRequest) throws(EngineError) -> [(ImageLocation, ImageLocation)] {
        var pairs: [(ImageLocation, ImageLocation)] = []
        switch request.from {
        case .registry:
            for reference in try syncReferences(request) {
                let source = ImageLocation(registry: reference)
                pairs.append((source, try syncDestination(request, reference.description)))
            }
        default:
            for directory in try Engine.imageDirectories(request.source) {
                let source = ImageLocation(transport: .directory, path: request.source + (directory.isEmpty ? "" : "/" + directory))
                let suffix = directory.isEmpty ? Engine.lastComponent(request.source) : directory
                pairs.append((source, try syncDestination(request, suffix)))
            }
        }
        return pairs
    }

    private func syncReferences(_ request: SyncRequest) throws(EngineError) -> [Reference] {
        let text = request.source.hasPrefix("docker://") ? String(request.source.dropFirst(9)) : request.source
        let reference: Reference
        do throws(OCIError) { reference = try Reference.parse(text) } catch {
            throw .invalid("cannot obtain a valid image reference from \"\(request.source)\": \(error.description)")
        }
        if reference.tag != nil || reference.digest != nil { return [reference] }
        let tags = try request.sourceAccess.tags(of: reference)
        var references: [Reference] = []
        for tag in tags.sorted() {
            references.append(try documented(tag) { () throws(OCIError) in try reference.with(tag: tag) })
        }
        return references
    }

    private func syncDestination(_ request: SyncRequest, _ name: String) throws(EngineError) -> ImageLocation {
        let suffix = request.isScoped ? name : Engine.lastComponent(name)
        var base = request.destination
        while base.utf8.count > 1, base.hasSuffix("/") { base.removeLast() }
        switch request.to {
        case .directory:
            let path = base + "/" + suffix
            guard !FD.cwd.exists(path) else {
                throw EngineError(.conflict, sentence: "refusing to overwrite destination directory \"\(path)\": remove it first")
            }
            // The directories above are made; the last one appears when the image is whole.
            if let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) {
                let parent = String(path[..<slash])
                if !request.isDryRun {
                    try during("make directory", parent) { () throws(SystemError) in try FD.cwd.makeDirectories(parent) }
                }
            }
            // Written out, as a name has colons that `dir:` reads as part of the path anyway.
            return ImageLocation(transport: .directory, path: path)
        case .registry:
            let text = (base.hasPrefix("docker://") ? String(base.dropFirst(9)) : base) + "/" + suffix
            return try ImageLocation.parse("docker://" + text)
        default:
            let text = base.isEmpty || base == "." ? suffix : base + "/" + suffix
            return try ImageLocation.parse("berth:" + text)
        }
    }

    private static func lastComponent(_ path: String) -> String {
        String(path.split(separator: "/").last ?? "")
    }

    /// Directories below one that hold an image of `dir:`, relative to it. Links are not followed.
    private static func imageDirectories(_ path: String) throws(EngineError) -> [String] {
        let root = try during("open", path) { () throws(SystemError) in SharedFD(try FD.cwd.open(path, [.directory])) }
        var found: [String] = []
        var pending = [""]
        while let next = pending.popLast() {
            // Registry, namespaces and name: deeper is no directory of sync.
            guard next.utf8.count < 4096 else { continue }
            let entries = try during("read directory", path + "/" + next) { () throws(SystemError) in
                let directory = try root.fd.open(
                    next.isEmpty ? "." : next, [.directory], resolve: [.beneath, .noSymlinks])
                return try directoryEntries(directory.fd)
            }
            if entries.contains(where: { $0.name == "manifest.json" && $0.type == 8 /* DT_REG */ }) {
                found.append(next)
                continue
            }
            for entry in entries where entry.type == 4 /* DT_DIR */ {
                pending.append(next.isEmpty ? entry.name : next + "/" + entry.name)
            }
        }
        return found.sorted()
    }
}
