import OCI
import Testing

@testable import Runtime

/// A rehearsal that fails early would go unseen: it would only be slower.
@Suite struct RehearsalTests {
    @Test func theSpecificationIsAValidOne() throws {
        let spec = try Spec.decode(Array(Container.rehearsalSpecification.utf8))
        #expect(spec.linux?.seccomp?.syscalls.count == 4)
        _ = try Launcher(CreateRequest(id: "rehearsal", bundle: "/", root: "/", spec: spec))
    }
}
