import Engine
import Flags
import Glibc
import Linux
import OCI

extension ParsedArguments {
    /// How one side talks to its registry.
    ///
    /// - Parameters:
    ///   - side: `src-`, `dest-` or nothing.
    ///   - retries: whether the command has `--retry` and `--retry-delay`.
    func registryAccess(_ side: String = "", retries: Bool = false) throws(CommandError) -> TransferAccess {
        var access = TransferAccess()
        access.credentials = optionalString(side + "creds")
        access.isAnonymous = bool(side + "no-creds")
        if access.isAnonymous, access.credentials != nil {
            throw CommandError("--\(side)creds and --\(side)no-creds contradict each other")
        }
        if isSet(side + "tls-verify") { access.tlsVerify = bool(side + "tls-verify") }
        if side.isEmpty, bool("insecure") { access.tlsVerify = false }
        access.certificateDirectory = optionalString(side + "cert-dir")
        if retries {
            if isSet("retry") { access.retries = Int(clamping: uint64("retry") ?? 0) }
            if isSet("retry-delay"), let delay = int64("retry-delay") {
                guard delay >= 0 else { throw CommandError("--retry-delay cannot be negative") }
                access.retryDelay = Double(delay) / 1e9
            }
        }
        access.authFile = optionalString(side + "authfile") ?? (side.isEmpty ? nil : optionalString("authfile"))
        return access
    }

    func signaturePolicy() throws(CommandError) -> Policy {
        let path = optionalString("signature-policy")
        return try engine { () throws(EngineError) in try Policy.load(path) }
    }

    /// The pinning file of `--lock`; nil without one.
    func lockFile() throws(CommandError) -> LockFile? {
        let isFrozen = bool("locked")
        guard let path = optionalString("lock") else {
            if isFrozen { throw CommandError("--locked needs --lock FILE") }
            return nil
        }
        return try engine { () throws(EngineError) in try LockFile(path: path, isFrozen: isFrozen) }
    }

    func manifestFormat() throws(CommandError) -> ManifestFormat? {
        guard let text = optionalString("format"), !text.isEmpty else { return nil }
        return try engine { () throws(EngineError) in try ManifestFormat.parse(text) }
    }

    /// `key=value` texts of a flag; what has no `=` is refused.
    func annotations(_ name: String = "annotation") throws(CommandError) -> [String: String] {
        var result: [String: String] = [:]
        for text in strings(name) {
            let pair = ParsedArguments.pair(text)
            guard text.utf8.contains(UInt8(ascii: "=")), !pair.key.isEmpty else {
                throw CommandError("no value given for annotation \"\(text)\": write key=value")
            }
            result[pair.key] = pair.value
        }
        return result
    }
}

extension Session {
    /// Writes a digest to the file of `--digestfile`.
    func writeDigest(_ digest: Digest) throws(CommandError) {
        guard let path = arguments.optionalString("digestfile") else { return }
        do throws(SystemError) {
            try write(digest.description, to: path)
        } catch {
            throw CommandError("failed to write digest to file \"\(path)\": \(error)")
        }
    }

    /// Writes a small file of a person's whole or not at all; what is no file (/dev/stderr, a pipe) is written to, not replaced.
    func write(_ text: String, to path: String) throws(SystemError) {
        guard let info = try? FD.cwd.status(of: path), info.st_mode & S_IFMT != S_IFREG else {
            return try FD.cwd.replaceFile(path, with: Array(text.utf8), mode: 0o644, durable: true)
        }
        let target = try FD.cwd.open(path, .writeOnly)
        try target.fd.writeAll(text)
    }

    /// Runs what Ctrl-C may stop: exit status 130 then, as of a shell.
    func interruptible<R>(_ body: (CopyCancellation) throws(EngineError) -> R) throws(CommandError) -> R {
        let interruption = Interruption()
        do throws(EngineError) {
            return try body(interruption?.cancellation ?? CopyCancellation())
        } catch {
            if interruption?.cancellation.isCancelled == true { throw CommandError("interrupted", status: 130) }
            throw CommandError(error)
        }
    }

    /// Where steps are told: at once, as a copy may take long.
    func progress() -> (String) -> Void {
        if arguments.bool("quiet") { return { _ in } }
        return { line in
            self.print(line)
            self.flush()
        }
    }
}
