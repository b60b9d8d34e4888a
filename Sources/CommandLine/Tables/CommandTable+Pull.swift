import Flags

/// Commands that bring images here and away.
extension CommandTable {
    var pull: Command {
        Command(
            "pull", spellings: ["image pull", "pull"], operands: "NAME[:TAG|@DIGEST]",
            summary: "Download an image from a registry",
            examples: [
                Example("An image of Docker Hub", "berth pull alpine"),
                Example("For another machine, from a registry of your own", "berth pull --platform linux/arm64 localhost:5000/team/app:1"),
            ], arity: .exactly(1), completion: [.names(.images)], flags: PullFlags.pull,
            unsupported: {
                Flag.unsupported(
                    values: "arch os variant policy decryption-key", switches: "disable-content-trust")
            }, run: action(.pull))
    }

    var push: Command {
        Command(
            "push", spellings: ["image push", "push"], operands: "NAME[:TAG]", summary: "Upload an image to a registry",
            examples: [
                Example("To a registry of your own", "berth push localhost:5000/team/app:1"),
                Example("With layers compressed by zstd", "berth push --compression-format zstd localhost:5000/team/app:1"),
            ], arity: .exactly(1), completion: [.names(.images)], flags: PullFlags.push,
            unsupported: {
                Flag.unsupported(
                    values: """
                        encrypt-layer encryption-key format/f platform sign-by sign-by-sigstore sign-by-sigstore-private-key
                        sign-by-sq-fingerprint sign-passphrase-file
                        """,
                    switches: "compress disable-content-trust force-compression remove-signatures")
            }, run: action(.push))
    }
}

/// Flags of these commands.
enum PullFlags {
    @Sendable static func pull() -> [Flag] {
        [
            .bool("all-tags", "a", "Download all tagged images in the repository"),
            ImageFlags.platform("Platform to download"),
            TransferFlags.policy,
        ] + TransferFlags.lock() + progress + TransferFlags.retry + TransferFlags.access()
    }

    @Sendable static func push() -> [Flag] {
        [
            .bool("all-tags", "a", "Upload all tags of the repository"),
            .string(
                "compression-format", nil, "How layers without compression are compressed: gzip or zstd", value: "format",
                completion: .values(["gzip", "zstd"])),
            .value("compression-level", nil, .int, "How hard: gzip takes 1 to 9, zstd 1 to 19"),
            .string("digestfile", nil, "Write the digest of the uploaded image to this file", completion: .file),
        ] + progress + TransferFlags.retry + TransferFlags.access()
    }

    /// What `run` and `create` hand on to the pull they do, besides `--platform` and `--quiet`.
    static let ofRun: [Flag] =
        TransferFlags.lock() + [mode] + TransferFlags.retry
        + TransferFlags.access().filter { ["authfile", "cert-dir", "creds", "tls-verify"].contains($0.name) }

    private static let mode = Flag.string(
        "progress", nil, "How to tell progress: auto, tty, plain, json or quiet", default: "auto", completion: .values(modes)
    ) { modes.contains($0) ? nil : "must be one of auto, tty, plain, json, quiet" }

    private static var progress: [Flag] { [mode, .bool("quiet", "q", "Print the image's name only")] }

    private static let modes = ["auto", "tty", "plain", "json", "quiet"]
}
