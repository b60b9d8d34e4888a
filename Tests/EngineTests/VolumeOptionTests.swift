import Testing

@testable import Engine

struct VolumeOptionTests {
    private func parse(_ text: String) -> MountDefinition? {
        try? VolumeOption.parse(text, workingDirectory: "/home/me")
    }

    @Test func hostPathsBecomeBinds() throws {
        let mount = try VolumeOption.parse("/a//b/../c:/x/y", workingDirectory: "/")
        #expect(mount.kind == .bind && mount.source == "/a/c" && mount.target == "/x/y")
        #expect(mount.createSource, "-v makes a missing source")
        #expect(parse("./d:/x")?.source == "/home/me/d")
        #expect(parse(".:/x")?.source == "/home/me")
        #expect(parse("../e:/x")?.source == "/home/e")
    }

    @Test func namesBecomeVolumes() {
        #expect(parse("data:/x")?.kind == .volume)
        #expect(parse("data:/x")?.isAnonymous == false)
        #expect(parse("/x")?.isAnonymous == true)
        #expect(parse("da/ta:/x") == nil, "no absolute path and no name")
    }

    @Test(arguments: ["ro", "rro", "z", "nocopy", "U", "cached", "nodev,nosuid", "O", "O,ro", "O,U", "idmap"])
    func modesAreRead(mode: String) {
        #expect(parse("data:/x:" + mode) != nil)
    }

    @Test(arguments: [
        "", ":", "::", "a:", ":/x", "a:/x:", "a:/x:ro:rw", "a:/x:ro,rw", "a:/x:nope", "/x:ro", "a:x", "a:/", "a:/..",
        "/proc", "a:/proc", "a:/proc/sys", "a:/x/../proc/self", "/a:/x:shared,private", "data:/x:shared", "/:/x:z",
        "/etc:/x:Z", "/home/:/x:z", "/usr/../run:/x:z", "a:/x\0y", "/x:O",
        "/a:/x:O,rshared", "a:/x:O,O",
    ])
    func refused(text: String) {
        #expect(parse(text) == nil)
    }

    @Test func targetsAreClampedToTheRoot() {
        #expect(parse("/d:/../../etc")?.target == "/etc")
    }

    @Test func lxcfsFilesMayBeMountedInProc() {
        #expect(parse("/l:/proc/meminfo")?.target == "/proc/meminfo")
        #expect(parse("/l:/proc/net/dev") != nil)
    }

    @Test func readOnlyIsRecursiveUnlessToldOtherwise() {
        #expect(parse("/a:/x:ro")?.recursiveReadOnly == .ifPossible)
        #expect(parse("/a:/x:rro")?.recursiveReadOnly == .force)
        #expect(parse("/a:/x:ro,rslave")?.propagation == "rslave")
    }
}

struct LocalDriverTests {
    @Test(arguments: [
        ([:], true), (["type": "tmpfs", "device": "tmpfs"], true), (["type": "tmpfs", "device": "tmpfs", "o": "size=1m"], true),
        (["type": "none", "device": "/d", "o": "bind"], true), (["type": "none", "device": "d", "o": "bind"], false),
        (["type": "nfs", "device": ":/d", "o": "addr=10.0.0.1,rw"], true), (["type": "nfs"], false),
        (["type": "nfs", "device": ":/d", "o": "addr=server"], false), (["device": "/d"], false),
        (["o": "bind"], false), (["x": "y"], false), (["size": "1g"], false), (["size": "0"], true), (["size": "x"], false),
        (["type": "proc", "device": "proc"], false), (["type": "none", "device": "/d", "o": "bind,subpath=x"], false),
        (["type": "overlay", "device": "overlay", "o": "lowerdir=/:/etc"], false), (["type": "ext4", "device": "/d\0"], false),
        (["type": "ext4", "device": "/d", "o": "idmap"], false),
    ])
    func options(_ options: [String: String], _ isGood: Bool) {
        #expect(((try? LocalDriver.check(options)) != nil) == isGood)
    }

    @Test func whatIsMounted() {
        #expect(LocalDriver([:]) == nil)
        let bind = LocalDriver(["type": "none", "device": "/d", "o": "ro,rbind"])
        #expect(bind?.source == .bind("/d", recursive: true) && bind?.options == ["ro"])
        #expect(LocalDriver(["type": "tmpfs", "device": "x", "o": "size=1m"])?.source == .temporary)
        #expect(LocalDriver(["type": "nfs", "device": ":/d"])?.source == .fileSystem(type: "nfs", device: ":/d"))
    }
}

struct VolumesFromOptionTests {
    @Test(arguments: ["", ":ro", "c:", "c:ro,rw", "c:x", "c:rshared", "c:nocopy", "c:z,Z", "c:ro:rw"])
    func refused(text: String) { #expect((try? VolumesFromOption(text)) == nil) }

    @Test func inherits() throws {
        var mount = MountDefinition(.volume, source: "v", target: "/v")
        mount.isAnonymous = true
        let copy = try VolumesFromOption("c:ro,z").inherit(mount)
        #expect(copy.readOnly && copy.label == .shared && !copy.isAnonymous && copy.isInherited && copy.noCopy)
        mount.readOnly = true
        #expect(try VolumesFromOption("c:rw").inherit(mount).readOnly, "it never gets more than the other has")
    }
}

struct MountOptionTests {
    private func parse(_ text: String) -> MountDefinition? { try? MountOption.parse(text) }

    @Test func keysHaveTheirDockerNames() throws {
        let bind = try MountOption.parse("type=bind,source=/a,target=/b,readonly,bind-propagation=rshared")
        #expect(bind.kind == .bind && bind.source == "/a" && bind.target == "/b")
        #expect(bind.readOnly && bind.propagation == "rshared" && !bind.createSource)
        let volume = try MountOption.parse("src=data,dst=/b,volume-nocopy=true,volume-subpath=x/y")
        #expect(volume.kind == .volume && volume.noCopy && volume.subpath == "x/y")
        let tmpfs = try MountOption.parse("type=tmpfs,destination=/t,tmpfs-size=64m,tmpfs-mode=1770")
        #expect(tmpfs.tmpfsSize == 64 << 20 && tmpfs.tmpfsMode == 0o1770)
        #expect(try MountOption.parse("dst=/b").isAnonymous)
        #expect(try MountOption.parse("type=bind,\"src=/a,b\",dst=/b").source == "/a,b")
    }

    @Test func recursionWords() throws {
        #expect(try !MountOption.parse("type=bind,src=/a,dst=/b,bind-recursive=disabled").recursive)
        #expect(try MountOption.parse("type=bind,src=/a,dst=/b,ro,bind-recursive=readonly").recursiveReadOnly == .force)
        #expect(parse("type=bind,src=/a,dst=/b,bind-recursive=readonly") == nil, "needs readonly")
    }

    @Test(arguments: [
        "", "type=bind", "type=bind,dst=/b", "type=bind,src=/a", "type=nope,src=/a,dst=/b", "src=/a,dst=/b",
        "type=bind,src=/a,dst=b", "type=bind,src=/a,dst=/", "type=tmpfs,src=x,dst=/b", "dst=/b,nope=1", "dst=/b,nope",
        "type=bind,src=/a,dst=/b,volume-nocopy", "type=bind,src=/a,dst=/b,tmpfs-size=1", "dst=/b,volume-subpath=../x",
        "dst=/b,volume-subpath=/x", "dst=/b,volume-subpath=a/../../x", "type=tmpfs,dst=/t,tmpfs-mode=99999",
        "type=tmpfs,dst=/t,tmpfs-size=-1", "dst=/b,\"unclosed", "type=bind,src=/a,dst=/b,readonly=maybe",
        "type=bind,src=/a,dst=/b,bind-propagation=up",
    ])
    func refused(text: String) {
        #expect(parse(text) == nil)
    }

    @Test func tmpfsTakesMountOptions() throws {
        let mount = try TmpfsOption.parse("/t:size=1m,mode=755,exec,uid=5,ro")
        #expect(mount.tmpfsSize == 1 << 20 && mount.tmpfsMode == 0o755 && mount.readOnly)
        #expect(mount.options == ["exec", "uid=5"])
        for text in ["t", "/t:bogus", "/t:size=x", "/proc:size=1m", "/t:lowerdir=/"] {
            #expect(throws: EngineError.self) { try TmpfsOption.parse(text) }
        }
    }
}
