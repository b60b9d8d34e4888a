import JSON
import Testing

@testable import Dockerfile

@Suite struct OutlineTests {
    private let text = """
        # TAG is the image's tag
        ARG TAG=3
        ARG REPO=lib/base
        ARG IMAGE=$REPO:$TAG
        ARG unused=1
        FROM $IMAGE AS base
        # build makes it
        FROM base AS build
        # DEBUG says more
        ARG DEBUG TAG
        RUN --mount=type=secret,id=key,required --mount=type=ssh true
        FROM scratch AS other
        ARG elsewhere
        # final is what is shipped
        FROM scratch AS final
        COPY --from=build a b
        RUN --mount=type=secret,id=other --mount=type=secret,id=key true
        """

    @Test func theTargetsArgumentsAndSecretsAreListed() throws {
        let outline = try Outline(try Reading.file(text), Reading.options(["DEBUG=1"]))
        #expect(outline.name == "final" && outline.description == "is what is shipped")
        #expect(
            outline.arguments.map { "\($0.name)=\($0.value) \($0.description)" } == [
                "TAG=3 is the image's tag", "REPO=lib/base ", "IMAGE=lib/base:3 ", "DEBUG=1 says more",
            ])
        #expect(outline.secrets.map { "\($0.name) \($0.isRequired)" } == ["key true", "other false"])
        #expect(outline.ssh.map(\.name) == ["default"])
    }

    @Test func theOutlineIsPrintedAsDockersIs() throws {
        let outline = try Outline(try Reading.file(text), Reading.options(target: "build"))
        #expect(
            outline.rendered == """
                TARGET:      build
                DESCRIPTION: makes it

                BUILD ARG   VALUE        DESCRIPTION
                TAG         3            is the image's tag
                REPO        lib/base     \n\
                IMAGE       lib/base:3   \n\
                DEBUG                    says more

                SECRET   REQUIRED
                key      true

                SSH       REQUIRED
                default   \n\


                """)
    }

    @Test func targetsAreListedWithTheirDescriptions() throws {
        let list = TargetList(try Reading.file(text))
        #expect(
            list.rendered == """
                TARGET          DESCRIPTION
                base            \n\
                build           makes it
                other           \n\
                final (default) is what is shipped

                """)
        #expect(TargetList(try Reading.file("FROM a")).rendered == "TARGET    DESCRIPTION\n(default) \n")
    }

    @Test func bothAreJSONToo() throws {
        let outline = try Outline(try Reading.file(text), Reading.options())
        let value = try JSONValue.parse(JSONWriter.document { w in outline.write(to: &w) })
        #expect(value["args"]?[0]?["name"]?.string == "TAG")
        #expect(value["secrets"]?[0]?["required"]?.bool == true)
        let targets = TargetList(try Reading.file(text))
        let list = try JSONValue.parse(JSONWriter.document { w in targets.write(to: &w) })
        #expect(list["targets"]?[3]?["default"]?.bool == true)
        #expect(list["targets"]?[0]?["base"]?.string == "$IMAGE")
    }
}
