/// A rule of `build --check`, with Docker's name and text.
///
/// Spec: Docker's "Build checks" reference.
public struct LintRule: Sendable, Hashable {
    public let name: String
    /// What the rule is for, in one sentence.
    public let description: String
    /// Where Docker explains it; empty where it does not.
    public let url: String
    /// Whether it is only looked at when it is asked for.
    public let isExperimental: Bool

    private init(_ name: String, _ description: String, page: String? = nil, experimental: Bool = false) {
        self.name = name
        self.description = description
        url = page.map { "https://docs.docker.com/go/dockerfile/rule/\($0)/" } ?? ""
        isExperimental = experimental
    }

    public static let stageNameCasing = LintRule("StageNameCasing", "Stage names should be lowercase", page: "stage-name-casing")
    public static let fromAsCasing = LintRule(
        "FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword", page: "from-as-casing")
    public static let noEmptyContinuation = LintRule(
        "NoEmptyContinuation", "Empty continuation lines will become errors in a future release", page: "no-empty-continuation")
    public static let consistentInstructionCasing = LintRule(
        "ConsistentInstructionCasing", "All commands within the Dockerfile should use the same casing (either upper or lower)",
        page: "consistent-instruction-casing")
    public static let duplicateStageName = LintRule(
        "DuplicateStageName", "Stage names should be unique", page: "duplicate-stage-name")
    public static let reservedStageName = LintRule(
        "ReservedStageName", "Reserved words should not be used as stage names", page: "reserved-stage-name")
    public static let jsonArgsRecommended = LintRule(
        "JSONArgsRecommended",
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
        page: "json-args-recommended")
    public static let maintainerDeprecated = LintRule(
        "MaintainerDeprecated", "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
        page: "maintainer-deprecated")
    public static let undefinedArgInFrom = LintRule(
        "UndefinedArgInFrom", "FROM command must use declared ARGs", page: "undefined-arg-in-from")
    public static let workdirRelativePath = LintRule(
        "WorkdirRelativePath",
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
        page: "workdir-relative-path")
    public static let undefinedVar = LintRule(
        "UndefinedVar", "Variables should be defined before their use", page: "undefined-var")
    public static let multipleInstructionsDisallowed = LintRule(
        "MultipleInstructionsDisallowed", "Multiple instructions of the same type should not be used in the same stage",
        page: "multiple-instructions-disallowed")
    public static let legacyKeyValueFormat = LintRule(
        "LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used",
        page: "legacy-key-value-format")
    /// Needs the base image: `Linter` does not look at it, `basePlatform(…)` has its text.
    public static let invalidBaseImagePlatform = LintRule(
        "InvalidBaseImagePlatform", "Base image platform does not match expected target platform")
    public static let redundantTargetPlatform = LintRule(
        "RedundantTargetPlatform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
        page: "redundant-target-platform")
    public static let secretsUsedInArgOrEnv = LintRule(
        "SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands",
        page: "secrets-used-in-arg-or-env")
    public static let invalidDefaultArgInFrom = LintRule(
        "InvalidDefaultArgInFrom", "Default value for global ARG results in an empty or invalid base image name",
        page: "invalid-default-arg-in-from")
    public static let fromPlatformFlagConstDisallowed = LintRule(
        "FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value",
        page: "from-platform-flag-const-disallowed")
    public static let copyIgnoredFile = LintRule(
        "CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore", page: "copy-ignored-file")
    public static let invalidDefinitionDescription = LintRule(
        "InvalidDefinitionDescription",
        "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
        page: "invalid-definition-description", experimental: true)
    public static let exposeProtoCasing = LintRule(
        "ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase", page: "expose-proto-casing")
    public static let exposeInvalidFormat = LintRule(
        "ExposeInvalidFormat",
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
        page: "expose-invalid-format")
    /// Ours: Docker gives what looks like an array and is none to the shell without a word.
    public static let brokenJSONArgs = LintRule(
        "BrokenJSONArgs", "Arguments that look like a JSON array and are none are given to the shell", experimental: true)

    public static let all = [
        stageNameCasing, fromAsCasing, noEmptyContinuation, consistentInstructionCasing, duplicateStageName, reservedStageName,
        jsonArgsRecommended, maintainerDeprecated, undefinedArgInFrom, workdirRelativePath, undefinedVar,
        multipleInstructionsDisallowed, legacyKeyValueFormat, invalidBaseImagePlatform, redundantTargetPlatform,
        secretsUsedInArgOrEnv, invalidDefaultArgInFrom, fromPlatformFlagConstDisallowed, copyIgnoredFile,
        invalidDefinitionDescription, exposeProtoCasing, exposeInvalidFormat, brokenJSONArgs,
    ]
}
