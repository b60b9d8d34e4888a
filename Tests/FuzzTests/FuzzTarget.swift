import Archive
import JSON
import Linux
import Networks
import OCI

@testable import CommandLine
@testable import Control
@testable import Registry
@testable import Store

/// A property that must hold for every input and did not.
struct FuzzFailure: Error, CustomStringConvertible {
    let description: String
}

/// The readers of what comes from outside. Each takes any bytes and ends with a value or an error of its library;
/// what was accepted must have the properties that its users rely on.
///
/// The same bodies run below libFuzzer (`Fuzz/`, for as long as one likes) and over mutated seeds in the unit tests.
enum FuzzTarget: String, CaseIterable {
    /// Tar: two ways of delivery are read as the same, and what was read is written as what reads the same.
    case tar
    /// gzip and zstd, told by the first bytes.
    case compressed
    /// A whole image archive: docker's manifest.json, an OCI layout, links.
    case archive
    /// docker's manifest.json and the layout's files alone, in an archive that has what they name.
    case manifest
    /// Manifests, indexes and configs.
    case documents
    case reference
    case json
    /// YAML: of CDI specifications and whoever else has files in it.
    case yaml
    /// registries.conf.
    case registries
    /// `WWW-Authenticate`.
    case challenge
    /// What registries answer: tag lists, errors, tokens; and files with credentials.
    case answers
    /// `--format`.
    case template
    /// What supervisors and commands leave for each other: exit record, supervise.json, messages.
    case control
    /// Questions and answers of DNS, from containers and from upstreams.
    case names
    case dockerfile
    /// .dockerignore: patterns against paths.
    case dockerignore

    /// - Parameter place: of the process; the bodies leave nothing in it.
    func run(_ bytes: [UInt8], in place: FuzzPlace) throws(FuzzFailure) {
        switch self {
        case .tar: try TarProperties.check(bytes)
        case .compressed: try CompressionProperties.check(bytes)
        case .archive:
            try place.plan(bytes)
            try place.plan(TarProperties.repaired(bytes))
        case .manifest: try place.plan(documents: bytes)
        case .documents: try FuzzTarget.documents(bytes)
        case .reference: try FuzzTarget.reference(String(decoding: bytes, as: UTF8.self))
        case .json: try FuzzTarget.json(bytes)
        case .yaml: try YAMLProperties.check(bytes)
        case .registries: FuzzTarget.registries(bytes)
        case .challenge: _ = Challenge.parse([String(decoding: bytes, as: UTF8.self)])
        case .answers: FuzzTarget.answers(bytes)
        case .template: FuzzTarget.template(String(decoding: bytes, as: UTF8.self))
        case .control: try FuzzTarget.control(bytes)
        case .names: try NameProperties.check(bytes)
        case .dockerfile: try DockerfileProperties.check(bytes)
        case .dockerignore: try DockerfileProperties.checkIgnore(bytes)
        }
    }

    private static func expect(_ holds: Bool, _ text: @autoclosure () -> String) throws(FuzzFailure) {
        if !holds { throw FuzzFailure(description: text()) }
    }

    private static func documents(_ bytes: [UInt8]) throws(FuzzFailure) {
        let kinds: [MediaType?] = [nil, .ociManifest, .ociIndex, .dockerManifest, .dockerManifestList]
        for kind in kinds {
            let manifest = try? Manifest.decode(bytes, expected: kind)
            let index = try? Index.decode(bytes, expected: kind)
            // CVE-2021-41190: no document is two things.
            try expect(manifest == nil || index == nil, "one document is a manifest and an index")
            if let manifest { try expect(manifest.raw == bytes, "a manifest does not keep its bytes") }
            if let index {
                try expect(index.raw == bytes, "an index does not keep its bytes")
                _ = index.manifest(for: Platform.host(system: "linux", machine: "x86_64"))
            }
            _ = try? ManifestDocument.decode(bytes, expected: kind)
        }
        _ = try? OCILayout.decode(bytes)
        if let config = try? ImageConfig.decode(bytes) {
            _ = config.historyLayers
            try expect(config.platform.runnable.count < 64, "a platform runs on too many")
        }
    }

    private static func reference(_ text: String) throws(FuzzFailure) {
        if let digest = try? Digest.parse(text) { try expect(digest.description == text, "a digest is written differently") }
        _ = try? Platform.parse(text, host: Platform.host(system: "linux", machine: "x86_64"))
        guard let reference = try? Reference.parse(text) else { return }
        let again = try? Reference.parse(reference.description)
        try expect(again == reference, "\(reference) is not read as what it was written from")
        let familiar = try? Reference.parse(reference.familiar)
        try expect(familiar == reference, "\(reference.familiar) is not read as \(reference)")
        let parts = reference.path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        try expect(
            parts.allSatisfy { !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8) },
            "\(reference.path) climbs")
    }

    private static func json(_ bytes: [UInt8]) throws(FuzzFailure) {
        guard let value = try? JSONValue.parse(bytes) else { return }
        let written = JSONWriter.document { w in w.value(value) }
        guard let again = try? JSONValue.parse(written), isSame(value, again) else {
            throw FuzzFailure(description: "\(String(decoding: written, as: UTF8.self)) is not what was written")
        }
    }

    /// Numbers by value: 1E+2 is a double and is written as 100, which is an integer; -0.0 is written as -0.
    private static func isSame(_ one: JSONValue, _ other: JSONValue) -> Bool {
        switch (one, other) {
        case (.array(let one), .array(let other)):
            one.count == other.count && zip(one, other).allSatisfy { isSame($0, $1) }
        case (.object(let one), .object(let other)):
            one.count == other.count && zip(one, other).allSatisfy { $0.key == $1.key && isSame($0.value, $1.value) }
        default:
            if let one = one.double, let other = other.double { one == other } else { one == other }
        }
    }

    private static func registries(_ bytes: [UInt8]) {
        var file = RegistriesFile()
        try? file.add(bytes, file: "registries.conf")
        for name in ["docker.io/library/alpine", "registry.example.com/a/b"] {
            guard let reference = try? Reference.parse(name) else { continue }
            _ = try? file.sources(for: reference)
        }
        _ = try? file.candidates("alpine")
    }

    private static func answers(_ bytes: [UInt8]) {
        _ = try? TagList.decode(bytes)
        _ = try? RegistryErrors.decode(bytes)
        _ = try? RegistryToken.decode(bytes)
        guard let file = try? AuthFile("auth.json", bytes) else { return }
        for name in ["docker.io/library/alpine", "registry.example.com:5000/a/b"] {
            _ = file.credentials(for: name)
            _ = file.helper(for: name)
        }
    }

    private static let object = JSONValue.object([
        .init(key: "ID", value: "abc"), .init(key: "Size", value: 12), .init(key: "Big", value: .int(.min)),
        .init(key: "Names", value: ["a", "b/c", "é"]), .init(key: "Labels", value: ["k": "v", "x.y": ""]),
        .init(key: "Rate", value: 1.5), .init(key: "Nothing", value: nil), .init(key: "Up", value: true),
    ])

    private static func template(_ text: String) {
        guard let template = try? Template(text) else { return }
        _ = try? template.render(object, of: "T")
        _ = try? template.heading { $0 }
    }

    private static func control(_ bytes: [UInt8]) throws(FuzzFailure) {
        if let record = try? ExitRecord.parse(bytes) {
            try expect((try? ExitRecord.parse(record.encoded())) == record, "an exit record is written as something else")
        }
        if let config = try? SupervisionConfig.parse(bytes) {
            try expect((try? SupervisionConfig.parse(config.encoded())) != nil, "supervise.json is not read as it is written")
        }
        if let event = Event(line: bytes) {
            try expect(Event(line: event.encoded()) == event, "an event is written as something else")
        }
        var line = bytes
        let length = line.withUnsafeMutableBytes { LogRecord(line: UnsafeRawBufferPointer($0))?.text.count ?? 0 }
        try expect(length <= bytes.count, "a log's line is longer than what it was read from")
        if let frame = try? ControlFrame.decode(bytes) {
            _ = try? ControlRequest(frame)
            _ = try? ControlEvent(frame)
        }
    }
}
