import CLinux
import Glibc
import Linux

/// Files that are rotated by renaming: `NAME` being written, `NAME.1` before it, and so on.
public enum RotatedFiles {
    /// Makes room: `NAME` becomes `.1`, and so on; the oldest goes.
    ///
    /// - Parameter count: how many files are kept, the next one included (at least 1).
    /// - Returns: whether `NAME` is free now.
    public static func shift(_ directory: FD, _ name: String, keeping count: UInt32) -> Bool {
        let last = max(count, 1) - 1
        var moved: Int32
        if last > 0 {
            // The oldest goes by a call of its own. A rename over it makes ext4 write the renamed file's data to the disk
            // at once (auto_da_alloc): 40 ms for 20 MB, while the container waits.
            _ = cl_unlinkat(directory.rawValue, "\(name).\(last)", 0)
            // Up to the first name that is free. Names stay without gaps, also after a kill in the middle of this.
            var free: UInt32 = 1
            while free < last, directory.exists("\(name).\(free)") { free += 1 }
            for index in stride(from: free, to: 1, by: -1) {
                try? directory.rename("\(name).\(index - 1)", to: "\(name).\(index)")
            }
            moved = cl_renameat2(directory.rawValue, name, directory.rawValue, name + ".1", 0)
        } else {
            moved = cl_unlinkat(directory.rawValue, name, 0)
        }
        return moved == 0 || moved == -ENOENT
    }
}
