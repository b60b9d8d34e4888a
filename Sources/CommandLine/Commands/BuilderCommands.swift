import Engine
import Flags
import JSON
import Linux
import Store

/// `berth builder prune`
struct BuilderPruneCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let all = arguments.bool("all")
        var selection = CacheSelection()
        for (key, value) in arguments.pairs("filter") {
            guard key == "until" || key == "unused-for" else { throw .invalid("invalid filter '\(key)'; known: until, unused-for") }
            guard let time = HumanTime.point(value, now: wallClockNanoseconds()) else {
                throw .invalid("invalid filter '\(key)=\(value)': neither a time (2026-01-02T03:04:05Z) nor a duration (10m)")
            }
            selection.unusedSince = time
        }
        for name in ["keep-storage", "max-used-space"] where arguments.isSet(name) { selection.keepBytes = arguments.int64(name) }
        if let status = try session.delegated() { return status }
        let what = all ? "all build cache, with the directories of cache mounts" : "all build cache"
        let question = "WARNING! This will remove \(what).\nAre you sure you want to continue?"
        if !arguments.bool("force"), !Question.isAgreed(question, session) { return 0 }
        let report: PruneReport
        do throws(EngineError) { report = try session.engine.pruneBuildCache(selection, mounts: all) } catch { throw CommandError(error) }
        if !report.lines.isEmpty {
            session.print("Deleted build cache objects:")
            for line in report.lines { session.print(line) }
            session.print("")
        }
        session.print("Total reclaimed space: " + ByteSize.decimalOnDisk(report.reclaimed))
        return 0
    }
}

/// Rows of the cache, for `system df -v`.
enum BuildCacheList {
    static let fields = ["ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"]

    static func heading(_ field: String) -> String {
        switch field {
        case "ID": "CACHE ID"
        case "CacheType": "CACHE TYPE"
        case "CreatedSince": "CREATED"
        case "LastUsedSince": "LAST USED"
        case "UsageCount": "USAGE"
        default: field.uppercased()
        }
    }

    static func object(_ record: CacheRecord, full: Bool, now: Int64) -> JSONValue {
        ObjectList.object([
            ("CacheType", "regular"), ("CreatedSince", HumanTime.ago(record.created, now: now)), ("Description", record.description),
            ("ID", full ? record.key : String(record.key.prefix(12))), ("InUse", "false"),
            ("LastUsedSince", HumanTime.ago(record.used, now: now)), ("Parent", record.parent ?? ""), ("Shared", "\(record.isShared)"),
            ("Size", ByteSize.decimalOnDisk(record.size)), ("UsageCount", "\(record.uses)"),
        ])
    }
}
