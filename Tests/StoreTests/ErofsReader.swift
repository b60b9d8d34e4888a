import Archive
import Glibc

/// Reads an index back, by the kernel's rules and without the writer's code.
struct ErofsReader {
    struct Node: Equatable {
        var mode: UInt32
        var links: UInt32
        var uid: UInt32
        var gid: UInt32
        var seconds: Int64
        var nanoseconds: UInt32
        var size: Int
        var data: UInt32
        var xattrs: [String: [UInt8]]
        var number: UInt64
    }

    struct Damaged: Error {
        var what: String
    }

    let image: [UInt8]
    let blocks: UInt32
    let tag: String
    let tarBlocks: UInt32
    private let rootNumber: UInt64

    init(_ image: [UInt8]) throws {
        self.image = image
        guard image.count >= 1280, image.count % 512 == 0 else { throw Damaged(what: "size \(image.count)") }
        func number(_ at: Int, _ count: Int) -> UInt64 { ErofsReader.number(image, at, count) }
        guard number(1024, 4) == 0xe0f5_e1e2, image[1036] == 9, number(1104, 4) == 8, number(1110, 2) == 1, number(1112, 2) == 9 else {
            throw Damaged(what: "superblock")
        }
        rootNumber = number(1038, 2)
        blocks = UInt32(number(1060, 4))
        tag = String(decoding: image[1152..<1216], as: UTF8.self)
        tarBlocks = UInt32(number(1216, 4))
        guard Int(blocks) * 512 == image.count, number(1220, 4) == UInt64(blocks) else { throw Damaged(what: "blocks") }
    }

    private static func number(_ image: [UInt8], _ at: Int, _ count: Int) -> UInt64 {
        (0..<count).reduce(0) { $0 | UInt64(image[at + $1]) << UInt64($1 * 8) }
    }

    private func number(_ at: Int, _ count: Int) throws -> UInt64 {
        guard at >= 0, at + count <= image.count else { throw Damaged(what: "offset \(at)") }
        return ErofsReader.number(image, at, count)
    }

    /// Everything by its path; the root is the empty one. Links and directories come with their bytes.
    func tree() throws -> [String: (node: Node, target: String)] {
        var found: [String: (node: Node, target: String)] = [:]
        var pending: [(path: String, number: UInt64, parent: UInt64)] = [("", rootNumber, rootNumber)]
        while let (path, place, parent) = pending.popLast() {
            let (node, bytes) = try read(place)
            found[path] = (node, node.mode & S_IFMT == S_IFLNK ? String(decoding: bytes, as: UTF8.self) : "")
            guard node.mode & S_IFMT == S_IFDIR else { continue }
            var last: [UInt8] = []
            var dots = 0
            for entry in try entries(bytes) {
                guard last.lexicographicallyPrecedes(entry.name) else { throw Damaged(what: "order in \(path)") }
                last = entry.name
                let name = String(decoding: entry.name, as: UTF8.self)
                if name == "." || name == ".." {
                    guard entry.number == (name == "." ? place : parent) else { throw Damaged(what: "\(name) of \(path)") }
                    dots += 1
                    continue
                }
                let child = try read(entry.number).0
                let type: [UInt32: UInt8] = [S_IFREG: 1, S_IFDIR: 2, S_IFCHR: 3, S_IFBLK: 4, S_IFIFO: 5, S_IFLNK: 7]
                guard type[child.mode & S_IFMT] == entry.type else { throw Damaged(what: "type of \(name)") }
                pending.append((path + "/" + name, entry.number, place))
            }
            guard dots == 2 else { throw Damaged(what: "dots of \(path)") }
        }
        return found
    }

    private func read(_ place: UInt64) throws -> (Node, [UInt8]) {
        let start = Int(place) * 32
        let format = try number(start, 2)
        guard format & 1 == 1, format >> 1 == 0 || format >> 1 == 2 else { throw Damaged(what: "format \(format)") }
        let count = Int(try number(start + 2, 2))
        let attributes = count == 0 ? 0 : 12 + (count - 1) * 4
        let node = Node(
            mode: UInt32(try number(start + 4, 2)), links: UInt32(try number(start + 44, 4)),
            uid: UInt32(try number(start + 24, 4)), gid: UInt32(try number(start + 28, 4)),
            seconds: Int64(bitPattern: try number(start + 32, 8)), nanoseconds: UInt32(try number(start + 40, 4)),
            size: Int(try number(start + 8, 8)), data: UInt32(try number(start + 16, 4)),
            xattrs: try xattrs(start + 64, attributes), number: place)
        guard [S_IFDIR, S_IFLNK].contains(node.mode & S_IFMT) else { return (node, []) }
        let tail = format >> 1 == 2 ? node.size % 512 : 0
        let whole = Int(node.data) * 512
        var bytes: [UInt8] = []
        if node.size > tail {
            guard whole + node.size - tail <= image.count else { throw Damaged(what: "data") }
            bytes = Array(image[whole..<(whole + node.size - tail)])
        }
        let place = start + 64 + attributes
        if tail > 0 {
            guard place % 512 + tail <= 512, place + tail <= image.count else { throw Damaged(what: "tail") }
            bytes += image[place..<(place + tail)]
        }
        return (node, bytes)
    }

    private func xattrs(_ start: Int, _ size: Int) throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        var place = start + 12
        while place < start + size {
            let (name, value) = (Int(try number(place, 1)), Int(try number(place + 2, 2)))
            let prefix = [1: "user.", 4: "trusted.", 6: "security."][try number(place + 1, 1)]
            guard let prefix, place + 4 + name + value <= start + size else { throw Damaged(what: "attribute") }
            found[prefix + String(decoding: image[(place + 4)..<(place + 4 + name)], as: UTF8.self)] =
                Array(image[(place + 4 + name)..<(place + 4 + name + value)])
            place += (4 + name + value + 3) & ~3
        }
        return found
    }

    private func entries(_ bytes: [UInt8]) throws -> [(name: [UInt8], number: UInt64, type: UInt8)] {
        var found: [(name: [UInt8], number: UInt64, type: UInt8)] = []
        for start in stride(from: 0, to: bytes.count, by: 512) {
            let block = Array(bytes[start..<min(start + 512, bytes.count)])
            let count = Int(ErofsReader.number(block, 8, 2)) / 12
            guard count > 0 else { throw Damaged(what: "directory block") }
            for index in 0..<count {
                let from = Int(ErofsReader.number(block, index * 12 + 8, 2))
                let to = index + 1 < count ? Int(ErofsReader.number(block, index * 12 + 20, 2)) : block.count
                guard from < to, to <= block.count else { throw Damaged(what: "name") }
                // The last name of a block that is not full ends with a NUL.
                found.append(
                    (Array(block[from..<to].prefix { $0 != 0 }), ErofsReader.number(block, index * 12, 8), block[index * 12 + 10]))
            }
        }
        return found
    }
}
