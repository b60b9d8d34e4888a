import Archive
import Glibc
import JSON
import Linux

/// A program that keeps credentials: `docker-credential-NAME`.
///
/// Spec: docker-credential-helpers: a verb as argument, one question on standard input, JSON on standard output.
struct CredentialHelper {
    let name: String
    let environment: [String: String]
    let cancellation: Cancellation?

    /// Seconds; a helper may ask its user something.
    private static let patience: Double = 120
    private static let largestAnswer = 1 << 20

    /// - Returns: nil when it has none for the registry.
    func get(_ key: String) throws(RegistryError) -> Credentials? {
        let (status, answer) = try run("get", Array(key.utf8))
        guard status == .exited(0) else {
            let text = String(decoding: answer, as: UTF8.self)
            if text.includes("credentials not found") { return nil }
            throw failure(text)
        }
        guard let value = try? JSONValue.parse(answer, limits: JSONLimits(size: CredentialHelper.largestAnswer, allowsNUL: false)),
            let secret = value["Secret"]?.string
        else { throw failure("the answer is not what was asked for") }
        let user = value["Username"]?.string ?? ""
        if user.isEmpty, secret.isEmpty { return nil }
        return user == "<token>"
            ? Credentials(user: "", password: "", identityToken: secret) : Credentials(user: user, password: secret)
    }

    func store(_ credentials: Credentials, _ key: String) throws(RegistryError) {
        let question = JSONWriter.document { w in
            w.object { w in
                w.field("ServerURL", key)
                let hasToken = !credentials.identityToken.isEmpty
                w.field("Username", hasToken ? "<token>" : credentials.user)
                w.field("Secret", hasToken ? credentials.identityToken : credentials.password)
            }
        }
        let (status, answer) = try run("store", question)
        guard status == .exited(0) else { throw failure(String(decoding: answer, as: UTF8.self)) }
    }

    /// - Returns: false when there was nothing to forget.
    func erase(_ key: String) throws(RegistryError) -> Bool {
        let (status, answer) = try run("erase", Array(key.utf8))
        if status == .exited(0) { return true }
        let text = String(decoding: answer, as: UTF8.self)
        if text.includes("credentials not found") { return false }
        throw failure(text)
    }

    /// All keys it has something for.
    func list() throws(RegistryError) -> [String] {
        let (status, answer) = try run("list", [])
        guard status == .exited(0) else { throw failure(String(decoding: answer, as: UTF8.self)) }
        let value = try? JSONValue.parse(answer, limits: JSONLimits(size: CredentialHelper.largestAnswer))
        return value?.object?.map(\.key) ?? []
    }

    private func failure(_ cause: String) -> RegistryError {
        RegistryError(.configuration, "credential helper docker-credential-\(name): \(Failures.printable(trimmed(cause)))")
    }

    // MARK: The program

    private func run(_ verb: String, _ question: [UInt8]) throws(RegistryError) -> (ExitStatus, [UInt8]) {
        guard let path = program() else {
            throw failure("not found in PATH; install it, or remove it from the configuration file")
        }
        do throws(SystemError) {
            let input = try makePipe().take()
            let output = try makePipe().take()
            let asked = OwnedFD(owning: input.first)
            let asking = OwnedFD(owning: input.second)
            let answered = OwnedFD(owning: output.first)
            let telling = OwnedFD(owning: output.second)
            var request = SpawnRequest(
                path, ["docker-credential-" + name, verb], environment: environment.map { $0.key + "=" + $0.value },
                descriptors: [(asked.fd, 0), (telling.fd, 1), (FD(2), 2)])
            request.parentDeathSignal = SIGKILL
            let process = try spawn(request)
            Linux.close(asked)
            Linux.close(telling)
            // A question is smaller than a pipe. One that does not read it may still answer.
            try? asking.fd.writeAll(question)
            Linux.close(asking)
            let bytes = read(answered.fd)
            if bytes == nil { try? process.pidfd.fd.sendSignal(SIGKILL) }
            let status = try process.wait()
            if let bytes { return (status, bytes) }
        } catch {
            throw failure(error.description)
        }
        if let cancellation, cancellation.isCancelled { throw .cancelled }
        throw failure("no answer within \(Int(CredentialHelper.patience)) s")
    }

    /// Everything until the end; nil when it takes too long or is too much.
    private func read(_ descriptor: FD) -> [UInt8]? {
        let end = deadline(in: CredentialHelper.patience)
        var out: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while out.count <= CredentialHelper.largestAnswer {
            if let cancellation, cancellation.isCancelled { return nil }
            let left = end - monotonicNanoseconds()
            if left <= 0 { return nil }
            var wait = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, Int32(min(left / 1_000_000, 100))) > 0 else { continue }
            let count = piece.withUnsafeMutableBytes { (try? descriptor.read(into: $0)) ?? 0 }
            if count == 0 { return out }
            out += piece[..<count]
        }
        return nil
    }

    /// The program's path; nil when PATH has none. A name with a slash is none: it comes from a file and names a program to run.
    private func program() -> String? {
        guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")) else { return nil }
        for directory in (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":") {
            let path = directory + "/docker-credential-" + name
            if access(path, X_OK) == 0 { return path }
        }
        return nil
    }
}

/// The path without symbolic links; nil when it does not exist.
///
/// C function: `realpath(3)`.
func realPath(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
}
