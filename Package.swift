// swift-tools-version:6.2
import PackageDescription

// Both programs are linked -static-executable: docs/decisions/static-linking.md has the measurements.
// The two --wrap flags keep libgcc from sorting every unwind record at the first thread exit (64 ms).
let staticExecutable: [LinkerSetting] = [
    .unsafeFlags([
        "-static-executable",
        "-Xlinker", "--wrap=__register_frame_info",
        "-Xlinker", "--wrap=__deregister_frame_info",
    ])
]

// What the packages below need and their dynamic module files do not name (docs/decisions/static-linking.md).
let withPackages: [LinkerSetting] =
    staticExecutable + ["_FoundationCollections", "_FoundationCShims", "swiftSynchronization", "z"].map { .linkedLibrary($0) }

let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

// Without the regular expressions and tasks that nothing here uses: a megabyte of code and 900 protocol conformances, which
// the Swift runtime walks through one by one whenever it meets a type for the first time (docs/decisions/static-linking.md).
let lean =
    strict + [
        .unsafeFlags([
            "-Xfrontend", "-disable-implicit-string-processing-module-import",
            "-Xfrontend", "-disable-implicit-concurrency-module-import",
            // Generic types are asked for with the conformances the compiler knows, instead of by a name from which the
            // runtime has to find them again in that table.
            "-Xfrontend", "-disable-concrete-type-metadata-mangled-name-accessors",
        ])
    ]

/// One library target: its floor is fixed in docs/architecture.md and checked by `Tests/FloorTests`.
func floor(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: lean)
}

/// A floor that talks to the network through the packages: these need tasks (docs/decisions/dependencies.md).
func networked(_ name: String, _ dependencies: [Target.Dependency], _ packages: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies + packages, swiftSettings: strict)
}

let client: [Target.Dependency] = [
    .product(name: "AsyncHTTPClient", package: "async-http-client"),
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
    .product(name: "NIOSSL", package: "swift-nio-ssl"),
]
let server = Array(client.dropFirst())

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(name: name + "Tests", dependencies: [.target(name: name)] + dependencies, swiftSettings: strict)
}

let package = Package(
    name: "berth",
    products: [
        .executable(name: "berth", targets: ["berth"]),
        .executable(name: "berth-runtime", targets: ["berth-runtime"]),
    ],
    dependencies: [
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    ],
    targets: [
        // Floor 0
        .target(name: "CLinux", cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CYaml", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CCrypt", providers: [.apt(["libcrypt-dev"])]),
        // Floor 1
        floor("Linux", ["CLinux"]),
        floor("JSON"),
        floor("YAML", ["CYaml"]),
        floor("Flags"),
        // Floor 2
        floor("OCI", ["JSON"]),
        floor("Archive", ["Linux", "CZlib", "CZstd", "CCrypto"]),
        // Floor 3
        floor("Seccomp", ["Linux", "OCI", "JSON"]),
        floor("Cgroups", ["Linux", "OCI"]),
        floor("Control", ["Linux", "JSON", "OCI"]),
        floor("Dockerfile", ["Flags", "JSON", "OCI"]),
        // Floor 4. Not called Network: a dependency imports a module of that name wherever there is one.
        floor("Runtime", ["Linux", "JSON", "OCI", "Seccomp", "Cgroups"]),
        floor("Store", ["Linux", "JSON", "OCI", "Archive", "CSQLite"]),
        networked("Registry", ["Linux", "JSON", "OCI", "Archive"], client),
        floor("Networks", ["CLinux", "Linux", "JSON", "Control"]),
        // Floor 5
        networked("RegistryServer", ["Linux", "JSON", "OCI", "Archive", "Store", "CLinux", "CCrypt"], server),
        floor("Supervision", ["Linux", "JSON", "OCI", "Cgroups", "Control", "Runtime", "Networks"]),
        // Floor 6
        floor(
            "Engine",
            ["Linux", "JSON", "YAML", "OCI", "Seccomp", "Cgroups", "Control", "Archive", "Store", "Registry", "Networks", "CCrypto"]),
        floor("RuntimeCommands", ["Linux", "JSON", "OCI", "Flags", "Seccomp", "Cgroups", "Control", "Runtime", "Supervision"]),
        // Floor 7
        floor("Build", ["CLinux", "Linux", "OCI", "Archive", "Store", "Engine", "Dockerfile"]),
        // Floor 8
        floor(
            "CommandLine",
            [
                "Linux", "JSON", "OCI", "Flags", "Control", "Archive", "Store", "Engine", "Registry", "RegistryServer", "Build",
                "Dockerfile",
            ]),
        // The two programs
        .executableTarget(
            name: "berth", dependencies: ["CommandLine"], swiftSettings: lean, linkerSettings: withPackages),
        .executableTarget(
            name: "berth-runtime", dependencies: ["RuntimeCommands"], swiftSettings: lean,
            linkerSettings: staticExecutable),
        // Tests
        tests("Linux", ["CLinux"]),
        tests("JSON"),
        tests("YAML"),
        tests("Flags"),
        tests("OCI", ["JSON"]),
        tests("Archive", ["Linux"]),
        tests("Seccomp", ["OCI", "JSON"]),
        tests("Cgroups", ["OCI", "Linux"]),
        tests("Control", ["Linux", "JSON"]),
        tests("Dockerfile", ["JSON", "Linux", "OCI"]),
        tests("Runtime", ["CLinux", "Linux", "OCI", "JSON", "Cgroups"]),
        tests("Networks", ["CLinux", "Linux", "Control"]),
        tests("Store", ["Linux", "OCI", "JSON", "Archive"]),
        tests("Registry", ["Linux", "OCI", "JSON"]),
        tests("RegistryServer", ["Linux", "OCI", "JSON", "Store"]),
        tests("Supervision", ["Linux", "Control"]),
        tests("Engine", ["Linux", "OCI", "JSON", "YAML", "Control", "Store"]),
        tests("CommandLine", ["Control", "JSON", "Flags", "Engine"]),
        // The bodies of Fuzz/, over mutations of their seeds.
        .testTarget(
            name: "FuzzTests",
            dependencies: [
                "CLinux", "Linux", "JSON", "YAML", "OCI", "Archive", "Control", "Dockerfile", "Networks", "Store", "Registry",
                "CommandLine",
            ],
            exclude: ["Seeds"], swiftSettings: strict),
        .testTarget(name: "FloorTests", dependencies: ["Linux"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
