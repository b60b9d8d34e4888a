import Testing

/// A target imports only from floors below its own, and the document says which floor that is.
struct FloorTests {
    /// What the toolchain brings and anybody may import.
    private let toolchain: Set<String> = ["Glibc", "Swift", "Synchronization"]
    /// What the packages bring (docs/decisions/dependencies.md), for the targets that talk to the network.
    private let packages: Set<String> = ["AsyncHTTPClient", "NIOCore", "NIOPosix", "NIOHTTP1", "NIOSSL"]

    @Test func theDocumentNamesEveryTarget() throws {
        let table = try FloorTable()
        let known = Set(try SourceTree.targets())
        #expect(known.count > 10)
        #expect(Set(table.floors.keys) == known, "docs/architecture.md and Sources name different targets")
    }

    @Test func declaredDependenciesLieBelow() throws {
        let table = try FloorTable()
        for (target, dependencies) in table.declared {
            let floor = try #require(table.floors[target], "\(target) is not in the table of docs/architecture.md")
            for dependency in dependencies {
                let below = try #require(table.floors[dependency], "\(dependency) is not in the table")
                #expect(below < floor, "\(target) (floor \(floor)) depends on \(dependency) (floor \(below))")
            }
        }
    }

    /// SwiftPM lets a target import whatever happens to be built: the lines themselves are checked.
    @Test func importsLieBelowAndAreDeclared() throws {
        let table = try FloorTable()
        for file in try SourceTree.swiftFiles() {
            let floor = try #require(table.floors[file.target], "\(file.target) is not in the table")
            for name in imports(file.code) where !toolchain.contains(name) {
                if packages.contains(name), table.networked.contains(file.target) { continue }
                guard let below = table.floors[name] else {
                    Issue.record("\(file.path) imports \(name), which is neither ours nor the toolchain's")
                    continue
                }
                #expect(below < floor, "\(file.path) (floor \(floor)) imports \(name) (floor \(below))")
                #expect(
                    reachable(from: file.target, table).contains(name),
                    "\(file.path) imports \(name), which \(file.target) does not declare in Package.swift")
            }
        }
    }

    /// The engine's program starts the runtime's program; it does not contain it.
    @Test func theEngineDoesNotReachTheRuntime() throws {
        let table = try FloorTable()
        #expect(reachable(from: "berth", table).isDisjoint(with: ["Runtime", "Supervision", "RuntimeCommands"]))
        #expect(reachable(from: "berth-runtime", table).isDisjoint(with: ["Store", "Archive", "Engine", "CommandLine", "CSQLite"]))
    }

    @Test func theParsersReadWhatTheyShould() {
        let floors = FloorTable.parseTable("| floor | target |\n|---|---|\n| 0 | `A`, `B` | c |\n| 3 | `D` | `E` |\ntext")
        #expect(floors == ["A": 0, "B": 0, "D": 3])
        let declared = FloorTable.parsePackage(
            "floor(\"A\"),\n// floor(\"X\")\nfloor(\"B\", [\"A\"]),\n.executableTarget(\n name: \"c\", dependencies: [\"B\"], swiftSettings: s)"
        )
        #expect(declared == ["A": [], "B": ["A"], "c": ["B"]])
        #expect(imports(["import A", "  import struct B.C", "@testable import D", "important = 1"]) == ["A", "B", "D"])
        #expect(
            CodeText.blanked("a /* b /* c */ d */ e // f\n\"g\\\"h\" + \"\"\"\ni\n\"\"\" + j") == ["a  e ", "\"\" + ", "", " + j"])
    }

    private func reachable(from start: String, _ table: FloorTable) -> Set<String> {
        var seen: Set<String> = []
        var pending = [start]
        while let target = pending.popLast() {
            guard seen.insert(target).inserted else { continue }
            pending += table.declared[target] ?? []
        }
        return seen
    }
}

/// The modules that lines of code import.
func imports(_ code: [String]) -> [String] {
    code.compactMap { line in
        var words = line.split(separator: " ")
        while let first = words.first, first.hasPrefix("@") || ["public", "package", "internal", "private"].contains(first) {
            words.removeFirst()
        }
        guard words.count >= 2, words[0] == "import" else { return nil }
        let kinds = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
        let name = kinds.contains(String(words[1])) && words.count > 2 ? words[2] : words[1]
        return String(name.prefix { $0 != "." })
    }
}
