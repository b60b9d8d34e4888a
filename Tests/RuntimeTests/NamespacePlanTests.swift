import Linux
import OCI
import Testing

@testable import Runtime

struct NamespacePlanTests {
    @Test func newNamespacesBecomeCloneFlags() throws {
        let plan = try NamespacePlan(["pid", "network", "mount"].map { LinuxNamespace(type: $0) })
        #expect(plan.cloneFlags == 0x2000_0000 | 0x4000_0000 | 0x0002_0000)
        #expect(plan.isNew(.pid) && !plan.isNew(.user) && plan.isHost(.user) && !plan.isHost(.pid))
    }

    /// They take what they find when they are made: the cgroup the process is in, the offsets written before.
    @Test func cgroupAndTimeAreMadeLater() throws {
        let plan = try NamespacePlan(["cgroup", "time", "uts"].map { LinuxNamespace(type: $0) })
        #expect(plan.isNew(.cgroup) && plan.isNew(.time))
        #expect(plan.cloneFlags == 0x0400_0000)
    }

    @Test func joinedNamespacesAreOrderedWithUserFirst() throws {
        let paths = [("mount", "mnt"), ("pid", "pid"), ("user", "user"), ("network", "net"), ("ipc", "ipc")]
        let plan = try NamespacePlan(paths.map { LinuxNamespace(type: $0, path: "/proc/self/ns/\($1)") })
        #expect(plan.joined.map(\.kind) == [.user, .ipc, .network, .pid, .mount])
        #expect(plan.cloneFlags == 0)
        #expect(plan.joins(.pid) && !plan.isHost(.pid) && !plan.isNew(.pid))
    }

    @Test(arguments: ["mnt", "net", "", "PID", "pid ", "cgroup2"])
    func unknownTypesAreRefused(type: String) {
        #expect(refusal { _ = try NamespacePlan([LinuxNamespace(type: type)]) }?.contains("unknown type") == true)
    }

    @Test func oneKindMayNotBeMadeAndJoined() {
        let both = [LinuxNamespace(type: "uts"), LinuxNamespace(type: "uts", path: "/proc/self/ns/uts")]
        #expect(refusal { _ = try NamespacePlan(both) }?.contains("given twice") == true)
    }

    @Test(arguments: ["/proc/self/ns/pid", "/dev/null", "/proc/self/ns", "/etc/hostname"])
    func aPathMustBeANamespaceOfItsKind(path: String) {
        #expect(refusal { _ = try NamespacePlan([LinuxNamespace(type: "uts", path: path)]) } != nil)
    }
}
