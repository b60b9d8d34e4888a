import Glibc
import Linux
import Store

/// The engine's own settings: `/etc/berth/berth.conf`, and over it `$XDG_CONFIG_HOME/berth/berth.conf`.
///
/// Sections in brackets, one `name = value` a line, texts in double quotes, comments behind `#`. What is not known is refused:
/// a spelling mistake must not switch a limit off.
public struct Configuration: Sendable, Equatable {
    /// `[store] max_size`: above it, unused images are removed after new ones came; nil: no limit.
    public var maximumStoreSize: Int64?

    /// `[store] layer_format`: how the files of layers are kept that come in from now on.
    public var layerFormat = LayerFormatChoice.directory

    /// `[build] cache_max`: above it, results of steps are removed, least recently used first.
    public var maximumBuildCacheSize: Int64 = 10_000_000_000

    /// `[network] pools`: where the subnets of networks are taken from.
    public var pools = AddressPools.standard

    /// `[network] default`: what a container is connected to when nobody says: a network's name, `none` or `host`.
    public var defaultNetwork = "bridge"

    /// `[network] respect_input_firewall`: published ports are services of the host, as its firewall sees them.
    public var respectsInputFirewall = false

    /// `[network] docker_compat`: containers have no names in the default network.
    public var isDockerCompatible = false

    /// `[devices] cdi_spec_dirs`: where CDI specifications are; later ones go before earlier ones.
    public var deviceDirectories = CDIRegistry.standardDirectories

    /// `[debug] image`: where the tools of `debug` are from.
    public var debugImage = "docker.io/library/busybox:latest"

    public init() {}

    /// Reads what is there; files that are missing say nothing.
    ///
    /// - Throws: `.invalid` with file and line.
    public static func load() throws(EngineError) -> Configuration {
        var configuration = Configuration()
        for path in paths {
            let text: String
            do throws(SystemError) {
                text = try FD.cwd.readText(path)
            } catch {
                if error.errno == .noEntry || error.errno == .notDirectory { continue }
                throw EngineError("read configuration", path, error)
            }
            try configuration.read(text, from: path)
        }
        return configuration
    }

    private static let known = [
        "build": "cache_max", "debug": "image", "devices": "cdi_spec_dirs", "store": "layer_format, max_size",
        "network": "default, docker_compat, pools, respect_input_firewall",
    ]

    private static var paths: [String] {
        var paths = ["/etc/berth/berth.conf"]
        if let base = environmentVariable("XDG_CONFIG_HOME"), base.hasPrefix("/") {
            paths.append(base + "/berth/berth.conf")
        } else if let home = environmentVariable("HOME"), home.hasPrefix("/") {
            paths.append(home + "/.config/berth/berth.conf")
        }
        return paths
    }

    /// - Parameter path: for messages.
    mutating func read(_ text: String, from path: String) throws(EngineError) {
        var section = ""
        for (index, line) in lines(of: text).enumerated() {
            let line = Self.trimmed(line)
            if line.isEmpty || line.hasPrefix("#") { continue }
            func refuse(_ cause: String) -> EngineError { .invalid("\(path):\(index + 1): \(cause)") }
            if line.hasPrefix("[") {
                guard let end = line.firstIndex(of: "]"), Self.isComment(line[line.index(after: end)...]) else {
                    throw refuse("a section is [name]")
                }
                section = String(Self.trimmed(line[line.index(after: line.startIndex)..<end]))
                guard Self.known[section] != nil else {
                    throw refuse("unknown section [\(section)]; known: [build], [debug], [devices], [network], [store]")
                }
                continue
            }
            guard let mark = line.firstIndex(of: "=") else { throw refuse("expected name = value") }
            let name = Self.trimmed(line[..<mark])
            guard let value = Self.value(Self.trimmed(line[line.index(after: mark)...])) else {
                throw refuse("the value of \(name) is neither a number, true, false nor a text in double quotes")
            }
            switch (section, name) {
            case ("store", "max_size"):
                do throws(EngineError) {
                    maximumStoreSize = try ByteSize.parse(value)
                } catch {
                    throw refuse("max_size: \(error.description); write it as \"20GB\"")
                }
            case ("build", "cache_max"):
                do throws(EngineError) { maximumBuildCacheSize = try ByteSize.parse(value) } catch {
                    throw refuse("cache_max: \(error.description); write it as \"10GB\"")
                }
            case ("store", "layer_format"):
                guard let choice = LayerFormatChoice(rawValue: value) else {
                    throw refuse("layer_format: unknown format \"\(value)\"; known: \(LayerFormatChoice.known)")
                }
                layerFormat = choice
            case ("devices", "cdi_spec_dirs"):
                let directories = value.split(separator: ":").map(String.init)
                guard !directories.isEmpty, directories.allSatisfy({ $0.hasPrefix("/") }) else {
                    throw refuse("cdi_spec_dirs: write absolute paths with colons between them, as \"/etc/cdi:/var/run/cdi\"")
                }
                deviceDirectories = directories.map(cleanHostPath)
            case ("debug", "image"):
                guard !value.isEmpty else { throw refuse("image: an image's name is needed") }
                debugImage = value
            case ("network", "default"):
                guard isObjectName(value) else {
                    throw refuse("default: \"\(value)\" is no network's name; write bridge, none, host or the name of a network")
                }
                defaultNetwork = value
            case ("network", "docker_compat"), ("network", "respect_input_firewall"):
                guard value == "true" || value == "false" else { throw refuse("\(name) is true or false, not \"\(value)\"") }
                if name == "docker_compat" { isDockerCompatible = value == "true" } else { respectsInputFirewall = value == "true" }
            case ("network", "pools"):
                do throws(EngineError) { pools = try AddressPools(value) } catch { throw refuse("pools: \(error.description)") }
            default:
                let known = Self.known[section].map { " in [\(section)]; known: \($0)" } ?? " outside of a section"
                throw refuse("unknown setting \"\(name)\"\(known)")
            }
        }
    }

    /// A carriage return and a line feed are one `Character`.
    private func lines(of text: String) -> [Substring] {
        text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" })
    }

    /// A number, true, false, or what stands between double quotes; a comment may follow.
    private static func value(_ text: Substring) -> String? {
        if text.hasPrefix("\"") {
            let rest = text.dropFirst()
            guard let end = rest.firstIndex(of: "\""), isComment(rest[rest.index(after: end)...]) else { return nil }
            return rest[..<end].contains("\\") ? nil : String(rest[..<end])
        }
        let word = text.prefix { $0 != "#" && $0 != " " && $0 != "\t" }
        let isNumber = !word.isEmpty && word.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 || $0 == UInt8(ascii: "_") }
        guard isNumber || word == "true" || word == "false", isComment(text[word.endIndex...]) else { return nil }
        return String(word.filter { $0 != "_" })
    }

    private static func isComment(_ text: Substring) -> Bool {
        let rest = trimmed(text)
        return rest.isEmpty || rest.hasPrefix("#")
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while let first = text.first, first == " " || first == "\t" || first == "\r" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" || last == "\r" { text.removeLast() }
        return text
    }
}
