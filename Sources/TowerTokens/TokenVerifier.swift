import CBORCodec
package import TowerLink

/// Takes tokens as a tower does, and says why it does not take one.
package struct TokenVerifier: Sendable {
    /// Bytes of a payload and of its signature at most.
    package static let longestPayload = 1024
    /// How far the clock of whoever made a token may be ahead, in seconds.
    package static let clockSkew: Int64 = 300

    private let tower: TowerID
    private let ring: KeyRing
    private let dialect: Dialect

    package init(_ tower: TowerID, _ ring: KeyRing, _ dialect: Dialect = .own) {
        self.tower = tower
        self.ring = ring
        self.dialect = dialect
    }

    /// - Parameter now: seconds since 1970.
    package func session(
        _ payload: [UInt8], _ payloadAuth: [UInt8], at now: Int64
    ) throws(TokenRefusal) -> SessionClaims {
        let packet = try opened(payload, payloadAuth, .requestSessionPayload, now)
        do throws(TowerLinkError) {
            let rights = (packet.fields[.permissions]?.arrayValue ?? []).map { right in
                right.intValue.flatMap(Permission.init)
            }
            let known = Set(rights.compactMap(\.self))
            guard !known.isEmpty, known.count == rights.count else {
                throw .malformed("permissions that are not known")
            }
            guard let client = packet.fields[.clientID]?.textValue,
                client.utf8.count <= SessionClaims.longestClient
            else {
                throw .malformed("want a client of \(SessionClaims.longestClient) bytes at most")
            }
            return SessionClaims(
                issued: try packet.int(.timestamp), expires: try packet.int(.expires),
                permissions: known, client: client,
                seed: Secret(try packet.bytes(.sessionSeed, count: Handshake.keyLength)))
        } catch {
            throw .malformed(error.description)
        }
    }

    /// - Parameter now: seconds since 1970.
    package func open(
        _ payload: [UInt8], _ payloadAuth: [UInt8], at now: Int64
    ) throws(TokenRefusal) -> OpenClaims {
        let packet = try opened(payload, payloadAuth, .openLockerPayload, now)
        do throws(TowerLinkError) {
            let info = packet.fields[.clientInfo]?.textValue ?? ""
            guard info.utf8.count <= OpenClaims.longestInfo else {
                throw .malformed("client info of \(info.utf8.count) bytes")
            }
            let locker = packet.fields[.lockerID] == nil ? nil : try packet.int(.lockerID)
            if let locker, locker < 0 { throw .malformed("locker \(locker)") }
            return OpenClaims(
                locker: locker, issued: try packet.int(.timestamp),
                expires: try packet.int(.expires),
                id: try packet.bytes(.tokenID, count: TokenIssuer.tokenIDLength),
                leavesAvailable: packet.fields[.lockerAvailable]?.boolValue, clientInfo: info)
        } catch {
            throw .malformed(error.description)
        }
    }

    private func opened(
        _ payload: [UInt8], _ payloadAuth: [UInt8], _ kind: Dialect.Message, _ now: Int64
    ) throws(TokenRefusal) -> Packet {
        let packet = try authentic(payload, payloadAuth, now)
        guard packet.message == kind else { throw .wrongKind(packet.message.rawValue) }
        let found: [UInt8]
        let issued: Int64
        let expires: Int64
        do throws(TowerLinkError) {
            found = try packet.bytes(.towerID, count: TowerID.length)
            (issued, expires) = (try packet.int(.timestamp), try packet.int(.expires))
        } catch {
            throw .malformed(error.description)
        }
        guard found == tower.bytes else { throw .wrongTower(hex(found)) }
        guard now < expires else { throw .expired(at: expires) }
        guard issued <= now + Self.clockSkew else { throw .notYetValid(from: issued) }
        return packet
    }

    private func authentic(
        _ payload: [UInt8], _ payloadAuth: [UInt8], _ now: Int64
    ) throws(TokenRefusal) -> Packet {
        guard payload.count <= Self.longestPayload, payloadAuth.count <= Self.longestPayload else {
            throw .malformed("longer than \(Self.longestPayload) bytes")
        }
        guard let auth = (try? CBORReader.parse(payloadAuth))?.mapValue, auth.count == 3,
            let id = auth[dialect.number(of: .keyID)]?.intValue,
            let rotation = auth[dialect.number(of: .keyRotation)]?.intValue,
            let tag = auth[dialect.number(of: .tag)]?.bytesValue
        else { throw .malformed("want a signature that names its key") }
        let key = try ring.verifying(id, rotation: rotation, at: now)
        let keys = TokenSeal.keys(key, tower)
        guard keys.isAuthentic(TokenSeal.values(id, rotation, payload), tag) else {
            throw .signature
        }
        do throws(TowerLinkError) {
            return try Packet(try keys.decrypt(payload), dialect)
        } catch {
            throw .malformed(error.description)
        }
    }
}
