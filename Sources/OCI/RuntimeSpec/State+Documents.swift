import JSON

extension State {
    /// Reads what `state` printed, or what a hook got.
    ///
    /// - Throws: `.invalidJSON`, `.tooLarge`.
    public static func decode(_ bytes: [UInt8], limits: JSONLimits = .standard) throws(OCIError) -> State {
        try Document.decode(bytes, "parse container state", limits) { (parser: inout JSONParser) throws(JSONError) in
            try State(json: &parser)
        }
    }

    /// Writes the document.
    public func encode(pretty: Bool = false) -> [UInt8] {
        Document.encode(pretty: pretty) { write(to: &$0) }
    }
}

extension ContainerProcessState {
    /// Writes the document, in the compact form: the agent reads one message.
    public func encode() -> [UInt8] {
        Document.encode(pretty: false) { write(to: &$0) }
    }
}

extension Features {
    /// Reads what `features` printed.
    ///
    /// - Throws: `.invalidJSON`, `.tooLarge`.
    public static func decode(_ bytes: [UInt8]) throws(OCIError) -> Features {
        try Document.decode(bytes, "parse runtime features", .standard) { (parser: inout JSONParser) throws(JSONError) in
            try Features(json: &parser)
        }
    }

    /// Writes the document.
    public func encode(pretty: Bool = false) -> [UInt8] {
        Document.encode(pretty: pretty) { write(to: &$0) }
    }
}

extension LinuxResources {
    /// Reads the document of `update --resources`.
    ///
    /// - Throws: `.invalidJSON`, `.tooLarge`.
    public static func decode(_ bytes: [UInt8]) throws(OCIError) -> LinuxResources {
        try Document.decode(bytes, "parse resources", Document.noNUL) { (parser: inout JSONParser) throws(JSONError) in
            try LinuxResources(json: &parser)
        }
    }

    /// Writes the document.
    public func encode(pretty: Bool = false) -> [UInt8] {
        Document.encode(pretty: pretty) { write(to: &$0) }
    }
}

extension Process {
    /// Reads the document of `exec --process`.
    ///
    /// - Throws: `.invalidJSON`, `.tooLarge`.
    public static func decode(_ bytes: [UInt8]) throws(OCIError) -> Process {
        try Document.decode(bytes, "parse process", Document.noNUL) { (parser: inout JSONParser) throws(JSONError) in
            try Process(json: &parser)
        }
    }

    /// Writes the document.
    public func encode(pretty: Bool = false) -> [UInt8] {
        Document.encode(pretty: pretty) { write(to: &$0) }
    }
}

extension LinuxSeccomp {
    /// Reads a seccomp profile in the form of the runtime-spec.
    ///
    /// - Throws: `.invalidJSON`, `.tooLarge`.
    public static func decode(_ bytes: [UInt8]) throws(OCIError) -> LinuxSeccomp {
        try Document.decode(bytes, "parse seccomp profile", Document.noNUL) {
            (parser: inout JSONParser) throws(JSONError) in try LinuxSeccomp(json: &parser)
        }
    }

    /// Writes the document.
    public func encode(pretty: Bool = false) -> [UInt8] {
        Document.encode(pretty: pretty) { write(to: &$0) }
    }
}
