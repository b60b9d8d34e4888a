import CLinux
import Cgroups
import Control
import Glibc
import Linux

/// Reads what containers use, again and again: descriptors and the reading before stay from one round to the next.
///
/// Straight from the kernel: no supervisor is asked, no program of a container runs. A container that has no cgroup of its own (an
/// ordinary user's without a delegated one) is the sum of its processes.
public final class StatisticsReader {
    /// What is kept of a run of a container.
    private struct Source {
        var pid: Int32
        var startedAt: Int64
        /// Nil: it has none.
        var cgroup: Cgroup?
        /// Whether its network namespace is the host's.
        var sharesHostNetwork: Bool
        /// Of the round before.
        var sample: ProcessorSample?
    }

    private let host: CgroupHost?
    private let hostMemory: UInt64
    private let ownNetwork = try? FD.cwd.readLink("/proc/self/ns/net")
    private var sources: [String: Source] = [:]
    /// Nanoseconds since 1970 of the round before.
    private var previousRound: Int64 = 0
    private let keepsDirectories: Int

    public init() {
        host = try? CgroupHost.detect()
        hostMemory = StatisticsReader.totalMemory()
        keepsDirectories = StatisticsReader.directories()
    }

    /// Milliseconds to wait after ``sample(_:)`` for shares that mean something.
    ///
    /// The kernel counts by its ticks, of 4 or 10 ms. A container with a CPU quota is looked at for a period of it, so that it is not
    /// seen only while it runs, or only while it may not. Sums over processes are in hundredths of a second.
    public func window(_ views: [ContainerView]) -> Int32 {
        if sources.values.contains(where: { $0.cgroup == nil }) { return 500 }
        let hasQuota = views.contains { view in
            let limits = view.definition.resources
            return view.isAlive && ((limits.nanoCPUs ?? 0) > 0 || (limits.cpuQuota ?? 0) > 0)
        }
        return hasQuota ? 100 : 50
    }

    /// The first round: nothing but the processor time that the next is compared with.
    public func sample(_ views: [ContainerView]) {
        previousRound = wallClockNanoseconds()
        sources = opened(views)
        let sums = sums(views)
        for id in Array(sources.keys) {
            guard var source = sources[id] else { continue }
            let used = (try? source.cgroup?.processorTime()) ?? sums[id]?.processorTime
            source.sample = used.map { ProcessorSample(used: $0, at: monotonicNanoseconds()) }
            sources[id] = released(source, of: sources.count)
        }
    }

    /// What each of the containers uses now. Processor time is that since the round before, or since the container's start where that
    /// was later.
    ///
    /// - Parameter views: looked at just now; those that do not run have no numbers.
    public func read(_ views: [ContainerView]) -> [ContainerStatistics] {
        let now = wallClockNanoseconds()
        let processors = HostFacts.onlineCPUs
        sources = opened(views)
        let sums = sums(views)
        let result = views.map { view -> ContainerStatistics in
            guard var source = sources[view.id] else { return ContainerStatistics() }
            var (statistics, sample) = numbers(source, sums[view.id])
            if let sample {
                let began = ProcessorSample(used: 0, at: sample.at &- max(0, now &- source.startedAt))
                let isNew = source.sample == nil && previousRound > 0 && source.startedAt >= previousRound
                if let earlier = source.sample ?? (isNew ? began : nil) {
                    statistics.processor = sample.share(since: earlier, processors: processors)
                }
                source.sample = sample
            }
            if source.sharesHostNetwork {
                (statistics.received, statistics.sent) = (0, 0)
            } else if let text = try? FD.cwd.readFile("/proc/\(source.pid)/net/dev", limit: 1 << 20) {
                let counters = NetworkCounters(text)
                (statistics.received, statistics.sent) = (counters.received, counters.sent)
            }
            sources[view.id] = released(source, of: sources.count)
            return statistics
        }
        previousRound = now
        return result
    }

    /// The sources of those that run: of the round before where it is the same run.
    private func opened(_ views: [ContainerView]) -> [String: Source] {
        var result: [String: Source] = [:]
        for view in views where view.isAlive && view.observation.pid > 0 {
            let before = sources.removeValue(forKey: view.id)
            let isSame = before?.pid == view.observation.pid && before?.startedAt == view.observation.startedAt
            result[view.id] = (isSame ? before : nil) ?? open(view)
        }
        return result
    }

    private func sums(_ views: [ContainerView]) -> [String: ProcessSum] {
        let without = views.filter { view in sources[view.id].map { $0.cgroup == nil } ?? false }
        return without.isEmpty ? [:] : ProcessSum.read(without)
    }

    /// Without its open directories where there are too many containers for the descriptors of this process.
    private func released(_ source: Source, of count: Int) -> Source {
        if count <= keepsDirectories { return source }
        var copy = source
        copy.cgroup = source.cgroup.map { Cgroup(record: $0.record) }
        return copy
    }

    private func open(_ view: ContainerView) -> Source {
        let pid = view.observation.pid
        var source = Source(pid: pid, startedAt: view.observation.startedAt, cgroup: nil, sharesHostNetwork: false, sample: nil)
        if let host, let bytes = try? FD.cwd.readFile("/proc/\(pid)/cgroup", limit: 1 << 16) {
            let record = CgroupRecord(processCgroups: bytes, ofContainer: view.id, on: host)
            if !record.entries.isEmpty { source.cgroup = Cgroup(record: record) }
        }
        if let ownNetwork { source.sharesHostNetwork = (try? FD.cwd.readLink("/proc/\(pid)/ns/net")) == ownNetwork }
        return source
    }

    private func numbers(_ source: Source, _ sum: ProcessSum?) -> (ContainerStatistics, ProcessorSample?) {
        var statistics = ContainerStatistics()
        var used: UInt64?
        // It may have ended since it was looked at: then there is nothing to tell.
        if let usage = try? source.cgroup?.usage() {
            used = usage.cpu
            statistics.memory = usage.memory
            if usage.memory != nil { statistics.memoryLimit = min(usage.memoryLimit ?? .max, hostMemory) }
            (statistics.read, statistics.written) = (usage.read, usage.written)
            statistics.tasks = usage.tasks
        } else if let sum {
            used = sum.processorTime
            (statistics.memory, statistics.memoryLimit) = (sum.memory, hostMemory)
            (statistics.read, statistics.written) = (sum.read, sum.written)
            statistics.tasks = sum.tasks
        }
        return (statistics, used.map { ProcessorSample(used: $0, at: monotonicNanoseconds()) })
    }

    /// Bytes.
    private static func totalMemory() -> UInt64 {
        let pages = sysconf(Int32(_SC_PHYS_PAGES))
        return pages > 0 ? UInt64(pages) &* UInt64(getpagesize()) : .max
    }

    /// For how many containers their directories of cgroups may stay open: at four each, beside what else is open.
    private static func directories() -> Int {
        var limits: [UInt64] = [0, 0]
        guard cl_prlimit(0, 7 /* RLIMIT_NOFILE */, nil, &limits) == 0 else { return 0 }
        if limits[0] < limits[1], cl_prlimit(0, 7, [limits[1], limits[1]], nil) == 0 { limits[0] = limits[1] }
        return limits[0] > 128 ? Int(clamping: (limits[0] - 128) / 5) : 0
    }
}
