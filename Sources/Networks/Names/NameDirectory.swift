import CLinux
import Glibc
import Linux

/// The names of one network, as the supervisors of its containers have written them. One thread.
///
/// An index in memory says which files may have a name; the file is read, and its lock asked for, when the question comes.
/// So an answer is as true as the kernel: a container whose supervisor was killed a moment ago is not in it. The files of the
/// last few answers stay open: of these only the lock is asked for.
public final class NameDirectory {
    public struct Found: Sendable, Hashable {
        /// A live container has the name, with or without an address of the kind.
        public var exists = false
        public var addresses: [[UInt8]] = []
    }

    public let path: String
    private var folder: SharedFD?
    /// Numbers of inodes are not used again: tmpfs counts them up. Elsewhere a removed file's number is the next one's.
    private var countsInodes = false
    private var index = NameIndex()
    /// The directory's time of change when it was read, and whether a change since must have given it another.
    private var stamp: Int64 = -1
    private var isSettled = false
    /// Monotonic time of the last reading, and what it took.
    private var read: Int64 = 0
    private var cost: Int64 = 0
    /// For files; empty until the first question.
    private var scratch: [UInt8] = []
    /// How often names of several containers were asked for: by the last bits of the name's hash, and the family. Counted together,
    /// who asks for both families in turn would get the same address first each time.
    private var turns = [UInt32](repeating: 0, count: 32)
    /// Files that stay open, in no order.
    private var open: [OpenEntry] = []
    private var clock: UInt64 = 0
    /// Whose checks are shared; 0: nobody's.
    private var round: UInt64 = 0
    /// The round in which the directory was looked at, and whether the index is what it had.
    private var seen: UInt64 = 0
    private var seenFresh = false

    /// Files that stay open at most.
    static let openLimit = 16

    /// - Parameter path: `RUN/networks/NETWORK`; need not exist yet.
    public init(path: String) { self.path = path }

    /// Gives all memory and the descriptors back; the next question starts anew.
    public func forget() {
        folder = nil
        open = []
        seen = 0
        index = NameIndex()
        scratch = []
        stamp = -1
        isSettled = false
    }

    /// The addresses of the containers that have a name, or a name qualified by the network's (`web.front`).
    ///
    /// Each question begins with another of them.
    /// - Parameters:
    ///   - name: in small letters, without a last dot.
    ///   - length: 4 or 16, of the addresses.
    ///   - limit: of addresses.
    ///   - round: questions of one round (not 0) share what the first of them has found out about the directory and about each
    ///     file. All of them must have been there before the first was asked.
    public func find(_ name: [UInt8], length: Int, limit: Int, round: UInt64 = 0) -> Found {
        self.round = round
        var isFresh = refresh(needed: false)
        var found = look(name, length, limit)
        // Unknown, but the directory may have changed within the last milliseconds.
        if !found.exists, !isFresh {
            isFresh = refresh(needed: true)
            if isFresh { found = look(name, length, limit) }
        }
        return found
    }

    /// The names of an address: `web.front`. First the one that is the container's own.
    ///
    /// - Parameter round: as in ``find(_:length:limit:round:)``.
    public func names(of address: [UInt8], round: UInt64 = 0) -> [DNSName] {
        self.round = round
        _ = refresh(needed: true)
        var names: [DNSName] = []
        for key in index.keys(of: NameIndex.Hash.address(address)) where names.count < 16 {
            guard let live = live(index.place(key)) else { continue }
            let entry = NameEntry.parse(live.content)
            guard entry.addresses.contains(where: { $0.bytes == address }), let first = entry.names.first else { continue }
            if let name = DNSName("\(first).\(entry.network)") { names.append(name) }
        }
        return names
    }

    /// All live containers of the network.
    public func entries() -> [NameEntry] {
        round = 0
        _ = refresh(needed: true)
        return index.entries.indices.compactMap { place in live(place).map { NameEntry.parse($0.content) } }
    }

    // MARK: Looking

    private func look(_ name: [UInt8], _ length: Int, _ limit: Int) -> Found {
        var found = Found()
        collect(name[...], network: nil, hash: NameIndex.Hash.name(name), length, limit, &found)
        if found.exists { return found }
        // `web.front`: each dot may be the one before the network's name.
        var hash = NameIndex.Hash()
        for (position, byte) in name.enumerated() {
            if byte == UInt8(ascii: "."), position > 0, position + 1 < name.count {
                collect(name[..<position], network: name[(position + 1)...], hash: hash.value, length, limit, &found)
                if found.exists { break }
            }
            hash.add(byte)
        }
        return found
    }

    private func collect(
        _ name: ArraySlice<UInt8>, network: ArraySlice<UInt8>?, hash: UInt32, _ length: Int, _ limit: Int, _ found: inout Found
    ) {
        let keys = index.keys(of: hash)
        guard !keys.isEmpty else { return }
        var first = 0
        if keys.count > 1 {
            let turn = Int(hash & 15) << 1 | (length == 16 ? 1 : 0)
            turns[turn] &+= 1
            first = Int(turns[turn]) % keys.count
        }
        for step in 0..<keys.count where found.addresses.count < limit {
            let place = index.place(keys.lowerBound + (first + step) % keys.count)
            guard let entry = live(place), entry.has(name, network: network) else { continue }
            found.exists = true
            for address in entry.addresses where address.count == length && found.addresses.count < limit {
                found.addresses.append(address)
            }
        }
    }

    /// What the file of an entry says; nil when it is gone, cannot be read, or nobody holds its lock.
    private func live(_ place: Int) -> OpenEntry? {
        guard let folder, place < index.entries.count else { return nil }
        let entry = index.entries[place]
        clock &+= 1
        if let kept = open.firstIndex(where: { $0.version == entry.version && $0.id == entry.id }) {
            let known = open[kept]
            known.used = clock
            if round != 0, known.round == round { return known }
            if known.isLive {
                known.round = round
                return known
            }
            // Dead, or another has taken its place.
            open.remove(at: kept)
        }
        guard let opened = openLive(entry, folder) else { return nil }
        opened.used = clock
        opened.round = round
        if opened.content.count <= OpenEntry.sizeLimit { keep(opened) }
        return opened
    }

    private func openLive(_ entry: NameIndex.Entry, _ folder: SharedFD) -> OpenEntry? {
        let name = entry.id.fileName
        guard let file = try? folder.fd.open(named: name, [.readOnly, .noFollow, .nonBlocking]) else { return nil }
        guard (try? file.fd.isLocked(against: .shared)) == true else {
            _ = NameRegistration.removeDead(String(decoding: name.dropLast(), as: UTF8.self), in: folder.fd)
            return nil
        }
        guard let count = read(file.fd) else { return nil }
        return OpenEntry(entry, SharedFD(file), Array(scratch[..<count]))
    }

    /// In the place of the one that was not asked for longest.
    private func keep(_ entry: OpenEntry) {
        guard open.count >= NameDirectory.openLimit, let oldest = open.indices.min(by: { open[$0].used < open[$1].used }) else {
            open.append(entry)
            return
        }
        open[oldest] = entry
    }

    private func read(_ file: FD) -> Int? {
        if scratch.isEmpty { scratch = [UInt8](repeating: 0, count: 1024) }
        while true {
            let count = scratch.withUnsafeMutableBytes { cl_pread(file.rawValue, $0.baseAddress, $0.count, 0) }
            guard count >= 0 else { return nil }
            if count < scratch.count { return count }
            guard scratch.count < NameEntry.sizeLimit else { return nil }
            scratch = [UInt8](repeating: 0, count: scratch.count * 4)
        }
    }

    // MARK: The index

    /// Nanoseconds for which a name that is known may be answered from the index while the directory changes all the time; at
    /// least nine times what the last reading took, so that not more than a tenth of the time goes into it.
    private static let patience: Int64 = 10_000_000
    /// Nanoseconds after which a change surely gives another time: a tick of the slowest kernel's clock, and a margin.
    private static let granularity: Int64 = 20_000_000

    /// Reads the directory if it has changed.
    ///
    /// - Parameter needed: even if that was done a moment ago.
    /// - Returns: whether the index is what the directory has now.
    private func refresh(needed: Bool) -> Bool {
        if round != 0, seen == round, seenFresh || !needed { return seenFresh }
        seenFresh = refreshNow(needed: needed)
        seen = round
        return seenFresh
    }

    private func refreshNow(needed: Bool) -> Bool {
        guard let (folder, info) = openFolder() else {
            index = NameIndex()
            return true
        }
        let changed = Int64(info.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(info.st_mtim.tv_nsec)
        if isSettled, changed == stamp { return true }
        let now = monotonicNanoseconds()
        if !needed, now &- read < max(NameDirectory.patience, 9 * cost), stamp >= 0 { return false }
        // Before the reading: what changes during it is seen again.
        let wall = wallClockNanoseconds()
        list(folder.fd)
        read = monotonicNanoseconds()
        cost = read &- now
        stamp = changed
        isSettled = wall &- changed > NameDirectory.granularity
        return true
    }

    private func openFolder() -> (folder: SharedFD, info: stat)? {
        if let folder {
            if let info = try? folder.fd.status(), info.st_nlink > 0 { return (folder, info) }
            // Removed; another may have its name.
            forget()
        }
        guard let opened = try? FD.cwd.open(path, [.readOnly, .directory]), let info = try? opened.fd.status() else { return nil }
        var type: Int64 = 0
        var rest: (Int64, Int64, Int64, Int64) = (0, 0, 0, 0)
        countsInodes = cl_fstatfs(opened.raw, &type, &rest.0, &rest.1, &rest.2, &rest.3) == 0 && type == 0x0102_1994 /* tmpfs */
        let folder = SharedFD(opened)
        self.folder = folder
        return (folder, info)
    }

    /// A number that no other file of the name has: its inode's, and when that was made into what it is.
    private func version(of id: ContainerID, in directory: FD) -> UInt64 {
        guard let info = try? directory.status(named: id.fileName) else { return 0 }
        let changed = Int64(info.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(info.st_ctim.tv_nsec)
        return UInt64(info.st_ino) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(bitPattern: changed)
    }

    private func list(_ directory: FD) {
        var files: [NameIndex.Entry] = []
        files.reserveCapacity(index.entries.count + 8)
        try? visitEntries(directory) { inode, name in
            guard let id = ContainerID(name) else { return }
            files.append(NameIndex.Entry(id: id, version: countsInodes ? inode : version(of: id, in: directory)))
        }
        index.update(files) { file in
            guard let opened = try? directory.open(named: file.id.fileName, [.readOnly, .noFollow, .nonBlocking]),
                let count = read(opened.fd)
            else { return nil }
            var hashes: [UInt32] = []
            NameEntry.scan(scratch, count: count) { word, value in
                var hash: UInt32?
                switch word {
                case .name: hash = NameIndex.Hash.name(value)
                case .address: hash = IPAddress(String(decoding: value, as: UTF8.self)).map { NameIndex.Hash.address($0.bytes) }
                case .network: break
                }
                if let hash, !hashes.contains(hash) { hashes.append(hash) }
            }
            return hashes
        }
    }
}
