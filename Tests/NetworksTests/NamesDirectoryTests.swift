import CLinux
import Control
import Glibc
import Linux
import Testing

@testable import Networks

/// Files of names with real locks and real processes, on tmpfs and elsewhere.
@Suite(.serialized) struct NamesDirectoryTests {
    /// A network's directory of a test's own.
    final class Place {
        let path: String
        init(_ base: String) throws {
            path = "\(base)/berth-names-\(hexadecimal(randomBytes(8)))"
            try FD.cwd.makeDirectory(path, mode: 0o700)
        }
        var files: [String] {
            guard let directory = try? FD.cwd.open(path, [.directory]) else { return [] }
            return ((try? directoryEntries(directory.fd)) ?? []).map(\.name).sorted()
        }
        deinit { try? removeTree(.cwd, path) }
    }

    static let bases = ["/dev/shm", environmentVariable("TMPDIR") ?? "/tmp"]

    private static func id(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 64 - digits.count) + digits
    }

    private static func entry(_ names: [String], _ addresses: [String], network: String = "front") -> NameEntry {
        NameEntry(network: network, names: names, addresses: addresses.compactMap { IPAddress($0) })
    }

    private func find(_ directory: NameDirectory, _ name: String, length: Int = 4, limit: Int = 100) -> NameDirectory.Found {
        directory.find(Array(name.utf8), length: length, limit: limit)
    }

    @Test func entriesAreReadAsTheyAreWritten() {
        let entry = Self.entry(["web", "Alias.x", "no good", ""], ["172.18.0.2", "fd00::2"])
        let again = NameEntry.parse(entry.encoded())
        #expect(again == Self.entry(["web", "Alias.x"], ["172.18.0.2", "fd00::2"]))
        #expect(NameEntry.parse(Array("later thing\nname a\naddress x\nname cut".utf8)) == Self.entry(["a"], [], network: ""))
    }

    @Test(arguments: bases) func namesAreFoundWhileTheyAreRegistered(_ base: String) throws {
        let place = try Place(base)
        let directory = NameDirectory(path: place.path + "/net")
        #expect(!find(directory, "web").exists, "no directory yet")
        let web = try NameRegistration(
            directory: place.path + "/net", container: Self.id(1), Self.entry(["web", "Api"], ["172.18.0.2", "fd00::2"]))
        #expect(find(directory, "web") == .init(exists: true, addresses: [[172, 18, 0, 2]]))
        #expect(find(directory, "web", length: 16).addresses == [IPAddress("fd00::2")?.bytes])
        #expect(find(directory, "api").exists, "capital letters are small ones")
        #expect(find(directory, "web.front").exists && !find(directory, "web.back").exists && !find(directory, "front").exists)
        #expect(directory.names(of: [172, 18, 0, 2]) == [DNSName("web.front")])
        #expect(directory.names(of: [172, 18, 0, 3]).isEmpty)
        try web.replace(Self.entry(["db"], ["172.18.0.9"]))
        #expect(!find(directory, "web").exists)
        #expect(find(directory, "db").addresses == [[172, 18, 0, 9]])
        #expect(!find(directory, "db", length: 16).exists == false, "it exists without such an address")
        web.withdraw()
        #expect(!find(directory, "db").exists)
        #expect(directory.names(of: [172, 18, 0, 9]).isEmpty && directory.entries().isEmpty)
    }

    @Test func onlyIdsAreNamesOfFiles() throws {
        let place = try Place("/dev/shm")
        for name in ["web", "../x", Self.id(1) + "a", String(repeating: "A", count: 64)] {
            #expect(throws: NetworkError.self) { try NameRegistration(directory: place.path, container: name, Self.entry(["x"], [])) }
        }
        try FD.cwd.writeFile(place.path + "/lock", Array("name lock\n".utf8))
        #expect(NameDirectory(path: place.path).entries().isEmpty)
        #expect(place.files == ["lock"])
    }

    @Test func oneAliasHasAllAddressesInTurn() throws {
        let place = try Place("/dev/shm")
        let all = try (0..<5).map { number in
            try NameRegistration(
                directory: place.path, container: Self.id(number), Self.entry(["c\(number)", "pool"], ["10.0.0.\(number)"]))
        }
        let directory = NameDirectory(path: place.path)
        var firsts: Set<[UInt8]> = []
        for _ in 0..<5 {
            let found = find(directory, "pool").addresses
            #expect(Set(found).count == 5)
            firsts.insert(found[0])
        }
        #expect(firsts.count == 5, "each is the first once")
        #expect(find(directory, "pool", limit: 2).addresses.count == 2)
        all[3].withdraw()
        #expect(!find(directory, "pool").addresses.contains([10, 0, 0, 3]))
    }

    @Test func askingForBothFamiliesDoesNotUpsetTheTurn() throws {
        let place = try Place("/dev/shm")
        let all = try (1..<3).map { number in
            try NameRegistration(
                directory: place.path, container: Self.id(number), Self.entry(["pool"], ["10.0.0.\(number)", "fd00::\(number)"]))
        }
        let directory = NameDirectory(path: place.path)
        for length in [4, 16] {
            let firsts = (0..<4).map { _ in
                _ = find(directory, "pool", length: 20 - length)
                return find(directory, "pool", length: length).addresses[0]
            }
            #expect(Set(firsts).count == 2, "always the same first: \(firsts)")
        }
        withExtendedLifetime(all) {}
    }

    @Test(arguments: bases) func aKilledSupervisorsNamesEndWithIt(_ base: String) throws {
        let place = try Place(base)
        let ready = try makePipe()
        let child = forkProcess {
            guard let mine = try? NameRegistration(directory: place.path, container: Self.id(7), Self.entry(["web"], ["10.0.0.7"]))
            else { return 1 }
            _ = cl_write(ready.second.raw, "x", 1)
            pause()
            mine.withdraw()
            return 0
        }
        var byte: UInt8 = 0
        #expect(cl_read(ready.first.raw, &byte, 1) == 1)
        let directory = NameDirectory(path: place.path)
        #expect(find(directory, "web").exists)
        _ = cl_kill(child, SIGKILL)
        _ = try waitForProcess(child)
        #expect(!find(directory, "web").exists, "the index knows it, the lock is free")
        #expect(place.files.isEmpty, "what it left is cleared away")
    }

    @Test(arguments: bases) func filesThatStayOpenAreNotBelievedForTheirContent(_ base: String) throws {
        let place = try Place(base)
        let directory = NameDirectory(path: place.path)
        let web = try NameRegistration(directory: place.path, container: Self.id(1), Self.entry(["web"], ["10.0.0.1"]))
        #expect(find(directory, "web").addresses == [[10, 0, 0, 1]])
        // A child that has the old file's descriptor, and with it its lock.
        let child = forkProcess {
            pause()
            return 0
        }
        defer {
            _ = cl_kill(child, SIGKILL)
            _ = try? waitForProcess(child)
        }
        try web.replace(Self.entry(["web"], ["10.0.0.2"]))
        #expect(find(directory, "web").addresses == [[10, 0, 0, 2]], "another file has taken its place")
        #expect(find(directory, "web.front").addresses == [[10, 0, 0, 2]])
        web.withdraw()
        #expect(!find(directory, "web").exists, "removed, though its lock may be held")
    }

    @Test func questionsOfARoundShareWhatWasFoundOut() throws {
        let place = try Place("/dev/shm")
        let directory = NameDirectory(path: place.path)
        let web = try NameRegistration(directory: place.path, container: Self.id(1), Self.entry(["web"], ["10.0.0.1"]))
        let ask = { (name: String, round: UInt64) in directory.find(Array(name.utf8), length: 4, limit: 8, round: round) }
        #expect(ask("web", 1).addresses == [[10, 0, 0, 1]])
        #expect(!ask("db", 1).exists)
        try web.replace(Self.entry(["web"], ["10.0.0.2"]))
        let db = try NameRegistration(directory: place.path, container: Self.id(2), Self.entry(["db"], ["10.0.0.3"]))
        #expect(ask("web", 1).addresses == [[10, 0, 0, 1]], "the same round: no system call")
        #expect(!ask("db", 1).exists)
        #expect(ask("web", 2).addresses == [[10, 0, 0, 2]] && ask("db", 2).exists)
        #expect(directory.names(of: [10, 0, 0, 2], round: 2) == [DNSName("web.front")])
        web.withdraw()
        #expect(!ask("web", 3).exists && ask("db", 3).exists)
        #expect(directory.names(of: [10, 0, 0, 2], round: 3).isEmpty)
        withExtendedLifetime(db) {}
    }

    @Test func fewFilesStayOpenAndNoneAtRest() throws {
        let place = try Place("/dev/shm")
        let directory = NameDirectory(path: place.path)
        let all = try (0..<40).map {
            try NameRegistration(directory: place.path, container: Self.id($0), Self.entry(["c\($0)"], ["10.0.0.\($0)"]))
        }
        // Descriptors that lead into the place, without those of the registrations.
        let opened = {
            let folder = try FD.cwd.open("/proc/self/fd", [.directory])
            let names = try directoryEntries(folder.fd).map(\.name)
            return names.filter { ((try? FD.cwd.readLink("/proc/self/fd/" + $0)) ?? "").hasPrefix(place.path) }.count - all.count
        }
        for round in 0..<3 {
            for number in 0..<40 where !find(directory, "c\(number)").exists { Issue.record("c\(number) in round \(round)") }
        }
        #expect(try opened() == NameDirectory.openLimit + 1)
        directory.forget()
        #expect(try opened() == 0)
        #expect(find(directory, "c7").addresses == [[10, 0, 0, 7]])
        withExtendedLifetime(all) {}
    }

    @Test func whoTakesOverANameIsNotClearedAway() throws {
        let place = try Place("/dev/shm")
        // Others ask all the time, and clear away what they find dead.
        let asking = (0..<2).map { _ in
            forkProcess {
                let directory = NameDirectory(path: place.path)
                while true { _ = directory.find(Array("web".utf8), length: 4, limit: 8) }
            }
        }
        defer {
            for pid in asking {
                _ = cl_kill(pid, SIGKILL)
                _ = try? waitForProcess(pid)
            }
        }
        for _ in 0..<150 {
            // One that dies without a word.
            let dead = forkProcess {
                _ = try? NameRegistration(directory: place.path, container: Self.id(7), Self.entry(["web"], ["10.0.0.7"]))
                return 0
            }
            _ = try waitForProcess(dead)
            let mine = try NameRegistration(directory: place.path, container: Self.id(7), Self.entry(["web"], ["10.0.0.7"]))
            let directory = NameDirectory(path: place.path)
            for _ in 0..<20 where !find(directory, "web").exists { Issue.record("a live one is gone") }
            mine.withdraw()
        }
        #expect(NameRegistration.sweep(directory: place.path) == 0)
        #expect(place.files.isEmpty)
    }

    @Test(arguments: bases) func aThousandContainersAndAThousandQuestionsASecond(_ base: String) throws {
        let place = try Place(base)
        var children: [Int32] = []
        defer {
            for pid in children {
                _ = cl_kill(pid, SIGKILL)
                _ = try? waitForProcess(pid)
            }
        }
        let ready = try makePipe()
        for group in 0..<4 {
            children.append(
                forkProcess {
                    var held: [NameRegistration] = []
                    for number in (group * 250)..<(group * 250 + 250) {
                        let entry = Self.entry(["stable\(number)", "all"], ["10.1.\(number / 250).\(number % 250)"])
                        guard let made = try? NameRegistration(directory: place.path, container: Self.id(number), entry) else { return 1 }
                        held.append(made)
                    }
                    _ = cl_write(ready.second.raw, "x", 1)
                    while true { pause() }
                })
        }
        var byte: UInt8 = 0
        for _ in 0..<4 { #expect(cl_read(ready.first.raw, &byte, 1) == 1) }
        // 200 that come and go.
        for group in 0..<8 {
            children.append(
                forkProcess {
                    while true {
                        var held: [NameRegistration] = []
                        for number in 0..<25 {
                            let id = Self.id(10_000 + group * 25 + number)
                            guard
                                let made = try? NameRegistration(
                                    directory: place.path, container: id, Self.entry(["v\(number)", "all"], ["10.2.0.1"]))
                            else { return 1 }
                            held.append(made)
                            usleep(5000)
                        }
                        for one in held { one.withdraw() }
                    }
                })
        }
        let directory = NameDirectory(path: place.path)
        #expect(directory.entries().count >= 1000)
        let begin = monotonicNanoseconds()
        var busy: Int64 = 0
        let questions = 1500
        for question in 0..<questions {
            let number = question * 7 % 1000
            let start = monotonicNanoseconds()
            let found = find(directory, "stable\(number)")
            busy += monotonicNanoseconds() - start
            if found.addresses != [[10, 1, UInt8(number / 250), UInt8(number % 250)]] { Issue.record("stable\(number) is \(found)") }
            let rest = begin + Int64(question + 1) * 1_000_000 - monotonicNanoseconds()
            if rest > 0 { usleep(UInt32(rest / 1000)) }
        }
        print("1,000 names a second of 1,200 containers on \(base): \(busy / Int64(questions) / 1000) us for each (debug build)")
        #expect(find(directory, "all", limit: 5000).addresses.count >= 1000)
    }
}

/// As in SupervisionTests: Swift hides fork(2).
private let fork: @convention(c) () -> Int32 = {
    // SAFETY: fork has this type.
    unsafeBitCast(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "fork"), to: (@convention(c) () -> Int32).self)
}()

private func forkProcess(_ body: () -> Int32) -> Int32 {
    let pid = fork()
    if pid == 0 {
        alarm(60)
        _exit(body())
    }
    return pid
}
