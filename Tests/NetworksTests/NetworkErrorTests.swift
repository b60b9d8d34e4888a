import Networks
import Testing

@Test func errorsNameOperationObjectAndCause() {
    #expect(NetworkError(.inUse, "publish port", "80/tcp", cause: "taken").description == "publish port \"80/tcp\": taken")
    #expect(NetworkError(.system, "open socket", cause: "no").description == "open socket: no")
}
