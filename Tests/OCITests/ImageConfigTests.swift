import JSON
import OCI
import Testing

@Suite struct ImageConfigTests {
    static let digest = "sha256:" + String(repeating: "a", count: 64)

    func decode(_ text: String) throws(OCIError) -> ImageConfig { try ImageConfig.decode(Array(text.utf8)) }

    /// In the way Docker writes it, with nulls and members nobody reads.
    static let docker = #"""
        {"architecture":"arm64","variant":"v8","os":"linux","created":"2024-01-02T03:04:05.123456789Z","author":"me",
         "config":{"Hostname":"","AttachStdin":false,"Tty":false,"User":"1000:1000","ExposedPorts":{"80/tcp":{},"443/tcp":null},
          "Env":["PATH=/bin","A=b=c"],"Cmd":["-g"],"Entrypoint":["/sbin/tini","--"],"Volumes":{"/data":{}},"WorkingDir":"/w","Labels":{"a":"1","n":null},
          "OnBuild":null,"Shell":["/bin/sh","-c"],"StopSignal":"SIGQUIT","StopTimeout":7,"ArgsEscaped":true,
          "Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":30000000000,"Timeout":1,"StartPeriod":2,"StartInterval":3,"Retries":4}},
         "container":"abc","container_config":{"Cmd":["x"]},"docker_version":"20.10",
         "history":[{"created":"2024-01-01T00:00:00Z","created_by":"ADD","comment":"c","author":"x"},{"created_by":"ENV","empty_layer":true}],
         "rootfs":{"type":"layers","diff_ids":["\#(digest)"]}}
        """#

    @Test func readsWhatDockerWrites() throws {
        let image = try decode(ImageConfigTests.docker)
        #expect(image.platform.description == "linux/arm64/v8")
        #expect(image.created == "2024-01-02T03:04:05.123456789Z")
        let config = image.config
        #expect(config.user == "1000:1000")
        #expect(config.exposedPorts == ["80/tcp", "443/tcp"])
        #expect(config.env == ["PATH=/bin", "A=b=c"])
        #expect(config.entrypoint == ["/sbin/tini", "--"] && config.cmd == ["-g"])
        #expect(config.volumes == ["/data"] && config.workingDir == "/w")
        #expect(config.labels == ["a": "1", "n": ""])
        #expect(config.stopSignal == "SIGQUIT" && config.stopTimeout == 7 && config.argsEscaped)
        #expect(config.shell == ["/bin/sh", "-c"] && config.onBuild == [])
        #expect(
            config.healthcheck
                == Healthcheck(
                    test: ["CMD-SHELL", "true"], interval: 30_000_000_000, timeout: 1, startPeriod: 2, startInterval: 3, retries: 4))
        #expect(image.rootfs.diffIDs.count == 1)
        #expect(image.historyLayers == [0, nil])
        #expect(image.raw == Array(ImageConfigTests.docker.utf8))
    }

    @Test func aWrittenConfigReadsBack() throws {
        let image = try decode(ImageConfigTests.docker)
        let written = ImageConfig(
            created: image.created, author: image.author, platform: image.platform, config: image.config, rootfs: image.rootfs,
            history: image.history)
        let back = try ImageConfig.decode(written.raw)
        #expect(back.config.exposedPorts == ["443/tcp", "80/tcp"])
        #expect(back.config.healthcheck == image.config.healthcheck)
        #expect(back.history == image.history && back.rootfs == image.rootfs && back.platform == image.platform)
        let small = ImageConfig(platform: Platform(architecture: "amd64"))
        #expect(
            text(small.raw)
                == #"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#)
    }

    @Test func nullsAndMissingMembersAreEmpty() throws {
        let image = try decode(
            #"{"config":{"Cmd":null,"Entrypoint":[],"Env":null,"Labels":null,"Volumes":null,"Healthcheck":null},"rootfs":null,"history":null}"#
        )
        #expect(image.config == ContainerConfig(entrypoint: []))
        #expect(try decode("{}").config == ContainerConfig())
        #expect(try decode(#"{"config":null}"#).config == ContainerConfig())
        // Docker accepts a bare string for a command.
        #expect(try decode(#"{"config":{"Cmd":"sh"}}"#).config.cmd == ["sh"])
    }

    @Test func theKeysOfASetAreWrittenOnce() throws {
        let image = ImageConfig(platform: Platform(architecture: "amd64"), config: ContainerConfig(volumes: ["/b", "/a", "/b"]))
        #expect(try ImageConfig.decode(image.raw).config.volumes == ["/a", "/b"])
    }

    /// Attack: a config that tells of other layers than the manifest.
    @Test func theNumberOfLayersMustAgree() throws {
        let image = try decode(ImageConfigTests.docker)
        let layer = Descriptor(mediaType: .ociLayerGzip, digest: try Digest.parse(ImageConfigTests.digest), size: 1)
        try image.check(against: Manifest(config: layer, layers: [layer]))
        for count in [0, 2, 100] {
            #expect(throws: OCIError.self) {
                try image.check(against: Manifest(config: layer, layers: [Descriptor](repeating: layer, count: count)))
            }
        }
    }

    @Test func aHistoryThatDoesNotFitIsNotUsed() throws {
        func image(_ history: [History]) throws -> ImageConfig {
            ImageConfig(
                platform: Platform(architecture: "amd64"),
                rootfs: RootFS(diffIDs: [try Digest.parse(ImageConfigTests.digest)]), history: history)
        }
        #expect(try image([]).historyLayers == nil)
        #expect(try image([History(emptyLayer: true)]).historyLayers == nil)
        #expect(try image([History(), History()]).historyLayers == nil)
        #expect(try image([History(emptyLayer: true), History()]).historyLayers == [nil, 0])
    }

    @Test(arguments: [
        #"{"rootfs":{"type":"layers","diff_ids":["sha256:abc"]}}"#, #"{"rootfs":{"type":"layers","diff_ids":[null]}}"#,
        #"{"rootfs":{"type":"layers","diff_ids":"x"}}"#, #"{"rootfs":{"type":"windows"}}"#, #"{"config":{"Env":"x"}}"#,
        #"{"config":{"Env":["A=\u0000"]}}"#, #"{"config":{"Cmd":[1]}}"#, #"{"config":{"Cmd":[null]}}"#, #"{"config":{"Volumes":["/a"]}}"#,
        #"{"config":{"Volumes":{"/a":{},"/a":{}}}}"#, #"{"config":{"Healthcheck":{"Interval":1e19}}}"#, #"{"config":[]}"#,
        #"{"history":[{"empty_layer":"no"}]}"#, #"{"history":{}}"#, "", "null x", "[", #"{"os":"linux"}}"#,
    ])
    func refuses(_ text: String) {
        #expect(throws: OCIError.self) { try decode(text) }
    }
}
