import Engine
import Flags
import Linux

/// `berth top`: ps(1)'s columns, read from the host's /proc.
struct TopCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let (name, words) = try session.container()
        let options = try ProcessOptions(words)
        let processes = try engine { () throws(EngineError) in try session.engine.processes(name) }
        var table = TextTable(heading: options.hasHeading ? options.columns.map(\.heading) : nil)
        let clock = ProcessClock()
        for process in processes { table.add(options.columns.map { $0.column.value(process, clock) }) }
        session.printRaw(table.render())
        return 0
    }
}

/// The options of ps(1) that say what is shown. All processes of a container are; which of the host's would be is passed over.
struct ProcessOptions {
    private(set) var columns: [(heading: String, column: ProcessColumn)] = []
    private(set) var hasHeading = true

    private static let full = "uid,pid,ppid,c,stime,tty,time,cmd"
    private static let user = "user,pid,%cpu,%mem,vsz,rss,tty,stat,start,time,command"

    /// - Parameter words: as ps takes them; podman's, which are names of columns, too. None stands for `-ef`.
    /// - Throws: for options and columns that are not known, by name.
    init(_ words: [String]) throws(CommandError) {
        var style = words.isEmpty ? Self.full : "pid,tty,time,cmd"
        var lists: [String] = []
        var rest = words[...]
        while let word = rest.popFirst() {
            let takesNext: Bool
            if word == "--no-headers" || word == "--no-heading" {
                hasHeading = false
                continue
            } else if word == "--format" {
                takesNext = true
            } else if word.hasPrefix("--format=") {
                lists.append(String(word.dropFirst(9)))
                continue
            } else if word.hasPrefix("-"), word.utf8.count > 1, !word.hasPrefix("--") {
                takesNext = try Self.read(unix: word, &style, &lists)
            } else if let columns = Self.bsd(word, &style) {
                takesNext = columns
            } else if !word.hasPrefix("-"), word.split(separator: ",").allSatisfy({ ProcessColumn.named(String($0)) != nil }) {
                // podman's way.
                lists.append(word)
                continue
            } else {
                throw CommandError("not supported yet: ps option \(word): use -o COLUMN,…")
            }
            if takesNext {
                guard let list = rest.popFirst() else { throw CommandError("ps option \(word) needs a list of columns") }
                lists.append(list)
            }
        }
        for list in lists.isEmpty ? [style] : lists { try add(list) }
    }

    /// `-ef`, `-eo LIST`, `-oLIST`. - Returns: whether the next word is a list of columns.
    private static func read(unix word: String, _ style: inout String, _ lists: inout [String]) throws(CommandError) -> Bool {
        if word == "-aux" {
            style = user
            return false
        }
        var letters = word.dropFirst()
        while let letter = letters.popFirst() {
            switch letter {
            case "e", "A", "a", "d", "x", "w", "H", "y": break
            case "f", "F": style = full
            case "o":
                if letters.isEmpty { return true }
                lists.append(String(letters))
                return false
            default: throw CommandError("not supported yet: ps option \(word): use -o COLUMN,…")
            }
        }
        return false
    }

    /// `aux`, `axo LIST`, `faux`. - Returns: nil where it is not one; whether the next word is a list of columns.
    private static func bsd(_ word: String, _ style: inout String) -> Bool? {
        guard !word.isEmpty, word.allSatisfy({ "auxfwo".contains($0) }) else { return nil }
        if word.contains("u") { style = user } else if word.contains("x") { style = "pid,tty,stat,time,command" }
        return word.hasSuffix("o")
    }

    /// `pid,comm`, and `pid=NUMBER`, where the rest of the list is the heading.
    private mutating func add(_ list: String) throws(CommandError) {
        var rest = list[...]
        while !rest.isEmpty {
            let name = rest.prefix { $0 != "," && $0 != "=" && $0 != " " }
            rest = rest.dropFirst(name.count)
            guard let found = ProcessColumn.named(name.lowercased()) else {
                throw CommandError("not supported yet: ps column \(name)")
            }
            var heading = found.heading
            if rest.first == "=" {
                heading = String(rest.dropFirst())
                rest = ""
            }
            columns.append((heading, found))
            rest = rest.dropFirst()
        }
    }
}
