// swift-tools-version:6.2
import PackageDescription

// A package of its own, so that nothing of it is built with Berth. Its sources are Berth's, by symbolic links: whole floors,
// and of those that need the network packages the files that read. Run by `make fuzz`; docs/security.md says how.

let found: [SwiftSetting] = [
    .unsafeFlags(["-sanitize=fuzzer,address", "-parse-as-library", "-enable-testing", "-O"])
]

func floor(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: found)
}

let package = Package(
    name: "fuzz",
    targets: [
        .target(name: "CLinux"),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3"),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib"),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd"),
        .systemLibrary(name: "CYaml", pkgConfig: "yaml-0.1"),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto"),
        floor("Linux", ["CLinux"]),
        floor("JSON"),
        floor("YAML", ["CYaml"]),
        floor("Flags"),
        floor("OCI", ["JSON"]),
        floor("Archive", ["Linux", "CZlib", "CZstd", "CCrypto"]),
        floor("Control", ["Linux", "JSON", "OCI"]),
        floor("Dockerfile", ["Flags", "JSON", "OCI"]),
        floor("Networks", ["CLinux", "Linux", "JSON", "Control"]),
        floor("Store", ["Linux", "JSON", "OCI", "Archive", "CSQLite"]),
        floor("Registry", ["Linux", "JSON", "OCI", "Archive"]),
        floor("CommandLine", ["JSON"]),
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "Linux", "CLinux", "JSON", "YAML", "OCI", "Archive", "Control", "Dockerfile", "Networks", "Store", "Registry",
                "CommandLine",
            ],
            swiftSettings: found, linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]),
    ],
    swiftLanguageModes: [.v6]
)
