import OCI
import Testing

@testable import Runtime

/// What is said to CRIU and what it says, and which mounts it is told to leave alone. CRIU itself: Tests/Integration.
struct CheckpointTests {
    @Test func numbersAndTexts() {
        var writer = ProtobufWriter()
        writer.field(1, Int32(-1))
        writer.field(2, UInt64(300))
        writer.field(16, "ab")
        writer.field(3, false)
        writer.field(4, "")
        // As protoc encodes them.
        #expect(writer.bytes == [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 16, 172, 2, 130, 1, 2, 97, 98])
    }

    @Test func aRequest() throws {
        var options = CriuOptions()
        (options.images, options.pid) = (5, 77)
        options.external = ["mnt[/a]:b"]
        let bytes = CriuRequest(kind: .dump, options: options).encoded
        #expect(bytes.starts(with: [8, 1, 18]))
        var request = ProtobufReader(bytes)
        _ = request.next()
        guard case (2, .bytes(let inner))? = request.next() else {
            Issue.record("no options")
            return
        }
        var (numbers, texts): ([UInt64: UInt64], [UInt64: [UInt8]]) = ([:], [:])
        var reader = ProtobufReader(inner)
        while let (number, value) = reader.next() {
            switch value {
            case .number(let value): numbers[number] = value
            case .bytes(let value): texts[number] = value
            }
        }
        #expect(!reader.isCorrupt)
        // images_dir_fd, pid, notify_scripts, manage_cgroups_mode (IGNORE is 0 and not its default), external.
        #expect(numbers[1] == 5 && numbers[2] == 77 && numbers[12] == 1 && numbers[34] == 0)
        #expect(texts[37] == Array("mnt[/a]:b".utf8))
        #expect(CriuRequest(kind: .notify, succeeded: false).encoded == [8, 6, 24, 0])
    }

    @Test func answers() throws {
        let notification = try #require(CriuResponse([8, 6, 16, 1, 42, 7, 10, 3, 97, 98, 99, 16, 9]))
        #expect(notification.kind == 6 && notification.succeeded && notification.script == "abc" && notification.pid == 9)
        let failure = try #require(CriuResponse([8, 1, 16, 0, 56, 17, 74, 2, 110, 111]))
        #expect(!failure.succeeded && failure.errorNumber == 17 && failure.errorText == "no")
    }

    @Test(
        arguments: [
            [], [8], [8, 1], [255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255], [8, 6, 16, 1, 42, 200, 10], [11, 1],
            [10, 255, 255, 255, 255, 255, 255, 255, 255, 127], [8, 1, 16, 1, 13, 0],
        ] as [[UInt8]]) func whatIsNoAnswer(_ bytes: [UInt8])
    {
        #expect(CriuResponse(bytes) == nil)
    }

    /// Answers with bytes that are others, that are missing, or too many: no trap, whatever comes.
    @Test func damagedAnswers() {
        let whole: [UInt8] = [8, 6, 16, 1, 34, 2, 8, 77, 42, 7, 10, 3, 97, 98, 99, 16, 9, 56, 17, 74, 2, 110, 111]
        var state: UInt64 = 88_172_645_463_325_252
        func random(_ bound: Int) -> Int {
            // xorshift64
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(bound))
        }
        var understood = 0
        for _ in 0..<20_000 {
            var bytes = whole
            for _ in 0...random(4) {
                switch random(3) {
                case 0: bytes[random(bytes.count)] = UInt8(random(256))
                case 1 where bytes.count > 1: bytes.removeLast(random(bytes.count - 1))
                default: bytes.insert(UInt8(random(256)), at: random(bytes.count))
                }
            }
            if CriuResponse(bytes) != nil { understood += 1 }
        }
        #expect(CriuResponse(whole)?.pid == 9 && understood > 100 && understood < 20_000)
    }

    @Test func theReasonOfAFailure() {
        let log = """
            (00.000001) Warn  (criu/kerndat.c:1): no matter
            (00.000002) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
            (00.000003) Error (criu/files-reg.c:1790): Can't lookup mount=136 for fd=1 path=/x
            (00.000004) Error (criu/cr-dump.c:1698): Dump files (pid: 1) failed with -1
            (00.000005) Error (criu/cr-dump.c:2128): Dumping FAILED.
            """
        #expect(CriuLog.reason(in: log) == "Can't lookup mount=136 for fd=1 path=/x")
        #expect(CriuLog.reason(in: "Error (criu/x.c:1): Dumping FAILED.") == nil)
        #expect(CriuLog.reason(in: "Error (") == "")
    }

    @Test func linesOfMountinfo() throws {
        let mount = try #require(MountInfo("36 35 98:0 /mnt1 /a\\040b\\134c rw,noatime master:1 - ext3 /dev/root rw"))
        #expect(mount.device == "98:0" && mount.point == "/a b\\c")
        #expect(MountInfo("36 35") == nil && MountInfo.unescaped("\\04") == "\\04")
    }

    @Test func mountsOfTheHost() throws {
        var spec = Spec(ociVersion: "1.2.1")
        spec.mounts = [
            mount("/proc", "proc"), mount("/dev", "tmpfs"), mount("/data", "bind", "/srv"), mount("/etc/hosts", "bind", "/h"),
            mount("/image", "overlay"), mount("/sys/fs/cgroup", "cgroup"),
        ]
        spec.linux = LinuxSpec()
        spec.linux?.maskedPaths = ["/proc/keys", "/proc/scsi"]
        let all = ExternalMounts(spec: spec, cgroup: [("pids", "/sys/fs/cgroup/pids/x")])
        let lines = [
            ("0:1", "/"), ("0:2", "/proc"), ("0:3", "/dev"), ("8:1", "/data"), ("8:2", "/data/below"), ("0:5", "/data/other"),
            ("8:1", "/etc/hosts"),
            ("0:9", "/image"), ("0:4", "/sys/fs/cgroup"), ("0:5", "/sys/fs/cgroup/pids"), ("0:6", "/proc/keys"), ("0:7", "/proc/scsi"),
            ("0:2", "/proc/sys"),
            ("0:6", "/dev/null"),
        ]
        let container = lines.compactMap { MountInfo("1 1 \($0.0) / \($0.1) rw - x x rw") }
        let host = [("8:1", "/"), ("8:2", "/srv/below"), ("0:5", "/somewhere"), ("0:6", "/dev")].compactMap {
            MountInfo("1 1 \($0.0) / \($0.1) rw - x x rw")
        }
        #expect(
            all.find(container: container, host: host) == [
                "/data", "/data/below", "/etc/hosts", "/image", "/sys/fs/cgroup/pids", "/proc/keys", "/dev/null",
            ])
        #expect(all.source(of: "/data/below") == .entry(2, below: "/below"))
        #expect(all.source(of: "/proc/keys") == .host("/dev/null") && all.source(of: "/dev/null") == .host("/dev/null"))
        #expect(all.source(of: "/sys/fs/cgroup/pids") == .host("/sys/fs/cgroup/pids/x"))
        #expect(all.source(of: "/proc/sys") == nil && all.source(of: "/dev/shm") == nil)
    }

    private func mount(_ destination: String, _ type: String, _ source: String = "") -> Mount {
        var mount = Mount(destination: destination)
        (mount.type, mount.source) = (type, source)
        return mount
    }
}
