import Glibc
import JSONLines
import LockerCore
import Locks
import SiteModel
import Testing

@testable import ControlServer

@Suite struct `rights` {
    private let kiosk = AccessRule(
        name: "control.rule[1] (group kiosk)", gids: [60], rights: [.view, .operate],
        banks: ["east"])
    private let techs = AccessRule(
        name: "control.rule[2] (user tech)", uids: [1002], rights: [.maintenance, .operate],
        controllers: ["wall"], banks: ["east", "west"])
    private let crowd = AccessRule(name: "control.rule[0] (everybody)", rights: [.view])

    private func grant(_ rules: [AccessRule], uid: UInt32, groups: [UInt32] = [100]) -> Grant {
        AccessPolicy(rules: rules, owners: [0, 900]).grant(
            to: Peer(uid: uid, gid: groups[0], groups: groups, pid: 1))
    }

    @Test func `root and the daemon's own user may do everything without a rule`() {
        for uid: UInt32 in [0, 900] {
            let grant = grant([], uid: uid)
            #expect(Right.allCases.allSatisfy { grant.holdsEverywhere($0) })
            #expect(grant.seesEverything)
        }
    }

    @Test func `without a matching rule nothing is allowed`() {
        let grant = grant([kiosk, techs], uid: 1000)
        #expect(Right.allCases.allSatisfy { !grant.holds($0) })
        #expect(!grant.seesEverything)
    }

    @Test func `a rule without users and groups is for everybody`() {
        #expect(grant([crowd], uid: 12345).holdsEverywhere(.view))
    }

    @Test func `a rule whose users and groups nobody knows is for nobody`() {
        let lost = AccessRule(
            name: "control.rule[0] (user kisk)", strangers: ["user kisk"],
            rights: [.view, .operate]
        )
        #expect(!grant([lost], uid: 12345).holds(.view))
        #expect(grant([lost, kiosk], uid: 1000, groups: [60]).holds(.operate))
    }

    @Test func `rules match by user, by primary group and by any other group`() {
        #expect(grant([techs], uid: 1002).holds(.maintenance))
        #expect(grant([kiosk], uid: 1000, groups: [60]).holds(.operate))
        #expect(grant([kiosk], uid: 1000, groups: [100, 60]).holds(.operate))
        #expect(!grant([kiosk], uid: 60, groups: [100]).holds(.operate))
    }

    @Test func `the rights of all matching rules add up`() {
        let grant = grant([crowd, kiosk, techs], uid: 1002, groups: [60])
        #expect(grant.seesEverything)
        #expect(grant.holds(.operate, controller: "cellar", bank: "east"))
        #expect(grant.holds(.operate, controller: "wall", bank: "west"))
        #expect(!grant.holds(.operate, controller: "cellar", bank: "west"))
        #expect(!grant.holds(.openAll))
    }

    @Test func `a rule limited to controllers and banks gives its rights where both hold`() {
        let grant = grant([techs], uid: 1002)
        #expect(grant.holds(.operate, controller: "wall", bank: "east"))
        #expect(!grant.holds(.operate, controller: "wall", bank: nil))
        #expect(!grant.holds(.operate, controller: "cellar", bank: "east"))
        #expect(!grant.holdsEverywhere(.operate))
    }
}

@Suite struct `a connected peer` {
    @Test func `is who the kernel says it is, with all its groups`() throws {
        var ends: [Int32] = [0, 0]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        defer { for end in ends { close(end) } }
        let peer = try Peer.connected(to: ends[0]).get()
        #expect(peer.uid == getuid())
        #expect(peer.gid == getgid())
        #expect(peer.pid == getpid())
        var groups = [gid_t](repeating: 0, count: 65_536)
        let count = getgroups(Int32(groups.count), &groups)
        #expect(Set(peer.groups) == Set(groups.prefix(Int(count))).union([getgid()]))
    }

    @Test func `that is no socket is nobody`() throws {
        let file = open("/dev/null", O_RDONLY)
        defer { close(file) }
        #expect(throws: Peer.PeerUnknown.self) { try Peer.connected(to: file).get() }
    }
}

@Suite struct `refusals` {
    private static func rules(_ rights: Set<Right>, banks: [String] = []) -> [AccessRule] {
        [AccessRule(name: "control.rule[0] (everybody)", rights: rights, banks: banks)]
    }

    @Test(arguments: [
        ("version", "{}", "view"), ("status", "{}", "view"), ("controllers", "{}", "view"),
        ("schema", "{}", "view"), ("subscribe", "{}", "view"),
        ("operation", #"{"operation":"op-1"}"#, "view"),
        ("open", #"{"locker":101}"#, "operate"), ("cancel", #"{"operation":"op-1"}"#, "operate"),
        ("open-all", "{}", "open-all"), ("service", #"{"locker":101}"#, "maintenance"),
        ("restart", #"{"controller":"wall"}"#, "maintenance"),
        ("heartbeat", #"{"deviceId":"d"}"#, "maintenance"), ("audit", "{}", "maintenance"),
        ("reload", "{}", "configure"),
    ])
    func `every method needs its right`(method: String, params: String, right: String) async throws
    {
        let others = Set(Right.allCases).subtracting([Right(rawValue: right)!])
            .subtracting(method == "cancel" ? [.openAll] : [])
        try await ServedSite.with(rules: Self.rules(others), owners: []) { served in
            let reply = try await served.client().call(method, try JSONReader.parse(params))
            let data = reply["error"]?["data"]
            #expect(data?["code"] == "NOT_PERMITTED", "\(reply.text)")
            #expect(data?["details"]?["right"] == .string(right))
            #expect(
                reply["error"]?["message"]?.stringValue?.hasSuffix(
                    "which no rule gives; a [[control.rule]] in lockerd.toml can") == true)
            #expect(served.wall.fired.isEmpty)
        }
    }

    @Test func `a refusal names who, what, the right and the rule`() async throws {
        try await ServedSite.with(rules: Self.rules([.operate], banks: ["west"]), owners: []) {
            served in
            let client = try await served.client()
            let refused = try await client.call("open", ["locker": "wall/3"])
            let message = refused["error"]?["message"]?.stringValue ?? ""
            #expect(
                message.hasSuffix(
                    "may not open wall/3; it needs the right \"operate\", which control.rule[0] "
                        + "(everybody) gives for bank \"west\" only"), "\(message)")
            #expect(refused["error"]?["data"]?["details"]?["rule"] == "control.rule[0] (everybody)")
            #expect(try await client.call("open", ["locker": "cellar/1"])["result"] != nil)
        }
    }

    @Test func `an open-all is refused whole where a part of it is not allowed`() async throws {
        try await ServedSite.with(rules: Self.rules([.openAll], banks: ["west"]), owners: []) {
            served in
            let client = try await served.client()
            for params: JSON in [[:], ["lockers": [201, 101]], ["controller": "wall"]] {
                let reply = try await client.call("open-all", params)
                #expect(reply["error"]?["data"]?["code"] == "NOT_PERMITTED")
            }
            #expect(served.wall.fired.isEmpty)
            try await client.send(
                #"{"jsonrpc":"2.0","id":1,"method":"open-all","params":{"bank":"west"}}"#)
            var last = try await client.json()
            while last["method"] == "progress" { last = try await client.json() }
            #expect(last["result"]?["summary"]?["opened"] == 4)
        }
    }

    @Test func `opening what is out of service needs operate and maintenance`() async throws {
        try await ServedSite.with(rules: Self.rules([.operate]), owners: []) { served in
            let client = try await served.client()
            let reply = try await client.call("open", ["locker": 101, "maintenance": true])
            #expect(reply["error"]?["data"]?["details"]?["right"] == "maintenance")
            #expect(served.wall.fired.isEmpty)
        }
    }

    @Test func `a peer that sees one bank sees its lockers, controllers, causes and events alone`()
        async throws
    {
        try await ServedSite.with(rules: Self.rules([.view], banks: ["west"]), owners: []) {
            served in
            let client = try await served.client()
            let all = try await client.call("status")["result"]
            #expect(
                all?["lockers"]?.arrayValue?.compactMap { $0["id"]?.intValue } == [
                    201, 202, 203, 204,
                ])
            #expect(
                all?["controllers"]?.arrayValue?.compactMap { $0["id"]?.stringValue } == ["cellar"])
            let listed = try await client.call("controllers")["result"]?["controllers"]
            #expect(listed?.arrayValue?.count == 1)
            let other = try await client.call("status", ["lockers": ["wall/1"]])
            #expect(other["error"]?["data"]?["code"] == "NOT_PERMITTED")
            let controller = try await client.call("status", ["controller": "wall"])
            #expect(controller["error"]?["data"]?["code"] == "NOT_PERMITTED")
            _ = try await client.call("subscribe", ["types": ["door.opened"]])
            let root = Peer(uid: 0, gid: 0, groups: [0], pid: 1)
            for locker in [101, 201] {
                _ = try await served.site.open(
                    OpenRequest(locker: .id(locker), peer: root), wait: nil)
            }
            #expect(try await client.json()["params"]?["locker"]?["id"] == 201)
        }
    }

    @Test func `a peer limited to a bank learns how its own open-all ended and no other`()
        async throws
    {
        try await ServedSite.with(
            rules: Self.rules([.view, .openAll], banks: ["west"]), owners: []
        ) {
            served in
            let client = try await served.client()
            _ = try await client.call(
                "subscribe", ["types": ["operation.started", "operation.done"]])
            let root = Peer(uid: 0, gid: 0, groups: [0], pid: 1)
            for bank in [nil, "east", "west"] {
                _ = try await served.site.openAll(
                    OpenAllRequest(bank: bank, peer: root), wait: nil, progress: { _ in })
            }
            for type in ["operation.started", "operation.done"] {
                let event = try await client.json()["params"]
                #expect(event?["type"]?.stringValue == type)
                #expect(event?["kind"] == "open-all")
                if type == "operation.done" { #expect(event?["summary"]?["opened"] == 4) }
            }
        }
    }

    @Test func `uplinks are shown and restarted for whoever holds the right everywhere`()
        async throws
    {
        func prepare(_ served: ServedSite) {
            var view = UplinkView(name: "http", module: "http", since: WallTime(milliseconds: 0))
            view.state = .faulted
            view.reason = "module http was ended by signal 9 (SIGKILL)"
            served.site.snapshot.setUplinks([view])
        }
        try await ServedSite.with { served in
            prepare(served)
            let client = try await served.client()
            for method in ["status", "controllers"] {
                let uplink = try await client.call(method)["result"]?["uplinks"]?.arrayValue?.first
                #expect(uplink?["name"] == "http")
                #expect(uplink?["state"] == "faulted")
                #expect(uplink?["reason"] == "module http was ended by signal 9 (SIGKILL)")
                #expect(uplink?["lastDeliveredMs"] == .null)
            }
            // A part of the site is no question about the ways to the upstreams.
            let part = try await client.call("status", ["bank": "west"])
            #expect(part["result"]?["uplinks"] == nil)
            let restarted = try await client.call("restart", ["uplink": "http"])
            #expect(restarted["result"] == ["uplink": "http"])
            let unknown = try await client.call("restart", ["uplink": "htpp"])
            #expect(unknown["error"]?["data"]?["details"]?["nearest"] == "http")
            let both = try await client.call("restart", ["uplink": "http", "controller": "wall"])
            #expect(both["error"]?["code"] == -32602)
        }
        let rules = Self.rules([.view, .maintenance], banks: ["west"])
        try await ServedSite.with(rules: rules, owners: []) { served in
            prepare(served)
            let client = try await served.client()
            #expect(try await client.call("status")["result"]?["uplinks"] == nil)
            let refused = try await client.call("restart", ["uplink": "http"])
            #expect(refused["error"]?["data"]?["code"] == "NOT_PERMITTED")
        }
    }

    @Test func `new rules hold for those who are connected`() async throws {
        try await ServedSite.with(rules: Self.rules([.view]), owners: []) { served in
            let client = try await served.client()
            #expect(try await client.call("status", ["lockers": [101]])["result"] != nil)
            served.server.updatePolicy(ControlPlan(rules: []))
            let refused = try await client.call("status", ["lockers": [101]])
            #expect(refused["error"]?["data"]?["code"] == "NOT_PERMITTED")
            served.server.updatePolicy(ControlPlan(rules: Self.rules([.view])))
            #expect(try await client.call("status", ["lockers": [101]])["result"] != nil)
        }
    }

    @Test func `a peer limited to a bank may restart what stands in it`() async throws {
        let rules = Self.rules([.maintenance], banks: ["west"])
        try await ServedSite.with(rules: rules, owners: []) { served in
            let client = try await served.client()
            let allowed = try await client.call("restart", ["controller": "cellar"])
            #expect(allowed["result"]?["link"] == "cellar")
            let refused = try await client.call("restart", ["controller": "wall"])
            #expect(refused["error"]?["data"]?["code"] == "NOT_PERMITTED")
            #expect(served.connector.restarted.withLock { $0 } == ["cellar"])
        }
    }
}
