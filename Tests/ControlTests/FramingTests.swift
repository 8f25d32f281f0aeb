import ControlServer
import ControlWire
import Foundation
import JSONLines
import TestSupport
import Testing

@Suite struct `request lines` {
    private func read(_ text: String) -> RequestLine {
        Array(text.utf8).withUnsafeBytes { RequestLine($0) }
    }

    @Test(arguments: ["7", "-1", "1.50", "\"a\\u0041\"", "null", "\"\"", "123456789012345678901"])
    func `an id comes back byte for byte`(id: String) {
        let line = read(#"{"jsonrpc":"2.0","id":\#(id),"method":"status"}"#)
        guard case .single(.request(let request)) = line else { return #expect(Bool(false)) }
        #expect(request.id == Array(id.utf8))
    }

    @Test(arguments: ["true", "[]", "{}"])
    func `an id of another kind is an invalid request with a null id`(id: String) {
        let line = read(#"{"jsonrpc":"2.0","id":\#(id),"method":"status"}"#)
        guard case .single(.invalid(let echoed, let fault)) = line else {
            return #expect(Bool(false))
        }
        #expect(echoed == Array("null".utf8))
        #expect(fault.number == -32600)
    }

    @Test(arguments: [
        ("{", -32700), ("[1,]", -32700), ("nul", -32700), ("{\"a\":1,\"a\":2}", -32700),
        ("1", -32600), ("\"x\"", -32600), ("{}", -32600), ("[]", -32600),
        (#"{"jsonrpc":"1.0","id":1,"method":"status"}"#, -32600),
        (#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600),
        (#"{"jsonrpc":"2.0","id":1,"method":"status","params":null}"#, -32600),
        (#"{"jsonrpc":"2.0","id":1,"method":"status","params":"x"}"#, -32600),
    ])
    func `what is no request gets JSON-RPC's own code`(text: String, number: Int) {
        switch read(text) {
        case .fault(let fault): #expect(fault.number == number)
        case .single(.invalid(_, let fault)): #expect(fault.number == number)
        default: #expect(Bool(false), "\(text) was accepted")
        }
    }

    @Test func `nesting past the reader's depth is refused`() {
        let text = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        guard case .fault(let fault) = read(text) else { return #expect(Bool(false)) }
        #expect(fault.number == -32700)
    }

    @Test func `a batch holds as many elements as the limit and not one more`() {
        let one = #"{"jsonrpc":"2.0","id":1,"method":"version"}"#
        let limit = ControlLimits.standard.batchElements
        func batch(_ count: Int) -> String {
            "[" + Array(repeating: one, count: count).joined(separator: ",") + "]"
        }
        guard case .batch(let elements) = read(batch(limit)) else { return #expect(Bool(false)) }
        #expect(elements.count == limit)
        guard case .fault(let fault) = read(batch(limit + 1)) else { return #expect(Bool(false)) }
        #expect(fault.number == -32600)
        #expect(fault.details["limit"] == .int(Int64(limit)))
    }

    @Test func `ids of a batch are those of its elements, whatever stands inside their params`() {
        let line = read(
            #"[{"params":{"id":5},"id":"a","jsonrpc":"2.0","method":"m"},7,{"jsonrpc":"2.0","method":"m"}]"#
        )
        guard case .batch(let elements) = line, elements.count == 3 else {
            return #expect(Bool(false))
        }
        guard case .request(let first) = elements[0], case .invalid(let id, _) = elements[1],
            case .request(let third) = elements[2]
        else { return #expect(Bool(false)) }
        #expect(first.id == Array("\"a\"".utf8))
        #expect(id == Array("null".utf8))
        #expect(third.id == nil)
    }
}

@Suite struct `the short way to one locker's status` {
    private func scan(_ text: String) -> (id: String, locker: String)? {
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBytes { line in
            StatusOfOne(line).map { one in
                let locker =
                    switch one.locker {
                    case .id(let id): String(id)
                    case .address(let range): String(decoding: line[range], as: UTF8.self)
                    }
                return (String(decoding: line[one.id], as: UTF8.self), locker)
            }
        }
    }

    @Test(arguments: [
        (
            #"{"jsonrpc":"2.0","id":1,"method":"status","params":{"lockers":["wall/3"]}}"#, "1",
            "wall/3"
        ),
        (
            #"{"params":{"lockers":[103]},"method":"status","id":"x","jsonrpc":"2.0"}"#, "\"x\"",
            "103"
        ),
        (
            #" { "jsonrpc" : "2.0" , "id" : 0 , "method" : "status" , "params" : { "lockers" : [ 1 ] } } "#,
            "0", "1"
        ),
    ])
    func `takes the plain form in any order`(text: String, id: String, locker: String) {
        let found = scan(text)
        #expect(found?.id == id)
        #expect(found?.locker == locker)
    }

    @Test(arguments: [
        #"{"jsonrpc":"2.0","method":"status","params":{"lockers":["wall/3"]}}"#,
        #"{"jsonrpc":"2.0","id":1,"id":2,"method":"status","params":{"lockers":["wall/3"]}}"#,
        #"{"jsonrpc":"2.0","id":1.5,"method":"status","params":{"lockers":["wall/3"]}}"#,
        #"{"jsonrpc":"2.0","id":null,"method":"status","params":{"lockers":["wall/3"]}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"status","params":{"lockers":["wall\/3"]}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"status","params":{"lockers":["wäll/3"]}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"status","params":{"lockers":["wall/3","wall/4"]}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"status","params":{"lockers":[]}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"status","params":{"lockers":[-3]}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"status","params":{"lockers":[1],"bank":"x"}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"open","params":{"lockers":["wall/3"]}}"#,
        #"{"jsonrpc":"1.0","id":1,"method":"status","params":{"lockers":["wall/3"]}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"status","params":{"lockers":["wall/3"]},"x":1}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"status","params":{"lockers":["wall/3"]}} x"#,
        #"{"jsonrpc":"2.0","id":1,"method":"status"}"#, "[]", "",
    ])
    func `leaves everything else to the general way`(text: String) {
        #expect(scan(text) == nil)
    }
}

@Suite struct `the lines of a connection` {
    @Test func `bad JSON in one line leaves the stream usable`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            let bad = try await client.ask(#"{"jsonrpc":"2.0","id":1,"method":"#)
            #expect(bad["error"]?["code"] == -32700)
            #expect(bad["id"] == .null)
            #expect(bad["error"]?["data"]?["fired"] == "no")
            try await client.send([0x22, 0xFF, 0xFE, 0x22, 0x0A])
            #expect(try await client.json()["error"]?["code"] == -32700)
            #expect(try await client.call("version")["result"]?["daemon"] == "lockerd")
        }
    }

    @Test func `carriage returns are tolerated and empty lines ignored`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            let request = #"{"jsonrpc":"2.0","id":5,"method":"version"}"#
            try await client.send(Array("\r\n\n  \n\(request)\r\n".utf8))
            #expect(try await client.json()["id"] == 5)
        }
    }

    @Test func `a line of the limit is served, one byte more ends the connection with a reason`()
        async throws
    {
        try await ServedSite.with { served in
            let limit = ControlLimits.standard.lineBytes
            let client = try await served.client()
            let request = #"{"jsonrpc":"2.0","id":5,"method":"version"}"#
            let padding = String(repeating: " ", count: limit - request.utf8.count)
            #expect(try await client.ask(request + padding)["id"] == 5)
            try await client.send(request + padding + " ")
            let reply = try await client.json()
            #expect(reply["error"]?["code"] == -32600)
            #expect(reply["error"]?["data"]?["details"]?["limit"] == .int(Int64(limit)))
            #expect(try await client.rest().isEmpty)
        }
    }

    @Test func `an endless line ends the connection long before its end`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 32 * 1024)
            // The server reads and drops what follows, so that its reason arrives.
            for _ in 0..<8 { try await client.send(piece) }
            #expect(try await client.json()["error"]?["code"] == -32600)
            await #expect(throws: RawClient.Problem.self) { _ = try await client.json() }
        }
    }

    @Test func `a client that half-closes gets all its replies and then the end`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            served.wall.hold()
            let open = #"{"jsonrpc":"2.0","id":1,"method":"open","params":{"locker":101}}"#
            let status = #"{"jsonrpc":"2.0","id":2,"method":"status","params":{"lockers":[101]}}"#
            let last = #"{"jsonrpc":"2.0","id":3,"method":"version"}"#
            // The last line has no line feed.
            try await client.send(Array("\(open)\n\(status)\n\(last)".utf8))
            await client.halfClose()
            #expect(try await client.json()["id"] == 2)
            #expect(try await client.json()["id"] == 3)
            served.wall.release()
            let reply = try await client.json()
            #expect(reply["id"] == 1)
            #expect(reply["result"]?["outcome"] == "opened")
            #expect(try await client.rest().isEmpty)
            try await eventually("the connection is forgotten") { served.server.clientCount == 0 }
        }
    }

    @Test func `requests of one connection run side by side`() async throws {
        try await ServedSite.with { served in
            let client = try await served.client()
            served.wall.hold()
            try await client.send(
                #"{"jsonrpc":"2.0","id":1,"method":"open","params":{"locker":"wall/1"}}"#)
            #expect(try await client.call("status", ["lockers": [101]], id: 2)["id"] == 2)
            served.wall.release()
            #expect(try await client.json()["id"] == 1)
        }
    }
}
