import Testing

@testable import Linux

@Suite struct MountPointsTests {
    @Test(arguments: [
        ("/plain", "/plain"), ("/a\\040b", "/a b"), ("\\134\\011\\012", "\\\t\n"), ("/cut\\04", "/cut\\04"), ("/no\\9octal", "/no\\9octal"),
        ("", ""),
    ])
    func escapesAreUndone(_ field: String, _ expected: String) {
        #expect(unescapeMountField(Array(field.utf8)[...]) == Array(expected.utf8))
    }

    @Test func mountsAreFoundByTheirPlace() throws {
        #expect(try mountPoints(below: "").contains("/proc"))
        #expect(try mountPoints(below: "/proc").contains("/proc") == false)
        #expect(try mountPoints(below: "/nosuch").isEmpty)
        #expect(try openMountRoot("/proc") != nil)
        #expect(try openMountRoot("/proc/self") == nil)
        #expect(try openMountRoot("/nosuch/place") == nil)
    }
}
