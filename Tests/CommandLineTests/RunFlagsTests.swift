import Flags
import Testing

@testable import CommandLine

@Suite struct RunFlagsTests {
    /// Flags of `run` in docker 28.2 and podman 4.3 that take a value.
    static let peersWithValue = """
        add-host annotation attach/a blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent
        cgroupns cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime
        cpu-shares/c cpus cpuset-cpus cpuset-mems detach-keys device device-cgroup-rule device-read-bps
        device-read-iops device-write-bps device-write-iops dns dns-option dns-search domainname
        entrypoint env/e env-file expose gpus group-add health-cmd health-interval health-retries
        health-start-interval health-start-period health-timeout hostname/h io-maxbandwidth io-maxiops
        ip ip6 ipc isolation kernel-memory label/l label-file link link-local-ip log-driver log-opt
        mac-address memory/m memory-reservation memory-swap memory-swappiness mount name network
        network-alias oom-score-adj pid pids-limit platform publish/p pull restart runtime security-opt
        shm-size stop-signal stop-timeout storage-opt sysctl tmpfs ulimit user/u userns uts volume/v
        volume-driver volumes-from workdir/w arch authfile cgroup-conf cgroups chrootdirs conmon-pidfile
        env-merge gidmap health-on-failure hostuser image-volume init-path os passwd-entry personality
        pidfile pod pod-id-file preserve-fds requires sdnotify seccomp-policy secret subgidname
        subuidname systemd timeout tz uidmap umask unsetenv variant
        """

    /// Switches of `run` in docker 28.2 and podman 4.3.
    static let peersSwitches = """
        detach/d disable-content-trust init interactive/i no-healthcheck oom-kill-disable privileged
        publish-all/P quiet/q read-only rm sig-proxy tty/t use-api-socket env-host http-proxy no-hosts
        passwd read-only-tmpfs replace rmi rootfs tls-verify unsetenv-all
        """

    @Test(arguments: Table.words(peersWithValue).map { ($0, true) } + Table.words(peersSwitches).map { ($0, false) })
    func everyFlagOfThePeersIsKnown(_ peer: String, _ takesValue: Bool) throws {
        let halves = peer.split(separator: "/").map(String.init)
        let name = try #require(halves.first)
        let known = RunFlags.run() + RunFlags.unsupported()
        let flag = try #require(known.first { $0.name == name })
        #expect((flag.kind != .bool) == takesValue)
        #expect(flag.short.map { String($0) } == (halves.count > 1 ? halves[1] : nil))
    }

    @Test func namesAndLettersAreUnique() {
        for flags in [RunFlags.run() + RunFlags.unsupported(), RunFlags.create() + RunFlags.unsupported()] {
            let names = flags.flatMap { [$0.name] + $0.aliases }
            #expect(Set(names).count == names.count)
            let letters = flags.compactMap(\.short)
            #expect(Set(letters).count == letters.count)
        }
    }

    /// The whole of what this version promises, in one line each.
    @Test func readsAFullCommandLine() throws {
        let line =
            "run -dit --rm --name n -eA=B --env-file f -w /w -u 1:2 --group-add g -v/a:/b:ro --mount type=tmpfs,target=/t "
            + "--tmpfs /x --read-only --entrypoint e --hostname h --domainname d --init --privileged --cap-add ALL "
            + "--cap-drop KILL --security-opt no-new-privileges --device /dev/fuse --ulimit nofile=1:2 "
            + "--sysctl net.core.somaxconn=1 -m 1g --memory-swap -1 --memory-reservation 1m --memory-swappiness 0 "
            + "--cpus .5 -c 2 --cpu-period 1000 --cpu-quota 1000 --cpuset-cpus 0 --cpuset-mems 0 --pids-limit 9 "
            + "--blkio-weight 10 --shm-size 1m --network none --pid host --ipc private --uts host --userns keep-id "
            + "--cgroup-parent p --stop-signal INT --stop-timeout 3 -l a=b --label-file lf --annotation c=d "
            + "--cidfile cf --platform linux/amd64 --pull never --restart on-failure:3 --log-driver json-file "
            + "--log-opt max-size=1m --detach-keys ctrl-a,b --oom-kill-disable --oom-score-adj -5 -q "
            + "--sig-proxy=false --runtime runc img cmd -x"
        let parsed = try #require(Table.parsed(line))
        #expect(parsed.positionals == ["img", "cmd", "-x"])
        #expect(parsed.int64("memory") == 1 << 30)
        #expect(parsed.int64("memory-swap") == -1)
        #expect(parsed.int64("cpus") == 500_000_000)
        #expect(parsed.int("oom-score-adj") == -5)
        #expect(!parsed.bool("sig-proxy"))
        #expect(parsed.occurrences(of: "volume", "mount", "tmpfs").map(\.name) == ["volume", "mount", "tmpfs"])
    }

    @Test func defaultsAreDockers() throws {
        let parsed = try #require(Table.parsed("run img"))
        #expect(parsed.string("pull") == "missing")
        #expect(parsed.string("restart") == "no")
        #expect(parsed.bool("sig-proxy"))
        #expect(parsed.int("memory-swappiness") == -1)
        #expect(parsed.int64("memory") == nil)
        #expect(parsed.optionalString("stop-signal") == nil)
    }

    @Test(arguments: [
        ("run --umask 077 img", "not supported yet: --umask"),
        ("network create --scope swarm n", "not supported yet: --scope"), ("update --ulimit nofile=5 c", "not supported yet: --ulimit"),
        ("run --health-log-destination x --replace img", "not supported yet: --health-log-destination, --replace"),
        ("--host x ps", "not supported yet: --host"), ("rm --link x", "not supported yet: --link"),
        ("image prune --external", "not supported yet: --external"), ("container restore --pod x y", "not supported yet: --pod"),
    ]) func refusesByName(_ line: String, _ sentence: String) throws {
        #expect(try #require(Table.failure(line)).cause == "berth: " + sentence)
    }

    @Test(arguments: ["create -d img", "create --sig-proxy img"]) func createIsNotAttached(_ line: String) throws {
        #expect(try #require(Table.failure(line)).code == .unknownFlag)
    }

    @Test(arguments: [
        ("--env =x", "invalid environment variable: =x"), ("--label =x", "invalid label '=x': empty name"),
        ("--sysctl x", "sysctl 'x' is not allowed"), ("--sysctl kernel.panic=1", "sysctl 'kernel.panic=1' is not allowed"),
        ("--ulimit x", "invalid ulimit argument: x"), ("--ulimit x=1", "invalid ulimit type: x"),
        ("--ulimit nofile=x", "invalid limit: x"), ("--ulimit nofile=1:", "invalid limit: "),
        ("--ulimit nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
        ("--ulimit nofile=-1:1", "ulimit soft limit must be less than or equal to hard limit: -1 > 1"),
        ("--mount x", "invalid field 'x' must be a key=value pair"),
        ("--restart x", "unknown policy 'x'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"),
        ("--restart always:3", "maximum retry count can only be used with 'on-failure'"),
        ("--restart on-failure:x", "maximum retry count must be an integer"),
        ("--restart on-failure:-1", "maximum retry count cannot be negative"),
        ("--pull x", #"must be one of "always", "missing" or "never""#),
        ("--memory-swappiness 101", "valid memory swappiness range is 0-100"),
        ("--oom-score-adj 1001", "range for oom score adj is [-1000, 1000]"),
        ("--blkio-weight 9", "range of blkio weight is from 10 to 1000"),
        ("--detach-keys ctrl-", "unknown character: 'ctrl-'"), ("--detach-keys a,,b", "unknown character: ''"),
    ]) func refusesValues(_ flags: String, _ reason: String) throws {
        let error = try #require(Table.failure("run \(flags) img"))
        #expect(error.cause.hasSuffix(" flag: " + reason))
    }

    @Test(arguments: [
        "--ulimit nofile=5", "--ulimit core=-1", "--ulimit core=5:-1", "--sysctl fs.mqueue.msg_max=1", "--restart no",
        "--restart on-failure", "--mount type=bind,source=/a,target=/b,readonly", "--detach-keys ctrl-@,x",
        "--blkio-weight 0", "--memory-swappiness -1", "--env A", "--label a",
    ]) func acceptsValues(_ flags: String) {
        #expect(Table.parsed("run \(flags) img") != nil)
    }
}
