import Glibc
import Linux

/// What starts containers with the machine and stops them with it: a unit of systemd, or a script in `/etc/init.d`.
///
/// It runs `berth system boot` and `berth system shutdown` and nothing else: no process of it stays.
public struct ServiceUnit: Sendable {
    public enum Manager: String, Sendable {
        case systemd
        /// LSB init scripts: SysV init, and what reads its scripts (runit and s6 on Debian, busybox through rcS).
        case rc
    }

    /// Whose containers.
    public enum Owner: Sendable, Equatable {
        /// The caller's own: root's by the machine's units, a user's by the units of that user.
        case caller
        /// Another user's, by the machine's units.
        case user(String, uid: UInt32, home: String)
    }

    public var manager: Manager
    public var owner: Owner
    public var isRoot: Bool
    /// Absolute path of `berth`, and the words that name its store when that is not the usual one.
    public var command: [String]

    public var name: String {
        if case .user(let name, _, _) = owner { return "berth-" + name }
        return "berth"
    }

    /// Where the file goes, below the file system that is set up.
    /// - Parameter configuration: `$XDG_CONFIG_HOME` of the caller.
    public func path(configuration: String) -> String {
        switch manager {
        case .rc: "/etc/init.d/" + name
        case .systemd where isRoot: "/etc/systemd/system/\(name).service"
        case .systemd: configuration + "/systemd/user/\(name).service"
        }
    }

    public var mode: UInt32 { manager == .rc ? 0o755 : 0o644 }

    /// Symbolic links that enable it: where, and to what.
    public func links(configuration: String) -> [(path: String, target: String)] {
        let file = path(configuration: configuration)
        switch manager {
        case .systemd:
            let target = isRoot ? "multi-user.target" : "default.target"
            let slash = file.lastIndex(of: "/") ?? file.startIndex
            return [(file[..<slash] + "/\(target).wants/\(name).service", file)]
        case .rc:
            return [2, 3, 4, 5].map { ("/etc/rc\($0).d/S99\(name)", "../init.d/\(name)") }
                + [0, 1, 6].map { ("/etc/rc\($0).d/K01\(name)", "../init.d/\(name)") }
        }
    }

    public var text: String { manager == .rc ? script : unit }

    private var description: String {
        if case .user(let name, _, _) = owner { return "Containers of \(name)" }
        return "Containers"
    }

    private var unit: String {
        var lines = ["[Unit]", "Description=\(description)", "Documentation=man:berth(1)"]
        if isRoot {
            lines += ["Wants=network-online.target", "After=network-online.target local-fs.target nss-lookup.target time-sync.target"]
        }
        if case .user(_, let uid, _) = owner {
            // The user's own manager makes /run/user/UID and delegates cgroups.
            lines += ["Requires=user@\(uid).service", "After=user@\(uid).service"]
        }
        lines += ["", "[Service]", "Type=oneshot", "RemainAfterExit=yes"]
        if case .user(let name, let uid, _) = owner {
            lines += ["User=\(name)", "Environment=XDG_RUNTIME_DIR=/run/user/\(uid)"]
        }
        let words = command.map(ServiceUnit.systemdQuoted).joined(separator: " ")
        lines += [
            "ExecStart=\(words) system boot", "ExecStop=\(words) system shutdown",
            // Each container has its own time to stop; what is left after that is not killed behind its back.
            "TimeoutSec=infinity", "KillMode=process", "Delegate=yes", "", "[Install]",
            "WantedBy=\(isRoot ? "multi-user.target" : "default.target")",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    private var script: String {
        var run = command.map(ServiceUnit.shellQuoted).joined(separator: " ")
        var setUp = ""
        if case .user(let name, let uid, let home) = owner {
            setUp = """
                \nif [ ! -d /run/user/\(uid) ]; then
                    mkdir -p -m 0755 /run/user && mkdir -m 0700 /run/user/\(uid) && chown \(name): /run/user/\(uid)
                fi
                """
            run = "runuser -u \(name) -- env \(ServiceUnit.shellQuoted("HOME=" + home)) XDG_RUNTIME_DIR=/run/user/\(uid) \(run)"
        }
        return """
            #!/bin/sh
            ### BEGIN INIT INFO
            # Provides:          \(name)
            # Required-Start:    $local_fs $network $remote_fs
            # Required-Stop:     $local_fs $network $remote_fs
            # Default-Start:     2 3 4 5
            # Default-Stop:      0 1 6
            # Short-Description: \(description)
            ### END INIT INFO
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
            export PATH\(setUp)
            berth() {
                \(run) "$@"
            }
            case "$1" in
            start) berth system boot ;;
            stop) berth system shutdown ;;
            restart | force-reload) berth system shutdown && berth system boot ;;
            status) berth ps ;;
            *)
                echo "usage: $0 start|stop|restart|force-reload|status" >&2
                exit 2
                ;;
            esac
            """ + "\n"
    }

    /// systemd.service(5), "Command lines": quotes, `%` specifiers and `$` variables.
    private static func systemdQuoted(_ word: String) -> String {
        let safe = word.utf8.allSatisfy { isPlain($0) }
        if safe { return word }
        var text = "\""
        for scalar in word.unicodeScalars {
            switch scalar {
            case "\"", "\\": text += "\\" + String(scalar)
            case "%": text += "%%"
            case "$": text += "$$"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }

    private static func shellQuoted(_ word: String) -> String {
        if word.utf8.allSatisfy({ isPlain($0) }) { return word }
        return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    /// Bytes that neither systemd nor a shell takes for anything else.
    static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "="):
            true
        default: false
        }
    }
}
