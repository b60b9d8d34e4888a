import Archive
import Glibc

/// Extended attributes as erofs keeps them beside an inode.
///
/// Fact source: `struct erofs_xattr_ibody_header` and `struct erofs_xattr_entry` of the kernel's fs/erofs/erofs_fs.h.
enum ErofsAttribute {
    /// Bytes of attributes of one inode: what `i_xattr_icount` can count, and far more than other file systems take.
    static let maximumSize = 128 << 10
    private static let headerSize = 12
    private static let entrySize = 4

    private enum Prefix: UInt8 {
        case user = 1
        case trusted = 4
        case security = 6

        var text: StaticString {
            switch self {
            case .user: "user."
            case .trusted: "trusted."
            case .security: "security."
            }
        }
    }

    private static func split(_ name: [UInt8]) -> (prefix: Prefix, rest: ArraySlice<UInt8>)? {
        for prefix in [Prefix.user, .trusted, .security] {
            let size = prefix.text.utf8CodeUnitCount
            let isIt = prefix.text.withUTF8Buffer { name.starts(with: $0) }
            if isIt, name.count > size { return (prefix, name[size...]) }
        }
        return nil
    }

    /// Whether the index can say it and the kernel would surely have taken it. What the kernel checks or changes when an
    /// attribute is set (ACLs, capabilities, who may have `user.`) is left to the kernel.
    static func canHold(_ attribute: ExtendedAttribute, mode: UInt32) -> Bool {
        guard let (prefix, _) = split(attribute.name), attribute.name.count <= 255, attribute.value.count <= 0xffff,
            !attribute.name.contains(0)
        else { return false }
        let type = mode & S_IFMT
        switch prefix {
        case .user: return type == S_IFREG || type == S_IFDIR
        case .trusted: return true
        case .security:
            if !attribute.name.elementsEqual("security.capability".utf8) { return true }
            return type == S_IFREG && isCapability(attribute.value)
        }
    }

    /// Revision 2 or 3 of `struct vfs_cap_data` (linux/capability.h), of its size.
    private static func isCapability(_ value: [UInt8]) -> Bool {
        guard value.count >= 4, value[1] == 0, value[2] == 0 else { return false }
        return value[3] == 2 && value.count == 20 || value[3] == 3 && value.count == 24
    }

    private static let opaque = ExtendedAttribute(name: Array("trusted.overlay.opaque".utf8), value: [UInt8(ascii: "y")])

    /// Bytes that the attributes take behind the inode.
    static func size(of attributes: [ExtendedAttribute], isOpaque: Bool) -> Int {
        if attributes.isEmpty && !isOpaque { return 0 }
        var size = headerSize
        for attribute in attributes { size += entrySize(attribute) }
        return isOpaque ? size + entrySize(opaque) : size
    }

    private static func entrySize(_ attribute: ExtendedAttribute) -> Int {
        guard let (_, rest) = split(attribute.name) else { return 0 }
        return (entrySize + rest.count + attribute.value.count + 3) & ~3
    }

    static func write(_ attributes: [ExtendedAttribute], isOpaque: Bool, to image: inout ErofsImage, at offset: Int) {
        var place = offset + headerSize
        for attribute in isOpaque ? attributes + [opaque] : attributes {
            guard let (prefix, rest) = split(attribute.name) else { continue }
            image.put(UInt8(truncatingIfNeeded: rest.count), at: place)
            image.put(prefix.rawValue, at: place + 1)
            image.put(UInt16(truncatingIfNeeded: attribute.value.count), at: place + 2)
            image.put(rest, at: place + entrySize)
            image.put(attribute.value[...], at: place + entrySize + rest.count)
            place += entrySize(attribute)
        }
    }
}
