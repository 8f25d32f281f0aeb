import ControlWire
import JSONLines
import LockerCore
import LockerKit
import LockerKitTesting
import SiteModel
import TestSupport
import Testing

@Suite struct `subscriptions` {
    /// Reads events until `last` has come; returns their numbers in order.
    private func numbers(_ client: RawClient, through last: Int) async throws -> [Int] {
        var seen: [Int] = []
        while seen.last ?? 0 < last {
            let line = try await client.json()
            #expect(line["method"] == "event")
            seen.append(try #require(line["params"]?["seq"]?.intValue))
        }
        return seen
    }

    @Test func `events come from since on without a gap or a repeat, old ones first`() async throws
    {
        try await ServedSite.with { served in
            let worker = try await served.client()
            for number in 1...3 {
                _ = try await worker.call("open", ["locker": .string("wall/\(number)")])
            }
            let client = try await served.client()
            let reply = try await client.call("subscribe", ["since": 0])
            let start = try #require(reply["result"]?["seq"]?.intValue)
            #expect(reply["result"]?["bootId"] == "b0070123")
            for number in 4...6 {
                _ = try await worker.call("open", ["locker": .string("wall/\(number)")])
            }
            try await eventually("the last open is told of") {
                served.site.snapshot.locker(.id(106))?.door == .open
            }
            let last = Int(served.site.events.lastSeq)
            #expect(last > start)
            #expect(try await numbers(client, through: last) == Array(1...last))
        }
    }

    @Test func `only the types asked for come`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            _ = try await client.call("subscribe", ["types": ["door.opened", "lock.fired"]])
            _ = try await served.client().call("open", ["locker": "wall/1"])
            var types: Set<String> = []
            for _ in 0..<2 {
                types.insert(try await client.json()["params"]?["type"]?.stringValue ?? "")
            }
            #expect(types == ["door.opened", "lock.fired"])
        }
    }

    @Test func `an unknown type is refused with the nearest one`() async throws {
        try await ServedSite.with { served in
            let reply = try await served.client().call("subscribe", ["types": ["door.opend"]])
            #expect(reply["error"]?["code"] == -32602)
            #expect(
                reply["error"]?["message"]
                    == "types holds door.opend, which is no event type; did you mean door.opened?")
        }
    }

    @Test func `a connection carries one subscription`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            _ = try await client.call("subscribe", ["types": ["events.dropped"]])
            let second = try await client.call("subscribe")
            #expect(second["error"]?["data"]?["code"] == "CONFLICT")
        }
    }

    @Test func `since in the future is refused, for it belongs to another start of the daemon`()
        async throws
    {
        try await ServedSite.with { served in
            let reply = try await served.client().call("subscribe", ["since": 1_000_000])
            #expect(reply["error"]?["data"]?["code"] == "INVALID_REQUEST")
        }
    }

    @Test func `events older than what is kept are announced as dropped`() async throws {
        try await ServedSite.with { served in
            try await flood(served, EventLog.capacity + 500)
            let client = try await served.client()
            _ = try await client.call("subscribe", ["since": 100])
            let marker = try await client.json()["params"]
            #expect(marker?["type"] == "events.dropped")
            #expect(marker?["from"] == 101)
            let last = try #require(marker?["to"]?.intValue)
            #expect(marker?["seq"] == .int(Int64(last)))
            #expect(try await client.json()["params"]?["seq"]?.intValue == last + 1)
        }
    }

    @Test func `a subscriber that does not read is dropped with a reason, and nobody else is`()
        async throws
    {
        var limits = ControlLimits()
        limits.subscriptionEvents = 2000
        try await ServedSite.with(limits: limits) { served in
            let lazy = try await served.client()
            _ = try await lazy.call("subscribe")
            let keen = try await served.client()
            _ = try await keen.call("subscribe", ["types": ["config.reloaded"]])
            // Enough to fill the kernel's buffer, the connection's and the subscription's.
            try await eventually("the subscriber is dropped") {
                try await flood(served, 200)
                // Its reply comes after its events are dealt with, however busy the machine is.
                #expect(try await keen.call("version")["result"] != nil)
                return served.log.lines.contains { $0.message.hasPrefix("subscriber dropped") }
            }
            let lines = try await lazy.rest()
            let last = try #require(lines.last?["params"])
            #expect(last["type"] == "events.dropped")
            let before = try #require(lines.dropLast().last?["params"]?["seq"]?.intValue)
            #expect(last["from"] == .int(Int64(before + 1)))
            let seqs = lines.dropLast().compactMap { $0["params"]?["seq"]?.intValue }
            #expect(zip(seqs, seqs.dropFirst()).allSatisfy { $1 == $0 + 1 })
        }
    }

    @Test func `a half-closed subscriber goes on getting events`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            _ = try await client.call("subscribe", ["types": ["door.opened"]])
            await client.halfClose()
            _ = try await served.client().call("open", ["locker": "wall/1"])
            #expect(try await client.json()["params"]?["locker"]?["id"] == 101)
        }
    }

    /// Makes events quickly: a device that cannot make up its mind.
    private func flood(_ served: ServedSite, _ count: Int) async throws {
        let peer = Peer(uid: 0, gid: 0, groups: [0], pid: 1)
        for number in 0..<count {
            try await served.site.noteDevice(
                "d", state: "s\(number)\(UInt32.random(in: 0...UInt32.max))", peer: peer)
        }
    }
}
