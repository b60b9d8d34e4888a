import Flags
import Runtime

/// `berth-runtime checkpoint` and `restore`: runc has them, and engines call them. They say that they are not supported,
/// also in the log that an engine reads.
enum CheckpointCommand {
    static var commands: [Command] {
        ["checkpoint", "restore"].map { name in
            Command(
                name, operands: "CONTAINER", summary: "Not supported", arity: .any, hidden: true, flags: flags,
                run: { arguments in
                    CommandContext.run(arguments) { (_) throws(RuntimeError) in
                        throw RuntimeError(.unsupported, "\(name) container", cause: "checkpoints are not supported")
                    }
                })
        }
    }

    /// runc's, so that the command line is understood and the answer is about the matter.
    @Sendable private static func flags() -> [Flag] {
        let texts = [
            "image-path", "work-path", "parent-path", "page-server", "status-fd", "manage-cgroups-mode", "empty-ns", "bundle",
            "pid-file", "console-socket", "lsm-profile", "lsm-mount-context", "preserve-fds",
        ]
        let switches = [
            "leave-running", "tcp-established", "tcp-skip-in-flight", "link-remap", "ext-unix-sk", "shell-job", "lazy-pages",
            "file-locks", "pre-dump", "auto-dedup", "detach", "no-subreaper", "no-pivot",
        ]
        return texts.map { .string($0, nil, "Accepted for compatibility", value: "value", hidden: true) }
            + switches.map { .bool($0, nil, "Accepted for compatibility", hidden: true) }
    }
}
