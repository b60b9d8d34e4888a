import Archive
import Glibc
import Linux
import Testing

@testable import Store

@Suite struct ContainerTests {
    @Test func roundTripAndLookup() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        try store.insertContainer(record(0xabc, name: "web"))
        try store.insertContainer(record(0xabd, name: "db"), durability: .volatile)
        #expect(try store.container(matching: "web") == record(0xabc, name: "web"))
        #expect(try store.container(matching: "/web").id == identifier(0xabc))
        #expect(try store.container(matching: "abd").name == "db")
        #expect(try store.container(matching: identifier(0xabd)).name == "db")
        #expect(failure { () throws(StoreError) in _ = try store.container(matching: "ab") }?.code == .ambiguous)
        for text in ["", "x", "abe", "'; DROP TABLE containers; --", "%", "_", String(repeating: "a", count: 5000)] {
            #expect(failure { () throws(StoreError) in _ = try store.container(matching: text) }?.code == .notFound)
        }
        #expect(try store.containers().map(\.name) == ["db", "web"])
        #expect(try fixture.again().containers().count == 2)
    }

    @Test func aNameThatIsAlsoAPrefixWinsOverTheId() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        try store.insertContainer(record(0xabc, name: "one"))
        try store.insertContainer(record(0xdef, name: "abc"))
        #expect(try store.container(matching: "abc").id == identifier(0xdef))
    }

    @Test func namesAreUnique() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        try store.insertContainer(record(1, name: "a"))
        let error = failure { () throws(StoreError) in try store.insertContainer(record(2, name: "a")) }
        #expect(error?.code == .nameInUse && error?.holders == [identifier(1)])
        try store.insertContainer(record(2, name: "b"))
        #expect(
            failure { () throws(StoreError) in try store.renameContainer(id: identifier(2), to: "a") }?.holders
                == [identifier(1)])
        try store.renameContainer(id: identifier(2), to: "c", definition: [1])
        #expect(try store.container(matching: "c").definition == [1])
        #expect(failure { () throws(StoreError) in try store.renameContainer(id: "x", to: "d") }?.code == .notFound)
    }

    @Test func updateIsOneTransaction() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        try store.insertContainer(record(1))
        try store.updateContainer(id: identifier(1)) { $0 + [7] }
        #expect(try store.container(id: identifier(1))?.definition.last == 7)
        let refused = failure { () throws(StoreError) in
            try store.updateContainer(id: identifier(1)) { (_) throws(StoreError) in
                throw StoreError(.invalid, "x", cause: "y")
            }
        }
        #expect(refused?.code == .invalid)
        #expect(try store.container(id: identifier(1))?.definition.last == 7)
        try store.updateContainer(id: identifier(1)) { $0 + [8] }
    }

    @Test func removal() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        let volume = VolumeRecord(name: "anon", created: 1, isAnonymous: true)
        try store.insertVolume(VolumeRecord(name: "data", created: 1))
        try store.insertContainer(record(1), volumes: ["data"], newVolumes: [volume])
        let path = try store.makeContainerDirectory(identifier(1))
        _ = try store.volumeDirectory("anon")
        #expect(FD.cwd.exists(path + "/upper"))
        #expect(failure { () throws(StoreError) in try store.removeVolume(name: "data") }?.holders == [identifier(1)])
        let removed = try store.removeContainer(id: identifier(1), anonymousVolumes: true)
        #expect(removed.volumes == ["anon"])
        #expect(!FD.cwd.exists(path) && !FD.cwd.exists(fixture.base + "/store/volumes/anon"))
        #expect(try store.volumes().map(\.name) == ["data"])
        try store.removeVolume(name: "data")
        #expect(failure { () throws(StoreError) in try store.removeContainer(id: identifier(1)) }?.code == .notFound)
    }

    @Test func sharedAnonymousVolumesStay() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        let volume = VolumeRecord(name: "anon", created: 1, isAnonymous: true)
        try store.insertContainer(record(1), newVolumes: [volume])
        try store.insertContainer(record(2), volumes: ["anon"])
        #expect(try store.removeContainer(id: identifier(1), anonymousVolumes: true).volumes.isEmpty)
        #expect(try store.removeContainer(id: identifier(2), anonymousVolumes: true).volumes == ["anon"])
    }

    /// By its generated name it was given to somebody who wants to keep it.
    @Test func anonymousVolumesThatWereNamedStay() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        try store.insertVolume(VolumeRecord(name: "anon", created: 1, isAnonymous: true))
        try store.insertContainer(record(1), newVolumes: [VolumeRecord(name: "anon", created: 2)])
        #expect(try store.removeContainer(id: identifier(1), anonymousVolumes: true).volumes.isEmpty)
        #expect(try store.volume(name: "anon")?.isAnonymous == true)
    }

    @Test func unknownImagesAndVolumesAreRefusedWhole() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        #expect(
            failure { () throws(StoreError) in try store.insertContainer(record(1, image: "sha256:x")) }?.code == .notFound)
        #expect(failure { () throws(StoreError) in try store.insertContainer(record(1), volumes: ["v"]) }?.code == .notFound)
        #expect(try store.containers().isEmpty)
    }

    @Test(arguments: ["", ".", "..", "a/b", "-a", "a\0b", "ä", String(repeating: "a", count: 256)])
    func volumeNames(name: String) throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        #expect(
            failure { () throws(StoreError) in try store.insertVolume(VolumeRecord(name: name, created: 0)) }?.code
                == .invalid)
    }

    @Test func volumeFieldsSurvive() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        let volume = VolumeRecord(
            name: "v", driver: "local", options: ["o": "size=1", "é": "\"\n"], labels: ["": ""], created: 5)
        try store.insertVolume(volume)
        #expect(try store.volume(name: "v") == volume)
        #expect(failure { () throws(StoreError) in try store.insertVolume(volume) }?.code == .nameInUse)
    }
}

@Suite struct DatabaseTests {
    @Test func filesArePrivate() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        try fixture.store.insertContainer(record(1))
        for name in ["berth.db", "berth.db-wal", "berth.db-shm", "berth.db.lock"] {
            #expect(try FD.cwd.status(of: fixture.base + "/store/" + name).st_mode & 0o7777 == 0o600, "\(name)")
        }
        #expect(try FD.cwd.status(of: fixture.base + "/store").st_mode & 0o7777 == 0o700)
    }

    @Test func newerSchemaIsRefused() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        try fixture.store.database.run("PRAGMA user_version=99")
        let error = failure { () throws(StoreError) in _ = try Store(path: fixture.base + "/store") }
        #expect(error?.code == .newerSchema && error?.description.contains("99") == true)
    }

    @Test func aDamagedDatabaseIsAClearError() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let path = fixture.base + "/broken"
        try FD.cwd.makeDirectory(path, mode: 0o700)
        try FD.cwd.writeFile(path + "/berth.db", Array("this is not a database, but long enough to look at".utf8))
        let error = failure { () throws(StoreError) in _ = try Store(path: path) }
        #expect(error?.code == .corrupt && error?.description.contains("berth.db") == true)
    }

    @Test func aFailedTransactionLeavesNothing() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let error = failure { () throws(StoreError) in
            try fixture.store.database.transaction(.durable) { () throws(StoreError) in
                try fixture.store.insertVolumeRow(VolumeRecord(name: "v", created: 0), replace: true)
                throw StoreError(.invalid, "x", cause: "y")
            }
        }
        #expect(error?.code == .invalid)
        #expect(try fixture.again().volumes().isEmpty)
    }

    /// Many commands at once: no "database is locked", no lost update, exactly one winner for a name.
    @Test func parallelWritersQueue() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        try fixture.store.insertContainer(record(0, name: "counter"))
        let counts = Counts()
        let threads = 16
        let rounds = 20
        let workers = try (0..<threads).map { number in
            try Worker {
                do {
                    let store = try fixture.again()
                    for round in 0..<rounds {
                        let durability: Durability = round % 2 == 0 ? .volatile : .durable
                        try store.insertContainer(record(1 + number * rounds + round), durability: durability)
                        try store.updateContainer(id: identifier(0), durability: durability) { $0 + [0] }
                        do throws(StoreError) {
                            try store.insertContainer(record(100_000 + number * rounds + round, name: "same\(round)"))
                            counts.add { $0.won += 1 }
                        } catch { if error.code != .nameInUse { counts.add { $0.failures.append("\(error)") } } }
                    }
                } catch { counts.add { $0.failures.append("\(error)") } }
            }
        }
        for worker in workers { worker.join() }
        #expect(counts.failures.isEmpty, "\(counts.failures.prefix(3))")
        #expect(counts.won == rounds)
        #expect(try fixture.store.containers().count == 1 + threads * rounds + rounds)
        #expect(try fixture.store.container(id: identifier(0))?.definition.count == 7 + threads * rounds)
    }

    /// A store opened for the first time by many at once is made once.
    @Test func parallelFirstOpen() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let counts = Counts()
        let workers = try (0..<16).map { number in
            try Worker {
                do {
                    let store = try Store(path: fixture.base + "/fresh")
                    try store.insertContainer(record(number + 1))
                } catch { counts.add { $0.failures.append("\(error)") } }
            }
        }
        for worker in workers { worker.join() }
        #expect(counts.failures.isEmpty, "\(counts.failures.prefix(3))")
        #expect(try Store(path: fixture.base + "/fresh").containers().count == 16)
    }

    /// Processes killed in the middle of their transactions: the lock is free again and the database whole.
    @Test func killedWriters() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        for round in 0..<10 {
            let child = fork()
            if child == 0 {
                guard let store = try? fixture.again() else { _exit(1) }
                var number = 1 + round * 100_000
                while (try? store.insertContainer(record(number), durability: .volatile)) != nil { number += 1 }
                _exit(1)
            }
            usleep(30_000)
            kill(child, SIGKILL)
            var status: Int32 = 0
            waitpid(child, &status, 0)
            try fixture.store.insertContainer(record(5_000_000 + round))
        }
        #expect(try fixture.store.database.integrityProblems().isEmpty)
        #expect(try fixture.again().containers().count > 10)
    }
}

final class Counts: @unchecked Sendable {
    // SAFETY: only touched under the lock, or after the threads were joined.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    var won = 0
    var failures: [String] = []

    init() { pthread_mutex_init(mutex, nil) }

    func add(_ change: (Counts) -> Void) {
        pthread_mutex_lock(mutex)
        change(self)
        pthread_mutex_unlock(mutex)
    }
}
