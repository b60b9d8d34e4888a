/// The rows of the reference table: kind, instruction, name, and the tests that show it, parted by tabs.
enum DockerfileRows {
    static let text = """
        instruction	FROM	FROM [--platform=P] image[:tag|@digest] [AS stage]	fromNamesABaseAndAStage basesAreStagesOrImages
        flag	FROM	--platform	platformsArePredefined badPlatformsAreRefused
        flag	FROM	--after	stagesCanBeOrdered
        instruction	RUN	RUN [OPTIONS] cmd | ["exec"] | heredoc	runHasItsForms aLoneDocumentIsWhatRunRuns
        flag	RUN	--mount	bindIsTheDefaultAndReadOnly
        flag	RUN	--network	runHasFlags
        flag	RUN	--security	runHasFlags
        flag	RUN	--device	runHasFlags
        mount	RUN	type=bind	bindIsTheDefaultAndReadOnly
        mount	RUN	type=cache	cachesAreWritableAndShared
        mount	RUN	type=tmpfs	tmpfsHasASize
        mount	RUN	type=secret	secretsAreFilesOrVariables
        mount	RUN	type=ssh	agentsHaveADefaultName
        mount option	RUN	type=bind z/Z/U, relabel, chown	mountsCanBeRelabelledAndOwned
        instruction	CMD	CMD ["exec"] | shell | ["params"]	runHasItsForms
        instruction	LABEL	LABEL k=v ...	envAndLabelHaveTwoForms
        instruction	MAINTAINER	MAINTAINER name	singleWordsKeepTheirBlanks maintainerDeprecated
        instruction	EXPOSE	EXPOSE port[/tcp|udp|sctp] ranges	portsAreRead modesAndPortsAreReady
        instruction	ENV	ENV k=v ... | legacy ENV k v	envAndLabelHaveTwoForms legacyKeyValueFormat
        instruction	ADD	ADD [OPTIONS] src... dest | JSON	addHasAllItsFlags otherSourcesAreFilesAndURLs gitURLsAreRepositories
        flag	ADD	--keep-git-dir	addHasAllItsFlags
        flag	ADD	--checksum	evaluatedInstructionsAreRefusedWithDockersWords queriesSayMore
        flag	ADD	--chmod	modesAreChanged modesAndPortsAreReady
        flag	ADD	--chown	wordsAreExpandedWhereDockerDoes ownersAreUserAndGroup
        flag	ADD	--link	addHasAllItsFlags
        flag	ADD	--unpack	addHasAllItsFlags
        flag	ADD	--exclude	addHasAllItsFlags patternsLeaveOut
        feature	ADD	http auth secrets	solver
        instruction	COPY	COPY [OPTIONS] src... dest | JSON | heredoc	copyHasAllItsFlags wildcardsAreFileNames filesInAnArrayMayHaveBlanks
        flag	COPY	--from	copyAndMountsMakeDependencies
        flag	COPY	--chmod	modesAreChanged modesAndPortsAreReady
        flag	COPY	--chown	wordsAreExpandedWhereDockerDoes ownersAreUserAndGroup
        flag	COPY	--link	copyHasAllItsFlags
        flag	COPY	--parents	copyHasAllItsFlags parentsKeepsWhatIsBehindThePivot
        flag	COPY	--exclude	copyHasAllItsFlags patternsLeaveOut
        instruction	ENTRYPOINT	exec | shell	runHasItsForms
        instruction	VOLUME	JSON | plain	volumesAreWordsOrAnArray
        instruction	USER	user[:group] | UID[:GID]	singleWordsKeepTheirBlanks
        instruction	WORKDIR	path (created, variables)	singleWordsKeepTheirBlanks workdirRelativePath
        instruction	ARG	ARG name[=default] ...	argTakesSeveralNames stagesSeeGlobalArgumentsOnlyWhenTheyAsk
        instruction	ONBUILD	ONBUILD INSTRUCTION	onbuildKeepsItsInstruction triggersComeFirst
        instruction	STOPSIGNAL	SIGNAME|number	singleWordsKeepTheirBlanks
        instruction	HEALTHCHECK	[OPTIONS] CMD ... | NONE	healthcheckHasItsForms
        flag	HEALTHCHECK	--interval	healthcheckHasItsForms
        flag	HEALTHCHECK	--timeout	healthcheckHasItsForms
        flag	HEALTHCHECK	--start-period	healthcheckHasItsForms
        flag	HEALTHCHECK	--start-interval	healthcheckHasItsForms
        flag	HEALTHCHECK	--retries	healthcheckHasItsForms
        instruction	SHELL	["exe","args"]	shellIsAnArray
        heredoc	RUN/COPY/ADD	<<EOF	bodiesEndAtTheirWord aLoneDocumentIsWhatRunRuns
        heredoc	RUN/COPY/ADD	<<-EOF	tabsAreStrippedWithADash
        heredoc	RUN/COPY/ADD	<<"EOF"	quotedWordsDoNotExpand variablesInDocumentsAreReplacedUnlessQuoted
        heredoc	RUN/COPY/ADD	COPY <<EOF file	severalStandBehindEachOther addTakesThemToo
        parser directive		# syntax=	directivesAtTheTopAreRead theFrontendIsFoundInEveryFormat
        parser directive		# escape=	theBacktickContinuesWhereItIsTheEscape
        parser directive		# check=	rulesCanBeSkipped warningsCanFailTheBuild
        predefined ARG	ARG	HTTP_PROXY	proxiesAreGivenToRunInBothCases proxiesAreNoVariablesOfWords
        predefined ARG	ARG	http_proxy	proxiesAreGivenToRunInBothCases proxiesAreNoVariablesOfWords
        predefined ARG	ARG	HTTPS_PROXY	proxiesAreGivenToRunInBothCases proxiesAreNoVariablesOfWords
        predefined ARG	ARG	https_proxy	proxiesAreGivenToRunInBothCases proxiesAreNoVariablesOfWords
        predefined ARG	ARG	FTP_PROXY	proxiesAreGivenToRunInBothCases proxiesAreNoVariablesOfWords
        predefined ARG	ARG	ftp_proxy	proxiesAreGivenToRunInBothCases proxiesAreNoVariablesOfWords
        predefined ARG	ARG	NO_PROXY	proxiesAreGivenToRunInBothCases proxiesAreNoVariablesOfWords
        predefined ARG	ARG	no_proxy	proxiesAreGivenToRunInBothCases proxiesAreNoVariablesOfWords
        predefined ARG	ARG	ALL_PROXY	proxiesAreGivenToRunInBothCases proxiesAreNoVariablesOfWords
        predefined ARG	ARG	all_proxy	proxiesAreGivenToRunInBothCases proxiesAreNoVariablesOfWords
        platform ARG	ARG	TARGETPLATFORM	platformsArePredefined
        platform ARG	ARG	TARGETOS	platformsArePredefined
        platform ARG	ARG	TARGETARCH	platformsArePredefined
        platform ARG	ARG	TARGETVARIANT	platformsArePredefined
        platform ARG	ARG	BUILDPLATFORM	platformsArePredefined
        platform ARG	ARG	BUILDOS	platformsArePredefined
        platform ARG	ARG	BUILDARCH	platformsArePredefined
        platform ARG	ARG	BUILDVARIANT	platformsArePredefined
        platform ARG	ARG	TARGETSTAGE	theTargetsNameHasADefault
        built-in ARG	ARG	BUILDKIT_BUILD_NAME	theBuildersArgumentsAreKnown
        built-in ARG	ARG	BUILDKIT_CACHE_MOUNT_NS	theBuildersArgumentsAreKnown
        built-in ARG	ARG	BUILDKIT_CONTEXT_KEEP_GIT_DIR	theBuildersArgumentsAreKnown
        built-in ARG	ARG	BUILDKIT_INLINE_CACHE	theBuildersArgumentsAreKnown
        built-in ARG	ARG	BUILDKIT_MULTI_PLATFORM	theBuildersArgumentsAreKnown
        built-in ARG	ARG	BUILDKIT_SANDBOX_HOSTNAME	theBuildersArgumentsAreKnown
        built-in ARG	ARG	BUILDKIT_SYNTAX	theBuildersArgumentsAreKnown
        built-in ARG	ARG	SOURCE_DATE_EPOCH	theBuildersArgumentsAreKnown
        built-in ARG	ARG	BUILDKIT_DOCKERFILE_CHECK	rulesCanBeSkipped
        built-in ARG	ARG	BUILDKIT_SBOM_SCAN_CONTEXT	theBuildersArgumentsAreKnown
        built-in ARG	ARG	BUILDKIT_SBOM_SCAN_STAGE	theBuildersArgumentsAreKnown
        variable expansion	ADD COPY ENV EXPOSE FROM LABEL STOPSIGNAL USER VOLUME WORKDIR ONBUILD	$v ${v}	plain wordsAreExpandedWhereDockerDoes
        variable expansion	ADD COPY ENV EXPOSE FROM LABEL STOPSIGNAL USER VOLUME WORKDIR ONBUILD	${v:-w} ${v-w}	defaults wordsAreExpandedWhereDockerDoes
        variable expansion	ADD COPY ENV EXPOSE FROM LABEL STOPSIGNAL USER VOLUME WORKDIR ONBUILD	${v:+w} ${v+w}	alternatives wordsAreExpandedWhereDockerDoes
        variable expansion	ADD COPY ENV EXPOSE FROM LABEL STOPSIGNAL USER VOLUME WORKDIR ONBUILD	${v:?e} ${v?e}	errors wordsAreExpandedWhereDockerDoes
        variable expansion	ADD COPY ENV EXPOSE FROM LABEL STOPSIGNAL USER VOLUME WORKDIR ONBUILD	${v#p} ${v##p} ${v%p} ${v%%p}	trimming wordsAreExpandedWhereDockerDoes
        variable expansion	ADD COPY ENV EXPOSE FROM LABEL STOPSIGNAL USER VOLUME WORKDIR ONBUILD	${v/p/r} ${v//p/r}	replacing wordsAreExpandedWhereDockerDoes
        variable expansion	ADD COPY ENV EXPOSE FROM LABEL STOPSIGNAL USER VOLUME WORKDIR ONBUILD	\\\\$v	quotesAndEscapes wordsAreExpandedWhereDockerDoes
        ignore file		.dockerignore	patternsLeaveOut theLastPatternThatMatchesDecides ignoreFilesAreReadLineByLine
        ignore file		<Dockerfile>.dockerignore	theFileBesideTheDockerfileComesFirst
        ignore file		.containerignore	theFileBesideTheDockerfileComesFirst
        context		local dir	solver
        context		stdin Dockerfile	solver
        context		tar stdin/remote	solver
        context		git	solver
        context		named contexts	contextsStandForStagesOfTheirName
        lint rule		ConsistentInstructionCasing	consistentInstructionCasing
        lint rule		CopyIgnoredFile	copyIgnoredFile
        lint rule		DuplicateStageName	duplicateAndReservedStageNames
        lint rule		ExposeInvalidFormat	exposeProtoCasingAndInvalidFormat
        lint rule		ExposeProtoCasing	exposeProtoCasingAndInvalidFormat
        lint rule		FromAsCasing	fromAsCasing
        lint rule		FromPlatformFlagConstDisallowed	fromPlatformFlagConstDisallowed
        lint rule		InvalidDefaultArgInFrom	invalidDefaultArgInFrom
        lint rule		InvalidDefinitionDescription	invalidDefinitionDescription
        lint rule		JSONArgsRecommended	jsonArgsRecommended
        lint rule		LegacyKeyValueFormat	legacyKeyValueFormat
        lint rule		MaintainerDeprecated	maintainerDeprecated
        lint rule		MultipleInstructionsDisallowed	multipleInstructionsDisallowed
        lint rule		NoEmptyContinuation	noEmptyContinuation
        lint rule		RedundantTargetPlatform	redundantTargetPlatform
        lint rule		ReservedStageName	duplicateAndReservedStageNames
        lint rule		SecretsUsedInArgOrEnv	secretsUsedInArgOrEnv
        lint rule		StageNameCasing	stageNameCasing
        lint rule		UndefinedArgInFrom	undefinedArgInFrom
        lint rule		UndefinedVar	undefinedVar
        lint rule		WorkdirRelativePath	workdirRelativePath
        builder feature		call=check|outline|targets|build	theReportIsPrintedAsDockersIs theOutlineIsPrintedAsDockersIs targetsAreListedWithTheirDescriptions
        builder feature		exporters	solver
        builder feature		cache backends	solver
        builder feature		attestations	solver
        builder feature		source policy	solver
        builder feature		entitlements	solver
        builder feature		history	solver
        builder feature		debug	solver
        builder feature		bake	solver
        builder feature		buildah only	solver
        """
}
