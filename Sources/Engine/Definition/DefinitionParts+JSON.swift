import JSON

extension MountDefinition {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("type", kind.rawValue)
            writer.fieldIfNotEmpty("source", source)
            writer.field("target", target)
            writer.fieldIfNotEmpty("base", base)
            writer.fieldIfTrue("readOnly", readOnly)
            if recursiveReadOnly != .ifPossible { writer.field("recursiveReadOnly", recursiveReadOnly.rawValue) }
            writer.fieldIfNotEmpty("propagation", propagation)
            writer.fieldIfTrue("nonRecursive", !recursive)
            writer.fieldIfTrue("createSource", createSource)
            writer.fieldIfTrue("noCopy", noCopy)
            writer.fieldIfNotEmpty("subpath", subpath)
            writer.fieldIfTrue("changeOwner", changeOwner)
            writer.fieldIfNotEmpty("label", label.rawValue)
            writer.fieldIfNotZero("tmpfsSize", tmpfsSize)
            writer.fieldIfPresent("tmpfsMode", tmpfsMode)
            writer.fieldIfNotEmpty("options", options)
            writer.fieldIfNotEmpty("volumeLabels", volumeLabels)
            writer.fieldIfTrue("anonymous", isAnonymous)
            writer.fieldIfNotEmpty("volumeOptions", volumeOptions)
            writer.fieldIfTrue("overlay", isOverlay)
            writer.fieldIfTrue("idMapped", isIDMapped)
            writer.fieldIfTrue("inherited", isInherited)
            writer.fieldIfNotEmpty("imageID", imageID)
            writer.fieldIfNotEmpty("layers", layers)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init(.bind, target: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "type": kind = Kind(rawValue: try parser.string()) ?? .bind
            case "source": source = try parser.string()
            case "target": target = try parser.string()
            case "base": base = try parser.string()
            case "readOnly": readOnly = try parser.bool()
            case "recursiveReadOnly":
                recursiveReadOnly = RecursiveReadOnly(rawValue: try parser.string()) ?? .ifPossible
            case "propagation": propagation = try parser.string()
            case "nonRecursive": recursive = !(try parser.bool())
            case "createSource": createSource = try parser.bool()
            case "noCopy": noCopy = try parser.bool()
            case "subpath": subpath = try parser.string()
            case "changeOwner": changeOwner = try parser.bool()
            case "label": label = Label(rawValue: try parser.string()) ?? .none
            case "tmpfsSize": tmpfsSize = try parser.int()
            case "tmpfsMode": tmpfsMode = try parser.int()
            case "options": options = try parser.strings()
            case "volumeLabels": volumeLabels = try parser.stringDictionary()
            case "anonymous": isAnonymous = try parser.bool()
            case "volumeOptions": volumeOptions = try parser.stringDictionary()
            case "overlay": isOverlay = try parser.bool()
            case "idMapped": isIDMapped = try parser.bool()
            case "inherited": isInherited = try parser.bool()
            case "imageID": imageID = try parser.string()
            case "layers": layers = try parser.strings()
            default: try parser.skip()
            }
        }
    }
}

extension SecurityOptions {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            switch seccomp {
            case .builtin: break
            case .nested: writer.field("seccomp", "nested")
            case .unconfined: writer.field("seccomp", "unconfined")
            case .profile(let text): writer.field("seccompProfile", text)
            }
            writer.fieldIfNotEmpty("appArmor", appArmor)
            writer.fieldIfNotEmpty("labels", labels)
            writer.fieldIfTrue("noNewPrivileges", noNewPrivileges)
            writer.fieldIfTrue("unconfinedSystemPaths", unconfinedSystemPaths)
            writer.fieldIfNotEmpty("mask", mask)
            writer.fieldIfNotEmpty("unmask", unmask)
            writer.fieldIfNotEmpty("source", source)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "seccomp":
                // An unknown word of a newer version must not turn a filter off.
                switch try parser.string() {
                case "unconfined": seccomp = .unconfined
                case "nested": seccomp = .nested
                default: seccomp = .builtin
                }
            case "seccompProfile": seccomp = .profile(try parser.string())
            case "appArmor": appArmor = try parser.string()
            case "labels": labels = try parser.strings()
            case "noNewPrivileges": noNewPrivileges = try parser.bool()
            case "unconfinedSystemPaths": unconfinedSystemPaths = try parser.bool()
            case "mask": mask = try parser.strings()
            case "unmask": unmask = try parser.strings()
            case "source": source = try parser.strings()
            default: try parser.skip()
            }
        }
    }
}

extension ResourceRequest {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.fieldIfPresent("memory", memory)
            writer.fieldIfPresent("memoryReservation", memoryReservation)
            writer.fieldIfPresent("memorySwap", memorySwap)
            writer.fieldIfPresent("memorySwappiness", memorySwappiness)
            writer.fieldIfPresent("nanoCPUs", nanoCPUs)
            writer.fieldIfPresent("cpuShares", cpuShares)
            writer.fieldIfPresent("cpuPeriod", cpuPeriod)
            writer.fieldIfPresent("cpuQuota", cpuQuota)
            writer.fieldIfPresent("cpuRealtimePeriod", cpuRealtimePeriod)
            writer.fieldIfPresent("cpuRealtimeRuntime", cpuRealtimeRuntime)
            writer.fieldIfNotEmpty("cpusetCPUs", cpusetCPUs)
            writer.fieldIfNotEmpty("cpusetMems", cpusetMems)
            writer.fieldIfPresent("blockIOWeight", blockIOWeight)
            writer.arrayIfNotEmpty("deviceLimits", deviceLimits) { writer, limit in limit.write(to: &writer) }
            writer.fieldIfPresent("pidsLimit", pidsLimit)
            writer.fieldIfTrue("disableOOMKiller", disableOOMKiller)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "memory": memory = try parser.int()
            case "memoryReservation": memoryReservation = try parser.int()
            case "memorySwap": memorySwap = try parser.int()
            case "memorySwappiness": memorySwappiness = try parser.int()
            case "nanoCPUs": nanoCPUs = try parser.int()
            case "cpuShares": cpuShares = try parser.int()
            case "cpuPeriod": cpuPeriod = try parser.int()
            case "cpuQuota": cpuQuota = try parser.int()
            case "cpuRealtimePeriod": cpuRealtimePeriod = try parser.int()
            case "cpuRealtimeRuntime": cpuRealtimeRuntime = try parser.int()
            case "cpusetCPUs": cpusetCPUs = try parser.string()
            case "cpusetMems": cpusetMems = try parser.string()
            case "blockIOWeight": blockIOWeight = try parser.int()
            case "deviceLimits": deviceLimits = try parser.array(DeviceLimit.init(json:))
            case "pidsLimit": pidsLimit = try parser.int()
            case "disableOOMKiller": disableOOMKiller = try parser.bool()
            default: try parser.skip()
            }
        }
    }
}
