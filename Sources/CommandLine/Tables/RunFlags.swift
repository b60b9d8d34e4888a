import Flags

/// Flags of `run` and `create`.
enum RunFlags {
    /// Flags of both commands, by theme; help sorts them by name.
    @Sendable static func create() -> [Flag] {
        var flags: [Flag] = []
        // One allocation, and no array copied into the next: this runs before every container starts.
        flags.reserveCapacity(116)
        flags += identity()
        flags += process()
        flags += storage()
        flags += isolation()
        flags += network()
        flags += memory()
        flags += blockDevices()
        flags += processors()
        flags += life()
        flags += health()
        return flags
    }

    /// `run` has those of `create` and the ones about being attached.
    @Sendable static func run() -> [Flag] {
        var flags = create()
        flags += [
            .bool("detach", "d", "Leave the container in the background and print its ID"),
            .string(
                "detach-keys", nil, "Keys that leave the container running and end the command; ctrl-p,ctrl-q when not given",
                check: ValueRules.detachKeys),
            .bool("sig-proxy", nil, "Pass signals on to the container", initially: true),
        ]
        return flags
    }

    private static func identity() -> [Flag] {
        [
            .string("name", nil, "Name of the container"),
            .string("hostname", "h", "Host name inside the container; its short ID when not given"),
            .string("domainname", nil, "NIS domain name inside the container"),
            .list("label", "l", "Label for the container, as name=value", check: ValueRules.label),
            .list("label-file", nil, "Read labels from a file, one a line", completion: .file),
            .value("annotation", nil, .map, "Annotation handed to the OCI runtime, as name=value"),
            .string("cidfile", nil, "Write the container's ID to this file", completion: .file),
            .string("platform", nil, "Platform of the image, as os[/arch[/variant]]"),
            .string(
                "pull", nil, "When to fetch the image: always, missing or never", default: "missing",
                completion: .values(ValueWords.pullPolicies), check: ValueRules.pullPolicy),
            .bool("quiet", "q", "Do not tell how fetching goes"),
        ] + PullFlags.ofRun
    }

    private static func process() -> [Flag] {
        [
            .list(
                "env", "e", "Environment variable, as NAME=value, or NAME to pass on this shell's",
                completion: .names(.environment), check: ValueRules.environment),
            .list("env-file", nil, "Read environment variables from a file, one a line", completion: .file),
            .string("workdir", "w", "Directory in which the command starts"),
            .string("user", "u", "User who runs the command, as name or ID, with :group to set the group too"),
            .list("group-add", nil, "Further group of the user, by name or ID; keep-groups keeps the caller's"),
            .string("entrypoint", nil, "Program to run in place of the image's entry point"),
            .list(
                "attach", "a", "Connect to standard input, output or error only", value: "stream",
                completion: .values(ValueWords.streams), check: ValueRules.stream),
            .bool("init", nil, "Run a small init as process 1, which passes signals on and reaps orphans"),
            .bool("interactive", "i", "Keep standard input open even when nobody is attached"),
            .bool("tty", "t", "Give the command a terminal"),
            .value(
                "ulimit", nil, .list, "Resource limit, as name=soft[:hard]", value: "ulimit",
                completion: .values(ValueWords.ulimits.map { $0 + "=" }), check: ValueRules.ulimit),
        ]
    }

    private static func storage() -> [Flag] {
        [
            .list(
                "volume", "v", "Mount a host directory or a named volume, as source:target[:options]",
                completion: .names(.volumes)),
            .value(
                "mount", nil, .list, "Mount described by key=value pairs: type, source, target, readonly and others",
                value: "mount", check: ValueRules.mount),
            .list(
                "volumes-from", nil, "Mount what another container has mounted, as container[:ro]", value: "container",
                completion: .names(.containers)),
            .string(
                "image-volume", nil, "What the image's VOLUMEs become: anonymous, tmpfs or ignore", default: "anonymous",
                completion: .values(["anonymous", "tmpfs", "ignore"])),
            .string("volume-driver", nil, "Driver of volumes that are made: local", completion: .values(["local"])),
            .list("tmpfs", nil, "Mount an empty tmpfs, as target[:options]"),
            .bool("read-only", nil, "Make the root file system read-only"),
            .list(
                "device", nil, "Device of the host to give, as path[:path[:rwm]], or by its CDI name, as vendor.com/class=name",
                completion: .file),
            .list(
                "gpus", nil, "GPUs to give by CDI: all, a number, or device=ID and other fields", value: "gpu-request",
                completion: .values(["all", "device="])),
            .list("device-cgroup-rule", nil, "Further devices that may be used, as 'c 42:* rwm'", value: "rule"),
            .value("shm-size", nil, .bytes, "Size of /dev/shm, as 128m; 64m when not given"),
        ]
    }

    private static func isolation() -> [Flag] {
        [
            .bool("privileged", nil, "Lift nearly every restriction: trust what runs inside as the host's root"),
            .list("cap-add", nil, "Capability to add", completion: .names(.capabilities)),
            .list("cap-drop", nil, "Capability to take away", completion: .names(.capabilities)),
            .list("security-opt", nil, "Security option: seccomp=, apparmor=, label=, no-new-privileges and others"),
            .value(
                "sysctl", nil, .map, "Kernel parameter of the container's namespaces, as name=value",
                check: ValueRules.sysctl),
            .string(
                "pid", nil, "PID namespace: host or container:NAME; its own when not given", completion: .values(["host", "container:"])),
            .string(
                "ipc", nil, "IPC namespace: none, private, shareable, host or container:NAME; private when not given",
                completion: .values(["none", "private", "shareable", "host", "container:"])),
            .string(
                "uts", nil, "UTS namespace: host or container:NAME; its own when not given", completion: .values(["host", "container:"])),
            .string(
                "userns", nil, "User namespace: host, keep-id[:uid=UID,gid=GID] or auto[:size=NUMBER]",
                completion: .values(["host", "keep-id", "auto"])),
            .string(
                "cgroupns", nil, "Cgroup namespace: host or private; private when not given", completion: .values(["host", "private"])),
            .string("cgroup-parent", nil, "Cgroup below which the container's is made"),
            .string("runtime", nil, "OCI runtime to use, by name or path", completion: .file),
        ]
    }

    private static func network() -> [Flag] {
        [
            .list(
                "network", nil, "Network to connect it to, as NAME or name=NAME,ip=ADDRESS and more; none, host or container:NAME",
                value: "network", aliases: ["net"], completion: .names(.networks)),
            .list("publish", "p", "Port of the host that leads to one of the container, as [[address:]port:]port[/udp]", value: "port"),
            .bool("publish-all", "P", "Publish every port that is exposed at a free port of the host"),
            .list("expose", nil, "Port that the container serves, for -P and for show", value: "port"),
            .string("ip", nil, "IPv4 address in the first network"),
            .string("ip6", nil, "IPv6 address in the first network"),
            .list("link-local-ip", nil, "Further address of 169.254.0.0/16 or fe80::/64 in the first network", value: "ip"),
            .string("mac-address", nil, "Hardware address in the first network"),
            .string(
                "network-rate", nil, "Most bits per second into and out of it by each network, as in=RATE,out=RATE with rates as 100mbit"),
            .list("network-alias", nil, "Further name in the first network", aliases: ["net-alias"]),
            .list("link", nil, "Name for another container of the first network, as container[:alias]", completion: .names(.containers)),
            .bool("docker-compat", nil, "As with Docker: no names, --ip and --network-alias in the default network"),
            .list("add-host", nil, "Line for /etc/hosts, as name:address; host-gateway stands for the host"),
            .list("dns", nil, "Server that is asked for names nobody in the networks has"),
            .list("dns-option", nil, "Option for /etc/resolv.conf", aliases: ["dns-opt"]),
            .list("dns-search", nil, "Domain in which names are looked for too; . for none"),
        ]
    }

    private static func memory() -> [Flag] {
        [
            .value("memory", "m", .bytes, "Most memory the container may use, as 512m or 2g"),
            .value("memory-reservation", nil, .bytes, "Memory that is left to the container when the host runs short, as 256m"),
            .value("memory-swap", nil, .signedBytes, "Most memory and swap together, as 1g; '-1' sets no limit to swap"),
            .value(
                "memory-swappiness", nil, .int, "How readily memory is swapped out, 0 to 100; -1 leaves it alone",
                default: "-1", check: ValueRules.swappiness),
            .bool("oom-kill-disable", nil, "Do not kill processes when memory runs out"),
            .value(
                "oom-score-adj", nil, .int, "How likely the host is to kill it first, -1000 to 1000",
                check: ValueRules.oomScore),
            .value("pids-limit", nil, .int, "Most processes and threads; -1 for no limit, 2048 when not given"),
            .value(
                "blkio-weight", nil, .uint16, "Weight of block input and output, 10 to 1000; 0 leaves it alone",
                check: ValueRules.blockWeight),
        ]
    }

    static func processors() -> [Flag] {
        [
            .value("cpus", nil, .nanoCPUs, "Most processor time, in CPUs: 1.5 is one and a half"),
            .value("cpu-shares", "c", .int, "Weight against other containers when processors are busy; 1024 when not given"),
            .value("cpu-period", nil, .int, "Period of the processor quota, in microseconds; 100000 when not given"),
            .value("cpu-quota", nil, .int, "Processor time in each period, in microseconds"),
            .value("cpu-rt-period", nil, .int, "Period of the real-time quota, in microseconds"),
            .value("cpu-rt-runtime", nil, .int, "Real-time processor time in each period, in microseconds"),
            .string("cpuset-cpus", nil, "Processors it may run on, as 0-3 or 0,2"),
            .string("cpuset-mems", nil, "Memory nodes it may use, as 0-3 or 0,2"),
        ]
    }

    static func blockDevices() -> [Flag] {
        [
            .list(
                "blkio-weight-device", nil, "Weight of a block device, as path:weight", value: "device", completion: .file),
            .list("device-read-bps", nil, "Most bytes a second from a block device, as path:1mb", value: "device", completion: .file),
            .list(
                "device-read-iops", nil, "Most readings a second from a block device, as path:100", value: "device", completion: .file),
            .list("device-write-bps", nil, "Most bytes a second to a block device, as path:1mb", value: "device", completion: .file),
            .list(
                "device-write-iops", nil, "Most writings a second to a block device, as path:100", value: "device", completion: .file),
        ]
    }

    private static func life() -> [Flag] {
        [
            .bool("rm", nil, "Remove the container and its unnamed volumes when it ends"),
            .string(
                "restart", nil, "When to start it again: no, on-failure[:TIMES], always or unless-stopped",
                default: "no", completion: .values(ValueWords.restartPolicies), check: ValueRules.restartPolicy),
            .string(
                "stop-signal", nil, "Signal that asks it to end; the image's, else SIGTERM, when not given", completion: .names(.signals)),
            .value("stop-timeout", nil, .int, "Seconds between that signal and SIGKILL; 10 when not given, -1 waits for ever"),
            .string("log-driver", nil, "Where its output goes: cri, json-file, local, syslog, journald or none; cri when not given"),
            .list("log-opt", nil, "Option of the log driver, as name=value"),
        ]
    }

    /// No defaults in help of what the image may say.
    ///
    /// - Parameter change: of `update`, where what is not given stays as it is.
    static func health(change: Bool = false) -> [Flag] {
        func new(_ text: String) -> String? { change ? nil : text }
        return [
            .string("health-cmd", nil, "Command that finds out whether it works; none for no check"),
            .string(
                "health-interval", nil, "Time between two checks; the image's, else 30s, when not given; disable checks only when asked",
                value: "duration",
                check: ValueRules.durationOrDisable),
            .value("health-timeout", nil, .duration, "Time that a check may take; the image's, else 30s, when not given"),
            .value("health-retries", nil, .int, "Failures in a row that make it unhealthy; the image's, else 3, when not given"),
            .value(
                "health-start-period", nil, .duration,
                "Time after the start in which failures do not count; the image's, else none, when not given"),
            .value("health-start-interval", nil, .duration, "Time between two checks in that period; the image's, else 5s, when not given"),
            .string(
                "health-on-failure", nil, "What is done once it is unhealthy: none, kill, restart or stop", default: new("none"),
                completion: .values(ValueWords.healthActions)),
            .string("health-startup-cmd", nil, "Command that has to succeed before the checks begin"),
            .string(
                "health-startup-interval", nil, "Time between two startup checks; disable checks only when asked", value: "duration",
                default: new("30s"), check: ValueRules.durationOrDisable),
            .value("health-startup-timeout", nil, .duration, "Time that a startup check may take", default: new("30s")),
            .value("health-startup-retries", nil, .uint, "Failures of the startup check that restart it; 0 for never"),
            .value("health-startup-success", nil, .uint, "Successes in a row that end the startup check; 0 for one"),
            .value("health-max-log-count", nil, .uint, "How many results are kept; 0 for as many as fit into 1 MiB", default: new("5")),
            .value("health-max-log-size", nil, .uint, "Bytes of a check's output that are kept; 0 for 1 MiB", default: new("4096")),
            .bool("no-healthcheck", nil, "Do without the check that the image asks for"),
        ]
    }

    /// What docker 28 and podman 5 have beside these.
    @Sendable static func unsupported() -> [Flag] {
        Flag.unsupported(
            values: """
                arch cgroup-conf cgroups chrootdirs
                conmon-pidfile cpu-count cpu-percent decryption-key env-merge
                gidmap group-entry health-log-destination hosts-file hostuser init-ctr init-path
                io-maxbandwidth io-maxiops isolation kernel-memory os passwd-entry personality pidfile pod pod-id-file preserve-fd preserve-fds
                rdt-class requires sdnotify seccomp-policy secret shm-size-systemd storage-opt
                subgidname subuidname systemd timeout tz uidmap umask unsetenv variant
                """,
            switches: """
                disable-content-trust env-host http-proxy no-hostname no-hosts passwd
                read-only-tmpfs replace rmi rootfs unsetenv-all use-api-socket
                """)
    }
}
