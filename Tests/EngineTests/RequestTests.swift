import OCI
import Testing

@testable import Engine

struct RequestTests {
    private let id = String(repeating: "b", count: 64)

    private func complete(
        _ image: ContainerConfig, _ change: (inout ContainerRequest) -> Void = { _ in }
    ) throws -> ContainerDefinition {
        var request = ContainerRequest(image: "img")
        change(&request)
        return try request.complete(id: id, name: "n1", imageID: "sha256:x", image: image)
    }

    @Test func argumentsAreMergedAsDockerDoes() throws {
        let image = ContainerConfig(entrypoint: ["/entry"], cmd: ["default"])
        #expect(try complete(image).arguments == ["/entry", "default"])
        #expect(try complete(image) { $0.command = ["a"] }.arguments == ["/entry", "a"])
        #expect(
            try complete(image) {
                $0.entrypoint = ["/other"]; $0.command = ["x"]
            }.arguments == ["/other", "x"])
        #expect(
            try complete(image) { $0.entrypoint = ["/other"] }.arguments == ["/other"],
            "the image's command belongs to its entrypoint")
        #expect(try complete(ContainerConfig(cmd: ["c"])) { $0.command = ["d"] }.arguments == ["d"])
        #expect(throws: EngineError.self) { try complete(image) { $0.entrypoint = [""] } }
        #expect(throws: EngineError.self) { try complete(ContainerConfig()) }
    }

    /// Attack row S63: an image's labels and annotations are not orders.
    @Test func reservedLabelsOfImagesAreDropped() throws {
        let labels = [
            "io.containerd.x": "1", "io.cri-containerd.y": "1", "cdi.k8s.io/d": "1", "berth.z": "1",
            "run.oci.hooks": "1", "mine": "2",
        ]
        let definition = try complete(ContainerConfig(cmd: ["c"], labels: labels)) {
            $0.definition.labels = ["berth.own": "3"]
        }
        #expect(definition.labels == ["mine": "2", "berth.own": "3"])
        #expect(definition.annotations.isEmpty)
    }

    @Test func environmentAndUserOfTheImage() throws {
        let image = ContainerConfig(user: "web", env: ["A=1", "BROKEN", "B=2"], cmd: ["c"], workingDir: "srv//x/..")
        let definition = try complete(image) { $0.definition.environment = ["B=3"] }
        #expect(
            definition.environment == ["A=1", "B=3"] && definition.user == "web"
                && definition.workingDirectory == "/srv")
        #expect(try complete(image) { $0.definition.user = "0" }.user == "0")
        #expect(try complete(image) { $0.definition.workingDirectory = "/../../.." }.workingDirectory == "/")
        #expect(throws: EngineError.self) { try complete(image) { $0.definition.workingDirectory = "relative" } }
    }

    /// Attack rows S04, S10, S63: volumes of hostile images.
    @Test func volumesOfImages() throws {
        let definition = try complete(ContainerConfig(cmd: ["c"], volumes: ["/data", "/../../CAN", "/own"])) {
            $0.definition.mounts = [MountDefinition(.bind, source: "/s", target: "/own")]
        }
        #expect(definition.mounts.map(\.target) == ["/own", "/CAN", "/data"])
        #expect(definition.mounts.dropFirst().allSatisfy { $0.isAnonymous })
        for volume in ["/proc", "/", "/proc/self", "/..", "/x/../proc"] {
            #expect(throws: EngineError.self, "\(volume)") {
                try complete(ContainerConfig(cmd: ["c"], volumes: [volume]))
            }
        }
        #expect(throws: EngineError.self, "two at one place") {
            try complete(ContainerConfig(cmd: ["c"])) {
                $0.definition.mounts = [MountDefinition(.tmpfs, target: "/a"), MountDefinition(.tmpfs, target: "/a")]
            }
        }
    }

    @Test func contradictions() {
        let image = ContainerConfig(cmd: ["c"])
        let bad: [(inout ContainerRequest) -> Void] = [
            {
                $0.definition.hostname = "h"; $0.definition.uts = .host
            },
            {
                $0.definition.hostname = "h"; $0.definition.network = .container("x")
            },
            { $0.definition.hostname = "a/b" }, { $0.definition.hostname = String(repeating: "h", count: 65) },
            {
                $0.definition.autoRemove = true; $0.definition.restart.name = .always
            }, { $0.definition.oomScoreAdjustment = 2000 },
            { $0.stopSignal = "NOPE" }, { $0.command = ["a\0b"] },
        ]
        for change in bad { #expect(throws: EngineError.self) { try complete(image, change) } }
    }

    @Test func stopSignalsOfImages() throws {
        #expect(try complete(ContainerConfig(cmd: ["c"], stopSignal: "SIGQUIT")).stopSignal == 3)
        #expect(
            try complete(ContainerConfig(cmd: ["c"], stopSignal: "SIGQUIT")) { $0.stopSignal = "9" }.stopSignal == 9)
        #expect(try complete(ContainerConfig(cmd: ["c"])).hostname == String(repeating: "b", count: 12))
    }

    @Test func definitionsSurviveTheDatabase() throws {
        var definition = ContainerDefinition(id: id, name: "all")
        definition.createdAt = 1
        definition.image = "i"
        definition.entrypoint = ["e"]
        definition.command = ["a", "\"q\"\n"]
        definition.terminal = true
        definition.mounts = [
            try MountOption.parse("type=bind,src=/a,dst=/b,ro,bind-recursive=readonly"),
            try TmpfsOption.parse("/t:size=1m,exec"),
        ]
        definition.devices = [try DeviceRequest(option: "/dev/a:/dev/b:r")]
        definition.network = .container("x")
        definition.userNamespace = .keepID(uid: 5, gid: nil)
        definition.security = try SecurityOptions(options: ["seccomp=p", "label=disable", "mask=/a"]) {
            (_) throws(EngineError) in "{}"
        }
        definition.resources.memory = 5
        definition.ulimits = [try Ulimit(option: "core=-1")]
        definition.oomScoreAdjustment = -5
        definition.restart = try RestartRequest(option: "on-failure:4")
        definition.log = try LogRequest(driver: "local", options: ["max-size=1m"])
        definition.userNamespaceSlot = 7
        definition.labels = ["k": "v"]
        let text = definition.encode()
        #expect(try ContainerDefinition(decoding: text) == definition)
        #expect(throws: EngineError.self) { try ContainerDefinition(decoding: Array(text.dropLast(3))) }
        let newer = Array("{\"id\":\"x\",\"future\":{\"a\":[1]},\"name\":\"y\"}".utf8)
        #expect(try ContainerDefinition(decoding: newer).name == "y", "fields of a newer version are passed over")
    }

    @Test func anUnknownSeccompWordDoesNotTurnTheFilterOff() throws {
        let text = Array("{\"id\":\"x\",\"name\":\"y\",\"security\":{\"seccomp\":\"off\"}}".utf8)
        #expect(try ContainerDefinition(decoding: text).security.seccomp == .builtin)
    }

    @Test func patterns() {
        #expect(Glob.matches("busybox", "busy*") && Glob.matches("a/b", "a/b") && Glob.matches("abc", "a?c"))
        #expect(!Glob.matches("a/b", "*") && !Glob.matches("abc", "ab") && !Glob.matches("", "?"))
        #expect(!Glob.matches(String(repeating: "a", count: 5000), String(repeating: "*a", count: 500) + "b"))
    }
}
