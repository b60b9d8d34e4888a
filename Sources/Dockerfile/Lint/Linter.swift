import OCI

/// Looks for what is allowed in a Dockerfile and should not be there.
///
/// It goes through every stage as a build would, but runs nothing and fetches nothing: what base images have in their environment
/// comes from the caller. Where that is not known, variables cannot be called undefined.
public struct Linter {
    public struct Options {
        /// The file's own `# check=` holds where this is nil; BUILDKIT_DOCKERFILE_CHECK goes before both.
        public var rules: LintOptions?
        /// Only the stages that this one needs; empty: all.
        public var target = ""
        /// The context's ignore patterns; nil without such a file.
        public var ignored: PathMatcher?
        /// The environment of an image that FROM names, as its config has it; nil: not known.
        public var environment: (String) -> [String]? = { _ in nil }

        public init() {}
    }

    let file: ParsedDockerfile
    let scope: ScopeOptions
    let options: Options
    var rules: LintOptions
    private(set) var warnings: [Diagnostic] = []

    /// Nobody reads more, and each has its lines with it.
    static let warningLimit = 1000

    /// Checks a file.
    ///
    /// - Returns: with the first error where the file cannot be built.
    public static func check(_ source: SourceText, _ scope: ScopeOptions, _ options: Options = Options()) -> LintReport {
        let file: ParsedDockerfile
        do throws(Diagnostic) {
            file = try ParsedDockerfile.parse(source)
        } catch { return LintReport(warnings: [], error: error) }
        return check(file, scope, options)
    }

    public static func check(_ file: ParsedDockerfile, _ scope: ScopeOptions, _ options: Options = Options()) -> LintReport {
        var linter = Linter(file, scope, options)
        var report = LintReport(warnings: [], error: nil)
        do throws(Diagnostic) {
            try linter.readRules()
            linter.checkFile()
            try linter.checkEvaluated()
        } catch { report.error = error }
        report.warnings = linter.sorted
        report.failsOnWarnings = linter.rules.failsOnWarnings
        return report
    }

    private init(_ file: ParsedDockerfile, _ scope: ScopeOptions, _ options: Options) {
        self.file = file
        self.scope = scope
        self.options = options
        rules = LintOptions()
    }

    private mutating func readRules() throws(Diagnostic) {
        let directive = file.directive(.check)
        let argument = scope.buildArguments.value(of: "BUILDKIT_DOCKERFILE_CHECK")
        do throws(PatternError) {
            if let argument {
                rules = try LintOptions(argument)
            } else if let given = options.rules {
                rules = given
            } else if let value = directive?.value {
                rules = try LintOptions(value.cut(Byte.space)?.0 ?? value)
            }
        } catch {
            throw Diagnostic(
                .error, .file, "failed to parse check options: \(error.message)", argument == nil ? directive?.range : nil)
        }
    }

    /// By line; those of one line in the order in which they were found.
    private var sorted: [Diagnostic] {
        warnings.enumerated().sorted { one, other in
            (one.element.range?.start.line ?? 0, one.offset) < (other.element.range?.start.line ?? 0, other.offset)
        }.map(\.element)
    }

    mutating func warn(
        _ rule: LintRule, _ message: String, _ range: SourceRange, focus: SourceRange? = nil, comments: [String] = []
    ) {
        guard warnings.count < Self.warningLimit, rules.merged(comments).includes(rule) else { return }
        warnings.append(Diagnostic(.warning, .lint, rule: rule, message, range, focus: focus))
    }

    /// InvalidBaseImagePlatform for whoever has fetched the image.
    ///
    /// - Returns: nil where the platforms agree.
    public static func basePlatform(
        _ image: String, of stage: Stage, expected: Platform, actual: Platform, _ rules: LintOptions = LintOptions()
    ) -> Diagnostic? {
        guard expected.os != actual.os || expected.architecture != actual.architecture,
            rules.merged(stage.comments).includes(.invalidBaseImagePlatform)
        else { return nil }
        let (wanted, found) = (Quoted.text(expected.normalized.description), Quoted.text(actual.normalized.description))
        return Diagnostic(
            .warning, .lint, rule: .invalidBaseImagePlatform,
            "Base image \(image) was pulled with platform \(found), expected \(wanted) for current build", stage.range,
            focus: stage.base.range)
    }
}
