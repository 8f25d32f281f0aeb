package import CBORCodec
import Crypto
import CryptoExtras
import FoundationEssentials

/// A pair of keys: one for the authenticity of something, one for its secrecy.
///
/// Encrypt-then-MAC: AES-128-CTR with a random block in front, HMAC-SHA256 over what that gives, cut to ``tagLength``.
package struct SealingKeys: Sendable {
    /// Bytes of an authentication tag. HMAC may be cut to half its length (RFC 2104, section 5).
    package static let tagLength = 16
    /// Bytes of the first counter block, which stands in front of the ciphertext.
    package static let blockLength = 16
    /// Names the protocol in everything derived, so that no other protocol and no other version of it derives the same.
    private static let name = "lockerd-tower/1"

    private let authentication: SymmetricKey
    private let encryption: SymmetricKey

    /// - Parameters:
    ///   - secret: what both sides have.
    ///   - salt: what makes these keys different from others of the same secret.
    ///   - purpose: one word for what is sealed.
    ///   - tower: of which tower.
    package init(from secret: Secret, salt: [UInt8], purpose: String, tower: TowerID) {
        func derive(_ use: String, _ length: Int) -> SymmetricKey {
            HKDF<SHA256>.deriveKey(
                inputKeyMaterial: secret.key, salt: salt,
                info: Array("\(Self.name) \(purpose) \(use) ".utf8) + tower.bytes,
                outputByteCount: length)
        }
        authentication = derive("authenticate", 32)
        encryption = derive("encrypt", 16)
    }

    /// - Parameter block: ``blockLength`` random bytes, never the same ones for the same keys.
    package func encrypt(_ plain: [UInt8], _ block: [UInt8]) throws(TowerLinkError) -> [UInt8] {
        do {
            let nonce = try AES._CTR.Nonce(nonceBytes: block)
            return block + (try AES._CTR.encrypt(plain, using: encryption, nonce: nonce))
        } catch {
            throw .malformed("\(plain.count) bytes that cannot be encrypted")
        }
    }

    /// Only for what ``isAuthentic(_:_:)`` was said of before.
    package func decrypt(_ sealed: [UInt8]) throws(TowerLinkError) -> [UInt8] {
        guard sealed.count >= Self.blockLength else {
            throw .malformed(
                "\(sealed.count) bytes of ciphertext; want \(Self.blockLength) or more")
        }
        do {
            let nonce = try AES._CTR.Nonce(nonceBytes: sealed.prefix(Self.blockLength))
            return Array(
                try AES._CTR.decrypt(
                    sealed.dropFirst(Self.blockLength), using: encryption, nonce: nonce))
        } catch {
            throw .malformed("\(sealed.count) bytes that cannot be decrypted")
        }
    }

    /// The tag of a list of values. As one CBOR array no two lists have the same bytes.
    package func tag(of values: [CBOR]) -> [UInt8] {
        let code = HMAC<SHA256>.authenticationCode(
            for: CBOR.array(values).encoded, using: authentication)
        return Array(code.prefix(Self.tagLength))
    }

    /// Compares in a time that does not tell how much of the tag is right.
    package func isAuthentic(_ values: [CBOR], _ tag: [UInt8]) -> Bool {
        guard tag.count == Self.tagLength else { return false }
        return zip(tag, self.tag(of: values)).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

/// Where random bytes come from; a test vector has its own.
package typealias RandomBytes = @Sendable (_ count: Int) -> [UInt8]

/// The system's.
package let systemRandom: RandomBytes = { count in
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
}
