import Testing

@testable import Control

@Suite struct DetachKeysTests {
    @Test(
        arguments: [
            ("", [0x10, 0x11]), ("ctrl-p,ctrl-q", [0x10, 0x11]), ("ctrl-a", [1]), ("ctrl-z", [26]), ("a", [97]),
            ("a,b,c", [97, 98, 99]), ("ctrl-@", [0]), ("ctrl-[", [27]), ("ctrl-\\", [28]), ("ctrl-]", [29]),
            ("ctrl-^", [30]), ("ctrl-_", [31]), ("Z,ctrl-b", [90, 2]),
        ] as [(String, [UInt8])])
    func parses(_ text: String, _ bytes: [UInt8]) throws {
        #expect(try DetachKeys.parse(text).bytes == bytes)
    }

    @Test(arguments: ["ctrl-", "ctrl-A", "ctrl-1", "ctrl-pp", "ab", "a,,b", ",", "a,", "alt-x", "é", "CTRL-p"])
    func refuses(_ text: String) {
        let error = #expect(throws: ControlError.self) { try DetachKeys.parse(text) }
        #expect(error?.code == .invalid)
        #expect(error?.description.contains("unknown key") == true)
    }

    /// keys, reads, what passes, whether it detaches.
    @Test(
        arguments: [
            ("a,b", ["xaby"], "x", true),
            ("a,b", ["xa", "b"], "x", true),
            ("a,b", ["xa", "cab"], "xac", true),
            ("a,b", ["aab"], "a", true),
            ("a,a,b", ["aaab"], "a", true),
            ("a,b,a,c", ["ababac"], "ab", true),
            ("a,b", ["xyz"], "xyz", false),
            ("a,b", ["a"], "", false),
            ("a,b", ["a", "x"], "ax", false),
            ("a", ["bca"], "bc", true),
        ] as [(String, [String], String, Bool)])
    func matches(_ keys: String, _ reads: [String], _ passed: String, _ detaches: Bool) throws {
        var matcher = DetachKeyMatcher(try DetachKeys.parse(keys))
        var output: [UInt8] = []
        var detached = false
        for read in reads {
            let fed = matcher.feed(Array(read.utf8))
            output += fed.output
            detached = detached || fed.detached
        }
        #expect(String(decoding: output, as: UTF8.self) == passed)
        #expect(detached == detaches)
    }

    @Test(arguments: [
        ("no", RestartPolicy(.no)), ("always", RestartPolicy(.always)), ("unless-stopped", RestartPolicy(.unlessStopped)),
        ("on-failure", RestartPolicy(.onFailure)), ("on-failure:5", RestartPolicy(.onFailure, maximumRetries: 5)),
        ("", RestartPolicy(.no)),
    ])
    func restartPolicy(_ text: String, _ policy: RestartPolicy) throws {
        #expect(try RestartPolicy.parse(text) == policy)
    }

    @Test(arguments: ["maybe", "always:3", "on-failure:", "on-failure:-1", "on-failure:x", "on-failure:99999999999", "no:1"])
    func wrongRestartPolicy(_ text: String) {
        #expect(throws: ControlError.self) { try RestartPolicy.parse(text) }
    }
}
