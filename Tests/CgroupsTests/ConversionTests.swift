import Testing

@testable import Cgroups

@Suite struct ConversionTests {
    /// Values computed by runc's ConvertCPUSharesToCgroupV2Value.
    @Test(
        arguments: [
            (0, 0), (1, 1), (2, 1), (100, 17), (512, 59), (1024, 100), (2048, 174), (10000, 627), (262_144, 10000),
            (1 << 40, 10000),
        ] as [(UInt64, UInt64)])
    func sharesBecomeWeight(shares: UInt64, weight: UInt64) {
        #expect(ResourceConversion.weight(shares: shares) == weight)
    }

    @Test func weightNeverLeavesItsRange() {
        for shares in stride(from: UInt64(1), through: 262_144, by: 97) {
            #expect((1...10000).contains(ResourceConversion.weight(shares: shares)))
        }
    }

    @Test func blockWeightIsLinear() {
        #expect(ResourceConversion.ioWeight(blkio: 0) == 0)
        #expect(ResourceConversion.ioWeight(blkio: 1) == 1)
        #expect(ResourceConversion.ioWeight(blkio: 10) == 1)
        #expect(ResourceConversion.ioWeight(blkio: 100) == 910)
        #expect(ResourceConversion.ioWeight(blkio: 1000) == 10000)
    }

    @Test func swapIsTheSumMinusMemory() throws {
        func swap(_ memory: Int64, _ sum: Int64) throws -> String? {
            try ResourceConversion.swapMaximum(memory: memory, memoryAndSwap: sum)
        }
        #expect(try swap(0, 0) == nil)
        #expect(try swap(100, 0) == nil)
        #expect(try swap(-1, 0) == "max")
        #expect(try swap(100, -1) == "max")
        #expect(try swap(100, 100) == "0")
        #expect(try swap(100, 250) == "150")
        #expect(try swap(-1, 250) == "250")
        #expect(failure { _ = try swap(0, 100) }?.code == .invalid)
        #expect(failure { _ = try swap(200, 100) }?.code == .invalid)
        #expect(failure { _ = try swap(-5, .max) }?.code == .invalid)
    }

    @Test func pidsKeepRuncsMeaning() {
        #expect(ResourceConversion.pids(-1) == "max")
        #expect(ResourceConversion.pids(0) == "1")
        #expect(ResourceConversion.pids(7) == "7")
    }

    @Test func numbersAreReadWithoutTraps() {
        #expect(number(Array("18446744073709551615".utf8)) == .max)
        #expect(number(Array("18446744073709551616".utf8)) == nil)
        #expect(number(Array("".utf8)) == nil)
        #expect(number(Array("-1".utf8)) == nil)
        #expect(KeyedText(Array("max\n".utf8)).single == .max)
        #expect(KeyedText(Array("-1\n".utf8)).single == .max)
        #expect(KeyedText(Array("\n".utf8)).single == nil)
        #expect(KeyedText(Array("a 1\noom_kill 3\noom_kill_x 4\n".utf8)).value("oom_kill") == 3)
        #expect(KeyedText([]).value("x") == nil)
        #expect(KeyedText(Array("  0-3\n".utf8)).trimmed == "0-3")
    }

    @Test func hugePageNames() {
        #expect(HugePageStats.name(kilobytes: 2048) == "2MB")
        #expect(HugePageStats.name(kilobytes: 1_048_576) == "1GB")
        #expect(HugePageStats.name(kilobytes: 64) == "64KB")
    }
}
