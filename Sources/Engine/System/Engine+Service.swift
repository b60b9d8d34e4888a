import Glibc
import Linux

/// What was written for the machine's start, and what is left to do.
public struct ServiceInstallation: Sendable {
    public var unit: ServiceUnit
    /// Files and links, as they are found on the machine that is set up.
    public var paths: [String] = []
    /// Sentences for the person who installs: what to type yet.
    public var remarks: [String] = []
}

extension Engine {
    /// The unit for the containers of this engine, or those of another user.
    ///
    /// - Parameters:
    ///   - manager: `auto`, `systemd` or `rc`.
    ///   - user: login name; empty for the caller.
    ///   - destination: the file system that is set up; empty for this one.
    /// - Throws: `.invalid` for an unknown user or init; `.permission` for what only root can set up.
    public func serviceUnit(manager: String, user: String, destination: String) throws(EngineError) -> ServiceUnit {
        let isRoot = geteuid() == 0
        let kind: ServiceUnit.Manager
        switch manager {
        case "systemd": kind = .systemd
        case "rc": kind = .rc
        default:
            if FD.cwd.exists("/run/systemd/system") {
                kind = .systemd
            } else if FD.cwd.exists(destination + "/etc/init.d") {
                kind = .rc
            } else {
                throw .invalid(
                    "neither systemd nor /etc/init.d is here: let this machine's boot run \"berth system boot\", or name one with --init")
            }
        }
        var command = [(try? FD.cwd.readLink("/proc/self/exe")) ?? "berth"]
        var owner = ServiceUnit.Owner.caller
        if user.isEmpty {
            if !roots.isUsual { command += ["--root", roots.store, "--runroot", roots.run] }
            if kind == .rc, !isRoot {
                throw EngineError(
                    .permission,
                    sentence: "only root's scripts run when this machine starts; type: sudo berth system install-service --user "
                        + (userName(of: geteuid()) ?? "NAME"))
            }
        } else {
            guard isRoot else {
                throw EngineError(.permission, sentence: "--user is for root; without it the service is for your own containers")
            }
            let passwd = try? FD.cwd.readFile(destination + "/etc/passwd", limit: 10 << 20)
            guard let found = UserDatabase(passwd: passwd, group: nil).users.first(where: { $0.name == user }) else {
                throw .invalid("unknown user \(user): no such line in \(destination)/etc/passwd")
            }
            // It becomes part of a path, a unit and a shell's words.
            let isPlain = user.utf8.allSatisfy { ServiceUnit.isPlain($0) && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "=") }
            guard isPlain, !user.hasPrefix("-"), !user.hasPrefix(".")
            else { throw .invalid("--user \(user): names in units and init scripts are of letters, digits, '.', '_' and '-'") }
            if found.uid != 0 { owner = .user(user, uid: found.uid, home: found.home) }
        }
        return ServiceUnit(manager: kind, owner: owner, isRoot: isRoot, command: command)
    }

    /// Writes a unit and enables it. The same again changes nothing.
    public func install(_ unit: ServiceUnit, destination: String) throws(EngineError) -> ServiceInstallation {
        var result = ServiceInstallation(unit: unit)
        let path = unit.path(configuration: Engine.configurationDirectory)
        try during("install", path) { () throws(SystemError) in
            try FD.cwd.makeDirectories(Engine.directory(of: destination + path))
            try FD.cwd.replaceFile(destination + path, with: Array(unit.text.utf8), mode: unit.mode, durable: true)
        }
        result.paths.append(path)
        for link in unit.links(configuration: Engine.configurationDirectory) {
            let directory = Engine.directory(of: destination + link.path)
            // A machine without run levels reads its scripts in another way.
            if unit.manager == .rc, !FD.cwd.exists(directory) { continue }
            try during("install", link.path) { () throws(SystemError) in
                try FD.cwd.makeDirectories(directory)
                if (try? FD.cwd.readLink(destination + link.path)) == link.target { return }
                try? FD.cwd.removeFile(destination + link.path)
                try FD.cwd.makeSymbolicLink(to: link.target, at: destination + link.path)
            }
            result.paths.append(link.path)
        }
        if unit.manager == .rc, result.paths.count == 1 {
            result.remarks.append("There are no /etc/rc*.d here: let this machine's boot run \"\(path) start\".")
        }
        if destination.isEmpty { finish(&result) }
        return result
    }

    /// Takes a unit away again, with its links. What is not there is no failure.
    public func remove(_ unit: ServiceUnit, destination: String) throws(EngineError) -> ServiceInstallation {
        var result = ServiceInstallation(unit: unit)
        let links = unit.links(configuration: Engine.configurationDirectory).map(\.path)
        for path in links + [unit.path(configuration: Engine.configurationDirectory)] {
            do throws(SystemError) {
                try FD.cwd.removeFile(destination + path)
                result.paths.append(path)
            } catch {
                if error.errno != .noEntry { throw EngineError("remove", path, error) }
            }
        }
        if destination.isEmpty, unit.manager == .systemd { reloadUnits(unit, &result) }
        return result
    }

    private func finish(_ result: inout ServiceInstallation) {
        guard result.unit.manager == .systemd else { return }
        reloadUnits(result.unit, &result)
        let name = userName(of: geteuid()) ?? "\(geteuid())"
        if !result.unit.isRoot, !FD.cwd.exists("/var/lib/systemd/linger/" + name) {
            result.remarks.append("Your units run while you are logged in; to have them run with the machine, type: loginctl enable-linger")
        }
    }

    /// A manager that does not run reads the files when it starts.
    private func reloadUnits(_ unit: ServiceUnit, _ result: inout ServiceInstallation) {
        guard FD.cwd.exists("/run/systemd/system") else { return }
        let words = ["systemctl"] + (unit.isRoot ? [] : ["--user"]) + ["daemon-reload"]
        let program = findProgram("systemctl") ?? "/usr/bin/systemctl"
        if let process = try? spawn(SpawnRequest(program, words, environment: currentEnvironment())), let status = try? process.wait(),
            status == .exited(0)
        {
            return
        }
        result.remarks.append("systemd has not read the change yet; type: \(words.joined(separator: " "))")
    }

    private static var configurationDirectory: String {
        if let path = environmentVariable("XDG_CONFIG_HOME"), path.hasPrefix("/") { return path }
        return (environmentVariable("HOME") ?? "") + "/.config"
    }

    private static func directory(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? path
    }
}
