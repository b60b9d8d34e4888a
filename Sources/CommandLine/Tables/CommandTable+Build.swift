import Flags

/// Commands that make images from Dockerfiles.
extension CommandTable {
    var builder: Command {
        .group("builder", summary: "Build images, and look after what builds leave") { [build, builderPrune] }
    }

    private var builderPrune: Command {
        Command(
            "prune", summary: "Remove what builds remember of their steps",
            examples: [Example("All but what was used in the last day", "berth builder prune -f --filter until=24h")],
            flags: BuildFlags.prune, unsupported: { Flag.unsupported(values: "min-free-space reserved-space", switches: "verbose") },
            run: action(.builderPrune))
    }

    var build: Command {
        Command(
            "build", spellings: ["image build", "builder build", "build"], operands: "CONTEXT",
            summary: "Make an image from a Dockerfile",
            examples: [
                Example("From the files here", "berth build -t web ."),
                Example("With a value for ARG, and one stage only", "berth build --build-arg VERSION=2 --target test ."),
            ],
            arity: .exactly(1), completion: [.directory], flags: BuildFlags.build,
            unsupported: {
                Flag.unsupported(
                    values: "allow annotation attest build-context builder cache-from cache-to call isolation metadata-file "
                        + "no-cache-filter output/o platform policy provenance resource sbom security-opt ssh",
                    switches: "check compress debug/D push squash")
            }, run: action(.build))
    }
}
