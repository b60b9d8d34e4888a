import Archive
import CCrypt
import Glibc
import Linux
import OCI
import Synchronization

/// Basic authentication against an htpasswd file with bcrypt hashes.
///
/// The file is read again when it changes. What was verified once is remembered as a salted hash, so that bcrypt, which takes
/// tens of milliseconds on purpose, runs once for each client rather than once for each request.
final class Authenticator: Sendable {
    struct Credentials: Sendable, Hashable {
        var user: String
        var password: String
    }

    enum Decision: Sendable {
        case accepted(user: String)
        case refused
        /// Has to be verified, on a thread that may block.
        case unknown(Credentials)
    }

    static let failure = APIFailure(401, .unauthorized, "authentication required")
        .with("WWW-Authenticate", "Basic realm=\"berth registry\", charset=\"UTF-8\"")

    private struct State {
        var hashes: [String: String]
        var stamp: Stamp
        var lookedAt: Int64 = 0
        /// User to salted hash of the password that was right.
        var verified: [String: [UInt8]] = [:]
    }

    /// What changes when a file is written or replaced.
    private struct Stamp: Equatable {
        var inode: UInt64
        var size: Int64
        var seconds: Int
        var nanoseconds: Int
    }

    private let path: String
    private let salt = randomBytes(32)
    private let complain: @Sendable (String) -> Void
    private let state: Mutex<State>
    /// Unknown users cost as much time as known ones.
    private static let decoy = "$2b$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

    /// - Throws: `.invalid` when the file cannot be read or has other lines than `user:bcrypt hash`.
    init(path: String, complain: @escaping @Sendable (String) -> Void) throws(RegistryServerError) {
        self.path = path
        self.complain = complain
        let (hashes, stamp) = try Authenticator.load(path)
        state = Mutex(State(hashes: hashes, stamp: stamp))
    }

    private static func load(_ path: String) throws(RegistryServerError) -> ([String: String], Stamp) {
        let (stamp, text): (Stamp, String)
        do throws(SystemError) {
            (stamp, text) = (try Authenticator.stamp(path), try FD.cwd.readText(path))
        } catch {
            throw RegistryServerError(.invalid, "read htpasswd file", path, cause: error.errno.description)
        }
        return (try parse(text, path).get(), stamp)
    }

    private static func stamp(_ path: String) throws(SystemError) -> Stamp {
        let info = try FD.cwd.status(of: path, follow: true)
        return Stamp(
            inode: UInt64(info.st_ino), size: Int64(info.st_size), seconds: info.st_mtim.tv_sec, nanoseconds: info.st_mtim.tv_nsec)
    }

    static func parse(_ text: String, _ path: String) -> Result<[String: String], RegistryServerError> {
        var hashes: [String: String] = [:]
        // By bytes: "\r\n" is one character.
        for (number, bytes) in text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            let line = Substring(bytes.last == 0x0D ? bytes.dropLast() : bytes)
            if line.isEmpty || line.first == "#" { continue }
            func failure(_ cause: String) -> Result<[String: String], RegistryServerError> {
                .failure(RegistryServerError(.invalid, "read htpasswd file", path, cause: "line \(number + 1): \(cause)"))
            }
            guard let colon = line.firstIndex(of: ":"), colon != line.startIndex else { return failure("expected user:hash") }
            let hash = String(line[line.index(after: colon)...])
            guard isBcrypt(hash) else {
                return failure("only bcrypt hashes are accepted; make one with: htpasswd -B -n USER")
            }
            hashes[String(line[..<colon])] = hash
        }
        return .success(hashes)
    }

    /// `$2y$10$` and 53 characters; 2a, 2b and 2y are one method in libxcrypt.
    private static func isBcrypt(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 60, ["$2a$", "$2b$", "$2y$"].contains(where: { text.hasPrefix($0) }) else { return false }
        // A cost above 16 is most of a minute for each login.
        guard let cost = Int(String(decoding: bytes[4..<6], as: UTF8.self)), cost >= 4, cost <= 16 else { return false }
        return bytes[6] == UInt8(ascii: "$")
    }

    /// Looks at an `Authorization` header. Does not block, but for a look at the file's date once a second.
    func check(_ header: String?) -> Decision {
        refresh()
        guard let header, let credentials = Authenticator.credentials(header) else { return .refused }
        let tag = fingerprint(credentials)
        let known = state.withLock { $0.verified[credentials.user] }
        if let known, Authenticator.areEqual(known, tag) { return .accepted(user: credentials.user) }
        return .unknown(credentials)
    }

    static func credentials(_ header: String) -> Credentials? {
        let words = header.split(separator: " ")
        guard words.count == 2, words[0].lowercased() == "basic", let bytes = Base64.decode(String(words[1])),
            let colon = bytes.firstIndex(of: UInt8(ascii: ":")), !bytes.contains(0)
        else { return nil }
        guard let user = String(validating: bytes[..<colon], as: UTF8.self),
            let password = String(validating: bytes[(colon + 1)...], as: UTF8.self)
        else { return nil }
        return Credentials(user: user, password: password)
    }

    /// Computes bcrypt. Blocks for tens of milliseconds.
    func verify(_ credentials: Credentials) -> Bool {
        let expected = state.withLock { $0.hashes[credentials.user] }
        let actual = Authenticator.hash(credentials.password, expected ?? Authenticator.decoy)
        guard let expected, let actual, Authenticator.areEqual(Array(expected.utf8), Array(actual.utf8)) else { return false }
        let tag = fingerprint(credentials)
        state.withLock { state in
            // Only while the file still says so.
            if state.hashes[credentials.user] == expected { state.verified[credentials.user] = tag }
        }
        return true
    }

    private static func hash(_ password: String, _ setting: String) -> String? {
        var output = [CChar](repeating: 0, count: 128)
        guard berth_crypt(password, setting, &output, output.count) == 1 else { return nil }
        // `$2y$` of htpasswd is answered as it was asked.
        return String(decoding: output.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func fingerprint(_ credentials: Credentials) -> [UInt8] {
        var hash = SHA256()
        hash.update(salt)
        hash.update(Array(credentials.user.utf8) + [0] + Array(credentials.password.utf8))
        return hash.finish()
    }

    /// Compares in a time that does not tell where the first difference is.
    static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }

    private func refresh() {
        let now = monotonicNanoseconds()
        let known = state.withLock { state -> Stamp? in
            guard now - state.lookedAt >= 1_000_000_000 else { return nil }
            state.lookedAt = now
            return state.stamp
        }
        guard let known, let current = try? Authenticator.stamp(path), current != known else { return }
        do throws(RegistryServerError) {
            let (hashes, stamp) = try Authenticator.load(path)
            state.withLock { state in
                (state.hashes, state.stamp, state.verified) = (hashes, stamp, [:])
            }
        } catch {
            // A file that is being edited: the last good one counts.
            complain(error.description)
            state.withLock { $0.stamp = current }
        }
    }
}
