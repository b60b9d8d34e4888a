/// An instruction of a stage, understood. Words still have their variables in them; `StageScope.evaluate` replaces them.
public enum Instruction: Sendable, Hashable {
    case add(AddInstruction)
    case arg(ArgInstruction)
    case cmd(ShellOrExec)
    case copy(CopyInstruction)
    case entrypoint(ShellOrExec)
    case env([NameValue])
    case expose(ExposeInstruction)
    case healthcheck(HealthcheckInstruction)
    case label([NameValue])
    case maintainer(Word)
    case onbuild(OnbuildInstruction)
    case run(RunInstruction)
    case shell([Word])
    case stopsignal(Word)
    case user(Word)
    case volume([Word])
    case workdir(Word)
}

/// An instruction of a stage, with where it came from.
public struct StageCommand: Sendable, Hashable {
    /// As it is written: `run`, `RUN`.
    public var keyword: String
    /// The line with its continuations joined, without white space around it; here-documents are not part of it.
    public var text: String
    public var range: SourceRange
    /// The comments directly above it, without `#`.
    public var comments: [String]
    public var instruction: Instruction
    /// Whether it came with the base image: an ONBUILD trigger.
    public var isTrigger = false
    /// Whether its arguments look like a JSON array and are none.
    public var isBrokenJSON = false
}

/// What a shell or, in the exec form, the kernel shall run: RUN, CMD, ENTRYPOINT.
public struct ShellOrExec: Sendable, Hashable {
    public enum Form: Sendable, Hashable {
        /// One text for the shell.
        case shell(Word)
        /// Words as they are.
        case exec([Word])
        /// No arguments at all: `CMD []` or nothing.
        case none
    }

    public var form: Form
    public var heredocs: [Heredoc] = []

    /// What a RUN instruction runs, here-documents resolved.
    public enum Invocation: Sendable, Hashable {
        case exec([String])
        /// A text for the stage's SHELL.
        case shell(String)
        /// A here-document that begins with `#!`: a file to be made and executed.
        case script(name: String, content: String)
    }

    /// What to run.
    ///
    /// A line that is nothing but `<<EOF` runs the document; any other is given to the shell with its documents behind it, as
    /// they stand, since the shell knows what to do with them.
    public var invocation: Invocation {
        switch form {
        case .none: return .shell("")
        case .exec(let words): return .exec(words.map(\.text))
        case .shell(let word):
            guard let first = heredocs.first else { return .shell(word.text) }
            if (try? Heredoc.mark(word.text)) != nil {
                let content = first.content
                return content.starts("#!") ? .script(name: first.name, content: content) : .shell(content)
            }
            return .shell(heredocs.reduce(word.text) { $0 + "\n" + $1.raw + $1.name })
        }
    }

    /// Whether the stage's SHELL is put before it.
    public var usesShell: Bool { if case .exec = form { false } else { true } }

    /// The words of an image config: with the shell before them in the shell form.
    /// - Parameter shell: the stage's SHELL; Docker's is `/bin/sh -c`.
    public func configured(shell: [String] = ["/bin/sh", "-c"]) -> [String] {
        switch form {
        case .exec(let words): words.map(\.text)
        case .shell(let word): shell + [word.text]
        case .none: shell + [""]
        }
    }
}

/// RUN.
public struct RunInstruction: Sendable, Hashable {
    public enum Network: String, Sendable, Hashable, CaseIterable { case `default`, none, host }
    public enum Security: String, Sendable, Hashable, CaseIterable { case sandbox, insecure }

    public var command: ShellOrExec
    /// `--mount`, unread: their values may have variables.
    public var mounts: [MountFlag] = []
    public var network: Network = .default
    public var security: Security = .sandbox
    public var devices: [DeviceRequest] = []
    /// The names of the flags that stand there.
    public var flagNames: [String] = []
}

/// `--device` of RUN: a CDI device.
public struct DeviceRequest: Sendable, Hashable {
    /// `vendor.com/class=name`, `vendor.com/class`.
    public var name: String
    public var isRequired: Bool
}

/// Where ADD and COPY take from and put to.
public struct Transfer: Sendable, Hashable {
    /// A file whose content stands in the Dockerfile.
    public struct Inline: Sendable, Hashable {
        /// The here-document's word: the file's name.
        public var name: String
        public var content: String
        /// Whether variables in it are replaced.
        public var expands: Bool
        public var range: SourceRange
    }

    public var sources: [Word] = []
    public var inline: [Inline] = []
    public var destination: Word
    public var chown: Word?
    public var chmod: Word?
    public var link = false
    /// `--exclude`: patterns as in .dockerignore. Variables in them are not replaced.
    public var excludes: [Word] = []
}

/// ADD.
public struct AddInstruction: Sendable, Hashable {
    public var transfer: Transfer
    /// nil: not said.
    public var keepGitDirectory: Bool?
    /// nil: archives of the context are unpacked, those from URLs are not.
    public var unpack: Bool?
    public var checksum: Word?
}

/// COPY.
public struct CopyInstruction: Sendable, Hashable {
    public var transfer: Transfer
    /// `--from`: the name or number of a stage, a named context or an image. Has no variables.
    public var from: Word?
    public var parents = false
}

/// ARG, with one name or several.
public struct ArgInstruction: Sendable, Hashable {
    public struct Argument: Sendable, Hashable {
        public var name: Word
        /// The default; nil without `=`.
        public var value: Word?
        /// From the comment `# NAME text` above it.
        public var description: String
    }

    public var arguments: [Argument]
}

/// EXPOSE; `EvaluatedCommand.ports` has what its words mean.
public struct ExposeInstruction: Sendable, Hashable {
    /// `80`, `80/udp`, `8000-8010/tcp`, sorted.
    public var ports: [Word]
}

/// HEALTHCHECK.
public struct HealthcheckInstruction: Sendable, Hashable {
    public enum Test: Sendable, Hashable {
        /// NONE: a check of the base image is not made.
        case none
        case exec([String])
        case shell(String)
    }

    public var test: Test
    /// Nanoseconds, as the next three; 0: not said.
    public var interval: Int64 = 0
    public var timeout: Int64 = 0
    public var startPeriod: Int64 = 0
    public var startInterval: Int64 = 0
    /// 0: not said.
    public var retries: Int32 = 0

    /// As an image config has it: `["CMD-SHELL", "…"]`.
    public var words: [String] {
        switch test {
        case .none: ["NONE"]
        case .exec(let words): ["CMD"] + words
        case .shell(let text): ["CMD-SHELL", text]
        }
    }
}

/// ONBUILD: an instruction for builds that begin with this image.
public struct OnbuildInstruction: Sendable, Hashable {
    /// The instruction as an image config keeps it, with its here-documents.
    public var expression: String
}
