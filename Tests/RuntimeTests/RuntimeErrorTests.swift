import Testing

@testable import Runtime

struct RuntimeErrorTests {
    @Test func exitCodesAreDockers() {
        #expect(RuntimeError(.commandNotFound, "start", "x", cause: "y").exitCode == 127)
        #expect(RuntimeError(.commandNotExecutable, "start", "x", cause: "y").exitCode == 126)
        for code in [RuntimeError.Code.invalid, .system, .notFound, .exists, .wrongState, .unsupported, .hook, .init(rawValue: "new")] {
            #expect(RuntimeError(code, "start", cause: "y").exitCode == 125)
        }
    }

    @Test func errorsReadAsSentences() {
        #expect(RuntimeError(.system, "mount", "/proc", cause: "busy").description == "mount \"/proc\": busy")
        #expect(RuntimeError.invalid("root.path", "it is empty").description == "root.path: it is empty")
    }
}
