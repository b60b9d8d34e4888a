import OCI

extension Engine {
    /// The CDI devices that can be asked for here now.
    ///
    /// - Throws: `.invalid` for a configuration that cannot be read.
    func devices() throws(EngineError) -> CDIRegistry {
        if !deviceDirectories.isEmpty { return CDIRegistry(directories: deviceDirectories) }
        return CDIRegistry(directories: try Configuration.load().deviceDirectories)
    }

    /// The spec with what these devices need, as their specifications are now.
    ///
    /// - Throws: `.notFound` for a device that nobody describes, and for what a specification names and this host has not.
    func adding(_ requests: [DriverDeviceRequest], to spec: Spec, _ builder: SpecBuilder) throws(EngineError) -> Spec {
        if requests.isEmpty { return spec }
        let registry = try devices()
        var names: [CDIName] = []
        for request in requests { names += try request.names(in: registry) }
        var place = CDIEditor.Place()
        place.bindsDevices = builder.bindsDevices
        place.isRootless = host.isRootless
        place.hasOwnNetwork = builder.ownNetwork
        place.hasExternalRuntime = !builder.definition.runtime.isEmpty
        place.gidMappings = builder.inputs.gidMappings
        return try CDIEditor.edited(spec, try registry.changes(for: names), place)
    }
}
