import Foundation
import JSONLines
import LockerKit
import LockerKitTesting
import Logging
import TestSupport
import Testing

@testable import HTTPUplink

/// The uplink against an independent upstream, over real connections.
@Suite(.needsPeers, .timeLimit(.minutes(2))) struct DeliveryTests {
    private let clock = ManualClock()
    private let log = LogRecorder()

    /// Runs `body` with an uplink for `url` that has these options besides, and closes it.
    private func withUplink(
        _ url: String, _ options: [String: JSON] = [:],
        _ body: (HTTPUplink) async throws -> Void
    ) async throws {
        var members: JSONObject = ["url": .string(url)]
        for (key, value) in options { members[key] = value }
        let uplink = try HTTPUplink(
            options: Options(json: JSON.object(members).text), site: "demo",
            context: UplinkContext(name: "http", clock: clock, logger: log.logger))
        do {
            try await body(uplink)
        } catch {
            await uplink.stop()
            throw error
        }
        await uplink.stop()
    }

    private func failure(_ uplink: HTTPUplink, _ seq: Int = 1) async -> LockerError? {
        do throws(LockerError) {
            try await uplink.deliver(sampleBeat(seq))
            return nil
        } catch {
            return error
        }
    }

    @Test func `a beat arrives as it is`() async throws {
        try await withTemporaryDirectory { folder in
            let upstream = try await Upstream(in: folder)
            try await withUplink("http://127.0.0.1:\(upstream.port)/v1/beats?a=b") { uplink in
                try await uplink.deliver(sampleBeat(3))
                try await uplink.deliver(sampleBeat(4))
            }
            let line = "state=online health=ok controllers=2 opens=opened:4"
            try await eventually("both lines") { upstream.lines.count == 2 }
            #expect(upstream.lines == [3, 4].map { "beat site=demo seq=\($0) \(line)" })
            let records = try upstream.records()
            let sent = try JSONReader.parse(sampleBeat(3))
            #expect(records[0]["beat"] == sent)
            #expect(records.map { $0["idempotencyKey"] } == ["boot-1-3", "boot-1-4"])
            #expect(records[0]["userAgent"] == "lockerd-http/0.1.0")
            #expect(records[0]["contentType"] == "application/json")
            await upstream.stop()
            #expect(try await upstream.process.exitStatus() == 0)
        }
    }

    @Test func `the right token opens, a wrong one is refused, a rotated one works at once`()
        async throws
    {
        try await withTemporaryDirectory { folder in
            try write("right-s3cret\n", to: "\(folder)/wanted", mode: 0o600)
            try write("wrong-s3cret\n", to: "\(folder)/token", mode: 0o600)
            let upstream = try await Upstream(in: folder, ["--token-file", "\(folder)/wanted"])
            try await withUplink(
                "http://127.0.0.1:\(upstream.port)/", ["token_file": .string("\(folder)/token")]
            ) { uplink in
                let error = await failure(uplink)
                #expect(error?.code == .refused)
                #expect(error?.message.contains("answered 401 (check token_file)") == true)
                try write("right-s3cret\n", to: "\(folder)/token", mode: 0o600)
                #expect(await failure(uplink, 2) == nil)
                #expect(try upstream.records().map { $0["beat"]?["seq"] } == [2])
                #expect(error?.description.contains("s3cret") == false)
            }
            #expect(!log.lines.contains { $0.message.contains("s3cret") })
            await upstream.stop()
        }
    }

    @Test func `an upstream in trouble gets the same beat again`() async throws {
        try await withTemporaryDirectory { folder in
            let upstream = try await Upstream(in: folder, ["--fail", "2"])
            try await withUplink("http://127.0.0.1:\(upstream.port)/") { uplink in
                let delivery = Task { await failure(uplink) }
                for _ in 0..<2 {
                    await clock.waitForSleepers(1)
                    clock.advance(by: .seconds(1))
                }
                #expect(await delivery.value == nil)
            }
            #expect(try upstream.records().map { $0["idempotencyKey"] } == ["boot-1-1"])
            await upstream.stop()
        }
    }

    @Test func `an upstream may name the pause`() async throws {
        try await withTemporaryDirectory { folder in
            let upstream = try await Upstream(
                in: folder, ["--fail", "1", "--fail-status", "429", "--retry-after", "5"])
            try await withUplink("http://127.0.0.1:\(upstream.port)/") { uplink in
                let delivery = Task { await failure(uplink) }
                await clock.waitForSleepers(1)
                clock.advance(by: .milliseconds(4999))
                #expect(clock.sleepers == 1)
                clock.advance(by: .milliseconds(1))
                #expect(await delivery.value == nil)
            }
            await upstream.stop()
        }
    }

    @Test func `an upstream that does not answer is given up in time`() async throws {
        try await withTemporaryDirectory { folder in
            let upstream = try await Upstream(in: folder, ["--delay", "30"])
            try await withUplink("http://127.0.0.1:\(upstream.port)/", ["timeout_ms": 300]) {
                uplink in
                let delivery = Task { await failure(uplink) }
                await clock.waitForSleepers(1)
                clock.advance(by: .milliseconds(26_500))
                let error = await delivery.value
                #expect(error?.code == .timedOut)
                #expect(
                    error?.message == "127.0.0.1:\(upstream.port) did not answer within 300 ms")
            }
            await upstream.stop()
        }
    }

    @Test func `an upstream that comes back gets the beat`() async throws {
        try await withTemporaryDirectory { folder in
            let port = freePort()
            try await withUplink("http://127.0.0.1:\(port)/") { uplink in
                let delivery = Task { await failure(uplink) }
                await clock.waitForSleepers(1)
                #expect(
                    log.lines.last?.message.hasPrefix(
                        "cannot reach 127.0.0.1:\(port): connection refused; trying again in ")
                        == true)
                let upstream = try await Upstream(in: folder, port: port)
                clock.advance(by: .seconds(1))
                #expect(await delivery.value == nil)

                // The connection that is kept is dead when the upstream was started anew.
                await upstream.stop()
                let again = try await Upstream(in: folder, port: port)
                let second = Task { await failure(uplink, 2) }
                try await eventually("the second beat") {
                    if clock.sleepers > 0 { clock.advance(by: .seconds(1)) }
                    return again.lines.count == 1
                }
                #expect(await second.value == nil)
                await again.stop()
            }
        }
    }

    @Test func `redirects are not followed`() async throws {
        try await withTemporaryDirectory { folder in
            let upstream = try await Upstream(in: folder, ["--status", "307"])
            try await withUplink("http://127.0.0.1:\(upstream.port)/") { uplink in
                let error = await failure(uplink)
                #expect(error?.code == .refused)
                #expect(error?.message.contains("answered 307; redirects are not followed") == true)
            }
            #expect(try upstream.records().count == 1)
            await upstream.stop()
        }
    }

    @Test func `an endless body neither fills the memory nor fails the delivery`() async throws {
        try await withTemporaryDirectory { folder in
            let upstream = try await Upstream(
                in: folder, ["--pad", "50000000", "--fail", "1", "--fail-status", "400"])
            try await withUplink("http://127.0.0.1:\(upstream.port)/") { uplink in
                let error = await failure(uplink)
                #expect(error?.code == .refused)
                #expect((100...400).contains(error?.message.utf8.count ?? 0))
                #expect(await failure(uplink, 2) == nil)
            }
            await upstream.stop()
        }
    }

    @Test func `an empty answer is an answer`() async throws {
        try await withTemporaryDirectory { folder in
            let upstream = try await Upstream(in: folder, ["--status", "204"])
            try await withUplink("http://127.0.0.1:\(upstream.port)/") { uplink in
                #expect(await failure(uplink) == nil)
                #expect(await failure(uplink, 2) == nil)
            }
            await upstream.stop()
        }
    }

    @Test func `an unknown host is named`() async throws {
        try await withUplink("https://no-such-host.invalid/") { uplink in
            let delivery = Task { await failure(uplink) }
            await clock.waitForSleepers(1)
            clock.advance(by: .milliseconds(20_000))
            let error = await delivery.value
            #expect([.linkDown, .timedOut].contains(error?.code))
            #expect(error?.message.contains("no-such-host.invalid:443") == true)
        }
    }

    @Test func `a cancelled delivery lets go of a hanging upstream`() async throws {
        try await withTemporaryDirectory { folder in
            let upstream = try await Upstream(in: folder, ["--delay", "30"])
            try await withUplink("http://127.0.0.1:\(upstream.port)/") { uplink in
                let delivery = Task { await failure(uplink) }
                try await Task.sleep(for: .milliseconds(50))
                delivery.cancel()
                #expect(await delivery.value?.code == .cancelled)
            }
            await upstream.stop()
        }
    }

    @Test(arguments: [
        "{}", "[]", "no beat", #"{"bootId":"a b","seq":1}"#, #"{"bootId":7,"seq":1}"#,
    ])
    func `what is no beat is refused before anything is sent`(text: String) async throws {
        try await withUplink("http://127.0.0.1:9/") { uplink in
            let error = await #expect(throws: LockerError.self) { try await uplink.deliver(text) }
            #expect(error?.code == .invalidRequest)
        }
    }
}

/// The same over TLS, with certificates made for the occasion.
@Suite(.needsPeers, .needsOpenSSL, .timeLimit(.minutes(2))) struct EncryptedDeliveryTests {
    private let clock = ManualClock()
    private let log = LogRecorder()

    private func failure(_ url: String, caFile: String? = nil) async throws -> LockerError? {
        let settings = UplinkSettings(endpoint: try Endpoint(url), caFile: caFile)
        let transport = HTTPTransport(settings)
        let courier = Courier(
            settings: settings, transport: transport,
            files: FileReader(logger: Logger(label: "test")), clock: clock,
            logger: log.logger)
        let delivery = Task {
            do throws(LockerError) {
                try await courier.deliver(sampleBeat(1), key: "k")
                return LockerError?.none
            } catch {
                return error
            }
        }
        let helper = Task {
            // What is tried again is tried once or twice, and then time is up.
            while !Task.isCancelled {
                if clock.sleepers > 0 { clock.advance(by: .seconds(13)) }
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        let error = await delivery.value
        helper.cancel()
        await transport.close()
        return error
    }

    private func withUpstream(
        _ name: String, _ body: (TestAuthority, Upstream) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { folder in
            let authority = try await TestAuthority(in: folder)
            let upstream = try await Upstream(
                in: folder, ["--tls"] + authority.server(name))
            try await body(authority, upstream)
            await upstream.stop()
        }
    }

    @Test func `a certificate of the given authority is accepted`() async throws {
        try await withUpstream("DNS:localhost") { authority, upstream in
            let url = "https://localhost:\(upstream.port)/"
            let error = try await failure(url, caFile: authority.caFile)
            #expect(error == nil)
            let records = try upstream.records()
            #expect(records.count == 1)
        }
    }

    @Test func `an address may stand in a certificate`() async throws {
        try await withUpstream("IP:127.0.0.1") { authority, upstream in
            let url = "https://127.0.0.1:\(upstream.port)/"
            let error = try await failure(url, caFile: authority.caFile)
            #expect(error == nil)
        }
    }

    @Test func `a certificate of an unknown authority is refused`() async throws {
        try await withUpstream("DNS:localhost") { _, upstream in
            let error = try await failure("https://localhost:\(upstream.port)/")
            #expect(error?.code == .refused)
            #expect(
                error?.message
                    == "the certificate of localhost:\(upstream.port) is not trusted by the system's roots"
            )
            #expect(try upstream.records().isEmpty)
        }
    }

    @Test func `a certificate for another host is refused`() async throws {
        try await withUpstream("DNS:elsewhere.example") { authority, upstream in
            let url = "https://localhost:\(upstream.port)/"
            let error = try await failure(url, caFile: authority.caFile)
            #expect(error?.code == .refused)
            #expect(error?.message.contains("made out to another host") == true, "\(error as Any)")
            #expect(try upstream.records().isEmpty)
        }
    }

    @Test func `a server without TLS is no upstream for https`() async throws {
        try await withTemporaryDirectory { folder in
            let upstream = try await Upstream(in: folder)
            let error = try await failure("https://localhost:\(upstream.port)/")
            #expect(error?.code == .linkDown)
            #expect(error?.message.contains("TLS handshake") == true, "\(error as Any)")
            await upstream.stop()
        }
    }

    @Test(arguments: ["", "no certificate"])
    func `a useless ca_file is named`(contents: String) async throws {
        try await withTemporaryDirectory { folder in
            try write(contents, to: "\(folder)/ca.pem")
            let error = try await failure("https://localhost:9/", caFile: "\(folder)/ca.pem")
            #expect(error?.code == .invalidRequest)
            #expect(error?.message.contains("ca_file \(folder)/ca.pem") == true)
            let missing = try await failure("https://localhost:9/", caFile: "\(folder)/none.pem")
            #expect(missing?.code == .invalidRequest)
        }
    }
}
