import CBORCodec
import Foundation
import JSONLines
import TestSupport
import Testing
import TowerLink

/// Sessions with a tower, held to the vectors of an independent implementation.
@Suite struct `A session with a tower` {
    private let vectors: Vectors

    init() throws { vectors = try Vectors() }

    @Test(.enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
    func `has vectors that another implementation makes`() async throws {
        let check = try ChildProcess(
            Checkout.python,
            ["\(Checkout.root)/Tests/Bench/tower/vectors.py", "--check", Vectors.path])
        #expect(try await check.exitStatus(within: .seconds(60)) == 0, "\(check.standardOutput)")
    }

    @Test(.enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
    func `has a tower to test against that does as the document says`() async throws {
        let check = try ChildProcess(
            Checkout.python,
            ["\(Checkout.root)/Tests/Bench/tower/check_tower.py", Vectors.path])
        #expect(try await check.exitStatus(within: .seconds(60)) == 0, "\(check.standardOutput)")
    }

    @Test func `uses the numbers of the document's table`() throws {
        let own = Dialect.own
        for message in Dialect.Message.allCases {
            #expect(own.number(of: message) == vectors.int("numbers.messages.\(message.rawValue)"))
            #expect(own.message(own.number(of: message)) == message)
        }
        for field in Dialect.Field.allCases {
            #expect(own.number(of: field) == vectors.int("numbers.fields.\(field.rawValue)"))
        }
        for code in Dialect.Code.allCases {
            #expect(own.number(of: code) == vectors.int("numbers.codes.\(code.rawValue)"))
        }
        #expect(
            vectors.at("numbers.fields").objectValue?.keys.count == Dialect.Field.allCases.count
                && vectors.at("numbers.messages").objectValue?.keys.count
                    == Dialect.Message.allCases.count
                && vectors.at("numbers.codes").objectValue?.keys.count
                    == Dialect.Code.allCases.count
        )
        let events = try #require(vectors.at("numbers.events").objectValue)
        #expect(events.members.count == Dialect.EventKind.allCases.count)
        for member in events.members {
            #expect(own.event(Int64(member.value.intValue ?? -1))?.rawValue == member.key)
        }
        #expect(Dialect(messages: [.error: 5], fields: [:], codes: [:], events: [:]) == nil)
    }

    @Test func `is asked for, granted and used byte by byte as in the vectors`() throws {
        let handshake = Handshake(
            try vectors.sessionToken(), at: vectors.int("session.requestAt"),
            random: fixed([vectors.bytes("session.requestNonce")]))
        #expect(hexText(handshake.request) == vectors.text("session.request"))
        #expect(
            hexText(PacketFramer.framed(handshake.request))
                == vectors.text("session.framedRequest"))
        let exchange = vectors.at("session.exchange").arrayValue ?? []
        #expect(exchange.count == 3)
        var session = try vectors.session(
            fixed(exchange.map { hexBytes($0["block"]?.stringValue ?? "") }))
        #expect(session.id == vectors.bytes("session.sessionID"))
        let commands: [Packet] = [
            Packet(
                .openLockerWithToken,
                [
                    .payload: .bytes(vectors.bytes("openToken.payload")),
                    .payloadAuth: .bytes(vectors.bytes("openToken.payloadAuth")),
                ]),
            Packet(.checkAllLockerDoors), Packet(.terminateSession, [.errorCode: .int(0)]),
        ]
        let answers: [Packet] = [
            Packet(.lockerOpened, [.lockerID: .int(14)]),
            Packet(.allLockerDoorStates, [.doorsOpen: .bytes([0x02, 0x40])]),
            Packet(.acknowledge),
        ]
        for (step, (command, answer)) in zip(exchange, zip(commands, answers)) {
            #expect(hexText(try session.seal(command)) == step["content"]?.stringValue)
            #expect(
                try session.open(hexBytes(step["answerContent"]?.stringValue ?? "")) == answer)
        }
    }

    @Test func `opens a locker by one write and one notification of 244 bytes`() {
        let step = vectors.at("session.exchange").arrayValue?.first
        for name in ["content", "answerContent"] {
            let content = hexBytes(step?[name]?.stringValue ?? "")
            #expect(!content.isEmpty && PacketFramer.framed(content).count <= 244)
        }
    }

    // MARK: What is refused

    @Test func `refuses a forged grant, whatever byte of it was changed`() throws {
        let handshake = Handshake(
            try vectors.sessionToken(), at: vectors.int("session.requestAt"),
            random: fixed([vectors.bytes("session.requestNonce")]))
        let grant = vectors.bytes("session.grant")
        for place in grant.indices {
            for bit in 0..<8 {
                var forged = grant
                forged[place] ^= 1 << UInt8(bit)
                #expect(throws: TowerLinkError.self) { try handshake.session(from: forged) }
            }
        }
        for length in grant.indices {
            #expect(throws: TowerLinkError.self, "truncated to \(length)") {
                try handshake.session(from: Array(grant.prefix(length)))
            }
        }
    }

    @Test func `refuses the grant of another request, of another tower, and of another token`()
        throws
    {
        let grant = vectors.bytes("session.grant")
        func error(
            _ token: SessionToken, at: Int64, nonce: [UInt8]
        ) -> TowerLinkError? {
            #expect(throws: TowerLinkError.self) {
                try Handshake(token, at: at, random: fixed([nonce])).session(from: grant)
            }
        }
        let (token, nonce) = (try vectors.sessionToken(), vectors.bytes("session.requestNonce"))
        let at = vectors.int("session.requestAt")
        let wanted = TowerLinkError.forged("the grant of a session")
        #expect(error(token, at: at + 1, nonce: nonce) == wanted)
        #expect(error(token, at: at, nonce: nonce.reversed()) == wanted)
        let other = try #require(TowerID("0100000000000176"))
        #expect(
            error(
                SessionToken(
                    tower: other, payload: token.payload, payloadAuth: token.payloadAuth,
                    seed: token.seed), at: at, nonce: nonce) == wanted)
        #expect(
            error(
                SessionToken(
                    tower: token.tower, payload: token.payload, payloadAuth: token.payloadAuth,
                    seed: Secret([UInt8](repeating: 1, count: 32))), at: at, nonce: nonce)
                == wanted)
    }

    @Test func `refuses to be downgraded`() throws {
        let handshake = Handshake(
            try vectors.sessionToken(), at: vectors.int("session.requestAt"),
            random: fixed([vectors.bytes("session.requestNonce")]))
        var grant = try Packet(vectors.bytes("session.grant"), .own)
        for version: Int64 in [0, 2] {
            grant.fields[.version] = .int(version)
            let bytes = grant.encoded(.own)
            #expect(
                throws: TowerLinkError.malformed("version \(version) in answer to version 1")
            ) { try handshake.session(from: bytes) }
        }
    }

    @Test func `is not granted by a tower that refuses`() throws {
        let handshake = Handshake(try vectors.sessionToken(), at: vectors.now)
        let refusal = Packet(
            .sessionError, [.errorCode: .int(20), .errorMessage: .text("expired")])
        #expect(throws: TowerLinkError.refused(code: 20, message: "expired")) {
            try handshake.session(from: refusal.encoded(.own))
        }
        #expect(throws: TowerLinkError.malformed("acknowledge in answer to requestSession")) {
            try handshake.session(from: Packet(.acknowledge).encoded(.own))
        }
    }

    @Test func `refuses a forged or truncated answer, whatever byte of it was changed`() throws {
        var fresh = try vectors.session()
        _ = try fresh.seal(Packet(.openLockerWithToken))
        let step = vectors.at("session.exchange").arrayValue?.first
        let answer = hexBytes(step?["answerContent"]?.stringValue ?? "")
        for place in answer.indices {
            for bit in 0..<8 {
                var (session, forged) = (fresh, answer)
                forged[place] ^= 1 << UInt8(bit)
                #expect(throws: TowerLinkError.self) { try session.open(forged) }
            }
            var session = fresh
            #expect(throws: TowerLinkError.self) {
                try session.open(Array(answer.prefix(place)))
            }
        }
        #expect(try fresh.open(answer).message == .lockerOpened)
    }

    @Test func `refuses replayed, reordered, reflected and unsealed answers`() throws {
        let tower = try FakeTower(vectors)
        var session = try vectors.session()
        let command = try session.seal(Packet(.checkAllLockerDoors))
        // What it has sent itself comes back.
        #expect(throws: TowerLinkError.forged("a packet of this session")) {
            try session.open(command)
        }
        #expect(throws: TowerLinkError.forged("a packet that is not sealed")) {
            try session.open(Packet(.acknowledge).encoded(.own))
        }
        #expect(throws: TowerLinkError.malformed("answer 2 to command 1")) {
            try session.open(try tower.seal(.acknowledge, 2))
        }
        let first = try tower.seal(.acknowledge, 1)
        #expect(try session.open(first).message == .acknowledge)
        #expect(throws: TowerLinkError.replayed("answer 1 after answer 1")) {
            try session.open(first)
        }
        _ = try session.seal(Packet(.checkAllLockerDoors))
        let late = try tower.seal(.acknowledge, 2)
        _ = try session.seal(Packet(.openAvailableLocker))
        // The answer to the one before comes while another one is waited for.
        #expect(throws: TowerLinkError.replayed("answer 2 while 3 is waited for")) {
            try session.open(late)
        }
        #expect(try session.open(try tower.seal(.lockerOpened, 3)).message == .lockerOpened)
        #expect(throws: TowerLinkError.replayed("answer 2 after answer 3")) {
            try session.open(late)
        }
    }

    @Test func `refuses an answer of another session`() throws {
        var session = try vectors.session()
        _ = try session.seal(Packet(.checkAllLockerDoors))
        var other = SecureSession(
            id: [UInt8](repeating: 9, count: 8), key: Secret([UInt8](repeating: 1, count: 32)),
            tower: try vectors.tower)
        let content = try other.seal(Packet(.acknowledge))
        #expect(throws: TowerLinkError.forged("a packet of another session")) {
            try session.open(content)
        }
    }

    @Test func `takes no harm from random and mutated packets`() throws {
        var random = SeededGenerator(seed: 3)
        var session = try vectors.session()
        _ = try session.seal(Packet(.openLockerWithToken))
        let handshake = Handshake(try vectors.sessionToken(), at: vectors.now)
        let step = vectors.at("session.exchange").arrayValue?.first
        let answer = hexBytes(step?["answerContent"]?.stringValue ?? "")
        for _ in 0..<3000 {
            let mutated = random.mutate(answer)
            if mutated != answer {
                #expect(throws: TowerLinkError.self) { try session.open(mutated) }
            }
            #expect(throws: TowerLinkError.self) {
                try handshake.session(from: random.mutate(vectors.bytes("session.grant")))
            }
        }
    }
}

/// Packets that come in pieces.
@Suite struct `A packet in pieces` {
    @Test func `is put together however it was cut`() throws {
        var random = SeededGenerator(seed: 4)
        let packets = (0..<50).map { _ in
            systemRandom(Int.random(in: 0...600, using: &random))
        }
        var stream = packets.flatMap(PacketFramer.framed)
        var framer = PacketFramer()
        var found: [[UInt8]] = []
        while !stream.isEmpty {
            let count = min(stream.count, Int.random(in: 1...244, using: &random))
            framer.append(stream.prefix(count))
            stream.removeFirst(count)
            while let packet = try framer.next() { found.append(packet) }
        }
        #expect(found == packets && !framer.isInPacket)
    }

    @Test func `is refused where it is none, or too long`() throws {
        for (bytes, problem) in [
            ([0xA0], "want a byte string"), ([0x5F], "told beforehand"),
            ([0x59, 0x20, 0x01], "8193 bytes"), ([0x5A, 0xFF, 0xFF, 0xFF, 0xFF], "shorter"),
            ([0x58, 0x01, 0x00], "shorter head"),
        ] as [([UInt8], String)] {
            var framer = PacketFramer()
            framer.append(bytes)
            let error = #expect(throws: TowerLinkError.self) { try framer.next() }
            #expect(error?.description.contains(problem) == true, "\(error?.description ?? "")")
        }
    }
}
