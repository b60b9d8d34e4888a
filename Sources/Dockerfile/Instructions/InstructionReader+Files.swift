/// ADD, COPY and RUN.
extension InstructionReader {
    static func add(_ statement: Statement) throws(InstructionFailure) -> AddInstruction {
        if statement.arguments.count < 2 { throw noDestination("ADD") }
        let flags = try FlagReader(
            statement.flags,
            [
                ("chown", .string), ("chmod", .string), ("link", .bool), ("keep-git-dir", .bool), ("checksum", .string),
                ("unpack", .bool), ("exclude", .strings),
            ])
        return AddInstruction(
            transfer: try transfer(statement, flags, "ADD"), keepGitDirectory: flags.bool("keep-git-dir"), unpack: flags.bool("unpack"),
            checksum: flags.filled("checksum"))
    }

    static func copy(_ statement: Statement) throws(InstructionFailure) -> CopyInstruction {
        if statement.arguments.count < 2 { throw noDestination("COPY") }
        let flags = try FlagReader(
            statement.flags,
            [
                ("chown", .string), ("from", .string), ("chmod", .string), ("link", .bool), ("exclude", .strings),
                ("parents", .bool),
            ])
        let from = flags.filled("from")
        if let from { try refuseVariables(from) }
        return CopyInstruction(
            transfer: try transfer(statement, flags, "COPY"), from: from, parents: flags.bool("parents") ?? false)
    }

    /// Which stages a build needs must be known before any variable of a stage is.
    private static func refuseVariables(_ from: Word) throws(InstructionFailure) {
        let expanded = try? WordExpander().expand(from.text, in: BuildEnvironment())
        guard expanded?.text == from.text else {
            throw InstructionFailure(
                "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
                from.range)
        }
    }

    private static func transfer(_ statement: Statement, _ flags: FlagReader, _ name: String) throws(InstructionFailure) -> Transfer {
        let destination = statement.arguments[statement.arguments.count - 1]
        if (try? Heredoc.mark(destination.text)) != nil {
            throw InstructionFailure("\(name) cannot accept a heredoc as a destination", destination.range)
        }
        var transfer = Transfer(destination: destination)
        for word in statement.arguments.dropLast() {
            guard !statement.isJSON, let mark = try? Heredoc.mark(word.text) else {
                transfer.sources.append(word)
                continue
            }
            // Of documents of one name the last one counts.
            let document = statement.heredocs.last { $0.name == mark.name }
            transfer.inline.append(
                Transfer.Inline(
                    name: mark.name, content: document?.content ?? "", expands: mark.expands, range: document?.range ?? word.range))
        }
        transfer.chown = flags.filled("chown")
        transfer.chmod = flags.filled("chmod")
        transfer.link = flags.bool("link") ?? false
        transfer.excludes = flags.strings("exclude")
        return transfer
    }

    static func run(_ statement: Statement) throws(InstructionFailure) -> RunInstruction {
        let flags = try FlagReader(
            statement.flags, [("mount", .strings), ("network", .string), ("security", .string), ("device", .strings)])
        var run = RunInstruction(command: commandLine(statement))
        run.flagNames = flags.names
        for word in flags.strings("mount") { run.mounts.append(try MountFlag(word)) }
        for word in flags.strings("device") { run.devices.append(try DeviceRequest(word)) }
        if let word = flags.string("network") {
            guard let network = RunInstruction.Network(rawValue: word.text) else {
                throw InstructionFailure("invalid network mode \(Quoted.short(word.text))", word.range)
            }
            run.network = network
        }
        if let word = flags.string("security") {
            guard let security = RunInstruction.Security(rawValue: word.text) else {
                throw InstructionFailure("security \(Quoted.short(word.text)) is not valid", word.range)
            }
            run.security = security
        }
        return run
    }
}
