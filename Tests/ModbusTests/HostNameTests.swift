import BusKit
import Dispatch
import DriverBench
import Glibc
import JSONLines
import LockerKit
import LockerKitTesting
import Locks
import Logging
import TestSupport
import Testing

@testable import ModbusDriver

@Suite(
    .serialized,
    .enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
struct `The name of a host` {
    private func link(
        _ port: Int, host: String = "board.test",
        options more: JSONObject = [:], resolve: @escaping HostLookup.Resolver
    ) throws -> ModbusLink {
        var options: JSONObject = [
            "transport": "tcp", "host": .string(host), "port": .int(Int64(port)),
        ]
        for member in more.members { options[member.key] = member.value }
        return try ModbusLink(
            LinkSettings(Options(options)),
            context: DriverContext(link: "bench", logger: .init(label: "x")),
            resolve: resolve)
    }

    private func canConnect(_ link: ModbusLink) async -> Bool { await refusal(link) == nil }

    @Test func `is looked up until it is found and then never again`() async throws {
        let peer = try await Peer.board()
        let questions = Mutex(0)
        let link = try link(peer.port) { _ throws(PortFailure) in
            let count = questions.withLock { count in
                count += 1
                return count
            }
            if count == 1 { throw PortFailure(step: .resolve, errno: EAI_NONAME) }
            return ["127.0.0.1"]
        }
        do throws(Fault) {
            try await link.connect(isUrgent: true, until: .now + .seconds(2))
            Issue.record("a host without a name was reached")
        } catch {
            #expect(error.clause.hasSuffix("name or service not known"), "\(error)")
        }
        #expect(await canConnect(link))
        await peer.stop()
        #expect(!(await canConnect(link)))
        try await with(.board(at: peer.port)) { _ in #expect(await canConnect(link)) }
        #expect(questions.withLock { $0 } == 2)
    }

    @Test func `stands for several addresses, which are tried in turn`() async throws {
        try await with(.board()) { peer in
            // Nobody listens at the first one.
            let link = try link(peer.port) { _ throws(PortFailure) in
                ["127.0.0.9", "127.0.0.1"]
            }
            #expect(await canConnect(link))
            let many = try self.link(peer.port) { _ throws(PortFailure) in
                Array(repeating: "127.0.0.9", count: BusLimits.addresses) + ["127.0.0.1"]
            }
            #expect(!(await canConnect(many)))
        }
    }

    @Test(arguments: ["127.0.0.1", "localhost"])
    func `is found by the system`(host: String) throws {
        #expect(try NetworkHandle.resolve(host).contains("127.0.0.1"))
    }

    @Test func `is not waited for longer than for a connection, and is found when it comes`()
        async throws
    {
        try await with(.board()) { peer in
            let (questions, silence) = (Mutex(0), Gate())
            let link = try link(peer.port, options: ["connect_ms": 50]) {
                _ throws(PortFailure) in
                questions.withLock { $0 += 1 }
                silence.wait()
                return ["127.0.0.1"]
            }
            for _ in 0..<20 {
                let fault = await refusal(link)
                #expect(
                    fault?.clause == "board.test:\(peer.port) is down: still looking up board.test")
            }
            silence.open()
            try await eventually("the host is reached") { await canConnect(link) }
            #expect(questions.withLock { $0 } == 1)
        }
    }

    @Test func `is looked up again after the name servers gave up`() async throws {
        try await with(.board()) { peer in
            let (questions, silence) = (Mutex(0), Gate())
            let link = try link(peer.port, options: ["connect_ms": 50]) {
                _ throws(PortFailure) in
                let count = questions.withLock { count in
                    count += 1
                    return count
                }
                guard count == 1 else { return ["127.0.0.1"] }
                silence.wait()
                throw PortFailure(step: .resolve, errno: EAI_AGAIN)
            }
            #expect(await refusal(link)?.clause.hasSuffix("still looking up board.test") == true)
            silence.open()
            try await eventually("the failure is told") {
                await refusal(link)?.clause.hasSuffix("temporary failure in name resolution")
                    == true
            }
            try await eventually("the host is reached") { await canConnect(link) }
        }
    }

    @Test(arguments: ["127.0.0.1", "::ffff:127.0.0.1"])
    func `needs no name server where it is a number`(host: String) async throws {
        try await with(.board()) { peer in
            let link = try link(peer.port, host: host) { _ throws(PortFailure) in
                Issue.record("\(host) was looked up")
                return []
            }
            #expect(await canConnect(link))
        }
    }

    private func refusal(_ link: ModbusLink) async -> Fault? {
        do throws(Fault) {
            try await link.connect(isUrgent: true, until: .now + .seconds(2))
            return nil
        } catch {
            return error
        }
    }
}

@Suite struct `An endpoint that is gone` {
    @Test func `is tried by the first of its controllers and not by each in turn`() async throws {
        let units = (2...12).map { unit in
            """

            [[controller]]
            id = "unit-\(unit)"
            board = "generic-coil-8"
            unit = \(unit)
            first_id = \(100 * unit)
            """
        }
        let bench = try await Bench(
            Bench.tcpText(freePort()) + units.joined(), clock: ManualClock())
        var excused = 0
        for controller in bench.controllers.values {
            let error = try await failure { () async throws(LockerError) in
                try await controller.start()
            }
            #expect(error.code == .linkDown && error.message.contains("connection refused"))
            if error.message.contains("next try in") { excused += 1 }
        }
        #expect(excused == 11)
    }
}

/// Holds threads back until it is opened.
private final class Gate: Sendable {
    private let group = DispatchGroup()

    init() { group.enter() }

    func wait() { group.wait() }
    func open() { group.leave() }
}
