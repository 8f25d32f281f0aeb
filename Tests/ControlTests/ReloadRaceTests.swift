import JSONLines
import LockerCore
import SiteModel
import Testing

/// What the rights were checked for is what is done, also when a reload comes in between.
@Suite struct `a reload between check and deed` {
    private static let root = Peer(uid: 0, gid: 0, groups: [0], pid: 1)

    private func with(
        _ rights: Set<Right>, _ change: @escaping @Sendable (SitePlan) -> SitePlan,
        _ body: (ServedSite) async throws -> Void
    ) async throws {
        let rules = [AccessRule(name: "control.rule[0]", rights: rights, banks: ["east"])]
        try await ServedSite.with(
            rules: rules, owners: [], meddle: { await $0.reloadAndWait(change(ServedSite.plan())) },
            body)
    }

    @Test func `does not let an open fire another locker that has the id now`() async throws {
        try await with([.operate], { $0.renumbered }) { served in
            let reply = try await served.client().call("open", ["locker": 101])
            #expect(reply["result"]?["locker"] == ["id": 201, "address": "wall/1"])
            #expect(served.wall.fired == [1])
            #expect(served.connector.boards["cellar"]?.fired == [])
        }
    }

    @Test func `does not let an open-all fire other lockers that have the ids now`() async throws {
        try await with([.openAll], { $0.renumbered }) { served in
            let client = try await served.client()
            try await client.send(
                #"{"jsonrpc":"2.0","id":1,"method":"open-all","params":{"lockers":[101,102]}}"#)
            var last = try await client.json()
            while last["method"] == "progress" { last = try await client.json() }
            #expect(last["result"]?["summary"]?["opened"] == 2)
            #expect(Set(served.wall.fired) == [1, 2])
            #expect(served.connector.boards["cellar"]?.fired == [])
        }
    }

    @Test func `adds no locker to an open-all that was checked for a bank`() async throws {
        let widened: @Sendable (SitePlan) -> SitePlan = { $0.changing { $0.bank = "east" } }
        try await with([.openAll], widened) { served in
            let client = try await served.client()
            try await client.send(
                #"{"jsonrpc":"2.0","id":1,"method":"open-all","params":{"bank":"east"}}"#)
            var last = try await client.json()
            while last["method"] == "progress" { last = try await client.json() }
            #expect(last["result"]?["total"] == 8)
            #expect(served.connector.boards["cellar"]?.fired == [])
        }
    }

    @Test func `does not take another locker that has the id now out of service`() async throws {
        try await with([.maintenance], { $0.renumbered }) { served in
            let params: JSON = ["locker": 101, "outOfService": true]
            let reply = try await served.client().call("service", params)
            #expect(reply["result"]?["address"] == "wall/1")
            let other = served.site.snapshot.locker(.address("cellar/1"))
            #expect(other?.service.outOfService == false)
        }
    }

    @Test func `gives nobody the sight of an operation or event by an id that moved`() async throws
    {
        let rules = [AccessRule(name: "control.rule[0]", rights: [.view], banks: ["west"])]
        try await ServedSite.with(rules: rules, owners: []) { served in
            let done = try await served.site.open(
                OpenRequest(locker: .address("wall/1"), peer: Self.root), wait: nil)
            await served.site.reloadAndWait(served.plan.renumbered)
            _ = try await served.site.open(
                OpenRequest(locker: .address("cellar/2"), peer: Self.root), wait: nil)
            let client = try await served.client()
            let refused = try await client.call("operation", ["operation": .string(done.id)])
            #expect(refused["error"]?["data"]?["code"] == "NOT_PERMITTED")
            let params: JSON = ["since": 0, "types": ["lock.fired"]]
            _ = try await client.call("subscribe", params)
            #expect(try await client.json()["params"]?["locker"]?["address"] == "cellar/2")
        }
    }
}
