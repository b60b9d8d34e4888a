/// A name inside a layer, cut into the directory it is in and its last component.
struct LayerPath {
    /// Normalised, without leading or trailing slash; empty for the layer's root.
    let full: [UInt8]
    /// The part before the last component; empty when it is in the root.
    var parent: [UInt8] { slash.map { Array(full[..<$0]) } ?? [] }
    private let slash: Int?

    var isRoot: Bool { full.isEmpty }

    /// Longest path that system calls take (PATH_MAX without its NUL). A deeper tree could not be reached by the programs in
    /// the container either, and it bounds what an attacker's nesting costs.
    static let maximumLength = 4095

    /// Normalises a path as it stands in an archive: `./a//b/` is `a/b`, `/a` is `a`.
    ///
    /// - Throws: `.corrupt` for `..`, which no honest layer has; `.tooLarge` for what the kernel could not store.
    init(_ raw: [UInt8]) throws(StoreError) {
        var result: [UInt8] = []
        result.reserveCapacity(raw.count + 1)
        var last: Int?
        var start = 0
        while start < raw.count {
            var end = start
            while end < raw.count, raw[end] != UInt8(ascii: "/") { end += 1 }
            let count = end - start
            if count == 2, raw[start] == UInt8(ascii: "."), raw[start + 1] == UInt8(ascii: ".") {
                throw layerFailure(.corrupt, raw, "name with \"..\"")
            }
            if count > 255 { throw layerFailure(.tooLarge, raw, "name longer than 255 bytes") }
            if count > 0, count != 1 || raw[start] != UInt8(ascii: ".") {
                if !result.isEmpty {
                    last = result.count
                    result.append(UInt8(ascii: "/"))
                }
                result.append(contentsOf: raw[start..<end])
            }
            start = end + 1
        }
        guard result.count <= LayerPath.maximumLength else { throw layerFailure(.tooLarge, raw, "path longer than 4095 bytes") }
        full = result
        slash = last
    }

    private init(normalised: [UInt8]) {
        full = normalised
        slash = normalised.lastIndex(of: UInt8(ascii: "/"))
    }

    /// The directory a path is in.
    var directory: LayerPath { LayerPath(normalised: parent) }

    /// The last component with a final NUL, as system calls take it.
    var name: [UInt8] { Array(full[(slash.map { $0 + 1 } ?? 0)...]) + [0] }

    /// What the last component's `.wh.` means.
    enum Whiteout {
        case none
        /// Hides everything that lower layers have in the directory.
        case opaque
        /// Hides this name of lower layers (final NUL included).
        case name([UInt8])
        /// Bookkeeping of aufs (`.wh..wh.plnk` and others), without meaning.
        case ignored
    }

    /// Spec: OCI image-spec 1.1 layer.md "Whiteouts": such names are never files.
    func whiteout() throws(StoreError) -> Whiteout {
        let prefix: StaticString = ".wh."
        let marker = UnsafeBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount)
        var component = full.startIndex
        while true {
            let rest = full[component...]
            let end = rest.firstIndex(of: UInt8(ascii: "/"))
            let part = full[component..<(end ?? full.endIndex)]
            if part.starts(with: marker) {
                let hidden = part.dropFirst(marker.count)
                if hidden.starts(with: marker) {
                    return end == nil && hidden.elementsEqual(".wh..opq".utf8) ? .opaque : .ignored
                }
                guard end == nil, !hidden.isEmpty, !hidden.elementsEqual([0x2e]), !hidden.elementsEqual([0x2e, 0x2e]) else {
                    throw layerFailure(.corrupt, full, "bad whiteout")
                }
                return .name(Array(hidden) + [0])
            }
            guard let end else { return .none }
            component = end + 1
        }
    }
}

func layerFailure(_ code: StoreError.Code, _ path: [UInt8], _ cause: String) -> StoreError {
    StoreError(code, "unpack layer entry", shown(path), cause: cause)
}

/// Gives a NUL-terminated name to a C function.
@inline(__always)
func withName<R>(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> R) -> R {
    // SAFETY: every name ends in NUL (made by LayerPath.name and beside it); CChar and UInt8 have one layout.
    name.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { return body("") }
        return body(base.assumingMemoryBound(to: CChar.self))
    }
}
