import CLinux
import Glibc
import JSON
import Linux
import OCI
import Seccomp

/// A compiled filter and, when it notifies, the connected socket that its listener goes to.
///
/// The socket is connected by the creator, on the host: the path means nothing inside the container.
struct PreparedSeccomp {
    let program: SeccompProgram
    let listener: SharedFD?
    let metadata: String

    /// - Throws: `.invalid` for a profile that cannot be compiled, `.system` when the listener cannot be reached.
    ///
    /// - Parameter directory: where the compiled filter of the same profile may be, and is put.
    init(_ profile: LinuxSeccomp, cached directory: StateDirectory? = nil) throws(RuntimeError) {
        if let directory, let known = Self.cached(in: directory) {
            program = known
        } else {
            do throws(SeccompError) { program = try SeccompCompiler.compile(profile) } catch {
                throw .invalid("linux.seccomp", error.description)
            }
            // The next one compiles it again where this fails.
            if let directory { try? FD.cwd.replaceFile(directory.seccompPath, with: program.serialized(), durable: false) }
        }
        metadata = profile.listenerMetadata
        if program.needsListener {
            guard !profile.listenerPath.isEmpty else {
                throw .invalid("linux.seccomp", "SCMP_ACT_NOTIFY needs listenerPath")
            }
            let path = profile.listenerPath
            listener = try kernel("reach seccomp listener") { () throws(SystemError) in
                SharedFD(try connectLocal(path, kind: .stream))
            }
        } else {
            listener = nil
        }
    }

    private static func cached(in directory: StateDirectory) -> SeccompProgram? {
        guard let bytes = try? FD.cwd.readFile(directory.seccompPath) else { return nil }
        return try? SeccompProgram(serialized: bytes)
    }

    /// Installs the filter in this process. Needs no_new_privs or CAP_SYS_ADMIN.
    ///
    /// - Parameter state: the container's state, sent along with a notification descriptor
    ///   (runtime-spec config-linux.md "The Container Process State").
    func load(state: State) throws(SystemError) {
        // Ready before the filter is: until the agent has the listener, a call that notifies waits for ever.
        var message: [UInt8] = []
        if listener != nil {
            let process = ContainerProcessState(
                ociVersion: state.ociVersion, fds: ["seccompFd"], pid: state.pid, metadata: metadata, state: state)
            message = encodedDocument(process.write(to:))
        }
        let result = program.instructions.withUnsafeBytes {
            cl_seccomp_load($0.baseAddress, UInt16(clamping: program.instructions.count), program.flags.rawValue)
        }
        try check(result, "load seccomp filter")
        guard let listener else { return }
        let notifications = OwnedFD(owning: result)
        try listener.fd.send(message, descriptors: [notifications.fd])
    }
}
