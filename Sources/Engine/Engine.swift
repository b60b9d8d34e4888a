import Control
import Linux
import OCI
import Store

/// The engine: what every door (command line, and later the Docker API, CRI and Compose) calls.
///
/// No daemon stands behind it: each process opens the store itself, and races end in the database and in kernel locks.
/// For one thread; opening is free, the database is opened by the first call that needs it.
public final class Engine {
    public let roots: Roots
    /// Path of `berth-runtime`.
    public let runtimeProgram: String
    /// One-line notes for the user that are no failures, in order; doors print them on standard error.
    public var warnings: [String] = []
    /// Pulls an image again by what its registry calls it (`docker.io/library/x@sha256:…`), content that is gone included,
    /// although the store knows the image: what `system check --repair` calls. Nil: there is no way to registries.
    public var repull: ((_ reference: String, _ digest: Digest) throws(EngineError) -> Void)?
    /// Where CDI specifications are, as a caller says; empty: as the configuration says, or where they usually are.
    public var deviceDirectories: [String] = []
    /// Standard input, output and error for containers that have those of who starts them; empty: there are none to give.
    public var callerStreams: [FD] = []
    private var openedStore: Store?
    /// This process has a mount namespace of its own.
    var hasPrivateMounts = false
    lazy var host = HostFacts.read()
    /// Replaced by tests.
    lazy var kernelNetworks = KernelNetworks(run: roots.run)

    public init(roots: Roots, runtimeProgram: String? = nil) {
        self.roots = roots
        self.runtimeProgram = runtimeProgram ?? Engine.findRuntime()
    }

    /// `berth-runtime` beside this program, or else wherever programs are.
    static func findRuntime() -> String {
        if let own = try? FD.cwd.readLink("/proc/self/exe"), let slash = own.lastIndex(of: "/") {
            let beside = own[...slash] + "berth-runtime"
            if FD.cwd.exists(String(beside)) { return String(beside) }
        }
        return findProgram("berth-runtime") ?? "berth-runtime"
    }

    /// The store; opened and, the first time ever, made.
    public func store() throws(EngineError) -> Store {
        if let openedStore { return openedStore }
        // In a rootless store layers carry user.overlay attributes whether or not this process is in a user namespace.
        let opened = try stored { () throws(StoreError) in
            try Store(path: roots.store, isInUserNamespace: host.isRootless ? true : nil)
        }
        opened.chooseLayerFormat = { [unowned opened] () throws(StoreError) in try LayerFormatChoice.choose(for: opened) }
        openedStore = opened
        return opened
    }

    /// Whether there is a store at all: commands that only look must not make one.
    public var hasStore: Bool { openedStore != nil || FD.cwd.exists(roots.store + "/berth.db") || hasLostDatabase }

    /// Images without a database: `system check --repair` makes it anew.
    private var hasLostDatabase: Bool { FD.cwd.exists(roots.store + "/index.json") }

    func warn(_ text: String) { warnings.append(text) }
}

/// Calls the store and tells its failures as the engine's, in Docker's words where it has some.
@inline(__always)
func stored<R: ~Copyable>(_ body: () throws(StoreError) -> R) throws(EngineError) -> R {
    do throws(StoreError) { return try body() } catch { throw EngineError(error) }
}

/// Talks to a supervisor and tells failures as the engine's.
@inline(__always)
func controlled<R: ~Copyable>(_ body: () throws(ControlError) -> R) throws(EngineError) -> R {
    do throws(ControlError) { return try body() } catch { throw EngineError(control: error) }
}

extension EngineError {
    public init(_ error: StoreError) {
        let code: Code =
            switch error.code {
            case .notFound: .notFound
            case .nameInUse, .inUse: .conflict
            case .ambiguous, .invalid, .unsupported, .tooLarge: .invalid
            case .system where error.systemError == .accessDenied || error.systemError == .notPermitted: .permission
            default: .system
            }
        self.init(code, sentence: error.operation.isEmpty ? error.cause : error.description)
    }

    public init(control error: ControlError) {
        if error.code == .startFailed {
            // The text is the runtime's own sentence; the rest would only repeat that something failed.
            self.init(.runtime, sentence: error.cause, exitCode: error.exitCode)
            return
        }
        let code: Code = error.code == .notRunning ? .conflict : .system
        self.init(code, sentence: error.description, exitCode: 125)
    }
}
