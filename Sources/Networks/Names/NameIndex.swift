/// Where to look for a name: which files may have it. What they say is read from them when somebody asks.
///
/// 48 bytes for a container and eight for each name and address of it, so that a thousand containers' names in each of a
/// thousand supervisors are no reason not to.
struct NameIndex {
    struct Entry {
        var id: ContainerID
        /// Another file of the same name has another.
        var version: UInt64
    }

    private(set) var entries: [Entry] = []
    /// A key's hash in the upper half, the entry's place in the lower; in the order of the hashes.
    private var keys: [UInt64] = []

    /// FNV-1a of 32 bits. Two keys may share one: what a file says decides.
    struct Hash {
        private(set) var value: UInt32 = 2_166_136_261

        @inline(__always) mutating func add(_ byte: UInt8) { value = (value ^ UInt32(byte)) &* 16_777_619 }

        /// - Parameter text: in small letters.
        static func name(_ text: some Sequence<UInt8>) -> UInt32 {
            var hash = Hash()
            for byte in text { hash.add(DNSName.fold(byte)) }
            return hash.value
        }

        static func address(_ bytes: [UInt8]) -> UInt32 {
            var hash = Hash()
            hash.add(0)
            for byte in bytes { hash.add(byte) }
            return hash.value
        }

        static func version(_ number: UInt64) -> UInt32 {
            var hash = Hash()
            hash.add(1)
            for shift in stride(from: UInt64(0), to: 64, by: 8) { hash.add(UInt8(truncatingIfNeeded: number >> shift)) }
            return hash.value
        }
    }

    /// The keys of a hash: of entries that may have what was hashed.
    func keys(of hash: UInt32) -> Range<Int> {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            if UInt32(keys[middle] >> 32) < hash { low = middle + 1 } else { high = middle }
        }
        while high < keys.count, UInt32(keys[high] >> 32) == hash { high += 1 }
        return low..<high
    }

    /// The place of a key's entry.
    func place(_ key: Int) -> Int { Int(keys[key] & 0xffff_ffff) }

    /// The place of a file that was read before and is still the same.
    private func place(of file: Entry) -> Int? {
        for key in keys(of: Hash.version(file.version)) {
            let entry = entries[place(key)]
            if entry.version == file.version, entry.id == file.id { return place(key) }
        }
        return nil
    }

    /// Takes over what a directory has now.
    ///
    /// - Parameter hashes: reads a file that is new; nil when it cannot be read.
    mutating func update(_ files: [Entry], hashes: (Entry) -> [UInt32]?) {
        var moved = [Int](repeating: -1, count: entries.count)
        var now: [Entry] = []
        now.reserveCapacity(files.count)
        var fresh: [Entry] = []
        for file in files {
            if let place = place(of: file), moved[place] < 0 {
                moved[place] = now.count
                now.append(file)
            } else {
                fresh.append(file)
            }
        }
        var added: [UInt64] = []
        for file in fresh {
            guard let hashes = hashes(file) else { continue }
            for hash in hashes + [Hash.version(file.version)] { added.append(UInt64(hash) << 32 | UInt64(now.count)) }
            now.append(file)
        }
        if fresh.isEmpty, now.count == entries.count, moved.indices.allSatisfy({ moved[$0] == $0 }) { return }
        added.sort()
        keys = NameIndex.merge(keys, moved, added)
        entries = now
    }

    /// The old keys of entries that are left, at their new places, and the new ones.
    private static func merge(_ old: [UInt64], _ moved: [Int], _ added: [UInt64]) -> [UInt64] {
        var result: [UInt64] = []
        result.reserveCapacity(old.count + added.count)
        var next = 0
        for key in old {
            let place = moved[Int(key & 0xffff_ffff)]
            if place < 0 { continue }
            while next < added.count, added[next] >> 32 < key >> 32 {
                result.append(added[next])
                next += 1
            }
            result.append(key & 0xffff_ffff_0000_0000 | UInt64(place))
        }
        result += added[next...]
        return result
    }
}
