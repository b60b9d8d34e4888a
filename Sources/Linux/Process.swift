import CLinux
import Glibc

/// Reaps one child. The C function is `waitpid(2)`.
/// - Returns: the pid and its status, or nil when `options` has WNOHANG and none has ended.
public func waitForProcess(_ pid: Int32, options: Int32 = 0) throws(SystemError) -> (pid: Int32, status: ExitStatus)? {
    var raw: Int32 = 0
    let result = try check(cl_waitpid(pid, &raw, options), "wait for process", "\(pid)")
    return result == 0 ? nil : (result, ExitStatus(waitStatus: raw))
}

/// How a process ended.
public enum ExitStatus: Hashable, Sendable {
    case exited(Int32)
    case signaled(Int32)

    public init(waitStatus: Int32) {
        self = cl_wifsignaled(waitStatus) != 0 ? .signaled(cl_wtermsig(waitStatus)) : .exited(cl_wexitstatus(waitStatus))
    }

    /// The shell's convention: the code, or 128 + signal.
    public var code: Int32 {
        switch self {
        case .exited(let code): return code
        case .signaled(let signal): return 128 + signal
        }
    }
}

/// What ``spawn(_:)`` starts.
public struct SpawnRequest {
    public var path: String
    /// The program as a descriptor instead of a path (`execveat` with AT_EMPTY_PATH).
    public var executable: FD?
    public var arguments: [String]
    public var environment: [String]
    /// Descriptors the child gets, as (ours, theirs). Everything else is closed.
    public var descriptors: [(from: FD, to: Int32)]
    public var workingDirectory: String?
    public var newSession = false
    public var parentDeathSignal: Int32 = 0
    /// Namespaces to join first (setns in this order).
    public var join: [FD] = []
    /// Become uid and gid 0 after the joins.
    public var becomeRoot = false
    public var cloneFlags: UInt64 = 0

    public init(
        _ path: String, _ arguments: [String], environment: [String] = currentEnvironment(),
        descriptors: [(from: FD, to: Int32)] = [(FD(0), 0), (FD(1), 1), (FD(2), 2)]
    ) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.descriptors = descriptors
    }
}

/// Starts a program; safe from a multi-threaded process. The child has default signal dispositions and an empty mask.
///
/// - Returns: pid and a pidfd.
/// - Throws: the error of whatever step failed, the exec included (there is no child then).
public func spawn(_ request: SpawnRequest) throws(SystemError) -> SpawnedProcess {
    let argv = CStringArray(request.arguments)
    let envp = CStringArray(request.environment)
    let map = request.descriptors.map { cl_fd_map(from: $0.from.rawValue, to: $0.to) }
    var pidfd: Int32 = -1
    let pid = withOptionalCString(request.workingDirectory) { cwd in
        request.path.withCString { path in
            map.withUnsafeBufferPointer { map -> Int32 in
                var plan = cl_spawn_plan()
                plan.exec_fd = request.executable?.rawValue ?? -1
                plan.path = path
                plan.argv = UnsafePointer(argv.pointer)
                plan.envp = UnsafePointer(envp.pointer)
                plan.map = map.baseAddress
                plan.map_count = Int32(map.count)
                plan.cwd = cwd
                plan.new_session = request.newSession ? 1 : 0
                plan.parent_death_signal = request.parentDeathSignal
                plan.clone_flags = request.cloneFlags
                plan.set_root = request.becomeRoot ? 1 : 0
                plan.join_count = Int32(min(request.join.count, 8))
                withUnsafeMutableBytes(of: &plan.join_fds) { raw in
                    for (i, fd) in request.join.prefix(8).enumerated() {
                        raw.storeBytes(of: fd.rawValue, toByteOffset: i * 4, as: Int32.self)
                    }
                }
                return cl_spawn(&plan, &pidfd)
            }
        }
    }
    try check(pid, "start", request.path)
    return SpawnedProcess(pid: pid, pidfd: OwnedFD(owning: pidfd))
}

/// A child of this process. Dropping it closes the pidfd and leaves the process alone.
public struct SpawnedProcess: ~Copyable {
    public let pid: Int32
    public let pidfd: OwnedFD

    /// Waits for its end. The C function is `waitpid(2)`.
    public func wait() throws(SystemError) -> ExitStatus {
        guard let ended = try waitForProcess(pid) else { throw SystemError(.noChild, "wait for process", "\(pid)") }
        return ended.status
    }
}

/// Replaces this process; returns only with the reason why that failed. The C function is `execve(2)` or `execveat(2)`.
public func execute(
    _ path: String, executable: FD? = nil, arguments: [String], environment: [String]
) -> SystemError {
    let argv = CStringArray(arguments)
    let envp = CStringArray(environment)
    let result =
        executable.map { cl_execveat($0.rawValue, "", argv.pointer, envp.pointer, 0x1000) }
        ?? cl_execveat(AT_FDCWD, path, argv.pointer, envp.pointer, 0)
    return SystemError(Errno(rawValue: -result), "execute", path)
}

func withOptionalCString<R>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> R) -> R {
    if let text { return text.withCString { body($0) } }
    return body(nil)
}

/// A NULL-terminated array of C strings that lives as long as the object: for argv and envp.
public final class CStringArray {
    public let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    public init(_ strings: [String]) {
        count = strings.count
        pointer = .allocate(capacity: count + 1)
        for (i, s) in strings.enumerated() { pointer[i] = strdup(s) }
        pointer[count] = nil
    }

    deinit {
        for i in 0..<count { free(pointer[i]) }
        pointer.deallocate()
    }
}

/// This process's environment as `NAME=value` strings.
public func currentEnvironment() -> [String] {
    var result: [String] = []
    // SAFETY: environ is only written by setenv, which no code here calls.
    guard var cursor = cl_environment() else { return [] }
    while let entry = cursor.pointee {
        result.append(String(cString: entry))
        cursor += 1
    }
    return result
}

/// A variable of this process's environment, or nil when unset.
public func environmentVariable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
}

/// A pidfd: names a process without the races of a number. The C function is `pidfd_open(2)`, Linux 5.3.
public func openProcess(_ pid: Int32) throws(SystemError) -> OwnedFD {
    OwnedFD(owning: try check(cl_pidfd_open(pid, 0), "open process", "\(pid)"))
}

extension FD {
    /// Sends a signal to the process of this pidfd. The C function is `pidfd_send_signal(2)`.
    public func sendSignal(_ signal: Int32) throws(SystemError) {
        try check(cl_pidfd_send_signal(rawValue, signal), "send signal")
    }
}

/// Field 22 of `/proc/PID/stat`: the start time in clock ticks since boot, which with the pid names a process for the
/// whole boot (a pid alone is reused).
public func processStartTime(_ pid: Int32) -> UInt64? {
    guard let text = try? FD.cwd.readText("/proc/\(pid)/stat", limit: 8192),
        let close = text.utf8.lastIndex(of: UInt8(ascii: ")"))
    else { return nil }
    // After ") " comes field 3; the start time is field 22.
    let fields = text[text.index(after: close)...].split(separator: " ", omittingEmptySubsequences: true)
    return fields.count > 19 ? UInt64(fields[19]) : nil
}

/// Whether a process is on its way out (PF_EXITING in field 9 of `/proc/PID/stat`): the first of a pid namespace is that until all others
/// in it have been reaped. Also when there is none.
public func processIsExiting(_ pid: Int32) -> Bool {
    guard let text = try? FD.cwd.readText("/proc/\(pid)/stat", limit: 8192),
        let close = text.utf8.lastIndex(of: UInt8(ascii: ")"))
    else { return true }
    let fields = text[text.index(after: close)...].split(separator: " ", maxSplits: 7, omittingEmptySubsequences: true)
    guard fields.count > 6, let flags = UInt64(fields[6]) else { return true }
    return flags & 0x4 != 0
}

/// The single-letter state of a process (`R`, `S`, `Z`…), or nil when it is gone.
public func processState(_ pid: Int32) -> Character? {
    guard let text = try? FD.cwd.readText("/proc/\(pid)/stat", limit: 8192),
        let close = text.utf8.lastIndex(of: UInt8(ascii: ")"))
    else { return nil }
    return text[text.index(after: close)...].first { $0 != " " }
}
