import CLinux
import Glibc
import Linux

/// One of several logs that are followed at once.
public final class FollowedLog {
    private var reader: LogReader
    private let supervisor: SupervisorConnection?
    private let watch: LogWatch
    private var hasEnded: Bool
    private var isDone = false

    /// - Parameter supervisor: whose going means the end; nil ends at the end of the file.
    public init(_ reader: consuming LogReader, _ supervisor: SupervisorConnection?) {
        watch = reader.watch()
        self.reader = reader
        self.supervisor = supervisor
        hasEnded = supervisor == nil
    }

    /// Passes on what there is of all and what comes, until the last container has ended for good.
    ///
    /// - Parameters:
    ///   - until: nanoseconds since 1970 after which nothing comes any more; nil for none.
    ///   - emit: is given which log it is; returns whether to go on with it.
    ///   - idle: called before each wait, to flush.
    public static func follow(
        _ logs: [FollowedLog], until: Int64?, _ emit: (Int, LogRecord) -> Bool, idle: () -> Void
    ) throws(ControlError) {
        while true {
            for (index, log) in logs.enumerated() where !log.isDone {
                // After the end one more round: what was written before it is in the file.
                let wasLast = log.hasEnded
                let goesOn = try log.reader.readAvailable { emit(index, $0) }
                log.isDone = wasLast || !goesOn
            }
            idle()
            let left = logs.filter { !$0.isDone }
            if left.isEmpty { return }
            var timeout: Int32 = -1
            if let until {
                let rest = until.subtractingReportingOverflow(wallClockNanoseconds()).partialValue
                if rest < 0 { return }
                timeout = Int32(clamping: rest / 1_000_000 + 1)
            }
            wait(left, timeout)
        }
    }

    private static func wait(_ logs: [FollowedLog], _ timeout: Int32) {
        var set = PollSet()
        var spoke: [Int] = []
        // Who has said something already, and who cannot be waited for.
        var patience = timeout
        for log in logs {
            if !log.watch.add(to: &set) { patience = patience < 0 ? 100 : min(patience, 100) }
            spoke.append(log.supervisor.map { set.add($0.fd, Int16(POLLIN)) } ?? -1)
            if log.supervisor?.hasPending == true { patience = 0 }
        }
        set.wait(timeout: patience)
        for (log, index) in zip(logs, spoke) {
            log.watch.clear()
            guard let supervisor = log.supervisor, set.isReady(index) || supervisor.hasPending else { continue }
            do throws(ControlError) {
                if case .exited(_, let restarting) = try supervisor.receiveOne() { log.hasEnded = !restarting }
            } catch {
                log.hasEnded = true
            }
        }
    }
}
