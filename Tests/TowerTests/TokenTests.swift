import CBORCodec
import Foundation
import TestSupport
import Testing
import TowerLink
import TowerTokens

/// Tokens of towers: made, taken and refused.
@Suite struct `A token` {
    private let vectors: Vectors
    private let now: Int64

    init() throws {
        vectors = try Vectors()
        now = vectors.now
    }

    private func issuer(
        _ ring: KeyRing? = nil, _ random: RandomBytes? = nil
    ) throws -> TokenIssuer {
        TokenIssuer(
            try vectors.tower, try ring ?? vectors.ring(), random: random ?? systemRandom)
    }

    private func verifier(_ ring: KeyRing? = nil, tower: String? = nil) throws -> TokenVerifier {
        TokenVerifier(
            try tower.flatMap { TowerID($0) } ?? vectors.tower, try ring ?? vectors.ring())
    }

    @Test func `is made byte by byte as in the vectors`() throws {
        let session = try issuer(
            nil, fixed([vectors.bytes("sessionToken.seed"), vectors.bytes("sessionToken.block")])
        ).sessionToken([.technician, .pickup], client: "kiosk 7", duration: 3600, at: now)
        #expect(hexText(session.payload) == vectors.text("sessionToken.payload"))
        #expect(hexText(session.payloadAuth) == vectors.text("sessionToken.payloadAuth"))
        #expect(session.seed == Secret(vectors.bytes("sessionToken.seed")))
        let open = try issuer(
            nil, fixed([vectors.bytes("openToken.id"), vectors.bytes("openToken.block")])
        ).openToken(
            locker: 14, leavesAvailable: true, clientInfo: "order 4711, ü", duration: 300, at: now)
        #expect(hexText(open.payload) == vectors.text("openToken.payload"))
        #expect(hexText(open.payloadAuth) == vectors.text("openToken.payloadAuth"))
    }

    @Test func `says what the vectors say`() throws {
        let claims = try verifier().session(
            vectors.bytes("sessionToken.payload"), vectors.bytes("sessionToken.payloadAuth"),
            at: now)
        #expect(claims.issued == now && claims.expires == now + 3600)
        #expect(claims.permissions == [.pickup, .technician] && claims.client == "kiosk 7")
        #expect(claims.seed == Secret(vectors.bytes("sessionToken.seed")))
        let open = try verifier().open(
            vectors.bytes("openToken.payload"), vectors.bytes("openToken.payloadAuth"),
            at: now + 299)
        #expect(open.issued == now && open.expires == now + 300)
        #expect(open.locker == 14 && open.leavesAvailable == true)
        #expect(open.id == vectors.bytes("openToken.id") && open.clientInfo == "order 4711, ü")
    }

    @Test func `is refused when forged or truncated, whatever byte of it was changed`() throws {
        let verifier = try verifier()
        let (payload, auth) = (
            vectors.bytes("openToken.payload"), vectors.bytes("openToken.payloadAuth")
        )
        for place in payload.indices {
            var forged = payload
            forged[place] ^= 0x10
            #expect(throws: TokenRefusal.signature) {
                try verifier.open(forged, auth, at: now)
            }
            #expect(throws: TokenRefusal.signature) {
                try verifier.open(Array(payload.prefix(place)), auth, at: now)
            }
        }
        for place in auth.indices {
            for bit in 0..<8 {
                var forged = auth
                forged[place] ^= 1 << UInt8(bit)
                #expect(throws: TokenRefusal.self) { try verifier.open(payload, forged, at: now) }
            }
            #expect(throws: TokenRefusal.self) {
                try verifier.open(payload, Array(auth.prefix(place)), at: now)
            }
        }
        #expect(throws: TokenRefusal.self) {
            try verifier.open([UInt8](repeating: 0, count: 1025), auth, at: now)
        }
    }

    @Test func `is refused by another tower`() throws {
        let token = try issuer().openToken(locker: 1, duration: 60, at: now)
        let other = try verifier(tower: "0100000000000176")
        #expect(throws: TokenRefusal.signature) {
            try other.open(token.payload, token.payloadAuth, at: now)
        }
        // Also one that is sealed for this tower and speaks of another one.
        let keys = SealingKeys(
            from: Secret(vectors.bytes("key.secret")), salt: try vectors.tower.bytes,
            purpose: "token", tower: try vectors.tower)
        let (payload, auth) = try sealed(
            keys,
            [
                .towerID: .bytes([1, 2, 3, 4, 5, 6, 7, 8]), .timestamp: .int(now),
                .expires: .int(now + 1),
            ])
        #expect(throws: TokenRefusal.wrongTower("0102030405060708")) {
            try verifier().open(payload, auth, at: now)
        }
    }

    private func sealed(
        _ keys: SealingKeys, _ fields: [Dialect.Field: CBOR]
    ) throws -> (payload: [UInt8], auth: [UInt8]) {
        let dialect = Dialect.own
        let payload = try keys.encrypt(
            Packet(.openLockerPayload, fields).encoded(dialect), systemRandom(16))
        let (id, rotation) = (vectors.int("key.id"), vectors.int("key.rotation"))
        let tag = keys.tag(of: [.text("token"), .int(id), .int(rotation), .bytes(payload)])
        let auth = CBOR.map([
            dialect.number(of: .keyID): .int(id), dialect.number(of: .keyRotation): .int(rotation),
            dialect.number(of: .tag): .bytes(tag),
        ]).encoded
        return (payload, auth)
    }

    @Test func `is refused before and after its time`() throws {
        let token = try issuer().openToken(locker: 1, duration: 60, at: now)
        for (moment, refusal) in [
            (now + 60, TokenRefusal.expired(at: now + 60)), (now + 9999, .expired(at: now + 60)),
            (now - 301, .notYetValid(from: now)),
        ] {
            #expect(throws: refusal) {
                try verifier().open(token.payload, token.payloadAuth, at: moment)
            }
        }
        #expect(try verifier().open(token.payload, token.payloadAuth, at: now + 59).locker == 1)
        #expect(try verifier().open(token.payload, token.payloadAuth, at: now - 300).locker == 1)
    }

    @Test func `of one kind is not taken for the other`() throws {
        #expect(throws: TokenRefusal.wrongKind("requestSessionPayload")) {
            try verifier().open(
                vectors.bytes("sessionToken.payload"), vectors.bytes("sessionToken.payloadAuth"),
                at: now)
        }
        #expect(throws: TokenRefusal.wrongKind("openLockerPayload")) {
            try verifier().session(
                vectors.bytes("openToken.payload"), vectors.bytes("openToken.payloadAuth"),
                at: now)
        }
    }

    @Test func `is taken as long as its key is, and no longer`() throws {
        var ring = try vectors.ring()
        let old = try issuer().openToken(locker: 1, duration: 3600, at: now)
        func open(_ at: Int64) throws -> Int64? {
            try verifier(ring).open(old.payload, old.payloadAuth, at: at).locker
        }
        try ring.install(try vectors.key(rotation: 3), sunset: now + 100)
        #expect(try open(now + 99) == 1)
        #expect(throws: TokenRefusal.keyExpired(id: 3, rotation: 2)) { try open(now + 100) }
        // New ones are made with the new one, which a tower that has not got it yet does not take.
        let new = try issuer(ring).openToken(locker: 2, duration: 60, at: now)
        #expect(try verifier(ring).open(new.payload, new.payloadAuth, at: now).locker == 2)
        #expect(throws: TokenRefusal.keyUnknown(id: 3, rotation: 3)) {
            try verifier().open(new.payload, new.payloadAuth, at: now)
        }
        try ring.revoke(3, rotation: 2)
        #expect(throws: TokenRefusal.keyRevoked(id: 3, rotation: 2)) { try open(now) }
        // Revoked stays revoked.
        try ring.sunset(3, rotation: 2, until: now + 1000)
        #expect(throws: TokenRefusal.keyRevoked(id: 3, rotation: 2)) { try open(now) }
        ring.forgetUseless(at: now + 1_000_000)
        #expect(throws: TokenRefusal.keyRevoked(id: 3, rotation: 2)) { try open(now) }
    }

    @Test func `cannot be given another key's name`() throws {
        var ring = try vectors.ring()
        try ring.install(try vectors.key(rotation: 3), sunset: now + 1000)
        // The same secret under another rotation: the name is part of what is signed.
        let dialect = Dialect.own
        var auth = try #require(
            try CBORReader.parse(vectors.bytes("openToken.payloadAuth")).mapValue)
        auth[dialect.number(of: .keyRotation)] = .int(3)
        #expect(throws: TokenRefusal.signature) {
            try verifier(ring).open(
                vectors.bytes("openToken.payload"), CBOR.map(auth).encoded, at: now)
        }
    }

    @Test func `is not made where it would be refused`() throws {
        let issuer = try issuer()
        func refusal(_ body: () throws -> Void) -> String {
            let error = #expect(throws: IssueRefusal.self) { try body() }
            return error?.description ?? ""
        }
        let long = String(repeating: "x", count: 501)
        #expect(
            refusal { _ = try issuer.openToken(locker: 1, clientInfo: long, duration: 1, at: now) }
                == "client info: 501 bytes; want at most 500")
        for duration: Int64 in [0, -1, 86_401] {
            #expect(
                refusal { _ = try issuer.openToken(locker: 1, duration: duration, at: now) }
                    == "duration \(duration) s; want 1 to 86400")
        }
        #expect(
            refusal { _ = try issuer.openToken(locker: -1, duration: 1, at: now) }
                == "locker -1; want 0 or more")
        #expect(
            refusal { _ = try issuer.sessionToken([], client: "", duration: 1, at: now) }
                == "a session without a permission")
        var ring = try vectors.ring()
        try ring.revoke(3, rotation: 2)
        let without = try self.issuer(ring)
        #expect(
            refusal { _ = try without.openToken(locker: 1, duration: 1, at: now) }
                == "no key is installed that could be used now")
    }

    @Test func `takes no harm from random and mutated bytes`() throws {
        var random = SeededGenerator(seed: 5)
        let verifier = try verifier()
        let (payload, auth) = (
            vectors.bytes("openToken.payload"), vectors.bytes("openToken.payloadAuth")
        )
        for _ in 0..<3000 {
            let changed = random.mutate(payload)
            if changed != payload {
                #expect(throws: TokenRefusal.signature) {
                    try verifier.open(changed, auth, at: now)
                }
            }
            let signature = random.mutate(auth)
            if signature != auth {
                #expect(throws: TokenRefusal.self) {
                    try verifier.session(payload, signature, at: now)
                }
            }
        }
    }
}

/// The keys of a tower.
@Suite struct `A ring of keys` {
    private func key(_ rotation: Int64, id: Int64 = 1, expires: Int64? = nil) throws -> TowerKey {
        try #require(
            TowerKey(
                id: id, rotation: rotation,
                secret: Secret([UInt8](repeating: UInt8(rotation), count: 32)), expires: expires))
    }

    @Test func `refuses what goes back, and has an end`() throws {
        var ring = KeyRing()
        try ring.install(try key(5), sunset: 0)
        for rotation: Int64 in [4, 5] {
            #expect(throws: KeyRefusal.rotation(rotation, newest: 5)) {
                try ring.install(try key(rotation), sunset: 0)
            }
        }
        for id in 2...16 { try ring.install(try key(1, id: Int64(id)), sunset: 0) }
        #expect(throws: KeyRefusal.full) { try ring.install(try key(6), sunset: 100) }
        #expect(throws: KeyRefusal.unknown(id: 1, rotation: 6)) {
            try ring.revoke(1, rotation: 6)
        }
        try ring.sunset(2, rotation: 1, until: 50)
        // Sooner stays sooner.
        try ring.sunset(2, rotation: 1, until: 80)
        ring.forgetUseless(at: 50)
        #expect(ring.keys.count == 15)
        try ring.install(try key(6), sunset: 100)
        #expect(ring.keys.count == 16)
    }

    @Test func `has keys of the right size only`() {
        #expect(TowerKey(id: 1, rotation: 1, secret: Secret([1, 2, 3])) == nil)
        #expect(
            TowerKey(id: -1, rotation: 1, secret: Secret([UInt8](repeating: 0, count: 32))) == nil)
    }

    @Test func `is not printed, nor what it makes`() throws {
        var ring = KeyRing()
        let mark: [UInt8] = [UInt8](repeating: 0xA7, count: 32)
        ring.install(
            try #require(TowerKey(id: 1, rotation: 1, secret: Secret(mark))))
        let issuer = TokenIssuer(try #require(TowerID("0100000000000175")), ring)
        let token = try issuer.sessionToken([.owner], client: "c", duration: 60, at: 1000)
        var dumped = ""
        dump(ring, to: &dumped)
        dump(token, to: &dumped)
        dump(issuer, to: &dumped)
        dumped +=
            "\(ring) \(token) \(issuer) \(String(reflecting: ring)) \(String(reflecting: token))"
        #expect(dumped.contains("(secret)"))
        // Several of its bytes in a row: a single one may be in anything.
        let dense = dumped.filter { !$0.isWhitespace }
        let shapes = ["a7", "A7", "167,", "-167"].map { String(repeating: $0, count: 4) }
        for text in shapes + [hexText(token.seed.revealed)] {
            #expect(!dense.contains(text), "\(text)")
        }
    }
}

extension KeyRing {
    /// The first key of a ring.
    fileprivate mutating func install(_ key: TowerKey) {
        try? install(key, sunset: 0)
    }
}
