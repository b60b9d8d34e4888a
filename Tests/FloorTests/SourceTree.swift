import Glibc
import Linux

/// The repository as text: what the tests of this folder read.
struct SourceTree {
    struct File {
        /// Below `Sources`, e.g. `Linux/Time.swift`.
        let path: String
        let target: String
        let lines: [Substring]
        /// The lines with strings and comments blanked: what the compiler sees as code.
        let code: [String]
    }

    /// The root of the package, from where this file was compiled.
    static let root: String = {
        var path = #filePath[...]
        for _ in 0..<3 { path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)] }
        return String(path)
    }()

    static func text(_ path: String) throws -> String {
        try FD.cwd.readText("\(root)/\(path)", limit: 16 << 20)
    }

    /// Names of the directories in `Sources`.
    static func targets() throws -> [String] {
        let directory = try FD.cwd.open("\(root)/Sources", [.readOnly, .directory])
        return try directoryEntries(directory.fd).filter { $0.type == 4 /* DT_DIR */ }.map(\.name).sorted()
    }

    /// Every Swift file of `Sources`, read once.
    static func swiftFiles() throws -> [File] { try read.get() }

    private static let read = Result { try readFiles() }

    private static func readFiles() throws -> [File] {
        var files: [File] = []
        for target in try targets() {
            var pending = [target]
            while let path = pending.popLast() {
                let directory = try FD.cwd.open("\(root)/Sources/\(path)", [.readOnly, .directory])
                for entry in try directoryEntries(directory.fd) {
                    if entry.type == 4 { pending.append("\(path)/\(entry.name)") }
                    guard entry.name.hasSuffix(".swift") else { continue }
                    let text = try Self.text("Sources/\(path)/\(entry.name)")
                    files.append(
                        File(
                            path: "\(path)/\(entry.name)", target: target,
                            lines: text.split(separator: "\n", omittingEmptySubsequences: false),
                            code: CodeText.blanked(text)))
                }
            }
        }
        return files.sorted { $0.path < $1.path }
    }
}
