import ControlServer
import ControlWire
import Glibc
import JSONLines
import LockerCore
import LockerKit
import SiteModel
import TestSupport
import Testing

@Suite struct `limits` {
    @Test func `one client over the limit is told so and let go`() async throws {
        let rules = [AccessRule(name: "control.rule[0]", rights: [.view])]
        try await ServedSite.with(rules: rules, owners: [], maximumClients: 2) { served in
            let first = try await served.client()
            let second = try await served.client()
            #expect(try await first.call("version")["result"] != nil)
            #expect(try await second.call("version")["result"] != nil)
            let third = try await served.client()
            let reply = try await third.json()
            #expect(reply["id"] == .null)
            #expect(reply["error"]?["data"]?["code"] == "BUSY")
            #expect(reply["error"]?["data"]?["retryable"] == true)
            #expect(try await third.rest().isEmpty)
            await second.close()
            try await eventually("a place is free again") { served.server.clientCount == 1 }
            let fourth = try await served.client()
            #expect(try await fourth.call("version")["result"] != nil)
        }
    }

    @Test func `whoever has to set things right gets in when every place is taken`() async throws {
        try await ServedSite.with(maximumClients: 1) { served in
            var clients: [RawClient] = []
            for _ in 0..<9 {
                let client = try await served.client()
                #expect(try await client.call("version")["result"] != nil)
                clients.append(client)
            }
            let refused = try await served.client()
            #expect(try await refused.json()["error"]?["data"]?["code"] == "BUSY")
            for client in clients { await client.close() }
        }
    }

    @Test func `handles that the daemon needs itself go to no client`() async throws {
        var limit = rlimit()
        try #require(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
        // Everything but what others may take in this process meanwhile, and two connections.
        let lowest = dup(STDIN_FILENO)
        try #require(close(lowest) == 0)
        var limits = ControlLimits()
        limits.handlesPerModule = Int(clamping: limit.rlim_cur) - Int(lowest) - 300
        limits.spareHandles = 0
        try await ServedSite.with(limits: limits) { served in
            let first = try await served.client()
            #expect(try await first.call("version")["result"] != nil)
            // With a module more than there were, the same number of handles is too few.
            served.server.updatePolicy(served.plan.control, modules: 2)
            let refused = try await served.client()
            let error = try await refused.json()["error"]
            #expect(error?["data"]?["code"] == "BUSY" && error?["data"]?["retryable"] == true)
            #expect(error?["message"]?.stringValue?.contains("file handle") == true)
            #expect(try await refused.rest().isEmpty)
            #expect(served.server.clientCount == 1)
            #expect(try await first.call("version")["result"] != nil)
        }
    }

    @Test func `one request in flight over the limit is refused, and the others go on`()
        async throws
    {
        var limits = ControlLimits()
        limits.requestsInFlight = 3
        try await ServedSite.with(limits: limits) { served in
            let client = try await served.client()
            served.wall.hold()
            for id in 1...4 {
                try await client.send(
                    #"{"jsonrpc":"2.0","id":\#(id),"method":"open","params":{"locker":\#(100 + id)}}"#
                )
            }
            let refused = try await client.json()
            #expect(refused["id"] == 4)
            #expect(refused["error"]?["data"]?["code"] == "BUSY")
            #expect(refused["error"]?["data"]?["details"]?["limit"] == 3)
            // What needs no waiting is answered all the same.
            #expect(try await client.call("status", ["lockers": [101]], id: 5)["id"] == 5)
            served.wall.release()
            var ids: Set<Int> = []
            for _ in 1...3 { ids.insert(try await client.json()["id"]?.intValue ?? 0) }
            #expect(ids == [1, 2, 3])
            #expect(!served.wall.fired.contains(4))
        }
    }

    @Test func `a client that does not read its replies is not read from`() async throws {
        try await ServedSite.with(lockers: 1000) { served in
            let client = try await served.client()
            let request = Array(#"{"jsonrpc":"2.0","id":1,"method":"status"}"#.utf8) + [0x0A]
            // Each reply takes more than a quarter of a megabyte; the requests would ask for gigabytes.
            var sent = 0
            try await eventually("the server takes no more requests") {
                let count = await client.sendWithoutWaiting(
                    Array(Array(repeating: request, count: 200).joined()))
                sent += count
                return count == 0
            }
            #expect(sent < 4 << 20)
            // Everybody else is served meanwhile.
            let other = try await served.client()
            #expect(try await other.call("version")["result"] != nil)
            // And it gets every reply once it reads.
            await client.halfClose()
            for _ in 0..<3 {
                #expect(try await client.json()["result"]?["lockers"]?.arrayValue?.count == 1004)
            }
        }
    }

    @Test(arguments: [
        ("open", "key", 128), ("open", "reason", 512), ("service", "reasonCode", 64),
        ("service", "reason", 512), ("heartbeat", "deviceId", 64), ("heartbeat", "state", 64),
        ("operation", "operation", 128),
    ])
    func `a text of the limit is taken, one byte more is not`(
        method: String, param: String, limit: Int
    ) async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            for extra in 0...1 {
                var params: JSONObject = ["locker": "wall/1", "deviceId": "door-cam"]
                if method == "operation" || method == "heartbeat" { params["locker"] = nil }
                if method != "heartbeat" { params["deviceId"] = nil }
                params[param] = .string(String(repeating: "x", count: limit + extra))
                let error = try await client.call(method, .object(params))["error"]
                #expect((error?["code"] == -32602) == (extra == 1))
                if extra == 1 {
                    #expect(
                        error?["message"]
                            == .string("\(param) has \(limit + 1) bytes; want 1 to \(limit)"))
                }
            }
        }
    }

    @Test func `a deadline or a wait of more than a day is refused`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            for param in ["deadlineMs", "waitMs"] {
                let reply = try await client.call(
                    "open", .object(["locker": "wall/1", param: 86_400_001]))
                #expect(reply["error"]?["code"] == -32602)
            }
            #expect(served.wall.fired.isEmpty)
        }
    }

    @Test func `fifty clients at once are all served`() async throws {
        try await ServedSite.with { served in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<50 {
                    group.addTask {
                        let client = try await served.client()
                        var good = 0
                        for round in 0..<20 {
                            let id = number * 100 + round
                            let locker = 101 + (number + round) % 8
                            let reply = try await client.call(
                                "status", ["lockers": [.int(Int64(locker))]], id: id)
                            if reply["id"] == .int(Int64(id)),
                                reply["result"]?["lockers"]?.arrayValue?.first?["id"]
                                    == .int(Int64(locker))
                            {
                                good += 1
                            }
                        }
                        return good
                    }
                }
                var total = 0
                for try await good in group { total += good }
                #expect(total == 1000)
            }
        }
    }

    @Test func `a large reply comes once and whole`() async throws {
        try await ServedSite.with(lockers: 3000) { served in
            let client = try await served.client()
            for id in 1...30 {
                try await client.send(#"{"jsonrpc":"2.0","id":\#(id),"method":"status"}"#)
                let line = try await client.line()
                #expect(line.starts(with: Array(#"{"jsonrpc":"2.0","id":\#(id),"result":{"#.utf8)))
                #expect(line.suffix(16).elementsEqual("],\"uplinks\":[]}}".utf8))
                #expect(line.count > 500_000)
            }
        }
    }
}
