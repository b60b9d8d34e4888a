import OCI
import Testing

@testable import Engine

struct PolicyTests {
    private let digest = Digest("sha256:" + String(repeating: "a", count: 64))

    private func policy(_ text: String) throws(EngineError) -> Policy {
        try Policy(parsing: Array(text.utf8), path: "policy.json")
    }

    private func accepts(_ policy: Policy, _ location: String) throws -> Bool {
        let subject = PolicySubject(try ImageLocation.parse(location))
        let wanted = try #require(digest)
        do throws(EngineError) {
            try policy.check(subject, manifestDigest: wanted, nil)
            return true
        } catch {
            #expect(error.code == .blocked)
            return false
        }
    }

    @Test func scopesOfARegistryFromTheMostSpecificOn() throws {
        let reference = try Reference.parse("quay.example.com:5000/a/b/c:1")
        #expect(
            PolicySubject.scopes(reference) == [
                "quay.example.com:5000/a/b/c:1", "quay.example.com:5000/a/b/c", "quay.example.com:5000/a/b", "quay.example.com:5000/a",
                "quay.example.com:5000", "*.example.com:5000", "*.com:5000",
            ])
        #expect(PolicySubject.scopes(try Reference.parse("alpine"))[0] == "docker.io/library/alpine:latest")
        let byDigest = try #require(digest)
        #expect(PolicySubject.scopes(try Reference.parse("alpine:3@\(byDigest)"))[0] == "docker.io/library/alpine@\(byDigest)")
    }

    @Test func scopesOfAPath() {
        #expect(PolicySubject.scopes(path: "/a/b/c") == ["/a/b/c", "/a/b", "/a"])
        #expect(PolicySubject.scopes(path: "/") == [])
        #expect(PolicySubject.scopes(path: "relative") == ["relative"])
    }

    @Test func theMostSpecificScopeDecides() throws {
        let policy = try policy(
            """
            {"default":[{"type":"reject"}],"transports":{"docker":{
              "docker.io":[{"type":"insecureAcceptAnything"}], "docker.io/library/bad":[{"type":"reject"}],
              "docker.io/library/bad:good":[{"type":"insecureAcceptAnything"}], "*.example.com":[{"type":"insecureAcceptAnything"}]}}}
            """)
        #expect(try accepts(policy, "docker://alpine"))
        #expect(try !accepts(policy, "docker://bad"))
        #expect(try accepts(policy, "docker://bad:good"))
        #expect(try accepts(policy, "docker://x.example.com/y"))
        #expect(try !accepts(policy, "docker://example.com/y"))
        #expect(try !accepts(policy, "docker://docker.io.evil.org/y"))
        #expect(try !accepts(policy, "dir:/x"))
        #expect(try !accepts(policy, "berth:alpine"))
    }

    @Test func acceptingEverythingIsSeen() throws {
        #expect(Policy.acceptAnything.acceptsEverything)
        #expect(
            try policy(
                #"{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker-daemon":{"":[{"type":"insecureAcceptAnything"}]}}}"#
            ).acceptsEverything)
        #expect(
            try !policy(#"{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{"x":[{"type":"reject"}]}}}"#)
                .acceptsEverything)
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"default":{}}"#, #"{"default":[]}"#, #"{"default":[{}]}"#, #"{"default":[{"type":"Reject"}]}"#,
        #"{"default":[{"type":"reject","more":1}]}"#, #"{"default":[{"type":"reject"}],"more":{}}"#,
        #"{"default":[{"type":"reject"}],"transports":[]}"#, #"{"default":[{"type":"reject"}],"transports":{"docker":[]}}"#,
        #"{"default":[{"type":"reject"}],"transports":{"docker":{"x":[]}}}"#,
        #"{"default":[{"type":"sigstoreSigned","keyData":"YQ==","keyPath":"/x"}]}"#,
        #"{"default":[{"type":"sigstoreSigned","keyData":"YQ==","signedIdentity":{"type":"matchAny"}}]}"#,
        #"{"default":[{"type":"sigstoreSigned","keyData":"YQ==","signedIdentity":{"type":"exactReference","dockerReference":"x"}}]}"#,
        #"{"default":[{"type":"sigstoreSigned","keyData":"YQ==","signedIdentity":{"type":"matchExact","more":1}}]}"#,
    ])
    func whatIsNotUnderstoodIsRefused(text: String) {
        #expect(throws: EngineError.self) { try policy(text) }
    }

    @Test func whatCannotBeCheckedIsNeverMet() throws {
        for text in [
            #"{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/x"}]}"#,
            #"{"default":[{"type":"sigstoreSigned","fulcio":{}}]}"#, #"{"default":[{"type":"signedBaseLayer"}]}"#,
        ] {
            #expect(try !accepts(try policy(text), "docker://alpine"))
        }
    }

    @Test func identities() throws {
        let image = try Reference.parse("example.com/a/b:1")
        let other = try Reference.parse("example.com/a/b:2")
        let bare = try Reference.parse("example.com/a/b")
        let byDigest = bare.with(digest: try #require(digest))
        #expect(SignedIdentity.matchExact.accepts(image, for: image))
        #expect(!SignedIdentity.matchExact.accepts(other, for: image))
        #expect(!SignedIdentity.matchExact.accepts(bare, for: bare))
        #expect(SignedIdentity.matchRepoDigestOrExact.accepts(other, for: byDigest))
        #expect(!SignedIdentity.matchRepoDigestOrExact.accepts(bare, for: byDigest))
        #expect(!SignedIdentity.matchRepoDigestOrExact.accepts(other, for: image))
        #expect(SignedIdentity.matchRepository.accepts(bare, for: image))
        #expect(!SignedIdentity.matchRepository.accepts(try Reference.parse("example.com/a/bc"), for: image))
        let mirror = try Reference.parse("mirror.org/x/b:1")
        #expect(SignedIdentity.remapIdentity(prefix: "mirror.org/x", signedPrefix: "example.com/a").accepts(image, for: mirror))
        #expect(!SignedIdentity.remapIdentity(prefix: "mirror.org/x", signedPrefix: "example.com/").accepts(image, for: mirror))
        // A part of a component is no prefix.
        #expect(!SignedIdentity.remapIdentity(prefix: "mirror.org/x/", signedPrefix: "example.com/a/").accepts(image, for: mirror))
    }

    @Test func keysThatAreNone() {
        for text in ["", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            #expect(throws: EngineError.self) { _ = try PublicKey(pem: Array(text.utf8)) }
        }
    }
}
