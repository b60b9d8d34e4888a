import Glibc
import Linux
import OCI
import Store

/// What `commit` asks for besides the container.
public struct CommitOptions: Sendable {
    /// `REPOSITORY[:TAG]`; empty: the image gets no name.
    public var name = ""
    public var author = ""
    public var message = ""
    /// Instructions in the language of Dockerfiles.
    public var changes: [String] = []
    public var pauses = true
    public init() {}
}

extension Engine {
    /// Makes an image from a container's changes. A user's in the user namespace.
    ///
    /// What is in volumes and binds is not part of it.
    /// - Returns: the image's id.
    public func commit(_ text: String, _ options: CommitOptions) throws(EngineError) -> String {
        // Everything that was typed is checked before the container is paused.
        var name: Reference?
        if !options.name.isEmpty {
            do throws(OCIError) { name = try Reference.parse(options.name).withDefaultTag } catch { throw .invalid(error.description) }
            if name?.digest != nil { throw .invalid("refusing to create a tag with a digest reference") }
        }
        _ = try Configuration.load()
        raiseDescriptorLimit()
        let view = try container(text)
        let definition = view.definition
        let store = try self.store()
        let image: ImageConfig
        do throws(StoreError) { image = try store.imageConfig(id: definition.imageID) } catch {
            guard error.code == .notFound else { throw EngineError(error) }
            throw EngineError(
                .notFound, sentence: "the image of container \(view.name) (\(definition.imageID)) was removed: load or pull it again")
        }
        let config = try ImageChanges(options.changes, to: try config(of: definition, on: image.config)).config
        let upper = try during("open layer of container", view.name) { () throws(SystemError) in
            SharedFD(try FD.cwd.open(roots.container(view.id) + "/upper", [.path, .directory, .noFollow]))
        }
        let request = CommitRequest(
            imageID: definition.imageID, upper: upper, ids: try idTranslation(definition), marks: OverlayMarks(isUser: marksAreUser),
            name: name, config: config, author: options.author, message: options.message,
            createdBy: definition.command.joined(separator: " "))
        var id = ""
        if options.pauses {
            try pausing(view) { (resume) throws(EngineError) in
                var request = request
                request.whenRead = resume
                id = try stored { () throws(StoreError) in try store.commit(request).id }
            }
        } else {
            id = try stored { () throws(StoreError) in try store.commit(request).id }
        }
        try collectImages(keeping: [id])
        return id
    }

    /// A container's own settings as those of an image, with what only its image says.
    private func config(of definition: ContainerDefinition, on image: ContainerConfig) throws(EngineError) -> ContainerConfig {
        var result = image
        result.user = definition.user
        result.env = definition.environment
        result.entrypoint = definition.entrypoint.isEmpty ? nil : definition.entrypoint
        result.cmd = definition.command.isEmpty ? nil : definition.command
        if definition.workingDirectory != "/" || !image.workingDir.isEmpty { result.workingDir = definition.workingDirectory }
        // Not what an image may not give its containers, and has all the same.
        result.labels.merge(definition.labels) { $1 }
        for ports in definition.exposed.map(\.text) where !result.exposedPorts.contains(ports) { result.exposedPorts.append(ports) }
        for mount in definition.mounts where mount.isAnonymous && !result.volumes.contains(mount.target) {
            result.volumes.append(mount.target)
        }
        let signal = image.stopSignal.isEmpty ? nil : try? SignalName.parse(image.stopSignal)
        if definition.stopSignal != signal ?? 15 { result.stopSignal = SignalName.text(definition.stopSignal) }
        // Completed from the image's when the container was made.
        if let check = definition.health?.check { result.healthcheck = check }
        // As docker: triggers are for the next build from the image, and are not handed on.
        result.onBuild = []
        return result
    }
}
