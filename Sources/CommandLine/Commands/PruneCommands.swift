import Engine
import Flags
import Linux
import Store

/// `berth image prune`, `container prune`, `volume prune`, `system prune`
struct PruneCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func images() throws(CommandError) -> Int32 {
        var all = arguments.bool("all")
        let filter = try filter(["until", "label", "label!", "dangling"])
        for (key, value) in arguments.pairs("filter") where key == "dangling" { all = all || value == "false" || value == "0" }
        return try prune(
            "all " + (all ? "images without at least one container associated to them" : "dangling images")
        ) { () throws(EngineError) in
            let report = try session.engine.pruneImages(all: all, filter)
            tell("Images", report)
            return report.reclaimed
        }
    }

    func containers() throws(CommandError) -> Int32 {
        let filter = try filter(["until", "label", "label!"])
        return try prune("all stopped containers") { () throws(EngineError) in
            let report = try session.engine.pruneContainers(filter)
            tell("Containers", report)
            return report.reclaimed
        }
    }

    func volumes() throws(CommandError) -> Int32 {
        var all = arguments.bool("all")
        let filter = try filter(["label", "label!", "all"])
        for (key, value) in arguments.pairs("filter") where key == "all" {
            if all { throw CommandError("conflicting options: cannot specify both --all and --filter all=1") }
            all = value == "1" || value == "true"
        }
        if arguments.bool("dry-run") {
            let report = try engine { () throws(EngineError) in try session.engine.pruneVolumes(all: all, filter, isRehearsal: true) }
            for line in report.lines { session.print(line) }
            return 0
        }
        return try prune(
            "\(all ? "all" : "anonymous") local volumes not used by at least one container"
        ) { () throws(EngineError) in
            let report = try session.engine.pruneVolumes(all: all, filter)
            tell("Volumes", report)
            return report.reclaimed
        }
    }

    func networks() throws(CommandError) -> Int32 {
        let filter = try filter(["until", "label", "label!"])
        let question =
            "WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue?"
        if !arguments.bool("force"), !Question.isAgreed(question, session) { return 0 }
        tell("Networks", try engine { () throws(EngineError) in try session.engine.pruneNetworks(filter) })
        return 0
    }

    func system() throws(CommandError) -> Int32 {
        let filter = try filter(["until", "label", "label!"])
        let volumes = arguments.bool("volumes")
        let all = arguments.bool("all")
        if volumes, filter.until != nil {
            throw CommandError("ERROR: The \"until\" filter is not supported with \"--volumes\"")
        }
        var lines = ["all stopped containers"]
        lines.append("all networks not used by at least one container")
        if volumes { lines.append("all anonymous volumes not used by at least one container") }
        lines.append(all ? "all images without at least one container associated to them" : "all dangling images")
        lines.append(all ? "all build cache" : "unused build cache")
        var question = "WARNING! This will remove:\n" + lines.map { "  - \($0)\n" }.joined()
        let filters = arguments.strings("filter").sorted()
        if !filters.isEmpty {
            question += "\n  Items to be pruned will be filtered with:\n" + filters.map { "  - \($0)\n" }.joined()
        }
        return try prune(question: question + "\nAre you sure you want to continue?") { () throws(EngineError) in
            // Containers first: what they used is free then.
            var report = try session.engine.pruneContainers(filter)
            tell("Containers", report)
            var reclaimed = report.reclaimed
            tell("Networks", try session.engine.pruneNetworks(filter))
            if volumes {
                report = try session.engine.pruneVolumes(all: false, filter)
                tell("Volumes", report)
                reclaimed += report.reclaimed
            }
            report = try session.engine.pruneImages(all: all, filter)
            tell("Images", report)
            reclaimed += report.reclaimed
            report = try session.engine.pruneBuildCache(CacheSelection(unusedSince: filter.until), mounts: all)
            tell("build cache objects", report)
            return reclaimed + report.reclaimed
        }
    }

    // MARK: Parts

    /// Docker tells with headings what went, and how much that was; podman only where it is of several kinds.
    private var isListed: Bool { CalledAs.current != .podman || session.verb == .systemPrune }

    /// The id alone; nil for names that went with it.
    private static func likePodman(_ line: String) -> String? {
        if line.hasPrefix("untagged: ") { return nil }
        return line.hasPrefix("deleted: ") ? ImageText.digits(String(line.dropFirst(9))) : line
    }

    private func prune(_ what: String, _ work: () throws(EngineError) -> Int64) throws(CommandError) -> Int32 {
        try prune(question: "WARNING! This will remove \(what).\nAre you sure you want to continue?", work)
    }

    /// Asks, works and tells what is free now. A no is no failure, as in Docker.
    private func prune(question: String, _ work: () throws(EngineError) -> Int64) throws(CommandError) -> Int32 {
        // Whoever asks must be who works: the answer is read once.
        if let status = try session.delegated() { return status }
        if !arguments.bool("force"), !Question.isAgreed(question, session) { return 0 }
        let reclaimed = try engine(work)
        if isListed { session.print("Total reclaimed space: " + ByteSize.decimalOnDisk(reclaimed)) }
        return 0
    }

    private func tell(_ kind: String, _ report: PruneReport) {
        if report.lines.isEmpty { return }
        if !isListed {
            for id in report.lines.compactMap(PruneCommand.likePodman) { session.print(id) }
            return
        }
        session.print("Deleted \(kind):")
        for line in report.lines { session.print(line) }
        session.print("")
    }

    private func filter(_ known: Set<String>) throws(CommandError) -> PruneFilter {
        var filter = PruneFilter()
        for (key, value) in arguments.pairs("filter") {
            guard known.contains(key) else { throw .invalid("invalid filter '\(key)'") }
            switch key {
            case "until":
                guard let time = HumanTime.point(value, now: wallClockNanoseconds()) else {
                    throw .invalid(
                        "invalid filter 'until=\(value)': neither a time (2026-01-02T03:04:05Z) nor a duration (10m)")
                }
                if filter.until != nil { throw .invalid("more than one until filter specified") }
                filter.until = time
            case "label": filter.labels.append(value)
            case "label!": filter.withoutLabels.append(value)
            default:
                guard ["true", "false", "1", "0"].contains(value) else { throw .invalid("invalid filter '\(key)=\(value)'") }
            }
        }
        return filter
    }
}
