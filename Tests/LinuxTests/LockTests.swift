import Testing

@testable import Linux

struct LockTests {
    @Test func anExclusiveLockKeepsOthersOut() throws {
        let scratch = try Scratch()
        let first = try scratch.fd.open("lock", [.readWrite, .create], mode: 0o600)
        let second = try scratch.fd.open("lock", [.readWrite])
        #expect(try first.fd.tryLock(.exclusive))
        #expect(try !second.fd.tryLock(.exclusive))
        #expect(try !second.fd.tryLock(.shared))
        #expect(try second.fd.isLocked(against: .shared))
        #expect(try !first.fd.isLocked(against: .exclusive), "one's own lock is no conflict")
        try first.fd.unlock()
        #expect(try second.fd.tryLock(.exclusive))
    }

    @Test func sharedLocksKeepOutOnlyWriters() throws {
        let scratch = try Scratch()
        let first = try scratch.fd.open("lock", [.readWrite, .create], mode: 0o600)
        let second = try scratch.fd.open("lock", [.readWrite])
        #expect(try first.fd.tryLock(.shared))
        #expect(try second.fd.tryLock(.shared))
        let third = try scratch.fd.open("lock", [.readWrite])
        #expect(try !third.fd.tryLock(.exclusive))
        #expect(try third.fd.isLocked(against: .exclusive))
        #expect(try !third.fd.isLocked(against: .shared))
    }

    /// What everything relies on: the kernel releases the lock, whatever happens to its holder.
    @Test func theEndOfTheHolderReleasesTheLock() throws {
        let scratch = try Scratch()
        let mine = try scratch.fd.open("lock", [.readWrite, .create], mode: 0o600)
        do {
            let other = try scratch.fd.open("lock", [.readWrite])
            #expect(try other.fd.tryLock(.exclusive))
            #expect(try !mine.fd.tryLock(.exclusive))
        }
        #expect(try mine.fd.tryLock(.exclusive))
    }

    /// The lock belongs to the open file description, so a child that inherited the descriptor keeps it.
    @Test func aChildWithTheDescriptorKeepsTheLock() throws {
        let scratch = try Scratch()
        let input = try makePipe()
        let child: SpawnedProcess
        do {
            let held = try scratch.fd.open("lock", [.readWrite, .create], mode: 0o600)
            #expect(try held.fd.tryLock(.exclusive))
            child = try spawn(
                SpawnRequest("/bin/sh", ["sh", "-c", "read line"], descriptors: [(input.first.fd, 0), (held.fd, 7)]))
        }
        let probe = try scratch.fd.open("lock", [.readWrite])
        #expect(try !probe.fd.tryLock(.exclusive))
        try input.second.fd.writeAll("end\n")
        #expect(try child.wait() == .exited(0))
        #expect(try probe.fd.tryLock(.exclusive))
    }
}
