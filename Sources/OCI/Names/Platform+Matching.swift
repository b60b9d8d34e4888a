extension Platform {
    /// The platform of a machine from what `uname(2)` says.
    ///
    /// - Parameters:
    ///   - system: `sysname`: `Linux`.
    ///   - machine: `machine`: `x86_64`, `aarch64`, `armv7l`.
    public static func host(system: String, machine: String) -> Platform {
        let machine = machine.lowercased()
        var platform = Platform(os: system.lowercased(), architecture: machine)
        switch machine {
        case "i386", "i486", "i586", "i686", "x86": platform.architecture = "386"
        case "loongarch64": platform.architecture = "loong64"
        case "armv8l", "armv8b": (platform.architecture, platform.variant) = ("arm", "v8")
        default:
            // armv5tel, armv6l, armv7l: the digit is the variant.
            let prefix = "armv"
            if machine.hasPrefix(prefix), let digit = machine.dropFirst(prefix.count).first, digit.isASCII, digit.isNumber {
                (platform.architecture, platform.variant) = ("arm", "v" + String(digit))
            }
        }
        return platform.normalized
    }

    /// The one form of several names for a platform: `x86_64` is `amd64`, `aarch64/v8` is `arm64`, `arm` is `arm/v7`.
    public var normalized: Platform {
        var result = self
        result.os = os.lowercased()
        if result.os == "macos" { result.os = "darwin" }
        result.architecture = architecture.lowercased()
        result.variant = variant.lowercased()
        switch result.architecture {
        case "i386": (result.architecture, result.variant) = ("386", "")
        case "x86_64", "x86-64", "amd64":
            result.architecture = "amd64"
            if result.variant == "v1" { result.variant = "" }
        case "aarch64", "arm64":
            result.architecture = "arm64"
            switch result.variant {
            case "8", "v8", "v8.0": result.variant = ""
            case "9", "9.0", "v9.0": result.variant = "v9"
            default: break
            }
        case "armhf": (result.architecture, result.variant) = ("arm", "v7")
        case "armel": (result.architecture, result.variant) = ("arm", "v6")
        case "arm":
            switch result.variant {
            case "", "7": result.variant = "v7"
            case "5", "6", "8": result.variant = "v" + result.variant
            default: break
            }
        default: break
        }
        result.osFeatures.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return result
    }

    /// What runs on a machine of this platform, best first: `arm/v7` also runs `arm/v6` and `arm/v5`, `arm64` runs `arm`,
    /// `amd64` runs `386`.
    public var runnable: [Platform] {
        let base = normalized
        var list: [Platform] = []
        func add(_ architecture: String, _ variant: String) {
            var platform = base
            platform.architecture = architecture
            platform.variant = variant
            list.append(platform.normalized)
        }
        func addVariants(_ architecture: String, from newest: Int, through oldest: Int) {
            for version in stride(from: newest, through: oldest, by: -1) { add(architecture, "v\(version)") }
        }
        switch base.architecture {
        case "amd64":
            list.append(base)
            // A variant from outside may be any number; there are four levels (x86-64-v4).
            if let level = Platform.version(base.variant), level.major <= 9 {
                addVariants("amd64", from: level.major - 1, through: 1)
            }
            add("386", "")
        case "arm":
            list.append(base)
            if let version = Platform.version(base.variant), version.major <= 9 {
                addVariants("arm", from: version.major - 1, through: 5)
            }
        case "arm64":
            for variant in Platform.arm64Variants(base.variant) { add("arm64", variant) }
            addVariants("arm", from: 8, through: 5)
        default: list.append(base)
        }
        return list
    }

    /// Whether an image for `image` is exactly for this platform, in whatever way it is written.
    public func isSame(as image: Platform) -> Bool {
        let mine = normalized
        let other = image.normalized
        return mine.os == other.os && mine.architecture == other.architecture && mine.variant == other.variant
            && other.osFeatures.allSatisfy(mine.osFeatures.contains)
    }

    /// Whether an image for `image` runs on a machine of this platform.
    public func runs(_ image: Platform) -> Bool {
        runnable.contains { $0.isSame(as: image) }
    }

    /// The best of several images for a machine of this platform; the first of equal ones.
    ///
    /// - Parameter platforms: those of the images; nil for an image that does not say, which is taken only when no other fits.
    /// - Returns: an index into `platforms`; nil when none runs here.
    public func best(of platforms: [Platform?]) -> Int? {
        for candidate in runnable {
            for (index, platform) in platforms.enumerated() {
                if let platform, candidate.isSame(as: platform) { return index }
            }
        }
        return platforms.firstIndex { $0 == nil }
    }

    /// `v8` and `v8.4` as numbers.
    private static func version(_ variant: String) -> (major: Int, minor: Int)? {
        guard variant.hasPrefix("v") else { return nil }
        let parts = variant.dropFirst().split(separator: ".", omittingEmptySubsequences: false)
        guard let first = parts.first, let major = Int(first), major >= 0, parts.count <= 2 else { return nil }
        guard parts.count == 2 else { return (major, 0) }
        guard let minor = Int(parts[1]), minor >= 0 else { return nil }
        return (major, minor)
    }

    /// The 64-bit variants that a machine of one runs, best first. Arm v9.n has all of v8.(n+5), up to v8.9.
    private static func arm64Variants(_ variant: String) -> [String] {
        guard let version = version(variant.isEmpty ? "v8" : variant), version.minor <= 9 else { return [variant] }
        var list: [String] = []
        var eight = version.minor
        if version.major == 9 {
            for minor in stride(from: version.minor, through: 0, by: -1) { list.append(minor == 0 ? "v9" : "v9.\(minor)") }
            eight = min(version.minor + 5, 9)
        } else if version.major != 8 {
            return [variant]
        }
        for minor in stride(from: eight, through: 0, by: -1) { list.append(minor == 0 ? "v8" : "v8.\(minor)") }
        return list
    }
}

extension Platform {
    /// Reads `os`, `architecture`, `os/architecture` or `os/architecture/variant`; what is missing comes from the host.
    ///
    /// - Throws: `.invalidPlatform`.
    public static func parse(_ text: String, host: Platform) throws(OCIError) -> Platform {
        let parts = text.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
        let isWellFormed = parts.allSatisfy { part in
            !part.isEmpty && part.utf8.count <= 64
                && part.utf8.allSatisfy {
                    Characters.isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
                        || $0 == UInt8(ascii: "-")
                }
        }
        guard isWellFormed, parts.count <= 3 else {
            throw failure(text, "expected os[/architecture[/variant]] such as linux/arm64")
        }
        switch parts.count {
        case 3: return Platform(os: parts[0], architecture: parts[1], variant: parts[2]).normalized
        case 2: return Platform(os: parts[0], architecture: parts[1]).normalized
        default:
            // One word: a known os comes first, as in containerd.
            let os = Platform(os: parts[0], architecture: host.architecture, variant: host.variant).normalized
            if knownSystems.contains(os.os) { return os }
            let architecture = Platform(os: host.os, architecture: parts[0]).normalized
            if knownArchitectures.contains(architecture.architecture) { return architecture }
            throw failure(text, "unknown operating system or architecture")
        }
    }

    private static func failure(_ text: String, _ cause: String) -> OCIError {
        OCIError(code: .invalidPlatform, operation: "parse platform", object: Printable.short(text), cause: cause)
    }

    /// Go's list of GOOS.
    private static let knownSystems: Set<String> = [
        "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl", "netbsd",
        "openbsd", "plan9", "solaris", "windows", "zos",
    ]

    /// Go's list of GOARCH.
    private static let knownArchitectures: Set<String> = [
        "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "ppc64", "ppc64le", "loong64", "mips", "mipsle",
        "mips64", "mips64le", "mips64p32", "mips64p32le", "ppc", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64",
        "wasm",
    ]
}
