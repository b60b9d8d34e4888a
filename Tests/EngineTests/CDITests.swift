import JSON
import OCI
import Testing
import YAML

@testable import Engine

@Suite struct CDINameTests {
    @Test(arguments: [
        "vendor.com/device=x", "nvidia.com/gpu=0", "a/b=0:1", "v-e_n.d1/c.l-a_s=GPU-1_2.3", "nvidia.com/gpu=all",
    ])
    func readsNames(_ text: String) throws {
        let name = try #require(CDIName(text))
        #expect(name.description == text)
    }

    @Test(arguments: [
        "", "/dev/null", "x", "a/b", "a=b", "/b=c", "a/=c", "a/b=", "1a/b=c", "a/1b=c", "a./b=c", "a/b-=c", "a/b=-c", "a/b=c.", "a/b/c=d",
        "a/b=c=d", "a/b=c d", "a/b=c\n", "a/b=\u{E4}", "a/b=c\0",
    ])
    func refusesWhatIsNone(_ text: String) { #expect(CDIName(text) == nil) }
}

@Suite struct CDISpecificationTests {
    static func specification(
        _ body: String, version: String = "1.1.0", path: String = "/etc/cdi/x.yaml"
    ) throws(YAMLError) -> CDISpecification {
        try CDISpecification(Array("cdiVersion: \(version)\nkind: vendor.com/device\n\(body)".utf8), path: path)
    }

    private func reason(_ body: String, version: String = "1.1.0") -> String? {
        do throws(YAMLError) {
            _ = try Self.specification(body, version: version)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func readsEveryField() throws {
        let read = try Self.specification(
            """
            annotations: {a: b}
            devices:
            - name: 0
              annotations: {c: d}
              containerEdits:
                env: [A=b]
                deviceNodes:
                - {path: /dev/a, hostPath: /dev/b, type: u, major: 1, minor: 2, fileMode: 0640, permissions: rw, uid: 3, gid: 4}
                netDevices: [{hostInterfaceName: eth0, name: net0}]
                mounts: [{hostPath: /a, containerPath: /b, options: [ro, bind], type: none}]
                hooks: [{hookName: poststop, path: /h, args: [h, "1"], env: [X=y], timeout: 5}]
                intelRdt: {closID: c, l3CacheSchema: l, memBwSchema: m, schemata: [s], enableMonitoring: true}
                additionalGIDs: [0, 5]
            """)
        var edits = CDIEdits()
        edits.environment = ["A=b"]
        var node = CDIEdits.DeviceNode(path: "/dev/a", hostPath: "/dev/b", type: "u", major: 1, minor: 2)
        (node.fileMode, node.permissions, node.uid, node.gid) = (0o640, "rw", 3, 4)
        edits.deviceNodes = [node]
        edits.netDevices = [CDIEdits.NetDevice(hostName: "eth0", name: "net0")]
        edits.mounts = [CDIEdits.Mount(hostPath: "/a", containerPath: "/b", options: ["ro", "bind"], type: "none")]
        edits.hooks = [CDIEdits.Hook(point: .poststop, path: "/h", arguments: ["h", "1"], environment: ["X=y"], timeout: 5)]
        edits.intelRdt = CDIEdits.IntelRdt(closID: "c", l3CacheSchema: "l", memBwSchema: "m", schemata: ["s"], enableMonitoring: true)
        edits.additionalGIDs = [0, 5]
        #expect(read.devices == [CDISpecification.Device(name: "0", edits: edits, hasAnnotations: true)])
        #expect(read.vendor == "vendor.com" && read.`class` == "device" && read.hasAnnotations && read.edits.isEmpty)
    }

    @Test func readsTheSameAsJSON() throws {
        let text =
            #"{"cdiVersion": "v1.0.0", "kind": "vendor.com/device", "devices": [{"name": "x", "containerEdits": {"env": ["A=b"]}}], "containerEdits": null}"#
        let read = try CDISpecification(Array(text.utf8), path: "/etc/cdi/x.json")
        #expect(read.devices.map(\.name) == ["x"])
        #expect(read.version == CDIVersion("1.0.0"))
        #expect(throws: YAMLError.self) { try CDISpecification(Array((text + "x").utf8), path: "/etc/cdi/x.json") }
    }

    @Test(arguments: [
        ("0.3.0", "deviceNodes: [{path: /dev/a}]", true), ("0.3.0", "mounts: [{hostPath: /a, containerPath: /b, type: tmpfs}]", false),
        ("0.4.0", "mounts: [{hostPath: /a, containerPath: /b, type: tmpfs}]", true),
        ("0.4.0", "deviceNodes: [{path: /a, hostPath: /b}]", false),
        ("0.5.0", "deviceNodes: [{path: /a, hostPath: /b}]", true), ("0.6.0", "additionalGids: [1]", false),
        ("0.7.0", "additionalGids: [1]", true),
        ("0.6.0", "intelRdt: {}", false), ("0.7.0", "intelRdt: {}", true), ("1.0.0", "intelRdt: {schemata: [x]}", false),
        ("1.0.0", "netDevices: [{hostInterfaceName: a, name: b}]", false), ("1.1.0", "netDevices: [{hostInterfaceName: a, name: b}]", true),
    ])
    func wantsTheVersionThatHasWhatIsUsed(_ version: String, _ edits: String, _ isEnough: Bool) {
        let refused = reason("devices: [{name: a, containerEdits: {\(edits)}}]", version: version)
        #expect((refused == nil) == isEnough, "\(refused ?? "")")
    }

    @Test func wantsAVersionForNames() {
        #expect(reason("devices: [{name: 0, containerEdits: {env: [A=b]}}]", version: "0.4.0")?.contains("begin with a digit") == true)
        #expect(
            reason("annotations: {a: b}\ndevices: [{name: a, containerEdits: {env: [A=b]}}]", version: "0.5.0")?.contains("annotations")
                == true)
        for version in ["", "1", "1.2.0", "9.9.9", "1.0", "0.9.0", "[]", "-1"] { #expect(reason("devices: []", version: version) != nil) }
    }

    @Test(arguments: [
        "deviceNodes: [{}]", "deviceNodes: [{path: dev/a}]", "deviceNodes: [{path: /a, major: -1}]",
        "deviceNodes: [{path: /a, minor: 1048576}]",
        "deviceNodes: [{path: /a, permissions: rx}]", "deviceNodes: [{path: /a, uid: 4294967296}]", "deviceNodes: [{path: /a, major: 1.5}]",
        "deviceNodes: {}", "env: A=b", "env: [=b]", "env: [[A=b]]", "mounts: [{hostPath: /a}]", "mounts: [{containerPath: /a}]",
        "hooks: [{hookName: prestart}]", "hooks: [{hookName: prestart, path: rel}]", "hooks: [{hookName: prestart, path: /a, timeout: 0}]",
        "hooks: [{hookName: prestart, path: /a, env: [x]}]",
        "netDevices: [{hostInterfaceName: a, name: b}, {hostInterfaceName: c, name: b}]",
        "netDevices: [{name: b}]", "intelRdt: {closID: ..}", "intelRdt: {closID: a/b}", "additionalGids: [-1]", "additionalGids: [x]",
        "unknown: null",
        "ENV: [A=b], env: [A=b]", "[]",
    ])
    func refusesEdits(_ edits: String) { #expect(reason("devices: [{name: a, containerEdits: {\(edits)}}]") != nil) }
}

@Suite struct CDIRegistryTests {
    private func registry(_ files: [(priority: Int, path: String, body: String)]) throws -> CDIRegistry {
        CDIRegistry(
            try files.map { (priority: $0.priority, specification: try CDISpecificationTests.specification($0.body, path: $0.path)) })
    }

    private func device(_ name: String, _ value: String) -> String { "devices: [{name: \(name), containerEdits: {env: [A=\(value)]}}]" }

    private func changed(_ registry: CDIRegistry, _ names: String...) throws -> [String] {
        try registry.changes(for: try names.map { try #require(CDIName("vendor.com/device=" + $0)) }).map { $0.edits.environment.joined() }
    }

    @Test func laterDirectoriesWin() throws {
        let found = try registry([(0, "/a", device("x", "0")), (1, "/b", device("x", "1")), (0, "/c", device("y", "2"))])
        #expect(try changed(found, "x") == ["", "A=1"])
        #expect(found.names.map(\.device) == ["x", "y"])
    }

    @Test func aConflictIsSettledByAHigherPriorityOnly() throws {
        let files = [(0, "/a", device("x", "0")), (0, "/b", device("x", "1"))]
        let found = try registry(files)
        #expect(throws: EngineError.self) { try changed(found, "x") }
        #expect(found.names.isEmpty)
        #expect(try changed(try registry(files + [(1, "/c", device("x", "2"))]), "x") == ["", "A=2"])
        #expect(throws: EngineError.self) { try changed(try registry(files + [(0, "/c", device("x", "2"))]), "x") }
    }

    @Test func whatAllDevicesNeedComesOnceAndFirst() throws {
        let body =
            "containerEdits: {env: [C=c]}\ndevices: [{name: a, containerEdits: {env: [A=a]}}, {name: b, containerEdits: {env: [B=b]}}]"
        let found = try registry([(0, "/a", body)])
        #expect(try changed(found, "b", "a", "b") == ["C=c", "B=b", "A=a"])
        #expect(try changed(found, "all", "a") == ["C=c", "A=a", "B=b"])
    }
}

@Suite struct CDIEditorTests {
    private static let host: [String: CDIEditor.HostFile] = [
        "/dev/card": CDIEditor.HostFile(type: "c", major: 226, minor: 1, mode: 0o660),
        "/dev/disk": CDIEditor.HostFile(type: "b", major: 8, minor: 0),
        "/dev/file": CDIEditor.HostFile(type: ""), "/lib/x": CDIEditor.HostFile(type: ""),
    ]

    private func edited(
        _ edits: CDIEdits, _ place: CDIEditor.Place = CDIEditor.Place(), _ change: (inout Spec) -> Void = { _ in }
    ) throws -> Spec {
        var spec = Spec()
        spec.process = Process()
        spec.linux = LinuxSpec()
        change(&spec)
        let device = try #require(CDIName("vendor.com/device=x"))
        return try CDIEditor.edited(spec, [CDIRegistry.Change(edits: edits, path: "/etc/cdi/x.yaml", device: device)], place) {
            Self.host[$0]
        }
    }

    private func node(_ path: String, _ change: (inout CDIEdits.DeviceNode) -> Void = { _ in }) -> CDIEdits {
        var node = CDIEdits.DeviceNode(path: path)
        change(&node)
        var edits = CDIEdits()
        edits.deviceNodes = [node]
        return edits
    }

    @Test func fillsInWhatTheHostHas() throws {
        let spec = try edited(node("/dev/card")) { $0.process?.user.gid = 5 }
        #expect(spec.linux?.devices == [LinuxDevice(path: "/dev/card", type: "c", major: 226, minor: 1, fileMode: 0o660, uid: nil, gid: 5)])
        #expect(spec.linux?.resources?.devices == [LinuxDeviceCgroup(allow: true, type: "c", major: 226, minor: 1, access: "rwm")])
        let renamed = try edited(node("/dev/./mine/") { ($0.hostPath, $0.fileMode, $0.uid, $0.permissions) = ("/dev/disk", 0o600, 9, "r") })
        #expect(
            renamed.linux?.devices == [LinuxDevice(path: "/dev/mine", type: "b", major: 8, minor: 0, fileMode: 0o600, uid: 9, gid: nil)])
        #expect(renamed.linux?.resources?.devices.map(\.access) == ["r"])
    }

    @Test func bindsWhereNoNodeCanBeMade() throws {
        var place = CDIEditor.Place()
        (place.bindsDevices, place.isRootless) = (true, true)
        let spec = try edited(node("/dev/mine") { $0.hostPath = "/dev/card" }, place) {
            $0.mounts = [Mount(destination: "/dev", type: "tmpfs")]
        }
        #expect(spec.linux?.devices.isEmpty == true && spec.linux?.resources == nil)
        #expect(spec.mounts.map(\.source) == ["", "/dev/card"])
        // By numbers alone nobody without privileges makes one.
        #expect(throws: EngineError.self) { try edited(node("/dev/no") { ($0.type, $0.major) = ("c", 5) }, place) }
    }

    @Test func replacesWhatIsThere() throws {
        let spec = try edited(node("/dev/card")) {
            $0.linux?.devices = [LinuxDevice(path: "/dev/card", type: "c", major: 1, minor: 1)]
            $0.mounts = [Mount(destination: "/dev/card", type: "bind", source: "/x")]
        }
        #expect(spec.linux?.devices.map(\.major) == [226])
        #expect(spec.mounts.isEmpty)
    }

    @Test func makesNodesByNumbersWhereTheHostHasNoneOfTheName() throws {
        for path in ["/dev/no", "/dev/card", "/dev/file"] {
            let spec = try edited(node(path) { ($0.type, $0.major, $0.minor) = ("u", 5, 6) })
            #expect(spec.linux?.devices == [LinuxDevice(path: path, type: "c", major: 5, minor: 6)])
        }
        // Which file of the host it is, is said: then it has to be that.
        for host in ["/dev/no", "/dev/card", "/dev/file"] {
            #expect(throws: EngineError.self) {
                try edited(node("/dev/x") { ($0.hostPath, $0.type, $0.major, $0.minor) = (host, "c", 5, 6) })
            }
        }
        #expect(try edited(node("/dev/pipe") { $0.type = "p" }).linux?.devices.map(\.type) == ["p"])
        #expect(throws: EngineError.self) { try edited(node("/dev/card") { $0.type = "b" }) }
    }

    @Test func putsNothingOverWhatSecurityHangsOn() throws {
        for path in ["/", "/proc/x", "/sys", "/dev/../proc/kcore"] {
            #expect(throws: EngineError.self) { try edited(node(path) { $0.hostPath = "/dev/card" }) }
        }
        var edits = CDIEdits()
        edits.mounts = [CDIEdits.Mount(hostPath: "/lib/x", containerPath: "/x/..")]
        #expect(throws: EngineError.self) { try edited(edits) }
    }

    @Test func ordersMountsByDepth() throws {
        var edits = CDIEdits()
        edits.mounts = [
            CDIEdits.Mount(hostPath: "/lib/x", containerPath: "/a/b/c", options: ["ro", "rbind"]),
            CDIEdits.Mount(hostPath: "/lib/x", containerPath: "/a"),
            CDIEdits.Mount(hostPath: "t", containerPath: "/z", options: ["size=1k"], type: "tmpfs"),
        ]
        let spec = try edited(edits) {
            $0.mounts = [Mount(destination: "/proc", type: "proc"), Mount(destination: "/a/b", type: "bind", source: "/u")]
        }
        #expect(spec.mounts.map(\.destination) == ["/proc", "/a", "/z", "/a/b", "/a/b/c"])
        #expect(spec.mounts[1] == Mount(destination: "/a", type: "bind", source: "/lib/x", options: ["rbind", "rprivate"]))
        #expect(spec.mounts[4] == Mount(destination: "/a/b/c", type: "bind", source: "/lib/x", options: ["ro", "rbind"]))
    }

    @Test func mergesEnvironmentAndGroups() throws {
        var edits = CDIEdits()
        edits.environment = ["A=new", "B=b"]
        edits.additionalGIDs = [0, 7, 8, 7]
        let spec = try edited(edits) {
            $0.process?.env = ["A=old", "C=c"]
            $0.process?.user.additionalGids = [8]
        }
        #expect(spec.process?.env == ["A=new", "C=c", "B=b"])
        #expect(spec.process?.user.additionalGids == [8, 7])
        var place = CDIEditor.Place()
        place.gidMappings = [LinuxIDMapping(containerID: 0, hostID: 1000, size: 8)]
        #expect(throws: EngineError.self) { try edited(edits, place) }
    }
}

@Suite struct DriverDeviceRequestTests {
    @Test func isKeptAsItWasAskedFor() throws {
        var definition = ContainerDefinition(id: "i", name: "n")
        definition.driverDevices = [
            try DriverDeviceRequest(gpus: "all"), try DriverDeviceRequest(gpus: "\"device=0,1\",\"options=a=b,c\",driver=nvidia"),
            .cdi([try #require(CDIName("a/b=c"))]),
        ]
        let read = try ContainerDefinition(decoding: definition.encode())
        #expect(read == definition)
        #expect(read.driverDevices[1].options == ["a": "b", "c": ""])
        #expect(read.driverDevices[1].deviceIDs == ["0", "1"])
    }

    @Test(arguments: [("all", -1), ("3", 3), ("count=0", 0), ("driver=x", 1), ("device=1", 0), ("-2", -2)] as [(String, Int64)])
    func countsAsDockerDoes(_ text: String, _ count: Int64) throws {
        #expect(try DriverDeviceRequest(gpus: text).count == count)
    }
}
