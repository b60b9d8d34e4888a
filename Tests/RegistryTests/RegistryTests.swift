import Testing

@testable import Registry

struct RegistryTests {
    @Test func builds() {}
}
