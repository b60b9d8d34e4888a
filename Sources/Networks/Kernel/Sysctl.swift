import Linux

/// Files below `/proc/sys`, of the network namespace the calling thread is in.
enum Sysctl {
    /// Sets a value where it is another.
    /// - Parameter path: `net/ipv4/ip_forward`.
    /// - Returns: false when the kernel has no such setting (IPv6 is switched off).
    @discardableResult
    static func set(_ path: String, _ value: String) throws(SystemError) -> Bool {
        do throws(SystemError) {
            let directory = try FD.cwd.open("/proc/sys", [.path, .directory])
            return try set(path, value, in: directory.fd)
        } catch {
            // Read-only where another container engine has started us: a procfs of our own is not.
            guard [.readOnly, .accessDenied, .notPermitted].contains(error.errno) else { throw error }
            let procfs = try FileSystemContext("proc").mount(attributes: [.noSetuid, .noDevices, .noExecute])
            let directory = try procfs.fd.open("sys", [.path, .directory])
            return try set(path, value, in: directory.fd)
        }
    }

    static func read(_ path: String) -> String? {
        guard let text = try? FD.cwd.readText("/proc/sys/\(path)", limit: 4096) else { return nil }
        return String(text.prefix { $0 != "\n" })
    }

    private static func set(_ path: String, _ value: String, in directory: FD) throws(SystemError) -> Bool {
        do throws(SystemError) {
            // Reading is cheap; writing `ip_forward` resets other settings even when it changes nothing.
            if try directory.readText(path, limit: 4096).prefix(while: { $0 != "\n" }) == value { return true }
            let file = try directory.open(path, .writeOnly, resolve: [.beneath, .noMagicLinks])
            try file.fd.writeOnce(value, to: path)
            return true
        } catch {
            if error.errno == .noEntry { return false }
            throw error
        }
    }
}
