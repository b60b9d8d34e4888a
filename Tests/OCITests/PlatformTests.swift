import OCI
import Testing

@Suite struct PlatformTests {
    let amd64 = Platform(architecture: "amd64")
    let arm64 = Platform(architecture: "arm64")

    @Test(arguments: [
        ("x86_64", "linux/amd64"), ("i686", "linux/386"), ("aarch64", "linux/arm64"), ("armv7l", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"), ("armv5tel", "linux/arm/v5"), ("armv8l", "linux/arm/v8"), ("ppc64le", "linux/ppc64le"),
        ("s390x", "linux/s390x"), ("riscv64", "linux/riscv64"), ("loongarch64", "linux/loong64"), ("", "linux/"), ("armv", "linux/armv"),
    ])
    func readsUname(_ machine: String, _ expected: String) {
        #expect(Platform.host(system: "Linux", machine: machine).description == expected)
    }

    @Test(arguments: [
        ("linux/x86_64", "linux/amd64"), ("linux/amd64/v1", "linux/amd64"), ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/aarch64", "linux/arm64"), ("linux/arm64/v8", "linux/arm64"), ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/9", "linux/arm64/v9"), ("linux/arm", "linux/arm/v7"), ("linux/arm/7", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"), ("linux/i386", "linux/386"), ("LINUX/AMD64", "linux/amd64"), ("macos/arm64", "darwin/arm64"),
        ("linux", "linux/amd64"), ("arm64", "linux/arm64"), ("x86-64", "linux/amd64"), ("windows", "windows/amd64"),
    ])
    func readsSpecifiers(_ text: String, _ expected: String) throws {
        #expect(try Platform.parse(text, host: amd64).description == expected)
    }

    @Test(arguments: [
        "", "/", "linux/", "/amd64", "linux//v7", "linux/arm/v7/x", "*", "linux/*", "lin ux", "é", "plan10", "linux/am\0d64",
        "linux/\(String(repeating: "a", count: 65))",
    ])
    func refuses(_ text: String) {
        #expect(throws: OCIError.self) { try Platform.parse(text, host: amd64) }
    }

    @Test func matchesVariants() {
        #expect(arm64.runs(Platform(architecture: "arm64", variant: "v8")))
        #expect(arm64.runs(Platform(architecture: "aarch64")))
        #expect(arm64.runs(Platform(architecture: "arm", variant: "v6")))
        #expect(!arm64.runs(Platform(architecture: "arm64", variant: "v9")))
        #expect(!arm64.runs(amd64))
        #expect(Platform(architecture: "arm64", variant: "v9").runs(Platform(architecture: "arm64", variant: "v8.5")))
        #expect(Platform(architecture: "arm64", variant: "v9.7").runs(Platform(architecture: "arm64", variant: "v8.9")))
        #expect(!Platform(architecture: "arm64", variant: "v9").runs(Platform(architecture: "arm64", variant: "v8.6")))
        #expect(Platform(architecture: "arm", variant: "v7").runs(Platform(architecture: "arm")))
        #expect(Platform(architecture: "arm", variant: "v7").runs(Platform(architecture: "arm", variant: "v5")))
        #expect(!Platform(architecture: "arm", variant: "v6").runs(Platform(architecture: "arm", variant: "v7")))
        #expect(amd64.runs(Platform(architecture: "386")))
        #expect(!amd64.runs(Platform(architecture: "amd64", variant: "v2")))
        #expect(Platform(architecture: "amd64", variant: "v3").runs(Platform(architecture: "amd64", variant: "v2")))
        #expect(Platform(architecture: "amd64", variant: "v3").runs(amd64))
        #expect(!amd64.runs(Platform(os: "windows", architecture: "amd64")))
        #expect(!amd64.runs(Platform(architecture: "amd64", osFeatures: ["magic"])))
        #expect(!amd64.isSame(as: Platform(architecture: "386")))
    }

    @Test func takesTheBest() {
        let list = [
            Platform(architecture: "arm", variant: "v6"), Platform(architecture: "386"), amd64,
            Platform(architecture: "arm", variant: "v7"),
            Platform(architecture: "arm64", variant: "v8"), Platform(os: "unknown", architecture: "unknown"),
        ]
        #expect(amd64.best(of: list) == 2)
        #expect(arm64.best(of: list) == 4)
        #expect(Platform(architecture: "arm", variant: "v8").best(of: list) == 3)
        #expect(Platform(architecture: "arm", variant: "v5").best(of: list) == nil)
        #expect(Platform(architecture: "s390x").best(of: list) == nil)
        #expect(amd64.best(of: []) == nil)
        #expect(amd64.best(of: [nil, amd64]) == 1)
        #expect(Platform(architecture: "s390x").best(of: [amd64, nil]) == 1)
    }

    @Test(arguments: ["v99999999999999999999", "v-3", "v1000000", "v", "v8.999999999", "v9.-1", "8.8.8", "", "é"])
    func strangeVariantsAreOnlyCompared(_ variant: String) {
        for architecture in ["amd64", "arm", "arm64"] {
            #expect(Platform(architecture: architecture, variant: variant).runnable.count < 32)
        }
    }
}
