import Testing

@testable import YAML

/// Pieces of real files: each is read or refused, and what was read keeps its promises. (`FuzzTests` changes them in other ways.)
@Suite struct YAMLCutTests {
    private static let seeds = [
        """
        cdiVersion: "0.7.0"
        kind: nvidia.com/gpu
        devices:
        - name: "0"
          containerEdits:
            deviceNodes: [{path: /dev/nvidia0, permissions: rw, fileMode: 0666}]
        containerEdits:
          env: ["A=b", 'C=d']
          hooks:
          - {hookName: createContainer, path: /usr/bin/hook, args: [hook, --x=~]}
        """,
        """
        %YAML 1.1
        %TAG !e! tag:example.com,2000:
        ---
        x-base: &base
          image: "a:\\u00e4\\x41\\n"
          ports: [80:80, "443:443"]
          text: |+
            one
              two

          folded: >-
            a
            b
        services:
          web: {<<: *base, deploy: !reset null}
          db:
            <<: [*base, {a: .5, b: -1e3, c: 0x1F}]
            ? key
            : !e!tag value
        ...
        ---
        - - - ~
        - *nowhere
        """,
    ]

    private func check(_ bytes: [UInt8]) {
        let limits = YAMLLimits(depth: 16, nodes: 2000)
        do throws(YAMLError) {
            for document in try YAMLNode.parseAll(bytes, limits: limits) {
                var count = 0
                visit(document, depth: 0, limits, &count)
                #expect(count <= limits.nodes)
            }
        } catch {
            #expect(!error.cause.isEmpty && !error.description.isEmpty)
        }
    }

    private func visit(_ node: YAMLNode, depth: Int, _ limits: YAMLLimits, _ count: inout Int) {
        count += 1
        #expect(depth <= limits.depth && node.line >= 1 && node.column >= 1)
        for element in node.sequence ?? [] { visit(element, depth: depth + 1, limits, &count) }
        var keys: Set<String> = []
        for member in node.mapping ?? [] {
            #expect(keys.insert(member.key).inserted)
            visit(member.value, depth: depth + 1, limits, &count)
        }
    }

    @Test(arguments: seeds) func survivesEveryCut(_ seed: String) {
        let bytes = Array(seed.utf8)
        for end in 0...bytes.count {
            check(Array(bytes[..<end]))
            check(Array(bytes[end...]))
        }
    }
}
