import Testing

@testable import Linux

struct SignalNameTests {
    @Test(arguments: [
        ("TERM", 15), ("SIGTERM", 15), ("sigterm", 15), ("term", 15), ("15", 15), ("KILL", 9), ("1", 1), ("64", 64),
        ("RTMIN", 34), ("RTMIN+3", 37), ("SIGRTMIN+30", 64), ("rtmax-1", 63), ("SIGRTMAX", 64), ("IOT", 6), ("POLL", 29),
    ])
    func namesAndNumbersAreUnderstood(text: String, number: Int32) {
        #expect(SignalName.number(text) == number)
    }

    @Test(arguments: [
        "", "SIG", "SIGSIG", "0", "65", "-1", "999999999999999999999", "TERMX", "TER", " TERM", "TERM ", "RTMIN+31", "RTMIN-1",
        "RTMAX+1", "RTMAX-31", "RTMIN+", "RTMIN+-1", "TERM+1", "KILL-1", "+15+", "RTMIN+99999999999", "\0", "é", "15.0",
    ])
    func anythingElseIsRefused(text: String) {
        #expect(SignalName.number(text) == nil)
    }

    @Test func numbersHaveNames() {
        #expect(SignalName.name(15) == "SIGTERM")
        #expect(SignalName.name(6) == "SIGABRT")
        #expect(SignalName.name(50) == "50")
        for number in Int32(1)...64 { #expect(SignalName.number(SignalName.name(number)) == number) }
    }
}
