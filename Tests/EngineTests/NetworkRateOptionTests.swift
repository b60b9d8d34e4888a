import Control
import JSON
import Testing

@testable import Engine

struct NetworkRateOptionTests {
    @Test(
        arguments: [
            ("8000", 8_000), ("9000bit", 9_000), ("512kbit", 512_000), ("100mbit", 100_000_000), ("100Mbit", 100_000_000),
            ("1.5gbit", 1_500_000_000), ("1tbit", 1_000_000_000_000), ("1kbps", 8_000), ("10mbps", 80_000_000), ("2GBPS", 16_000_000_000),
            ("0", 0), ("0mbit", 0), ("0.0", 0),
        ] as [(String, UInt64)])
    func rates(text: String, bits: UInt64) throws {
        #expect(try NetworkRateOption("in=\(text)").incoming == bits)
        #expect(try NetworkRateOption("out=\(text),in=1mbit").outgoing == bits)
    }

    @Test(arguments: [
        "", "in", "in=", "=1mbit", "in=1mbit,", "in=1mbit,in=2mbit", "up=1mbit", "1mbit", "in=-1mbit", "in=+1mbit", "in=1 mbit", "in=1mb",
        "in=mbit", "in=.5mbit", "in=1.mbit", "in=1.2.3mbit", "in=1e9", "in=0x10", "in=7999", "in=1bit", "in=1.1tbit", "in=2tbps",
        "in=18446744073709551616", "in=9999999999999tbit", "in=99999999999999999999999mbit", "in=1mbit\0", "IN=1mbit", "in=١mbit",
    ])
    func hostileRates(text: String) { #expect(throws: EngineError.self) { try NetworkRateOption(text) } }

    @Test func onlyWhatIsSaidChanges() throws {
        var rate = NetworkRate(incoming: 1_000_000, outgoing: 2_000_000)
        try NetworkRateOption("out=0").apply(to: &rate)
        #expect(rate == NetworkRate(incoming: 1_000_000))
        try NetworkRateOption("in=3mbit,out=4mbit").apply(to: &rate)
        #expect(rate == NetworkRate(incoming: 3_000_000, outgoing: 4_000_000))
    }

    @Test func definitionsKeepIt() throws {
        var definition = ContainerDefinition(id: String(repeating: "a", count: 64), name: "one")
        #expect(!String(decoding: definition.encode(), as: UTF8.self).contains("networkRate"))
        definition.networkRate = NetworkRate(incoming: 1_000_000_000_000)
        #expect(try ContainerDefinition(decoding: definition.encode()).networkRate == definition.networkRate)
    }
}
