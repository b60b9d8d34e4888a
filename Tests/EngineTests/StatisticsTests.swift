import Testing

@testable import Engine

struct StatisticsTests {
    @Test(
        arguments: [
            // 1 s on the clock.
            (1_000_000_000, 1, 100.0), (1_000_000_000, 4, 100.0), (2_500_000_000, 4, 250.0), (5_000_000, 2, 0.5), (0, 2, 0.0),
        ] as [(UInt64, Int, Double)])
    func processorShare(used: UInt64, processors: Int, percent: Double) {
        let before = ProcessorSample(used: 7, at: 50)
        let after = ProcessorSample(used: 7 + used, at: 50 + 1_000_000_000)
        #expect(abs(after.share(since: before, processors: processors) - percent) < 0.000_001)
    }

    /// Clocks that stand still and counters that fall give nothing, not a negative number or a trap.
    @Test func processorShareOfNonsense() {
        let sample = ProcessorSample(used: 5, at: 10)
        #expect(sample.share(since: sample, processors: 2) == 0)
        #expect(sample.share(since: ProcessorSample(used: 9, at: 0), processors: 2) == 0)
        #expect(sample.share(since: ProcessorSample(used: 0, at: 11), processors: 2) == 0)
        #expect(sample.share(since: ProcessorSample(used: 0, at: .min), processors: 2) >= 0)
        #expect(ProcessorSample(used: .max, at: .max).share(since: ProcessorSample(used: 0, at: .min), processors: 0) == 0)
    }

    @Test func memoryShare() {
        var statistics = ContainerStatistics()
        #expect(statistics.memoryShare == nil)
        statistics.memory = 256
        #expect(statistics.memoryShare == nil)
        statistics.memoryLimit = 0
        #expect(statistics.memoryShare == nil)
        statistics.memoryLimit = 1024
        #expect(statistics.memoryShare == 25)
    }

    @Test func networkCounters() {
        let text = """
            Inter-|   Receive                                                |  Transmit
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
                lo: 1000 1 0 0 0 0 0 0 1000 1 0 0 0 0 0 0
              eth0: 1296 16 0 0 0 0 0 0 446 5 0 0 0 0 0 0
              eth1:4 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
            bad0: x
            bad1: 1 2 3

            """
        let counters = NetworkCounters(Array(text.utf8))
        #expect(counters.received == 1300)
        #expect(counters.sent == 452)
        #expect(NetworkCounters([]).sent == 0)
        #expect(NetworkCounters(Array("e: 18446744073709551615 0 0 0 0 0 0 0 99999999999999999999 0".utf8)).received == 0)
    }

    @Test func sumsOfProcesses() {
        var sum = ProcessSum()
        // utime 10, stime 5, cutime 3, cstime 2; 4 threads; 2 pages.
        sum.add(
            stat: "7 (a) b) S 1 1 1 0 -1 0 0 0 0 0 10 5 3 2 20 0 4 0 100 4096 2 0 0",
            io: "rchar: 9\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1\n")
        #expect(sum.processorTime == 20 * 10_000_000)
        #expect(sum.tasks == 4)
        #expect(sum.memory == 2 * 4096)
        #expect(sum.read == 4096)
        #expect(sum.written == 8192)
        sum.add(stat: "8 (sh) S 1 1", io: "read_bytes: 1\n")
        sum.add(stat: "no parenthesis", io: nil)
        #expect(sum.tasks == 4 && sum.read == 4096)
    }
}

struct ContainerChangeTests {
    private func definition(_ set: (inout ResourceRequest) -> Void = { _ in }) -> ContainerDefinition {
        var definition = ContainerDefinition(id: String(repeating: "a", count: 64), name: "one")
        set(&definition.resources)
        return definition
    }

    private func change(_ set: (inout ContainerChange) -> Void) -> ContainerChange {
        var change = ContainerChange()
        set(&change)
        return change
    }

    @Test func onlyWhatIsSaidChanges() throws {
        let old = definition {
            $0.memory = 64 << 20
            $0.cpuShares = 512
            $0.cpusetCPUs = "0"
        }
        let new = try change { $0.resources.pidsLimit = 7 }.applied(to: old)
        #expect(new.resources.pidsLimit == 7)
        #expect(new.resources.memory == 64 << 20 && new.resources.cpuShares == 512 && new.resources.cpusetCPUs == "0")
        // 0 leaves a thing as it is, but for processes, where it is no limit.
        let zero = try change {
            $0.resources.memory = 0
            $0.resources.cpuShares = 0
            $0.resources.pidsLimit = 0
        }.applied(to: new)
        #expect(zero.resources.memory == 64 << 20 && zero.resources.cpuShares == 512 && zero.resources.pidsLimit == 0)
        #expect(ContainerChange().isEmpty)
    }

    /// Docker's rule, where a limit of memory and swap exists; without one there is nothing that memory could be above.
    @Test func memoryAndSwap() throws {
        let more = change { $0.resources.memory = 300 << 20 }
        let sentence = "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        // 100 MiB and, as nothing was said, 200 MiB with swap.
        let limited = definition { $0.memory = 100 << 20 }
        #expect { try more.applied(to: limited) } throws: { ($0 as? EngineError)?.cause == sentence }
        #expect(try change { $0.resources.memory = 150 << 20 }.applied(to: limited).resources.memorySwap == 200 << 20)
        let both = change {
            $0.resources.memory = 300 << 20
            $0.resources.memorySwap = 400 << 20
        }
        #expect(try both.applied(to: limited).resources.memorySwap == 400 << 20)
        let unlimited = definition {
            $0.memory = 100 << 20
            $0.memorySwap = -1
        }
        #expect(try more.applied(to: unlimited).resources.memorySwap == -1)
        #expect(try more.applied(to: definition()).resources.memory == 300 << 20)
        #expect(throws: EngineError.self) { try change { $0.resources.memorySwap = 50 << 20 }.applied(to: limited) }
        #expect(throws: EngineError.self) { try change { $0.resources.memory = 1 << 20 }.applied(to: limited) }
    }

    @Test func twoKindsOfQuota() throws {
        func refused(
            _ new: WritableKeyPath<ResourceRequest, Int64?>, _ value: Int64, _ old: WritableKeyPath<ResourceRequest, Int64?>
        ) -> String? {
            let definition = definition { $0[keyPath: old] = old == \.nanoCPUs ? 500_000_000 : 50_000 }
            do throws(EngineError) {
                _ = try change { $0.resources[keyPath: new] = value }.applied(to: definition)
                return nil
            } catch { return error.cause }
        }
        #expect(
            refused(\.nanoCPUs, 500_000_000, \.cpuQuota)
                == "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set")
        #expect(
            refused(\.nanoCPUs, 500_000_000, \.cpuPeriod)
                == "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set")
        #expect(
            refused(\.cpuQuota, 20_000, \.nanoCPUs) == "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
        #expect(
            refused(\.cpuPeriod, 20_000, \.nanoCPUs) == "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"
        )
        #expect(refused(\.cpuQuota, 20_000, \.cpuPeriod) == nil)
    }

    @Test func restartOfWhatIsRemovedAtItsEnd() throws {
        var old = definition()
        old.autoRemove = true
        let always = try RestartRequest(option: "always")
        #expect { try change { $0.restart = always }.applied(to: old) } throws: {
            ($0 as? EngineError)?.cause == "Restart policy cannot be updated because AutoRemove is enabled for the container"
        }
        #expect(try change { $0.restart = RestartRequest() }.applied(to: old).restart.name == .no)
        old.autoRemove = false
        #expect(try change { $0.restart = always }.applied(to: old).restart.name == .always)
    }

    @Test func environment() throws {
        var old = definition()
        old.environment = ["A=1", "B=2", "AB=3"]
        let new = try change {
            $0.environment = ["B=x", "C=4"]
            $0.unsetEnvironment = ["A", "NOSUCH"]
        }.applied(to: old)
        #expect(new.environment == ["B=x", "AB=3", "C=4"])
    }

    /// What the kernel takes in pairs goes to it in pairs; the rest only where it differs.
    @Test func whatTheKernelIsTold() throws {
        let old = definition {
            $0.memory = 100 << 20
            $0.cpuQuota = 20_000
            $0.cpuPeriod = 50_000
        }.resources
        func told(_ set: (inout ResourceRequest) -> Void) throws -> (new: ResourceRequest, change: String) {
            let new = try change { set(&$0.resources) }.applied(
                to: {
                    var definition = definition()
                    definition.resources = old
                    return definition
                }()
            ).resources
            return (new, String(decoding: new.change(from: old, defaultPids: 2048).encode(), as: UTF8.self))
        }
        #expect(try told { $0.memory = 50 << 20 }.change == #"{"memory":{"limit":52428800,"swap":209715200}}"#)
        #expect(try told { $0.cpuQuota = 10_000 }.change == #"{"cpu":{"quota":10000,"period":50000}}"#)
        #expect(try told { $0.pidsLimit = 0 }.change == #"{"pids":{"limit":-1}}"#)
        #expect(try told { $0.cpuShares = 300 }.change == #"{"cpu":{"shares":300}}"#)
        #expect(try told { $0.blockIOWeight = 300 }.change == #"{"blockIO":{"weight":300}}"#)
        // Back again.
        let (new, _) = try told { $0.pidsLimit = 5 }
        #expect(String(decoding: old.change(from: new, defaultPids: 2048).encode(), as: UTF8.self) == #"{"pids":{"limit":2048}}"#)
    }
}
