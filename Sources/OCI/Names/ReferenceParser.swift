/// The grammar of references, over bytes: nothing outside of ASCII is part of it.
enum ReferenceParser {
    typealias Bytes = Substring.UTF8View
    /// Longest repository path; the limit of distribution/reference.
    static let maximumPath = 255
    /// Longest host name of DNS (RFC 1035 section 2.3.4), and room for a port.
    static let maximumDomain = 253 + 6

    static func failure(_ text: String, _ cause: String) -> OCIError {
        OCIError(code: .invalidReference, operation: "parse reference", object: Printable.short(text), cause: cause)
    }

    static func parse(_ text: String) throws(OCIError) -> Reference {
        if text.isEmpty { throw failure(text, "the name is empty") }
        // Domain, path, tag and a sha512 digest together are shorter than this; cut off before doing any work.
        guard text.utf8.count <= 1024 else { throw failure(text, "the name is too long") }
        if text.utf8.count == 64, text.utf8.allSatisfy(Characters.isLowerHex) {
            throw failure(text, "64 hexadecimal digits are an image id, not a name")
        }
        var rest = Substring(text).utf8
        // From the right: a digest has no `@`, and a tag has neither `/` nor `@`, so these cuts cannot hit a domain's port.
        let digest = try cutDigest(&rest, text)
        let tag = try cutTag(&rest, text)
        let (domain, path) = split(rest)
        try check(domain: domain, text)
        try check(path: path, text)
        var name = String(decoding: path, as: UTF8.self)
        var host = String(decoding: domain, as: UTF8.self)
        if host.isEmpty || host == "index.docker.io" { host = Reference.defaultDomain }
        if host == Reference.defaultDomain, !path.contains(UInt8(ascii: "/")) { name = "library/" + name }
        // `library/` is counted, as the registry will count it.
        guard name.utf8.count <= maximumPath else {
            throw failure(text, "the repository name is longer than \(maximumPath) characters")
        }
        return Reference(domain: host, path: name, tag: tag, digest: digest)
    }

    private static func cutDigest(_ rest: inout Bytes, _ text: String) throws(OCIError) -> Digest? {
        guard let at = rest.firstIndex(of: UInt8(ascii: "@")) else { return nil }
        guard let digest = Digest(String(Substring(rest[rest.index(after: at)...]))) else {
            throw failure(text, "invalid digest, expected @sha256: with 64 lower-case hexadecimal digits")
        }
        rest = rest[..<at]
        return digest
    }

    private static func cutTag(_ rest: inout Bytes, _ text: String) throws(OCIError) -> String? {
        guard let colon = rest.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let tag = rest[rest.index(after: colon)...]
        // A slash behind the colon: it was the port of a domain.
        if tag.contains(UInt8(ascii: "/")) { return nil }
        guard Reference.isTag(tag) else { throw failure(text, "invalid tag") }
        rest = rest[..<colon]
        return String(Substring(tag))
    }

    /// Splits off a domain; it is empty for the default one.
    private static func split(_ name: Bytes) -> (domain: Bytes, path: Bytes) {
        let none = name[name.startIndex..<name.startIndex]
        guard let slash = name.firstIndex(of: UInt8(ascii: "/")) else { return (none, name) }
        let first = name[..<slash]
        guard isDomain(first) else { return (none, name) }
        return (first, name[name.index(after: slash)...])
    }

    /// Whether the first of several components is a domain rather than a part of the path.
    static func isDomain(_ component: some Collection<UInt8>) -> Bool {
        if component.elementsEqual("localhost".utf8) { return true }
        return component.contains {
            $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") || Characters.isUpper($0)
        }
    }

    // MARK: Domain

    private static func check(domain: Bytes, _ text: String) throws(OCIError) {
        if domain.isEmpty { return }
        guard domain.count <= maximumDomain else { throw failure(text, "the registry name is too long") }
        var host = domain
        if domain.first == UInt8(ascii: "[") {
            guard let close = domain.firstIndex(of: UInt8(ascii: "]")) else {
                throw failure(text, "invalid registry address")
            }
            let address = domain[domain.index(after: domain.startIndex)..<close]
            let colons = address.filter { $0 == UInt8(ascii: ":") }.count
            guard address.allSatisfy({ Characters.isHex($0) || $0 == UInt8(ascii: ":") }), colons >= 2, address.count <= 39
            else { throw failure(text, "invalid registry address") }
            let after = domain[domain.index(after: close)...]
            if after.isEmpty { return }
            guard after.first == UInt8(ascii: ":") else { throw failure(text, "invalid registry address") }
            return try check(port: after.dropFirst(), text)
        }
        if let colon = domain.firstIndex(of: UInt8(ascii: ":")) {
            host = domain[..<colon]
            try check(port: domain[domain.index(after: colon)...], text)
        }
        for label in host.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard let first = label.first, let last = label.last, Characters.isAlphanumeric(first),
                Characters.isAlphanumeric(last),
                label.allSatisfy({ Characters.isAlphanumeric($0) || $0 == UInt8(ascii: "-") })
            else { throw failure(text, "invalid registry name") }
        }
    }

    private static func check(port: Bytes.SubSequence, _ text: String) throws(OCIError) {
        var value = 0
        guard !port.isEmpty, port.count <= 5 else { throw failure(text, "invalid registry port") }
        for digit in port {
            guard Characters.isDigit(digit) else { throw failure(text, "invalid registry port") }
            value = value * 10 + Int(digit - UInt8(ascii: "0"))
        }
        guard value >= 1, value <= 65535 else { throw failure(text, "invalid registry port") }
    }

    // MARK: Path

    private static func check(path: Bytes, _ text: String) throws(OCIError) {
        if path.contains(where: Characters.isUpper) {
            throw failure(text, "the repository name must be lower-case")
        }
        guard isPath(path) else { throw failure(text, "invalid repository name") }
    }

    /// Whether every component is one, whatever the length.
    static func isPath(_ path: Bytes) -> Bool {
        path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy(isPathComponent)
    }

    /// Lower-case letters and digits in groups, with `.`, `_`, `__` or any number of dashes between two groups.
    ///
    /// That leaves out `.` and `..`, so that a path of components is safe below a directory.
    private static func isPathComponent(_ component: Bytes.SubSequence) -> Bool {
        guard let first = component.first, let last = component.last, Characters.isLowerAlphanumeric(first),
            Characters.isLowerAlphanumeric(last)
        else { return false }
        var separator: [UInt8] = []
        for byte in component {
            if Characters.isLowerAlphanumeric(byte) {
                guard isSeparator(separator) else { return false }
                separator.removeAll(keepingCapacity: true)
            } else {
                separator.append(byte)
            }
        }
        return true
    }

    private static func isSeparator(_ bytes: [UInt8]) -> Bool {
        switch bytes {
        case [], [UInt8(ascii: ".")], [UInt8(ascii: "_")], [UInt8(ascii: "_"), UInt8(ascii: "_")]: true
        default: bytes.allSatisfy { $0 == UInt8(ascii: "-") }
        }
    }
}
