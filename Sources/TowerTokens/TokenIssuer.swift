import CBORCodec
package import TowerLink

/// Makes tokens for one tower, as its server does.
package struct TokenIssuer: Sendable {
    /// How long a token may be good, in seconds: a day. Longer ones are nothing to hand out.
    package static let longestDuration: Int64 = 86_400
    static let tokenIDLength = 16

    private let tower: TowerID
    private let ring: KeyRing
    private let dialect: Dialect
    private let random: RandomBytes

    package init(
        _ tower: TowerID, _ ring: KeyRing, _ dialect: Dialect = .own,
        random: @escaping RandomBytes = systemRandom
    ) {
        self.tower = tower
        self.ring = ring
        self.dialect = dialect
        self.random = random
    }

    /// - Parameters:
    ///   - duration: seconds for which a session can be asked for with it, 1 to ``longestDuration``.
    ///   - now: seconds since 1970.
    package func sessionToken(
        _ permissions: Set<Permission>, client: String, duration: Int64, at now: Int64
    ) throws(IssueRefusal) -> SessionToken {
        guard client.utf8.count <= SessionClaims.longestClient else {
            throw .tooLong("client", client.utf8.count, SessionClaims.longestClient)
        }
        guard !permissions.isEmpty else { throw .noPermission }
        let seed = random(Handshake.keyLength)
        let rights = permissions.map(\.rawValue).sorted().map(CBOR.int)
        let token = try sealed(
            .requestSessionPayload,
            [
                .permissions: .array(rights), .clientID: .text(client),
                .sessionSeed: .bytes(seed),
            ], duration, now)
        return SessionToken(
            tower: tower, payload: token.payload, payloadAuth: token.payloadAuth,
            seed: Secret(seed))
    }

    /// - Parameters:
    ///   - locker: the tower's own number of it; nil where the tower looks for one by its rules.
    ///   - leavesAvailable: whether the locker is free afterwards; nil where that stays as it is.
    package func openToken(
        locker: Int64?, leavesAvailable: Bool? = nil, clientInfo: String = "", duration: Int64,
        at now: Int64
    ) throws(IssueRefusal) -> OpenToken {
        guard clientInfo.utf8.count <= OpenClaims.longestInfo else {
            throw .tooLong("client info", clientInfo.utf8.count, OpenClaims.longestInfo)
        }
        if let locker, locker < 0 { throw .locker(locker) }
        var fields: [Dialect.Field: CBOR] = [.tokenID: .bytes(random(Self.tokenIDLength))]
        fields[.lockerID] = locker.map { .int($0) }
        fields[.lockerAvailable] = leavesAvailable.map { .bool($0) }
        if !clientInfo.isEmpty { fields[.clientInfo] = .text(clientInfo) }
        return try sealed(.openLockerPayload, fields, duration, now)
    }

    private func sealed(
        _ kind: Dialect.Message, _ fields: [Dialect.Field: CBOR], _ duration: Int64, _ now: Int64
    ) throws(IssueRefusal) -> OpenToken {
        guard 1...Self.longestDuration ~= duration else { throw .duration(duration) }
        let key: TowerKey
        do throws(KeyRefusal) {
            key = try ring.issuing(at: now)
        } catch {
            throw .key(error)
        }
        var fields = fields
        fields[.towerID] = .bytes(tower.bytes)
        fields[.timestamp] = .int(now)
        fields[.expires] = .int(now + duration)
        let keys = TokenSeal.keys(key, tower)
        do throws(TowerLinkError) {
            let payload = try keys.encrypt(
                Packet(kind, fields).encoded(dialect), random(SealingKeys.blockLength))
            let tag = keys.tag(of: TokenSeal.values(key.id, key.rotation, payload))
            return OpenToken(
                tower: tower, payload: payload,
                payloadAuth: CBOR.map([
                    dialect.number(of: .keyID): .int(key.id),
                    dialect.number(of: .keyRotation): .int(key.rotation),
                    dialect.number(of: .tag): .bytes(tag),
                ]).encoded)
        } catch {
            throw .sealing(error.description)
        }
    }
}

/// What opens a locker: made by the server, relayed unread.
package struct OpenToken: Sendable, Equatable {
    package let tower: TowerID
    package let payload: [UInt8]
    package let payloadAuth: [UInt8]

    package init(tower: TowerID, payload: [UInt8], payloadAuth: [UInt8]) {
        self.tower = tower
        self.payload = payload
        self.payloadAuth = payloadAuth
    }
}

/// Why no token is made.
package enum IssueRefusal: Error, Equatable, CustomStringConvertible {
    case tooLong(String, Int, Int)
    case noPermission
    case duration(Int64)
    case locker(Int64)
    case key(KeyRefusal)
    case sealing(String)

    package var description: String {
        switch self {
        case .tooLong(let what, let found, let most):
            "\(what): \(found) bytes; want at most \(most)"
        case .noPermission: "a session without a permission"
        case .duration(let found):
            "duration \(found) s; want 1 to \(TokenIssuer.longestDuration)"
        case .locker(let found): "locker \(found); want 0 or more"
        case .key(let why): why.description
        case .sealing(let why): why
        }
    }
}

/// How tokens are sealed: by whoever makes them and by whoever takes them.
enum TokenSeal {
    static func keys(_ key: TowerKey, _ tower: TowerID) -> SealingKeys {
        SealingKeys(from: key.secret, salt: tower.bytes, purpose: "token", tower: tower)
    }

    static func values(_ id: Int64, _ rotation: Int64, _ payload: [UInt8]) -> [CBOR] {
        [.text("token"), .int(id), .int(rotation), .bytes(payload)]
    }
}
