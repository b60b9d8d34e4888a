import JSON
import OCI

extension SeccompProfile {
    /// Reads a profile file as `--security-opt seccomp=FILE` takes it.
    ///
    /// Knows Docker's format, its oldest one with one `name` per rule, Podman's additions (`errno` and `defaultErrno`
    /// by name) and a plain OCI configuration. Unknown fields are ignored.
    /// - Throws: `.invalidProfile` for malformed JSON, for no default action, for both `architectures` and `archMap`,
    ///   for a rule without or with two kinds of names, and for values of another type.
    public init(json bytes: [UInt8]) throws(SeccompError) {
        let document: JSONValue
        do throws(JSONError) {
            document = try JSONValue.parse(bytes)
        } catch {
            throw Self.refused("", error.reason)
        }
        guard document.object != nil else { throw Self.refused("", "not an object") }
        let action = try document.text("defaultAction")
        guard !action.isEmpty else { throw Self.refused("defaultAction", "missing") }
        var base = LinuxSeccomp(defaultAction: action)
        base.defaultErrnoRet = try document.errno("defaultErrnoRet", "defaultErrno")
        base.architectures = try document.texts("architectures")
        base.flags = try document.texts("flags")
        base.listenerPath = try document.text("listenerPath")
        base.listenerMetadata = try document.text("listenerMetadata")
        self.init(base: base)
        for entry in try document.list("archMap") {
            architectureMap.append((try entry.text("architecture"), try entry.texts("subArchitectures")))
        }
        if !base.architectures.isEmpty && !architectureMap.isEmpty {
            throw Self.refused("archMap", "the profile also has \"architectures\": keep one of them")
        }
        for rule in try document.list("syscalls") { rules.append(try Rule(json: rule)) }
    }

    static func refused(_ object: String, _ cause: String) -> SeccompError {
        SeccompError(code: .invalidProfile, operation: "read seccomp profile", object: object, cause: cause)
    }
}

extension SeccompProfile.Rule {
    fileprivate init(json: JSONValue) throws(SeccompError) {
        var syscall = LinuxSyscall(names: try json.texts("names"), action: try json.text("action"))
        let name = try json.text("name")
        if !name.isEmpty {
            guard syscall.names.isEmpty else {
                throw SeccompProfile.refused(name, "the rule has both \"name\" and \"names\": keep one of them")
            }
            syscall.names = [name]
        }
        if syscall.names.isEmpty || syscall.names.contains("") {
            throw SeccompProfile.refused("names", "a rule without a system call")
        }
        syscall.errnoRet = try json.errno("errnoRet", "errno")
        for argument in try json.list("args") {
            syscall.args.append(
                LinuxSeccompArg(
                    index: UInt32(clamping: try argument.number("index") ?? 0),
                    value: try argument.number("value") ?? 0, valueTwo: try argument.number("valueTwo") ?? 0,
                    op: try argument.text("op")))
        }
        self.init(syscall)
        includes = try SeccompProfile.Filter(json: json["includes"])
        excludes = try SeccompProfile.Filter(json: json["excludes"])
    }
}

extension SeccompProfile.Filter {
    fileprivate init(json: JSONValue?) throws(SeccompError) {
        self.init()
        guard let json, !json.isNull else { return }
        guard json.object != nil else { throw SeccompProfile.refused("includes", "not an object") }
        capabilities = try json.texts("caps")
        architectures = try json.texts("arches")
        let version = try json.text("minKernel")
        if version.isEmpty { return }
        // Exactly "<kernel>.<major>", as Docker wants it.
        guard let parsed = KernelVersion(release: version), parsed.description == version else {
            throw SeccompProfile.refused(version, "a kernel version is two numbers, as in 4.8")
        }
        minimumKernel = parsed
    }
}

// MARK: Members, absent and null alike

extension JSONValue {
    private func member(_ key: String) -> JSONValue? {
        guard let value = self[key], !value.isNull else { return nil }
        return value
    }

    fileprivate func text(_ key: String) throws(SeccompError) -> String {
        guard let value = member(key) else { return "" }
        guard let text = value.string else { throw SeccompProfile.refused(key, "not a string") }
        return text
    }

    fileprivate func list(_ key: String) throws(SeccompError) -> [JSONValue] {
        guard let value = member(key) else { return [] }
        guard let list = value.array else { throw SeccompProfile.refused(key, "not an array") }
        return list
    }

    fileprivate func texts(_ key: String) throws(SeccompError) -> [String] {
        var texts: [String] = []
        for element in try list(key) {
            guard let text = element.string else { throw SeccompProfile.refused(key, "not an array of strings") }
            texts.append(text)
        }
        return texts
    }

    fileprivate func number(_ key: String) throws(SeccompError) -> UInt64? {
        guard let value = member(key) else { return nil }
        guard let number = value.uint else { throw SeccompProfile.refused(key, "not an unsigned integer") }
        return number
    }

    /// An errno by number or, failing that, by name.
    fileprivate func errno(_ numberKey: String, _ nameKey: String) throws(SeccompError) -> UInt32? {
        if let number = try number(numberKey) { return UInt32(clamping: number) }
        let name = try text(nameKey)
        if name.isEmpty { return nil }
        guard let number = ErrnoNames.number(of: name) else {
            throw SeccompProfile.refused(name, "unknown errno")
        }
        return number
    }
}
