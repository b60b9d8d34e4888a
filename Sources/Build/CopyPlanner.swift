import Dockerfile
import Engine
import Glibc
import Linux
import Store

/// Decides what every source of COPY or ADD becomes.
///
/// Spec: Dockerfile reference, "COPY: Destination": a path that ends in a slash, or that is a directory in the image, is a directory.
struct CopyPlanner {
    let engine: Engine
    let source: FileSource
    /// What is written to, to look at; nil: nothing is there.
    let tree: SharedFD?
    /// Absolute.
    let destination: String
    let parents: Bool
    let unpacks: Bool

    func items(_ texts: [String], _ inline: [Transfer.Inline]) throws(BuildFailure) -> [CopyStep.Item] {
        let target = StageState.relative(destination)
        let existing = try kind(of: target)
        var matches: [FileSource.Match] = []
        for text in texts {
            let copied: CopySource
            do throws(PatternError) { copied = try CopySource(text, parents: parents) } catch { throw BuildFailure(error.message) }
            matches += try source.matches(copied, engine, text)
        }
        let saysDirectory = destination.hasSuffix("/") || destination.hasSuffix("/.") || target.isEmpty
        if existing == .other, saysDirectory || parents || matches.contains(where: \.isDirectory) {
            throw BuildFailure("cannot copy to non-directory: /\(target)")
        }
        let isDirectory = saysDirectory || parents || existing == .directory
        if matches.count + inline.count > 1, !isDirectory {
            throw BuildFailure("when more than one file is copied, the destination must be a directory and end with a /")
        }
        var items: [CopyStep.Item] = []
        for match in matches { items.append(try item(match, target, isDirectory: isDirectory, isThere: existing == .directory)) }
        for text in inline {
            items.append(CopyStep.Item(content: .text(Array(text.content.utf8)), path: isDirectory ? join(target, text.name) : target))
        }
        return items
    }

    private func item(
        _ match: FileSource.Match, _ target: String, isDirectory: Bool, isThere: Bool
    ) throws(BuildFailure) -> CopyStep.Item {
        if parents { return CopyStep.Item(content: .tree(source, match), path: join(target, match.name)) }
        if match.isDirectory { return CopyStep.Item(content: .tree(source, match), path: target, isMerged: isThere) }
        if unpacks {
            let info = try engineCall { () throws(EngineError) in try match.node.status() }
            if info.st_mode & S_IFMT == S_IFREG, try stored({ () throws(StoreError) in try AddedArchive(match.node).isArchive() }) {
                return CopyStep.Item(content: .archive(match), path: target)
            }
        }
        return CopyStep.Item(content: .tree(source, match), path: isDirectory ? join(target, match.name) : target)
    }

    private func join(_ directory: String, _ name: String) -> String {
        directory.isEmpty ? name : name.isEmpty ? directory : directory + "/" + name
    }

    private enum Kind { case missing, directory, other }

    private func kind(of path: String) throws(BuildFailure) -> Kind {
        guard let tree else { return path.isEmpty ? .directory : .missing }
        return try engineCall { () throws(EngineError) in
            guard let node = try engine.open("/" + path, in: tree) else { return .missing }
            return try node.status().isDirectory ? .directory : .other
        }
    }
}
