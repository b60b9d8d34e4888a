import Glibc
import Testing

@testable import Cgroups

/// What is signalled by cgroup is a container's, never this process, the host's init, or (0) our own process group.
@Suite struct ForeignProcessesTests {
    @Test(arguments: [[getpid()], [1], [0], [-1], [4_000_000, getpid()]])
    func refuses(_ pids: [Int32]) {
        #expect(throws: CgroupError.self) { try Cgroup.requireForeign(pids) }
    }

    @Test func takesTheProcessesOfOthers() throws {
        try Cgroup.requireForeign([])
        try Cgroup.requireForeign([2, 4_000_000])
    }
}
