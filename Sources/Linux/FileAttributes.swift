import CLinux

extension FD {
    /// Asks the file system to keep what is made in this directory apart: each subdirectory goes where there is room.
    ///
    /// ext4 otherwise places a new tree beside the last one. Where that was just removed, every new inode searches past
    /// all of its inodes, which ext4 does not give out again for half a minute: loading an image after removing one takes
    /// eight times as long. Other file systems have no such flag, and nothing depends on it: failures are not told.
    /// C function: `ioctl(2)` with FS_IOC_SETFLAGS and FS_TOPDIR_FL.
    public func spreadSubdirectories() {
        let (get, set, topDirectory): (UInt, UInt, Int) = (0x8008_6601, 0x4008_6602, 0x20000)
        var flags = 0
        // SAFETY: the kernel reads and writes one int at this address during the calls and does not keep it.
        withUnsafeMutablePointer(to: &flags) { address in
            guard cl_ioctl(rawValue, get, Int(bitPattern: address)) == 0, address.pointee & topDirectory == 0 else { return }
            address.pointee |= topDirectory
            _ = cl_ioctl(rawValue, set, Int(bitPattern: address))
        }
    }
}
