import Foundation
import JSONLines
import TestSupport
import Testing

@testable import ControlClient

@Suite(.enabled(if: Python.whyNot == nil, "\(Python.whyNot ?? "")"))
struct Client {
    private let event = """
        {"notify":"event","params":{"seq":1,"at":"2026-11-21T08:15:30.500Z","type":"door.opened","locker":"wall/1"}}
        """

    private func connect(
        _ daemon: FakeDaemon, replyLimit: Int = 1 << 20, eventLimit: Int = 100
    ) async throws -> ControlClient {
        try await ControlClient.connect(
            to: daemon.socket, replyLimit: replyLimit, eventLimit: eventLimit)
    }

    @Test func `calls on one connection are answered by their own replies`() async throws {
        let script = #"{"slow":[[{"sleep":0.2},{"result":"slow"}]],"fast":[[{"result":"fast"}]]}"#
        try await FakeDaemon.with(script) { daemon in
            let client = try await connect(daemon)
            async let slow = client.call("slow")
            async let fast = client.call("fast")
            #expect(try await fast.result == "fast")
            #expect(try await slow.result == "slow")
            await client.close()
        }
    }

    @Test func `a line of the limit is taken, one byte more ends the connection with a reason`()
        async throws
    {
        let reply = #"{"jsonrpc":"2.0","id":1,"result":""}"#
        for (extra, fits) in [(0, true), (1, false)] {
            let line = reply.replacingOccurrences(
                of: "\"\"", with: "\"" + String(repeating: "x", count: 2000 + extra) + "\"")
            let script = "{\"big\":[[{\"line\":\(quoted(line))}]]}"
            try await FakeDaemon.with(script) { daemon in
                let client = try await connect(daemon, replyLimit: reply.utf8.count + 2000)
                if fits {
                    #expect(try await client.call("big").result.stringValue?.count == 2000)
                } else {
                    await #expect {
                        try await client.call("big")
                    } throws: { error in
                        "\(error)".contains("a line longer than \(reply.utf8.count + 2000) bytes")
                    }
                }
                await client.close()
            }
        }
    }

    @Test func `events past the limit end the stream with an error instead of filling memory`()
        async throws
    {
        let events = Array(repeating: event, count: 6).joined(separator: ",")
        let script = """
            {"subscribe":[[{"result":{"seq":0}},\(events)]],"after":[[{"result":1}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let client = try await connect(daemon, eventLimit: 5)
            let stream = try await client.events()
            try await eventually("all events have come") {
                // A reply that comes after them shows that they were handled.
                try await Task.sleep(for: .milliseconds(100))
                return try await client.call("after").result == 1
            }
            var taken = 0
            await #expect(throws: ControlError.eventsOverflowed(limit: 5)) {
                for try await _ in stream { taken += 1 }
            }
            #expect(taken == 5)
            await client.close()
        }
    }

    @Test func `a stream keeps its connection when nothing else holds the client`() async throws {
        let script = "{\"subscribe\":[[{\"result\":{\"seq\":0}},{\"sleep\":0.2},\(event)]]}"
        try await FakeDaemon.with(script) { daemon in
            func stream() async throws -> AsyncThrowingStream<SiteEvent, any Error> {
                try await connect(daemon).events()
            }
            var events = try await stream().makeAsyncIterator()
            #expect(try await events.next()?.type == "door.opened")
        }
    }

    @Test func `a daemon that stays silent is given up after the patience`() async throws {
        try await FakeDaemon.with(#"{"mute":[[]]}"#) { daemon in
            let client = try await connect(daemon)
            await #expect(throws: ControlError.timedOut(method: "mute", after: .milliseconds(50))) {
                try await client.call("mute", patience: .milliseconds(50))
            }
            await client.close()
        }
    }

    @Test func `a cancelled caller is let go at once`() async throws {
        try await FakeDaemon.with(#"{"mute":[[]]}"#) { daemon in
            let client = try await connect(daemon)
            let task = Task { try await client.call("mute", patience: nil) }
            try await eventually("the request arrived") { !daemon.requests("mute").isEmpty }
            task.cancel()
            await #expect(throws: ControlError.abandoned(method: "mute")) { try await task.value }
            await client.close()
        }
    }

    @Test func `a call after the end says that nothing was sent`() async throws {
        try await FakeDaemon.with(#"{"bye":[[{"close":true}]]}"#) { daemon in
            let client = try await connect(daemon)
            await #expect(
                throws: ControlError.connectionLost(method: "bye", reason: "the daemon closed it")
            ) {
                try await client.call("bye")
            }
            await #expect(throws: ControlError.closed(reason: "the daemon closed it")) {
                try await client.call("version")
            }
        }
    }
}

@Suite
struct IncomingLines {
    private let lines = [
        #"{"jsonrpc":"2.0","id":1,"result":{"a":[1,2.50,null]}}"#,
        #"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"this is not JSON"}}"#,
        #"{"jsonrpc":"2.0","method":"event","params":{"seq":1,"at":"x","type":"y"}}"#,
        #"[{"jsonrpc":"2.0","id":1,"result":1}]"#,
        #"{"id":1,"result":{"first":{"n":1,"previous":"p"},"head":{"n":1,"hash":"h"},"entries":[{"n":1,"at":"x","act":"open","peer":{"uid":1,"gid":2,"pid":3},"previous":"p","hash":"h"}]}}"#,
        #"{"id":1,"result":{"dryRun":true,"total":2,"skipped":1,"estimateMs":2.5}}"#,
        Sample.status,
    ]

    @Test func `a result keeps the bytes it came with`() throws {
        let line = Array(#"{ "result" : {"a": 2.50, "b":[ ]} , "id":7, "new":true}"#.utf8)
        let message = try line.withUnsafeBytes { try Incoming($0) }
        guard case .reply(7, .success(let reply)) = message else {
            Issue.record("\(message)")
            return
        }
        #expect(reply.text == #"{"a": 2.50, "b":[ ]}"#)
    }

    @Test func `what an older daemon does not tell is absent, and nothing is refused for it`()
        throws
    {
        let status = try SiteStatus(
            Reply(result: try JSONReader.parse(Sample.status), text: Sample.status))
        let locker = try #require(status.lockers.first)
        #expect(locker.jams == 0)
        #expect(locker.doorTimes == nil)
        #expect(locker.suspicion == nil)
        let fault = DaemonFault(try JSONReader.parse(Sample.fault("LINK_DOWN", "m")))
        #expect(fault.attempts == nil)
        #expect(fault.retryAfterMs == nil)
    }

    @Test func `entries of the audit keep the bytes they came with`() throws {
        let text = """
            {"entries":[{"n":1,"at":"T","act":"started","clockSynchronized":true ,"previous":"p","hash":"h"} , \
            {"n":2,"at":"T","act":"new-act","later":[1.50],"previous":"h","hash":"i"}],"first":{"n":1,"previous":"p"},\
            "head":{"n":2,"hash":"i"},"entriesLeft":[]}
            """
        let page = try AuditPage(Reply(result: try JSONReader.parse(text), text: text))
        #expect(
            page.entries.map(\.json) == [
                #"{"n":1,"at":"T","act":"started","clockSynchronized":true ,"previous":"p","hash":"h"}"#,
                #"{"n":2,"at":"T","act":"new-act","later":[1.50],"previous":"h","hash":"i"}"#,
            ])
        #expect(page.entries.map(\.isClockSynchronized) == [true, false])
        #expect(page.headNumber == 2)
    }

    @Test func `random and mutated lines are read or refused, never more`() {
        var random = SeededGenerator(seed: 20)
        for round in 0..<4000 {
            let base = Array(lines[round % lines.count].utf8)
            let bytes =
                round % 4 == 0
                ? (0..<Int.random(in: 0...200, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                } : random.mutate(base)
            bytes.withUnsafeBytes { line in
                // Whatever is understood must also survive being taken apart further.
                guard let message = try? Incoming(line) else { return }
                switch message {
                case .reply(_, .success(let reply)):
                    _ = try? SiteStatus(reply)
                    _ = try? OperationResult(reply)
                    _ = try? DaemonVersion(reply)
                    _ = try? CancelResult(reply)
                    _ = try? AuditPage(reply)
                    _ = try? OpenAllPlan(reply)
                case .notification(_, let params, let text):
                    _ = try? SiteEvent(params, text: text)
                    _ = try? OpenAllProgress(params)
                default: break
                }
            }
        }
    }

    @Test func `a status whose members are mutated is read or refused, never more`() {
        var random = SeededGenerator(seed: 21)
        for _ in 0..<500 {
            let bytes = random.mutate(Array(Sample.status.utf8))
            guard let json = try? JSONReader.parse(bytes) else { continue }
            _ = try? SiteStatus(Reply(result: json, text: ""))
        }
    }
}
