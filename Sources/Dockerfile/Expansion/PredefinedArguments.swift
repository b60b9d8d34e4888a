import OCI

/// Arguments that exist without ARG.
///
/// Spec: Dockerfile reference, "Predefined ARGs", "Automatic platform ARGs in the global scope", "BuildKit built-in build args".
public enum PredefinedArguments {
    /// May be given without ARG; every RUN sees them, and neither history nor cache keys do.
    public static let proxies = [
        "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY",
        "all_proxy",
    ]

    /// Arguments for the builder itself.
    public static let builder = [
        "BUILDKIT_BUILD_NAME", "BUILDKIT_CACHE_MOUNT_NS", "BUILDKIT_CONTEXT_KEEP_GIT_DIR", "BUILDKIT_DOCKERFILE_CHECK",
        "BUILDKIT_INLINE_CACHE", "BUILDKIT_MULTI_PLATFORM", "BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_SBOM_SCAN_CONTEXT",
        "BUILDKIT_SBOM_SCAN_STAGE", "BUILDKIT_SYNTAX", "SOURCE_DATE_EPOCH",
    ]

    /// Declared in a stage these two speak to the builder; no RUN sees them.
    static let withoutVariable = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"]

    /// What the global scope has: platforms and the target's name. A stage sees those it declares.
    ///
    /// - Parameter target: the name of the stage that is built; empty where it has none.
    static func platforms(build: Platform, target platform: Platform, stage target: String) -> [BuildEnvironment.Entry] {
        [
            .init("BUILDPLATFORM", build.description), .init("BUILDOS", build.os), .init("BUILDOSVERSION", build.osVersion),
            .init("BUILDARCH", build.architecture), .init("BUILDVARIANT", build.variant),
            .init("TARGETPLATFORM", platform.description), .init("TARGETOS", platform.os),
            .init("TARGETOSVERSION", platform.osVersion), .init("TARGETARCH", platform.architecture),
            .init("TARGETVARIANT", platform.variant), .init("TARGETSTAGE", target.isEmpty ? "default" : target),
        ]
    }

    /// What RUN has of the proxies that were given: each in upper and lower case.
    public static func proxyVariables(_ given: BuildEnvironment) -> [BuildEnvironment.Entry] {
        var found = BuildEnvironment()
        for entry in given.entries.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
        where proxies.contains(where: { $0.loweredASCII == entry.name.loweredASCII }) {
            found.set(entry.name.upperedASCII, entry.value)
            found.set(entry.name.loweredASCII, entry.value)
        }
        return found.entries
    }

    /// Whether a stage is meant by `BUILDKIT_SBOM_SCAN_STAGE`: a boolean, or names with commas.
    public static func isEnabled(_ value: String, for stage: String) -> Bool {
        GoBool.value(value) ?? value.fields(UInt8(ascii: ",")).contains(stage)
    }
}
