import JSON
import OCI
import Testing

@Suite struct RuntimeSpecTests {
    func code(_ text: String) -> JSONError.Code? {
        do {
            _ = try Spec.decode(Array(text.utf8))
            return nil
        } catch { return error.json?.code }
    }

    func decode(_ text: String) throws(OCIError) -> Spec { try Spec.decode(Array(text.utf8)) }

    @Test func readsWhatRuncWrites() throws {
        let spec = try decode(runcSpec)
        #expect(spec.ociVersion == "1.0.2-dev")
        #expect(spec.hostname == "runc")
        #expect(spec.root == Root(path: "rootfs", readonly: true))
        let process = try #require(spec.process)
        #expect(process.terminal && process.noNewPrivileges)
        #expect(process.args == ["sh"])
        #expect(process.env.count == 2)
        #expect(process.cwd == "/")
        #expect(process.user == User(uid: 0, gid: 0))
        #expect(process.capabilities?.bounding == ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"])
        #expect(process.rlimits == [POSIXRlimit(type: "RLIMIT_NOFILE", hard: 1024, soft: 1024)])
        #expect(
            spec.mounts.map(\.destination)
                == ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"])
        #expect(spec.mounts[2].options.contains("gid=5"))
        let linux = try #require(spec.linux)
        #expect(linux.namespaces.map(\.type) == ["pid", "network", "ipc", "uts", "mount"])
        #expect(linux.resources?.devices == [LinuxDeviceCgroup(allow: false, access: "rwm")])
        #expect(linux.maskedPaths.contains("/proc/kcore"))
        #expect(linux.readonlyPaths.contains("/proc/sys"))
        #expect(linux.seccomp == nil)
    }

    @Test(arguments: [true, false])
    func whatRuncWritesRoundTrips(_ pretty: Bool) throws {
        let spec = try decode(runcSpec)
        let encoded = spec.encode(pretty: pretty)
        #expect(try meaning(encoded) == meaning(runcSpec))
        #expect(try Spec.decode(encoded) == spec)
    }

    /// Every key of the specification is read, kept and written.
    @Test func aCompleteDocumentRoundTrips() throws {
        let spec = try decode(completeSpec)
        #expect(try meaning(spec.encode()) == meaning(completeSpec))
        #expect(spec.linux?.resources?.blockIO?.throttleWriteIOPSDevice == [LinuxThrottleDevice(major: 7, minor: 7, rate: 7)])
        #expect(spec.linux?.timeOffsets["boottime"] == LinuxTimeOffset(secs: 7, nanosecs: 7))
        #expect(spec.process?.ioPriority?.class == "text")
        #expect(spec.hooks?.startContainer.first?.timeout == 7)
    }

    @Test func whatGoOmitsIsOmitted() {
        #expect(text(Spec().encode()) == #"{"ociVersion":"1.3.0"}"#)
        #expect(
            text(Spec(process: Process(), root: Root(), hooks: Hooks(), linux: LinuxSpec()).encode())
                == #"{"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0},"cwd":""},"root":{"path":""},"hooks":{},"linux":{}}"#)
        #expect(
            text(LinuxResources(memory: LinuxMemory(limit: 0, disableOOMKiller: false), pids: LinuxPids(limit: -1)).encode())
                == #"{"memory":{"limit":0,"disableOOMKiller":false},"pids":{"limit":-1}}"#)
        #expect(
            text(LinuxSeccomp(defaultAction: "SCMP_ACT_ALLOW", syscalls: [LinuxSyscall(action: "x")]).encode())
                == #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[],"action":"x"}]}"#)
        #expect(text(Process(oomScoreAdj: 0).encode()) == #"{"user":{"uid":0,"gid":0},"cwd":"","oomScoreAdj":0}"#)
    }

    @Test func dictionariesAreWrittenSorted() {
        let spec = Spec(annotations: ["b": "2", "a": "1", "é": "4", "c": "3"], linux: LinuxSpec(sysctl: ["y": "1", "x": "2"]))
        #expect(
            text(spec.encode())
                == #"{"ociVersion":"1.3.0","annotations":{"a":"1","b":"2","c":"3","é":"4"},"linux":{"sysctl":{"x":"2","y":"1"}}}"#)
    }

    @Test func unknownKeysAndValuesDecode() throws {
        let spec = try decode(
            #"""
            {"ociVersion":"9.9.9","future":{"a":[1,{"b":2}]},"windows":{"layerFolders":["x"]},
             "linux":{"namespaces":[{"type":"quantum","flags":3}],"rootfsPropagation":"sideways",
             "seccomp":{"defaultAction":"SCMP_ACT_DANCE","syscalls":[{"names":["no_such_call"],"action":"?","args":[]}]}}}
            """#)
        #expect(spec.linux?.namespaces == [LinuxNamespace(type: "quantum")])
        #expect(spec.linux?.seccomp?.defaultAction == "SCMP_ACT_DANCE")
    }

    @Test func nullsAreAbsent() throws {
        let spec = try decode(
            #"""
            {"ociVersion":"1.0.0","process":{"args":null,"env":null,"capabilities":null,"oomScoreAdj":null,"cwd":"/","terminal":null},
             "root":null,"mounts":[{"destination":"/a","options":null,"type":null}],"hooks":{"poststop":null},"annotations":null,
             "linux":{"resources":{"memory":{"limit":null,"swap":5},"devices":null},"seccomp":null,"sysctl":null}}
            """#)
        #expect(spec.root == nil)
        #expect(spec.process?.capabilities == nil && spec.process?.oomScoreAdj == nil)
        #expect(spec.mounts == [Mount(destination: "/a")])
        #expect(spec.linux?.resources?.memory == LinuxMemory(swap: 5))
        #expect(spec.hooks == Hooks())
    }

    /// Attacks: numbers that would wrap into another meaning, such as uid 2³² into root.
    @Test(arguments: [
        #"{"process":{"user":{"uid":4294967296}}}"#, #"{"process":{"user":{"uid":-1}}}"#,
        #"{"process":{"user":{"additionalGids":[4294967296]}}}"#, #"{"process":{"rlimits":[{"hard":18446744073709551616}]}}"#,
        #"{"linux":{"uidMappings":[{"containerID":0,"hostID":4294967296,"size":1}]}}"#,
        #"{"linux":{"resources":{"memory":{"limit":9223372036854775808}}}}"#,
        #"{"linux":{"resources":{"memory":{"limit":1e400}}}}"#, #"{"linux":{"resources":{"cpu":{"shares":-2}}}}"#,
        #"{"linux":{"resources":{"blockIO":{"weight":65536}}}}"#, #"{"linux":{"timeOffsets":{"boottime":{"nanosecs":-1}}}}"#,
        #"{"linux":{"seccomp":{"syscalls":[{"args":[{"value":18446744073709551616}]}]}}}"#,
        #"{"process":{"oomScoreAdj":99999999999999999999}}"#, #"{"linux":{"devices":[{"fileMode":4294967296}]}}"#,
    ])
    func refusesNumbersThatDoNotFit(_ text: String) {
        #expect(code(text) == .outOfRange)
    }

    @Test(arguments: [
        #"{"process":[]}"#, #"{"process":{"args":"sh"}}"#, #"{"process":{"args":[1]}}"#, #"{"process":{"args":[null]}}"#,
        #"{"process":{"terminal":"yes"}}"#, #"{"process":{"user":{"uid":"0"}}}"#, #"{"process":{"user":{"uid":0.5}}}"#,
        #"{"mounts":{}}"#, #"{"mounts":["/a"]}"#, #"{"annotations":{"a":1}}"#, #"{"linux":{"sysctl":[]}}"#, "[]", "1", "\"x\"",
    ])
    func refusesOtherTypes(_ text: String) {
        #expect(code(text) == .typeMismatch)
    }

    @Test func refusesDocumentsThatTwoReadersCouldReadDifferently() {
        #expect(code(#"{"process":{"user":{"uid":1000}},"process":{"user":{"uid":0}}}"#) == .duplicateKey)
        #expect(code(#"{"process":{"user":{"uid":1000,"\u0075id":0}}}"#) == .duplicateKey)
        #expect(code(#"{"ociVersion":"1.0.0"} {}"#) == .trailingBytes)
        // A path that a C string would cut: /etc instead of a name below it.
        #expect(code(#"{"mounts":[{"destination":"/etc\u0000/x"}]}"#) == .invalidString)
        #expect(code(#"{"mounts":[{"destination":"/\ud800"}]}"#) == .invalidString)
    }

    @Test func refusesBombs() {
        let deep = #"{"x":"# + String(repeating: "[", count: 100_000)
        #expect(code(deep) == .tooDeep)
        #expect(code(#"{"annotations":{"a":"# + String(repeating: "{\"a\":", count: 64)) == .typeMismatch)
        do {
            _ = try Spec.decode([UInt8](repeating: 0x20, count: 1 << 20), limits: JSONLimits(size: 1 << 10))
            Issue.record("accepted")
        } catch {
            #expect(error.code == .tooLarge)
        }
    }

    @Test func errorsNameTheFile() {
        do {
            _ = try decode(#"{"process":{"cwd":7}}"#)
            Issue.record("accepted")
        } catch {
            #expect(
                error.naming("/b/config.json").description
                    == #"parse config.json "/b/config.json": expected a string, found a number at byte 18, in "cwd""#)
        }
    }

    @Test func bothSpellingsOfHardwareAreRead() throws {
        #expect(try decode(#"{"vm":{"kernel":{"path":"/k"},"hwconfig":{"vcpus":2}}}"#).vm?.hwConfig?.vcpus == 2)
        #expect(try decode(#"{"vm":{"kernel":{"path":"/k"},"hwConfig":{"vcpus":2}}}"#).vm?.hwConfig?.vcpus == 2)
    }

    @Test func stateRoundTrips() throws {
        let state = State(
            ociVersion: "1.3.0", id: "c1", status: "running", pid: 42, bundle: "/b", annotations: ["k": "v"])
        #expect(
            text(state.encode())
                == #"{"ociVersion":"1.3.0","id":"c1","status":"running","pid":42,"bundle":"/b","annotations":{"k":"v"}}"#)
        #expect(try State.decode(state.encode()) == state)
        #expect(
            text(State(ociVersion: "1.3.0", id: "c", status: "stopped", bundle: "/").encode())
                == #"{"ociVersion":"1.3.0","id":"c","status":"stopped","bundle":"/"}"#)
        let agent = ContainerProcessState(ociVersion: "1.3.0", fds: ["seccompFd"], pid: 0, state: State(id: "x"))
        #expect(
            text(agent.encode())
                == #"{"ociVersion":"1.3.0","fds":["seccompFd"],"pid":0,"state":{"ociVersion":"","id":"x","status":"","bundle":""}}"#)
    }

    @Test func featuresTellUnknownFromNone() throws {
        let features = Features(
            ociVersionMin: "1.0.0", ociVersionMax: "1.3.0", hooks: [],
            linux: LinuxFeatures(
                cgroup: CgroupFeatures(v1: false, v2: true), mountExtensions: MountExtensionFeatures(idmap: EnabledFeature(enabled: true))))
        #expect(
            text(features.encode())
                == #"{"ociVersionMin":"1.0.0","ociVersionMax":"1.3.0","hooks":[],"linux":{"cgroup":{"v1":false,"v2":true},"mountExtensions":{"idmap":{"enabled":true}}}}"#
        )
        #expect(try Features.decode(features.encode()) == features)
    }
}
