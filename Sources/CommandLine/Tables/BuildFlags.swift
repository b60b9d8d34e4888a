import Flags

/// Flags of `build`.
enum BuildFlags {
    @Sendable static func prune() -> [Flag] {
        [
            .bool("all", "a", "The directories of cache mounts too"),
            .list("filter", nil, "Remove only what matches: until=24h", value: "filter", check: ValueRules.filter), ImageFlags.force(),
            .value("keep-storage", nil, .bytes, "Leave so much that was used last"),
            .value("max-used-space", nil, .bytes, "Leave so much that was used last"),
        ]
    }

    @Sendable static func build() -> [Flag] {
        [
            .list("tag", "t", "Name for the image, with a tag after a colon", value: "name"),
            .string("file", "f", "The Dockerfile; - reads it from standard input", completion: .file),
            .list("build-arg", nil, "Value of an ARG, as NAME=value, or NAME to pass on this shell's", value: "arg"),
            .string("target", nil, "Stage to build; the last one otherwise"),
            .list("label", nil, "Label for the image, as name=value", check: ValueRules.label),
            .list(
                "secret", nil, "Secret for RUN --mount=type=secret, as id=ID[,src=FILE] or id=ID,env=NAME", value: "secret"),
            .bool("no-cache", nil, "Do every step, whatever was done before"),
            .bool("pull", nil, "Fetch the images that stages begin with, even if they are here"),
            .bool("quiet", "q", "Print the image's ID only"),
            .string("iidfile", nil, "Write the image's ID to this file", completion: .file),
            .string("network", nil, "Network of RUN: default, none, host or the name of one", default: "default"),
            .list("add-host", nil, "Further name for RUN, as name:address", value: "host"),
            .value("memory", "m", .bytes, "Most memory a RUN may use"),
            .value("memory-swap", nil, .signedBytes, "Most memory and swap together; '-1' sets no limit to swap"),
            .value("shm-size", nil, .bytes, "Size of /dev/shm"),
            .value("cpu-shares", "c", .int, "Weight against others when processors are busy"),
            .value("cpu-period", nil, .int, "Period of the processor quota, in microseconds"),
            .value("cpu-quota", nil, .int, "Processor time in each period, in microseconds"),
            .string("cpuset-cpus", nil, "Processors a RUN may run on, as 0-3 or 0,2"),
            .string("cpuset-mems", nil, "Memory nodes it may use, as 0-3 or 0,2"),
            .value("ulimit", nil, .list, "Resource limit, as name=soft[:hard]", value: "ulimit"),
            .string("cgroup-parent", nil, "Control group below which a RUN gets its own"),
            .bool("force-rm", nil, "Nothing of a step is left, whatever is said here"),
            .bool("rm", nil, "Nothing of a step is left, whatever is said here", initially: true),
            .bool("load", nil, "The image is kept in the store, whatever is said here"),
        ] + PullFlags.ofRun
    }
}
