import Testing

@testable import Linux

struct OverlayRootfsTests {
    @Test(arguments: [
        ("/plain", "/plain"), ("/a:b", "/a\\:b"), ("/a\\b", "/a\\\\b"), ("/:\\:", "/\\:\\\\\\:"), ("", ""), ("/é,ö=x", "/é,ö=x"),
    ])
    func separatorsAreEscaped(path: String, escaped: String) {
        #expect(OverlayRootfs.escaped(path) == escaped)
    }
}
