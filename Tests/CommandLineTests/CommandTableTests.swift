import Flags
import Testing

@testable import CommandLine

/// The real table with an engine that only tells what it was asked to do.
enum Table {
    static let program = CommandTable { verb, _ in
        Int32(truncatingIfNeeded: Verb.allCases.firstIndex(of: verb) ?? -1)
    }.program()

    static func words(_ text: String) -> [String] {
        text.split { $0 == " " || $0 == "\n" }.map(String.init)
    }

    static func parsed(_ line: String) -> ParsedArguments? {
        if case .run(let parsed) = program.parse(words(line)) { return parsed }
        return nil
    }

    static func failure(_ line: String) -> FlagError? {
        if case .failure(let error) = program.parse(words(line)) { return error }
        return nil
    }
}

@Suite struct CommandTableTests {
    /// Every spelling Docker has for what exists here, with operands, and the verb it must reach.
    static let spellings: [(String, Verb)] = [
        ("run i", .run), ("container run i", .run), ("create i", .create), ("container create i", .create),
        ("start c", .start), ("container start c", .start), ("stop c", .stop), ("container stop c", .stop),
        ("kill c", .kill), ("container kill c", .kill), ("restart c", .restart), ("container restart c", .restart),
        ("rm c", .rm), ("container rm c", .rm), ("container remove c", .rm), ("ps", .ps), ("container ls", .ps),
        ("container list", .ps), ("container ps", .ps), ("logs c", .logs), ("container logs c", .logs),
        ("exec c x", .exec), ("container exec c x", .exec), ("attach c", .attach), ("container attach c", .attach),
        ("wait c", .wait), ("container wait c", .wait), ("inspect c", .inspect),
        ("container inspect c", .inspectContainer), ("image inspect i", .inspectImage), ("top c -ef", .top),
        ("container top c", .top), ("pause c", .pause), ("container pause c", .pause), ("unpause c", .unpause),
        ("container unpause c", .unpause), ("rename a b", .rename), ("container rename a b", .rename),
        ("images", .images), ("image ls", .images), ("image list", .images), ("images busybox", .images),
        ("load", .load), ("image load", .load), ("import f", .import), ("image import f n", .import),
        ("save i", .save), ("image save i", .save), ("tag a b", .tag), ("image tag a b", .tag), ("rmi i", .rmi),
        ("image rm i", .rmi), ("image remove i", .rmi), ("version", .version), ("info", .info), ("system info", .info),
        ("system check", .systemCheck), ("events", .events), ("system events", .events), ("logs -l", .logs), ("exec -l x", .exec),
        ("registry serve", .registryServe), ("history i", .history),
        ("image history i", .history), ("untag i n", .untag), ("image untag i", .untag), ("image exists i", .imageExists),
        ("image prune -af", .imagePrune), ("container prune", .containerPrune), ("volume prune", .volumePrune),
        ("volume create", .volumeCreate), ("volume create v", .volumeCreate), ("volume ls", .volumeList), ("volume list", .volumeList),
        ("volume inspect v", .inspectVolume), ("volume rm v w", .volumeRemove), ("volume remove v", .volumeRemove),
        ("volume exists v", .volumeExists), ("volume export v", .volumeExport), ("volume import v f", .volumeImport),
        ("volume snapshot v", .volumeSnapshot), ("volume snapshot v s", .volumeSnapshot), ("volume snapshots", .volumeSnapshots),
        ("volume clone v w", .volumeClone), ("volume restore v s", .volumeRestore),
        ("system prune", .systemPrune), ("system df", .systemUsage), ("rmi -a", .rmi), ("pull i", .pull),
        ("image pull i", .pull), ("push i", .push), ("image push i", .push), ("login h", .login), ("logout h", .logout),
        ("search x", .search), ("image copy a b", .imageCopy), ("image sync a b", .imageSync),
        ("image delete a", .imageDelete), ("image list-tags a", .imageListTags), ("manifest create a", .manifestCreate),
        ("manifest add a b", .manifestAdd), ("manifest annotate a b", .manifestAnnotate),
        ("manifest inspect a", .manifestInspect), ("manifest push a", .manifestPush), ("manifest rm a", .manifestRm),
        ("manifest remove a b", .manifestRemove), ("manifest exists a", .manifestExists),
        ("network create n", .networkCreate), ("network ls", .networkList), ("network list", .networkList),
        ("network inspect n", .inspectNetwork), ("network exists n", .networkExists), ("network rm n", .networkRemove),
        ("network remove n", .networkRemove), ("network prune -f", .networkPrune), ("network connect n c", .networkConnect),
        ("network disconnect n c", .networkDisconnect), ("network update --dns-add 1.1.1.1 n", .networkUpdate), ("port c", .port),
        ("network reload c", .networkReload), ("system boot", .systemBoot), ("system shutdown -t 3", .systemShutDown),
        ("system install-service --print", .installService),
        ("container port c 80/tcp", .port), ("healthcheck run c", .healthcheckRun),
        ("update --publish-add 80 c", .update), ("container update c", .update), ("stats", .stats),
        ("cp a c:b", .copy), ("container cp c:a -", .copy), ("diff c", .diff), ("container diff c", .diff), ("export -o x c", .export),
        ("container export c", .export), ("commit -m x c n:1", .commit), ("container commit c", .commit),
        ("container stats a b", .stats), ("container exists c", .containerExists), ("container cleanup -a", .containerCleanUp),
        ("unshare id -u", .unshare), ("stop -a", .stop), ("kill --latest", .kill), ("rm --filter name=x", .rm), ("exec -l x", .exec),
        ("checkpoint create c n", .checkpointCreate), ("checkpoint ls c", .checkpointList), ("checkpoint list c", .checkpointList),
        ("checkpoint rm c n", .checkpointRemove), ("container checkpoint -a", .containerCheckpoint),
        ("container restore -i f", .containerRestore), ("start --checkpoint n c", .start),
        ("port -a", .port), ("top -l", .top), ("top -l aux", .top), ("debug c", .debug), ("container debug c x -y", .debug),
        ("mount", .mount), ("container mount c", .mount), ("mount -a", .mount), ("unmount c", .unmount), ("umount -l", .unmount),
        ("container umount -a", .unmount), ("image mount i", .imageMount), ("image umount i", .imageUnmount), ("init c", .initialize),
        ("container init -a", .initialize), ("container clone c n i", .containerClone),
        ("build -t x .", .build), ("image build .", .build), ("builder build .", .build), ("builder prune -af", .builderPrune),
    ]

    @Test(arguments: spellings) func reaches(_ line: String, _ verb: Verb) throws {
        let parsed = try #require(Table.parsed(line))
        let action = try #require(parsed.command.run)
        #expect(Int(action(parsed)) == Verb.allCases.firstIndex(of: verb))
    }

    @Test func everyVerbIsReachable() {
        let reached = Set(Self.spellings.map(\.1))
        #expect(reached.count == Verb.allCases.count)
    }

    @Test(arguments: [
        ("run", "'berth run' requires at least 1 argument"), ("create", "'berth create' requires at least 1 argument"),
        ("start", "'berth start' requires at least 1 argument"), ("rm", "'berth rm' requires at least 1 argument"),
        ("ps x", "'berth ps' accepts no arguments"), ("logs", "'berth logs' requires at least 1 argument"),
        ("exec -l", "'berth exec' requires at least 1 argument"), ("exec c", "'berth exec' requires at least 2 arguments"),
        ("attach", "'berth attach' requires 1 argument"), ("rename a", "'berth rename' requires 2 arguments"),
        ("images a b", "'berth images' requires at most 1 argument"), ("load x", "'berth load' accepts no arguments"),
        ("import", "'berth import' requires at least 1 argument"), ("tag a", "'berth tag' requires 2 arguments"),
        ("version x", "'berth version' accepts no arguments"), ("system info x", "'berth system info' accepts no arguments"),
        ("image rm", "'berth image rm' requires at least 1 argument"),
        ("frobnicate", "unknown command: berth frobnicate"),
    ]) func refuses(_ line: String, _ sentence: String) throws {
        let error = try #require(Table.failure(line))
        #expect(error.cause == "berth: " + sentence)
        #expect(Table.program.status(of: error) == 1)
    }

    @Test func stopKnowsTheOldSpelling() throws {
        #expect(try #require(Table.parsed("stop --time 3 c")).int("timeout") == 3)
        #expect(try #require(Table.parsed("restart c -t 3")).int("timeout") == 3)
        #expect(try #require(Table.parsed("stop c")).int("timeout") == nil)
    }

    @Test func globalFlagsStandAnywhere() throws {
        #expect(try #require(Table.parsed("--root /r ps")).string("root") == "/r")
        #expect(try #require(Table.parsed("ps --root /r")).string("root") == "/r")
        // Letters of the command win over letters of the program.
        #expect(try #require(Table.parsed("ps -l")).bool("latest"))
    }

    /// The table as data: what a person reads must be there, and nothing may be declared twice.
    @Test func tableIsWellFormed() {
        for page in Table.program.pages() {
            let command = page.topic.command
            let place = page.topic.path.joined(separator: " ")
            #expect(!command.summary.isEmpty && !command.summary.hasSuffix("."), "\(place)")
            let flags = command.flags()
            for flag in flags {
                #expect(!flag.summary.isEmpty && !flag.summary.hasSuffix("."), "\(place) --\(flag.name)")
            }
            let all = flags + command.unsupported()
            let names = all.flatMap { [$0.name] + $0.aliases }
            #expect(Set(names).count == names.count, "\(place)")
            let letters = all.compactMap(\.short)
            #expect(Set(letters).count == letters.count, "\(place): \(letters)")
            #expect(!names.contains("help"), "\(place)")
            // Every spelling that is promised must lead to the same page.
            for spelling in command.spellings {
                let topic = Table.program.topic(Table.words(spelling))
                #expect(topic?.command.spellings == command.spellings, "\(place): \(spelling)")
            }
        }
    }

    @Test func helpFitsTheTerminal() {
        for page in Table.program.pages() {
            let text = Table.program.help(for: page.topic, width: 80)
            let options = text.split(separator: "\n").drop { !$0.hasSuffix("Options:") }
            for line in options { #expect(line.utf8.count <= 80, "\(line)") }
        }
    }

    @Test func referenceHoldsEveryFlag() {
        let text = Table.program.markdownReference()
        for flag in RunFlags.run() { #expect(text.contains("--\(flag.name)")) }
    }
}
