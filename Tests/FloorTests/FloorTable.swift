/// The floors as `docs/architecture.md` tells them, and the dependencies as `Package.swift` declares them.
struct FloorTable {
    /// Target to floor.
    let floors: [String: Int]
    /// Target to the targets it declares.
    let declared: [String: [String]]
    /// Targets that may use the packages.
    let networked: Set<String>

    init() throws {
        floors = Self.parseTable(try SourceTree.text("docs/architecture.md"))
        let package = try SourceTree.text("Package.swift")
        declared = Self.parsePackage(package)
        networked = Set(
            Self.pieces(of: package, after: " networked(\"").compactMap { $0.split(separator: "\"").first.map { String($0) } })
    }

    /// Rows like ``| 1 | `Linux` | … |``: several targets may stand in the second cell.
    static func parseTable(_ text: String) -> [String: Int] {
        var floors: [String: Int] = [:]
        for line in text.split(separator: "\n") {
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).map(trimmed)
            guard cells.count >= 4, cells[0].isEmpty, let floor = Int(cells[1]) else { continue }
            let pieces = cells[2].split(separator: "`", omittingEmptySubsequences: false)
            for (index, name) in pieces.enumerated() where index % 2 == 1 { floors[String(name)] = floor }
        }
        return floors
    }

    /// Calls like `floor("Linux", ["CLinux"])` and `.executableTarget(name: "berth", dependencies: ["CommandLine"]`.
    static func parsePackage(_ text: String) -> [String: [String]] {
        let flat = text.split(separator: "\n").map(trimmed).filter { !$0.hasPrefix("//") }.joined(separator: " ")
        var result: [String: [String]] = [:]
        for opening in ["floor(", "networked(", ".executableTarget(", ".target(", ".systemLibrary("] {
            for call in pieces(of: flat, after: opening) {
                let words = call.split(separator: "\"", omittingEmptySubsequences: false)
                guard words.count > 1, !words[0].contains("_"), words[0].count < 10 else { continue }
                var names: [String] = []
                if let start = call.firstIndex(of: "["), let end = call.firstIndex(of: "]"), start < end {
                    let list = call[start..<end].split(separator: "\"", omittingEmptySubsequences: false)
                    let before = call[..<start]
                    if opening == "floor(" || opening == "networked(" || before.hasSuffix("dependencies: ") {
                        for (index, name) in list.enumerated() where index % 2 == 1 { names.append(String(name)) }
                    }
                }
                result[String(words[1]), default: []] += names
            }
        }
        return result
    }

    /// The text of each call, up to its closing parenthesis.
    private static func pieces(of text: String, after opening: String) -> [Substring] {
        var found: [Substring] = []
        var rest = text[...]
        while let start = rest.firstRange(of: opening) {
            rest = rest[start.upperBound...]
            var depth = 1
            let end = rest.firstIndex { c in
                if c == "(" { depth += 1 }
                if c == ")" { depth -= 1 }
                return depth == 0
            }
            found.append(rest[..<(end ?? rest.endIndex)])
        }
        return found
    }
}

func trimmed(_ text: some StringProtocol) -> String {
    let start = text.drop { $0 == " " || $0 == "\t" }
    guard let end = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
    return String(start[...end])
}
