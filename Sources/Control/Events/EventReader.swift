import CLinux
import Glibc
import Linux

/// Reads the event log in order of time, over all its files, and follows it across rotations.
///
/// Writers put the time into a record before they write it, so neighbours may stand in the other order: what is read at once, or
/// within ``window`` records, is sorted. Lines that are no events are passed over. One thread.
public struct EventReader {
    public struct Options: Sendable {
        /// Nanoseconds since 1970: only events at or after it. Nil with `follows` and without `until`: only what comes.
        public var since: Int64?
        /// Nanoseconds since 1970: only events at or before it; ends when that time has come.
        public var until: Int64?
        /// Waits for more; otherwise ends with the last event there is.
        public var follows: Bool
        /// Only lines that begin with this, which costs less than to read them as events first. Empty: all.
        var beginning: [UInt8] = []

        public init(since: Int64? = nil, until: Int64? = nil, follows: Bool = true) {
            self.since = since
            self.until = until
            self.follows = follows
        }
    }

    /// Events that are held to be sorted.
    private static let window = 4096

    private let log: EventLog
    private let options: Options
    /// Nil: there is no log, and nobody waits for one.
    private let files: LogFiles?
    private let watch: LogWatch?
    /// The file that is read, and those after it: what is open stays readable when a slow reader is overtaken by rotations.
    private var chain: [LogFile] = []
    /// Files that are held at most: 64 MiB of disk.
    private static let longestChain = 16
    private let lines = LineBuffer()
    private var held: [Event] = []

    /// From here on no event is missed.
    ///
    /// - Throws: `.system` when the log cannot be read, or followed.
    public init(_ log: EventLog, _ options: Options) throws(ControlError) {
        self.log = log
        self.options = options
        do throws(SystemError) {
            if options.follows { try FD.cwd.makeDirectories(log.directory, mode: 0o700) }
            let files: LogFiles
            do throws(SystemError) { files = try LogFiles(directory: log.directory, name: EventLog.name) } catch {
                guard error.errno == .noEntry, !options.follows else { throw error }
                (self.files, watch) = (nil, nil)
                return
            }
            self.files = files
            watch = options.follows ? LogWatch(files.directory.fd) : nil
            let isLive = options.follows && options.since == nil && options.until == nil
            if isLive, let newest = try files.open(0) {
                newest.offset = newest.size
                chain = [newest]
            }
        } catch {
            throw ControlError(error, "read events in", log.directory)
        }
    }

    /// Passes on what there is, and what comes.
    ///
    /// - Parameters:
    ///   - emit: called in order of time; returns whether to go on.
    ///   - idle: called before each wait, to flush.
    public mutating func read(_ emit: (Event) -> Bool, idle: () -> Void = {}) throws(ControlError) {
        guard let files else { return }
        while true {
            // Asked before the last read: what was written by then is in the file.
            let isOver = options.until.map { $0 < wallClockNanoseconds() } ?? false
            do throws(SystemError) {
                guard try readAvailable(files, emit), release(held.count, emit) else { return }
            } catch {
                throw ControlError(error, "read events in", log.directory)
            }
            guard let watch, !isOver else { return }
            idle()
            var timeout: Int32 = -1
            if let until = options.until {
                timeout = Int32(clamping: max(0, until.subtractingReportingOverflow(wallClockNanoseconds()).partialValue) / 1_000_000 + 1)
            }
            _ = watch.wait(nil, timeout: timeout)
        }
    }

    private mutating func readAvailable(_ files: LogFiles, _ emit: (Event) -> Bool) throws(SystemError) -> Bool {
        if chain.isEmpty, let oldest = files.oldest(), let file = try files.open(oldest) { chain = [file] }
        while let file = chain.first {
            guard try drain(file, files, emit) else { return false }
            if chain.count == 1 { return true }
            lines.discard()
            chain.removeFirst()
        }
        return true
    }

    private mutating func drain(_ file: LogFile, _ files: LogFiles, _ emit: (Event) -> Bool) throws(SystemError) -> Bool {
        while true {
            // Asked before each read, so before the last: a file that has a successor is never written again.
            while chain.count < EventReader.longestChain, let last = chain.last, let next = try files.next(after: last.identity) {
                chain.append(next)
            }
            let count = try lines.fill { (buffer) throws(SystemError) -> Int in try file.read(into: buffer) }
            if count == 0 { return true }
            while let line = lines.next() {
                if line.isEmpty { continue }
                if !options.beginning.isEmpty, !line.starts(with: options.beginning) { continue }
                guard let event = Event(line: Array(line)) else { continue }
                if let since = options.since, event.time < since { continue }
                if let until = options.until, event.time > until { continue }
                held.append(event)
                if held.count >= 2 * EventReader.window, !release(EventReader.window, emit) { return false }
            }
        }
    }

    /// Passes on the oldest of what is held.
    private mutating func release(_ count: Int, _ emit: (Event) -> Bool) -> Bool {
        if held.isEmpty { return true }
        // Swift's sort is stable: events of one instant stay in the order of the file.
        held.sort { $0.time < $1.time }
        for event in held.prefix(count) where !emit(event) { return false }
        held.removeFirst(min(count, held.count))
        return true
    }
}
