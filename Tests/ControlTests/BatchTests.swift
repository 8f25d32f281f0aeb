import ControlWire
import JSONLines
import LockerCore
import LockerKit
import LockerKitTesting
import Logging
import SiteModel
import TestSupport
import Testing

@Suite struct `batches` {
    private func element(_ id: String?, _ method: String, _ params: String = "{}") -> String {
        let id = id.map { "\"id\":\($0)," } ?? ""
        return #"{"jsonrpc":"2.0",\#(id)"method":"\#(method)","params":\#(params)}"#
    }

    @Test func `a batch is answered by one array with a reply for each request`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            let batch = [
                element("1", "version"), element("\"b\"", "status", #"{"lockers":[101]}"#),
                element("3", "open", #"{"locker":"wall/2"}"#), element("4", "opne"),
                element(nil, "version"), "5",
            ]
            let replies = try await client.ask("[" + batch.joined(separator: ",") + "]")
            let byID = Dictionary(
                uniqueKeysWithValues: (replies.arrayValue ?? []).map { ($0["id"]?.text ?? "", $0) })
            #expect(byID.count == 5)
            #expect(byID["1"]?["result"]?["daemon"] == "lockerd")
            #expect(byID["\"b\""]?["result"]?["lockers"]?.arrayValue?.count == 1)
            #expect(byID["3"]?["result"]?["outcome"] == "opened")
            #expect(byID["4"]?["error"]?["code"] == -32601)
            #expect(byID["null"]?["error"]?["code"] == -32600)
        }
    }

    @Test func `a batch of notifications is not answered`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            try await client.send("[\(element(nil, "version")),\(element(nil, "status"))]")
            #expect(try await client.call("version", id: 9)["id"] == 9)
        }
    }

    @Test func `an empty batch is an invalid request`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            let reply = try await client.ask("[]")
            #expect(reply["error"]?["code"] == -32600)
            #expect(reply["id"] == .null)
        }
    }

    @Test func `an open in a batch waits for nobody but itself`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            served.wall.hold()
            try await client.send(
                "[\(element("1", "open", #"{"locker":101}"#)),\(element("2", "open", #"{"locker":201}"#))]"
            )
            #expect(try await client.call("version", id: 9)["id"] == 9)
            served.wall.release()
            #expect(try await client.json().arrayValue?.count == 2)
        }
    }

    @Test func `replies past the batch's limit are refused, and the rest stands`() async throws {
        var limits = ControlLimits()
        limits.batchReplyBytes = 4096
        try await ServedSite.with(limits: limits) { served in
            let client = try await served.client()
            let batch = (1...20).map { element("\($0)", "status") }
            let replies = try await client.ask("[" + batch.joined(separator: ",") + "]")
            let list = replies.arrayValue ?? []
            #expect(list.count == 20)
            #expect(list.first?["result"] != nil)
            #expect(list.last?["error"]?["data"]?["code"] == "BUSY")
        }
    }

    @Test func `events of a subscription made in a batch come after the batch's reply`()
        async throws
    {
        try await ServedSite.with { served in
            let client = try await served.client()
            served.wall.hold()
            let open = element("2", "open", #"{"locker":101}"#)
            try await client.send("[\(element("1", "subscribe", #"{"since":0}"#)),\(open)]")
            served.wall.release()
            #expect(try await client.json().arrayValue?.count == 2)
            #expect(try await client.json()["params"]?["seq"] == 1)
        }
    }
}

@Suite struct `notifications` {
    private func send(
        _ method: String, _ params: String, to served: ServedSite
    ) async throws -> RawClient {
        let client = try await served.client()
        try await client.send(
            #"{"jsonrpc":"2.0","method":"\#(method)","params":\#(params)}"#)
        // Nothing but this is answered.
        #expect(try await client.call("version", id: 9)["id"] == 9)
        return client
    }

    @Test(arguments: ["open", "open-all"])
    func `what moves hardware is not carried out without an id`(method: String) async throws {
        try await ServedSite.with { served in
            let seq = served.site.events.lastSeq
            _ = try await send(method, #"{"lockers":[101]}"#, to: served)
            #expect(served.wall.fired.isEmpty)
            #expect(served.site.events.lastSeq == seq)
            #expect(
                served.log.lines.contains {
                    $0.level == .warning && $0.metadata["method"] == method
                })
        }
    }

    @Test func `everything else is carried out and not answered`() async throws {
        try await ServedSite.with { served in
            _ = try await send("service", #"{"locker":101,"outOfService":true}"#, to: served)
            _ = try await send("heartbeat", #"{"deviceId":"kiosk","state":"hot"}"#, to: served)
            try await eventually("both were done") {
                served.site.snapshot.locker(.id(101))?.service.outOfService == true
                    && served.site.events.lastSeq >= 2
            }
            served.wall.hold()
            let client = try await served.client()
            let pending = try await client.call("open", ["locker": 102, "waitMs": 0])["result"]
            let queued = try await client.call("open", ["locker": 102, "waitMs": 0])["result"]
            let id = try #require(queued?["operation"]?.stringValue)
            _ = try await send("cancel", #"{"operation":"\#(id)"}"#, to: served)
            try await eventually("it is cancelled") {
                try await client.call("operation", ["operation": .string(id)])["result"]?["state"]
                    == "cancelled"
            }
            served.wall.release()
            #expect(pending?["state"] == "pending")
        }
    }

    @Test func `a subscription without an id brings events and no reply`() async throws {
        try await ServedSite.with { served in
            let client = try await send("subscribe", #"{"types":["device.state"]}"#, to: served)
            _ = try await send("heartbeat", #"{"deviceId":"kiosk"}"#, to: served)
            #expect(try await client.json()["params"]?["deviceId"] == "kiosk")
        }
    }

    /// The examples of the specification, whose methods we do not have.
    @Test func `parameters by position are no reason to answer one`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            try await client.send(#"{"jsonrpc":"2.0","method":"update","params":[1,2,3,4,5]}"#)
            try await client.send(
                #"[{"jsonrpc":"2.0","method":"notify_sum","params":[1,2,4]},{"jsonrpc":"2.0","method":"notify_hello","params":[7]}]"#
            )
            let unknown = try await client.ask(
                #"{"jsonrpc":"2.0","method":"subtract","params":[42,23],"id":1}"#)
            #expect(unknown["error"]?["code"] == -32601)
            let known = try await client.ask(
                #"{"jsonrpc":"2.0","method":"open","params":[101],"id":2}"#)
            #expect(known["error"]?["code"] == -32602)
            let all = try await client.ask(
                #"{"jsonrpc":"2.0","method":"open-all","params":[],"id":4}"#)
            #expect(all["error"]?["code"] == -32602)
            let none = try await client.ask(
                #"{"jsonrpc":"2.0","method":"version","params":[],"id":3}"#)
            #expect(none["result"]?["daemon"] == "lockerd")
            #expect(served.wall.fired.isEmpty)
        }
    }
}
