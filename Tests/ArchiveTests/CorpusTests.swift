import Glibc
import Linux
import Testing

@testable import Archive

/// Lists every `*.tar` of a directory into `*.list`, for comparison with other readers.
///
/// Skipped unless BERTH_TAR_CORPUS names the directory: the archives come from other programs, not from this repository.
@Suite struct CorpusTests {
    @Test(.enabled(if: environmentVariable("BERTH_TAR_CORPUS") != nil)) func listForComparison() throws {
        let path = try #require(environmentVariable("BERTH_TAR_CORPUS"))
        let directory = try FD.cwd.open(path, [.directory])
        for (name, _) in try directoryEntries(directory.fd) where name.hasSuffix(".tar") {
            let file = try directory.fd.open(name, [])
            var text: [UInt8] = []
            do throws(ArchiveError) {
                let reader = TarReader(BufferedLender(FileReader(file.fd, offset: 0, length: nil)))
                while let entry = try reader.next() {
                    text += Array("\(entry.kind) \(entry.size) ".utf8) + entry.path.map { $0 == 0x0a ? 0x3f : $0 } + [0x0a]
                }
            } catch { text = Array("rejected: \(error)\n".utf8) }
            try directory.fd.writeFile(name + ".list", text)
        }
    }
}
