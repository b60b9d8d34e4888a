import CLinux
import Glibc
import Linux
import OCI

/// The program the container runs, found the way a shell would find it, inside the container's root.
struct ProgramImage {
    let path: String
    let arguments: [String]
    let environment: [String]

    /// Resolves `args[0]` by PATH of the container and completes HOME.
    ///
    /// Runs inside the container, as its user.
    /// - Throws: `.commandNotFound` (127) or `.commandNotExecutable` (126), with the words users know from runc.
    static func find(_ process: OCI.Process) throws(RuntimeError) -> ProgramImage {
        guard let name = process.args.first, !name.isEmpty else {
            throw .invalid("process.args", "there is no program to run")
        }
        var environment = process.env
        if !environment.contains(where: { $0.hasPrefix("HOME=") && $0.utf8.count > 5 }) {
            environment.removeAll { $0.hasPrefix("HOME=") }
            environment.append("HOME=" + homeDirectory(of: process.user.uid))
        }
        return ProgramImage(path: try resolve(name, environment), arguments: process.args, environment: environment)
    }

    private static func resolve(_ name: String, _ environment: [String]) throws(RuntimeError) -> String {
        if name.utf8.contains(UInt8(ascii: "/")) {
            let failure = probe(name)
            if failure == 0 { return name }
            let code: RuntimeError.Code = failure == ENOENT || failure == ENOTDIR ? .commandNotFound : .commandNotExecutable
            let verb = failure == ENOENT || failure == ENOTDIR ? "stat \(name): " : ""
            throw RuntimeError(code, "exec", name, cause: verb + Errno(rawValue: failure).description)
        }
        let search = environment.last { $0.hasPrefix("PATH=") }.map { $0.dropFirst(5) } ?? ""
        var denied = false
        for directory in search.split(separator: ":", omittingEmptySubsequences: false) {
            let candidate = (directory.isEmpty ? "." : directory) + "/" + name
            let failure = probe(candidate)
            if failure == 0 { return candidate }
            if failure == EACCES { denied = true }
        }
        if denied { throw RuntimeError(.commandNotExecutable, "exec", name, cause: "permission denied") }
        throw RuntimeError(.commandNotFound, "exec", name, cause: "executable file not found in $PATH")
    }

    /// 0 when the file can be executed, else the errno that says why not.
    private static func probe(_ path: String) -> Int32 {
        var info = stat()
        let found = cl_fstatat(AT_FDCWD, path, &info, 0)
        if found < 0 { return -found }
        if info.st_mode & S_IFMT == S_IFDIR { return EISDIR }
        // AT_EACCESS: by the effective ids and capabilities that execve will look at.
        let access = cl_faccessat(AT_FDCWD, path, X_OK, 0x200)
        return access < 0 ? -access : 0
    }

    /// From the container's `/etc/passwd`, `/` when it does not say. Only a regular file of bounded size is read: the
    /// image may have put anything there (CVE-2025-4437).
    private static func homeDirectory(of uid: UInt32) -> String {
        guard let file = try? FD.cwd.open("/etc/passwd", [.readOnly, .nonBlocking, .noControllingTerminal]),
            let info = try? file.fd.status(), info.st_mode & S_IFMT == S_IFREG,
            let bytes = try? file.fd.readAll(limit: 10 << 20)
        else { return "/" }
        var start = 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            // A line that no program would write is passed over unread.
            if end - start < 4096, let home = home(in: bytes[start..<end], of: uid) { return home }
            start = end + 1
        }
        return "/"
    }

    private static func home(in line: ArraySlice<UInt8>, of uid: UInt32) -> String? {
        let fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard fields.count >= 6, UInt32(String(decoding: fields[2], as: UTF8.self)) == uid else { return nil }
        let home = String(decoding: fields[5], as: UTF8.self)
        return home.isEmpty ? "/" : home
    }

    /// The last preparations that a seccomp filter need not allow.
    ///
    /// Everything above the preserved descriptors closes by CLOEXEC at execve, not before: the sync socket tells the
    /// creator of success by closing.
    func prepare(preserving count: Int32, blockingSignals: Bool) {
        _ = cl_close_range(UInt32(3 + count), UInt32.max, 4 /* CLOSE_RANGE_CLOEXEC */)
        for number in 3..<(3 + max(0, count)) { _ = cl_fcntl(number, F_SETFD, 0) }
        // Default dispositions and an empty mask: what the creator ignored or blocked is not the program's business.
        _ = cl_signal_default_all()
        if blockingSignals { _ = cl_signal_mask(UInt64.max, nil) }
    }

    /// Replaces this process; returns only with the reason why that failed. execve(2) and nothing else.
    func execute() -> RuntimeError {
        let argv = CStringArray(arguments)
        let envp = CStringArray(environment)
        let failure = -cl_execve(path, argv.pointer, envp.pointer)
        let code: RuntimeError.Code = failure == ENOENT ? .commandNotFound : .commandNotExecutable
        return RuntimeError(code, "exec", path, cause: Errno(rawValue: failure).description)
    }
}

/// `process.cwd`.
enum WorkingDirectory {
    /// Makes it when it is missing, as Docker's users expect of WORKDIR.
    static func make(_ path: String) throws(RuntimeError) {
        if path == "/" || FD.cwd.exists(path) { return }
        try kernel("make working directory") { () throws(SystemError) in
            let root = try FD.cwd.open("/", [.path, .directory])
            do throws(SystemError) {
                _ = try RootfsPath(root: root.fd).makeTarget(path, .directory).take()
            } catch {
                // A read-only root without it is told by the chdir that follows.
                if error.errno != .readOnly { throw error }
            }
        }
    }

    /// Enters it and makes sure that it lies inside the container: a leaked descriptor of the host behind
    /// `/proc/self/fd/N` as working directory would be a way out (CVE-2024-21626).
    static func enter(_ path: String) throws(RuntimeError) {
        try kernel("enter working directory") { () throws(SystemError) in
            try check(cl_chdir(path.isEmpty ? "/" : path), "change directory", path)
            var buffer = [CChar](repeating: 0, count: 4097)
            let length = cl_getcwd(&buffer, 4096)
            if length < 1 || buffer[0] != CChar(bitPattern: UInt8(ascii: "/")) {
                throw SystemError(.notPermitted, "use working directory outside of the container", path)
            }
        }
    }
}
