import ControlClient
import Testing

@testable import LockerCore

@Suite struct `the patience of a client` {
    @Test func `is longer for a cancel than the core holds its reply back`() {
        #expect(ControlClient.cancelPatience >= Site.cancelPatience + ControlClient.patience)
    }
}
