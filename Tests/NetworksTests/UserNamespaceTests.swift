import Glibc
import Linux
import Testing

/// Rootless: the same code as root of a user namespace that owns the network namespace.
@Suite(.enabled(if: isRoot && environmentVariable("BERTH_TEST_NESTED") == nil, "needs root, and not to be started by itself"))
struct UserNamespaceTests {
    @Test func theSameWorksInAUserNamespace() throws {
        // This very program, with the tests that connect.
        let pipe = try makePipe()
        let null = try FD.cwd.open("/dev/null", .readWrite)
        let program = try FD.cwd.readLink("/proc/self/exe")
        let child = try spawn(
            SpawnRequest(
                "/usr/bin/unshare",
                [
                    "unshare", "--user", "--map-root-user", "--net", program, "--no-parallel", "--filter",
                    "AttachTests|RateTests|nothingIsLeftAfterDetach|aFlushIsNoticedAndRepaired|aRangeOfPorts|whatIsNotPublished",
                    "--testing-library", "swift-testing",
                ], environment: currentEnvironment() + ["BERTH_TEST_NESTED=1"],
                descriptors: [(null.fd, 0), (pipe.second.fd, 1), (pipe.second.fd, 2)]))
        let ends = pipe.take()
        close(OwnedFD(owning: ends.second))
        let output = OwnedFD(owning: ends.first)
        let text = String(decoding: try output.fd.readAll(), as: UTF8.self)
        let failed = text.split(separator: "\n").filter { !$0.includes(" started.") && !$0.includes(" passed after ") }.joined(
            separator: "\n")
        #expect(try child.wait() == .exited(0), "\(failed)")
        #expect(text.includes(" tests in 4 suites passed") && !text.includes(" skipped"), "\(failed)")
    }
}
