import Dockerfile
import Engine
import OCI

/// What a build is asked to do.
public struct BuildRequest: Sendable {
    public var source: SourceText
    public var context: BuildContext?
    /// `--build-arg`, with those that were given by name only resolved.
    public var arguments = BuildEnvironment()
    /// Name of a stage; empty: the last one.
    public var target = ""
    public var names: [Reference] = []
    /// `--label`.
    public var labels: [String: String] = [:]
    /// False: every step is done (`--no-cache`).
    public var usesCache = true
    /// Of the image, and where steps run.
    public var platform: Platform
    /// `--secret`, by id.
    public var secrets: [String: [UInt8]] = [:]
    /// Networks, limits and names that steps have, as `run` has them; its command is each step's.
    public var container = ContainerRequest(image: "")
    /// Nothing in the image is newer, nanoseconds since 1970 (SOURCE_DATE_EPOCH); nil: as it is.
    public var epoch: Int64?

    public init(_ source: SourceText, platform: Platform) {
        self.source = source
        self.platform = platform
    }
}

/// Why a build ended without an image.
public struct BuildFailure: Error, Sendable {
    /// One sentence.
    public var message: String
    /// What in the Dockerfile it is about; empty: nothing.
    public var excerpt = ""

    public init(_ message: String, excerpt: String = "") {
        self.message = message
        self.excerpt = excerpt
    }

    init(_ diagnostic: Diagnostic, _ source: SourceText) {
        self.init(diagnostic.description, excerpt: diagnostic.excerpt(of: source))
    }

    init(_ error: EngineError) { self.init(error.description) }
}

/// Who is told how a build goes on. Called by the thread that builds, in the order of what happens.
public protocol BuildObserver: AnyObject {
    /// - Parameter title: `[builder 2/5] RUN make`.
    func stepBegins(_ number: Int, _ title: String)
    /// - Parameter isError: it wrote to standard error.
    func stepWrites(_ number: Int, _ bytes: ArraySlice<UInt8>, isError: Bool)
    func stepEnds(_ number: Int, isCached: Bool, nanoseconds: Int64)
    /// An image that a stage begins with is needed.
    ///
    /// - Returns: its id in the store, pulled if need be.
    func image(_ name: String, _ platform: Platform) throws(EngineError) -> String
}
