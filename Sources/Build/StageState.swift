import Dockerfile
import Engine
import OCI
import Store

/// How far a stage has come.
struct StageState {
    /// Lowest first.
    var layers: [BuiltLayer]
    var config: ContainerConfig
    var history: [History]
    var platform: Platform
    var author = ""
    /// When its newest layer was made, nanoseconds since 1970: what only changes the config makes the image no newer, and a build of known
    /// steps gives the image that was built before.
    var created: Int64
    var scope: StageScope
    /// CMD of this stage, not of its base: ENTRYPOINT clears an inherited one.
    var hasOwnCommand = false

    var top: Digest? { layers.last?.chainID }

    var shell: [String] { config.shell.isEmpty ? ["/bin/sh", "-c"] : config.shell }

    var workingDirectory: String { config.workingDir.isEmpty ? "/" : config.workingDir }

    /// A path of an instruction, from the working directory; a slash at its end stays.
    func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        return (workingDirectory.hasSuffix("/") ? workingDirectory : workingDirectory + "/") + path
    }

    /// The components of an absolute path, clean and without a slash at the beginning.
    static func relative(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }
}
