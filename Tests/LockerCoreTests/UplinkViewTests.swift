import SiteModel
import Testing

@testable import LockerCore

@Suite struct UplinkViewTests {
    private func view(_ name: String, since: Int64 = 0) -> UplinkView {
        UplinkView(name: name, module: "http", since: WallTime(milliseconds: since))
    }

    @Test func `uplinks stand in the plan's order, and those that stay keep what is known of them`()
    {
        let snapshot = Snapshot()
        snapshot.setUplinks([view("main"), view("second")])
        snapshot.update(uplink: "second") { $0.state = .ready }
        snapshot.update(uplink: "main") { $0.state = .quarantined }
        snapshot.setUplinks(
            [view("third"), view("second", since: 5), view("main", since: 5)],
            keeping: ["second", "gone"])
        let uplinks = snapshot.read { $0.uplinks }
        #expect(uplinks.map(\.name) == ["third", "second", "main"])
        #expect(uplinks.map(\.state) == [.starting, .ready, .starting])
        #expect(uplinks.map(\.since.milliseconds) == [0, 0, 5])
    }

    @Test func `what is said of an uplink that is gone changes nothing`() {
        let snapshot = Snapshot()
        snapshot.setUplinks([view("main")])
        snapshot.update(uplink: "old") { $0.state = .ready }
        #expect(snapshot.read { $0.uplinks } == [view("main")])
    }
}
