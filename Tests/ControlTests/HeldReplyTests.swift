import ControlWire
import JSONLines
import LockerCore
import LockerKit
import LockerKitTesting
import TestSupport
import Testing

@Suite struct `held replies` {
    private static let root = Peer(uid: 0, gid: 0, groups: [0], pid: 1)

    /// A site whose open-all has run under the key `all`; each reply with its results takes more than 20 kB.
    private func withLongResults(
        _ body: (ServedSite, _ operation: String) async throws -> Void
    ) async throws {
        var limits = ControlLimits()
        limits.heldBytes = 100_000
        try await ServedSite.with(limits: limits, lockers: 120) { served in
            let done = try await served.site.openAll(
                OpenAllRequest(key: "all", peer: Self.root), wait: nil, progress: { _ in })
            try await body(served, done.id)
        }
    }

    private func refusals(_ served: ServedSite) -> Int {
        served.log.lines.count { $0.message == "reply not sent: the client does not read" }
    }

    private func request(_ id: Int, _ method: String, _ params: String) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":\#(params)}"#
    }

    @Test(arguments: ["operation", "open-all"])
    func `are not piled up for a client that does not read`(method: String) async throws {
        try await withLongResults { served, operation in
            let client = try await served.client()
            let params =
                method == "operation" ? #"{"operation":"\#(operation)"}"# : #"{"key":"all"}"#
            let lines = (1...64).map { request($0, method, params) }
            try await client.send(lines.joined(separator: "\n"))
            // What the kernel takes and what may be held comes to far less than half of them.
            try await eventually("most replies are refused") { refusals(served) >= 32 }
            var results = 0
            for _ in 1...64 {
                let reply = try await client.json()
                guard let error = reply["error"] else {
                    #expect(reply["result"]?["operation"] == .string(operation))
                    results += 1
                    continue
                }
                let isDeed = method == "open-all"
                #expect(error["data"]?["code"] == "BUSY")
                #expect(error["data"]?["fired"] == (isDeed ? "unknown" : "no"))
                #expect(error["data"]?["retryable"] == .bool(!isDeed))
                #expect(error["data"]?["details"]?["limit"] == 100_000)
                #expect(
                    error["data"]?["details"]?["operation"] == (isDeed ? .string(operation) : nil))
            }
            #expect((4...32).contains(results))
            // Once it has read, it is answered again.
            let again = try await client.call(method, try JSONReader.parse(params))
            #expect(again["result"]?["results"]?.arrayValue?.count == 124)
        }
    }

    @Test func `are not piled up in a batch, but for the short ones`() async throws {
        try await withLongResults { served, operation in
            let client = try await served.client()
            served.wall.hold()
            var elements = [request(0, "open", #"{"locker":"wall/1"}"#)]
            elements += (1...20).map { request($0, "operation", #"{"operation":"\#(operation)"}"#) }
            try await client.send("[" + elements.joined(separator: ",") + "]")
            try await eventually("what does not fit is refused") { refusals(served) >= 10 }
            served.wall.release()
            let replies = try await client.json().arrayValue ?? []
            #expect(replies.count == 21)
            #expect(replies.contains { $0["id"] == 0 && $0["result"] != nil })
            let refused = replies.filter { $0["error"]?["data"]?["code"] == "BUSY" }
            #expect((10...17).contains(refused.count))
        }
    }

    @Test func `of all unfinished batches of a connection count together`() async throws {
        var limits = ControlLimits()
        limits.batchReplyBytes = 4096
        try await ServedSite.with(limits: limits) { served in
            let client = try await served.client()
            served.wall.hold()
            let status = request(2, "status", "{}")
            let open = request(1, "open", #"{"locker":"wall/1"}"#)
            try await client.send("[\(open),\(status),\(status)]")
            let second = try await client.ask("[\(status)]")
            #expect(second.arrayValue?.first?["error"]?["data"]?["code"] == "BUSY")
            served.wall.release()
            #expect(try await client.json().arrayValue?.count == 3)
            let third = try await client.ask("[\(status)]")
            #expect(third.arrayValue?.first?["result"] != nil)
        }
    }

    @Test func `an accepted open that failed names its operation, and is repeated to its key`()
        async throws
    {
        try await ServedSite.with { served in
            let down = LockerError(.linkDown, "no connection", fired: .no)
            served.wall.fail(4, with: down)
            let client = try await served.client()
            let params: JSON = ["locker": "wall/4", "key": "k"]
            let first = try await client.call("open", params)["error"]?["data"]
            let operation = try #require(first?["details"]?["operation"]?.stringValue)
            #expect(first?["details"]?["replayed"] == false)
            #expect(first?["details"]?["attempts"] == 3)
            let again = try await client.call("open", params)["error"]?["data"]
            #expect(again?["code"] == "LINK_DOWN")
            #expect(again?["details"]?["operation"]?.stringValue == operation)
            #expect(again?["details"]?["replayed"] == true)
            // Three attempts of the first request, none of the second.
            #expect(served.wall.fired == [4, 4, 4])
            let seen = try await client.call("operation", ["operation": .string(operation)])
            #expect(seen["result"]?["error"]?["data"]?["code"] == "LINK_DOWN")
            // What was refused at the door has no operation.
            let expired = try await client.call("open", ["locker": 101, "deadlineMs": 0])
            #expect(expired["error"]?["data"]?["code"] == "EXPIRED")
            #expect(expired["error"]?["data"]?["details"]?["operation"] == nil)
        }
    }

    @Test func `a failure is not called retryable to whoever has spent a key on it`() async throws {
        try await ServedSite.with { served in
            served.wall.fail(4, with: LockerError(.linkDown, "no connection", fired: .no))
            let client = try await served.client()
            for (key, isRetryable) in [("k", false), (nil, true)] {
                var params: JSONObject = ["locker": "wall/4"]
                params["key"] = key.map(JSON.string)
                let reply = try await client.call("open", .object(params))
                #expect(reply["error"]?["data"]?["retryable"] == .bool(isRetryable))
            }
        }
    }

    @Test func `what is under way can be stopped however much of it there is`() async throws {
        try await ServedSite.with(lockers: 70) { served in
            let client = try await served.client()
            served.wall.hold()
            let lines = (1...64).map { request($0, "open", #"{"locker":\#(100 + $0)}"#) }
            try await client.send(lines.joined(separator: "\n"))
            let other = try await served.client()
            var ids: [String] = []
            _ = try await other.call("subscribe", ["since": 0, "types": ["operation.started"]])
            while ids.count < 64 {
                ids.append(
                    try #require(try await other.json()["params"]?["operation"]?.stringValue))
            }
            let busy = try await client.call("open", ["locker": 165], id: 900)
            #expect(busy["error"]?["data"]?["code"] == "BUSY")
            let state = try await client.call("operation", ["operation": .string(ids[0])], id: 901)
            #expect(state["result"]?["state"] == "pending")
            try await client.send(request(902, "cancel", #"{"operation":"\#(ids[63])"}"#))
            var heard: Set<String> = []
            // The cancelled open answers too, in either order.
            while heard.count < 2 { heard.insert(try await client.json()["id"]?.text ?? "") }
            #expect(heard.contains("902"))
            served.wall.release()
        }
    }

    @Test func `numbers and nulls are taken as JSON means them`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            let opened = try await client.call(
                "open",
                ["locker": 101, "key": .null, "deadlineMs": .double(5000), "reason": .null])
            #expect(opened["result"]?["outcome"] == "opened")
            let half = try await client.call("open", ["locker": 101, "deadlineMs": .double(0.5)])
            #expect(half["error"]?["code"] == -32602)
            // A scope that says nothing is no scope: it must not open the whole site.
            for scope in ["bank", "controller", "lockers"] {
                let reply = try await client.call("open-all", .object([scope: .null]))
                #expect(reply["error"]?["code"] == -32602, "\(scope)")
            }
            let schema = try await client.call("schema", ["method": "opne"])
            #expect(schema["error"]?["code"] == -32602)
            #expect(schema["error"]?["data"]?["details"]?["nearest"] == "open")
        }
    }
}
