import JSON
import Linux
import OCI
import Testing

@testable import Engine

struct SpecTests {
    private let root = ResolvedUser(uid: 0, gid: 0, additionalGroups: [0], name: "root", home: "/root")
    private let alice = ResolvedUser(
        uid: 1000, gid: 1000, additionalGroups: [1000, 10], name: "alice", home: "/home/alice")

    private func definition(_ change: (inout ContainerDefinition) -> Void = { _ in }) -> ContainerDefinition {
        var definition = ContainerDefinition(id: String(repeating: "a", count: 64), name: "test")
        definition.command = ["true"]
        definition.hostname = "host1"
        change(&definition)
        return definition
    }

    private func build(
        user: ResolvedUser? = nil, rootless: Bool = false, inputs change: (inout SpecInputs) -> Void = { _ in },
        _ definition: (inout ContainerDefinition) -> Void = { _ in }
    ) throws -> Spec {
        let host = HostFacts(
            uid: rootless ? 1001 : 0, gid: rootless ? 1001 : 0, capabilities: .all, maximumOpenFiles: 20000,
            hasTimeNamespace: true)
        var inputs = SpecInputs(definition: self.definition(definition), user: user ?? root, host: host)
        if rootless {
            inputs.uidMappings = UserNamespacePlan.sequence(1001, [IDRange(start: 100_000, count: 65536)])
            inputs.gidMappings = inputs.uidMappings
        }
        change(&inputs)
        return try SpecBuilder(inputs).build()
    }

    private func make(
        user: ResolvedUser? = nil, rootless: Bool = false, _ definition: (inout ContainerDefinition) -> Void
    ) throws -> Spec {
        try build(user: user, rootless: rootless, inputs: { _ in }, definition)
    }

    private func mount(_ spec: Spec, _ target: String) -> Mount? { spec.mounts.last { $0.destination == target } }

    /// Every default of docs/security-defaults.md that is in the spec.
    @Test func defaults() throws {
        let spec = try build()
        let process = try #require(spec.process)
        let linux = try #require(spec.linux)
        #expect(
            Set(process.capabilities?.bounding ?? []) == [
                "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
                "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
            ])
        #expect(process.capabilities?.effective == process.capabilities?.bounding)
        #expect(process.capabilities?.inheritable == [] && process.capabilities?.ambient == [])
        #expect(process.user.umask == 0o022 && !process.noNewPrivileges)
        #expect(process.env == [SpecBuilder.defaultPath, "HOSTNAME=host1", "container=oci", "HOME=/root"])
        #expect(
            process.rlimits.first { $0.type == "RLIMIT_CORE" } == POSIXRlimit(type: "RLIMIT_CORE", hard: 0, soft: 0))
        #expect(!process.rlimits.contains { $0.type == "RLIMIT_NPROC" })
        #expect(Set(linux.namespaces.map(\.type)) == ["mount", "pid", "network", "ipc", "uts", "cgroup", "time"])
        #expect(linux.namespaces.allSatisfy { $0.path.isEmpty })
        for path in [
            "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/sys/fs/selinux",
            "/proc/interrupts",
        ] {
            #expect(linux.maskedPaths.contains(path))
        }
        #expect(linux.readonlyPaths == ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"])
        #expect(linux.sysctl["net.ipv4.ping_group_range"] == "0 2147483647")
        #expect(linux.resources?.pids?.limit == 2048)
        #expect(linux.resources?.devices.first == LinuxDeviceCgroup(allow: false, access: "rwm"))
        #expect(linux.cgroupsPath == "/berth/" + String(repeating: "a", count: 64))
    }

    @Test func defaultMounts() throws {
        let spec = try build()
        #expect(
            spec.mounts.map(\.destination) == [
                "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup",
            ])
        #expect(mount(spec, "/dev")?.options == ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"])
        #expect(mount(spec, "/dev/shm")?.options == ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"])
        #expect(mount(spec, "/sys")?.options.contains("ro") == true)
        #expect(mount(spec, "/sys/fs/cgroup")?.options.contains("ro") == true)
    }

    @Test func limitsAreClampedToTheHost() throws {
        func files(_ spec: Spec) -> POSIXRlimit? { spec.process?.rlimits.first { $0.type == "RLIMIT_NOFILE" } }
        #expect(try files(build())?.hard == 524_288, "root may raise")
        let limited = try build(inputs: { $0.host.capabilities.remove(.sysResource) })
        #expect(files(limited)?.hard == 20000 && files(limited)?.soft == 1024)
        #expect(try files(make { $0.ulimits = [Ulimit(name: "nofile", soft: 7, hard: 8)] })?.soft == 7)
    }

    @Test func otherUsersHaveNoCapabilitiesButWhatWasAdded() throws {
        let plain = try #require(try build(user: alice).process?.capabilities)
        #expect(
            plain.effective.isEmpty && plain.permitted.isEmpty && plain.ambient.isEmpty && plain.bounding.count == 11)
        let added = try #require(try make(user: alice, { $0.capAdd = ["net_admin"] }).process?.capabilities)
        #expect(added.ambient == ["CAP_NET_ADMIN"] && added.inheritable == ["CAP_NET_ADMIN"])
        #expect(try build(user: alice).process?.user.additionalGids == [1000, 10])
    }

    @Test func capabilitiesAreAddedAndDropped() throws {
        func bounding(_ change: (inout ContainerDefinition) -> Void) throws -> [String] {
            try make(change).process?.capabilities?.bounding ?? []
        }
        #expect(try bounding { $0.capDrop = ["ALL"] } == [])
        #expect(
            try bounding {
                $0.capDrop = ["all"]; $0.capAdd = ["CAP_CHOWN"]
            } == ["CAP_CHOWN"])
        #expect(
            try bounding {
                $0.capAdd = ["ALL"]; $0.capDrop = ["SYS_ADMIN"]
            }.contains("CAP_SYS_ADMIN") == false)
        #expect(try bounding { $0.capAdd = ["ALL"] }.count == 41)
        #expect(try bounding { $0.capDrop = ["KILL"] }.contains("CAP_KILL") == false)
        #expect(throws: EngineError.self) { try bounding { $0.capAdd = ["BOGUS"] } }
        #expect(throws: EngineError.self) {
            try bounding {
                $0.capAdd = ["ALL"]; $0.capDrop = ["ALL"]
            }
        }
    }

    @Test func privileged() throws {
        let spec = try make { $0.privileged = true }
        #expect(spec.linux?.maskedPaths == [] && spec.linux?.readonlyPaths == [])
        #expect(spec.linux?.resources?.devices == [LinuxDeviceCgroup(allow: true, access: "rwm")])
        #expect(mount(spec, "/sys")?.options.contains("rw") == true)
        #expect(mount(spec, "/sys/fs/cgroup")?.options.contains("rw") == true)
        let host = try make {
            $0.privileged = true; $0.cgroup = .host
        }
        #expect(mount(host, "/sys/fs/cgroup")?.options.contains("ro") == true, "the host's tree is never writable")
    }

    @Test func namespacesOfOthers() throws {
        let spec = try build(inputs: { $0.joined = [.network: 42, .pid: 42] }) {
            $0.network = .container("x")
            $0.pid = .container("x")
            $0.uts = .host
            $0.ipc = .host
        }
        let linux = try #require(spec.linux)
        #expect(linux.namespaces.first { $0.type == "network" }?.path == "/proc/42/ns/net")
        #expect(linux.namespaces.first { $0.type == "pid" }?.path == "/proc/42/ns/pid")
        #expect(!linux.namespaces.contains { $0.type == "uts" || $0.type == "ipc" })
        #expect(linux.sysctl.isEmpty, "the other's network is not ours to set up")
        #expect(spec.hostname.isEmpty)
        #expect(mount(spec, "/dev/shm")?.type == "bind")
        #expect(throws: EngineError.self) {
            try make {
                $0.network = .host; $0.sysctls = ["net.ipv4.ip_forward": "1"]
            }
        }
    }

    @Test func namespacesOfWhoDoesNotRunAreNeverTheHosts() throws {
        let linux = try #require(try make { $0.pid = .container("abc") }.linux)
        let path = try #require(linux.namespaces.first { $0.type == "pid" }?.path)
        #expect(path.hasPrefix("/nonexistent/"))
    }

    @Test func joinedUserNamespace() throws {
        let spec = try build(
            rootless: true,
            inputs: {
                $0.joined = [.network: 42]
                $0.joinedUserNamespace = 42
            }
        ) { $0.network = .container("x") }
        let linux = try #require(spec.linux)
        #expect(linux.namespaces.first?.type == "user" && linux.namespaces.first?.path == "/proc/42/ns/user")
        #expect(linux.uidMappings.isEmpty && linux.gidMappings.isEmpty, "it has its mappings already")
        #expect(mount(spec, "/sys")?.type == "sysfs", "who is in the owner's user namespace may mount it")
    }

    @Test func externalRuntimeOfAUser() throws {
        let linux = try #require(try make(rootless: true) { $0.runtime = "runc" }.linux)
        #expect(!linux.namespaces.contains { $0.type == "user" || $0.type == "time" })
        #expect(linux.uidMappings.isEmpty && linux.cgroupsPath.isEmpty)
        #expect(try make(rootless: true) { $0.runtime = "runc" }.ociVersion == "1.0.2")
    }

    @Test func sharedMemory() throws {
        #expect(try mount(make { $0.ipc = .none }, "/dev/shm") == nil)
        #expect(try make { $0.ipc = .none }.linux?.namespaces.contains { $0.type == "ipc" && $0.path.isEmpty } == true)
        #expect(try mount(make { $0.ipc = .shareable }, "/dev/shm")?.type == "tmpfs")
        let joined = try build(inputs: { $0.joined = [.ipc: 42] }) { $0.ipc = .container("x") }
        #expect(mount(joined, "/dev/shm")?.source == "/proc/42/root/dev/shm")
    }

    @Test func volumesOfOwnIDsAreMapped() throws {
        func options(_ slot: Int64?) throws -> [String] {
            let spec = try build(inputs: { inputs in
                inputs.mounts = [BoundMount(MountDefinition(.volume, source: "v", target: "/v"), source: "/s")]
            }) { $0.userNamespaceSlot = slot }
            return try #require(mount(spec, "/v")).options
        }
        #expect(try options(3).contains("idmap") && !options(nil).contains("idmap"))
    }

    @Test func rootless() throws {
        let spec = try build(rootless: true)
        let linux = try #require(spec.linux)
        #expect(linux.uidMappings.map(\.hostID) == [1001, 100_000])
        #expect(linux.resources?.devices.isEmpty != false)
        #expect(linux.sysctl["net.ipv4.ping_group_range"] == "0 65536")
        #expect(!linux.cgroupsPath.hasPrefix("/"))
        #expect(mount(spec, "/dev/pts")?.options.contains("gid=5") == true)
        let host = try make(rootless: true) {
            $0.network = .host; $0.pid = .host; $0.ipc = .host
        }
        #expect(
            mount(host, "/sys")?.type == "bind" && mount(host, "/proc")?.type == "bind"
                && mount(host, "/dev/mqueue")?.type == "bind")
        #expect(host.linux?.maskedPaths.contains("/sys/kernel") == true)
        #expect(throws: EngineError.self, "an id nobody maps") {
            try build(user: ResolvedUser(uid: 70000, gid: 0, additionalGroups: [], name: "", home: "/"), rootless: true)
        }
        let single = try build(
            rootless: true, inputs: { $0.gidMappings = [LinuxIDMapping(containerID: 0, hostID: 1, size: 1)] })
        #expect(mount(single, "/dev/pts")?.options.contains("gid=5") == false)
    }

    @Test func userMountsComeLastByDepthAndReplaceOurs() throws {
        let spec = try build(inputs: { inputs in
            inputs.files = [("/c/hosts", "/etc/hosts"), ("/c/hostname", "/etc/hostname")]
            for (target, kind) in [
                ("/a/b", MountDefinition.Kind.bind), ("/a", .volume), ("/dev/shm", .tmpfs), ("/etc/hosts", .bind),
            ] {
                inputs.mounts.append(BoundMount(MountDefinition(kind, source: "s", target: target), source: "/src"))
            }
        })
        let targets = spec.mounts.map(\.destination)
        #expect(targets.suffix(4) == ["/a", "/a/b", "/dev/shm", "/etc/hosts"])
        #expect(targets.count { $0 == "/dev/shm" } == 1 && targets.count { $0 == "/etc/hosts" } == 1)
        #expect(mount(spec, "/a")?.options == ["rbind", "rprivate", "nosuid", "nodev"])
        #expect(mount(spec, "/dev/shm")?.options == ["noexec", "nosuid", "nodev"])
    }

    @Test func readOnlyBindsAreRecursive() throws {
        func options(_ change: (inout MountDefinition) -> Void) throws -> [String] {
            var definition = MountDefinition(.bind, source: "/s", target: "/t")
            definition.readOnly = true
            change(&definition)
            let bound = BoundMount(definition, source: "/s")
            return mount(try build(inputs: { $0.mounts = [bound] }), "/t")?.options ?? []
        }
        #expect(try options { _ in } == ["rbind", "rprivate", "ro", "rro"])
        #expect(try options { $0.recursiveReadOnly = .off } == ["rbind", "rprivate", "ro"])
        #expect(try options { $0.recursive = false } == ["bind", "rprivate", "ro"])
        #expect(try options { $0.propagation = "rslave" }.contains("rslave"))
    }

    @Test func resources() throws {
        let spec = try make {
            $0.resources.memory = 64 << 20
            $0.resources.nanoCPUs = 500_000_000
            $0.resources.pidsLimit = -1
            $0.resources.blockIOWeight = 300
        }
        let resources = try #require(spec.linux?.resources)
        #expect(resources.memory?.limit == 64 << 20 && resources.memory?.swap == 128 << 20)
        #expect(resources.cpu?.period == 100_000 && resources.cpu?.quota == 50_000)
        #expect(resources.pids == nil && resources.blockIO?.weight == 300)
        #expect(
            try make {
                $0.resources.memory = 64 << 20; $0.resources.memorySwap = -1
            }.linux?.resources?.memory?.swap == -1)
        let bad: [(inout ContainerDefinition) -> Void] = [
            { $0.resources.memory = 1 << 20 }, { $0.resources.memorySwap = 64 << 20 },
            {
                $0.resources.memory = 64 << 20; $0.resources.memorySwap = 32 << 20
            }, { $0.resources.memorySwappiness = 101 },
            { $0.resources.nanoCPUs = 100_000 * 1_000_000_000 },
            {
                $0.resources.nanoCPUs = 1; $0.resources.cpuQuota = 5000
            },
            { $0.resources.cpuPeriod = 5 }, { $0.resources.blockIOWeight = 5 }, { $0.resources.cpusetCPUs = "a" },
            { $0.resources.cpusetCPUs = "1-2-3" }, { $0.resources.disableOOMKiller = true },
        ]
        for change in bad { #expect(throws: EngineError.self) { try make(change) } }
    }

    @Test func masksCanBeChanged() throws {
        #expect(try make { $0.security.unconfinedSystemPaths = true }.linux?.maskedPaths == [])
        #expect(try make { $0.security.mask = ["/x"] }.linux?.maskedPaths.contains("/x") == true)
        #expect(
            try make { $0.security.unmask = ["/proc/*"] }.linux?.maskedPaths.contains { $0.hasPrefix("/proc/") }
                == false)
        #expect(try make { $0.security.unmask = ["/proc/acpi"] }.linux?.maskedPaths.contains("/proc/kcore") == true)
    }

    @Test func initIsProcessOne() throws {
        let spec = try build(inputs: { $0.runtimeProgram = "/usr/bin/berth-runtime" }) { $0.`init` = true }
        #expect(spec.process?.args == ["/dev/init", "init", "--", "true"])
        #expect(mount(spec, "/dev/init")?.options.contains("ro") == true)
    }
}

struct UserNamespaceTests {
    @Test func keepIDMapsTheUserToThemselves() {
        let mapping = UserNamespacePlan.keeping(1000, as: 1000, [IDRange(start: 100_000, count: 65536)])
        #expect(
            mapping == [
                LinuxIDMapping(containerID: 0, hostID: 100_000, size: 1000),
                LinuxIDMapping(containerID: 1000, hostID: 1000, size: 1),
                LinuxIDMapping(containerID: 1001, hostID: 101_000, size: 64536),
            ])
        #expect(
            UserNamespacePlan.keeping(0, as: 0, [IDRange(start: 5, count: 10)]).first
                == LinuxIDMapping(containerID: 0, hostID: 0, size: 1))
    }

    @Test func keepIDMapsTheUserToAnother() {
        let mapping = UserNamespacePlan.keeping(1000, as: 2, [IDRange(start: 100_000, count: 10)])
        #expect(
            mapping == [
                LinuxIDMapping(containerID: 0, hostID: 100_000, size: 2),
                LinuxIDMapping(containerID: 2, hostID: 1000, size: 1),
                LinuxIDMapping(containerID: 3, hostID: 100_002, size: 8),
            ])
    }

    @Test func modesAreReadAsTheyAreWritten() throws {
        for text in ["", "host", "keep-id", "keep-id:uid=5", "keep-id:uid=5,gid=7", "auto", "auto:size=70"] {
            #expect(try UserNamespaceMode(option: text).text == text)
        }
        #expect(try UserNamespaceMode(option: "auto:size=65536") == UserNamespaceMode(option: "auto"))
        for text in [
            "x", "host:x", "auto:", "auto:size=0", "auto:size=65537", "auto:size=-1", "auto:nosuch=1", "keep-id:uid",
            "keep-id:uid=-1", "keep-id:uid=4294967295", "keep-id:x=1", "nomap", "ns:/x", "container:x", " host",
        ] where text != "auto:" {
            #expect(throws: EngineError.self, "\(text)") { try UserNamespaceMode(option: text) }
        }
    }

    @Test func rangesAreJoinedInOrder() {
        let mapping = UserNamespacePlan.sequence(7, [IDRange(start: 100, count: 10), IDRange(start: 300, count: 5)])
        #expect(mapping.map(\.containerID) == [0, 1, 11] && mapping.map(\.hostID) == [7, 100, 300])
    }

    @Test func overlapsAndHostRootAreRefused() {
        for ranges in [
            [IDRange(start: 0, count: 5)], [IDRange(start: 100, count: 50), IDRange(start: 149, count: 5)],
            [IDRange(start: 4_294_967_290, count: 100)],
        ] {
            #expect(throws: EngineError.self) { try SubordinateIDs.check(ranges, "/etc/subuid", "me") }
        }
        #expect(throws: Never.self) {
            try SubordinateIDs.check([IDRange(start: 100, count: 5), IDRange(start: 105, count: 5)], "f", "me")
        }
    }
}
